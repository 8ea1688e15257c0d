"""What the catalogue declares of a column of numbers: that it is one, its range, and the middle of it, exactly."""

from __future__ import annotations

import math
from fractions import Fraction

from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import INTEGER_LIMIT, Number


def numeric(name: str, joint: Dataset) -> Column:
    """Return the declared column called `name`. Raises Misuse if it does not hold numbers."""
    column = joint.column(name)
    if column.kind not in (Kind.INTEGER, Kind.REAL) or column.low is None or column.high is None:
        raise Misuse(
            f"column {name!r} is of kind {column.kind.value} and holds no numbers",
            hint="count(by=...) counts the rows of each category",
        )
    if column.kind is Kind.INTEGER and max(abs(column.low), abs(column.high)) >= INTEGER_LIMIT:
        raise Misuse(f"column {name!r} holds whole numbers of 2^62 and more", hint="its operator publishes it as real")
    return column


def centre_of(column: Column) -> Number:
    """Return the midpoint of the declared range: a whole number for whole numbers, the nearest binary64 otherwise."""
    low, high = ends(column)
    middle = (low + high) / 2
    return math.floor(middle) if column.kind is Kind.INTEGER else float(middle)


def ends(column: Column) -> tuple[Fraction, Fraction]:
    """Return the joint declared range of a numeric column, exactly."""
    return Fraction(column.low or 0), Fraction(column.high or 0)
