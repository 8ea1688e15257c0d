"""Quantiles of a column: the least value that a share of at least q of the values does not exceed.

That is the inverse of the empirical distribution function, numpy's method "inverted_cdf", with the same rounding of
ranks. Whole numbers are found exactly; others to a bin of `resolution`, and the value is where its rank lies in the
bin. `interval` always holds the quantile of all rows, those that parties withhold included. There is no standard error:
it needs the density at the quantile, which nothing here opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.bins import Grid, binned, grid
from federation.analytics.bracket import Search, fan, first, found, rounds, widest
from federation.analytics.cells import UNBOUNDED, left_out, require_an_open_cell, rows_between
from federation.analytics.curves import Curve, curve, drawn
from federation.analytics.estimates import Estimate, Interval, LeavesOut, Number, RowsLeftOut, Suppressed
from federation.analytics.estimates import found as found_in
from federation.analytics.groups import By, labels, parts, within, written
from federation.analytics.groups import columns as grouping
from federation.analytics.ladder import NOTHING, Rows
from federation.analytics.plan import Plan
from federation.analytics.statistic import Picture, Result, Shown, Statistic, Table
from federation.analytics.weights import Weight, weight_of
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.query import SumQuery, Totals, shape

MOST_QUANTILES = 100
DEFINITION = "least value that a share of at least q does not exceed (inverse distribution function)"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileParameters:
    """Which quantiles.

    Attributes:
        column: a column of numbers.
        q: one or several shares from 0 to 1.
        resolution: width of the finest bin in the column's unit; None is 1 for whole numbers and the declared range
            / 2^20 for others, about a millionth.
        by: a category column, or several, for the quantiles of each category or combination.
        weights: a column of weights: a row of weight w counts as w rows; None for none.
    """

    column: str
    q: float | tuple[float, ...] = 0.5
    resolution: float | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """The quantiles of one group.

    Attributes:
        label: its category, or "all rows".
        n: opened rows; None where the group is closed.
        qs: the shares.
        estimates: one per share; `value` is None where nothing narrower than the whole range is known.
        curve: the distribution function as far as it was opened.
    """

    label: str
    n: int | None
    qs: tuple[float, ...]
    estimates: tuple[Estimate, ...]
    curve: Curve

    @property
    def values(self) -> tuple[Number | None, ...]:
        """One value per share."""
        return tuple(cell.value for cell in self.estimates)

    @property
    def only(self) -> Estimate:
        """The estimate where one share was asked."""
        if len(self.estimates) != 1:
            raise Misuse("several quantiles were asked", hint="`.values` has one per share, or index with a share")
        return self.estimates[0]

    @property
    def value(self) -> Number | None:
        """The quantile where one share was asked."""
        return self.only.value

    @property
    def interval(self) -> Interval:
        """Where the quantile of all rows lies, where one share was asked."""
        return self.only.interval

    def __getitem__(self, q: float) -> Estimate:
        for share, cell in zip(self.qs, self.estimates, strict=True):
            if share == q:
                return cell
        raise Misuse(f"the share {q!r} was not asked", hint=f"asked: {', '.join(map(repr, self.qs))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileResult(LeavesOut, Result):
    """Quantiles, per group if asked.

    Attributes:
        groups: one per category of `by`, or one.
        resolution: width of the finest bin asked for.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    column: str
    by: By
    groups: tuple[Quantiles, ...]
    resolution: Number
    left_out: RowsLeftOut
    wide: tuple[Suppressed, ...]
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Quantiles:
        """The one group of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"these quantiles are per {written(self.by)!r}", hint="index them with a category")
        return self.groups[0]

    @property
    def value(self) -> Number | None:
        """The quantile of a result with one share and without `by`."""
        return self.only.value

    @property
    def values(self) -> tuple[Number | None, ...]:
        """One value per share, of a result without `by`."""
        return self.only.values

    @property
    def interval(self) -> Interval:
        """Where the quantile of all rows lies, for one share and without `by`."""
        return self.only.interval

    @property
    def se(self) -> None:
        """There is none: see the module."""
        return

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All of them, group by group."""
        return tuple(cell for group in self.groups for cell in group.estimates)

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.n or 0 for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every quantile that is closed or that withheld bins leave wider than the resolution, with its interval."""
        return (*self.wide, *self.left_out.suppressed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        lines = [f"quantile: {DEFINITION}; resolution {self.resolution:g}; [low, high] holds it"]
        if self.k > 1:
            lines.append(f"parties withhold bins of fewer than {self.k}: [low, high] allows for what they may hold")
        return tuple(lines)

    def __getitem__(self, key: str | tuple[str, ...] | float) -> Quantiles | Estimate:
        """Return a group by its category, or without `by` an estimate by its share."""
        if isinstance(key, str | tuple):
            return found_in(self.groups, key)
        return self.only[key]

    def table(self) -> Table:
        """Return one row per group and share: group (with `by`), q, quantile, low, high, n, withheld."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            for q, cell in zip(group.qs, group.estimates, strict=True):
                rows.append((*label, q, cell.value, *cell.interval, cell.n, cell.withheld))
        return Table(columns=(*grouping(self.by), "q", "quantile", "low", "high", "n", "withheld"), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the distribution function as steps, one curve per group."""
        return drawn(self.column, [group.curve for group in self.groups], self.by)


class Quantile(Statistic[QuantileParameters, QuantileResult]):
    """Quantiles of the available cases, per category if asked."""

    name = "quantile"
    version = 1
    Parameters = QuantileParameters

    def rounds(self, parameters: QuantileParameters, joint: Dataset) -> int:
        fine = grid(parameters.column, parameters.resolution, joint)
        targets = len(set(shares_of(parameters.q))) * len(labels(parameters.by, joint))
        return rounds(fine, joint.k, targets)

    def later_numbers(self, parameters: QuantileParameters, joint: Dataset) -> int:
        if self.rounds(parameters, joint) == 1:
            return 0
        fine = grid(parameters.column, parameters.resolution, joint)
        groups = len(labels(parameters.by, joint))
        cells = widest(fine, joint.k, len(set(shares_of(parameters.q))) * groups, groups)
        weight = weight_of(parameters.weights, joint)
        one = shape(_binned(fine, (0, fine.size), None, None, joint, weight), joint)  # a query a group; all alike
        return cells * (2 + one.terms) + 2 * groups * len(one.counts)

    def plan(self, parameters: QuantileParameters, where: Expression | None, joint: Dataset) -> Plan[QuantileResult]:
        fine, weight = grid(parameters.column, parameters.resolution, joint), weight_of(parameters.weights, joint)
        qs = shares_of(parameters.q)
        groups = labels(parameters.by, joint)
        edges = first(fine, joint.k)
        asked = _binned(fine, edges, parameters.by, where, joint, weight)
        if self.rounds(parameters, joint) > 1:
            within(where, parameters.by, groups[0], joint)  # what cannot be asked again fails before the first round
        (opened,) = yield (asked,)
        require_an_open_cell(opened)
        searches = [Search(grid=fine, qs=tuple(dict.fromkeys(qs)), k=joint.k) for _ in groups]
        for place, search in enumerate(searches):
            _take(search, edges, asked, opened, place, joint, weight)
        for _ in range(self.rounds(parameters, joint) - 1):
            spans = [search.spans() for search in searches]
            cut = fan(sum(map(len, spans)))
            further = {i: searches[i].edges(each, cut) for i, each in enumerate(spans) if each}
            if not further:
                break
            queries = {
                i: _binned(fine, each, None, within(where, parameters.by, groups[i], joint), joint, weight)
                for i, each in further.items()
            }
            answers = yield tuple(queries.values())
            for (i, query), totals in zip(queries.items(), answers, strict=True):
                _take(searches[i], further[i], query, totals, 0, joint, weight)
        counts = [_rows(asked, opened, place, len(edges) + 1) for place in range(len(groups))]
        made = [
            _group(label, search, qs, rows, weight)
            for label, search, rows in zip(groups, searches, counts, strict=True)
        ]
        return QuantileResult(
            column=fine.column,
            by=parameters.by,
            groups=tuple(made),
            resolution=fine.step.numerator if fine.whole else float(fine.step),
            left_out=left_out(asked, opened, joint),
            wide=tuple(_wide(parameters.by, made, searches)),
            parties=opened.parties,
            k=joint.k,
            weights=parameters.weights,
        )


def shares_of(q: float | tuple[float, ...]) -> tuple[float, ...]:
    """Return the shares as a tuple. Raises Misuse for none, more than 100, or one outside [0, 1]."""
    qs = tuple(map(float, q)) if isinstance(q, tuple) else (float(q),)
    if not 1 <= len(qs) <= MOST_QUANTILES:
        raise Misuse(f"there are 1 to {MOST_QUANTILES} quantiles in one question, got {len(qs)}")
    if any(not 0 <= share <= 1 for share in qs):
        raise Misuse("a quantile's share lies between 0 and 1", hint="0.5 is the median, 0.9 the ninth decile")
    return qs


def _binned(
    fine: Grid, edges: Sequence[int], by: By, where: Expression | None, joint: Dataset, weight: Weight | None
) -> SumQuery:
    return binned(fine.column, [fine.edge(edge) for edge in edges], by, where, joint, weight)


def _take(
    search: Search,
    edges: Sequence[int],
    query: SumQuery,
    totals: Totals,
    place: int,
    joint: Dataset,
    weight: Weight | None,
) -> None:
    """Hand one group's cells to its search: below the first edge, the bins, above the last."""
    start, size = place * (len(edges) + 1), len(edges) + 1
    cells: list[Rows] = []
    withheld: list[int] = []
    units = rows = 0
    for cell in range(start, start + size - 1):  # nothing lies above the greatest declared value
        least, most = rows_between(query, totals, cell, joint, weight)
        cells.append((least, most))
        withheld.append(totals.withheld[cell])
        units, rows = units + totals.table[cell][0], rows + least
    if edges[0] == 0:
        cells[0], withheld[0] = NOTHING, 0  # and nothing below the least
    if rows and not search.ladder:
        search.units, search.rows = max(1, units), rows
    search.take(edges, cells, withheld, totals.parties)


def _rows(query: SumQuery, totals: Totals, place: int, size: int) -> int:
    """Rows of one group that the first round opened."""
    column = 0 if query.per is None else 1
    return sum(totals.table[cell][column] for cell in range(place * size, (place + 1) * size))


def _group(label: str, search: Search, qs: tuple[float, ...], rows: int, weight: Weight | None) -> Quantiles:
    least, most = search.ladder[search.grid.size].below
    n = None if least == 0 != most else rows
    return Quantiles(
        label=label,
        n=n,
        qs=qs,
        estimates=tuple(_estimate(label, search, q, n) for q in qs),
        curve=curve(label, [search.grid.edge(place) for place in search.ladder], list(search.ladder.values()), weight),
    )


def _estimate(label: str, search: Search, q: float, n: int | None) -> Estimate:
    fine = search.grid
    left, right = search.bracket(q)
    value = None
    if n and (at := found(search, q)) is not None:
        start, end, place, rows = at
        value = fine.between(start, end, Fraction(2 * place - 1, 2 * rows))
    nobody = search.ladder[0].above == NOTHING
    return Estimate(
        label=label,
        value=value,
        n=n,
        units=None,
        interval=UNBOUNDED if nobody else (fine.edge(left), fine.last(right)),
        withheld=0 if nobody else search.f(left, right),
        closed=n is None,
    )


def _wide(by: By, groups: Sequence[Quantiles], searches: Sequence[Search]) -> list[Suppressed]:
    lines: list[Suppressed] = []
    for group, search in zip(groups, searches, strict=True):
        for q, cell in zip(group.qs, group.estimates, strict=True):
            left, right = search.bracket(q)
            if cell.interval == UNBOUNDED or (right - left <= 1 and not cell.closed):
                continue
            what = f"quantile {q:g}" if by is None else f"{group.label}: quantile {q:g}"
            lines.append(Suppressed(what=what, withheld=cell.withheld, closed=cell.closed, interval=cell.interval))
    return lines
