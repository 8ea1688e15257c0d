"""Cox's partial likelihood from sums per bin of times: what is at risk is cumulated in public, from the last bin back.

With w = exp(x'b), an event time with d events adds to the log-likelihood the x'b of its events less the sum over
l = 0 .. d - 1 of ln(S0 - a D0): S0 is the sum of w over the risk set, D0 over the events, and a = l / d for Efron's
treatment of ties (JASA 72, 1977), 0 for Breslow's (Biometrics 30, 1974). Score and information follow by derivation; of
the d terms only five scalars per bin are summed, the matrices are multiplied once. All of it is Python integers and
binary64 in written order (DESIGN section 5), as it decides the next step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from federation.query import exact

TIES: Final = ("efron", "breslow")
LN2: Final = exact.ln(2.0)

Numbers: TypeAlias = Sequence[int]  # of one cell: the upper triangle of a Gram over (1, x1, ..., xp), then its rows


@dataclass(frozen=True, slots=True)
class Tied:
    """The rows of one bin of one stratum: how many have the event, their sums, and those of all others."""

    events: int
    of_events: Numbers
    of_others: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """What is known of the partial likelihood at one b.

    Attributes:
        log: the log-likelihood, without the sum of x'b over events.
        pulled: per coefficient, what the score loses against the sum of x over events.
        information: minus the second derivatives.
        hazards: per stratum and bin, events over the sum of w at risk.
        errors: per coefficient, a bound on what rounding of rows did to the score.
    """

    log: float
    pulled: tuple[float, ...]
    information: tuple[tuple[float, ...], ...]
    hazards: tuple[tuple[float, ...], ...]
    errors: tuple[float, ...]


def likelihood(
    strata: Sequence[Sequence[Tied]], scales: Sequence[int], steps: Sequence[float], ties: str, size: int
) -> Likelihood:
    """Return the partial likelihood of `size` coefficients.

    Args:
        strata: their bins, in order of time.
        scales: s per number of a cell: it stands for number / 2^s.
        steps: per number, a bound on the error of one row's.
        ties: "efron" or "breslow".
        size: p.
    """
    sums = _Sums(size)
    hazards = [_stratum(bins, scales, steps, ties, sums) for bins in strata]
    information = [
        [sums.information[_place(size, min(j, k) + 1, max(j, k) + 1)] for k in range(size)] for j in range(size)
    ]
    return Likelihood(
        log=-(exact.ln(sums.mantissa) + sums.exponent * LN2),
        pulled=tuple(sums.pulled),
        information=tuple(map(tuple, information)),
        hazards=tuple(hazards),
        errors=tuple(sums.errors),
    )


class _Sums:
    """What all bins add to; local to one call."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.mantissa, self.exponent = 1.0, 0
        self.pulled = [0.0] * size
        self.errors = [0.0] * size
        self.information = [0.0] * ((size + 1) * (size + 2) // 2)

    def log(self, factor: float) -> None:
        """Multiply the product whose logarithm is taken once, at the end."""
        self.mantissa *= factor
        if not 1e-100 < self.mantissa < 1e100:
            self.mantissa, moved = math.frexp(self.mantissa)
            self.exponent += moved

    def add(self, risk: Sequence[float], tied: Sequence[float], events: int, *, efron: bool) -> None:
        """Add a bin with `events` events among what is at risk."""
        first = second = first_tied = second_tied = twice_tied = 0.0
        for number in range(events):
            share = number / events if efron else 0.0
            rest = risk[0] - share * tied[0]
            self.log(rest)
            turned = 1.0 / rest
            square = turned * turned
            first += turned
            second += square
            first_tied += share * turned
            second_tied += share * square
            twice_tied += share * share * square
        size = self.size
        for j in range(1, size + 1):
            a, b = risk[j], tied[j]
            self.pulled[j - 1] += a * first - b * first_tied
            at = _place(size, j, j)
            for k in range(j, size + 1):
                c, d = risk[k], tied[k]
                self.information[at] += (
                    risk[at] * first
                    - tied[at] * first_tied
                    - (a * c * second - (a * d + b * c) * second_tied + b * d * twice_tied)
                )
                at += 1

    def err(self, risk: Sequence[float], rows: int, events: int, steps: Sequence[float]) -> None:
        """Add bounds on the errors of the score: those of both sums of its quotient."""
        for j in range(1, self.size + 1):
            quotient = steps[j] + abs(risk[j]) / risk[0] * steps[0]
            self.errors[j - 1] += 2.0 * events * rows * quotient / risk[0]


def _stratum(
    bins: Sequence[Tied], scales: Sequence[int], steps: Sequence[float], ties: str, sums: _Sums
) -> tuple[float, ...]:
    """Add a stratum; return events over w at risk per bin."""
    at_risk = [0] * len(scales)
    hazards = [0.0] * len(bins)
    for place in range(len(bins) - 1, -1, -1):
        each = bins[place]
        at_risk = [a + b + c for a, b, c in zip(at_risk, each.of_events, each.of_others, strict=True)]
        if not each.events:
            continue
        risk = [exact.unscaled(number, scale) for number, scale in zip(at_risk, scales, strict=True)]
        tied = [exact.unscaled(number, scale) for number, scale in zip(each.of_events, scales, strict=True)]
        sums.add(risk, tied, each.events, efron=ties == "efron")
        sums.err(risk, at_risk[-1] >> scales[-1], each.events, steps)
        hazards[place] = each.events / risk[0]
    return tuple(hazards)


def _place(size: int, i: int, j: int) -> int:
    """Return where the product of columns i <= j of size + 1 stands in the upper triangle by rows."""
    return i * (size + 1) - i * (i - 1) // 2 + j - i
