"""The curve of Ed25519 in plain integers (RFC 8032, 5.1): what signatures at the edges are made with.

An oracle for tests: slow, and nothing here is constant in time.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

Point: TypeAlias = tuple[int, int]

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME
NEUTRAL: Point = (0, 1)


def added(a: Point, b: Point) -> Point:
    """Return a + b."""
    product = D * a[0] * a[1] * b[0] * b[1] % PRIME
    return (
        (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, PRIME) % PRIME,
        (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, PRIME) % PRIME,
    )


def times(count: int, point: Point) -> Point:
    """Return count * point."""
    total = NEUTRAL
    while count:
        if count & 1:
            total = added(total, point)
        point, count = added(point, point), count >> 1
    return total


def at(y: int, sign: int) -> Point | None:
    """Return the point with this y, whose x is odd if `sign` is 1; None where there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    if root * root % PRIME != square:
        root = root * pow(2, PRIME // 4, PRIME) % PRIME
    if root * root % PRIME != square:
        return None
    return (root if root & 1 == sign else -root % PRIME), y % PRIME


def encoded(point: Point) -> bytes:
    """Return the point's 32 bytes."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def scalar(number: int) -> bytes:
    """Return 32 bytes."""
    return number.to_bytes(32, "little")


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    """Return what a signature's equation multiplies the public key with."""
    return int.from_bytes(hashlib.sha512(r + a + message).digest(), "little") % ORDER


def signed(secret: int, nonce: int, a: bytes, r: bytes, message: bytes) -> bytes:
    """Return R and S, whatever A and R are said to be."""
    return r + scalar((nonce + challenge(r, a, message) * secret) % ORDER)


def _generator_of_torsion() -> Point:
    for y in range(2, 100):
        point = at(y, 0)
        if point and times(4, found := times(ORDER, point)) != NEUTRAL:
            return found
    raise AssertionError("there is a point of order eight")


BASE = at(4 * pow(5, -1, PRIME), 0) or NEUTRAL
TORSION = [times(count, _generator_of_torsion()) for count in range(8)]
"""The eight points of small order; that of index 1 generates them."""
