"""Moments up to the fourth, for skewness and kurtosis: two rounds, the second about the mean that the first opened.

About the middle of a loose range the fourth powers would cancel to nothing; about the mean they do not. All groups
share one centre, the mean of all opened rows, so that the second round is one query. What is opened per cell is n and
the sums of w d, w d^2, w d^3 and w d^4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import is_closed, left_out, require_an_open_cell, unit
from federation.analytics.estimates import Estimate, Estimates, Number
from federation.analytics.groups import By, axes, labels
from federation.analytics.moments import Asked, asked, further, moments, row_error
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends, numeric
from federation.analytics.spans import ANYTHING, Span, between, shown, span
from federation.analytics.weights import Weight, among, weight_of
from federation.domain.catalogue import Column, Dataset, Kind
from federation.query.bounds import interval
from federation.query.expression import Col, Const, Expression
from federation.query.query import SumQuery, Totals, shape

POWERS = (1, 2, 3, 4)
MOST_ERROR = 1e308  # stands for "no bound": the spread of the rows is no more than their rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeParameters:
    """What the shape is of.

    Attributes:
        column: a column of numbers.
        by: a category column, or several, for one estimate per category or combination.
        weights: a column of weights: a row of weight w counts as w rows; None for none.
        bias: True for the moments of the rows themselves (g1, g2), False for the estimates from a sample (G1, G2).
    """

    column: str
    by: By = None
    weights: str | None = None
    bias: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeResult(Estimates):
    """Skewness or kurtosis; `se` is that of a sample of a normal law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """Sums of powers about the centre: `size` rows or weight, then of d to the first to fourth power."""

    size: Span
    sums: tuple[Span, ...]

    def central(self) -> tuple[Span, Span, Span]:
        """Return where the second, third and fourth central moments lie."""
        first, second, third, fourth = (each / self.size for each in self.sums)
        m2 = (second - first.squared).within(0, math.inf)
        m3 = third - 3 * first * second + 2 * first * first.squared
        m4 = fourth - 4 * first * third + 6 * first.squared * second - 3 * first.squared.squared
        return m2, m3, m4.within(0, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    query: SumQuery
    column: Column
    centre: Number
    scales: tuple[int, ...]
    errors: tuple[Fraction, ...]
    weight: Weight | None


Formula = Callable[[Fraction, tuple[Fraction, Fraction, Fraction]], float | None]
Between = Callable[[Powers], Span]


def numbers(parameters: ShapeParameters, joint: Dataset) -> int:
    """Return how many numbers, flags included, the second round opens."""
    middle = asked(parameters.column, parameters.by, None, joint, parameters.weights)
    form = shape(_asked(parameters, None, joint, middle.centre).query, joint)
    return form.numbers + form.rows


def shapes(
    statistic: str,
    parameters: ShapeParameters,
    where: Expression | None,
    joint: Dataset,
    formula: Formula,
    reach: Between,
    error: Callable[[float], float | None],
) -> Plan[ShapeResult]:
    """Ask twice, and return `formula` of every cell.

    Args:
        formula: from rows (or weight) and the second to fourth central moments.
        reach: where it lies, from where the sums lie.
        error: its standard error, from rows (or weight).
    """
    first = asked(parameters.column, parameters.by, where, joint, parameters.weights)
    _asked(parameters, where, joint, first.centre)  # what has no meaning fails before anything is asked
    (opened,) = yield (first.query,)
    require_an_open_cell(opened)
    question = _asked(parameters, where, joint, _middle(first, opened))
    (totals,) = yield (question.query,)
    names = labels(parameters.by, joint)
    cells = [
        _cell(question, first, totals, cell, label, joint, formula, reach, error) for cell, label in enumerate(names)
    ]
    return ShapeResult(
        statistic=statistic,
        column=parameters.column,
        by=parameters.by,
        estimates=tuple(cells),
        left_out=left_out(question.query, totals, joint),
        parties=totals.parties,
        k=joint.k,
        weights=parameters.weights,
    )


def _middle(question: Asked, opened: Totals) -> Number:
    """The mean of all opened rows; a whole number for whole numbers."""
    cells = [moments(question, opened, cell) for cell in range(len(opened.table))]
    size = sum((each.size for each in cells), Fraction(0))
    if not size:
        return question.centre
    mean = sum((each.total for each in cells), Fraction(0)) / size
    low, high = ends(question.column)
    inside = min(max(mean, low), high)
    return round(inside) if question.column.kind is Kind.INTEGER else float(inside)


def _asked(parameters: ShapeParameters, where: Expression | None, joint: Dataset, centre: Number) -> _Question:
    column, weight, per = numeric(parameters.column, joint), weight_of(parameters.weights, joint), unit(joint)
    away = Col(column.name) - Const(centre) if centre else Col(column.name)
    powers = [away**power if power > 1 else away for power in POWERS]
    terms = powers if weight is None else [weight.of * power for power in powers]
    rows: tuple[Expression, ...] = () if per is None else (Const(1),)
    weighing = () if weight is None else (weight.of,)
    query = SumQuery(
        dataset=joint.name,
        where=among(weight, where),
        per=per,
        group_by=axes(parameters.by, joint),
        terms=(*rows, *weighing, *terms),
    )
    scales = shape(query, joint).scales[-len(POWERS) :]
    errors = tuple(row_error(interval(term, joint), s) for term, s in zip(terms, scales, strict=True))
    return _Question(query=query, column=column, centre=centre, scales=scales, errors=errors, weight=weight)


def _cell(
    question: _Question,
    first: Asked,
    totals: Totals,
    cell: int,
    label: str,
    joint: Dataset,
    formula: Formula,
    reach: Between,
    error: Callable[[float], float | None],
) -> Estimate:
    shut = is_closed(totals, cell)
    most = further(first, totals, cell, joint)
    units, *opened = totals.table[cell]
    sums = [Fraction(s) / Fraction(2) ** scale for s, scale in zip(opened[-4:], question.scales, strict=True)]
    before = opened[:-4]
    weight = before.pop() if question.weight else 0
    n = before[0] if before else units
    size = question.weight.total(weight) if question.weight else Fraction(n)
    value = None if shut or size <= 0 else formula(size, _central(size, sums))
    known = Powers(
        size=span(size),
        sums=tuple(between(s - n * e, s + n * e) for s, e in zip(sums, question.errors, strict=True)),
    )
    exact = reach(known) if value is not None else ANYTHING
    off = 0.0 if value is None else min(max(value - exact.low, exact.high - value), MOST_ERROR)
    return Estimate(
        label=label,
        value=value,
        se=None if value is None else error(float(size)),
        n=None if shut else n,
        units=None if shut else units,
        interval=shown(value, ANYTHING if most is None else reach(_with(known, question, most)), is_known=most == 0),
        withheld=totals.withheld[cell],
        closed=shut,
        encoding_error=off if any(question.errors) else 0.0,
        weight=None if shut or question.weight is None else question.weight.number(weight),
    )


def _central(size: Fraction, sums: list[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    first, second, third, fourth = (each / size for each in sums)
    m2 = max(second - first**2, Fraction(0))
    m3 = third - 3 * first * second + 2 * first**3
    return m2, m3, max(fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4, Fraction(0))


def _with(known: Powers, question: _Question, most: Fraction | int) -> Powers:
    """The same sums with up to `most` further rows (or weight) anywhere in the declared range."""
    low, high = ends(question.column)
    away = between(low - Fraction(question.centre), high - Fraction(question.centre))
    powers = (away, away.squared, away * away.squared, away.squared.squared)
    rows = between(0, most)
    return Powers(
        size=known.size + rows,
        sums=tuple(s + rows * power for s, power in zip(known.sums, powers, strict=True)),
    )
