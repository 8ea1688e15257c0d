"""Histogram of two columns: rows per pair of bins, exact, one round. Bins are [low, high), the last one is closed."""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.bins import named, spread
from federation.analytics.cells import counted, left_out, require_an_open_cell, unit
from federation.analytics.estimates import (
    Estimate,
    LeavesOut,
    Number,
    RowsLeftOut,
    Suppressed,
    found,
    suppressed_cells,
)
from federation.analytics.groups import By, axes, labels, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends, numeric
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.analytics.weights import among, weight_of
from federation.domain.catalogue import Column, Dataset
from federation.errors import Misuse
from federation.query.expression import Col, Const, Expression
from federation.query.query import Bins, SumQuery, shape

Cuts = int | tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram2dParameters:
    """What to count, and where the bins end.

    Attributes:
        x: a column of numbers.
        y: another one.
        x_bins: how many of equal width over the declared range of `x`, or the edges themselves, increasing.
        y_bins: the same of `y`.
        by: a category column, or several, for one histogram per category over the same bins.
        weights: a column of weights, which are summed in place of counting rows; None for none.
    """

    x: str
    y: str
    x_bins: int | tuple[float, ...] = 10
    y_bins: int | tuple[float, ...] = 10
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """One histogram.

    Attributes:
        label: its category, or "all rows".
        estimates: one per pair of bins, bin of x by bin of x, in each those of y.
        outside: rows in no pair of bins, cell by cell; () where the bins hold all declared values.
    """

    label: str
    estimates: tuple[tuple[Estimate, ...], ...]
    outside: tuple[Estimate, ...]

    @property
    def value(self) -> tuple[tuple[Number | None, ...], ...]:
        """Rows per pair of bins, as numpy.histogram2d has them; None where one is closed."""
        return tuple(tuple(cell.value for cell in line) for line in self.estimates)

    @property
    def n(self) -> int:
        """Rows in the opened pairs of bins."""
        return sum(cell.n or 0 for line in self.estimates for cell in line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram2dResult(LeavesOut, Result):
    """Rows per pair of bins, per group if asked.

    Attributes:
        x_edges: one more than bins of x.
        y_edges: one more than bins of y.
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    x: str
    y: str
    by: By
    x_edges: tuple[Number, ...]
    y_edges: tuple[Number, ...]
    groups: tuple[Squares, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Squares:
        """The one histogram of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one histogram per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[tuple[Number | None, ...], ...]:
        """Rows per pair of bins of a result without `by`."""
        return self.only.value

    @property
    def n(self) -> int:
        """Rows in the opened pairs of bins."""
        return sum(group.n for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed, or that a party withholds, with the interval that it leaves."""
        cells = (cell for group in self.groups for line in (*group.estimates, group.outside) for cell in line)
        return (*suppressed_cells(tuple(cells)), *self.left_out.suppressed)

    def __getitem__(self, label: str | tuple[str, ...]) -> Squares:
        return found(self.groups, label)

    def table(self) -> Table:
        """Return one row per group and pair of bins: their edges, n, weight (with weights), low, high, withheld."""
        extra = () if self.weights is None else ("weight",)
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            for i, line in enumerate(group.estimates):
                for j, cell in enumerate(line):
                    edges = (*self.x_edges[i : i + 2], *self.y_edges[j : j + 2])
                    weight = () if self.weights is None else (cell.weight,)
                    rows.append((*label, *edges, cell.n, *weight, *cell.interval, cell.withheld))
        names = (f"{self.x} from", f"{self.x} to", f"{self.y} from", f"{self.y} to")
        return Table(columns=(*grouping(self.by), *names, "n", *extra, "low", "high", "withheld"), rows=tuple(rows))

    def picture(self) -> Picture | None:
        """Return the counts as colours; None with `by`."""
        if self.by is not None:
            return None
        return Picture(
            drawn=Drawn.HEAT,
            title=f"histogram of {self.x} and {self.y}",
            x_label=self.x,
            y_label=self.y,
            x=self.x_edges,
            rows=self.y_edges,
            y=tuple(value for line in zip(*self.value, strict=True) for value in line),
        )


class Histogram2d(Statistic[Histogram2dParameters, Histogram2dResult]):
    """Rows per pair of bins of two columns, per category if asked."""

    name = "histogram2d"
    version = 1
    Parameters = Histogram2dParameters

    def rounds(self, parameters: Histogram2dParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(
        self, parameters: Histogram2dParameters, where: Expression | None, joint: Dataset
    ) -> Plan[Histogram2dResult]:
        if parameters.x == parameters.y:
            raise Misuse("a histogram in two dimensions needs two columns", hint="histogram is that of one")
        columns = numeric(parameters.x, joint), numeric(parameters.y, joint)
        edges = tuple(
            spread(column, bins, None, None)
            for column, bins in zip(columns, (parameters.x_bins, parameters.y_bins), strict=True)
        )
        weight, per = weight_of(parameters.weights, joint), unit(joint)
        rows: tuple[Expression, ...] = () if per is None else (Const(1),)
        query = SumQuery(
            dataset=joint.name,
            where=among(weight, where),
            per=per,
            group_by=(
                *axes(parameters.by, joint),
                *(Bins(Col(column.name), each) for column, each in zip(columns, edges, strict=True)),
            ),
            terms=rows if weight is None else (*rows, weight.of),
        )
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        across = len(edges[1]) + 1
        size = (len(edges[0]) + 1) * across
        names = [_names(column, each) for column, each in zip(columns, edges, strict=True)]
        groups = []
        for place, label in enumerate(labels(parameters.by, joint)):
            before = "" if parameters.by is None else f"{label}: "
            cells = {
                (i, j): counted(query, totals, place * size + i * across + j, f"{before}{a}, {b}", joint, weight=weight)
                for i, a in enumerate(names[0])
                for j, b in enumerate(names[1])
                if a and b
            }
            inner = tuple(tuple(cells.pop((i, j)) for j in range(1, len(edges[1]))) for i in range(1, len(edges[0])))
            groups.append(Squares(label=label, estimates=inner, outside=tuple(cells.values())))
        return Histogram2dResult(
            x=parameters.x,
            y=parameters.y,
            by=parameters.by,
            x_edges=edges[0],
            y_edges=edges[1],
            groups=tuple(groups),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            weights=parameters.weights,
        )


def _names(column: Column, edges: tuple[Number, ...]) -> tuple[str, ...]:
    """The names of a column's bins, those outside the edges included; "" where no declared value lies."""
    low, high = ends(column)
    below = f"{column.name} below {edges[0]}" if low < edges[0] else ""
    above = f"{column.name} above {edges[-1]}" if high > edges[-1] else ""
    return (below, *(f"{column.name} in {name}" for name in named(edges)), above)
