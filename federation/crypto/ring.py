"""The two rings that vectors are summed in, as little-endian uint64 words, the same on the wire as in memory.

Z_2^64 carries packed lanes (a model's update), one word an element. Z_2^128 carries statistics, and lanes where they
pack denser in it, two words an element, low word first: adding the two independently would lose the carry, so no other
room adds such arrays by itself. A `Ring` works on flat arrays of words; the functions without one work on arrays of
shape (d, 2) over Z_2^128. Signed numbers there are two's complement: [-2^127, 2^127).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from federation.crypto.lanes import kernel
from federation.errors import Misuse

ELEMENT_BYTES = 16
LOWEST, HIGHEST = -(1 << 127), (1 << 127) - 1
# Bulk vectors are masked, hashed and sent in chunks of this many bytes: three of them stay in a core's cache, and the
# libraries below free the interpreter for long enough that two threads do not wait for each other.
CHUNK_BYTES = 256 * 1024
Chunk: TypeAlias = bytes | memoryview  # a view is of bytes that nobody writes any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """One of `RINGS`: how flat, C-contiguous arrays of little-endian uint64 words are added.

    Attributes:
        name: as a spec carries it.
        element_bytes: 8 or 16.
    """

    name: str
    element_bytes: int

    def __post_init__(self) -> None:
        if (self.name, self.element_bytes) not in {("z2^64", 8), ("z2^128", 16)}:
            raise Misuse("the rings are z2^64 of 8 bytes an element and z2^128 of 16")

    @property
    def bits(self) -> int:
        """Of an element: 64 or 128."""
        return 8 * self.element_bytes

    def add_into(self, accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
        """Add `term` to `accumulator` in place. Raises Misuse unless both are flat and equally long."""
        self.check(accumulator, term)
        np.add(accumulator, term, out=accumulator)
        if self.element_bytes == 16:  # a low word that became smaller than what was added has carried
            accumulator[1::2] += accumulator[::2] < term[::2]

    def subtract_into(self, accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
        """Subtract `term` from `accumulator` in place. Raises Misuse unless both are flat and equally long."""
        self.check(accumulator, term)
        borrow = accumulator[::2] < term[::2] if self.element_bytes == 16 else None
        np.subtract(accumulator, term, out=accumulator)
        if borrow is not None:
            accumulator[1::2] -= borrow

    def check(self, *vectors: NDArray[np.uint64]) -> None:
        """Raise Misuse unless these are flat arrays of words, equally long and of whole elements."""
        first = vectors[0]
        for words in vectors:
            if words.ndim != 1 or len(words) != len(first) or words.dtype != _WORD or not words.flags.c_contiguous:
                raise Misuse("flat contiguous arrays of little-endian uint64 words and of equal length expected")
        if first.nbytes % self.element_bytes:
            raise Misuse(f"{first.nbytes} bytes are not a whole number of elements of {self.element_bytes} bytes")


_WORD = np.dtype("<u8")
Z64 = Ring(name="z2^64", element_bytes=8)
Z128 = Ring(name="z2^128", element_bytes=16)
RINGS: Mapping[str, Ring] = MappingProxyType({ring.name: ring for ring in (Z64, Z128)})


class Tally:
    """Many terms into one vector, in place: what they carry waits in one byte for each element until `settle`.

    A carry added at once is another pass over the vector with a stride; counted, it is one over a sixteenth of the
    bytes. Compiled loops carry as they add. Until `settle` the high words of Z_2^128 may be wrong: a tally belongs to
    one loop and ends with it.
    """

    __slots__ = ("_carried", "_carries", "_high", "_loops", "_low", "_ones", "_uncounted", "_words")

    MOST_UNCOUNTED = 127  # terms that a signed byte counts for certain

    def __init__(self, ring: Ring, words: NDArray[np.uint64]) -> None:
        ring.check(words)
        pairs = len(words) // 2 if ring.element_bytes == 16 else 0
        self._words, self._uncounted = words, 0
        self._loops = kernel(len(words)) if pairs else None
        self._low, self._high = words[: 2 * pairs : 2], words[1 : 2 * pairs : 2]
        self._carried = np.zeros(pairs, dtype=np.int8)
        self._carries = np.empty(pairs, dtype=np.bool_)
        self._ones = self._carries.view(np.int8)

    def add(self, term: NDArray[np.uint64]) -> None:
        """Add `term`, as long as the vector; it may be overwritten afterwards."""
        if self._loops is not None:
            self._loops.add(self._words, term)
            return
        np.add(self._words, term, out=self._words)
        if len(self._low):
            np.less(self._low, term[::2], out=self._carries)
            np.add(self._carried, self._ones, out=self._carried)
            self._counted()

    def subtract(self, term: NDArray[np.uint64]) -> None:
        """Subtract `term`, as long as the vector; it may be overwritten afterwards."""
        if self._loops is not None:
            self._loops.add(self._words, term, minus=True)
            return
        if len(self._low):
            np.less(self._low, term[::2], out=self._carries)
            np.subtract(self._carried, self._ones, out=self._carried)
            self._counted()
        np.subtract(self._words, term, out=self._words)

    def settle(self) -> None:
        """Add what was carried to the high words: now, and only now, the vector is the sum."""
        if self._uncounted:
            self._high += self._carried.astype(np.int64).view(np.uint64)
            self._carried[:] = 0
            self._uncounted = 0

    def _counted(self) -> None:
        self._uncounted += 1
        if self._uncounted == self.MOST_UNCOUNTED:
            self.settle()


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
    """Add `term` to `accumulator` in place; both C-contiguous, shape (d, 2)."""
    _check(accumulator, term)
    Z128.add_into(accumulator.reshape(-1), np.ascontiguousarray(term).reshape(-1))


def subtract_into(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
    """Subtract `term` from `accumulator` in place, with borrow; both C-contiguous, shape (d, 2)."""
    _check(accumulator, term)
    Z128.subtract_into(accumulator.reshape(-1), np.ascontiguousarray(term).reshape(-1))


def _check(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
    if accumulator.shape != term.shape or accumulator.shape[1:] != (2,):
        raise Misuse(f"vectors of shape (d, 2) and equal length expected, got {accumulator.shape} and {term.shape}")
