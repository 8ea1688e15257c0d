"""Tables of counts by two columns, perhaps in strata: how they are asked, and read for tests.

A cell that all parties withhold counts as 0 and may hold up to f (k - 1) units, which the intervals allow for. A cell
that stays closed although somebody has enough units has no bound, so a test over it is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import TypeVar

from federation.analytics.cells import is_closed, rows_between, unit
from federation.analytics.estimates import Suppressed
from federation.analytics.groups import By, axes, columns, declared, labels, levels, rows_of
from federation.analytics.spans import Span, between, span, total
from federation.analytics.statistic import Drawn, Picture
from federation.analytics.weights import Weight, among
from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse, Refused, did_you_mean
from federation.privacy.suppression import LEAST_CONTRIBUTORS
from federation.query.expression import Both, Const, Expression
from federation.query.query import SumQuery, Totals

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Opened rows by the levels of two columns, without rows and columns of the table that are empty.

    Attributes:
        across: the level of each column of the table.
        down: the level of each row of the table.
        n: opened counts, row by row.
        spans: where the counts of all rows lie.
        dropped: levels of which nothing was opened.
        stratum: its label where there are several.
        withheld: parties that withhold, cell by cell.
    """

    down: tuple[str, ...]
    across: tuple[str, ...]
    n: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[Span, ...], ...]
    withheld: tuple[tuple[int, ...], ...]
    dropped: tuple[str, ...] = ()
    stratum: str = ""

    @property
    def rows(self) -> tuple[int, ...]:
        """Sums of the table's rows."""
        return tuple(map(sum, self.n))

    @property
    def columns(self) -> tuple[int, ...]:
        """Sums of the table's columns."""
        return tuple(map(sum, zip(*self.n, strict=True)))

    @property
    def total(self) -> int:
        """Opened rows."""
        return sum(self.rows)

    @property
    def is_known(self) -> bool:
        """True where no party withholds anything."""
        return not any(map(any, self.withheld))

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """The cells that a party withholds."""
        cells = product(range(len(self.down)), range(len(self.across)))
        return tuple(
            Suppressed(
                what=f"{self.stratum}{': ' if self.stratum else ''}{self.down[i]}, {self.across[j]}",
                withheld=self.withheld[i][j],
                closed=False,
                interval=_whole(self.spans[i][j]),
            )
            for i, j in cells
            if self.withheld[i][j]
        )

    def only(self, down: Sequence[str], across: Sequence[str]) -> Counts:
        """Return the table of some levels, in this order."""
        i, j = [self.down.index(name) for name in down], [self.across.index(name) for name in across]
        return Counts(
            down=tuple(down),
            across=tuple(across),
            n=tuple(tuple(self.n[a][b] for b in j) for a in i),
            spans=tuple(tuple(self.spans[a][b] for b in j) for a in i),
            withheld=tuple(tuple(self.withheld[a][b] for b in j) for a in i),
            stratum=self.stratum,
        )

    @property
    def shown(self) -> Observed:
        """The table as a result holds it."""
        return Observed(down=self.down, across=self.across, n=self.n)

    def shortened(self) -> Counts:
        """Return the table without its empty rows and columns."""
        i = [place for place, each in enumerate(self.rows) if each]
        j = [place for place, each in enumerate(self.columns) if each]
        gone = [name for place, name in enumerate(self.down) if place not in i]
        gone += [name for place, name in enumerate(self.across) if place not in j]
        return replace(self.only([self.down[a] for a in i], [self.across[b] for b in j]), dropped=tuple(gone))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A table of counts as a result holds it, in plain values: the levels of its rows and columns, and the counts."""

    down: tuple[str, ...]
    across: tuple[str, ...]
    n: tuple[tuple[int, ...], ...]

    @property
    def total(self) -> int:
        """Opened rows."""
        return sum(map(sum, self.n))


def question(
    row: str,
    column: str,
    by: By,
    where: Expression | None,
    joint: Dataset,
    weight: Weight | None = None,
    *,
    dropna: bool = True,
) -> SumQuery:
    """Return the query for rows (or weight) per stratum of `by`, level of `row` and level of `column`.

    Raises:
        Misuse: columns that cannot group, or one that is named twice.
    """
    if row == column or {row, column} & set(columns(by)):
        raise Misuse("a table of counts needs different columns", hint="one for its rows, one for its columns")
    per = unit(joint)
    rows: tuple[Expression, ...] = () if per is None else (Const(1),)
    return SumQuery(
        dataset=joint.name,
        where=among(weight, where),
        per=per,
        group_by=(*axes(by, joint, dropna=dropna), *axes((row, column), joint, dropna=dropna)),
        terms=rows if weight is None else (*rows, weight.of),
    )


def pair(by: str, groups: tuple[str, str] | None, joint: Dataset) -> tuple[str, str]:
    """Return the two groups of `by`. Raises Misuse where they are not two, or not among its levels."""
    known = levels(by, joint)
    picked = known if groups is None else groups
    if len(picked) != 2 or picked[0] == picked[1]:
        raise Misuse(f"{by!r} has {len(known)} groups, and two are compared", hint="name both of them")
    for name in picked:
        if name not in known:
            raise Misuse(f"{by!r} has no group {name!r}", hint=did_you_mean(name, known))
    return picked[0], picked[1]


def chosen(
    where: Expression | None, asked: Sequence[tuple[str, tuple[str, str] | None]], joint: Dataset
) -> tuple[Expression | None, list[tuple[str, str]]]:
    """Return the condition for the rows of two levels of each column, and the levels. Raises as `pair`."""
    names = [pair(column, groups, joint) for column, groups in asked]
    found = where
    for (column, _), two in zip(asked, names, strict=True):
        if len(levels(column, joint)) > len(two) and declared(column, joint).kind is Kind.CATEGORY:
            of = rows_of(column, two, joint)
            found = of if found is None else Both(found, of)
    return found, names


def counts(row: str, column: str, by: By, query: SumQuery, totals: Totals, joint: Dataset) -> tuple[Counts, ...]:
    """Return one table per stratum.

    Raises:
        Refused: rule "contributors": a cell stays closed although a party has enough units in it.
    """
    down, across = levels(row, joint), levels(column, joint)
    size = len(down) * len(across)
    for cell in range(len(totals.table)):
        if is_closed(totals, cell) and totals.withheld[cell] < totals.parties:
            i, j = divmod(cell % size, len(across))
            who = f"fewer than {LEAST_CONTRIBUTORS} parties"
            raise Refused(
                f"{who} have enough units of ({down[i]}, {across[j]}), so it stays closed",
                rule="contributors",
                hint="put rare levels together, leave strata out, or ask more parties",
            )
    found = []
    for stratum, label in enumerate(labels(by, joint)):
        ends = [rows_between(query, totals, stratum * size + cell, joint) for cell in range(size)]
        flags = totals.withheld[stratum * size : (stratum + 1) * size]
        found.append(
            Counts(
                down=down,
                across=across,
                n=_matrix([low for low, _ in ends], len(across)),
                spans=_matrix([between(*each) for each in ends], len(across)),
                withheld=_matrix(flags, len(across)),
                stratum="" if by is None else label,
            )
        )
    return tuple(found)


def chi_square(table: Counts) -> Span:
    """Return where N (sum n_ij^2 / (r_i c_j) - 1) of all rows lies.

    Three bounds at once: of the sum, each term of which grows with its own cell and falls with the others; of the
    opened table's own figure and its slopes over what is withheld (mean value form), which is the narrower one where
    little is; and N (smaller number of levels - 1).
    """
    rows = [total(row) for row in table.spans]
    lines = [total(line) for line in zip(*table.spans, strict=True)]
    n = total(rows)
    terms = []
    for i, j in product(range(len(rows)), range(len(lines))):
        own = table.spans[i][j]
        apart, below = total(_others(table.spans[i], j)), total(_others([row[j] for row in table.spans], i))
        high, low = span(own.high), span(own.low)
        least = low * low / ((low + apart.high) * (low + below.high))
        most = high * high / ((high + apart.low) * (high + below.low))
        terms.append(Span(least.low if own.low > 0 else 0.0, most.high if own.high > 0 else 0.0).within(0, 1))
    share = total(terms)
    found = (n * (share - 1)).within(0, n.high * (min(len(rows), len(lines)) - 1))
    if all(table.rows) and all(table.columns):
        sloped = _sloped(table, rows, lines, share)
        found = found.within(sloped.low, sloped.high)
    return found


def pearson(table: Counts, *, corrected: bool) -> Fraction:
    """Return Pearson's chi-square of a table without empty levels, exactly, or with Yates' correction."""
    found = Fraction(0)
    for line, r in zip(table.n, table.rows, strict=True):
        for n, c in zip(line, table.columns, strict=True):
            expected = Fraction(r * c, table.total)
            off = abs(n - expected)
            found += (off - min(off, Fraction(1, 2)) if corrected else off) ** 2 / expected
    return found


def _sloped(table: Counts, rows: Sequence[Span], lines: Sequence[Span], share: Span) -> Span:
    """The opened table's chi-square, and what withheld units may add: their most times the slope wherever they are."""
    n = total(rows)
    squares = [[cell.squared for cell in line] for line in table.spans]
    down = [
        total(s / c for s, c in zip(line, lines, strict=True)) / r.squared
        for line, r in zip(squares, rows, strict=True)
    ]
    across = [
        total(line[j] / r for line, r in zip(squares, rows, strict=True)) / c.squared for j, c in enumerate(lines)
    ]
    found = span(pearson(table, corrected=False))
    for i, r in enumerate(rows):
        for j, c in enumerate(lines):
            further = table.spans[i][j] - table.n[i][j]
            if table.withheld[i][j]:
                slope = share - 1 + n * (2 * table.spans[i][j] / (r * c) - down[i] - across[j])
                found = found + further.within(0, math.inf) * slope
    return found


def drawn(
    down: tuple[str, ...],
    across: tuple[str, ...],
    row: str,
    column: str,
    title: str,
    cells: Sequence[float | None],
    span: tuple[float, float] | None = None,
) -> Picture:
    """Return a matrix of colours over the table's levels."""
    return Picture(
        drawn=Drawn.HEAT, title=title, x_label=column, y_label=row, x=across, rows=down, y=tuple(cells), span=span
    )


def _whole(of: Span) -> tuple[int | None, int | None]:
    low, high = of.interval
    return None if low is None else int(low), None if high is None else int(high)


def _others(line: Sequence[Span], place: int) -> list[Span]:
    return [each for i, each in enumerate(line) if i != place]


def _matrix(cells: Sequence[T], width: int) -> tuple[tuple[T, ...], ...]:
    return tuple(tuple(cells[start : start + width]) for start in range(0, len(cells), width))
