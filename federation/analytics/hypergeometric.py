"""The hypergeometric law of a 2 x 2 table with given margins, and its odds ratio (Fisher's noncentral law).

Weights are kept as logarithms, summed with their rounding errors, so that tables of 10^5 rows and tails of 1e-300 keep
12 digits. R. A. Fisher, J. R. Stat. Soc. 98 (1935) 39-82.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from federation.errors import JobFailed

MOST_TABLES = 500_000  # values that the first cell can have
TIES = 1e-7  # relative difference below which two tables count as equally probable, as in R
_CLOSE = 1e-13
_TURNS = 200


@dataclass(frozen=True)
class TwoByTwo:
    """The table [[a, b], [c, d]] among all with its margins.

    Raises JobFailed where there are more than 500,000 of them.
    """

    a: int
    b: int
    c: int
    d: int

    def __post_init__(self) -> None:
        if self.high - self.low >= MOST_TABLES:
            raise JobFailed(
                f"more than {MOST_TABLES} tables have these margins", hint="chi2 is as good for a table of this size"
            )

    @property
    def low(self) -> int:
        """Least value of the first cell."""
        return max(0, self.a - self.d)

    @property
    def high(self) -> int:
        """Greatest value of the first cell."""
        return self.a + min(self.b, self.c)

    @cached_property
    def weights(self) -> list[float]:
        """Logarithms of the probabilities of all tables at odds ratio 1, but for a constant; the greatest is 0."""
        a, b, c, d = self.low, self.a + self.b - self.low, self.a + self.c - self.low, self.d - self.a + self.low
        found, exact, lost = [0.0], 0.0, 0.0
        for i in range(self.high - self.low):
            step = math.log((b - i) * (c - i) / ((a + i + 1) * (d + i + 1))) - lost
            after = exact + step
            lost = (after - exact) - step
            exact = after
            found.append(exact)
        greatest = max(found)
        return [value - greatest for value in found]

    def tails(self, log_odds: float = 0.0) -> tuple[float, float]:
        """Return the probabilities of at most `a`, and of at least `a`, at this logarithm of the odds ratio."""
        tilted = [value + i * log_odds for i, value in enumerate(self.weights)]
        greatest = max(tilted)
        each = [math.exp(value - greatest) for value in tilted]
        place, whole = self.a - self.low, math.fsum(each)
        return math.fsum(each[: place + 1]) / whole, math.fsum(each[place:]) / whole

    def pvalue(self, alternative: str) -> float:
        """Return Fisher's p-value; two-sided adds up all tables that are at most as probable as this one."""
        if alternative != "two-sided":
            return min(1.0, self.tails()[alternative == "greater"])
        own = self.weights[self.a - self.low] + TIES
        whole = math.fsum(map(math.exp, self.weights))
        return min(1.0, math.fsum(math.exp(value) for value in self.weights if value <= own) / whole)

    def interval(self, alpha: float, alternative: str) -> tuple[float, float]:
        """Return the exact confidence interval of the odds ratio given the margins; infinite where it has no end."""
        share = alpha / 2 if alternative == "two-sided" else alpha
        low, high = 0.0, math.inf
        if alternative != "less" and self.a > self.low:
            low = math.exp(_solved(lambda odds: self.tails(odds)[1] - share))
        if alternative != "greater" and self.a < self.high:
            high = math.exp(_solved(lambda odds: share - self.tails(odds)[0]))
        return low, high


def _solved(rising: Callable[[float], float]) -> float:
    """Return where a rising function is 0: a bracket by doubling, then halving."""
    low, high = -1.0, 1.0
    while rising(low) > 0:
        low *= 2
    while rising(high) < 0:
        high *= 2
    for _ in range(_TURNS):
        middle = (low + high) / 2
        if high - low <= _CLOSE * max(1.0, abs(middle)):
            break
        if rising(middle) > 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2
