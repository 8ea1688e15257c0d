"""SumQuery: the only thing that a jurisdiction runs on its rows for a statistic, and the integers that it answers with.

Queries are equal when their canonical bytes are; the bytes do not depend on which parts were shared objects. Refused:
identifiers outside `per`, `is missing` outside `where`, more than 1,000,000 numbers.

Rules of rows, the same for the oracle and for every engine:
1. `where` selects rows, in Kleene's logic on the raw values: missing codes are missing, nothing is clipped, arithmetic
   is in binary64 (a bare INTEGER column and integers compare exactly), and a comparison with a side that is missing or
   not finite is unknown. Only true selects.
2. Of the selected rows those with a missing value in a used column (terms, axes, per) are excluded, and counted under
   the first such column in name order and its reason. An axis with a cell for them does not use its column.
3. Finite numbers outside the party's own declared range are moved to it and counted per column, or the query is refused
   (`outside`); a category that is not in the published list is always refused (rule "range").
4. A row with a term or axis that is not finite is excluded and counted as non-finite. What is computed from a number
   that is not finite is not finite either (1 / (1 / 0) is not 0), nor is an indicator of an unknown condition.
5. Each node is evaluated in int64 where its interval is integer and in binary64 otherwise; a term is multiplied by
   2^scale, rounded half-even to an integer, and summed in 128 bits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from struct import pack
from typing import Final, TypeAlias

from federation.domain import job
from federation.domain.catalogue import Dataset, Kind, Level
from federation.errors import Misuse
from federation.query import bounds
from federation.query.expression import (
    Binary,
    Clip,
    Col,
    Compare,
    Const,
    Expression,
    Gram,
    Member,
    Missing,
    Number,
    Power,
    Term,
    Text,
    Unary,
    columns,
    number,
    ordered,
    written,
)
from federation.query.sorts import Sort, sorts

MOST_NUMBERS: Final = 1_000_000  # of one query: cells x (1 + terms) + counts


@dataclass(frozen=True, slots=True)
class Unit:
    """Who is counted: rows are first reduced to one row per (cell, unit), so column 0 counts distinct units."""

    column: str


@dataclass(frozen=True, slots=True)
class Categories:
    """One cell per category of a CATEGORY column, in published order.

    Attributes:
        level: a coarser level of the column, for one cell per value of that; "" for the categories themselves.
        missing: whether rows without a value have a cell of their own, the last, and are not excluded for that.
    """

    column: str
    level: str = ""
    missing: bool = False

    def listed(self, dataset: Dataset) -> tuple[str, ...]:
        """Return what the cells stand for, but for that of missing values. Raises Misuse for a level that is none."""
        return dataset.column(self.column).categories if not self.level else self._level(dataset).values

    def places(self, dataset: Dataset) -> tuple[int, ...]:
        """Return the cell of every category."""
        if not self.level:
            return tuple(range(len(dataset.column(self.column).categories)))
        level = self._level(dataset)
        return tuple(map(level.values.index, level.of))

    def _level(self, dataset: Dataset) -> Level:
        for level in dataset.column(self.column).levels:
            if level.name == self.level:
                return level
        raise Misuse(f"column {self.column!r} has no level {self.level!r}", hint="the catalogue lists its levels")


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Cells by the value of a number: below e0, [e0, e1), ..., [e_{m-1}, e_m] (the last is closed), above e_m.

    Attributes:
        edges: e0 < e1 < ... < e_m, at least two, m + 2 cells; integers stay exact where `of` is an integer too.
    """

    of: Expression
    edges: tuple[Number, ...]

    def __post_init__(self) -> None:
        edges = tuple(number(edge) for edge in self.edges)
        object.__setattr__(self, "edges", edges)
        if len(edges) < 2 or any(not low < high for low, high in pairwise(edges)):
            raise Misuse("Bins needs at least two edges, strictly increasing")


