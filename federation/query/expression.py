"""The typed DAG that a query is written in: what a row contributes, and which rows count.

Nodes are frozen and compare by identity, so a shared part is one node and costs once. There is no node for text
that somebody would execute. Refused: numbers that are not finite, more than 10,000 nodes, depth above 64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from federation.errors import Misuse

MOST_NODES: Final = 10_000
MOST_DEPTH: Final = 64
MOST_VALUES: Final = 4_096  # members of one list
MOST_POWER: Final = 64
INTEGER_LIMIT: Final = 2**62  # integers stay strictly below it in magnitude, so that two of them add in 64 bits

Number: TypeAlias = int | float
ARITHMETIC: Final = ("+", "-", "*", "/")
FUNCTIONS: Final = ("neg", "abs", "log", "exp", "sqrt", "expit", "softplus", "lgamma")
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")


class Expression:
    """One node; its parts are nodes. Built by the operators and methods below, or by the classes themselves."""

    __slots__ = ()

    def parts(self) -> tuple[Expression, ...]:
        """Return the nodes that this one is made of, left to right."""
        return ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {written(self, most=80)}>"

    def __add__(self, other: Expression | Number) -> Binary:
        return Binary("+", self, _lifted(other))

    def __radd__(self, other: Number) -> Binary:
        return Binary("+", _lifted(other), self)

    def __sub__(self, other: Expression | Number) -> Binary:
        return Binary("-", self, _lifted(other))

    def __rsub__(self, other: Number) -> Binary:
        return Binary("-", _lifted(other), self)

    def __mul__(self, other: Expression | Number) -> Binary:
        return Binary("*", self, _lifted(other))

    def __rmul__(self, other: Number) -> Binary:
        return Binary("*", _lifted(other), self)

    def __truediv__(self, other: Expression | Number) -> Binary:
        return Binary("/", self, _lifted(other))

    def __rtruediv__(self, other: Number) -> Binary:
        return Binary("/", _lifted(other), self)

    def __pow__(self, exponent: int) -> Power:
        return Power(self, exponent)

    def __neg__(self) -> Unary:
        return Unary("neg", self)

    def __abs__(self) -> Unary:
        return Unary("abs", self)

    def __lt__(self, other: Expression | Number) -> Compare:
        return Compare("<", self, _lifted(other))

    def __le__(self, other: Expression | Number) -> Compare:
        return Compare("<=", self, _lifted(other))

    def __gt__(self, other: Expression | Number) -> Compare:
        return Compare(">", self, _lifted(other))

    def __ge__(self, other: Expression | Number) -> Compare:
        return Compare(">=", self, _lifted(other))

    def __and__(self, other: Expression) -> Both:
        return Both(self, other)

    def __or__(self, other: Expression) -> Either:
        return Either(self, other)

    def __invert__(self) -> Not:
        return Not(self)

    def __bool__(self) -> bool:
        raise Misuse("an expression has no truth value before it meets rows", hint="join conditions with & | ~")

    def equals(self, other: Expression | Number | str) -> Compare:
        """Return the condition `self == other`; `==` itself compares nodes by identity."""
        return Compare("==", self, _lifted(other))

    def differs(self, other: Expression | Number | str) -> Compare:
        """Return the condition `self != other`."""
        return Compare("!=", self, _lifted(other))

    def log(self) -> Unary:
        """Return the natural logarithm; a row where it is not finite is excluded and counted."""
        return Unary("log", self)

    def exp(self) -> Unary:
        """Return e to the power of self."""
        return Unary("exp", self)

    def sqrt(self) -> Unary:
        """Return the square root; a row where it is not finite is excluded and counted."""
        return Unary("sqrt", self)

    def expit(self) -> Unary:
        """Return 1 / (1 + exp(-self))."""
        return Unary("expit", self)

    def softplus(self) -> Unary:
        """Return log(1 + exp(self))."""
        return Unary("softplus", self)

    def lgamma(self) -> Unary:
        """Return log(gamma(self)) of a positive number; other rows are excluded and counted."""
        return Unary("lgamma", self)

    def clip(self, low: Number, high: Number) -> Clip:
        """Return self moved into [low, high]."""
        return Clip(self, low, high)

    def indicator(self) -> Indicator:
        """Return 1 where this condition is true, else 0; an integer."""
        return Indicator(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Col(Expression):
    """A column of the catalogue."""

    name: str

    def __post_init__(self) -> None:
        _text(self.name, "a column's name")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Const(Expression):
    """A number: finite; integers below 2^62 in magnitude. An int stays exact, a float does not become one."""

    value: Number

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", number(self.value))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Text(Expression):
    """A category as the catalogue lists it; stands only on the right of == and !=."""

    value: str

    def __post_init__(self) -> None:
        _text(self.value, "a category")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Binary(Expression):
    """left op right for op in + - * /; the quotient is always real."""

    op: str
    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _known(self.op, ARITHMETIC)
        _nodes(self.left, self.right)

    def parts(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Power(Expression):
    """base to an integer exponent in 0..64, multiplied from left to right; anything to the power 0 is 1."""

    base: Expression
    exponent: int

    def __post_init__(self) -> None:
        if type(self.exponent) is not int or not 0 <= self.exponent <= MOST_POWER:
            raise Misuse(
                f"an exponent is an integer from 0 to {MOST_POWER}", hint="use / for negative powers, sqrt for halves"
            )
        _nodes(self.base)

    def parts(self) -> tuple[Expression, ...]:
        return (self.base,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unary(Expression):
    """op(of) for op in neg abs log exp sqrt expit softplus lgamma."""

    op: str
    of: Expression

    def __post_init__(self) -> None:
        _known(self.op, FUNCTIONS)
        _nodes(self.of)

    def parts(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clip(Expression):
    """of, moved into [low, high]."""

    of: Expression
    low: Number
    high: Number

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", number(self.low))
        object.__setattr__(self, "high", number(self.high))
        _nodes(self.of)
        if self.low > self.high:
            raise Misuse("clip needs low <= high")

    def parts(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Compare(Expression):
    """left op right: two numbers, or a category column beside a Text with == or !=."""

    op: str
    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _known(self.op, COMPARISONS)
        _nodes(self.left, self.right)

    def parts(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Member(Expression):
    """True where the column holds one of the values: texts for a category, numbers otherwise."""

    of: Col
    values: tuple[str | Number, ...]

    def __post_init__(self) -> None:
        _column(self.of)
        if not 1 <= len(_tuple(self.values)) <= MOST_VALUES:
            raise Misuse(f"a list of values is a tuple of 1 to {MOST_VALUES}")
        for value in self.values:
            if isinstance(value, str):
                _text(value, "a category")
        values = tuple(value if isinstance(value, str) else number(value) for value in self.values)
        object.__setattr__(self, "values", values)

    def parts(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Missing(Expression):
    """True where the column has no value: NULL or a declared missing code. Only in `where`."""

    of: Col

    def __post_init__(self) -> None:
        _column(self.of)

    def parts(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Not(Expression):
    """True where the condition is false; unknown stays unknown."""

    of: Expression

    def __post_init__(self) -> None:
        _nodes(self.of)

    def parts(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Both(Expression):
    """Kleene's and."""

    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _nodes(self.left, self.right)

    def parts(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Either(Expression):
    """Kleene's or."""

    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _nodes(self.left, self.right)

    def parts(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Indicator(Expression):
    """1 where the condition is true, else 0; an integer."""

    of: Expression

    def __post_init__(self) -> None:
        _nodes(self.of)

    def parts(self) -> tuple[Expression, ...]:
        return (self.of,)


@dataclass(frozen=True, slots=True, eq=False)
class Gram:
    """A term of many sums: (weight * x_i) * x_j for i <= j, row-major upper triangle.

    A sum is computed in int64 where both of its products are integers below 2^62, else in binary64 throughout.

    With `clusters`, weight * x_i is first added up over the rows of each cluster in the cell. The sums are how many
    clusters there are, and then those of the products of their own sums: what variances between clusters need. Nothing
    of one cluster is told apart, who is counted stays who it is, and a cluster has at most 2^16 rows in a cell.

    Attributes:
        weight: a number per row; `Const(1)` for plain cross products.
        columns: the x_i, at least one.
        clusters: the column that says which cluster a row is of, "" for none.
    """

    weight: Expression
    columns: tuple[Expression, ...]
    clusters: str = ""

    def __post_init__(self) -> None:
        if not _tuple(self.columns):
            raise Misuse("Gram needs at least one column")
        _nodes(self.weight, *self.columns)
        if self.clusters:
            _text(self.clusters, "a column's name")

    @property
    def sums(self) -> int:
        """How many sums it is: p (p + 1) / 2, and one more with clusters."""
        return len(self.columns) * (len(self.columns) + 1) // 2 + bool(self.clusters)

    def pairs(self) -> tuple[tuple[Expression, Expression], ...]:
        """Return (x_i, x_j) for i <= j in the order of the sums; the number of clusters stands before them."""
        return tuple((x, y) for i, x in enumerate(self.columns) for y in self.columns[i:])


Term: TypeAlias = Expression | Gram


def total(items: Iterable[Expression]) -> Expression:
    """Return the sum of `items` as a balanced tree, so that hundreds stay within the depth limit; 0 if empty."""
    level = list(items)
    if not level:
        return Const(0)
    while len(level) > 1:
        pairs = [level[i] + level[i + 1] for i in range(0, len(level) - 1, 2)]
        level = [*pairs, *level[len(pairs) * 2 :]]
    return level[0]


def number(value: object) -> Number:
    """Return `value` as the int or float that a node may hold; -0.0 becomes 0.0. Raises Misuse if it may not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misuse(f"expected a number, got {type(value).__name__}", hint="int or float")
    if isinstance(value, int):
        if abs(value) >= INTEGER_LIMIT:
            raise Misuse("an integer in a query stays below 2^62 in magnitude", hint="write it as a real number")
        return int(value)
    if not math.isfinite(value):
        raise Misuse("a number in a query is finite")
    return float(value) + 0.0


def ordered(roots: Iterable[Expression]) -> tuple[Expression, ...]:
    """Return every node below `roots` once, parts before wholes, in the order of a left-to-right walk.

    Raises:
        Misuse: more than 10,000 nodes, or deeper than 64; found without recursion.
    """
    depth: dict[int, int] = {}
    found: list[Expression] = []
    for root in roots:
        stack = [(root, False)]
        while stack:
            node, expanded = stack.pop()
            if id(node) in depth:
                continue
            if expanded:
                depth[id(node)] = 1 + max((depth[id(part)] for part in node.parts()), default=0)
                found.append(node)
                if depth[id(node)] > MOST_DEPTH:
                    raise Misuse(f"an expression is deeper than {MOST_DEPTH}", hint="sum many items with `total`")
                continue
            stack.append((node, True))
            stack.extend((part, False) for part in reversed(node.parts()))
            if max(len(found), len(stack) // 4) > MOST_NODES:
                raise Misuse(f"an expression has more than {MOST_NODES} nodes")
    if len(found) > MOST_NODES:
        raise Misuse(f"an expression has more than {MOST_NODES} nodes")
    return tuple(found)


def columns(roots: Iterable[Expression]) -> tuple[str, ...]:
    """Return the sorted names of all columns below `roots`."""
    return tuple(sorted({node.name for node in ordered(roots) if isinstance(node, Col)}))


def written(expression: Expression, most: int = 200) -> str:
    """Return the expression as people write it, cut after about `most` characters: a DAG can spell out for ever."""
    out: list[str] = []
    length = 0
    stack: list[Expression | str] = [expression]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            length += len(item)
            if length > most:
                return "".join(out)[:most] + "..."
            continue
        stack.extend(reversed(_spelling(item)))
    return "".join(out)


def _spelling(node: Expression) -> tuple[Expression | str, ...]:
    match node:
        case Col(name):
            return (name,)
        case Const(value):
            return (repr(value),)
        case Text(value):
            return (repr(value),)
        case Binary(op, left, right) | Compare(op, left, right):
            return ("(", left, f" {op} ", right, ")")
        case Power(base, exponent):
            return (base, f"**{exponent}")
        case Unary("neg", of):
            return ("-", of)
        case Unary(op, of):
            return (f"{op}(", of, ")")
        case Clip(of, low, high):
            return ("clip(", of, f", {low!r}, {high!r})")
        case Member(of, values):
            listed = ", ".join(repr(value) for value in values[:20])
            return (of, f" in [{listed}{', ...' if len(values) > 20 else ''}]")
        case Missing(of):
            return (of, " is missing")
        case Not(of):
            return ("not ", of)
        case Both(left, right):
            return ("(", left, " and ", right, ")")
        case Either(left, right):
            return ("(", left, " or ", right, ")")
        case Indicator(of):
            return ("[", of, "]")
    return (type(node).__name__,)


def _lifted(value: Expression | Number | str) -> Expression:
    if isinstance(value, Expression):
        return value
    return Text(value) if isinstance(value, str) else Const(value)


def _known(op: str, family: tuple[str, ...]) -> None:
    if op not in family:
        raise Misuse(f"unknown operation {op!r}", hint=f"known: {' '.join(family)}")


def _nodes(*parts: Expression) -> None:
    for part in parts:
        if not isinstance(part, Expression):
            raise Misuse(f"expected an expression, got {type(part).__name__}", hint="numbers are Const, names Col")


def _column(of: Col) -> None:
    if not isinstance(of, Col):
        raise Misuse("only a plain column is in a list or missing")


def _tuple(values: object) -> tuple[object, ...]:
    if not isinstance(values, tuple):
        raise Misuse(f"expected a tuple, got {type(values).__name__}", hint="a frozen query holds no lists")
    return values


def _text(value: object, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise Misuse(f"{what} is a text that is not empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Misuse(f"{what} is not well-formed Unicode") from None
