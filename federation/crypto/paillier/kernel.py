"""The compiled kernel, where there is one: powers and combs modulo n^2, for eight numbers at once or for one alone.

`make kernel` compiles kernel.c beside this file; nobody needs it. It is used on processors with AVX-512 IFMA, after it
gave the same as gmpy2 in this process, and lets other threads run. What is computed does not depend on it, nor is it
constant-time: table entries are read by bits of exponents.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import lru_cache

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from federation.crypto.compiled import LeftOut

LANES = 8
LEAST = 6  # numbers that take longer one by one than eight together
REVISION = 1
_LIMB_BITS, _MOST_LIMBS, _WINDOW_BITS = 52, 80, 6
_SLACK_BITS = 4  # of a digit above n, which holds what is not quite reduced
_TAIL = bytes(8)  # the kernel reads whole words
FILE = __file__.removesuffix("kernel.py") + "_kernel.so"
_FIXED = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int)  # n, turn, inverse, limbs
_BYTES, _PLACE, _LONG = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_long
Words = NDArray[np.uint64]
Octets = NDArray[np.uint8]


class Lanes:
    """Numbers modulo n^2 as the kernel takes them: two digits, lowest bytes first.

    Args:
        library: the kernel.
        n: odd, at most 4,156 bits.
    """

    __slots__ = ("_fixed", "_into", "_library", "_limbs", "_n", "_r", "_size", "_square")

    def __init__(self, library: ctypes.CDLL, n: int) -> None:
        self._library, self._n = library, mpz(n)
        self._square = self._n * self._n
        limbs = -(-(self._n.bit_length() + _SLACK_BITS) // _LIMB_BITS)
        self._limbs = limbs + -limbs % 4
        self._size = self._limbs * _LIMB_BITS // 8
        self._r = mpz(1) << _LIMB_BITS * self._limbs
        inverse = -gmpy2.invert(self._n, 1 << _LIMB_BITS) % (1 << _LIMB_BITS)
        self._fixed = self._bytes([self._n]), self._bytes([(1 - self._r) % self._n]), int(inverse), self._limbs
        self._into = self._digits([self._r * self._r])

    def powers(self, bases: Sequence[int], exponents: Sequence[int]) -> list[mpz]:
        """Return base^exponent mod n^2, one exponent for each base, none of them negative; eight at a time."""
        windows, steps = _windows(exponents)
        out = np.zeros(2 * len(bases) * self._size, np.uint8)
        given = self._digits(bases)
        failed = self._library.powers(*self._fixed, self._into, given, windows, steps, len(bases), out.ctypes.data)
        if failed:
            raise MemoryError("the kernel found no memory")
        return [number % self._square for number in self._numbers(out)]

    def power(self, base: int, exponent: int) -> mpz:
        """Return base^exponent mod n^2, for an exponent that is not negative."""
        windows, steps = _windows([exponent])
        out = np.zeros(2 * self._size, np.uint8)
        if self._library.power(*self._fixed, self._into, self._digits([base]), windows, steps, out.ctypes.data):
            raise MemoryError("the kernel found no memory")
        return next(self._numbers(out)) % self._square

    def cells(self, digits: Sequence[int]) -> Words:
        """Return entries of a comb for `comb`: shape (entries, limbs)."""
        cells = np.empty((len(digits), self._limbs), np.uint64)
        self._library.limbs(self._bytes(digits), len(digits), self._limbs, cells.ctypes.data)
        return cells

    def home(self, columns: int, blocks: int) -> bytes:
        """Return what undoes the divisions by R in a comb of this shape."""
        divisions = 0
        for column in range(columns):
            divisions = divisions * (2 if column else 1) + (1 if column else 0) + blocks
        return self._digits([gmpy2.powmod(self._r, divisions + 1, self._square)])

    def comb(self, home: bytes, xs: Words, us: Words, places: NDArray[np.int64]) -> Iterator[tuple[mpz, mpz]]:
        """Yield the product of what is at `places` in `xs`, squared between columns, and the sum of what is in `us`.

        Args:
            home: of this shape.
            xs: shape (entries, limbs).
            us: the same shape.
            places: shape (exponents, columns, blocks).
        """
        count, columns, blocks = places.shape
        out, sums = np.zeros(2 * count * self._size, np.uint8), np.zeros(count * (self._size + 16), np.uint8)
        given = np.ascontiguousarray(places, np.int32)
        failed = self._library.comb(
            *self._fixed, home, xs.ctypes.data, us.ctypes.data, given.ctypes.data, columns, blocks, count,
            out.ctypes.data, sums.ctypes.data,
        )  # fmt: skip
        if failed:
            raise MemoryError("the kernel found no memory")
        return zip(self._numbers(out), _read(sums, self._size + 16), strict=True)

    def _bytes(self, digits: Sequence[int]) -> bytes:
        return b"".join([mpz(digit).to_bytes(self._size, "little") for digit in digits]) + _TAIL

    def _digits(self, numbers: Sequence[int]) -> bytes:
        pairs = [gmpy2.f_divmod(number % self._square, self._n) for number in map(mpz, numbers)]
        return self._bytes([digit for above, below in pairs for digit in (below, above)])

    def _numbers(self, out: Octets) -> Iterator[mpz]:
        """Yield numbers below 3 n^2."""
        digits = _read(out, self._size)
        return (below + self._n * above for below, above in zip(digits, digits, strict=True))


def lanes(n: int) -> Lanes | None:
    """Return the arithmetic modulo n^2 of the kernel, or None without a kernel, and for n that it cannot take."""
    library = None if LeftOut.depth else loaded()
    if library is None or n % 2 == 0 or n.bit_length() + _SLACK_BITS > _MOST_LIMBS * _LIMB_BITS:
        return None
    return _lanes(library, int(n))


@lru_cache(maxsize=4)
def loaded(file: str = FILE) -> ctypes.CDLL | None:
    """Return the kernel, if it is there, this processor has what it needs, and it computes what gmpy2 does."""
    try:
        library = ctypes.CDLL(file)
        if library.revision() != REVISION or not library.usable():
            return None
    except (OSError, AttributeError):
        return None
    library.powers.argtypes = [*_FIXED, _BYTES, _BYTES, _BYTES, _LONG, _LONG, _PLACE]
    library.power.argtypes = [*_FIXED, _BYTES, _BYTES, _BYTES, _LONG, _PLACE]
    library.limbs.argtypes = [_BYTES, _LONG, ctypes.c_int, _PLACE]
    library.limbs.restype = None
    library.comb.argtypes = [*_FIXED, _BYTES, *[_PLACE] * 3, *[_LONG] * 3, _PLACE, _PLACE]
    return library if agrees(library) else None


def agrees(library: ctypes.CDLL) -> bool:
    """Return whether the kernel computes what gmpy2 does, at the edges as well, for every length that has own code."""
    for bits in (512, 1024, 1536, 2048, 3072, 448):
        n = (mpz(1) << bits) - 569
        square, own = n * n, Lanes(library, int(n))
        bases = [mpz(1), n, square - 1, n - 1, n + 1, square - n, mpz(3) ** bits, mpz(5) ** bits, mpz(7), mpz(0)]
        bases = [base % square for base in bases]
        exponents = [mpz(2) ** 70 - 3, mpz(0), mpz(1), *[mpz(3) ** place for place in range(5, 12)]]
        plainly = [gmpy2.powmod(base, exponent, square) for base, exponent in zip(bases, exponents, strict=True)]
        if own.powers(bases, exponents) != plainly:
            return False
        if [own.power(base, exponent) for base, exponent in zip(bases, exponents, strict=True)] != plainly:
            return False
        xs, us = [base % n for base in bases], [(base * 11) % n for base in bases]
        places = np.array([[[row, 9 - row], [2, 6], [row, 7]] for row in range(10)])
        found = own.comb(own.home(3, 2), own.cells(xs), own.cells(us), places)
        for (x, u), rows in zip(found, places.tolist(), strict=True):
            expected, total = mpz(1), mpz(0)
            for one, other in rows:
                expected, total = expected**2 * xs[one] * xs[other] % square, 2 * total + us[one] + us[other]
            if x % square != expected or u != total:
                return False
    return True


@lru_cache(maxsize=16)
def _lanes(library: ctypes.CDLL, n: int) -> Lanes:
    return Lanes(library, n)


def _windows(exponents: Sequence[int]) -> tuple[bytes, int]:
    """Return windows of 6 bits, highest first, of one exponent after the other, and how many each has."""
    steps = max(1, -(-max(exponent.bit_length() for exponent in exponents) // _WINDOW_BITS))
    size = -(-steps * _WINDOW_BITS // 8)
    data = b"".join([int(exponent).to_bytes(size, "big") for exponent in exponents])
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(len(exponents), 8 * size)
    windows = bits[:, 8 * size - _WINDOW_BITS * steps :].reshape(len(exponents), steps, _WINDOW_BITS)
    return (windows @ (1 << np.arange(_WINDOW_BITS - 1, -1, -1)).astype(np.uint8)).tobytes(), steps


def _read(out: Octets, size: int) -> Iterator[mpz]:
    data = out.tobytes()
    return (mpz.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size))
