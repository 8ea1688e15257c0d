"""What one node of an expression is over all rows, in numpy: the arithmetic of the oracle.

A number carries where it is known and finite, a condition where it is true and where it is false (Kleene's logic:
neither means unknown). Integers are int64 where the caller's typing says so and binary64 otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

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
    Power,
    Text,
    Unary,
    ordered,
)
from federation.query.rows import Mask, Read, Values

Typing: TypeAlias = Callable[[Expression], bool]  # True where a node is computed in int64


@dataclass(frozen=True, slots=True)
class Known:
    """A number or a category per row, and where it has one that is finite."""

    value: Values
    ok: Mask


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition per row; neither true nor false is unknown."""

    true: Mask
    false: Mask


def evaluated(
    roots: Iterable[Expression], columns: Mapping[str, Read], rows: int, integer: Typing
) -> dict[int, Known | Truth]:
    """Return {id(node): its value over all rows} for every node below `roots`, each computed once.

    Args:
        roots: expressions that were checked.
        columns: what they read.
        rows: how many rows there are; an expression may read no column.
        integer: which nodes are int64.
    """
    found: dict[int, Known | Truth] = {}
    with np.errstate(all="ignore"):  # what is not finite is excluded and counted below, not warned about
        for node in ordered(roots):
            parts = [found[id(part)] for part in node.parts()]
            found[id(node)] = _node(node, parts, columns, rows, integer)
    return found


def real(value: Values) -> Values:
    """Return the values in binary64."""
    return value.astype(np.float64)


def _node(
    node: Expression, parts: Sequence[Known | Truth], columns: Mapping[str, Read], rows: int, integer: Typing
) -> Known | Truth:
    match node:
        case Col(name):
            return _column(columns[name], whole=integer(node))
        case Const(value):
            return Known(np.full(rows, value, dtype=np.int64 if integer(node) else np.float64), np.full(rows, True))
        case Text(value):
            return Known(np.full(rows, value, dtype=object), np.full(rows, True))
        case Compare(op, _, _):
            return _compared(op, *_numbers(parts))
        case Member():
            return _member(node, *_numbers(parts))
        case Missing(of):
            present = columns[of.name].present
            return Truth(~present, present)
        case Not():
            return Truth(_truths(parts)[0].false, _truths(parts)[0].true)
        case Both():
            left, right = _truths(parts)
            return Truth(left.true & right.true, left.false | right.false)
        case Either():
            left, right = _truths(parts)
            return Truth(left.true | right.true, left.false & right.false)
        case Indicator():
            of_truth = _truths(parts)[0]
            return Known(of_truth.true.astype(np.int64), of_truth.true | of_truth.false)
    return _arithmetic(node, _numbers(parts), whole=integer(node))


def _column(found: Read, *, whole: bool) -> Known:
    if found.values.dtype == object:
        return Known(found.values, found.present)
    finite = found.present & np.isfinite(found.values)
    return Known(found.values if whole else real(found.values), finite)


def _arithmetic(node: Expression, parts: Sequence[Known], *, whole: bool) -> Known:
    ok = np.logical_and.reduce([part.ok for part in parts])
    values = [part.value if whole else real(part.value) for part in parts]
    match node:
        case Binary("+", _, _):
            value = values[0] + values[1]
        case Binary("-", _, _):
            value = values[0] - values[1]
        case Binary("*", _, _):
            value = values[0] * values[1]
        case Binary("/", _, _):
            value = values[0] / values[1]
        case Power(_, exponent):
            value = values[0] if exponent else np.ones_like(values[0])
            for _ in range(exponent - 1):  # in written order, as in `bounds`: pow() differs between libraries
                value = value * values[0]
        case Clip(_, low, high):
            value = np.clip(values[0], low, high)
        case Unary(op, _):
            value = _function(op, values[0])
        case _:
            raise Misuse(f"{type(node).__name__} is not a node of a query")
    return Known(value, np.asarray(ok & np.isfinite(value)))


def _function(op: str, of: Values) -> Values:
    match op:
        case "neg":
            found = -of
        case "abs":
            found = np.abs(of)
        case "log":
            found = np.log(of)
        case "exp":
            found = np.exp(of)
        case "sqrt":
            found = np.sqrt(of)
        case "expit":
            found = 1.0 / (1.0 + np.exp(-of))
        case "softplus":
            found = np.maximum(of, 0.0) + np.log1p(np.exp(-np.abs(of)))
        case _:
            found = np.array([math.lgamma(x) if 0 < x < math.inf else math.nan for x in of.tolist()], dtype=np.float64)
    return found


def _compared(op: str, left: Known, right: Known) -> Truth:
    ok = left.ok & right.ok
    a, b = _alike(left.value, right.value)
    match op:
        case "==":
            found = a == b
        case "!=":
            found = a != b
        case "<":
            found = a < b
        case "<=":
            found = a <= b
        case ">":
            found = a > b
        case _:
            found = a >= b
    true = np.asarray(found, dtype=np.bool_)
    return Truth(ok & true, ok & ~true)


def _member(node: Member, of: Known) -> Truth:
    true = np.zeros(len(of.value), dtype=np.bool_)
    for value in node.values:
        a, b = _alike(of.value, np.array(value, dtype=object if isinstance(value, str) else None))
        true |= np.asarray(a == b, dtype=np.bool_)
    return Truth(of.ok & true, of.ok & ~true)


def _alike(left: Values, right: Values) -> tuple[Values, Values]:
    """Two integers, or two texts, as they are; anything else in binary64."""
    same = left.dtype == right.dtype
    return (left, right) if same else (real(left), real(right))


def _numbers(parts: Sequence[Known | Truth]) -> list[Known]:
    return [part for part in parts if isinstance(part, Known)]


def _truths(parts: Sequence[Known | Truth]) -> list[Truth]:
    return [part for part in parts if isinstance(part, Truth)]
