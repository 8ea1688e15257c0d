"""What a class of `NumPyClient`'s shape returns, read: its arrays as one flat vector, its examples and its figures.

A class is code that nobody here knows, so each thing is refused by party, round and place, and never by its value:
arrays that are not float32 or float64, that are as many or shaped otherwise than at first, that are empty or not finite
in float32; counts that are none; figures that are no numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse
from federation.training.layout import Layout, Part, Tensor

MOST_EXAMPLES: Final = 1 << 40  # of one party in one round
LARGEST: Final = 1 << 40  # of a loss or metric, either way
LARGEST_ENTRY: Final = 1e38  # of an array, either way: the difference of two is finite in float32


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arrays:
    """A model as a list of arrays, and as one flat float32 vector.

    Attributes:
        layout: one tensor an array; a scalar is one of length 1 there.
        shapes: as classes see them.
        types: float32 or float64, as the first arrays had them.
        start: the first model.
    """

    layout: Layout
    shapes: tuple[tuple[int, ...], ...]
    types: tuple[np.dtype[Any], ...]
    start: NDArray[np.float32]

    @classmethod
    def of(cls, arrays: object, where: str) -> Arrays:
        """Return how these arrays lie in a vector. Raises Misuse."""
        if not isinstance(arrays, list | tuple) or not arrays:
            hint = "initial=[...], the arrays that everybody starts from"
            raise Misuse(f"{where} are a list of at least one array", hint=hint)
        read = [_array(array, f"array {i} of {where}") for i, array in enumerate(arrays)]
        layout = Layout(
            tensors=tuple(
                Tensor(name=f"array_{i}", shape=array.shape or (1,), part=Part.WEIGHT) for i, array in enumerate(read)
            )
        )
        flat = np.concatenate([array.reshape(-1) for array in read], dtype=np.float32, casting="same_kind")
        return cls(
            layout=layout,
            shapes=tuple(array.shape for array in read),
            types=tuple(array.dtype.newbyteorder("=") for array in read),
            start=flat,
        )

    def copies(self, flat: NDArray[np.float32]) -> list[NDArray[Any]]:
        """Return a model as arrays that their reader may write into."""
        places = (place for _, place in self.layout.places())
        parts = zip(places, self.shapes, self.types, strict=True)
        return [flat[place].astype(kind).reshape(shape) for place, shape, kind in parts]

    def moved(self, arrays: object, before: NDArray[np.float32], where: str) -> NDArray[np.float32]:
        """Return how far `arrays` lie from the flat model `before`, each entry subtracted in float64. Raises Misuse."""
        if not isinstance(arrays, list | tuple) or len(arrays) != len(self.shapes):
            got = f"{len(arrays)} arrays" if isinstance(arrays, list | tuple) else f"a {type(arrays).__name__}"
            raise Misuse(f"{where} is a list of {len(self.shapes)} arrays, got {got}")
        out = np.empty(self.layout.size, dtype=np.float32)
        for i, (_, place) in enumerate(self.layout.places()):
            array = _array(arrays[i], f"array {i} of {where}")
            if array.shape != self.shapes[i]:
                raise Misuse(f"array {i} of {where} has shape {array.shape}, not {self.shapes[i]} as at first")
            out[place] = array.reshape(-1).astype(np.float64) - before[place]
        return out


def _array(array: object, where: str) -> NDArray[Any]:
    """Return an array of float32 or float64, finite also in float32."""
    if not isinstance(array, np.ndarray | np.generic | float):
        raise Misuse(f"{where} is a {type(array).__name__}, not an array", hint="tensor.detach().cpu().numpy()")
    found = np.asarray(array)
    if found.dtype.type not in (np.float32, np.float64):
        raise Misuse(
            f"{where} is {found.dtype}, not float32 or float64",
            hint="means of it have no meaning: leave counters such as num_batches_tracked out, or convert it",
        )
    if not found.size:
        raise Misuse(f"{where} is empty, its shape is {found.shape}")
    if not (np.abs(found) <= LARGEST_ENTRY).all():  # False for NaN
        raise Misuse(f"{where} has entries that are not finite in float32", hint="a smaller learning rate")
    return found


def three_in(found: object, where: str) -> tuple[Any, Any, Any]:
    """Return what `fit` and `evaluate` return: three things. Raises Misuse, as all that follows."""
    if not isinstance(found, tuple) or len(found) != 3:
        raise Misuse(
            f"{where} is not three things", hint="(parameters, examples, metrics) or (loss, examples, metrics)"
        )
    return found


def examples_in(found: Any, where: str, *, fewest: int) -> int:  # noqa: ANN401 - whatever a class returns
    """Return a number of examples."""
    try:
        count = operator.index(found)
    except TypeError:
        count = -1
    if not fewest <= count <= MOST_EXAMPLES:
        raise Misuse(f"the number of examples in {where} is a whole number from {fewest} to {MOST_EXAMPLES}")
    return count


def figures_in(metrics: object, where: str) -> dict[str, float]:
    """Return metrics by name."""
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) and name for name in metrics):
        raise Misuse(f"the metrics in {where} are a dict by name")
    return {name: figure_in(value, f"metric {name!r} in {where}") for name, value in metrics.items()}


def figure_in(value: object, where: str) -> float:
    """Return a loss or metric."""
    if not isinstance(value, float | int | np.floating | np.integer | np.bool_):
        raise Misuse(f"{where} is a {type(value).__name__}: means are of numbers", hint="report numbers only")
    if not -LARGEST <= value <= LARGEST:  # refuses NaN
        raise Misuse(f"{where} is not finite, or beyond {LARGEST:.3g} either way")
    return float(value)