@dataclass(frozen=True, slots=True, eq=False)
class Argmin:
    """The index of the least expression is the cell; ties go to the lowest index."""

    expressions: tuple[Expression, ...]

    def __post_init__(self) -> None:
        if not self.expressions:
            raise Misuse("Argmin needs at least one expression")


Axis: TypeAlias = Categories | Bins | Argmin


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SumQuery:
    """Sums over the rows of one data set; equal to another when `canonical` is.

    Attributes:
        dataset: its published name.
        where: a condition, None for all rows.
        per: who is counted, None for rows.
        group_by: axes; the cells are their product in row-major order, one cell without axes.
        terms: what is summed per cell beside the count; a `Gram` is many sums.
        flags_only: whether nothing opens but how many parties withhold each cell: no cell is open.
        memo: what was worked out about this very object, which never changes; a plan asks for its shape many times.
    """

    dataset: str
    where: Expression | None = None
    per: Unit | None = None
    group_by: tuple[Axis, ...] = ()
    terms: tuple[Term, ...] = ()
    flags_only: bool = False
    memo: Memo = field(default_factory=lambda: Memo(), init=False, repr=False)  # noqa: PLW0108 - defined below

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SumQuery) and canonical(self) == canonical(other)

    def __hash__(self) -> int:
        return hash(canonical(self))


