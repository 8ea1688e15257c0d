"""Two groups in the bins of one score: which ranks higher, how often, and how sure that is; one round.

What is opened is rows per group and bin, so a figure is that of the binned score: two rows of one bin are a tie. The
standard error is DeLong's (E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837-845).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.bins import grid, spread
from federation.analytics.cells import is_closed, rows_between, unit
from federation.analytics.estimates import Number
from federation.analytics.groups import By, axes, levels
from federation.analytics.ranges import ends, numeric
from federation.analytics.spans import Span, span
from federation.analytics.weights import Weight, among
from federation.domain.catalogue import Dataset
from federation.query.expression import Col, Const, Expression
from federation.query.query import Bins, SumQuery, Totals

OPEN_BINS = 256  # by default, where nothing is withheld
FEW_BINS = 32  # by default, where small bins are withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Rows, or their weight, of two groups, bin by bin in increasing order of the score.

    Attributes:
        first: the group that is said to rank higher.
        second: the other.
        further: the most rows, or weight, that parties withhold of each group, bin by bin; None for no bound.
        rows: opened rows of each group.
        withheld: the most parties that withhold a bin.
    """

    first: tuple[Fraction, ...]
    second: tuple[Fraction, ...]
    further: tuple[tuple[Fraction, ...] | None, tuple[Fraction, ...] | None]
    rows: tuple[int, int]
    withheld: int

    @property
    def sizes(self) -> tuple[Fraction, Fraction]:
        """Rows, or weight, of both groups."""
        return sum(self.first, Fraction(0)), sum(self.second, Fraction(0))

    @property
    def wins(self) -> Fraction:
        """Pairs in which the first ranks higher, ties counted half: Mann and Whitney's U of the first group."""
        below, found = Fraction(0), Fraction(0)
        for mine, theirs in zip(self.first, self.second, strict=True):
            found += mine * (below + theirs / 2)
            below += theirs
        return found

    @property
    def area(self) -> Fraction | None:
        """Share of the pairs that the first wins: the area under the curve; None where a group is empty."""
        m, n = self.sizes
        return self.wins / (m * n) if m and n else None

    @property
    def is_known(self) -> bool:
        """True where no party withholds anything."""
        return all(more is not None and not any(more) for more in self.further)

    @property
    def variances(self) -> Span:
        """Where the variance of `wins` lies, over all rows, if neither group ranks higher.

        It is least where all further rows share the fullest bin.
        """
        m, n = self.sizes
        whole = m + n
        (first, second) = self.further
        if first is None or second is None or whole <= 1:
            return Span(0.0, math.inf)
        most_first, most_second = sum(first, Fraction(0)), sum(second, Fraction(0))
        more = most_first + most_second
        fullest = max(a + b for a, b in zip(self.first, self.second, strict=True))
        ties = self.ties + (fullest + more) ** 3 - fullest**3
        least = max(m * n / 12 * (whole + 1 - ties / (whole * (whole - 1))), Fraction(0))
        most = (m + most_first) * (n + most_second) / 12 * (whole + more + 1)
        return Span(span(least).low, span(most).high)

    @property
    def se(self) -> float | None:
        """DeLong's standard error of `area`; None where a group has fewer than two rows."""
        m, n = self.sizes
        if m <= 1 or n <= 1:
            return None
        wins = _placed(self.first, self.second)
        losses = _placed(self.second[::-1], self.first[::-1])
        return math.sqrt(float(wins / m + losses / n))

    @property
    def ties(self) -> Fraction:
        """Sum of t^3 - t over the bins, t rows of both groups in one bin."""
        return sum(((a + b) ** 3 - (a + b) for a, b in zip(self.first, self.second, strict=True)), Fraction(0))

    @property
    def areas(self) -> Span:
        """Where the area over all rows lies.

        It is least where the first group ranks as low, and the second as high, as withheld rows permit at any edge.
        """
        first, second = self.further
        if first is None or second is None or not all(self.sizes):
            return Span(0.0, 1.0)
        low = _area(_steepest(self.first, first), _flattest(self.second, second))
        high = _area(_flattest(self.first, first), _steepest(self.second, second))
        return Span(span(low).low, span(high).high).within(0, 1)

    def curve(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the ROC curve: shares of the second and of the first group at or above each edge, from (0, 0) up."""
        m, n = self.sizes
        x, y = [Fraction(0)], [Fraction(0)]
        for mine, theirs in zip(reversed(self.first), reversed(self.second), strict=True):
            if mine or theirs:
                x.append(x[-1] + theirs / n)
                y.append(y[-1] + mine / m)
        return tuple(map(float, x)), tuple(map(float, y))


def edges_of(column: str, bins: int | tuple[float, ...] | None, joint: Dataset) -> tuple[Number, ...]:
    """Return the edges of the bins: as asked, or each whole number, or 256 (32 where small bins are withheld)."""
    declared, most = numeric(column, joint), OPEN_BINS if joint.k <= 1 else FEW_BINS
    if bins is None:
        fine = grid(column, None, joint)
        if fine.size <= most:
            return tuple(fine.edge(place) for place in range(fine.size + 1))
    return spread(declared, most if bins is None else bins, None, None)


def question(
    column: str,
    by: str,
    edges: Sequence[Number],
    groups: By,
    where: Expression | None,
    joint: Dataset,
    weight: Weight | None = None,
) -> SumQuery:
    """Return the query for rows (or weight) per group of `groups`, level of `by` and bin of `column`."""
    per = unit(joint)
    rows: tuple[Expression, ...] = () if per is None else (Const(1),)
    return SumQuery(
        dataset=joint.name,
        where=among(weight, where),
        per=per,
        group_by=(*axes(groups, joint), *axes(by, joint), Bins(Col(column), tuple(edges))),
        terms=rows if weight is None else (*rows, weight.of),
    )


def ranked(
    query: SumQuery,
    totals: Totals,
    joint: Dataset,
    by: str,
    names: tuple[str, Sequence[str]],
    column: str,
    edges: Sequence[Number],
    place: int = 0,
    weight: Weight | None = None,
) -> Ranked:
    """Return the two groups of one group of cells.

    Args:
        names: the level of `by` that is said to rank higher, and those of the other group.
        column: the score.
        edges: of its bins; rows outside them rank below and above all others.
        place: which group of cells.
    """
    known, bins = levels(by, joint), len(edges) + 1
    low_end, high_end = ends(numeric(column, joint))
    possible = range(0 if low_end < edges[0] else 1, bins if high_end > edges[-1] else bins - 1)
    start = place * len(known) * bins
    wanted = ([known.index(names[0])], [known.index(name) for name in names[1]])
    found, rows, withheld = [], [], 0
    further: list[tuple[Fraction, ...] | None] = []
    for group in wanted:
        sums, more, n = [Fraction(0)] * bins, [Fraction(0)] * bins, 0
        bounded = True
        for level in group:
            for i in possible:
                cell = start + level * bins + i
                low, high = rows_between(query, totals, cell, joint, weight)
                shut = is_closed(totals, cell)
                withheld = max(withheld, totals.withheld[cell])
                n += 0 if shut else totals.table[cell][0 if query.per is None else 1]
                sums[i] += low if weight is None else weight.total(low)
                bounded = bounded and high is not None
                gap = 0 if high is None else high - low
                more[i] += gap if weight is None else weight.total(gap)
        found.append(tuple(sums))
        further.append(tuple(more) if bounded else None)
        rows.append(n)
    return Ranked(
        first=found[0],
        second=found[1],
        further=(further[0], further[1]),
        rows=(rows[0], rows[1]),
        withheld=withheld,
    )


def _placed(mine: Sequence[Fraction], theirs: Sequence[Fraction]) -> Fraction:
    """The sample variance, over my rows, of the share of theirs that they beat."""
    m, n = sum(mine, Fraction(0)), sum(theirs, Fraction(0))
    below, first, second = Fraction(0), Fraction(0), Fraction(0)
    for a, b in zip(mine, theirs, strict=True):
        share = (below + b / 2) / n
        first, second = first + a * share, second + a * share**2
        below += b
    return max(second - first**2 / m, Fraction(0)) / (m - 1)


def _steepest(rows: Sequence[Fraction], further: Sequence[Fraction]) -> list[Fraction]:
    """The greatest distribution function that withheld rows permit, edge by edge."""
    size, below, more = sum(rows, Fraction(0)), Fraction(0), Fraction(0)
    found = []
    for own, extra in zip(rows, further, strict=True):
        below, more = below + own, more + extra
        found.append((below + more) / (size + more))
    return found


def _flattest(rows: Sequence[Fraction], further: Sequence[Fraction]) -> list[Fraction]:
    """The least distribution function that withheld rows permit, edge by edge."""
    size, rest, below = sum(rows, Fraction(0)), sum(further, Fraction(0)), Fraction(0)
    found = []
    for own, extra in zip(rows, further, strict=True):
        below, rest = below + own, rest - extra
        found.append(below / (size + rest))
    return found


def _area(first: Sequence[Fraction], second: Sequence[Fraction]) -> Fraction:
    """How often the first of two distributions is greater, ties half."""
    found, before, below = Fraction(0), Fraction(0), Fraction(0)
    for mine, theirs in zip(first, second, strict=True):
        found += (mine - before) * (below + theirs) / 2
        before, below = mine, theirs
    return found
