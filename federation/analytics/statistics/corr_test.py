"""Test that two columns are not correlated (Pearson); one round.

Correlation, p-value (Student's t with n - 2 degrees of freedom) and confidence interval (Fisher's z) as scipy's
pearsonr. R. A. Fisher, Metron 1 (1921) 3-32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from federation.analytics.cells import left_out, require_an_open_cell, rows_left_out
from federation.analytics.estimates import Interval, Suppressed
from federation.analytics.matrices import asked, interval_of, opened, read, spans
from federation.analytics.plan import Plan
from federation.analytics.spans import between, shown, span
from federation.analytics.statistic import Statistic
from federation.analytics.statistics.corr import correlation, correlations
from federation.analytics.tested import Tested, bounds, checked, pvalue
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrTestParameters:
    """Which columns.

    Attributes:
        x: a column of numbers.
        y: another one.
        alternative: "two-sided", "less" or "greater".
    """

    x: str
    y: str
    alternative: str = "two-sided"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrTestResult(Tested):
    """The test; `estimate` is the correlation."""

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return Fisher's interval of the correlation; one end is -1 or 1 where the alternative is one-sided."""
        low, high = -1.0, 1.0
        if self.estimate is not None and abs(self.estimate) < 1 and self.n > 3:
            found = bounds(
                math.atanh(self.estimate), 1 / math.sqrt(self.n - 3), "normal", None, self.alternative, alpha
            )
            low = low if found[0] is None else math.tanh(found[0])
            high = high if found[1] is None else math.tanh(found[1])
        return low, high


class CorrTest(Statistic[CorrTestParameters, CorrTestResult]):
    """Test of a correlation of two columns."""

    name = "corr_test"
    version = 1
    Parameters = CorrTestParameters

    def rounds(self, parameters: CorrTestParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: CorrTestParameters, where: Expression | None, joint: Dataset) -> Plan[CorrTestResult]:
        checked(parameters.alternative)
        question = asked((parameters.x, parameters.y), None, where, joint)
        (totals,) = yield (question.query,)
        require_an_open_cell(totals)
        question = read(question, joint)
        known = opened(question, totals, 0)
        r = correlation(known, 0, 1)
        if r is None or known.n < 3:
            raise JobFailed("a correlation needs three rows in which both columns differ", hint="widen `where`")
        df = known.n - 2.0
        rest = 1 - r * r
        statistic = r * math.sqrt(df / rest) if rest else None
        of = correlations(spans(question, totals, 0, joint))
        most = rows_left_out(question.query, totals, 0, joint)
        between_r = span(r) if of is None else of(0, 1)
        degrees = between(df, None if most is None else df + most)
        t = between_r * (degrees / (1 - between_r.squared).within(0, 1)).root
        rows = (None if most is None else known.n + most) if most != 0 else known.n
        cells = [] if of is None else [
            Suppressed(what="rows", withheld=totals.withheld[0], closed=False, interval=(known.n, rows))
        ]  # fmt: skip
        return CorrTestResult(
            test="test of a correlation",
            of=f"correlation of {parameters.x} and {parameters.y}",
            estimate=r,
            se=math.sqrt(rest / df),
            law="t",
            statistic=statistic,
            df=df,
            pvalue=0.0 if statistic is None else pvalue("t", statistic, df, parameters.alternative),
            alternative=parameters.alternative,
            interval=interval_of(r, of, 0, 1),
            statistic_interval=shown(statistic, t, is_known=of is None),
            n=known.n,
            cells=tuple(cells),
            notes=("null hypothesis: the correlation is 0",),
            left_out=left_out(question.query, totals, joint),
            parties=totals.parties,
            k=joint.k,
        )
