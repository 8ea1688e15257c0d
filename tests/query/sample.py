"""One small data set, strategies for expressions and rows over it, and a slow second oracle to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from federation.domain.catalogue import Column, Dataset, Kind
from federation.query import expression as e
from federation.query.bounds import Interval, intervals
from federation.query.query import Argmin, Bins, Categories, SumQuery, counts, roots, shape, used

Scalar: TypeAlias = Any  # int, float, str or bool; None for not finite, missing, unknown

JOINT = Dataset(
    name="d",
    title="a sample",
    unit="person",
    columns=(
        Column(name="x", kind=Kind.REAL, low=-4, high=8, missing=(("-99", "refused"), ("-98", "unknown"))),
        Column(name="z", kind=Kind.REAL, low=1.0, high=2.0),
        Column(name="n", kind=Kind.INTEGER, low=-5, high=10),
        Column(name="b", kind=Kind.INTEGER, low=-(2**40), high=2**40),
        Column(name="g", kind=Kind.CATEGORY, categories=("a", "b", "it's"), missing=(("?", "unknown"),)),
        Column(name="id", kind=Kind.IDENTIFIER),
    ),
)

COLUMNS = ("x", "z", "n", "b")
CONSTANTS = st.one_of(st.integers(-9, 9), st.floats(-9, 9).map(lambda v: round(v, 3)), st.just(2**61), st.just(1e100))
TEXTS = st.sampled_from(JOINT.column("g").categories)
EXACT = ("neg", "abs", "sqrt")  # functions that every correct machine rounds alike


def numbers(functions: Sequence[str] = e.FUNCTIONS, powers: int = 5) -> st.SearchStrategy[e.Expression]:
    """Draw numbers over the sample; they may have no finite bound."""
    leaves = st.one_of(st.sampled_from(COLUMNS).map(e.Col), CONSTANTS.map(e.Const))

    def grown(inner: st.SearchStrategy[e.Expression]) -> st.SearchStrategy[e.Expression]:
        bounds = st.tuples(CONSTANTS, CONSTANTS).map(sorted)
        return st.one_of(
            st.builds(e.Binary, st.sampled_from(e.ARITHMETIC), inner, inner),
            st.builds(e.Power, inner, st.integers(0, powers)),
            st.builds(e.Unary, st.sampled_from(functions), inner),
            st.builds(lambda of, ends: e.Clip(of, ends[0], ends[1]), inner, bounds),
            st.builds(e.Indicator, _grown_conditions(inner)),
        )

    return st.recursive(leaves, grown, max_leaves=8)


def conditions() -> st.SearchStrategy[e.Expression]:
    """Draw conditions over the sample, with every kind of node."""
    return st.recursive(_grown_conditions(numbers(EXACT, 2), missing=True), _joined, max_leaves=6)


def _grown_conditions(
    inner: st.SearchStrategy[e.Expression], *, missing: bool = False
) -> st.SearchStrategy[e.Expression]:
    plain = [
        st.builds(e.Compare, st.sampled_from(e.COMPARISONS), inner, inner),
        st.builds(e.Compare, st.sampled_from(("==", "!=")), st.just("g").map(e.Col), TEXTS.map(e.Text)),
        st.builds(e.Member, st.just("g").map(e.Col), st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
        st.builds(
            e.Member, st.sampled_from(COLUMNS).map(e.Col), st.lists(CONSTANTS, min_size=1, max_size=3).map(tuple)
        ),
    ]
    if missing:
        plain.append(st.builds(e.Missing, st.sampled_from((*COLUMNS, "g")).map(e.Col)))
    return _joined(st.one_of(plain))


def _joined(inner: st.SearchStrategy[e.Expression]) -> st.SearchStrategy[e.Expression]:
    return st.one_of(inner, st.builds(e.Not, inner), st.builds(e.Both, inner, inner), st.builds(e.Either, inner, inner))


def rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw rows with missing values, missing codes, NaN, infinities and values outside the declared ranges."""
    real = st.one_of(
        st.floats(-4, 8), st.sampled_from((-4.0, 8.0, 0.0, 100.0, -99.0, -98.0, math.nan, math.inf, -math.inf))
    )
    row = st.fixed_dictionaries({
        "x": st.one_of(real, real, st.none()),
        "z": st.one_of(st.floats(1, 2), st.sampled_from((1.0, 1.5, 3.0))),
        "n": st.one_of(st.integers(-7, 12), st.sampled_from((None, 12, 0, 3))),
        "b": st.one_of(st.integers(-(2**40), 2**40), st.sampled_from((2**40, 2**50))),
        "g": st.sampled_from(("a", "b", "it's", "a", "b", None, "?")),
        "id": st.sampled_from(("p", "q", "r", "p", "q", "r", None)),
    })  # fmt: skip
    return st.lists(row, min_size=1, max_size=12)


