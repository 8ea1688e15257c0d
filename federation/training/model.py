"""The contract of a model: a named architecture with typed, bounded configuration. Refuses code and class paths.

A job says `mlp` and a handful of numbers. What tensors these make is known without torch (`layout`), so that parties
can agree on it, hash it and merge it; the torch module is made only where rows are, inside the body of `module`.
A model is one file in `models/`, found by `registry.look_up("federation.training.models", Model, name)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from federation.errors import Misuse
from federation.training.inputs import Inputs
from federation.training.layout import Layout

MOST_LAYERS = 16
MOST_WIDTH = 4_096  # units, filters or hidden values of one layer

C = TypeVar("C")


class Model(ABC, Generic[C]):
    """An architecture.

    Attributes:
        name: the file's name, as a job carries it.
        version: changes with anything that changes what the module computes; a party without it refuses at review.
        Config: frozen dataclass of int, float, str, bool and tuples of them; refuses what is beyond the limits.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Config: ClassVar[type]

    @abstractmethod
    def layout(self, config: C, inputs: Inputs) -> Layout:
        """Return the tensors of the module, learned ones first; pure, and needs no torch.

        Raises:
            Misuse: the model does not read such inputs, or would have more entries than a model may have.
        """

    @abstractmethod
    def module(self, config: C, inputs: Inputs) -> Any:  # noqa: ANN401 torch's types are not known here
        """Return a torch module: float32, on the processor, its `forward(numbers, codes)` gives (rows, outputs).

        Its `named_parameters` and floating `named_buffers`, in this order, are those of `layout`; their values are
        whatever torch drew and are to be overwritten from a flat vector. Torch is imported inside. A tensor that is
        none of these says `device="cpu"`, or the module is built a second time: the first is without memory.

        Raises:
            Misuse: as `layout`.
        """


def check_widths(what: str, widths: tuple[int, ...], *, fewest: int = 0) -> None:
    """Raise Misuse unless there are `fewest` to MOST_LAYERS layers, each 1 to MOST_WIDTH wide."""
    if not fewest <= len(widths) <= MOST_LAYERS:
        raise Misuse(f"{what} of a model are {fewest} to {MOST_LAYERS} layers, not {len(widths)}")
    if any(not 1 <= width <= MOST_WIDTH for width in widths):
        raise Misuse(f"{what} of a model are 1 to {MOST_WIDTH} wide")


def check_dropout(dropout: float) -> None:
    """Raise Misuse unless `dropout`, the share of units left out of a step, is in [0, 1)."""
    if not 0 <= dropout < 1:  # refuses NaN too
        raise Misuse("dropout is at least 0 and below 1")


def check_choice(what: str, given: str, known: tuple[str, ...]) -> None:
    """Raise Misuse unless `given` is one of `known`."""
    if given not in known:
        raise Misuse(f"{what} is one of {', '.join(known)}")
