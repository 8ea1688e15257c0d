"""The range in which the opened rows lie, to whole bins: from the outermost opened bin to the other; one round.

There is no least and no greatest value: each would be somebody's own figure. What is told is no more than the
histogram over the same bins, of which a bin opens only with enough units.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.estimates import LeavesOut, Number, RowsLeftOut, Suppressed, found
from federation.analytics.groups import By, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.plan import Plan
from federation.analytics.statistic import Result, Shown, Statistic, Table
from federation.analytics.statistics.histogram import Bars, Histogram, HistogramParameters
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtentParameters:
    """Which range.

    Attributes:
        column: a column of numbers.
        bins: how many of equal width over the declared range, or the edges themselves, increasing.
        by: a category column, or several, for one range per category or combination.
        weights: a column of weights; a row of weight 0 does not count, and others count alike.
    """

    column: str
    bins: int | tuple[float, ...] = 20
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """One range.

    Attributes:
        label: its category, or "all rows".
        low: left edge of the first opened bin with rows; None where no bin opened with any.
        high: right edge of the last one.
        lowest: left edge of the first bin that may have rows; the declared least value where rows may lie outside.
        highest: right edge of the last one.
        n: rows in the opened bins.
    """

    label: str
    low: Number | None
    high: Number | None
    lowest: Number | None
    highest: Number | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtentResult(LeavesOut, Result):
    """Ranges, per group if asked.

    Attributes:
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
        cells: the bins that are closed, or that a party withholds.
    """

    column: str
    by: By
    groups: tuple[Extent, ...]
    left_out: RowsLeftOut
    cells: tuple[Suppressed, ...]
    parties: int
    k: int

    @property
    def only(self) -> Extent:
        """The one range of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one range per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[Number | None, Number | None]:
        """The range of a result without `by`."""
        return self.only.low, self.only.high

    @property
    def n(self) -> int:
        """Rows in the opened bins."""
        return sum(group.n for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """The bins that are closed, or that a party withholds."""
        return self.cells

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        return ("edges of bins, not values: a least or greatest value would be somebody's own figure",)

    def __getitem__(self, label: str | tuple[str, ...]) -> Extent:
        return found(self.groups, label)

    def table(self) -> Table:
        """Return one row per group: the range of opened bins, and the widest that withheld ones leave possible."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            rows.append((*label, group.low, group.high, group.lowest, group.highest, group.n))
        return Table(columns=(*grouping(self.by), "from", "to", "lowest", "highest", "n"), rows=tuple(rows))

    def picture(self) -> None:
        """Return nothing: the histogram is what there is to see."""
        return


class ExtentStatistic(Statistic[ExtentParameters, ExtentResult]):
    """Range of the opened bins, per category if asked."""

    name = "extent"
    version = 1
    Parameters = ExtentParameters

    def rounds(self, parameters: ExtentParameters, joint: Dataset) -> int:
        return Histogram().rounds(_histogram(parameters), joint)

    def plan(self, parameters: ExtentParameters, where: Expression | None, joint: Dataset) -> Plan[ExtentResult]:
        counts = yield from Histogram().plan(_histogram(parameters), where, joint)
        return ExtentResult(
            column=parameters.column,
            by=parameters.by,
            groups=tuple(_extent(group, counts.edges, parameters.column, joint) for group in counts.groups),
            left_out=counts.left_out,
            cells=counts.suppressed,
            parties=counts.parties,
            k=counts.k,
        )


def _histogram(parameters: ExtentParameters) -> HistogramParameters:
    return HistogramParameters(
        column=parameters.column, bins=parameters.bins, by=parameters.by, weights=parameters.weights
    )


def _extent(group: Bars, edges: tuple[Number, ...], column: str, joint: Dataset) -> Extent:
    declared = joint.column(column)
    cells = (group.below, *group.estimates, group.above)
    lows, highs = (declared.low, *edges), (*edges, declared.high)
    opened = [place for place, cell in enumerate(cells) if cell.n]
    possible = [place for place, cell in enumerate(cells) if cell.n or cell.closed or cell.withheld]
    return Extent(
        label=group.label,
        low=lows[opened[0]] if opened else None,
        high=highs[opened[-1]] if opened else None,
        lowest=lows[possible[0]] if possible else None,
        highest=highs[possible[-1]] if possible else None,
        n=group.n,
    )
