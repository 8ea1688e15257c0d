"""Bins of one column: where edges lie, exactly, and what was opened between them.

Edges are computed in Fractions and rounded once, so that all parties ask the same bytes, and a bin that is split later
keeps its ends. Whole numbers have whole edges: [v, v + 1) is one value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from federation.analytics.cells import unit
from federation.analytics.estimates import Number
from federation.analytics.groups import By, axes
from federation.analytics.ranges import ends, numeric
from federation.analytics.weights import Weight, among
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import Col, Const, Expression
from federation.query.query import Bins, SumQuery

MOST_BINS = 4_096  # of one round and one cell of `by` (DESIGN section 5)
FINEST_REAL = 2**20  # steps in the declared range of a real column unless the question says otherwise
MOST_STEPS = 2**50  # a step below this part of the range is not told apart in binary64


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The finest bins of a column: `size` steps from its least declared value; edge i is their i-th border.

    Attributes:
        whole: whole numbers; then `step` is one too, and the last edge lies one above the greatest value.
        low: least declared value.
        high: greatest declared value.
        step: width of a bin; the last one may be narrower.
    """

    column: str
    whole: bool
    low: Fraction
    high: Fraction
    step: Fraction
    size: int

    def edge(self, index: int) -> Number:
        """Return edge `index`, 0..size."""
        if index >= self.size:
            end = self.high + 1 if self.whole else self.high
            end = end if end > self.low else self.low + self.step  # a bin has a width, also of one value
            return end.numerator if self.whole else float(end)
        # In whole numbers, as there may be thousands; their quotient is rounded once, as a Fraction's would be.
        low, step = self.low, self.step
        over = low.denominator * step.denominator
        place = low.numerator * step.denominator + index * step.numerator * low.denominator
        return place // over if self.whole else place / over

    def last(self, index: int) -> Number:
        """Return the greatest value that a row below edge `index` may have; for real columns the edge itself."""
        if self.whole:
            return int(self.edge(index)) - 1
        return min(self.edge(index), float(self.high))

    def between(self, left: int, right: int, share: Fraction) -> Number:
        """Return the value at `share` in [0, 1) of the way through the bin between two edges."""
        start, end = Fraction(self.edge(left)), Fraction(self.edge(right))
        found = start + (end - start) * share
        return math.floor(found) if self.whole else min(float(found), float(self.high))


def grid(column: str, resolution: float | None, joint: Dataset) -> Grid:
    """Return the finest bins of a numeric column.

    Args:
        column: its name.
        resolution: width of a bin in the column's unit; None is 1 for whole numbers, and the declared range / 2^20 for
            real ones.
        joint: the joint description.

    Raises:
        Misuse: no numbers, or a resolution that is not above 0, not whole for whole numbers, or too fine.
    """
    declared = numeric(column, joint)
    low, high = ends(declared)
    whole = declared.kind is Kind.INTEGER
    if whole:
        low, high = Fraction(math.ceil(low)), Fraction(math.floor(high))
    width = high - low + 1 if whole else high - low
    finest = Fraction(1) if whole or not width else width / FINEST_REAL
    step = finest if resolution is None else Fraction(resolution)
    if step <= 0 or (whole and step.denominator != 1):
        raise Misuse(
            f"a resolution of {column!r} is {'a whole number' if whole else 'a number'} above 0",
            hint="it is the width of the finest bin, in the column's unit",
        )
    size = max(1, math.ceil(width / step))
    if size > MOST_STEPS or (not whole and step * MOST_STEPS < max(abs(low), abs(high))):
        raise Misuse(f"the resolution of {column!r} is finer than binary64 can tell apart", hint="use a larger one")
    return Grid(column=column, whole=whole, low=low, high=high, step=step, size=size)


def pieces(left: int, right: int, most: int) -> tuple[int, ...]:
    """Return the edges that cut [left, right] into `most` pieces of nearly equal width, fewer where steps run out."""
    number = min(most, right - left)
    return tuple(left + (right - left) * i // number for i in range(number + 1))


def binned(
    column: str,
    edges: Sequence[Number],
    by: By,
    where: Expression | None,
    joint: Dataset,
    weight: Weight | None = None,
) -> SumQuery:
    """Return the query for rows per category of `by` and per bin: below the first edge, between edges, above the last.

    Its last column counts rows (column 0 where rows are counted, else a sum of ones), or sums weights.
    """
    per = unit(joint)
    rows: tuple[Expression, ...] = () if per is None else (Const(1),)
    return SumQuery(
        dataset=joint.name,
        where=among(weight, where),
        per=per,
        group_by=(*axes(by, joint), Bins(Col(column), tuple(edges))),
        terms=rows if weight is None else (*rows, weight.of),
    )


def spread(column: Column, bins: int | tuple[float, ...], low: float | None, high: float | None) -> tuple[Number, ...]:
    """Return the edges of `bins` bins of equal width from `low` to `high`, or the given edges themselves.

    Args:
        column: its declared range stands for a `low` or `high` of None.
        bins: 1 to 4,096, or 2 to 4,097 edges.
        low: left end of the first bin.
        high: right end of the last bin.

    Raises:
        Misuse: too many or no bins, low >= high, both ways at once, or bins that binary64 does not tell apart.
    """
    if isinstance(bins, tuple):
        if low is not None or high is not None:
            raise Misuse("bins are given by edges or by low and high, not both")
        if not 2 <= len(bins) <= MOST_BINS + 1:
            raise Misuse(f"there are 2 to {MOST_BINS + 1} edges, got {len(bins)}")
        return bins
    if not 1 <= bins <= MOST_BINS:
        raise Misuse(f"there are 1 to {MOST_BINS} bins, got {bins}")
    first, last = ends(column)
    left = first if low is None else Fraction(low)
    right = last if high is None else Fraction(high)
    if left >= right:
        raise Misuse("bins need low < high", hint="a column of one value needs low and high, or edges")
    over = left.denominator * right.denominator * bins
    first_place, last_place = (end.numerator * (over // end.denominator) for end in (left, right))
    step = (last_place - first_place) // bins
    edges = tuple(_number(first_place + step * i, over) for i in range(bins + 1))
    if any(not a < b for a, b in pairwise(edges)):
        raise Misuse("the bins are narrower than binary64 can tell apart", hint="use fewer bins")
    return edges


def named(edges: Sequence[Number]) -> tuple[str, ...]:
    """Return the labels of the bins between `edges`; the last one is closed."""
    bins = [f"[{low}, {high})" for low, high in pairwise(edges)]
    return (*bins[:-1], bins[-1][:-1] + "]")


def _number(numerator: int, denominator: int) -> Number:
    """The quotient, as a whole number where it is one, else rounded once."""
    found, rest = divmod(numerator, denominator)
    return numerator / denominator if rest else found
