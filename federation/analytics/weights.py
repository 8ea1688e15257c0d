"""Weights: a row of weight w counts as w rows, in every statistic that takes `weights=`.

So a weighted statistic is the plain one over rows repeated w times (frequency weights, as in statsmodels'
DescrStatsW), also where w is no whole number; a weight changes neither who is counted nor what k protects. Standard
errors under sampling weights are another thing: `t.survey` has them.

A weight of 0 would take units out of a cell without the least number k noticing, so rows of weight 0 are not selected
at all, nor are those whose weight is not a finite number. Refused: a column whose declared range has negative numbers,
or no number above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.ranges import ends, numeric
from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse
from federation.query import bounds
from federation.query.expression import Both, Col, Const, Either, Expression, Missing, Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A column of weights.

    Attributes:
        high: greatest declared weight.
        whole: whether weights are whole numbers.
        scale: s of the term `of`: an opened sum stands for sum / 2^s.
    """

    column: str
    high: Fraction
    whole: bool
    scale: int
    may_be_zero: bool

    @property
    def of(self) -> Col:
        """The weight of a row."""
        return Col(self.column)

    def among(self, where: Expression | None) -> Expression | None:
        """Return the condition for rows that have a weight; those whose weight is missing are counted as left out."""
        if not self.may_be_zero:
            return where
        above = Either(Col(self.column) > Const(0), Missing(Col(self.column)))
        return above if where is None else Both(where, above)

    def total(self, opened: int) -> Fraction:
        """Return the sum of weights that an opened number stands for."""
        return Fraction(opened, 1 << self.scale) if self.scale >= 0 else Fraction(opened << -self.scale)

    def number(self, opened: int) -> Number:
        """Return the sum of weights as an int, or as the nearest binary64 number."""
        found = self.total(opened)
        return found.numerator if self.whole else float(found)

    def error(self, rows: int) -> float:
        """Return a bound on what fixed point did to the sum of `rows` weights."""
        return 0.0 if self.whole else float(rows * Fraction(1, 2) / Fraction(2) ** self.scale)

    def most(self, rows: int | None) -> Fraction | None:
        """Return the greatest weight that `rows` further rows can have; None for no bound."""
        return None if rows is None else rows * self.high

    def most_opened(self, rows: int | None) -> int | None:
        """Return the same in the unit of opened numbers, rounded up."""
        found = self.most(rows)
        return None if found is None else -int(-found * Fraction(2) ** self.scale // 1)


def weight_of(name: str | None, joint: Dataset) -> Weight | None:
    """Return the weights of a question, None for none. Raises Misuse, see above."""
    if name is None:
        return None
    column = numeric(name, joint)
    low, high = ends(column)
    if low < 0 or high <= 0:
        raise Misuse(
            f"column {name!r} may hold numbers below 0, or none above, and weights= needs weights",
            hint="its operator publishes it with a range from 0, or from above 0",
        )
    whole = column.kind is Kind.INTEGER
    scale = bounds.scale(bounds.interval(Col(name), joint))
    return Weight(column=name, high=high, whole=whole, scale=scale, may_be_zero=low == 0)


def among(weight: Weight | None, where: Expression | None) -> Expression | None:
    """Return the condition for the rows that count."""
    return where if weight is None else weight.among(where)
