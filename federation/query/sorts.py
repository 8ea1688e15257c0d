"""What sort of value an expression has over one catalogue: the typing of the DAG.

Refused: unknown columns (with the nearest name), identifiers, a bare category, numbers beside categories, conditions
where a number is needed. Messages name columns and the researcher's own text, never a published list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import (
    Binary,
    Both,
    Clip,
    Col,
    Compare,
    Const,
    Either,
    Expression,
    Indicator,
    Member,
    Missing,
    Not,
    Number,
    Power,
    Text,
    Unary,
    ordered,
    written,
)


class Sort(StrEnum):
    """What an expression's value is."""

    NUMBER = "a number"
    TRUTH = "a condition"
    CATEGORY = "a category"
    TEXT = "a text"


def sorts(roots: Iterable[Expression], dataset: Dataset) -> Mapping[int, Sort]:
    """Return {id(node): sort} for every node below `roots`. Raises Misuse where the catalogue gives no meaning."""
    known: dict[int, Sort] = {}
    for node in ordered(roots):
        known[id(node)] = sort_of(node, [known[id(part)] for part in node.parts()], dataset)
    return known


def check(expression: Expression, dataset: Dataset) -> Sort:
    """Return whether `expression` is a number or a condition over `dataset`.

    Raises:
        Misuse: unknown column (with the nearest name), an identifier, a bare category, a mismatch, or a limit.
    """
    found = sorts((expression,), dataset)[id(expression)]
    if found not in (Sort.NUMBER, Sort.TRUTH):
        raise Misuse(f"{written(expression)} is {found}, not a number or a condition", hint="compare it with == or in")
    return found


def sort_of(node: Expression, parts: Sequence[Sort], dataset: Dataset) -> Sort:
    """Return the sort of one node whose parts have the sorts `parts`. Raises Misuse if they do not fit."""
    match node:
        case Col(name):
            kind = dataset.column(name).kind
            if kind is Kind.IDENTIFIER:
                raise Misuse(f"column {name!r} identifies units and stands only in `per`", hint="it never leaves")
            return Sort.CATEGORY if kind is Kind.CATEGORY else Sort.NUMBER
        case Const():
            return Sort.NUMBER
        case Text():
            return Sort.TEXT
        case Binary() | Power() | Unary() | Clip():
            _all(node, parts, Sort.NUMBER)
            return Sort.NUMBER
        case Compare():
            if Sort.CATEGORY in parts or Sort.TEXT in parts:
                _category(node, parts, dataset)
            else:
                _all(node, parts, Sort.NUMBER)
            return Sort.TRUTH
        case Member(of, values):
            _member(of, values, parts[0], dataset)
            return Sort.TRUTH
        case Missing():
            return Sort.TRUTH
        case Not() | Both() | Either():
            _all(node, parts, Sort.TRUTH)
            return Sort.TRUTH
        case Indicator():
            _all(node, parts, Sort.TRUTH)
            return Sort.NUMBER
    raise Misuse(f"{type(node).__name__} is not a node of a query")


def _all(node: Expression, parts: Sequence[Sort], wanted: Sort) -> None:
    for part, found in zip(node.parts(), parts, strict=True):
        if found is not wanted:
            hint = "conditions become 0 or 1 with `indicator`" if found is Sort.TRUTH else ""
            raise Misuse(f"{written(part, 80)} is {found} where {wanted} is needed", hint=hint)


def _category(node: Compare, parts: Sequence[Sort], dataset: Dataset) -> None:
    op, left, right = node.op, node.left, node.right
    if tuple(parts) == (Sort.NUMBER, Sort.TEXT):
        raise Misuse(f"{written(left, 80)} is {Sort.NUMBER}, not {Sort.CATEGORY}", hint="compare it without quotes")
    if not (isinstance(left, Col) and parts[0] is Sort.CATEGORY and isinstance(right, Text)):
        raise Misuse(f"{written(node, 80)}: a category column compares only with a quoted category on its right")
    if op not in ("==", "!="):
        raise Misuse(f"categories have no order: {op} does not apply to column {left.name!r}", hint="use == != in")
    _listed(left.name, right.value, dataset)


def _member(of: Col, values: tuple[str | Number, ...], sort: Sort, dataset: Dataset) -> None:
    for value in values:
        if isinstance(value, str) is not (sort is Sort.CATEGORY):
            wanted = "quoted categories" if sort is Sort.CATEGORY else "numbers"
            raise Misuse(f"the list for column {of.name!r} holds {wanted} only")
        if isinstance(value, str):
            _listed(of.name, value, dataset)


def _listed(column: str, value: str, dataset: Dataset) -> None:
    if value not in dataset.column(column).categories:
        raise Misuse(f"column {column!r} has no category {value[:80]!r}", hint="the catalogue lists its categories")
