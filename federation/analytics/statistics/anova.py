"""One-way analysis of variance: whether the means of several groups are equal; one round.

F as scipy's f_oneway, with one variance (Fisher) or with one for each group (B. L. Welch, Biometrika 38 (1951)
330-336). The estimate is eta squared, the share of the sum of squares that lies between groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.groups import labels
from federation.analytics.moments import asked
from federation.analytics.plan import Plan
from federation.analytics.samples import Group, Sample, drawn, sample
from federation.analytics.spans import ANYTHING, Span, shown, span, total
from federation.analytics.statistic import Picture, Shown, Statistic, Table
from federation.analytics.tested import Tested, pvalue
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class AnovaParameters:
    """Which means.

    Attributes:
        column: a column of numbers.
        by: the column whose groups are compared; groups without rows are left out.
        equal_variances: True for one variance of all groups (Fisher), False for one each (Welch).
    """

    column: str
    by: str
    equal_variances: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AnovaResult(Tested):
    """The test, its groups, and its table.

    Attributes:
        between: sum of squares between groups, with its degrees of freedom.
        within: sum of squares within groups, with its degrees of freedom.
    """

    column: str
    by: str
    groups: tuple[Group, ...]
    between: tuple[float, float]
    within: tuple[float, float]

    def table(self) -> Table:
        """Return the table of an analysis of variance: between and within groups."""
        columns = ("source", "sum_sq", "df", "mean_sq", "F", "pvalue", "eta2", "n")
        (above, first), (below, second) = self.between, self.within
        numbers: tuple[Shown, ...] = (self.statistic, self.pvalue, self.estimate, self.n)
        head: tuple[Shown, ...] = (self.by, above, first, above / first, *numbers)
        return Table(columns=columns, rows=(head, ("within", below, second, below / second, None, None, None, None)))

    def picture(self) -> Picture:
        """Return the means with their standard errors."""
        return drawn(self.column, self.by, self.groups)


class Anova(Statistic[AnovaParameters, AnovaResult]):
    """One-way analysis of variance, Fisher's or Welch's."""

    name = "anova"
    version = 1
    Parameters = AnovaParameters

    def rounds(self, parameters: AnovaParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: AnovaParameters, where: Expression | None, joint: Dataset) -> Plan[AnovaResult]:
        question = asked(parameters.column, parameters.by, where, joint)
        (totals,) = yield (question.query,)
        require_an_open_cell(totals)
        every = [sample(question, totals, i, name, joint) for i, name in enumerate(labels(parameters.by, joint))]
        groups = [each for each in every if each.n]
        n, g = sum(each.n for each in groups), len(groups)
        if g < 2 or n <= g or (not parameters.equal_variances and any(not each.deviations for each in groups)):
            raise JobFailed(
                "an analysis of variance needs two groups with rows whose values differ", hint="widen `where`"
            )
        mean = sum((each.n * each.mean for each in groups), Fraction(0)) / n
        above = sum((each.n * (each.mean - mean) ** 2 for each in groups), Fraction(0))
        below = sum((each.deviations for each in groups), Fraction(0))
        is_known = not any(each.withheld for each in every)
        if parameters.equal_variances:
            f, df = float(above / (g - 1) / (below / (n - g))) if below else None, (g - 1.0, float(n - g))
        else:
            f, df = _welch(groups)
        spans = _spans(every, is_known=is_known)
        empty = [each.label for each in every if not each.n]
        return AnovaResult(
            test="analysis of variance" if parameters.equal_variances else "Welch's analysis of variance",
            of="eta squared",
            estimate=float(above / (above + below)) if above + below else None,
            se=None,
            law="F",
            statistic=f,
            df=df,
            pvalue=None if f is None else pvalue("F", f, df),
            alternative="greater",
            interval=shown(float(above / (above + below)) if above + below else None, spans[0], is_known=is_known),
            statistic_interval=shown(f, spans[1] if parameters.equal_variances else ANYTHING, is_known=is_known),
            n=n,
            cells=tuple(each.suppressed for each in every if each.withheld),
            notes=(f"groups without opened rows are left out: {', '.join(empty)}",) if empty else (),
            left_out=left_out(question.query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            column=parameters.column,
            by=parameters.by,
            groups=tuple(each.shown for each in every),
            between=(float(above), g - 1.0),
            within=(float(below), float(n - g)),
        )


def _welch(groups: list[Sample]) -> tuple[float, tuple[float, float]]:
    weights = [each.n / (each.variance or Fraction(1)) for each in groups]
    whole = sum(weights, Fraction(0))
    mean = sum((w * each.mean for w, each in zip(weights, groups, strict=True)), Fraction(0)) / whole
    g = len(groups)
    above = sum((w * (each.mean - mean) ** 2 for w, each in zip(weights, groups, strict=True)), Fraction(0)) / (g - 1)
    rest = sum(((1 - w / whole) ** 2 / (each.n - 1) for w, each in zip(weights, groups, strict=True)), Fraction(0))
    f = above / (1 + 2 * Fraction(g - 2, g * g - 1) * rest)
    return float(f), (g - 1.0, float((g * g - 1) / (3 * rest)))


def _spans(samples: list[Sample], *, is_known: bool) -> tuple[Span, Span]:
    """Where eta squared and F of all rows lie; groups that all parties withhold may turn out to have rows."""
    if is_known:
        return ANYTHING, ANYTHING
    infinity = float("inf")
    rows = total(each.rows for each in samples)
    mean = total(each.rows * each.means for each in samples) / rows
    above = total(each.rows * (each.means - mean).squared for each in samples).within(0, infinity)
    below = total(each.spreads for each in samples).within(0, infinity)
    opened = sum(1 for each in samples if each.n)
    degrees = Span(opened - 1.0, len(samples) - 1.0)
    within = (rows - Span(float(opened), float(len(samples)))).within(1, infinity)
    ratio = above / below
    eta = (1 - 1 / (1 + ratio)).within(0, 1)
    return eta, (ratio / degrees * within).within(0, span(infinity).high)
