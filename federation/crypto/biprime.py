"""Numbers that may be products of two primes: powers, Jacobi symbols, and small factors of many numbers at once.

What a ceremony needs of gmpy2 beside transfers, since only this room sees it. Small factors are found by a remainder
tree: the product of all small primes is reduced by the product of all numbers, and down to every single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import gmpy2
from gmpy2 import mpz

SIFTED_TOGETHER = 256  # numbers of one remainder tree


def power(base: int, exponent: int, modulus: int) -> int:
    """Return base^exponent for an odd modulus."""
    return int(gmpy2.powmod(base, exponent, modulus))


def jacobi(number: int, modulus: int) -> int:
    """Return the Jacobi symbol for an odd modulus: -1, 0 or 1."""
    return int(gmpy2.jacobi(number, modulus))


def maybe_prime(number: int) -> bool:
    """Return whether an odd number passes Miller and Rabin's test to base 2: every prime does, hardly anything else."""
    return bool(gmpy2.is_strong_prp(number, 2))


def sifted(numbers: Sequence[int], above: int, limit: int) -> list[bool]:
    """Return of each number whether a prime of (above, limit] divides it; cheap for many at once (remainder tree)."""
    found: list[bool] = []
    for start in range(0, len(numbers), SIFTED_TOGETHER):
        layers = [[mpz(number) for number in numbers[start : start + SIFTED_TOGETHER]]]
        while len(layers[-1]) > 1:
            last = layers[-1]
            layers.append([last[i] * last[i + 1] if i + 1 < len(last) else last[i] for i in range(0, len(last), 2)])
        rests = [_between(above, limit)]
        for layer in reversed(layers):
            rests = [rests[i // 2 if len(rests) < len(layer) else i] % number for i, number in enumerate(layer)]
        found += [gmpy2.gcd(rest, number) != 1 for rest, number in zip(rests, layers[0], strict=True)]
    return found


@lru_cache(maxsize=4)
def _between(above: int, limit: int) -> mpz:
    return gmpy2.primorial(limit) // gmpy2.primorial(above)