def arrays(drawn: Sequence[Mapping[str, Any]], *, masked: bool = False) -> dict[str, npt.NDArray[Any]]:
    """Return rows as columns: object arrays with None, or masked arrays of a proper dtype."""
    if not masked:
        return {c.name: np.array([row[c.name] for row in drawn] + [None], dtype=object)[:-1] for c in JOINT.columns}
    found: dict[str, npt.NDArray[Any]] = {}
    for column in JOINT.columns:
        held = [row[column.name] for row in drawn]
        kind = {Kind.INTEGER: np.int64, Kind.REAL: np.float64}.get(column.kind, np.dtype("U8"))
        fill: Any = "" if column.kind in (Kind.CATEGORY, Kind.IDENTIFIER) else 0
        values = np.array([fill if v is None else v for v in held], dtype=kind)
        found[column.name] = np.ma.MaskedArray(values, mask=[v is None for v in held])
    return found


# The slow oracle: one row, one node, one number at a time.


def slow(query: SumQuery, rows_of: Sequence[Mapping[str, Any]]) -> tuple[list[list[int]], list[int]]:
    """Answer by the letter of the rules, row by row; functions are those of EXACT and powers up to 2."""
    form = shape(query, JOINT)
    flat = [
        product
        for term in query.terms
        for product in ([(term.weight * x) * y for x, y in term.pairs()] if isinstance(term, e.Gram) else [term])
    ]
    known = intervals([*roots(query), *flat], JOINT)
    counted = dict.fromkeys(((c.kind, c.column, c.reason) for c in counts(query, JOINT)), 0)
    table = [[0] * (1 + form.terms) for _ in range(form.cells)]
    units: set[tuple[int, str]] = set()
    for row in rows_of:
        if query.where is not None and _raw(query.where, row) is not True:
            continue
        lacking = next(((name, why) for name in used(query) if (why := _reason(name, row)) is not None), None)
        if lacking is not None:
            counted["missing", lacking[0], lacking[1]] += 1
            continue
        moved = {name: _moved(name, row[name], counted) for name in used(query)}
        placed = _cell(query, moved, known)
        sums = [_typed(term, moved, known) for term in flat]
        if placed is None or None in sums:
            counted["non-finite", "", ""] += 1
            continue
        unit = (placed, str(row[query.per.column])) if query.per else None
        if unit is None or unit not in units:
            table[placed][0] += 1
        if unit is not None:
            units.add(unit)
        for i, (value, scale) in enumerate(zip(sums, form.scales, strict=True)):
            table[placed][1 + i] += round(Fraction(value) * Fraction(2) ** scale)  # half to even
    return table, list(counted.values())


def _reason(name: str, row: Mapping[str, Any]) -> str | None:
    if row[name] is None:
        return "null"
    column = JOINT.column(name)
    for code, reason in column.missing:
        if row[name] == (code if column.kind is Kind.CATEGORY else float(code)):
            return reason
    return None


