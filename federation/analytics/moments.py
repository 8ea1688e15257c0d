"""First and second moments of one column, exact where the column is whole numbers.

Asked about a public centre, the midpoint of the column's joint declared range, so that a range far from zero costs no
digits: what is opened per cell is n, sum of w d and sum of w d^2 with d = x - centre (w = 1 without weights; and how
many units the n rows belong to, where rows are not units). Everything after the opening is Fractions, rounded to
binary64 once, at the end. `sum`, `mean` and `var` ask the same query, so asked together they are one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from federation.analytics.cells import binary64, left_out, require_an_open_cell, rows_left_out, unit
from federation.analytics.estimates import Estimate, Estimates, Number
from federation.analytics.groups import By, axes, labels
from federation.analytics.plan import Plan
from federation.analytics.ranges import centre_of, numeric
from federation.analytics.weights import Weight, among, weight_of
from federation.domain.catalogue import Column, Dataset
from federation.query.bounds import Interval, interval
from federation.query.expression import Col, Const, Expression
from federation.query.query import SumQuery, Totals, shape

# Engines agree with the exact value of a term to 4 units in the last place of its bound: 2 for d = x - c and d^2 in
# binary64, 2 for what the conformance test allows an engine (DESIGN section 5).
ROUNDING = Fraction(4, 2**52)


E = TypeVar("E", bound=Estimates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnParameters:
    """What `sum`, `mean`, `var` and `std` are of.

    Attributes:
        column: a column of numbers.
        by: a category column, or several, for one estimate per category or combination.
        weights: a column of weights, see `analytics.weights`; None is 1 for every row.
        dropna: False for one more group, of rows without a value of `by`.
    """

    column: str
    by: By = None
    weights: str | None = None
    dropna: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The query for the moments of a column, and what is needed to read its answer.

    Attributes:
        scales: s of the two terms: an opened number stands for number / 2^s.
        row_errors: bound on what rounding does to one row's w d and w d^2; 0 where the term is a whole number.
        weight: None for none.
    """

    query: SumQuery
    column: Column
    centre: Number
    scales: tuple[int, int]
    row_errors: tuple[Fraction, Fraction]
    weight: Weight | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What was opened of one cell, exactly: n rows of `units`, sums about the centre, and bounds on their errors.

    Attributes:
        size: sum of the rows' weights; n without weights.
    """

    units: int
    n: int
    size: Fraction
    centre: Fraction
    first: Fraction
    second: Fraction
    first_error: Fraction
    second_error: Fraction

    @property
    def total(self) -> Fraction:
        """Sum of x."""
        return self.first + self.size * self.centre

    @property
    def squares(self) -> Fraction:
        """Sum of x^2."""
        return self.second + 2 * self.centre * self.first + self.size * self.centre**2

    @property
    def squares_error(self) -> Fraction:
        """Bound on the error of `squares`."""
        return self.second_error + 2 * abs(self.centre) * self.first_error

    @property
    def mean(self) -> Fraction:
        """Mean of x; n > 0."""
        return self.centre + self.first / self.size

    @property
    def deviations(self) -> Fraction:
        """Sum of (x - mean)^2; n > 0. Never below 0: rounding of rows may push it there where all values are equal."""
        return max(self.second - self.first**2 / self.size, Fraction(0))

    @property
    def deviations_error(self) -> Fraction:
        """Bound on the error of `deviations`; n > 0."""
        return self.second_error + (2 * abs(self.first) + self.first_error) * self.first_error / self.size

    @property
    def variance(self) -> Fraction | None:
        """Sample variance with n - 1 below the line (sum of weights - 1); None for fewer than two rows."""
        return self.deviations / (self.size - 1) if self.size > 1 else None

    @property
    def mean_se(self) -> float | None:
        """Standard error of the mean, sqrt(variance / n)."""
        return None if self.variance is None else root(self.variance / self.size)


def asked(
    column: str,
    by: By,
    where: Expression | None,
    joint: Dataset,
    weights: str | None = None,
    *,
    dropna: bool = True,
) -> Asked:
    """Return the query for the moments of `column`, per category of `by`.

    Raises:
        Misuse: unknown column, a column that holds no numbers, or a range too wide for its squares to have a bound.
    """
    declared = numeric(column, joint)
    weight = weight_of(weights, joint)
    centre = centre_of(declared)
    away = Col(column) - Const(centre) if centre else Col(column)
    plain: tuple[Expression, Expression] = (away, away**2)
    terms = plain if weight is None else (weight.of * plain[0], weight.of * plain[1])
    per = unit(joint)
    rows: tuple[Expression, ...] = () if per is None else (Const(1),)
    weighing = () if weight is None else (weight.of,)
    query = SumQuery(
        dataset=joint.name,
        where=among(weight, where),
        per=per,
        group_by=axes(by, joint, dropna=dropna),
        terms=(*rows, *weighing, *terms),
    )
    scales = shape(query, joint).scales[-2:]
    errors = tuple(row_error(interval(term, joint), scale) for term, scale in zip(terms, scales, strict=True))
    return Asked(
        query=query,
        column=declared,
        centre=centre,
        scales=(scales[0], scales[1]),
        row_errors=(errors[0], errors[1]),
        weight=weight,
    )


def moments(question: Asked, totals: Totals, cell: int) -> Moments:
    """Return the moments that were opened for `cell`."""
    units, *rows, first, second = totals.table[cell]
    opened = rows.pop() if question.weight else 0
    n = rows[0] if rows else units
    return Moments(
        units=units,
        n=n,
        size=question.weight.total(opened) if question.weight else Fraction(n),
        centre=Fraction(question.centre),
        first=Fraction(first) / Fraction(2) ** question.scales[0],
        second=Fraction(second) / Fraction(2) ** question.scales[1],
        first_error=n * question.row_errors[0],
        second_error=n * question.row_errors[1],
    )


def further(question: Asked, totals: Totals, cell: int, joint: Dataset) -> Fraction | int | None:
    """Return the most rows, or the most weight, of a cell that parties withhold; None where there is no bound."""
    rows = rows_left_out(question.query, totals, cell, joint)
    return rows if question.weight is None else question.weight.most(rows)


def weight_in(question: Asked, found: Moments) -> Number | None:
    """Return the sum of the weights of a cell as a result has it; None without weights."""
    return None if question.weight is None else number(found.size, question.weight.whole)


def root(value: Fraction) -> float:
    """Return the square root of an exact number >= 0: rounded to binary64, then the correctly rounded root of that."""
    return math.sqrt(binary64(value))


def number(value: Fraction, whole: bool) -> Number:
    """Return an int if the sum is one of `whole` numbers, else the nearest binary64 number."""
    return value.numerator if whole and value.denominator == 1 else binary64(value)


def row_error(bound: Interval, scale: int) -> Fraction:
    """Return what rounding does at most to one row's share of a term within `bound`: to binary64, and to 2^-scale."""
    if bound.integer:
        return Fraction(0)
    widest = max(abs(Fraction(bound.low)), abs(Fraction(bound.high)))
    return Fraction(1, 2) / Fraction(2) ** scale + ROUNDING * widest


def over_cells(
    result: Callable[..., E],
    statistic: str,
    parameters: ColumnParameters,
    where: Expression | None,
    joint: Dataset,
    estimate: Callable[[Asked, Totals, int, str, Dataset], Estimate],
) -> Plan[E]:
    """Ask for the moments of a column; return `result` with `estimate(question, totals, cell, label, joint)`s."""
    dropna = parameters.dropna
    question = asked(parameters.column, parameters.by, where, joint, parameters.weights, dropna=dropna)
    (totals,) = yield (question.query,)
    require_an_open_cell(totals)
    cells = enumerate(labels(parameters.by, joint, dropna=dropna))
    return result(
        statistic=statistic,
        column=parameters.column,
        by=parameters.by,
        estimates=tuple(estimate(question, totals, cell, label, joint) for cell, label in cells),
        left_out=left_out(question.query, totals, joint),
        parties=totals.parties,
        k=joint.k,
        weights=parameters.weights,
    )
