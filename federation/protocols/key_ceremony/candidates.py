"""Candidates for a modulus, as one holder has them: shares of factors, of moduli, and tests that open neither.

Every factor is a sum of one share a holder and 3 modulo 4: the first holder's share is 3 modulo 4, all others' are 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import reduce
from operator import mul

import numpy as np
from numpy.typing import NDArray

from federation.crypto import biprime
from federation.crypto.paillier.spreading import in_runs
from federation.crypto.prg import PIECE_BYTES, Keystream
from federation.domain.job import digest
from federation.protocols.key_ceremony.residues import Plan, Residues, column_of, lifted

SIFTED_TO = 1 << 21  # no prime below it divides a modulus that is tested: a third fewer tests than with 2 * 10^5
BASES = 128  # that a modulus has to pass; the first one turns nearly all others away
_SPARE = 128


def drawn(plan: Plan, seed: bytes, count: int) -> tuple[Residues, list[int]]:
    """Return what a holder draws for `count` factors, of 32 secret bytes.

    Returns:
        Units modulo the plan's `sieve`, (moduli, count): its part of a product that no prime of M divides; and of each
        factor how many times 4 M it adds.
    """
    stream = Keystream(seed)
    primes = {prime: row for row, prime in enumerate(plan.sieve_primes)}
    uniform = _uniform(_words(stream, 2 * len(primes) * count), np.array(plan.sieve_primes, dtype=np.uint64) - 1)
    units = np.empty((len(plan.sieve), count), dtype=np.uint16)
    for row, (modulus, members) in enumerate(zip(plan.sieve, plan.members, strict=True)):
        total = np.zeros(count, dtype=np.uint64)
        for prime in members:
            rest = modulus // prime
            total += (uniform[primes[prime]] + np.uint64(1)) * np.uint64(rest * pow(rest, -1, prime) % modulus)
        units[row] = total % np.uint64(modulus)
    high = _words(stream, 2 * count).tobytes()
    return units, [int.from_bytes(high[at : at + 16], "little") for at in range(0, len(high), 16)]


def _words(stream: Keystream, count: int) -> NDArray[np.uint64]:
    sizes = [min(PIECE_BYTES, 8 * count - at) for at in range(0, 8 * count, PIECE_BYTES)]
    return np.concatenate([stream.words(size).copy() for size in sizes])


def _uniform(words: NDArray[np.uint64], bounds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers below their bounds of 16 bits, (bounds, count), of two words each, uniform to 2^-80."""
    parts = words.reshape(len(bounds), -1, 2) >> np.uint64(16)
    low = parts[..., 0] * bounds[:, None] >> np.uint64(48)
    return parts[..., 1] * bounds[:, None] + low >> np.uint64(48)


def factor_shares(plan: Plan, first: bool, holders: int, below: Residues, above: Sequence[int]) -> list[int]:
    """Return a holder's shares of the factors.

    Args:
        first: whether it is the first holder.
        holders: how many there are.
        below: its additive shares modulo the plan's `sieve`.
        above: what `drawn` returned with its units.
    """
    size, (start, room) = plan.primorial, plan.quotients
    target, offset = (3, start) if first else (0, 0)
    shares = []
    for share, number in zip(lifted(below, plan.sieve), above, strict=True):
        quarter = (target - share) * size % 4  # M is odd, and its own inverse modulo 4
        shares.append(share + size * (quarter + 4 * (offset + number % (room // holders))))
    return shares


def moduli(plan: Plan, units: Sequence[Residues], shares: Sequence[Residues]) -> list[int]:
    """Return the candidates, from what all holders published.

    Args:
        units: of every holder, modulo `sieve`: the product of its units for both factors.
        shares: of every holder, modulo `product`: its share of the sum of all products.
    """
    of_sieve, of_product = column_of(plan.sieve), column_of(plan.product)
    low = reduce(lambda a, b: a * b % of_sieve, (one.astype(np.uint64) for one in units))
    high = sum(one.astype(np.uint64) for one in shares) % of_product
    return lifted(np.concatenate([low, high]).astype(np.uint16), plan.sieve + plan.product)


def worth_testing(plan: Plan, candidates: Sequence[int]) -> tuple[int, ...]:
    """Return the places of the candidates that are as long as a modulus, 1 modulo 4, and have no small factor."""
    formed = [place for place, n in enumerate(candidates) if n.bit_length() == 2 * plan.factor_bits and n % 4 == 1]
    small = biprime.sifted([candidates[place] for place in formed], plan.largest_sieved, SIFTED_TO)
    return tuple(place for place, divided in zip(formed, small, strict=True) if not divided)


# --- whether a modulus is a product of two primes (Boneh and Franklin 1997) ------------------------------------------


def base(n: int, sid: bytes, number: int) -> int:
    """Return the base of one test: H(n, sid, number), the next one whose Jacobi symbol is 1."""
    size = (n.bit_length() + _SPARE + 7) // 8
    whole = n.to_bytes(-(-n.bit_length() // 8), "big")
    attempt = 0
    while True:
        counts = number.to_bytes(4, "big") + attempt.to_bytes(4, "big")
        seed = digest("federation/key_ceremony/base/v1", whole, sid, counts)
        found = int.from_bytes(hashlib.shake_256(seed).digest(size), "big") % n
        if biprime.jacobi(found, n) == 1:
            return found
        attempt += 1


def exponent(n: int, first: bool, factors: tuple[int, int]) -> int:
    """Return what a holder raises bases to: its part of (n + 1 - p - q) / 4, which is a multiple of (p-1)(q-1)/4."""
    total = sum(factors)
    return (n + 1 - total if first else total) // 4


def raised(bases: Sequence[int], exponents: Sequence[int], of: Sequence[int]) -> list[int]:
    """Return base^exponent modulo each of `of`, with both cores where threads were lent."""
    each = list(zip(bases, exponents, of, strict=True))
    return in_runs(each, lambda run: [biprime.power(base, exponent, n) for base, exponent, n in run])


def passes(n: int, powers: Sequence[int]) -> bool:
    """Return whether the first holder's power is, up to its sign, the product of all others'."""
    product = reduce(mul, powers[1:]) % n
    return powers[0] in {product, (n - product) % n}
