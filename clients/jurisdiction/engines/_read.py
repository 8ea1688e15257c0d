"""From what a source gives for a `RowQuery` to `Rows`: what is missing is left out, what lies outside is moved.

The rules are those of sums (`federation.query.query`), and so are the counts; whole columns at a time. Refused, by
column and never by value: categories that are not in the published list, and values outside a range whose clause is to
refuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from clients.jurisdiction.engine import Rows
from clients.jurisdiction.sql.layers import reason, value
from clients.jurisdiction.sql.reading import SELECTED, UNIT
from federation.domain.catalogue import Column, Kind, Outside
from federation.errors import JobFailed, Refused
from federation.query.query import CountName

Array: TypeAlias = npt.NDArray[Any]  # masked where a value is missing
Mask: TypeAlias = npt.NDArray[np.bool_]

_INT64: Final = (-(2**63), 2**63 - 1)


def table(
    asked: Sequence[tuple[int, Column]],
    names: Sequence[CountName],
    dataset: str,
    selection: Mapping[str, Array],
    values: dict[str, Array],
) -> Rows:
    """Return the rows that have all their values, in the order of the source.

    Args:
        asked: the columns, each with its place in the data set, as the party publishes it.
        names: what is counted, `row_query.counts`.
        dataset: its name, for messages.
        selection: what `Reading.selection` gave, {} where there was nothing to ask.
        values: what `Reading.values` gave; emptied, so that a column is not held twice.

    Raises:
        Refused: rule "range".
        JobFailed: the engine gave other rows than it said.
    """
    size = len(values[value(asked[0][0])])
    places = _places(selection, size)
    counted: dict[tuple[str, str, str], int] = {}
    complete = _complete(asked, names, values, counted)
    columns: list[Array] = []
    finite: Mask | None = None
    for index, item in asked:
        found = _over(np.ma.getdata(values.pop(value(index))), complete)
        if item.kind is Kind.CATEGORY:
            columns.append(_codes(found, item, dataset))
            continue
        inside, fits, counted["clipped", item.name, ""] = _within(found, item, dataset)
        finite = fits if finite is None else finite if fits is None else finite & fits
        columns.append(inside)
    values.clear()
    counted["non-finite", "", ""] = 0 if finite is None else int(np.count_nonzero(~finite))
    numbers = _over(_over(places, complete), finite)
    units = _units(selection)
    return Rows(
        columns=tuple(_over(found, finite) for found in columns),
        numbers=numbers,
        units=None if units is None else units[numbers],
        counts=tuple(counted[name.kind, name.column, name.reason] for name in names),
    )


def _places(selection: Mapping[str, Array], size: int) -> npt.NDArray[np.int64]:
    """The places in the source of the rows that were asked for."""
    selected = selection.get(SELECTED)
    found = np.arange(size) if selected is None else np.flatnonzero(np.ma.getdata(selected))
    if len(found) != size:
        raise JobFailed("the engine gave other rows than it said", hint="do the data change while they are read?")
    return found.astype(np.int64, copy=False)


def _units(selection: Mapping[str, Array]) -> npt.NDArray[np.int64] | None:
    """Per row of the source, the first row of its unit: a name that stays the same under other conditions."""
    if UNIT not in selection:
        return None
    _, first, each = np.unique(np.ma.getdata(selection[UNIT]), return_index=True, return_inverse=True)
    return np.asarray(first[each], dtype=np.int64)


def _complete(
    asked: Sequence[tuple[int, Column]],
    names: Sequence[CountName],
    values: dict[str, Array],
    counted: dict[tuple[str, str, str], int],
) -> Mask | None:
    """Which rows have all their values, None for all; a row is counted under the first column, by name, it lacks."""
    reasons: dict[str, list[str]] = {}
    for name in names:
        if name.kind == "missing":
            reasons.setdefault(name.column, []).append(name.reason)
            counted["missing", name.column, name.reason] = 0
    complete: Mask | None = None
    for index, item in sorted(asked, key=lambda each: each[1].name):
        why = values.pop(reason(index), None)
        missing: Mask = np.ma.getmaskarray(values[value(index)])
        if not missing.any():
            continue
        lost = missing if complete is None else missing & complete
        order = np.zeros(len(lost), dtype=np.int64) if why is None else np.ma.filled(why, 0)
        tally = np.bincount(order[lost], minlength=len(reasons[item.name]))
        for place, spelled in enumerate(reasons[item.name]):
            counted["missing", item.name, spelled] = int(tally[place])
        complete = ~missing if complete is None else complete & ~missing
    return complete


def _over(of: Array, rows: Mask | None) -> Array:
    return of if rows is None else of[rows]


def _codes(found: Array, item: Column, dataset: str) -> npt.NDArray[np.int32]:
    if len(found) and found.min() < 0:
        raise _outside(item, dataset, "categories that are not in its published list")
    return found.astype(np.int32, copy=False)


def _within(found: Array, item: Column, dataset: str) -> tuple[Array, Mask | None, int]:
    """Return a numeric column moved into its range, which of it is finite (None: all), and how many were moved."""
    low, high = _limits(item)
    least, greatest = (float(found.min()), float(found.max())) if len(found) else (low, high)  # NaN if one is
    finite = None if math.isfinite(least) and math.isfinite(greatest) else np.isfinite(found)
    moved = 0
    if not (low <= least and greatest <= high):
        beyond = (found < low) | (found > high)
        beyond = beyond if finite is None else beyond & finite
        moved = int(np.count_nonzero(beyond))
        if moved and item.outside is Outside.REFUSE:
            raise _outside(item, dataset, "values outside its declared range")
        found = np.where(beyond, np.clip(found, low, high), found) if moved else found
    return found if found.dtype == np.float32 else found.astype(np.float64, copy=False), finite, moved


def _limits(item: Column) -> tuple[float, float]:
    if item.low is None or item.high is None:
        return -math.inf, math.inf
    if item.kind is Kind.INTEGER:
        return max(math.ceil(item.low), _INT64[0]), min(math.floor(item.high), _INT64[1])
    return float(item.low), float(item.high)


def _outside(item: Column, dataset: str, what: str) -> Refused:
    return Refused(
        f"column {item.name!r} of data set {dataset!r} holds {what}",
        rule="range",
        hint="publish the data set again as it is",
    )
