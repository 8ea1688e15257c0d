"""Groups of rows as tests of means see them: n, mean and variance of each, and where those of all rows lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import is_closed, plain
from federation.analytics.estimates import Suppressed
from federation.analytics.moments import Asked, further, moments, root
from federation.analytics.ranges import ends
from federation.analytics.spans import ANYTHING, Span, between
from federation.analytics.statistic import Drawn, Picture
from federation.domain.catalogue import Dataset
from federation.errors import Refused
from federation.privacy.suppression import LEAST_CONTRIBUTORS, mean_between, variance_between
from federation.query.query import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group of a result: opened rows, their mean, variance and error of the mean; None where there is none."""

    label: str
    n: int
    mean: float | None
    var: float | None
    se: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One group, exactly.

    Attributes:
        n: opened rows.
        mean: of the opened rows; 0 without rows.
        deviations: sum of (x - mean)^2 of the opened rows.
        rows: where the number of all rows lies.
        means: where the mean of all rows lies.
        spreads: where the sum of squared deviations of all rows lies.
        variances: where the sample variance of all rows lies.
        withheld: parties that withhold the group.
    """

    label: str
    n: int
    mean: Fraction
    deviations: Fraction
    rows: Span
    means: Span
    spreads: Span
    variances: Span
    withheld: int

    @property
    def variance(self) -> Fraction | None:
        """The sample variance; None for fewer than two rows."""
        return self.deviations / (self.n - 1) if self.n > 1 else None

    @property
    def se(self) -> float | None:
        """Standard error of the mean."""
        return None if self.variance is None else root(self.variance / self.n)

    @property
    def shown(self) -> Group:
        """The group as a result holds it, in plain values."""
        n, variance = self.n, self.variance
        return Group(
            label=self.label,
            n=n,
            mean=float(self.mean) if n else None,
            var=None if variance is None else float(variance),
            se=self.se,
        )

    @property
    def suppressed(self) -> Suppressed:
        """The line of what is withheld: the number of rows."""
        low, high = self.rows.interval
        return Suppressed(what=f"rows of {self.label}", withheld=self.withheld, closed=False, interval=(low, high))


def sample(question: Asked, totals: Totals, cell: int, label: str, joint: Dataset) -> Sample:
    """Return the group of one cell; a cell that all parties withhold has no opened rows.

    Raises:
        Refused: rule "contributors": the cell stays closed although some parties have enough units.
    """
    low, high = ends(question.column)
    withheld = totals.withheld[cell]
    if is_closed(totals, cell) and withheld < totals.parties:
        raise Refused(
            f"fewer than {LEAST_CONTRIBUTORS} parties have enough units of {label!r}, so it stays closed",
            rule="contributors",
            hint="leave this group out, use larger groups, or ask more parties",
        )
    found = moments(question, totals, cell)
    most = further(question, totals, cell, joint)
    mean, deviations = (found.mean, found.deviations) if found.n else (low, Fraction(0))
    means = plain(mean_between(found.total, found.n, most, low, high))
    variances = plain(variance_between(deviations, mean, found.n, most, low, high))
    farthest = max(high - mean, mean - low) ** 2
    return Sample(
        label=label,
        n=found.n,
        mean=mean,
        deviations=deviations,
        rows=between(found.n, None if most is None else found.n + most),
        means=between(*means),
        spreads=between(deviations, None if most is None else deviations + most * farthest),
        variances=ANYTHING.within(0, float("inf")) if variances[1] is None else between(*variances),
        withheld=withheld,
    )


def drawn(column: str, by: str, groups: Sequence[Group]) -> Picture:
    """Return one point per group with one standard error."""
    return Picture(
        drawn=Drawn.POINTS,
        title=f"mean of {column} by {by}",
        x_label=by,
        y_label=f"mean of {column}",
        x=tuple(each.label for each in groups),
        y=tuple(each.mean for each in groups),
        error=tuple(each.se for each in groups),
    )
