"""Fisher's exact test of a 2 x 2 table; one round.

Statistic (the odds ratio a d / (b c)) and p-value as scipy's fisher_exact, confidence interval as scipy's odds_ratio:
exact given the margins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.contingency import Counts, Observed, chosen, counts, question
from federation.analytics.estimates import Interval
from federation.analytics.hypergeometric import TwoByTwo
from federation.analytics.plan import Plan
from federation.analytics.spans import Span, shown, span
from federation.analytics.statistic import Statistic
from federation.analytics.tested import Tested, checked
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed, Misuse
from federation.query.expression import Expression

UNKNOWN = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherParameters:
    """Which table.

    Attributes:
        row: a column of two levels, or of which two are chosen.
        column: another one.
        rows: the two levels of `row`, first and second row of the table; None where it has only two.
        columns: the two levels of `column`; None where it has only two.
        alternative: "two-sided", "less" or "greater" odds.
    """

    row: str
    column: str
    rows: tuple[str, str] | None = None
    columns: tuple[str, str] | None = None
    alternative: str = "two-sided"


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherResult(Tested):
    """The test and its table; `estimate` is the odds ratio, None where it is infinite or there is none."""

    observed: Observed

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return the exact confidence interval of the odds ratio, given the margins of the table."""
        if not 0 < alpha < 1:
            raise Misuse("alpha lies between 0 and 1", hint="0.05 for an interval of 95 %")
        (a, b), (c, d) = self.observed.n
        low, high = TwoByTwo(a, b, c, d).interval(alpha, self.alternative)
        return low, None if math.isinf(high) else high


class Fisher(Statistic[FisherParameters, FisherResult]):
    """Fisher's exact test of a 2 x 2 table."""

    name = "fisher"
    version = 1
    Parameters = FisherParameters

    def rounds(self, parameters: FisherParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: FisherParameters, where: Expression | None, joint: Dataset) -> Plan[FisherResult]:
        checked(parameters.alternative)
        among, names = chosen(
            where, ((parameters.row, parameters.rows), (parameters.column, parameters.columns)), joint
        )
        query = question(parameters.row, parameters.column, None, among, joint)
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        (whole,) = counts(parameters.row, parameters.column, None, query, totals, joint)
        table = whole.only(*names)
        (a, b), (c, d) = table.n
        if not (all(table.rows) and all(table.columns)):
            raise JobFailed("a row or a column of the table is empty", hint="widen `where`")
        odds = a * d / (b * c) if b * c else None
        of = f"odds ratio ({names[0][0]} / {names[0][1]}, {names[1][0]} / {names[1][1]})"
        interval = shown(odds, odds_between(table), is_known=table.is_known)
        return FisherResult(
            test="Fisher's exact test",
            of=of,
            estimate=odds,
            se=None,
            law="exact",
            statistic=odds,
            df=None,
            pvalue=TwoByTwo(a, b, c, d).pvalue(parameters.alternative),
            alternative=parameters.alternative,
            interval=interval,
            statistic_interval=interval,
            n=table.total,
            cells=table.suppressed,
            notes=() if b * c else ("a cell is 0, so the odds ratio is infinite",),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            observed=table.shown,
        )


def odds_between(table: Counts) -> Span:
    """Return where a d / (b c) of all rows lies."""
    (a, b), (c, d) = table.spans
    return ((a * d) / (b * c)).within(0, span(math.inf).high)
