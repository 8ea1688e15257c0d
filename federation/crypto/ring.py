"""Vectors over Z_2^128: arrays of shape (d, 2), little-endian uint64 pairs (low word first), added with carry.

One element is 16 bytes, the same on the wire as in memory. Adding the two words independently would lose the carry, so
no other room adds such arrays by itself. Signed numbers are two's complement: [-2^127, 2^127).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse

ELEMENT_BYTES = 16
LOWEST, HIGHEST = -(1 << 127), (1 << 127) - 1


def from_ints(numbers: Sequence[int]) -> NDArray[np.uint64]:
    """Return the vector of these signed numbers, shape (len(numbers), 2), read-only.

    Raises:
        Misuse: a number lies outside [-2^127, 2^127); says where, never which.
    """
    try:
        return from_bytes(b"".join([number.to_bytes(16, "little", signed=True) for number in numbers]))
    except OverflowError:
        place = next(i for i, number in enumerate(numbers) if not LOWEST <= number <= HIGHEST)
        raise Misuse(f"number {place} of the vector does not fit 128 bits with sign") from None


def to_ints(words: NDArray[np.uint64]) -> list[int]:
    """Return the signed numbers of a vector of shape (d, 2)."""
    low, high = words[:, 0].tolist(), words[:, 1].astype(np.int64).tolist()
    return [(upper << 64) | lower for lower, upper in zip(low, high, strict=True)]


def from_bytes(data: bytes | bytearray | memoryview) -> NDArray[np.uint64]:
    """Return the vector that lies in `data`, without copying; it is read-only if `data` is.

    Raises:
        Misuse: the length is not a multiple of 16.
    """
    if len(data) % ELEMENT_BYTES:
        raise Misuse(f"a vector has 16 bytes an element, {len(data)} bytes are not a whole number of them")
    return np.frombuffer(data, dtype="<u8").reshape(-1, 2)


def to_bytes(words: NDArray[np.uint64]) -> bytes:
    """Return the 16 * d bytes of a vector of shape (d, 2)."""
    return words.astype("<u8", copy=False).tobytes()


def add(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a + b element by element in Z_2^128, a new array of the same shape (d, 2)."""
    total = np.array(a, dtype="<u8", order="C")
    add_into(total, b)
    return total


def add_into(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
    """Add `term` to `accumulator` in place; both C-contiguous, shape (d, 2).

    The two words are added in one contiguous pass; a low word that became smaller than what was added has carried.
    """
    _check(accumulator, term)
    np.add(accumulator, term, out=accumulator)
    accumulator[:, 1] += accumulator[:, 0] < term[:, 0]


def subtract_into(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
    """Subtract `term` from `accumulator` in place, with borrow; both C-contiguous, shape (d, 2)."""
    _check(accumulator, term)
    borrow = accumulator[:, 0] < term[:, 0]
    np.subtract(accumulator, term, out=accumulator)
    accumulator[:, 1] -= borrow


def _check(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
    if accumulator.shape != term.shape or accumulator.shape[1:] != (2,):
        raise Misuse(f"vectors of shape (d, 2) and equal length expected, got {accumulator.shape} and {term.shape}")
