"""A bundle's half of a training: what `Trainer` would compute in the daemon is computed in a sandbox, and checked here.

The whole local step runs in the worker, since our strategies call the bundle's module. What comes back is numbers from
somebody who may lie: their count is known before, they are finite, an update is within the schedule's norm whatever the
worker did, its weight is counted here, and a tally is one that these rows can have. What cannot be seen is whether the
code hides a row in a plausible update: that is what two reviewers are for, and why norm and clip bound what fits.

Refused: a bundle that is not approved (rule "bundle") or no sandbox (rule "sandbox"), before any row is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction import worker_frames as frames
from clients.jurisdiction.bundle_file import Bundle
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.sandbox import Limits, Sandbox, Worker
from clients.jurisdiction.worker_frames import Kind, Plain, Status
from federation.errors import JobFailed, Misuse, Refused
from federation.training import bundle, evaluation
from federation.training.merging import bounded
from federation.training.plan import Chosen, TrainingPlan
from federation.training.strategy import LARGEST, Rows, Update, Work, refuse_infinite

MOST_KEPT: Final = 4  # vectors that a party keeps between rounds
_TOLD: Final = {
    Status.RAN_AWAY: (
        "its update is not finite, or the strategy refused the schedule",
        "lower lr, or standardise the inputs",
    ),
    Status.FAILED: ("the code raised an error", "its author tries it on rows of the same shape"),
    Status.OTHER_TENSORS: ("its module has other tensors than its manifest says", "its author packs it anew"),
}


class Confined:
    """One party's confined code of one training job.

    Args:
        bundles: that this jurisdiction's operator approved, None where that cannot be.
        chosen: what the plan names; its model is a `Bundled`.
        plan: of the job.
        me: the party.

    Raises:
        Refused: rule "bundle" or "sandbox".
    """

    def __init__(
        self, bundles: Bundles | None, chosen: Chosen, plan: TrainingPlan, me: str, limits: Limits | None = None
    ) -> None:
        if bundles is None:
            what = f"{me} runs no bundles: it has no folder of approved ones"
            raise Refused(what, rule="bundle", hint="a jurisdiction's daemon has one", party=me)
        self._bundles, self._chosen, self._plan, self._me = bundles, chosen, plan, me
        self._called = bundle.bundled(plan.model).digest
        bundles.approved(self._called)
        self._sandbox = Sandbox(bundles.state, limits or Limits())
        self._worker: Worker | None = None
        self._rows: tuple[Rows, Rows] | None = None

    def update(self, work: Work, held_out: Rows) -> Update:
        """Return this party's update; `work` has no module.

        Raises:
            Refused: rule "bundle": withdrawn or altered since the job began.
            JobFailed: what the code did; no value is quoted.
            Misuse: the update is not finite; the message names the tensor.
        """
        with self._closing():
            return self._updated(work, held_out)

    def tally(self, model: NDArray[np.float32], learned: Rows, held_out: Rows) -> tuple[int, ...]:
        """Return the tally of a flat model over the held-out rows. Raises as `update`."""
        if not held_out.size:
            return (0,) * evaluation.length(self._chosen.inputs)
        with self._closing():
            return self._tallied(model, learned, held_out)

    def close(self) -> None:
        """End the worker, and with it the rows that it holds."""
        if self._worker is not None:
            self._worker.kill()
        self._worker = self._rows = None

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """End the worker when anything goes wrong: who lied once is not asked again."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _updated(self, work: Work, held_out: Rows) -> Update:
        chosen, public = self._chosen, work.public
        found, worker = self._ready(work.rows, held_out)
        length = chosen.strategy.length(chosen.parameters, work.layout)
        head: dict[str, Plain] = {"round": work.round_index, "seed": work.seed.hex(), "more": len(public.more)}
        asked = frames.request(Kind.UPDATE, head, (public.model, *public.more, *work.kept))
        sizes = (4 * length, *[4 * work.layout.size] * MOST_KEPT)
        answered = self._answered(worker.ask(asked, most=frames.largest(*sizes)), found, most=len(sizes))
        vector, *kept = (np.frombuffer(one, dtype="<f4").astype(np.float32) for one in self._aligned(answered, 4))
        if vector.size != length or any(one.size > work.layout.size for one in kept):
            raise self._garbled(f"an update of {length} numbers")
        if not all(np.isfinite(one).all() for one in kept):
            raise self._garbled("finite numbers to keep")
        if vector.size == work.layout.size:
            refuse_infinite(vector, work.layout, "this party's update")
        if not np.isfinite(vector).all():
            raise self._garbled("a finite update")
        of_model = slice(0, min(length, work.layout.size))  # what follows a strategy bounds by clip alone
        vector[of_model] = bounded(np.clip(vector[of_model], -LARGEST, LARGEST), chosen.parameters.norm)
        return Update(vector=vector, kept=tuple(kept), weight=chosen.parameters.weight(work.rows.size))

    def _tallied(self, model: NDArray[np.float32], learned: Rows, held_out: Rows) -> tuple[int, ...]:
        inputs = self._chosen.inputs
        length = evaluation.length(inputs)
        found, worker = self._ready(learned, held_out)
        asked = frames.request(Kind.TALLY, {}, (model,))
        answered = self._answered(worker.ask(asked, most=frames.largest(8 * length)), found, most=1)
        numbers = np.frombuffer(self._aligned(answered, 8)[0], dtype="<i8").tolist()
        if len(numbers) != length or min(numbers) < 0 or numbers[0] != held_out.size:
            raise self._garbled(f"a tally of {held_out.size} rows")
        try:
            evaluation.figures(numbers, inputs)
        except Misuse:
            raise self._garbled("a tally that rows can have") from None
        return tuple(numbers)

    def _ready(self, learned: Rows, held_out: Rows) -> tuple[Bundle, Worker]:
        """Return the bundle, looked at once more, and a worker that holds these rows."""
        found = self._bundles.approved(self._called)
        if self._worker is not None and self._rows is not None and self._rows[0] is learned:
            return found, self._worker
        self.close()
        arrays = [array for rows in (learned, held_out) for array in (rows.numbers, rows.codes, rows.target)]
        worker = self._sandbox.start(
            found.source, rows_bytes=sum(array.nbytes for array in arrays), who=self._blamed(found)
        )
        head: dict[str, Plain] = {
            "strategy": self._plan.strategy,
            "options": self._plan.options,
            "manifest": dict(found.manifest.config),
            "settings": dict(found.settings),
        }
        self._worker, self._rows = worker, (learned, held_out)
        self._answered(worker.ask(frames.request(Kind.JOB, head, arrays), most=frames.largest()), found, most=0)
        return found, worker

    def _answered(self, said: tuple[Status, bytes], found: Bundle, *, most: int) -> list[memoryview]:
        status, body = said
        if status is not Status.DONE:
            what, hint = _TOLD[status]
            raise JobFailed(f"{self._blamed(found)}: {what}", hint=hint, party=self._me)
        vectors = frames.vectors_of(body, most=most, who=self._blamed(found))
        if most and not vectors:
            raise self._garbled("an answer")
        return vectors

    def _aligned(self, vectors: Sequence[memoryview], width: int) -> Sequence[memoryview]:
        if any(len(one) % width for one in vectors):
            raise self._garbled(f"numbers of {width} bytes")
        return vectors

    def _garbled(self, expected: str) -> JobFailed:
        return frames.garbled(f"{self._me}, running bundle {self._called.hex()[:12]},", expected)

    def _blamed(self, found: Bundle) -> str:
        return f"{self._me}, running bundle {found.title}"
