"""Elementwise arithmetic of flat vectors that every party repeats bit for bit: blocks of 64 Ki, float64 inside.

Only + - * / sqrt, comparison and sign, each entry by itself and in written order: numpy's own reductions and BLAS may
add in another order on another processor, so `squared_norm` folds in an order of its own. To move a model costs
no memory beyond the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from federation.training.layout import Layout

BLOCK = 1 << 16  # entries: 512 KiB of float64 stay in a processor's second cache
_BELOW = 1 - 2**-22  # so that a vector scaled to a bound stays within it after each entry is rounded to float32


def blocks(size: int) -> Iterator[slice]:
    """Yield slices of at most BLOCK entries that cover a vector of `size`."""
    for start in range(0, size, BLOCK):
        yield slice(start, min(start + BLOCK, size))


def room(model: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the next model is written: over this one where it was given away, else into new memory."""
    return model if model.flags.writeable else np.empty(model.size, dtype=np.float32)


def added(model: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return model + mean, each entry rounded once; written over `model` where that can be written."""
    return np.add(model, mean, out=room(model))


def moved(
    model: NDArray[np.float32], mean: NDArray[np.float32], rate: float, layout: Layout | None = None
) -> NDArray[np.float32]:
    """Return model + rate * mean, as `added`; with a layout, running statistics take the mean as it is.

    A running variance that a server's step size or momentum carried on could fall below zero.
    """
    if rate == 1.0:
        return added(model, mean)
    out = room(model)
    learned = model.size if layout is None else layout.learned
    scratch = np.empty(min(BLOCK, learned))
    for block in blocks(learned):
        piece = scratch[: block.stop - block.start]
        np.multiply(mean[block], rate, out=piece, dtype=np.float64)
        piece += model[block]
        out[block] = piece
    return out if layout is None else statistics_averaged(out, model, mean, layout)


def statistics_averaged(
    out: NDArray[np.float32], model: NDArray[np.float32], mean: NDArray[np.float32], layout: Layout
) -> NDArray[np.float32]:
    """Write model + mean over the running statistics of `out`, which lie last in a layout, and return it."""
    tail = slice(layout.learned, layout.size)
    np.add(model[tail], mean[tail], out=out[tail])
    return out


def is_finite(vector: NDArray[np.float32]) -> bool:
    """Return whether all entries are."""
    return all(bool(np.isfinite(vector[block]).all()) for block in blocks(vector.size))


def squared_norm(vector: NDArray[np.float32] | NDArray[np.float64]) -> float:
    """Return the sum of squares, folded in halves within blocks and added block by block: equal bits everywhere."""
    total = 0.0
    room = np.zeros(BLOCK)
    for block in blocks(vector.size):
        size = block.stop - block.start
        room[:size] = vector[block]
        room[size:] = 0.0
        np.multiply(room, room, out=room)
        half = BLOCK // 2
        while half:
            room[:half] += room[half : 2 * half]
            half //= 2
        total += float(room[0])
    return total


def shrinking(vector: NDArray[np.float32] | NDArray[np.float64], norm: float) -> float:
    """Return the factor that brings `vector` to an L2 norm of at most `norm`; 1.0 if it has one, or if norm is 0."""
    length = math.sqrt(squared_norm(vector)) if norm else 0.0
    return norm / length * _BELOW if length > norm else 1.0


def bounded(vector: NDArray[np.float32], norm: float) -> NDArray[np.float32]:
    """Return `vector`, scaled down to an L2 norm of at most `norm` if it is longer; 0 bounds nothing."""
    factor = shrinking(vector, norm)
    return vector if factor == 1.0 else (vector * factor).astype(np.float32)
