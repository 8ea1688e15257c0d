"""Histogram of a column: rows per bin, exact, one round. Bins are [low, high), the last one is closed, as in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from federation.analytics.bins import binned, named, spread
from federation.analytics.cells import counted, left_out, require_an_open_cell
from federation.analytics.estimates import (
    Estimate,
    LeavesOut,
    Number,
    RowsLeftOut,
    Suppressed,
    found,
    suppressed_cells,
)
from federation.analytics.groups import By, labels, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends, numeric
from federation.analytics.statistic import Drawn, Picture, Result, Series, Shown, Statistic, Table
from federation.analytics.weights import Weight, weight_of
from federation.domain.catalogue import Column, Dataset
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.query import SumQuery, Totals, shape


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramParameters:
    """What to count, and where the bins end.

    Attributes:
        column: a column of numbers.
        bins: how many of equal width between `low` and `high`, or the edges themselves, increasing.
        low: left end of the first bin; None is the least declared value.
        high: right end of the last bin; None is the greatest declared value.
        by: a category column, or several, for one histogram per category over the same bins.
        weights: a column of weights, which are summed in place of counting rows; None for none.
    """

    column: str
    bins: int | tuple[float, ...] = 20
    low: float | None = None
    high: float | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """The histogram of one group.

    Attributes:
        label: its category, or "all rows".
        estimates: one per bin; a closed bin has no value.
        below: rows below the first edge; known to be 0 where the declared range has nothing there.
        above: rows above the last edge.
    """

    label: str
    estimates: tuple[Estimate, ...]
    below: Estimate
    above: Estimate

    @property
    def value(self) -> tuple[Number | None, ...]:
        """Rows per bin; None where a bin is closed."""
        return tuple(cell.value for cell in self.estimates)

    @property
    def n(self) -> int:
        """Rows in the opened bins."""
        return sum(cell.n or 0 for cell in self.estimates)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramResult(LeavesOut, Result):
    """Rows per bin, or the sum of their weights, per group if asked.

    Attributes:
        edges: one more than bins.
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
        weights: the column of weights, None for none.
    """

    column: str
    by: By
    edges: tuple[Number, ...]
    groups: tuple[Bars, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Bars:
        """The one histogram of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one histogram per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[Number | None, ...]:
        """Rows per bin of a result without `by`; None where a bin is closed."""
        return self.only.value

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """One per bin of a result without `by`."""
        return self.only.estimates

    @property
    def below(self) -> Estimate:
        """Rows below the first edge, without `by`."""
        return self.only.below

    @property
    def above(self) -> Estimate:
        """Rows above the last edge, without `by`."""
        return self.only.above

    @property
    def se(self) -> None:
        """Counts of rows have no standard error."""
        return

    @property
    def n(self) -> int:
        """Rows in the opened bins."""
        return sum(group.n for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed, or that a party withholds, with the interval that it leaves."""
        cells = (cell for group in self.groups for cell in (group.below, *group.estimates, group.above))
        return (*suppressed_cells(tuple(cells)), *self.left_out.suppressed)

    def __getitem__(self, label: str | tuple[str, ...]) -> Bars:
        return found(self.groups, label)

    def table(self) -> Table:
        """Return one row per group and bin: from, to, n, weight (with weights), low, high, withholding parties."""
        extra = () if self.weights is None else ("weight",)
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            for start, end, cell in zip(self.edges, self.edges[1:], group.estimates, strict=False):
                weight = () if self.weights is None else (cell.weight,)
                rows.append((*label, start, end, cell.n, *weight, *cell.interval, cell.withheld))
        columns = (*grouping(self.by), "from", "to", "n", *extra, "low", "high", "withheld")
        return Table(columns=columns, rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the bars, or one outline per group of which anything was opened."""
        first, *others = [group for group in self.groups if group.n] or self.groups[:1]
        return Picture(
            drawn=Drawn.STEPS,
            title=f"histogram of {self.column}" + ("" if self.by is None else f" by {written(self.by)}"),
            x_label=self.column,
            y_label="rows" if self.weights is None else self.weights,
            x=self.edges,
            y=first.value,
            label="" if self.by is None else first.label,
            others=tuple(Series(label=group.label, x=self.edges, y=group.value) for group in others),
            filled=self.by is None,
        )


class Histogram(Statistic[HistogramParameters, HistogramResult]):
    """Rows per bin of one column, per category if asked."""

    name = "histogram"
    version = 1
    Parameters = HistogramParameters

    def rounds(self, parameters: HistogramParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: HistogramParameters, where: Expression | None, joint: Dataset) -> Plan[HistogramResult]:
        column = numeric(parameters.column, joint)
        edges = spread(column, parameters.bins, parameters.low, parameters.high)
        weight = weight_of(parameters.weights, joint)
        query = binned(column.name, edges, parameters.by, where, joint, weight)
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        groups = labels(parameters.by, joint)
        return HistogramResult(
            column=column.name,
            by=parameters.by,
            edges=edges,
            groups=tuple(
                _bars(place, label, parameters.by, column, edges, query, totals, joint, weight)
                for place, label in enumerate(groups)
            ),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            weights=parameters.weights,
        )


def _bars(
    place: int,
    label: str,
    by: By,
    column: Column,
    edges: Sequence[Number],
    query: SumQuery,
    totals: Totals,
    joint: Dataset,
    weight: Weight | None,
) -> Bars:
    names = (f"below {edges[0]}", *named(edges), f"above {edges[-1]}")
    start, before = place * len(names), "" if by is None else f"{label}: "
    below, *inner, above = (
        counted(query, totals, start + cell, before + name, joint, weight=weight) for cell, name in enumerate(names)
    )
    low, high = ends(column)
    return Bars(
        label=label,
        estimates=tuple(inner),
        below=below if low < edges[0] else nothing(below.label),
        above=above if high > edges[-1] else nothing(above.label),
    )


def nothing(label: str) -> Estimate:
    """Return the line of a bin in which no declared value lies."""
    return Estimate(label=label, value=0, n=0, units=0, interval=(0, 0))
