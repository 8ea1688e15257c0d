"""RowQuery: which rows and columns a training reads at home, as a frozen value with canonical bytes.

It is no way out: the answer is rows, which stay in the jurisdiction's room, and what it counts stays there too.
Refused: columns that are not in the catalogue, identifiers, a column named twice, a condition that has no meaning.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from federation.domain import job
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query import query as sums
from federation.query.expression import Col, Expression
from federation.query.query import Categories, CountName, SumQuery

MOST_COLUMNS: Final = 10_000  # what an engine reads of a source

_LABEL: Final = "federation/query/rows/v1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowQuery:
    """Columns of the rows of one data set; equal to another when `canonical` is.

    Attributes:
        dataset: its published name.
        where: a condition, None for all rows.
        columns: what is read, in this order; numbers and categories.
    """

    dataset: str
    where: Expression | None = None
    columns: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowQuery) and canonical(self) == canonical(other)

    def __hash__(self) -> int:
        return hash(canonical(self))


def check(query: RowQuery, dataset: Dataset) -> tuple[Column, ...]:
    """Return the columns that `query` reads, as `dataset` describes them, in the order of the query.

    Raises:
        Misuse: no column or more than MOST_COLUMNS, an unknown one (with the nearest name), one that is named twice, an
            identifier, or a condition without a meaning over `dataset`.
    """
    sums.check(_condition(query), dataset)
    if not 1 <= len(query.columns) <= MOST_COLUMNS:
        raise Misuse(f"rows are read of 1 to {MOST_COLUMNS:,} columns, not {len(query.columns):,}")
    known = {column.name: column for column in dataset.columns}
    found: dict[str, Column] = {}
    for name in query.columns:
        if name in found:
            raise Misuse(f"column {name!r} is read twice", hint="name every column once")
        if name not in known:
            raise Misuse(f"data set {dataset.name!r} has no column {name!r}", hint=did_you_mean(name, known))
        if known[name].kind is Kind.IDENTIFIER:
            what = f"column {name!r} of data set {dataset.name!r} identifies who is counted and is never read"
            raise Misuse(what, hint="leave it out")
        found[name] = known[name]
    return tuple(found.values())


def counts(query: RowQuery, dataset: Dataset) -> tuple[CountName, ...]:
    """Return what an engine counts beside the rows; names and order are those of a sum over the same columns.

    Rows that lack a value are counted under the first column, by name, that lacks it. Raises Misuse, see `check`.
    """
    return sums.counts(alike(query, dataset), dataset)


def alike(query: RowQuery, dataset: Dataset) -> SumQuery:
    """Return the sum that uses the same columns of the same rows: the oracle's word on who is left out and why."""
    found = check(query, dataset)
    numbers = tuple(Col(column.name) for column in found if column.kind is not Kind.CATEGORY)
    axes = tuple(Categories(column.name) for column in found if column.kind is Kind.CATEGORY)
    return SumQuery(dataset=query.dataset, where=query.where, group_by=axes, terms=numbers)


def canonical(query: RowQuery) -> bytes:
    """Return the bytes that the query is compared, hashed and recorded by: its condition's, and the names as NFC."""
    parts = [sums.canonical(_condition(query))]
    parts += [unicodedata.normalize("NFC", name).encode("utf-8") for name in query.columns]
    return _LABEL.encode("ascii") + b"\x00" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def digest(query: RowQuery) -> bytes:
    """Return the 32 bytes that name the query in records."""
    return job.digest(_LABEL, canonical(query))


def _condition(query: RowQuery) -> SumQuery:
    return SumQuery(dataset=query.dataset, where=query.where)
