"""Numbers as residues modulo many 16-bit numbers, and the moduli that a ceremony of so many bits works with.

A factor's shares are drawn modulo M, the product of the first odd primes, so that no such prime divides the factor; a
product of factors is known modulo M from what everybody publishes, and is multiplied obliviously only modulo enough
further primes to be the integer. Shares of the exponent are multiplied modulo primes whose product hides them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2, prod
from operator import mul

import numpy as np
from numpy.typing import NDArray

from federation.crypto.ot import MODULUS_BITS

Residues = NDArray[np.uint16]

SLACK_BITS = 24  # a factor is so much longer than M: what is drawn above M gives it its length
HIDING_BITS = 80  # the shares of a product of the exponent are so much longer than the product
_TOP = 1 << MODULUS_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The moduli of ceremonies of so many bits.

    Attributes:
        sieve_primes: the odd primes whose product is M, rising.
        sieve: moduli below 2^16, each the product of some of these primes; together M.
        members: the primes of each of them.
        product: further primes below 2^16 that with M exceed every modulus.
        exponent: primes below 2^16 whose product is HIDING_BITS longer than a share of the exponent's product.
        factor_bits: length of a factor.
    """

    factor_bits: int
    sieve_primes: tuple[int, ...]
    sieve: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    product: tuple[int, ...]
    exponent: tuple[int, ...]

    @property
    def primorial(self) -> int:
        """M."""
        return prod(self.sieve)

    @property
    def largest_sieved(self) -> int:
        """The largest prime of M."""
        return self.sieve_primes[-1]

    @property
    def quotients(self) -> tuple[int, int]:
        """(first, count): a factor is 4 M first and 4 M times below `count` in all, and up to 4 M a holder."""
        quarters = (1 << self.factor_bits) // (4 * self.primorial)
        first = -(-3 * (1 << self.factor_bits) // (16 * self.primorial))
        return first, quarters - first


@lru_cache(maxsize=8)
def plan_of(bits: int) -> Plan:
    """Return the moduli for keys of `bits` bits."""
    factor_bits = bits // 2
    primes, size = [], 1
    for prime in _primes(2, _TOP):
        if (size * prime).bit_length() > factor_bits - SLACK_BITS:
            break
        primes.append(prime)
        size *= prime
    members = _grouped(primes)
    falling = [prime for prime in reversed(_primes(2, _TOP)) if prime > primes[-1]]
    longest = 3 * factor_bits + 2 + HIDING_BITS  # a share of beta below the modulus, one of p + q below 2^(half + 2)
    return Plan(
        factor_bits=factor_bits,
        sieve_primes=tuple(primes),
        sieve=tuple(prod(group) for group in members),
        members=members,
        product=_enough(falling, (1 << bits) // size + 1),
        exponent=_enough(falling, 1 << longest),
    )


def _grouped(primes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the primes in groups with products below 2^16, chosen to end shortly below a power of two.

    A transfer costs the same for every bit of a modulus, so 719 alone, of 9.5 bits, wastes a twentieth.
    """
    left, groups = sorted(primes, reverse=True), []
    while left:
        first = left.pop(0)
        seconds = [(first, prime) for prime in left if first * prime < _TOP]
        thirds = [(*pair, prime) for pair in seconds for prime in left if prime < pair[1] and prod(pair) * prime < _TOP]
        best = min([(first,), *seconds, *thirds], key=lambda group: (_wasted(group), group))
        left = [prime for prime in left if prime not in best]
        groups.append(best)
    return tuple(groups)


def _wasted(group: Sequence[int]) -> float:
    return bits_of(prod(group)) - log2(prod(group))


def bits_of(modulus: int) -> int:
    """Return how many bits a number below `modulus` takes."""
    return max(1, (modulus - 1).bit_length())


def _enough(primes: Iterable[int], least: int) -> tuple[int, ...]:
    found, size = [], 1
    for prime in primes:
        if size >= least:
            break
        found.append(prime)
        size *= prime
    return tuple(found)


@lru_cache(maxsize=2)
def _primes(above: int, limit: int) -> list[int]:
    """Return the primes of (above, limit)."""
    sieve = np.ones(limit, dtype=bool)
    sieve[:2] = False
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = False
    return [int(prime) for prime in np.flatnonzero(sieve) if prime > above]


@lru_cache(maxsize=64)
def weights(moduli: tuple[int, ...]) -> tuple[int, ...]:
    """Return for each modulus the number that is 1 modulo it and 0 modulo the others: Chinese remainders."""
    size = prod(moduli)
    return tuple(size // modulus * pow(size // modulus, -1, modulus) for modulus in moduli)


def lifted(residues: Residues, moduli: tuple[int, ...]) -> list[int]:
    """Return the numbers below the product of `moduli` that have these residues, (moduli, count)."""
    size, of_each = prod(moduli), weights(moduli)
    return [sum(map(mul, column, of_each)) % size for column in residues.T.tolist()]


def lowered(numbers: Sequence[int], moduli: tuple[int, ...]) -> Residues:
    """Return the residues of the numbers, (moduli, count)."""
    return np.array([[number % modulus for number in numbers] for modulus in moduli], dtype=np.uint16)


def column_of(moduli: tuple[int, ...]) -> NDArray[np.uint64]:
    """Return the moduli as (moduli, 1), to compute with all residues of one modulus in a row."""
    return np.array(moduli, dtype=np.uint64)[:, None]
