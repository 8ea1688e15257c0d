"""What every test answers: an estimate with its error, a statistic with its law, a p-value, and what was left out.

A test computes with what was opened, as if parties withheld nothing; `interval` and `statistic_interval` hold the
estimate and the statistic over all rows, and `pvalue_interval` the p-value that goes with these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

from federation.analytics import tails
from federation.analytics.estimates import Interval, LeavesOut, Number, RowsLeftOut, Suppressed
from federation.analytics.statistic import Picture, Result, Shown, Table
from federation.errors import Misuse

ALTERNATIVES: Final = ("two-sided", "less", "greater")
Freedom: TypeAlias = float | tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested(LeavesOut, Result):
    """The result of one test.

    Attributes:
        test: its name in words.
        of: what the estimate is.
        estimate: None where it does not exist.
        se: standard error of the estimate, on the scale that `conf_int` is made on; None where there is none.
        law: "normal", "t", "chi2", "F", or "exact" where the p-value is counted and there is no statistic.
        statistic: None where it does not exist.
        df: degrees of freedom, two for F; None where the law has none.
        alternative: "two-sided", "less" or "greater".
        interval: where the estimate over all rows lies.
        statistic_interval: where the statistic over all rows lies.
        n: opened rows.
        cells: what is withheld of the sums that the test is made of.
        notes: what a reader has to know.
    """

    test: str
    of: str
    estimate: float | None
    se: float | None
    law: str
    statistic: float | None
    df: Freedom
    pvalue: float | None
    alternative: str
    interval: Interval
    statistic_interval: Interval
    n: int
    cells: tuple[Suppressed, ...]
    notes: tuple[str, ...]
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def value(self) -> float | None:
        """The estimate."""
        return self.estimate

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed, or that a party withholds, and what that leaves of estimate and statistic."""
        own = []
        if self.cells:
            withheld = max(cell.withheld for cell in self.cells)
            for what, interval in ((self.of, self.interval), (f"the statistic ({self.law})", self.statistic_interval)):
                own.append(Suppressed(what=what, withheld=withheld, closed=False, interval=interval))
        return (*own, *self.cells, *self.left_out.suppressed)

    @property
    def pvalue_interval(self) -> Interval:
        """The least and the greatest p-value that `statistic_interval` permits, at the degrees of freedom found."""
        low, high = self.statistic_interval
        if self.law == "exact" or self.pvalue is None:
            return (self.pvalue, self.pvalue) if not self.cells else (0.0, 1.0)
        ends = [-math.inf if low is None else low, math.inf if high is None else high]
        found = [pvalue(self.law, end, self.df, self.alternative) for end in ends]
        straddles = self.law in ("normal", "t") and self.alternative == "two-sided" and ends[0] < 0 < ends[1]
        return min(found), 1.0 if straddles else max(found)

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return the confidence interval of the estimate at level 1 - alpha; (None, None) where there is none.

        Of a one-sided alternative it is one-sided too.
        """
        return bounds(self.estimate, self.se, self.law, self.df, self.alternative, alpha)

    def table(self) -> Table:
        """Return one row: test, estimate, its error and 95 % interval, statistic, df, p-value, rows."""
        low, high = self.conf_int()
        degrees = tuple(self.df) if isinstance(self.df, tuple) else (self.df,)
        names = ("df",) if len(degrees) == 1 else ("df", "df within")
        head = ("test", self.of, "se", "conf_low", "conf_high", self.law, *names, "pvalue", "n")
        row: tuple[Shown, ...] = (self.test, self.estimate, self.se, low, high, self.statistic, *degrees)
        return Table(columns=head, rows=((*row, self.pvalue, self.n),))

    def picture(self) -> Picture | None:
        """Return nothing unless a test has something to see."""
        return None


def pvalue(law: str, statistic: float, df: Freedom, alternative: str = "two-sided") -> float:
    """Return the p-value of a statistic; chi-square and F look at the upper tail only."""
    if isinstance(df, tuple):
        return tails.f_sf(statistic, *df)
    match law:
        case "chi2":
            return tails.chi2_sf(statistic, df or 0)
        case _:
            degrees = math.inf if law == "normal" or df is None else df
            if alternative == "two-sided":
                return tails.t_two_sided(statistic, degrees)
            return tails.t_sf(statistic if alternative == "greater" else -statistic, degrees)


def bounds(
    estimate: Number | None, se: float | None, law: str, df: Freedom, alternative: str, alpha: float
) -> Interval:
    """Return estimate -+ quantile * se; one end only for a one-sided alternative.

    Raises Misuse for an alpha that does not lie between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise Misuse("alpha lies between 0 and 1", hint="0.05 for an interval of 95 %")
    if estimate is None or se is None or law not in ("normal", "t") or isinstance(df, tuple):
        return None, None
    sides = 2 if alternative == "two-sided" else 1
    degrees = math.inf if law == "normal" or df is None else df
    share = 1 - alpha / sides
    reach = se * (tails.normal_ppf(share) if math.isinf(degrees) else tails.t_ppf(share, degrees))
    low = None if alternative == "less" else estimate - reach
    return low, None if alternative == "greater" else estimate + reach


def checked(alternative: str) -> str:
    """Return the alternative. Raises Misuse for one that is none."""
    if alternative not in ALTERNATIVES:
        raise Misuse(f"an alternative is one of {', '.join(ALTERNATIVES)}")
    return alternative
