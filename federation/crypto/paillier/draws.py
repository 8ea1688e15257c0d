"""Integers: secret ones from entropy and all that they depend on, public ones from a hash over parts with lengths.

Secret numbers are hedged: whoever draws binds in what the numbers are for, so entropy that serves twice (after a fork,
after a snapshot of a machine came back) gives the same numbers only for the very same use.
"""

from __future__ import annotations

import hashlib

from gmpy2 import mpz

from federation.crypto import agreement
from federation.crypto.prg import Keystream
from federation.errors import Misuse

SPARE_BITS = 128  # drawn above a bound, so that what `%` leaves is uniform up to 2^-127


class Draws:
    """Uniform secret integers, each given out once.

    Args:
        entropy: 32 secret bytes.
        label: what the numbers are for.
        bound: everything they depend on, secret or not: other parts, other numbers.

    Raises:
        Misuse: entropy of another length.
    """

    __slots__ = ("_stream",)

    def __init__(self, entropy: bytes, label: bytes, *bound: bytes) -> None:
        if len(entropy) != 32:
            raise Misuse(f"entropy has 32 bytes, this has {len(entropy)}")
        self._stream = Keystream(agreement.derive(entropy + hashed(label, *bound), label))

    def bits(self, count: int) -> mpz:
        """Return a number of [0, 2^count)."""
        piece = self._stream.words(-(-count // 64) * 8).tobytes()
        return mpz.from_bytes(piece, "little") & ((mpz(1) << count) - 1)

    def below(self, bound: int) -> mpz:
        """Return a number of [0, bound)."""
        return self.bits(bound.bit_length() + SPARE_BITS) % bound


def hashed(label: bytes, *parts: bytes) -> bytes:
    """Return SHA-256 of label and parts, each behind its length, so that no two lists of parts give the same bytes."""
    return hashlib.sha256(framed(label, *parts)).digest()


def framed(*parts: bytes) -> bytes:
    """Return the parts, each behind its length in 8 bytes."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def sized(number: int, size: int | None = None) -> bytes:
    """Return a number that is not negative, big-endian, in `size` bytes, or in as few as it takes."""
    return int(number).to_bytes(-(-number.bit_length() // 8) if size is None else size, "big")


def unframed(data: bytes) -> list[bytes]:
    """Return the parts of `framed`. Raises ValueError for bytes that are none."""
    parts, at = [], 0
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 8], "big")
        if end > len(data):
            raise ValueError("a part that is longer than what there is")
        parts.append(data[at + 8 : end])
        at = end
    return parts


def public_numbers(count: int, bits: int, label: bytes, *parts: bytes) -> list[mpz]:
    """Return `count` numbers of `bits` bits, a multiple of 8, that everybody finds for these parts (SHAKE-256)."""
    width = bits // 8
    stream = hashlib.shake_256(framed(label, *parts)).digest(width * count)
    return [mpz.from_bytes(stream[at : at + width], "big") for at in range(0, len(stream), width)]


def public_residue(modulus: int, label: bytes, *parts: bytes) -> mpz:
    """Return a number below `modulus` that everybody finds for these parts."""
    width = -(-(modulus.bit_length() + SPARE_BITS) // 8) * 8
    return public_numbers(1, width, label, *parts)[0] % modulus
