"""Reads the oracle's columns by their published description: missing codes, kinds, ranges.

Refused: a column that is not there, of another length or of another kind, and values that the declared range or list
refuses; messages name the column, never a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.errors import Misuse, Refused
from federation.query.query import reasons

Mask: TypeAlias = npt.NDArray[np.bool_]
Values: TypeAlias = npt.NDArray[Any]  # int64, float64, or objects that are str

PRESENT: Final = -1


@dataclass(frozen=True, slots=True)
class Read:
    """One column as rows hold it.

    Attributes:
        column: the party's own description.
        values: int64, float64 or text by the column's kind; meaningless where missing.
        reason: PRESENT, or the index of the reason in `query.reasons` of the column's missing codes.
    """

    column: Column
    values: Values
    reason: npt.NDArray[np.int64]

    @property
    def present(self) -> Mask:
        """True where there is a value."""
        return np.asarray(self.reason == PRESENT)

    def kept(self, rows: Mask) -> Read:
        """Return the column over some of its rows."""
        return Read(self.column, self.values[rows], self.reason[rows])


def read(dataset: Dataset, columns: Mapping[str, Values], names: tuple[str, ...]) -> dict[str, Read]:
    """Return the named columns by the description of the party's own `dataset`. Raises Misuse or Refused, see above."""
    found: dict[str, Read] = {}
    for name in names:
        if name not in columns:
            raise Misuse(f"the rows have no column {name!r}, which data set {dataset.name!r} publishes")
        column = dataset.column(name)
        array = columns[name]
        numeric = column.kind in (Kind.INTEGER, Kind.REAL)
        found[name] = _numbers(column, array) if numeric and array.dtype.kind in "iufb" else _objects(column, array)
    if len({len(item.values) for item in found.values()}) > 1:
        raise Misuse("the columns of a data set have different lengths")
    return found


def within(found: Read, dataset: str) -> tuple[Read, int]:
    """Return a numeric column with its finite values moved into the declared range, and how many were moved.

    Raises:
        Refused: rule "range", where the column's clause is to refuse, or a category is not in the published list.
    """
    column, values = found.column, found.values
    if column.kind is Kind.CATEGORY:
        if not np.isin(values, np.array(column.categories, dtype=object)).all():
            raise _outside(column, dataset, "categories that are not in its published list")
        return found, 0
    if column.kind is Kind.IDENTIFIER or column.low is None or column.high is None:
        return found, 0
    integer = column.kind is Kind.INTEGER
    low = max(math.ceil(column.low), -(2**63)) if integer else float(column.low)
    high = min(math.floor(column.high), 2**63 - 1) if integer else float(column.high)
    beyond = np.isfinite(values) & ((values < low) | (values > high))
    if beyond.any() and column.outside is Outside.REFUSE:
        raise _outside(column, dataset, "values outside its declared range")
    return Read(column, np.where(beyond, np.clip(values, low, high), values), found.reason), int(beyond.sum())


def _outside(column: Column, dataset: str, what: str) -> Refused:
    return Refused(
        f"column {column.name!r} of data set {dataset!r} holds {what}",
        rule="range",
        hint="publish the data set again as it is",
    )


def _numbers(column: Column, array: Values) -> Read:
    missing = np.ma.getmaskarray(array)
    data = np.ma.getdata(array)
    if column.kind is Kind.REAL:
        values: Values = data.astype(np.float64)
    else:
        whole = np.where(missing, 0, data)
        if not (np.all(whole == np.rint(whole)) and np.all(np.abs(whole.astype(np.float64)) < 2.0**63)):
            raise _kind(column)
        values = whole.astype(np.int64)
    reason = np.where(missing, 0, PRESENT)
    for code, index in _codes(column).items():
        value = _parsed(code, column.kind)
        if value is not None:
            reason[(reason == PRESENT) & (values == value)] = index
    return Read(column, values, reason)


def _objects(column: Column, array: Values) -> Read:
    """The slow path: every value is looked at as a Python object; missing codes may be texts among numbers."""
    missing = np.ma.getmaskarray(array)
    codes = _codes(column)
    numeric = column.kind in (Kind.INTEGER, Kind.REAL)
    reason = np.full(len(array), PRESENT, dtype=np.int64)
    held: list[Any] = []
    for i, boxed in enumerate(np.ma.getdata(array).tolist()):
        item = boxed.item() if isinstance(boxed, np.generic) else boxed
        void = missing[i] or item is None or (not numeric and isinstance(item, float) and math.isnan(item))
        text = "" if void else str(item)
        if void or text in codes:
            reason[i] = 0 if void else codes[text]
            held.append(0 if numeric else "")
        else:
            held.append(_number(column, item) if numeric else text)
    if not numeric:
        return Read(column, np.array(held, dtype=object), reason)
    again = _numbers(column, np.array(held, dtype=np.int64 if column.kind is Kind.INTEGER else np.float64))
    return Read(column, again.values, np.where(reason == PRESENT, again.reason, reason))


def _number(column: Column, item: object) -> int | float:
    if isinstance(item, float) and column.kind is Kind.INTEGER and item.is_integer() and abs(item) < 2.0**63:
        return int(item)
    if isinstance(item, int) and abs(item) < 2**63:
        return item
    if isinstance(item, float) and column.kind is Kind.REAL:
        return item
    raise _kind(column)


def _kind(column: Column) -> Refused:
    return Refused(
        f"column {column.name!r} is published as {column.kind} and holds something else",
        rule="range",
        hint="publish it with its kind, or declare the missing code",
    )


def _codes(column: Column) -> dict[str, int]:
    order = reasons(column.missing)
    return {code: order.index(reason) for code, reason in column.missing}


def _parsed(code: str, kind: Kind) -> int | float | None:
    try:
        return int(code) if kind is Kind.INTEGER else float(code)
    except ValueError:
        return None
