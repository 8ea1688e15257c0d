"""What is accepted as a ciphertext of the modulus n, ciphertexts as bytes, and their product place by place.

A ciphertext lies between 0 and n^2 and shares no factor with n. One that is 1 or -1 modulo n carries its plaintext in
the clear and comes from nobody who blinds. On the wire each has the same width, big-endian: no size tells anything.
Nothing here says who made a ciphertext or that its maker knows what is in it: signatures and `proofs` do.
"""

from __future__ import annotations

from collections.abc import Sequence

from gmpy2 import gcd, mpz

from federation.crypto.paillier.draws import sized
from federation.errors import Misuse

BLINDLESS = "a ciphertext that blinds nothing"


class BadCiphertext(ValueError):
    """A number or bytes that nobody may take for a ciphertext; the text says why and never quotes them."""


def width(n: int) -> int:
    """Return how many bytes a ciphertext has."""
    return -(-2 * n.bit_length() // 8)


def check(n: int, ciphertexts: Sequence[int]) -> None:
    """Raise BadCiphertext unless all of these are ciphertexts; one greatest common divisor is taken for all."""
    modulus = mpz(n)
    square, product = modulus * modulus, mpz(1)
    for ciphertext in ciphertexts:
        if not 0 < ciphertext < square:
            raise BadCiphertext("a ciphertext that does not lie between 0 and n^2")
        residue = ciphertext % modulus
        if residue in (1, modulus - 1):
            raise BadCiphertext(BLINDLESS)
        product = product * residue % modulus
    if gcd(product, modulus) != 1:
        raise BadCiphertext("a ciphertext that shares a factor with n")


def to_bytes(n: int, ciphertexts: Sequence[int]) -> bytes:
    """Return the ciphertexts one after another, `width` bytes each, big-endian. Raises BadCiphertext as `check`."""
    check(n, ciphertexts)
    size = width(n)
    return b"".join(sized(ciphertext, size) for ciphertext in ciphertexts)


def from_bytes(n: int, data: bytes) -> list[int]:
    """Return the ciphertexts of foreign bytes. Raises BadCiphertext for half a ciphertext, and as `check`."""
    size = width(n)
    if len(data) % size:
        raise BadCiphertext(f"ciphertexts of {size} bytes expected, got {len(data)} bytes in all")
    found = [mpz.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]
    check(n, found)
    return found


def product(n: int, columns: Sequence[Sequence[int]]) -> list[int]:
    """Return the ciphertexts of the sums, place by place: the product modulo n^2, the same whoever computes it.

    Args:
        columns: shape (parties, ciphertexts), checked on arrival.

    Raises:
        Misuse: no column, or columns of different lengths.
    """
    if len({len(column) for column in columns}) != 1:
        raise Misuse("columns of one length are needed, at least one")
    square = mpz(n) ** 2
    found = [mpz(ciphertext) for ciphertext in columns[0]]
    for column in columns[1:]:
        found = [so_far * ciphertext % square for so_far, ciphertext in zip(found, column, strict=True)]
    return found
