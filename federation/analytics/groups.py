"""Grouping: one cell per category of a column, or per combination of the categories of several.

A column of few whole numbers (a flag, a year) groups like categories: its declared range lists them. Labels of several
columns are one text with their categories in `parts`, so that a table has a column for each.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Self, TypeAlias

from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import Both, Col, Compare, Const, Expression, Text
from federation.query.query import Argmin, Categories

By: TypeAlias = str | tuple[str, ...] | None

ALL_ROWS = "all rows"
MOST_LEVELS = 64  # of a column of whole numbers that groups
SEPARATOR = ", "


class Label(str):
    """The categories of several columns as one text; `parts` has them one by one."""

    __slots__ = ("parts",)

    parts: tuple[str, ...]

    def __new__(cls, parts: tuple[str, ...]) -> Self:
        made = super().__new__(cls, SEPARATOR.join(parts))
        made.parts = parts
        return made


def columns(by: By) -> tuple[str, ...]:
    """Return the grouping columns, () for none. Raises Misuse for an empty list or a column that is named twice."""
    if by is None:
        return ()
    names = (by,) if isinstance(by, str) else by
    if not names or len(set(names)) != len(names):
        raise Misuse("by= names one column, or several different ones", hint="leave it out for all rows together")
    return names


def written(by: By) -> str:
    """Return the grouping columns as people write them, "" for none."""
    return SEPARATOR.join(columns(by))


def levels(column: str, joint: Dataset) -> tuple[str, ...]:
    """Return the cells of one grouping column, in the order of its axis.

    Raises:
        Misuse: not a category column, and not one of at most 64 whole numbers.
    """
    declared = joint.column(column)
    if declared.kind is Kind.CATEGORY:
        return declared.categories
    return tuple(map(str, _numbers(column, joint)))


def axis(column: str, joint: Dataset) -> Categories | Argmin:
    """Return the axis of one grouping column. Raises as `levels`."""
    if joint.column(column).kind is Kind.CATEGORY:
        return Categories(column)
    return Argmin(tuple((Col(column) - Const(value)) ** 2 for value in _numbers(column, joint)))


def axes(by: By, joint: Dataset) -> tuple[Categories | Argmin, ...]:
    """Return one axis per grouping column. Raises as `levels`."""
    return tuple(axis(column, joint) for column in columns(by))


def labels(by: By, joint: Dataset) -> tuple[str, ...]:
    """Return the cells' labels in the order of the query's cells."""
    names = columns(by)
    if len(names) > 1:
        return tuple(Label(parts) for parts in product(*(levels(name, joint) for name in names)))
    return levels(names[0], joint) if names else (ALL_ROWS,)


def parts(label: str) -> tuple[str, ...]:
    """Return a label's categories, one per grouping column."""
    return label.parts if isinstance(label, Label) else (label,)


def is_named(label: str, key: object) -> bool:
    """Return whether `key` means this label: its text, or a tuple with one category per grouping column."""
    return label == key or (isinstance(key, tuple) and parts(label) == key)


def within(where: Expression | None, by: By, label: str, joint: Dataset) -> Expression | None:
    """Return the condition for the rows of one group of category columns.

    Raises:
        Misuse: a grouping column of whole numbers: an axis moves values into the declared range, a condition does not.
    """
    found = where
    for column, category in zip(columns(by), parts(label), strict=False):
        if joint.column(column).kind is not Kind.CATEGORY:
            raise Misuse(
                f"this statistic asks again within each group, and by={column!r} holds whole numbers",
                hint=f'ask once per value, where("{column} == ..."), or group by a category column',
            )
        of = Compare("==", Col(column), Text(category))
        found = of if found is None else Both(found, of)
    return found


def _numbers(column: str, joint: Dataset) -> range:
    declared = joint.column(column)
    if declared.kind is Kind.INTEGER and declared.low is not None and declared.high is not None:
        found = range(math.ceil(declared.low), math.floor(declared.high) + 1)
        if 1 <= len(found) <= MOST_LEVELS:
            return found
    raise Misuse(
        f"by={column!r} groups by a column of kind {declared.kind.value}",
        hint=f"a category column, a column of at most {MOST_LEVELS} whole numbers, or a histogram",
    )
