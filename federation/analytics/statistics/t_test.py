"""Student's t-test of one mean, or of the difference of two (Welch's, or with one variance); one round.

The same figures as scipy's ttest_1samp and ttest_ind. B. L. Welch, Biometrika 34 (1947) 28-35.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.contingency import chosen
from federation.analytics.groups import ALL_ROWS, levels
from federation.analytics.moments import asked, root
from federation.analytics.plan import Plan
from federation.analytics.samples import Group, Sample, drawn, sample
from federation.analytics.spans import Span, shown
from federation.analytics.statistic import Picture, Statistic
from federation.analytics.tested import Tested, checked, pvalue
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class TTestParameters:
    """Which means.

    Attributes:
        column: a column of numbers.
        by: the column with two groups whose means are compared; None compares one mean with `mu`.
        groups: which two groups of `by`; None where it has only two.
        mu: the mean, or the difference of means, under the null hypothesis.
        equal_variances: True for one variance of both groups (Student), False for two (Welch).
        alternative: "two-sided", "less" or "greater".
    """

    column: str
    by: str | None = None
    groups: tuple[str, str] | None = None
    mu: float = 0.0
    equal_variances: bool = False
    alternative: str = "two-sided"


@dataclass(frozen=True, slots=True, kw_only=True)
class TTestResult(Tested):
    """The test, and the groups that it compares."""

    column: str
    by: str | None
    groups: tuple[Group, ...]

    def picture(self) -> Picture | None:
        """Return both means with their standard errors."""
        return None if self.by is None else drawn(self.column, self.by, self.groups)


class TTest(Statistic[TTestParameters, TTestResult]):
    """Student's and Welch's t-test of one or two means."""

    name = "t_test"
    version = 1
    Parameters = TTestParameters

    def rounds(self, parameters: TTestParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: TTestParameters, where: Expression | None, joint: Dataset) -> Plan[TTestResult]:
        checked(parameters.alternative)
        names: tuple[str, ...] = (ALL_ROWS,)
        among = where
        if parameters.by is not None:
            among, (names,) = chosen(where, [(parameters.by, parameters.groups)], joint)
        question = asked(parameters.column, parameters.by, among, joint)
        (totals,) = yield (question.query,)
        require_an_open_cell(totals)
        places = [0] if parameters.by is None else [levels(parameters.by, joint).index(name) for name in names]
        samples = [sample(question, totals, cell, name, joint) for cell, name in zip(places, names, strict=True)]
        if any(each.n < 2 for each in samples):
            raise JobFailed("a t-test needs two rows in every group", hint="widen `where`, or compare larger groups")
        estimate, se, df, spans = _one(samples[0]) if len(samples) == 1 else _two(samples, parameters.equal_variances)
        statistic = (estimate - parameters.mu) / se if se else None
        is_known = not any(each.withheld for each in samples)
        of = f"mean of {parameters.column}" + ("" if len(names) == 1 else f" ({names[0]} - {names[1]})")
        between = (spans[0] - parameters.mu) / spans[1]
        return TTestResult(
            test="t-test" if len(names) == 1 else "t-test" if parameters.equal_variances else "Welch's t-test",
            of=of,
            estimate=estimate,
            se=se,
            law="t",
            statistic=statistic,
            df=df,
            pvalue=None if statistic is None else pvalue("t", statistic, df, parameters.alternative),
            alternative=parameters.alternative,
            interval=shown(estimate, spans[0], is_known=is_known),
            statistic_interval=shown(statistic, between, is_known=is_known),
            n=sum(each.n for each in samples),
            cells=tuple(each.suppressed for each in samples if each.withheld),
            notes=(f"null hypothesis: {of} is {parameters.mu:g}",),
            left_out=left_out(question.query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            column=parameters.column,
            by=parameters.by,
            groups=tuple(each.shown for each in samples),
        )


def _one(of: Sample) -> tuple[float, float, float, tuple[Span, Span]]:
    return float(of.mean), of.se or 0.0, of.n - 1.0, (of.means, (of.variances / of.rows).root)


def _two(samples: list[Sample], equal: bool) -> tuple[float, float, float, tuple[Span, Span]]:
    """Difference, its error, degrees of freedom, and where the first two lie."""
    a, b = samples
    first, second = a.variance or Fraction(0), b.variance or Fraction(0)
    estimate = float(a.mean - b.mean)
    if equal:
        pooled = (a.deviations + b.deviations) / (a.n + b.n - 2)
        se, df = root(pooled * (Fraction(1, a.n) + Fraction(1, b.n))), a.n + b.n - 2.0
        inside = (a.spreads + b.spreads) / (a.rows + b.rows - 2) * (1 / a.rows + 1 / b.rows)
        return estimate, se, df, (a.means - b.means, inside.within(0, math.inf).root)
    parts = first / a.n, second / b.n
    below = parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1)
    df = float(sum(parts) ** 2 / below) if below else math.inf
    return (
        estimate,
        root(sum(parts, Fraction(0))),
        df,
        (a.means - b.means, (a.variances / a.rows + b.variances / b.rows).root),
    )
