"""Grouping: one cell per category of a column or of a coarser level of it, or per combination of several columns'.

A column of few whole numbers (a flag, a year) groups like categories: its declared range lists them. Labels of several
columns are one text with their categories in `parts`, so that a table has a column for each.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Self, TypeAlias

from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import Both, Col, Compare, Const, Expression, Member, Text
from federation.query.query import Argmin, Categories

By: TypeAlias = str | tuple[str, ...] | None

ALL_ROWS = "all rows"
MISSING = "(missing)"
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


def declared(name: str, joint: Dataset) -> Column:
    """Return the column that a grouping is of: itself, or for the name of a level the column that it is a level of."""
    found = joint.level(name)
    return joint.column(name) if found is None else found[0]


def levels(column: str, joint: Dataset, *, dropna: bool = True) -> tuple[str, ...]:
    """Return the cells of one grouping column, or of a coarser level of one, in the order of its axis.

    Args:
        column: its name, or that of the level.
        joint: the joint description.
        dropna: False for one more cell, the last: rows without a value.

    Raises:
        Misuse: not a category column, and not one of at most 64 whole numbers, which have no cell for missing values.
    """
    found = axis(column, joint, dropna=dropna)
    if isinstance(found, Categories):
        return (*found.listed(joint), *((MISSING,) if found.missing else ()))
    return tuple(map(str, _numbers(column, joint)))


def axis(column: str, joint: Dataset, *, dropna: bool = True) -> Categories | Argmin:
    """Return the axis of one grouping column or level. Raises as `levels`."""
    of = declared(column, joint)
    if of.kind is Kind.CATEGORY:
        return Categories(of.name, "" if of.name == column else column, missing=not dropna)
    found = Argmin(tuple((Col(column) - Const(value)) ** 2 for value in _numbers(column, joint)))
    if not dropna:
        raise Misuse(
            f"rows without a value have a cell beside categories only, and {column!r} holds whole numbers",
            hint=f'where("{column} is missing") asks for them',
        )
    return found


def axes(by: By, joint: Dataset, *, dropna: bool = True) -> tuple[Categories | Argmin, ...]:
    """Return one axis per grouping column. Raises as `levels`."""
    return tuple(axis(column, joint, dropna=dropna) for column in columns(by))


def labels(by: By, joint: Dataset, *, dropna: bool = True) -> tuple[str, ...]:
    """Return the cells' labels in the order of the query's cells."""
    names = columns(by)
    if len(names) > 1:
        return tuple(Label(parts) for parts in product(*(levels(name, joint, dropna=dropna) for name in names)))
    return levels(names[0], joint, dropna=dropna) if names else (ALL_ROWS,)


def rows_of(column: str, values: tuple[str, ...], joint: Dataset) -> Expression:
    """Return the condition for rows of a category column, or of a level, with one of `values`."""
    found = joint.level(column)
    if found is None:
        return Member(Col(column), values) if len(values) > 1 else Compare("==", Col(column), Text(values[0]))
    of, level = found
    joined = tuple(category for category, value in zip(of.categories, level.of, strict=True) if value in values)
    return rows_of(of.name, joined, joint)


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
        if declared(column, joint).kind is not Kind.CATEGORY:
            raise Misuse(
                f"this statistic asks again within each group, and by={column!r} holds whole numbers",
                hint=f'ask once per value, where("{column} == ..."), or group by a category column',
            )
        of = rows_of(column, (category,), joint)
        found = of if found is None else Both(found, of)
    return found


def _numbers(column: str, joint: Dataset) -> range:
    of = joint.column(column)
    if of.kind is Kind.INTEGER and of.low is not None and of.high is not None:
        found = range(math.ceil(of.low), math.floor(of.high) + 1)
        if 1 <= len(found) <= MOST_LEVELS:
            return found
    raise Misuse(
        f"by={column!r} groups by a column of kind {of.kind.value}",
        hint=f"a category column, a column of at most {MOST_LEVELS} whole numbers, or a histogram",
    )