@dataclass(slots=True, eq=False)
class Memo:
    """The canonical bytes of a query, and its shape over the data set that was asked for last."""

    canonical: bytes = b""
    dataset: Dataset | None = None
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class CountName:
    """What a number in `counts` counts.

    Attributes:
        kind: "missing", "clipped" or "non-finite".
        column: its column, "" for non-finite.
        reason: the declared reason, "null" for NULL, "" for the other kinds.
    """

    kind: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How long an answer is, and how to read it.

    Attributes:
        cells: product of the axes' sizes.
        terms: sums per cell, each Gram spelled out.
        counts: what stands in `counts`, in order.
        scales: s per term; the numbers are 2^s times the sum.
        intervals: where each term lies.
    """

    cells: int
    terms: int
    counts: tuple[CountName, ...]
    scales: tuple[int, ...]
    intervals: tuple[bounds.Interval, ...]

    @property
    def rows(self) -> int:
        """Support rows: what is withheld or closed as one, the cells and then each count."""
        return self.cells + len(self.counts)

    @property
    def numbers(self) -> int:
        """Numbers of one answer."""
        return self.cells * (1 + self.terms) + len(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One party's local answer; never leaves it as it is.

    Attributes:
        table: (cells, 1 + terms) integers; column 0 counts units.
        counts: rows excluded or clipped, by `Shape.counts`.
    """

    table: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The opened sum over all parties.

    Attributes:
        table: (cells, 1 + terms) integers over the parties that did not withhold.
        counts: as in `Answer`.
        withheld: per cell, how many parties withheld theirs because it held fewer than k units; all of them if closed.
        withheld_counts: the same per count.
        parties: how many parties took part.
        closed: per cell, True where it was not opened because too few parties could contribute.
    """

    table: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]
    withheld: tuple[int, ...]
    withheld_counts: tuple[int, ...]
    parties: int
    closed: tuple[bool, ...]


def axis_size(axis: Axis, dataset: Dataset) -> int:
    """Return how many cells the axis has. Raises Misuse for categories of a column that is not a category."""
    match axis:
        case Categories(column):
            found = dataset.column(column)
            if found.kind is not Kind.CATEGORY:
                raise Misuse(f"column {column!r} is {found.kind}, not a category", hint="group numbers with Bins")
            return len(axis.listed(dataset)) + axis.missing
        case Bins(_, edges):
            return len(edges) + 1
        case Argmin(expressions):
            return len(expressions)


def roots(query: SumQuery) -> tuple[Expression, ...]:
    """Return the expressions of axes and terms, left to right; `where` is not one of them."""
    found: list[Expression] = []
    for axis in query.group_by:
        match axis:
            case Bins(of, _):
                found.append(of)
            case Argmin(expressions):
                found.extend(expressions)
            case Categories():
                pass
    for term in query.terms:
        found.extend((term.weight, *term.columns) if isinstance(term, Gram) else (term,))
    return tuple(found)


def used(query: SumQuery) -> tuple[str, ...]:
    """Return the sorted names of the columns that terms, axes and per use; a row that lacks one is excluded."""
    axes = {axis.column for axis in query.group_by if isinstance(axis, Categories) and not axis.missing}
    per = {query.per.column} if query.per else set()
    clusters = {term.clusters for term in query.terms if isinstance(term, Gram) and term.clusters}
    return tuple(sorted({*columns(roots(query)), *axes, *per, *clusters}))


def grouped(query: SumQuery) -> tuple[str, ...]:
    """Return the sorted names of the category columns that cells are of, those with a cell for missing values too."""
    return tuple(sorted({axis.column for axis in query.group_by if isinstance(axis, Categories)}))


def check(query: SumQuery, dataset: Dataset) -> None:
    """Check that every part of `query` has a meaning over `dataset`. Raises Misuse naming what has none."""
    if query.dataset != dataset.name:
        raise Misuse(f"the query is for data set {query.dataset!r}, not {dataset.name!r}")
    if query.per is not None and dataset.column(query.per.column).kind is not Kind.IDENTIFIER:
        raise Misuse(f"units are counted by an identifier, column {query.per.column!r} is none")
    if query.where is not None:
        _wanted(query.where, sorts((query.where,), dataset)[id(query.where)], Sort.TRUTH)
    for term in query.terms:
        if isinstance(term, Gram) and term.clusters and dataset.column(term.clusters).kind is Kind.REAL:
            raise Misuse(f"column {term.clusters!r} holds real numbers, which name no clusters", hint="an identifier")
    numbers = roots(query)
    known = sorts(numbers, dataset)
    for root in numbers:
        _wanted(root, known[id(root)], Sort.NUMBER)
    ordered(numbers if query.where is None else (query.where, *numbers))  # the limits hold for the whole query
    for node in ordered(numbers):
        if isinstance(node, Missing):
            raise Misuse(
                f"{written(node, 80)}: rows without a used value are excluded before terms and axes are computed",
                hint="ask it in `where`; the counts tell how many are missing",
            )


def counts(query: SumQuery, dataset: Dataset) -> tuple[CountName, ...]:
    """Return what the answer counts beside units, by used column in name order and then non-finite rows."""
    found: list[CountName] = []
    for name in used(query):
        column = dataset.column(name)
        found.extend(CountName("missing", name, reason) for reason in reasons(column.missing))
        if column.kind in (Kind.INTEGER, Kind.REAL):
            found.append(CountName("clipped", name, ""))
    return (*found, CountName("non-finite", "", ""))


def reasons(missing: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the reasons of a column's missing codes, "null" first, each once, in declared order."""
    return tuple(dict.fromkeys(("null", *(reason for _, reason in missing))))


def shape(query: SumQuery, dataset: Dataset) -> Shape:
    """Return the shape of every answer to `query`.

    Args:
        query: any.
        dataset: the joint description (`catalogue.agreed`), so that all parties use the same scales.

    Raises:
        Misuse: no meaning over the data set, a term or axis without finite bounds, or too many numbers.
    """
    memo = query.memo
    if memo.shape is None or memo.dataset is not dataset:
        memo.shape, memo.dataset = _shape(query, dataset), dataset
    return memo.shape


def _shape(query: SumQuery, dataset: Dataset) -> Shape:
    check(query, dataset)
    cells = prod(axis_size(axis, dataset) for axis in query.group_by)
    terms = sum(term.sums if isinstance(term, Gram) else 1 for term in query.terms)
    named = counts(query, dataset)
    if cells * (1 + terms) + len(named) > MOST_NUMBERS:
        raise Misuse(f"a query asks at most {MOST_NUMBERS} numbers", hint="fewer cells, fewer terms or several rounds")
    bounds.intervals(roots(query), dataset)  # axes too: their nodes need a type
    intervals = bounds.term_intervals(query.terms, dataset)
    scales = tuple(bounds.scale(interval) for interval in intervals)
    return Shape(cells=cells, terms=terms, counts=named, scales=scales, intervals=intervals)


