"""Many powers modulo n^2 at once, on both cores where threads were lent, in the compiled kernel where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from federation.crypto.paillier.kernel import LANES, LEAST, Lanes, lanes
from federation.crypto.paillier.spreading import in_runs


def all_powers(n: int, bases: Sequence[int], exponent: int) -> list[mpz]:
    """Return base^exponent mod n^2 for all bases, for an exponent of either sign.

    Raises:
        ZeroDivisionError: a negative exponent and a base that shares a factor with n.
    """
    square = mpz(n) ** 2
    if exponent < 0:
        bases, exponent = [gmpy2.invert(base, square) for base in bases], -exponent
    own = lanes(n)
    if own is None or len(bases) < LEAST:
        return in_runs(bases, lambda run: gmpy2.powmod_base_list(list(run), exponent, square))
    return _in_lanes(own, bases, [exponent] * len(bases))


def each_power(n: int, bases: Sequence[int], exponents: Sequence[int]) -> list[mpz]:
    """Return base^exponent mod n^2, one exponent for each base, none of them negative."""
    own, square = lanes(n), mpz(n) ** 2
    if own is None or len(bases) < LEAST:
        pairs = list(zip(bases, exponents, strict=True))
        return in_runs(pairs, lambda run: [gmpy2.powmod(base, exponent, square) for base, exponent in run])
    return _in_lanes(own, bases, exponents)


def _in_lanes(own: Lanes, bases: Sequence[int], exponents: Sequence[int]) -> list[mpz]:
    groups = [(bases[at : at + LANES], exponents[at : at + LANES]) for at in range(0, len(bases), LANES)]

    def run(some: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[mpz]:
        together = [[number for group in some for number in group[part]] for part in (0, 1)]
        return own.powers(*together)

    return in_runs(groups, run)