def _moved(name: str, value: Scalar, counted: dict[tuple[str, str, str], int]) -> Scalar:
    column = JOINT.column(name)
    if column.low is None or column.high is None or not math.isfinite(value):
        return value
    if column.low <= value <= column.high:
        return value
    counted["clipped", name, ""] += 1
    end = column.low if value < column.low else column.high
    return float(end) if column.kind is Kind.REAL else int(end)


def _cell(query: SumQuery, row: Mapping[str, Any], known: Mapping[int, Interval]) -> int | None:
    cell = 0
    for axis in query.group_by:
        match axis:
            case Categories(name):
                categories = JOINT.column(name).categories
                cell = cell * len(categories) + categories.index(row[name])
            case Bins(of, edges):
                value = _typed(of, row, known)
                if value is None:
                    return None
                index = sum(1 for edge in edges if value >= edge)
                index = len(edges) - 1 if value == edges[-1] else index
                cell = cell * (len(edges) + 1) + index
            case Argmin(expressions):
                values = [_typed(of, row, known) for of in expressions]
                if any(value is None for value in values):
                    return None
                cell = cell * len(values) + values.index(min(values))  # type: ignore[type-var]
    return cell


def _typed(node: e.Expression, row: Mapping[str, Any], known: Mapping[int, Interval]) -> Scalar:
    return _value(node, row, lambda part: known[id(part)].integer)


def _raw(node: e.Expression, row: Mapping[str, Any]) -> Scalar:
    def integer(part: e.Expression) -> bool:
        if isinstance(part, e.Col):
            return JOINT.column(part.name).kind is Kind.INTEGER
        return isinstance(part, e.Indicator) or (isinstance(part, e.Const) and isinstance(part.value, int))

    return _value(node, row, integer)


def _value(node: e.Expression, row: Mapping[str, Any], integer: Callable[[e.Expression], bool]) -> Scalar:
    if isinstance(node, e.Missing):
        return _reason(node.of.name, row) is not None
    parts = [_value(part, row, integer) for part in node.parts()]
    match node:
        case e.Col(name):
            value = None if _reason(name, row) is not None else row[name]
            return _finite(value if value is None or isinstance(value, str) or integer(node) else float(value))
        case e.Const(value) | e.Text(value):
            return value
        case e.Both():
            return False if False in parts else None if None in parts else True
        case e.Either():
            return True if True in parts else None if None in parts else False
    if None in parts:
        return None
    match node:
        case e.Not():
            return not parts[0]
        case e.Indicator():
            return int(parts[0])
        case e.Compare(op, left, right):
            exact = isinstance(parts[0], str) or (integer(left) and integer(right))
            a, b = parts if exact else map(float, parts)
            return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]
        case e.Member(of, values):
            if isinstance(parts[0], str):
                return parts[0] in values
            return any(
                parts[0] == v if integer(of) and isinstance(v, int) else float(parts[0]) == float(v) for v in values
            )
    whole = integer(node)
    return _finite(_arithmetic(node, [part if whole else float(part) for part in parts]))


def _arithmetic(node: e.Expression, parts: list[Scalar]) -> Scalar:
    match node:
        case e.Binary("+", _, _):
            return parts[0] + parts[1]
        case e.Binary("-", _, _):
            return parts[0] - parts[1]
        case e.Binary("*", _, _):
            return parts[0] * parts[1]
        case e.Binary("/", _, _):
            return None if parts[1] == 0 else parts[0] / parts[1]
        case e.Power(_, exponent):
            return [parts[0] * 0 + 1, parts[0], parts[0] * parts[0]][exponent]
        case e.Clip(_, low, high):
            return min(max(parts[0], low), high)
        case e.Unary("neg", _):
            return -parts[0]
        case e.Unary("abs", _):
            return abs(parts[0])
        case e.Unary("sqrt", _):
            return None if parts[0] < 0 else math.sqrt(parts[0])
    raise AssertionError(node)


def _finite(value: Scalar) -> Scalar:
    return None if isinstance(value, float) and not math.isfinite(value) else value
