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
    if own is None:
        return in_runs(bases, lambda run: gmpy2.powmod_base_list(list(run), exponent, square))
    return _in_lanes(own, bases, [exponent] * len(bases))


def each_power(n: int, bases: Sequence[int], exponents: Sequence[int]) -> list[mpz]:
    """Return base^exponent mod n^2, one exponent for each base, none of them negative."""
    own, square = lanes(n), mpz(n) ** 2
    if own is None:
        pairs = list(zip(bases, exponents, strict=True))
        return in_runs(pairs, lambda run: [gmpy2.powmod(base, exponent, square) for base, exponent in run])
    return _in_lanes(own, bases, exponents)


def _in_lanes(own: Lanes, bases: Sequence[int], exponents: Sequence[int]) -> list[mpz]:
    """Eights go through the kernel together, and what is left as well, unless it is faster one by one."""
    rest = len(bases) % LANES
    together = len(bases) if rest >= LEAST else len(bases) - rest
    starts = [*range(0, together, LANES), *range(together, len(bases))]

    def run(some: Sequence[int]) -> list[mpz]:
        first = [start for start in some if start < together]
        end = min(first[-1] + LANES, len(bases)) if first else 0
        found = own.powers(bases[first[0] : end], exponents[first[0] : end]) if first else []
        return found + [own.power(bases[start], exponents[start]) for start in some if start >= together]

    return in_runs(starts, run)
