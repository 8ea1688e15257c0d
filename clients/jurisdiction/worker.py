"""The process that runs a bundle's code: started in the sandbox by `clients.jurisdiction.sandbox`, and by nobody else.

It takes a job's rows once, then answers updates and tallies until the daemon hangs up. Strategy and evaluation are ours
and the module is theirs; all of it runs here, and what leaves is numbers. The source is imported anew for each request,
so that an honest module answers alike when it is asked again. Limits are set before the first foreign byte runs, and
cannot be raised again. What goes wrong is told as a status: a text could carry a row.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import sys
from io import BufferedReader
from types import MappingProxyType
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction import worker_frames as frames
from clients.jurisdiction.worker_frames import Array, Kind, Status
from federation import registry
from federation.domain.job import Value
from federation.domain.parameters import read
from federation.errors import Misuse
from federation.training import evaluation
from federation.training.bundle import Manifest
from federation.training.layout import Layout
from federation.training.plan import STRATEGIES
from federation.training.strategy import Public, Rows, Strategy, Work

SOURCE: Final = "/bundle/model.py"  # where the sandbox lays the reviewed source
FILES: Final = 64  # open at once

Pairs = tuple[tuple[str, Value], ...]


class _OtherTensors(Exception):
    """The module is not what its manifest says."""


class Learner:
    """One job's strategy and rows, and the module that is made anew for each request."""

    def __init__(self, head: dict[str, Value], arrays: list[Array]) -> None:
        self._manifest = read(Manifest, cast("Pairs", head["manifest"]), "the manifest")
        self._settings = dict(cast("Pairs", head["settings"]))
        self._strategy: Strategy[Any] = registry.look_up(STRATEGIES, Strategy, str(head["strategy"]))()
        self._parameters: Any = read(self._strategy.Parameters, cast("Pairs", head["options"]), "the strategy")
        numbers, codes, target, *held_out = cast("list[Any]", arrays)
        self._learned = Rows(numbers=numbers, codes=codes, target=target)
        self._held_out = Rows(numbers=held_out[0], codes=held_out[1], target=held_out[2])

    def update(self, head: dict[str, Value], arrays: list[Array]) -> list[Array]:
        """Return the vector of a round, then what the party keeps."""
        model, *others = cast("list[NDArray[np.float32]]", arrays)
        more = cast("int", head["more"])
        work = Work(
            module=self._module(),
            layout=self._manifest.layout,
            inputs=self._manifest.inputs,
            rows=self._learned,
            public=Public(model=model, more=tuple(others[:more])),
            kept=tuple(others[more:]),
            round_index=cast("int", head["round"]),
            seed=bytes.fromhex(str(head["seed"])),
        )
        made = self._strategy.local_step(self._parameters, work)
        return [made.vector, *made.kept]

    def tally(self, arrays: list[Array]) -> list[Array]:
        """Return the tally of a flat model over the held-out rows."""
        layout, inputs = self._manifest.layout, self._manifest.inputs
        model = cast("NDArray[np.float32]", arrays[0])
        return [np.array(evaluation.tally(self._module(), layout, model, inputs, self._held_out), dtype=np.int64)]

    def _module(self) -> Any:  # noqa: ANN401 - torch's
        """Import the source and return its module, which has exactly the tensors of the manifest."""
        spec = importlib.util.spec_from_file_location("bundle_model", SOURCE)
        if spec is None or spec.loader is None:
            raise _OtherTensors
        source = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(source)
        module = source.module(MappingProxyType(self._settings), self._manifest.inputs)
        if not has_tensors(module, self._manifest.layout):
            raise _OtherTensors
        return module


def has_tensors(module: Any, layout: Layout) -> bool:  # noqa: ANN401 - torch's
    """Return whether a module's parameters and floating buffers are the tensors of `layout`, in order, in float32."""
    floating = [(name, one) for name, one in module.named_buffers() if one.is_floating_point()]
    found = [(name, tuple(one.shape), str(one.dtype)) for name, one in [*module.named_parameters(), *floating]]
    return found == [(one.name, one.shape, "torch.float32") for one in layout.tensors]


def main() -> None:
    """Serve the daemon on the pipes that it gave as standard input and output."""
    memory_bytes, cpu_s, scratch_bytes = map(int, sys.argv[1:4])
    limit(memory_bytes=memory_bytes, cpu_s=cpu_s, scratch_bytes=scratch_bytes)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in range(3):  # what the code prints goes nowhere
        os.dup2(nowhere, handle)
    serve(requests, answers)


def limit(*, memory_bytes: int, cpu_s: int, scratch_bytes: int) -> None:
    """Bound this process for good: address space, processor time, size of a file, open files, no core dump."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, scratch_bytes),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(what, (most, most))


def serve(requests: BufferedReader, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    learner: Learner | None = None
    while (asked := frames.read_request(requests)) is not None:
        kind, head, arrays = asked
        vectors: list[Array] = []
        try:
            match kind:
                case Kind.JOB:
                    learner = Learner(head, arrays)
                case Kind.UPDATE if learner is not None:
                    vectors = learner.update(head, arrays)
                case Kind.TALLY if learner is not None:
                    vectors = learner.tally(arrays)
            status = Status.DONE
        except _OtherTensors:
            status = Status.OTHER_TENSORS
        except Misuse:
            status = Status.RAN_AWAY
        except BaseException:  # noqa: BLE001 - whatever the code raises, SystemExit too, is one status
            status = Status.FAILED
        answers.writelines(frames.answer(status, vectors if status is Status.DONE else ()))
        answers.flush()


if __name__ == "__main__":
    main()
