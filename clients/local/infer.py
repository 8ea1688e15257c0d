"""Descriptions of frames that nobody published: for `fed.local`, where one person holds the rows of all parties.

Kinds and category lists are made to agree over all parties, ranges are each party's own. In a federation an operator
writes the description instead, since a range or a list that is read off the rows tells something of them. Refused:
frames with different columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from clients.jurisdiction.engines._look import NOT_GIVEN, Seen, Sort, looked
from clients.jurisdiction.engines.duckdb import DuckDB
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import Number

MOST_CATEGORIES: Final = 1_000  # more distinct texts than this identify somebody
UNIT: Final = "row"


def inferred(name: str, frames: Mapping[str, object]) -> Mapping[str, Dataset]:
    """Return {party: the description of its frame}, fit for `catalogue.agreed`.

    Args:
        name: of the data set.
        frames: party -> pandas or polars frame, pyarrow table, or path of CSV or Parquet; at least one.

    Raises:
        Misuse: a source that cannot be read, or columns that one party has and another has not.
    """
    seen = {party: _seen(frames[party], ()) for party in sorted(frames)}
    names = _common(seen)
    texts = [column for column in names if any(seen[party][column].sort is Sort.TEXT for party in seen)]
    for party in seen:
        if any(seen[party][column].sort is not Sort.TEXT for column in texts):  # "1" counts until another party has "A"
            seen[party] = _seen(frames[party], texts)
    described: dict[str, Dataset] = {}
    for party in seen:
        columns = tuple(_column(column, party, {one: seen[one][column] for one in seen}) for column in names)
        dataset = Dataset(name=name, title=name, unit=UNIT, columns=columns, k=1, own_figures=True)
        with DuckDB.open(dataset, frames[party]) as engine:
            described[party] = replace(dataset, version=engine.version)
    return described


def _seen(source: object, texts: Sequence[str]) -> dict[str, Seen]:
    return {column.name: column for column in looked(source, MOST_CATEGORIES, texts)}


def _common(seen: Mapping[str, Mapping[str, Seen]]) -> list[str]:
    """Return the columns that all parties have, in the order of the first."""
    first = next(iter(seen), "")
    for party, columns in seen.items():
        for column in (*seen[first], *columns):
            if (column in columns) is not (column in seen[first]):
                lacking, having = (party, first) if column in seen[first] else (first, party)
                raise Misuse(f"the frame of {lacking} has no column {column!r}, which that of {having} has")
    return list(seen.get(first, ()))


def _column(name: str, party: str, seen: Mapping[str, Seen]) -> Column:
    """Return a column's description at one party, of the kind that fits what all of them hold."""
    every = list(seen.values())
    sorts = {found.sort for found in every}
    if Sort.TEXT in sorts:
        return _text(name, every)
    low, high = _range(seen[party], every)
    missing = ((NOT_GIVEN, "null"),) if any(found.is_coded for found in every) else ()
    if Sort.REAL in sorts:
        return Column(name=name, kind=Kind.REAL, low=float(low), high=float(high), missing=missing)
    return Column(name=name, kind=Kind.INTEGER, low=low, high=high, missing=missing)


def _range(own: Seen, every: Sequence[Seen]) -> tuple[Number, Number]:
    """Return a party's range; that of the others where it has no number itself, and [0, 0] if nobody has one."""
    for found in ([own], every):
        lows = [item.low for item in found if item.low is not None]
        highs = [item.high for item in found if item.high is not None]
        if lows and highs:
            return min(lows), max(highs)
    return 0, 0


def _text(name: str, seen: Sequence[Seen]) -> Column:
    lists = [found.texts for found in seen]
    texts = sorted(set(chain.from_iterable(found or () for found in lists)))
    if None in lists or len(texts) > MOST_CATEGORIES:
        return Column(name=name, kind=Kind.IDENTIFIER)
    return Column(name=name, kind=Kind.CATEGORY, categories=tuple(texts))
