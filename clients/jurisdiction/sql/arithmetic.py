"""Expressions as columns of `Layers`: equal parts of all queries of a round are one column, and no row raises.

A number that is missing or not finite is NULL, and NULL stands for "unknown" in conditions, which is Kleene's logic in
SQL as in the rules of rows (`federation.query.query`). In terms a column is moved into its declared range before it is
used, so that intervals tell which operations can fail; those that can get a guard. In `where` values are raw, and every
operation has one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlglot import exp

from clients.jurisdiction.sql.layers import (
    Layers,
    absent,
    as_real,
    as_whole,
    call,
    column,
    finite,
    present,
    real,
    value,
    when,
    whole,
)
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.bounds import Interval, intervals
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
)

_COMPARED: Final = {"==": exp.EQ, "!=": exp.NEQ, "<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}
_COMBINED: Final = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul}
_INT64: Final = (-(2**63), 2**63 - 1)


_NEVER: Final[frozenset[str]] = frozenset()
_ONES: Final = (whole(1), real(1))


class Mode(Enum):
    """Which values an expression reads."""

    TERMS = "terms"  # moved into the declared range; typed by the intervals of the joint description
    WHERE = "where"  # as they are; only bare columns and constants are integers


@dataclass(frozen=True, slots=True)
class Part:
    """What a node became.

    Attributes:
        sql: its expression; a column of `Layers` if it is used more than once.
        whole: True for BIGINT, False for DOUBLE; meaningless for conditions.
        fails: columns of which one is NULL where this is NULL, in a row that has all its values; none if it never is.
    """

    sql: exp.Expr
    whole: bool
    fails: frozenset[str] = _NEVER

    @property
    def number(self) -> exp.Expr:
        """The value in its own type."""
        return self.sql.copy() if isinstance(self.sql, exp.Column | exp.Cast) else self.sql

    @property
    def real(self) -> exp.Expr:
        """The value in binary64."""
        return as_real(self.number) if self.whole else self.number


@dataclass(slots=True)
class _Entry:
    """One of all equal nodes: where it stands, what it is made of and how many read it."""

    number: int
    node: Expression
    mode: Mode
    parts: tuple[_Entry, ...]
    whole: bool
    interval: Interval | None
    uses: int = 0
    made: Part | None = None


class Arithmetic:
    """The expressions of one round over one party's rows.

    Args:
        layers: where columns are named.
        own: the party's publication, whose ranges are enforced.
        joint: the joint description, whose ranges type the terms.
        sound: columns of which every row is known to have a value, finite and in the own range.
    """

    def __init__(self, layers: Layers, own: Dataset, joint: Dataset, sound: frozenset[str] = _NEVER) -> None:
        self._layers, self._joint, self._sound = layers, joint, sound
        self._own = {item.name: (index, item) for index, item in enumerate(own.columns)}
        self._entries: dict[Hashable, _Entry] = {}
        self._at: dict[tuple[Mode, int], _Entry] = {}
        self._waiting: list[_Entry] = []

    def add(self, mode: Mode, roots: Iterable[Expression]) -> None:
        """Take in expressions that were checked; all of a round before the first `part`, so that uses are known."""
        roots = tuple(roots)
        known = intervals(roots, self._joint) if mode is Mode.TERMS else {}
        for node in ordered(roots):
            if (mode, id(node)) not in self._at:
                self._at[mode, id(node)] = self._entry(mode, node, known)
        for root in roots:
            self._at[mode, id(root)].uses += 2  # a root is read by its own test and by what it is for

    def part(self, mode: Mode, root: Expression) -> Part:
        """Return what a root became."""
        for entry in self._waiting:  # parts stand before wholes
            entry.made = self._made(entry)
        self._waiting.clear()
        found = self._at[mode, id(root)].made
        if found is None:
            raise Misuse("the expression was not taken in before it was asked for")
        return found

    def _entry(self, mode: Mode, node: Expression, known: Mapping[int, Interval]) -> _Entry:
        parts = tuple(self._at[mode, id(part)] for part in node.parts())
        key = (mode, type(node).__name__, _scalars(node), *(part.number for part in parts))
        if key not in self._entries:
            interval = known.get(id(node))
            is_whole = interval.integer if interval is not None else self._bare(node)
            self._entries[key] = _Entry(len(self._entries), node, mode, parts, is_whole, interval)
            self._waiting.append(self._entries[key])
            for part in parts:
                part.uses += 1
        return self._entries[key]

    def _bare(self, node: Expression) -> bool:
        if isinstance(node, Col):
            return self._own[node.name][1].kind is Kind.INTEGER
        return isinstance(node, Indicator) or (isinstance(node, Const) and isinstance(node.value, int))

    def _made(self, entry: _Entry) -> Part:
        parts = [part.made for part in entry.parts if part.made is not None]
        match entry.node:
            case Col(name):
                return self._column(entry, *self._own[name])
            case Const(number):
                return Part(_constant(number, is_whole=entry.whole), entry.whole)
            case Text(text):
                return Part(exp.Literal.string(text), whole=False)  # looked up by _condition, never written out
            case Missing(of):
                return self._named(entry, absent(column(value(self._own[of.name][0]))), _NEVER)
            case Both() | Either():  # one side may settle it while the other is unknown
                can_fail = any(part.fails for part in parts)
                return self._settled(entry, self._condition(entry, parts)) if can_fail else self._plain(entry, parts)
            case Compare() | Member() | Not() | Indicator():
                return self._plain(entry, parts)
        if entry.mode is Mode.WHERE:
            return self._guarded(entry, parts)
        found, can_fail = self._arithmetic(entry, parts)
        return self._settled(entry, found) if can_fail else self._named(entry, found, _all(parts))

    def _plain(self, entry: _Entry, parts: list[Part]) -> Part:
        return self._named(entry, self._condition(entry, parts), _all(parts))

    def _named(self, entry: _Entry, found: exp.Expr, fails: frozenset[str]) -> Part:
        if entry.uses > 1 and not isinstance(found, exp.Column):
            found = column(self._layers.let(found))
        return Part(found, entry.whole, fails)

    def _settled(self, entry: _Entry, found: exp.Expr) -> Part:
        """A column that tells by itself whether it failed."""
        name = self._layers.let(found)
        return Part(column(name), entry.whole, frozenset({name}))

    def _guarded(self, entry: _Entry, parts: list[Part]) -> Part:
        """In `where` nothing bounds a result: what is not finite becomes NULL at once."""
        found, _ = self._arithmetic(entry, parts)
        raw = self._layers.let(found)
        return self._settled(entry, when(finite(raw), column(raw)))

    # --- columns ----------------------------------------------------------------------------------------------------

    def _column(self, entry: _Entry, index: int, item: Column) -> Part:
        raw = value(index)
        if item.kind not in (Kind.INTEGER, Kind.REAL):
            return Part(column(raw), whole=True)
        if item.name in self._sound and (item.kind is Kind.REAL or entry.mode is Mode.WHERE or entry.whole):
            return Part(column(raw), whole=item.kind is Kind.INTEGER)
        if entry.mode is Mode.WHERE:
            if item.kind is Kind.INTEGER:
                return Part(column(raw), whole=True)
            return self._settled(entry, when(finite(raw), column(raw)))
        if item.kind is Kind.REAL:
            return self._settled(entry, within(index, item))
        inside = column(self._layers.let(within(index, item)))
        return Part(inside, whole=True) if entry.whole else self._named(entry, as_real(inside), _NEVER)

    # --- conditions -------------------------------------------------------------------------------------------------

    def _condition(self, entry: _Entry, parts: list[Part]) -> exp.Expr:
        match entry.node:
            case Indicator():
                return as_whole(parts[0].number)
            case Not():
                return exp.Not(this=exp.Paren(this=parts[0].number))
            case Both():
                return exp.Paren(this=exp.And(this=parts[0].number, expression=parts[1].number))
            case Either():
                return exp.Paren(this=exp.Or(this=parts[0].number, expression=parts[1].number))
            case Compare(op, Col(name), Text(text)):
                return _COMPARED[op](this=parts[0].number, expression=whole(self._place(name, text)))
            case Compare(op, _, _):
                left, right = parts
                both = left.whole and right.whole
                a, b = (left.number, right.number) if both else (left.real, right.real)
                return exp.Paren(this=_COMPARED[op](this=a, expression=b))
            case Member(of, values):
                return self._member(of.name, parts[0], values)
        raise Misuse(f"{type(entry.node).__name__} is not a condition")

    def _member(self, name: str, of: Part, values: tuple[str | Number, ...]) -> exp.Expr:
        exact = [whole(self._place(name, item)) for item in values if isinstance(item, str)]
        numbers = [item for item in values if not isinstance(item, str)]
        exact += [whole(item) for item in numbers if of.whole and isinstance(item, int)]
        rounded = [real(item) for item in numbers if not (of.whole and isinstance(item, int))]
        found: list[exp.Expr] = []
        if exact:
            found.append(exp.In(this=of.number, expressions=exact))
        if rounded:
            left = of.number.copy() if exact else of.number
            found.append(exp.In(this=as_real(left) if of.whole else left, expressions=rounded))
        return exp.Paren(this=found[0] if len(found) == 1 else exp.Or(this=found[0], expression=found[1]))

    def _place(self, name: str, category: str) -> int:
        return self._own[name][1].categories.index(category)

    # --- arithmetic -------------------------------------------------------------------------------------------------

    def _arithmetic(self, entry: _Entry, parts: list[Part]) -> tuple[exp.Expr, bool]:
        """Return the expression, and whether it can be NULL although its parts are not."""
        ranges = [part.interval for part in entry.parts]
        values = [part.number if entry.whole else part.real for part in parts]
        match entry.node:
            case Binary("/", _, _):
                return self._quotient(values, ranges[1])
            case Binary(op, _, _):
                return exp.Paren(this=_COMBINED[op](this=values[0], expression=values[1])), False
            case Power(_, exponent):
                return self._power(entry, values[0], exponent), False
            case Clip(_, low, high):
                return self._clipped(entry, values[0], low, high), False
            case Unary("neg", _):
                return exp.Neg(this=exp.Paren(this=values[0])), False
            case Unary(op, _):
                return self._function(op, values[0], ranges[0])
        raise Misuse(f"{type(entry.node).__name__} is not a node of a query")

    def _quotient(self, values: list[exp.Expr], divisor: Interval | None) -> tuple[exp.Expr, bool]:
        if divisor is not None and not divisor.low <= 0 <= divisor.high:
            return exp.Paren(this=_divided(values[0], values[1])), False
        name = self._layers.let(values[1])
        return when(exp.NEQ(this=column(name), expression=real(0)), _divided(values[0], column(name))), True

    def _power(self, entry: _Entry, of: exp.Expr, exponent: int) -> exp.Expr:
        name = self._layers.let(of)
        one = whole(1) if entry.whole else real(1)
        if exponent == 0:
            return when(present(column(name)), one)
        if exponent > 2 and not entry.whole:
            return call("POW", column(name), real(exponent))
        found = column(name)
        for _ in range(exponent - 1):
            found = exp.Paren(this=exp.Mul(this=found, expression=column(name)))
        return found

    def _clipped(self, entry: _Entry, of: exp.Expr, low: Number, high: Number) -> exp.Expr:
        name = self._layers.let(of)
        return moved(column(name), _constant(low, is_whole=entry.whole), _constant(high, is_whole=entry.whole))

    def _function(self, op: str, of: exp.Expr, found: Interval | None) -> tuple[exp.Expr, bool]:
        match op:
            case "abs":
                return exp.Abs(this=of), False
            case "exp":
                return exp.Exp(this=of), False
            case "expit":
                grown = exp.Exp(this=exp.Neg(this=exp.Paren(this=of)))
                return exp.Paren(this=_divided(real(1), exp.Add(this=real(1), expression=grown))), False
            case "softplus":
                return self._softplus(of), False
        # log and lgamma need a positive number, sqrt one that is not negative
        fits = found is not None and (found.low >= 0 if op == "sqrt" else found.low > 0)
        name = self._layers.let(of)
        applied = {"log": exp.Ln, "sqrt": exp.Sqrt}.get(op)
        result = applied(this=column(name)) if applied else call("LGAMMA", column(name))
        if fits:
            return result, False
        bound = exp.GTE if op == "sqrt" else exp.GT
        return when(bound(this=column(name), expression=real(0)), result), True

    def _softplus(self, of: exp.Expr) -> exp.Expr:
        """Return max(x, 0) + log1p(e) with e = exp(-|x|), by log1p(e) = 2 atanh(e / (2 + e)): SQL has no log1p."""
        name = self._layers.let(of)
        e = self._layers.let(exp.Exp(this=exp.Neg(this=exp.Abs(this=column(name)))))
        ratio = _divided(column(e), exp.Add(this=real(2), expression=column(e)))
        log1p = exp.Mul(this=real(2), expression=call("ATANH", ratio))
        positive = when(exp.GT(this=column(name), expression=real(0)), column(name), real(0))
        return exp.Paren(this=exp.Add(this=positive, expression=log1p))


def is_one(part: Part) -> bool:
    """Return whether a part is the constant 1: a product with it is the other factor, bit for bit."""
    return isinstance(part.sql, exp.Cast) and part.sql in _ONES


def limits(item: Column) -> tuple[exp.Expr, exp.Expr]:
    """Return the declared range of a numeric column in the type of its values."""
    low, high = item.low, item.high
    if low is None or high is None:
        raise Misuse(f"column {item.name!r} has no declared range")
    if item.kind is Kind.INTEGER:
        return whole(max(math.ceil(low), _INT64[0])), whole(min(math.floor(high), _INT64[1]))
    return real(low), real(high)


def within(index: int, item: Column) -> exp.Expr:
    """Return a numeric column moved into its declared range, NULL where it is not finite."""
    raw = value(index)
    inside = moved(column(raw), *limits(item))
    return inside if item.kind is Kind.INTEGER else when(finite(raw), inside)


def moved(of: exp.Expr, low: exp.Expr, high: exp.Expr) -> exp.Case:
    """Return `of`, a column that is not NaN, moved into [low, high]."""
    found = when(exp.LT(this=of, expression=low), low.copy(), of.copy())
    found.append("ifs", exp.If(this=exp.GT(this=of.copy(), expression=high), true=high.copy()))
    return found


def _all(parts: Iterable[Part]) -> frozenset[str]:
    return frozenset().union(*(part.fails for part in parts))


def _constant(number: Number, *, is_whole: bool) -> exp.Expr:
    return whole(int(number)) if is_whole else real(number)


def _divided(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Return the quotient of two reals; `typed` and `safe` keep sqlglot from adding casts and guards of its own."""
    return exp.Div(this=left, expression=exp.Paren(this=right), typed=False, safe=False)


def _scalars(node: Expression) -> tuple[str, ...]:
    """Return what a node holds beside its parts; as text, since 1 and 1.0 are different constants."""
    match node:
        case Col(text) | Text(text) | Binary(text) | Unary(text) | Compare(text):
            return (text,)
        case Const(number):
            return (repr(number),)
        case Power(_, exponent):
            return (str(exponent),)
        case Clip(_, low, high):
            return (repr(low), repr(high))
        case Member(_, values):
            return tuple(repr(item) for item in values)
    return ()
