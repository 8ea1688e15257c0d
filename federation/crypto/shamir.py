"""Shamir's secret sharing of 32-byte secrets over the prime p = 2^256 + 297: any t of n shares give the secret back.

Share number i, counted from 0, is f(i + 1) for a polynomial f of degree t - 1 with f(0) = the secret, 33 bytes
big-endian. Fewer than t shares fit every secret equally well. Nothing here notices a share that is wrong but well
formed: it gives another secret, so whoever combines compares with a commitment. Integers are not constant-time; what is
shared lives for one round.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul

from gmpy2 import mpz

from federation.crypto import agreement
from federation.crypto.prg import Keystream
from federation.errors import Misuse

SECRET_BYTES = 32
SHARE_BYTES = 33
PRIME = (1 << 256) + 297
MOST_SHARES = 1 << 16

_PRIME_BYTES = PRIME.to_bytes(SHARE_BYTES, "big")
_COEFFICIENT_BYTES = 48  # 128 bits more than p has: what `% PRIME` leaves is uniform up to 2^-127
_STEPS_BEFORE_REDUCING = 32  # x is short, so a value grows slowly, and a division costs more than longer products
_COEFFICIENTS = b"federation/shamir/coefficients/v1"


class BadShare(ValueError):
    """Bytes that are no share; the text says why and never quotes them."""


def split(secret: bytes, threshold: int, shares: int, entropy: bytes) -> tuple[bytes, ...]:
    """Return `shares` shares of 33 bytes, of which any `threshold` give `secret` back.

    Args:
        secret: 32 bytes.
        entropy: 32 secret bytes, drawn for this secret. The coefficients are derived from both, so the same arguments
            give the same shares, and entropy used twice by mistake does not relate two secrets.

    Raises:
        Misuse: a wrong length, a threshold below 2 (a share would be the secret) or above `shares`, too many shares.
    """
    if len(secret) != SECRET_BYTES or len(entropy) != 32:
        raise Misuse(f"a secret and its entropy have 32 bytes each, these have {len(secret)} and {len(entropy)}")
    if not 2 <= threshold <= shares <= MOST_SHARES:
        raise Misuse(f"2 <= threshold <= shares <= {MOST_SHARES} expected, got {threshold} of {shares}")
    info = _COEFFICIENTS + threshold.to_bytes(4, "big") + shares.to_bytes(4, "big")
    stream = Keystream(agreement.derive(secret, info, salt=entropy))
    drawn = (stream.words(_COEFFICIENT_BYTES).tobytes() for _ in range(threshold - 1))
    falling = [int.from_bytes(piece, "big") % PRIME for piece in drawn] + [int.from_bytes(secret, "big")]
    runs = [falling[at : at + _STEPS_BEFORE_REDUCING] for at in range(0, threshold, _STEPS_BEFORE_REDUCING)]
    return tuple(_value(runs, x).to_bytes(SHARE_BYTES, "big") for x in range(1, shares + 1))


def check(share: bytes) -> None:
    """Raise BadShare unless `share` is 33 bytes below p."""
    if len(share) != SHARE_BYTES:
        raise BadShare(f"a share has {SHARE_BYTES} bytes, this one has {len(share)}")
    if share >= _PRIME_BYTES:
        raise BadShare("a share that is not below the prime")


def weights(points: Sequence[int]) -> tuple[int, ...]:
    """Return what each share counts, so that the weighted sum is f(0): Lagrange's coefficients at zero.

    Args:
        points: the numbers of the shares, counted from 0, in the order in which `combined` gets them. They serve for
            all secrets of which the same numbers are at hand.

    Raises:
        Misuse: none, a number twice, or a number that no share has.
    """
    if not points or len(set(points)) != len(points) or not 0 <= min(points) <= max(points) < MOST_SHARES:
        raise Misuse("distinct numbers of shares, counted from 0, are needed")
    xs = [mpz(point + 1) for point in points]
    whole = mpz(1)
    for x in xs:
        whole *= x
    found = []
    for x in xs:
        below = x
        for other in xs:
            if other is not x:
                below *= other - x
        found.append(int(whole * pow(below, -1, PRIME) % PRIME))
    return tuple(found)


def combined(weights: Sequence[int], shares: Sequence[bytes]) -> bytes | None:
    """Return the 32-byte secret of these shares, or None if they are shares of no 32-byte secret.

    Args:
        weights: of the shares' numbers, in the same order.
        shares: 33 bytes each; at least as many as the threshold, which is not known here.

    Raises:
        BadShare: a share has another length or is not below p.
        Misuse: not one share for each weight.
    """
    if not shares or len(shares) != len(weights):
        raise Misuse(f"{len(weights)} shares expected, got {len(shares)}")
    if {*map(len, shares)} != {SHARE_BYTES} or max(shares) >= _PRIME_BYTES:
        for share in shares:
            check(share)
    number = int(sum(map(mul, map(mpz, weights), map(mpz.from_bytes, shares))) % PRIME)
    return number.to_bytes(SECRET_BYTES, "big") if number.bit_length() <= 8 * SECRET_BYTES else None


def _value(runs: list[list[int]], x: int) -> int:
    value = 0
    for run in runs:
        for coefficient in run:
            value = value * x + coefficient
        value %= PRIME
    return value
