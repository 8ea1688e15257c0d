"""Rows and their sums in bins, from which the Lorenz curve is known exactly at the bins' edges; one round.

Between the edges the curve lies below its chords and above what rows at both ends of each bin would make, so that the
Gini coefficient lies between two bounds (J. L. Gastwirth, Rev. Econ. Stat. 54 (1972) 306-316). Rows that parties
withhold widen them: each lies anywhere in the declared range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

from federation.analytics.bins import named, spread
from federation.analytics.cells import counted, is_closed, left_out, require_an_open_cell, rows_left_out, unit
from federation.analytics.estimates import (
    Estimate,
    Interval,
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
from federation.analytics.spans import span
from federation.analytics.statistic import Drawn, Line, Picture, Result, Shown, Table
from federation.analytics.weights import Weight, among, weight_of
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Col, Const, Expression
from federation.query.query import Bins, SumQuery, Totals, shape

OPEN_BINS = 1_000  # by default, where nothing is withheld
FEW_BINS = 32  # by default, where small bins are withheld
INSIDE = Fraction(2, 3)  # of what rows within a bin may add to Gini's coefficient: what they add if they lie evenly


@dataclass(frozen=True, slots=True, kw_only=True)
class InequalityParameters:
    """Whose inequality, and in which bins.

    Attributes:
        column: a column of numbers at or above 0.
        bins: how many of equal width over the declared range, or the edges themselves, increasing, from the least to
            the greatest declared value; None is 1,000, or 32 where small bins are withheld.
        by: a category column, or several, for one curve per category or combination.
        weights: a column of weights: a row of weight w counts as w rows; None for none.
    """

    column: str
    bins: int | tuple[float, ...] | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inequality:
    """One Lorenz curve and its Gini coefficient.

    Attributes:
        label: its category, or "all rows".
        n: opened rows; None where the group is closed.
        gini: between its bounds, as if the rows of each bin lay evenly; None where nothing was opened, or all is 0.
        interval: where the coefficient of all rows lies: what bins leave open, and what parties withhold.
        population: cumulated shares of the rows, from 0 to 1, from the poorest bin up.
        owned: the shares of the whole sum that these rows have.
        bins: rows per bin, as they were opened.
        weight: sum of the rows' weights; None without weights.
    """

    label: str
    n: int | None
    gini: float | None
    interval: Interval
    population: tuple[float, ...]
    owned: tuple[float, ...]
    bins: tuple[Estimate, ...]
    weight: Number | None = None

    def share_of(self, population: float) -> float | None:
        """Return the share that the poorest `population` have, on the chords of the curve; None without rows."""
        points = list(zip(self.population, self.owned, strict=True))
        for (x, y), (right, above) in pairwise(points):
            if x <= population <= right:
                return y if right == x else y + (above - y) * (population - x) / (right - x)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class InequalityResult(LeavesOut, Result):
    """Lorenz curves and Gini coefficients, per group if asked.

    Attributes:
        groups: one per category of `by`, or one.
        edges: one more than bins.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    column: str
    by: By
    edges: tuple[Number, ...]
    groups: tuple[Inequality, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Inequality:
        """The one curve of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one curve per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> float | None:
        """The Gini coefficient of a result without `by`."""
        return self.only.gini

    @property
    def se(self) -> None:
        """There is none: it needs the rows' ranks."""
        return

    @property
    def interval(self) -> Interval:
        """Where the Gini coefficient of all rows lies, without `by`."""
        return self.only.interval

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.n or 0 for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every bin that is closed or that a party withholds, with the interval of its rows."""
        cells = (cell for group in self.groups for cell in suppressed_cells(group.bins))
        return (*cells, *self.left_out.suppressed)

    def __getitem__(self, label: str | tuple[str, ...]) -> Inequality:
        return found(self.groups, label)

    def picture(self) -> Picture:
        """Return the Lorenz curves beside the diagonal, one per group of which anything was opened."""
        opened = [group for group in self.groups if group.population]
        return Picture(
            drawn=Drawn.LINES,
            title=f"Lorenz curve of {self.column}" + ("" if self.by is None else f" by {written(self.by)}"),
            x_label="share of rows" if self.weights is None else f"share of {self.weights}",
            y_label=f"share of {self.column}",
            x=(),
            y=(),
            lines=tuple(
                Line(label="" if self.by is None else group.label, x=group.population, y=group.owned)
                for group in opened
            )
            or (Line(label="", x=(), y=()),),
            diagonal=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GiniResult(InequalityResult):
    """Gini coefficients; the Lorenz curves are in the picture."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        return ("[low, high] holds the coefficient of the rows whatever their places within their bins",)

    def table(self) -> Table:
        """Return one row per group: n, gini, low, high."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            rows.append((*label, group.n, group.gini, *group.interval))
        return Table(columns=(*grouping(self.by), "n", "gini", "low", "high"), rows=tuple(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class LorenzResult(InequalityResult):
    """Lorenz curves, point by point."""

    def table(self) -> Table:
        """Return one row per group and bin with rows: the shares of rows, and of the sum, up to its right edge."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            rows += [(*label, *point) for point in zip(group.population, group.owned, strict=True)]
        empty: tuple[Shown, ...] = (*("" for _ in grouping(self.by)), None, None)
        return Table(columns=(*grouping(self.by), "population", "owned"), rows=tuple(rows) or (empty,))


R = TypeVar("R", bound=InequalityResult)


def curves(result: type[R], parameters: InequalityParameters, where: Expression | None, joint: Dataset) -> Plan[R]:
    """Ask for rows and sums per bin; return a `result` with one curve per group."""
    column, weight = numeric(parameters.column, joint), weight_of(parameters.weights, joint)
    low, high = ends(column)
    if low < 0:
        raise Misuse(
            f"column {column.name!r} may hold numbers below 0, and a Lorenz curve is of amounts",
            hint="its operator publishes it with a range from 0",
        )
    bins = (OPEN_BINS if joint.k <= 1 else FEW_BINS) if parameters.bins is None else parameters.bins
    edges = spread(column, bins, None, None)
    if edges[0] > low or edges[-1] < high:
        raise Misuse("the bins leave out declared values, and a Lorenz curve is of all rows", hint="widen the edges")
    of = Col(column.name) if weight is None else weight.of * Col(column.name)
    rows: tuple[Expression, ...] = (Const(1),) if unit(joint) else ()
    weighing = () if weight is None else (weight.of,)
    query = SumQuery(
        dataset=joint.name,
        where=among(weight, where),
        per=unit(joint),
        group_by=(*axes(parameters.by, joint), Bins(Col(column.name), edges)),
        terms=(*rows, *weighing, of),
    )
    scale = shape(query, joint).scales[-1]
    (totals,) = yield (query,)
    require_an_open_cell(totals)
    groups = [
        _curve(label, place, edges, query, scale, totals, joint, weight, parameters.by)
        for place, label in enumerate(labels(parameters.by, joint))
    ]
    return result(
        column=column.name,
        by=parameters.by,
        edges=edges,
        groups=tuple(groups),
        left_out=left_out(query, totals, joint),
        parties=totals.parties,
        k=joint.k,
        weights=parameters.weights,
    )


def _curve(
    label: str,
    place: int,
    edges: Sequence[Number],
    query: SumQuery,
    scale: int,
    totals: Totals,
    joint: Dataset,
    weight: Weight | None,
    by: By,
) -> Inequality:
    start, before = place * (len(edges) + 1) + 1, "" if by is None else f"{label}: "  # the first cell is below all
    cells = range(start, start + len(edges) - 1)
    counts = replace(totals, table=tuple(row[:-1] for row in totals.table))
    bins = [
        counted(query, counts, cell, before + name, joint, weight=weight)
        for cell, name in zip(cells, named(edges), strict=True)
    ]
    sizes = [_size(query, counts.table[cell], weight) for cell in cells]
    sums = [Fraction(totals.table[cell][-1]) / Fraction(2) ** scale for cell in cells]
    is_shut = not any(cell.n for cell in bins) and any(cell.closed for cell in bins)
    size, owned = sum(sizes, Fraction(0)), sum(sums, Fraction(0))
    most = _left_out(query, totals, cells, joint, weight)
    is_known = most is not None and not any(most)
    gini: float | None = None
    interval: Interval = (None, None) if is_known else (0.0, 1.0)
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    if size and owned > 0:
        least, inside = _gini(sizes, sums, edges, size, owned)
        gini = float(least + INSIDE * inside)
        interval = _between(least, least + inside, (sizes, sums), edges, most)
        x, y = _points(sizes, sums, size, owned)
    return Inequality(
        label=label,
        n=None if is_shut else sum(cell.n or 0 for cell in bins),
        gini=gini,
        interval=interval,
        population=x,
        owned=y,
        bins=tuple(bins),
        weight=None if weight is None or is_shut else sum(cell.weight or 0 for cell in bins),
    )


def _size(query: SumQuery, row: tuple[int, ...], weight: Weight | None) -> Fraction:
    """Rows, or their weight, of an opened cell."""
    if weight is not None:
        return weight.total(row[-1])
    return Fraction(row[0] if query.per is None else row[1])


def _left_out(
    query: SumQuery, totals: Totals, cells: Sequence[int], joint: Dataset, weight: Weight | None
) -> list[Fraction] | None:
    """The most rows, or weight, that parties withhold, bin by bin; None for no bound."""
    found = []
    for cell in cells:
        rows = rows_left_out(query, totals, cell, joint)
        if rows is None or (is_closed(totals, cell) and totals.withheld[cell] < totals.parties):
            return None
        found.append(Fraction(rows) if weight is None else rows * weight.high)
    return found


def _gini(
    sizes: Sequence[Fraction], sums: Sequence[Fraction], edges: Sequence[Number], size: Fraction, owned: Fraction
) -> tuple[Fraction, Fraction]:
    """The coefficient of the chords, and what rows within bins may add at most."""
    below, chords, inside = Fraction(0), Fraction(0), Fraction(0)
    mean = owned / size
    for n, s, left, right in zip(sizes, sums, edges, edges[1:], strict=False):
        chords += n * (2 * below + s)
        below += s
        low, high = Fraction(left), Fraction(right)
        middle = min(max(s / n, low), high) if n else low
        inside += n * n * (high - middle) * (middle - low) / (high - low)
    return 1 - chords / (size * owned), inside / (size * size * mean)


def _between(
    least: Fraction,
    most: Fraction,
    opened: tuple[Sequence[Fraction], Sequence[Fraction]],
    edges: Sequence[Number],
    further: Sequence[Fraction] | None,
) -> Interval:
    """Gini's coefficient as the sum of all differences abs(x - x') over 2 n times the sum of x, with further rows.

    Each withheld row lies somewhere in its bin; of rows in other bins it is at most as far as the bins' outer edges.
    """
    if further is None:
        return 0.0, 1.0
    sizes, sums = opened
    size, owned = sum(sizes, Fraction(0)), sum(sums, Fraction(0))
    low, high = [Fraction(edge) for edge in edges[:-1]], [Fraction(edge) for edge in edges[1:]]
    differences = [2 * size * owned * each for each in (least, most)]
    added = Fraction(0)
    for i, more in enumerate(further):
        if more:
            every = zip(sizes, further, low, high, strict=True)
            away = sum(((2 * n + m) * max(b - low[i], high[i] - a) for n, m, a, b in every), Fraction(0))
            added += more * away
    greatest = owned + sum((more * b for more, b in zip(further, high, strict=True)), Fraction(0))
    lower = differences[0] / (2 * (size + sum(further, Fraction(0))) * greatest)
    upper = (differences[1] + added) / (2 * size * owned)
    return max(span(lower).low, 0.0), min(span(upper).high, 1.0)


def _points(
    sizes: Sequence[Fraction], sums: Sequence[Fraction], size: Fraction, owned: Fraction
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    x, y = [Fraction(0)], [Fraction(0)]
    for n, s in zip(sizes, sums, strict=True):
        if n:
            x.append(x[-1] + n / size)
            y.append(y[-1] + s / owned)
    return tuple(map(float, x)), tuple(map(float, y))