def canonical(query: SumQuery) -> bytes:
    """Return the bytes that the query is compared, hashed and recorded by; linear in the DAG.

    A table of nodes, equal ones once, in the order of a left-to-right walk over where, axes and terms; then the query
    in indices of the table. Texts are NFC, floats IEEE-754 big-endian, integers tagged apart from floats.
    """
    if not query.memo.canonical:
        query.memo.canonical = _canonical(query)
    return query.memo.canonical


def _canonical(query: SumQuery) -> bytes:
    table: dict[bytes, int] = {}
    index: dict[int, int] = {}
    where = () if query.where is None else (query.where,)
    for node in ordered((*where, *roots(query))):
        parts = b"".join(_index(index[id(part)]) for part in node.parts())
        index[id(node)] = table.setdefault(_head(node) + parts, len(table))
    body = [_text(query.dataset), _list(_index(index[id(root)]) for root in where)]
    body.append(_list([_text(query.per.column)] if query.per else []))
    body.append(_list(_axis(axis, index) for axis in query.group_by))
    body.append(_list(_term(term, index) for term in query.terms))
    if query.flags_only:
        body.append(b"flags")
    return b"federation/query/v1\x00" + _list(_sized(encoded) for encoded in table) + b"".join(body)


def digest(query: SumQuery) -> bytes:
    """Return the 32 bytes that name the query in records."""
    return job.digest("federation/query/v1", canonical(query))


def _wanted(root: Expression, found: Sort, wanted: Sort) -> None:
    if found is not wanted:
        hint = "conditions become 0 or 1 with `indicator`" if found is Sort.TRUTH else ""
        raise Misuse(f"{written(root, 80)} is {found} where {wanted} is needed", hint=hint)


def _head(node: Expression) -> bytes:
    """Everything of a node but its parts, self-delimiting: the class name, then its own values."""
    tag = _text(type(node).__name__)
    match node:
        case Col(text) | Text(text) | Binary(text) | Unary(text) | Compare(text):
            return tag + _text(text)
        case Const(value):
            return tag + _value(value)
        case Power(_, exponent):
            return tag + _value(exponent)
        case Clip(_, low, high):
            return tag + _value(low) + _value(high)
        case Member(_, values):
            return tag + _list(_value(value) for value in values)
    return tag


def _axis(axis: Axis, index: dict[int, int]) -> bytes:
    match axis:
        case Categories(column, "", False):
            return b"c" + _text(column)
        case Categories(column, level, missing):
            return b"l" + _text(column) + _text(level) + bytes([missing])
        case Bins(of, edges):
            return b"b" + _index(index[id(of)]) + _list(_value(edge) for edge in edges)
        case Argmin(expressions):
            return b"a" + _list(_index(index[id(of)]) for of in expressions)


def _term(term: Term, index: dict[int, int]) -> bytes:
    if isinstance(term, Gram):
        tag = b"c" + _text(term.clusters) if term.clusters else b"g"
        return tag + _index(index[id(term.weight)]) + _list(_index(index[id(x)]) for x in term.columns)
    return b"e" + _index(index[id(term)])


def _value(value: Number | str) -> bytes:
    if isinstance(value, str):
        return b"s" + _text(value)
    if isinstance(value, int):
        return b"i" + value.to_bytes(8, "big", signed=True)  # Const keeps integers below 2^62
    return b"f" + pack(">d", value + 0.0)


def _text(value: str) -> bytes:
    return _sized(unicodedata.normalize("NFC", value).encode("utf-8"))


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _index(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _list(items: Iterable[bytes]) -> bytes:
    held = list(items)
    return len(held).to_bytes(4, "big") + b"".join(held)
