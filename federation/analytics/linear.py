"""Normal equations, solved exactly alike on every machine, and columns that depend on others, named.

Factors are plain Cholesky in binary64 (`query.exact`); solutions are refined with residuals in Fractions, which makes
them right to the last digits as long as the matrix has any. A column counts as dependent on those before it when they
explain all but 2^-40 of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from federation.analytics.asked import Matrix
from federation.errors import JobFailed
from federation.query.exact import NotPositiveDefinite, cholesky, substituted

LEAST: Final = 2.0**-40  # what must be left of a column after those before it have explained it
TURNS: Final = 3  # of refinement; the first leaves about cond * 1e-16 of the error


class Singular(JobFailed):
    """Columns of a model that are combinations of others, named."""

    code = "singular"


@dataclass(frozen=True, slots=True)
class Dependent:
    """Column `place` is a combination of the columns `on`, which stand before it; `on` is empty for a column of 0."""

    place: int
    on: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Factored:
    """A symmetric positive definite matrix and its Cholesky factor.

    Attributes:
        exactly: the matrix.
        lower: L with L L' = matrix, in binary64.
        least: the least share of a column that the columns before it leave unexplained.
    """

    exactly: Matrix
    lower: tuple[tuple[float, ...], ...]
    least: float

    def solve(self, right: Sequence[Fraction]) -> list[Fraction]:
        """Return x with matrix x = right, refined in Fractions and rounded to multiples of a tiny power of two."""
        found = [Fraction(0)] * len(right)
        rest = list(right)
        for _ in range(TURNS):
            step = substituted(self.lower, [float(value) for value in rest])
            found = [x + Fraction(s) for x, s in zip(found, step, strict=True)]
            rest = [b - product for b, product in zip(right, multiplied(self.exactly, found), strict=True)]
        return found

    def quick(self, right: Sequence[float]) -> list[float]:
        """Return x with matrix x = right in binary64."""
        return substituted(self.lower, right)

    def inverse(self) -> list[list[float]]:
        """Return the inverse in binary64, symmetric."""
        size = len(self.lower)
        units = [[float(i == j) for i in range(size)] for j in range(size)]
        found = [self.quick(unit) for unit in units]
        return [[(found[i][j] + found[j][i]) / 2 for j in range(size)] for i in range(size)]


def factored(matrix: Matrix) -> Factored | Dependent:
    """Return the factor of a Gram, or the first of its columns that depends on those before it."""
    rows = [[float(value) for value in row] for row in matrix]
    size = len(rows)
    for place in range(size):
        if rows[place][place] <= 0.0:
            return Dependent(place, ())
    try:
        lower = cholesky(rows)
        broken = size
    except NotPositiveDefinite as error:
        broken = error.pivot
        lower = cholesky([row[:broken] for row in rows[:broken]])
    shares = [lower[i][i] * lower[i][i] / rows[i][i] for i in range(broken)]
    for place in range(broken):
        if shares[place] < LEAST:
            return _dependent(place, rows, lower)
    if broken < size:
        return _dependent(broken, rows, lower)
    return Factored(matrix, tuple(map(tuple, lower)), min(shares, default=1.0))


def singular(found: Dependent, names: Sequence[str]) -> Singular:
    """Return the error that names the columns."""
    name = names[found.place]
    if not found.on:
        return Singular(f"column {name!r} is the same in every row", hint="leave it out, or `collapse=` its level")
    others = ", ".join(repr(names[place]) for place in found.on[:5]) + (", ..." if len(found.on) > 5 else "")
    same = [names[place] for place in found.on] == ["Intercept"]
    what = "is the same in every row" if same else f"is a combination of {others}"
    return Singular(f"column {name!r} {what}", hint="leave one of them out, or use ridge")


def multiplied(matrix: Matrix, vector: Sequence[Fraction]) -> list[Fraction]:
    """Return the product, exactly."""
    return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


def quadratic(matrix: Matrix, vector: Sequence[Fraction]) -> Fraction:
    """Return x' matrix x, exactly."""
    return sum((a * b for a, b in zip(vector, multiplied(matrix, vector), strict=True)), Fraction(0))


def _dependent(place: int, rows: Sequence[Sequence[float]], lower: Sequence[Sequence[float]]) -> Dependent:
    """Explain column `place` by those before it, and keep those that matter."""
    part = [list(row[:place]) for row in lower[:place]]
    found = substituted(part, [rows[place][j] for j in range(place)])
    sizes = [abs(x) * rows[j][j] ** 0.5 for j, x in enumerate(found)]
    most = max(sizes, default=0.0)
    return Dependent(place, tuple(j for j, size in enumerate(sizes) if size > most * 1e-6))
