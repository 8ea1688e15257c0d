"""Covariances of several columns, exact but for the rounding of rows: one Gram about a public centre, one round.

What is opened per cell is n, and the sums of w, w d_i and w d_i d_j with d = x - centre, the midpoint of the column's
declared range. Rows that lack one of the columns are left out of all entries (complete cases), so that a matrix of
covariances is one of a set of rows, and never indefinite but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from federation.analytics.cells import is_closed, left_out, require_an_open_cell, rows_left_out, unit
from federation.analytics.estimates import (
    Interval,
    LeavesOut,
    Number,
    RowsLeftOut,
    Suppressed,
    found,
)
from federation.analytics.groups import By, axes, labels, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.moments import row_error
from federation.analytics.plan import Plan
from federation.analytics.ranges import centre_of, ends, numeric
from federation.analytics.spans import ANYTHING, Span, between, shown, span
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Table
from federation.analytics.weights import Weight, among, weight_of
from federation.domain.catalogue import Dataset
from federation.errors import Misuse, did_you_mean
from federation.query.bounds import term_intervals
from federation.query.expression import Col, Const, Expression, Gram
from federation.query.query import SumQuery, Totals, shape

MOST_COLUMNS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixParameters:
    """Which columns.

    Attributes:
        columns: columns of numbers, at least two.
        by: a category column, or several, for one matrix per category or combination.
        weights: a column of weights: a row of weight w counts as w rows; None for none.
    """

    columns: tuple[str, ...]
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One matrix.

    Attributes:
        label: its category, or "all rows".
        n: opened rows without a missing value; None where the cell is closed.
        value: row by row; an entry is None where it does not exist.
        intervals: where each entry over all rows lies.
        encoding_error: bound on what rounding of rows did to each entry.
        weight: sum of the rows' weights; None without weights.
    """

    label: str
    columns: tuple[str, ...]
    n: int | None
    value: tuple[tuple[float | None, ...], ...]
    intervals: tuple[tuple[Interval, ...], ...]
    encoding_error: tuple[tuple[float, ...], ...]
    withheld: int
    weight: Number | None = None

    def __getitem__(self, pair: tuple[str, str]) -> float | None:
        """Return the entry of two columns."""
        i, j = (self._place(name) for name in pair)
        return self.value[i][j]

    def _place(self, name: str) -> int:
        if name not in self.columns:
            raise Misuse(f"the matrix has no column {name!r}", hint=did_you_mean(name, self.columns))
        return self.columns.index(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixResult(LeavesOut, Result):
    """Matrices, per group if asked.

    Attributes:
        statistic: "covariance" or "correlation".
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    statistic: str
    columns: tuple[str, ...]
    by: By
    groups: tuple[Matrix, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Matrix:
        """The one matrix of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one matrix per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[tuple[float | None, ...], ...]:
        """The matrix of a result without `by`, row by row."""
        return self.only.value

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.n or 0 for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every entry that withheld cells leave uncertain, with its interval."""
        lines = []
        for group in self.groups:
            for i, name in enumerate(self.columns if group.withheld else ()):
                for j in range(i, len(self.columns)):
                    what = f"{self.statistic} of {name} and {self.columns[j]}, {group.label}"
                    lines.append(_line(what, group, group.intervals[i][j]))
        return (*lines, *self.left_out.suppressed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        return ("complete cases: rows that lack one of the columns are left out of all entries",)

    def __getitem__(self, key: str | tuple[str, ...]) -> Matrix | float | None:
        """Return an entry by two columns, or with `by` a matrix by its category."""
        if self.by is None:
            if not isinstance(key, tuple) or len(key) != 2:
                raise Misuse("an entry is found by two columns", hint='such as ["age", "pay"]')
            return self.only[key[0], key[1]]
        return found(self.groups, key)

    def table(self) -> Table:
        """Return one row per column and group."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            rows += [(*label, name, *line) for name, line in zip(self.columns, group.value, strict=True)]
        return Table(columns=(*grouping(self.by), "column", *self.columns), rows=tuple(rows))

    def picture(self) -> Picture | None:
        """Return the matrix as colours; None with `by`."""
        if self.by is not None:
            return None
        every = [abs(value) for line in self.value for value in line if value is not None]
        widest = 1.0 if self.statistic == "correlation" else max(every, default=0.0) or 1.0
        return Picture(
            drawn=Drawn.HEAT,
            title=self.statistic,
            x_label="",
            y_label="",
            x=self.columns,
            rows=self.columns,
            y=tuple(value for line in self.value for value in line),
            span=(-widest, widest),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The query for the matrix of some columns, and what is needed to read its answer.

    Attributes:
        centres: per column.
        away: per column, where d = x - centre lies.
        scales: of the Gram's sums.
        errors: bounds on what rounding does to one row's share of each of them; () before `read`.
    """

    query: SumQuery
    columns: tuple[str, ...]
    centres: tuple[Number, ...]
    away: tuple[Span, ...]
    scales: tuple[int, ...]
    weight: Weight | None
    errors: tuple[Fraction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What was opened of one cell: sums[i][j] for i <= j of w d_i d_j, with d_0 = 1; exactly."""

    n: int
    sums: tuple[tuple[Fraction, ...], ...]
    errors: tuple[tuple[Fraction, ...], ...]

    @property
    def size(self) -> Fraction:
        """Sum of the weights; n without weights."""
        return self.sums[0][0]

    def products(self, i: int, j: int) -> Fraction:
        """Sum of w (x_i - mean_i) (x_j - mean_j); columns from 1; size > 0."""
        return self.sums[i][j - i] - self.sums[0][i] * self.sums[0][j] / self.size

    def products_error(self, i: int, j: int) -> Fraction:
        """Bound on what rounding of rows did to `products`."""
        first = [abs(self.sums[0][place]) + self.errors[0][place] for place in (i, j)]
        return self.errors[i][j - i] + (first[0] * self.errors[0][j] + first[1] * self.errors[0][i]) / self.size


def asked(
    names: Sequence[str], by: By, where: Expression | None, joint: Dataset, weights: str | None = None
) -> Question:
    """Return the query for the matrix of `names`, per category of `by`.

    Raises:
        Misuse: fewer than two columns or more than 500, one twice, or one that holds no numbers.
    """
    if not 2 <= len(set(names)) == len(names) <= MOST_COLUMNS:
        raise Misuse(f"a matrix needs 2 to {MOST_COLUMNS} different columns", hint="var is the variance of one")
    declared = [numeric(name, joint) for name in names]
    weight, per = weight_of(weights, joint), unit(joint)
    centres = [centre_of(column) for column in declared]
    away = [Col(column.name) - Const(c) if c else Col(column.name) for column, c in zip(declared, centres, strict=True)]
    gram = Gram(Const(1) if weight is None else weight.of, (Const(1), *away))
    rows: tuple[Expression, ...] = () if per is None else (Const(1),)
    query = SumQuery(
        dataset=joint.name, where=among(weight, where), per=per, group_by=axes(by, joint), terms=(*rows, gram)
    )
    scales = shape(query, joint).scales[len(rows) :]
    reach = [(Fraction(end) - Fraction(c)) for column, c in zip(declared, centres, strict=True) for end in ends(column)]
    return Question(
        query=query,
        columns=tuple(names),
        centres=tuple(centres),
        away=tuple(between(*reach[2 * i : 2 * i + 2]) for i in range(len(names))),
        scales=scales,
        weight=weight,
    )


def read(question: Question, joint: Dataset) -> Question:
    """Return the question with its error bounds, which only whoever shapes a result needs."""
    every = zip(term_intervals(question.query.terms[-1:], joint), question.scales, strict=True)
    return replace(question, errors=tuple(row_error(*each) for each in every))


def opened(question: Question, totals: Totals, cell: int) -> Sums:
    """Return the sums that were opened for `cell`."""
    units, *numbers = totals.table[cell]
    n = numbers.pop(0) if question.query.per is not None else units
    flat = [Fraction(number) / Fraction(2) ** s for number, s in zip(numbers, question.scales, strict=True)]
    size = len(question.columns) + 1
    sums, errors, place = [], [], 0
    for width in range(size, 0, -1):
        sums.append(tuple(flat[place : place + width]))
        errors.append(tuple(n * error for error in question.errors[place : place + width]))
        place += width
    return Sums(n=n, sums=tuple(sums), errors=tuple(errors))


def spans(question: Question, totals: Totals, cell: int, joint: Dataset) -> Callable[[int, int], Span] | None:
    """Return a function for where each covariance over all rows lies; None where nothing is withheld."""
    rows = rows_left_out(question.query, totals, cell, joint)
    if rows == 0:
        return None
    most = rows if question.weight is None else question.weight.most(rows)
    further = between(0, most)
    one = Span(1.0, 1.0)
    away = (one, *question.away)
    known = opened(question, totals, cell)
    size = (further + known.size).within(0, math.inf)
    largest = [_largest(each) for each in question.away]

    def of(i: int, j: int) -> Span:
        products = further * (away[i + 1] * away[j + 1] if i != j else away[i + 1].squared) + known.sums[i + 1][j - i]
        first, second = (further * away[place + 1] + known.sums[0][place + 1] for place in (i, j))
        found = (products - first * second / size) / (size - 1) if size.low > 1 else ANYTHING
        if question.weight is not None and not question.weight.whole:
            return found.within(0, math.inf) if i == j else found
        widest = (largest[i] * largest[j] * (max(size.low, 2) / (max(size.low, 2) - 1))).high
        return found.within(0 if i == j else -widest, widest)

    return of


def over_groups(
    statistic: str,
    parameters: MatrixParameters,
    where: Expression | None,
    joint: Dataset,
    entries: Callable[[Question, Totals, int, Dataset], tuple[list[list[float | None]], list[list[Interval]]]],
) -> Plan[MatrixResult]:
    """Ask for the Gram of the columns; return the result with `entries` of every group."""
    question = asked(parameters.columns, parameters.by, where, joint, parameters.weights)
    (totals,) = yield (question.query,)
    require_an_open_cell(totals)
    question = read(question, joint)
    groups = []
    for cell, label in enumerate(labels(parameters.by, joint)):
        shut = is_closed(totals, cell)
        known = None if shut else opened(question, totals, cell)
        value, intervals = entries(question, totals, cell, joint)
        weight = None if known is None or question.weight is None else question.weight
        groups.append(
            Matrix(
                label=label,
                columns=question.columns,
                n=None if known is None else known.n,
                value=tuple(map(tuple, value)),
                intervals=tuple(map(tuple, intervals)),
                encoding_error=_errors(statistic, known, len(question.columns)),
                withheld=totals.withheld[cell],
                weight=None if known is None or weight is None else float(known.size),
            )
        )
    return MatrixResult(
        statistic=statistic,
        columns=question.columns,
        by=parameters.by,
        groups=tuple(groups),
        left_out=left_out(question.query, totals, joint),
        parties=totals.parties,
        k=joint.k,
        weights=parameters.weights,
    )


def filled(
    size: int, entry: Callable[[int, int], tuple[float | None, Interval]]
) -> tuple[list[list[float | None]], list[list[Interval]]]:
    """Return a symmetric matrix and its intervals from `entry(i, j)` for i <= j."""
    value: list[list[float | None]] = [[None] * size for _ in range(size)]
    intervals: list[list[Interval]] = [[(None, None)] * size for _ in range(size)]
    for i in range(size):
        for j in range(i, size):
            value[i][j], intervals[i][j] = entry(i, j)
            value[j][i], intervals[j][i] = value[i][j], intervals[i][j]
    return value, intervals


def interval_of(value: float | None, of: Callable[[int, int], Span] | None, i: int, j: int) -> Interval:
    """Return the interval of an entry whose span is `of(i, j)`; the value itself where nothing is withheld."""
    return shown(value, ANYTHING if of is None else of(i, j), is_known=of is None)


def _largest(of: Span) -> Span:
    """Half the width of a range, the greatest standard deviation in it (Popoviciu)."""
    return (span(of.high) - of.low) / 2


def _errors(statistic: str, known: Sums | None, size: int) -> tuple[tuple[float, ...], ...]:
    if known is None or known.size <= 1 or statistic != "covariance":
        return ()
    every = range(1, size + 1)
    return tuple(
        tuple(float(known.products_error(min(i, j), max(i, j)) / (known.size - 1)) for j in every) for i in every
    )


def _line(what: str, group: Matrix, interval: Interval) -> Suppressed:
    return Suppressed(what=what, withheld=group.withheld, closed=group.n is None, interval=interval)
