"""Interval arithmetic over the catalogue's declared ranges: what a term can be, without looking at data.

From an interval come a term's scale, its headroom, and later disclosure rules and noise. All parties must get the same
bits, so exp, ln and lgamma are those of `exact`, and everything else is + - * / sqrt in written order. A row where a
node is not finite is excluded; the interval is that of the rest. Refused: a term without a finite bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse
from federation.query import exact
from federation.query.expression import (
    INTEGER_LIMIT,
    Binary,
    Clip,
    Col,
    Const,
    Expression,
    Gram,
    Indicator,
    Number,
    Power,
    Term,
    Unary,
    ordered,
    written,
)

GREATEST_SCALE: Final = 60
HEADROOM_BITS: Final = 62  # a scaled row is at most 2^62, so rounding and the last ulp stay inside 64 bits
CLUSTER_ROWS: Final = 2**16  # rows of a cluster in one cell
CLUSTER_BITS: Final = 80  # a product of its sums is at most 2^80: 2^36 clusters of each of 128 parties are in 128 bits
_SLACK: Final = 2.0**-48  # engines agree to a few ulp; 16 ulp of a function's value are allowed for
_LEAST: Final = 5e-324  # the least binary64 above zero
_LGAMMA_AT: Final = 1.4616321449683623  # where lgamma is least
_LGAMMA_LEAST: Final = -0.1214862905358497


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a value lies in every row that counts.

    Attributes:
        low: least value; an int if `integer`.
        high: greatest value.
        integer: computed exactly in int64; every bound is below 2^62 in magnitude.
        of_clusters: a product of sums per cluster, which has more bits than a row's.
    """

    low: Number
    high: Number
    integer: bool
    of_clusters: bool = False

    @property
    def bound(self) -> Number:
        """The greatest magnitude."""
        return max(abs(self.low), abs(self.high))


_TRUTH: Final = Interval(0, 1, integer=True)  # stands for conditions, categories and texts, which have no range


def interval(expression: Expression, dataset: Dataset) -> Interval:
    """Return where the number `expression` lies over `dataset`.

    Args:
        expression: a number, checked by `sorts.check` before.
        dataset: the joint description, whose ranges are the hulls of the parties' ranges.

    Raises:
        Misuse: no finite bound can be stated; names the part.
    """
    return intervals((expression,), dataset)[id(expression)]


def intervals(roots: Iterable[Expression], dataset: Dataset) -> Mapping[int, Interval]:
    """Return {id(node): interval} for every node below `roots`, by which engines know the integers. As `interval`."""
    known: dict[int, Interval] = {}
    for node in ordered(roots):
        found = _interval(node, [known[id(part)] for part in node.parts()], dataset)
        if found is None or not (math.isfinite(found.low) and math.isfinite(found.high)):
            raise Misuse(
                f"{written(node)} has no finite bound over the declared ranges", hint="bound its parts by clip"
            )
        known[id(node)] = found
    return known


def term_intervals(terms: Sequence[Term], dataset: Dataset) -> tuple[Interval, ...]:
    """Return the interval of every sum of `terms` in order, each Gram spelled out. Raises as `interval`."""
    roots = [root for term in terms for root in ((term.weight, *term.columns) if isinstance(term, Gram) else (term,))]
    known = intervals(roots, dataset)
    found: list[Interval] = []
    for term in terms:
        if not isinstance(term, Gram):
            found.append(known[id(term)])
            continue
        weight = known[id(term.weight)]
        weighted = [multiplied(weight, known[id(x)]) for x in term.columns]
        if term.clusters:
            found.extend(_of_clusters(term, weighted))
            continue
        for i, left in enumerate(weighted):
            products = [multiplied(left, known[id(y)]) for y in term.columns[i:]]
            if not all(math.isfinite(product.bound) for product in (left, *products)):
                raise Misuse(
                    f"Gram over {written(term.columns[i])} has no finite bound", hint="bound its parts by clip"
                )
            found.extend(products)
    return tuple(found)


def weighted(term: Gram, dataset: Dataset) -> tuple[Interval, ...]:
    """Return the interval of one row's weight * x_i, for each column of a Gram. Raises as `interval`."""
    known = intervals((term.weight, *term.columns), dataset)
    return tuple(multiplied(known[id(term.weight)], known[id(x)]) for x in term.columns)


def scale(found: Interval) -> int:
    """Return s, where round(2^s value) is a row's integer: 0 for integers, else min(60, 62 - ceil(log2 bound)).

    Of products of sums per cluster the integer has up to 80 bits, and s is at most 78.
    """
    extra = CLUSTER_BITS - HEADROOM_BITS if found.of_clusters else 0
    if found.integer or found.bound == 0:
        return 0 if found.integer else GREATEST_SCALE + extra
    mantissa, exponent = math.frexp(float(found.bound))  # bound = mantissa 2^exponent, 1/2 <= mantissa < 1
    return extra + min(GREATEST_SCALE, HEADROOM_BITS - (exponent - 1 if mantissa == 0.5 else exponent))


def multiplied(left: Interval, right: Interval) -> Interval:
    """Return the interval of the product, an integer if both are and it stays below 2^62; ends may be infinite."""
    return _hull("*", left, right)


def _of_clusters(term: Gram, weighted: Sequence[Interval]) -> list[Interval]:
    """Return the intervals of a count of clusters, and of products of sums over up to 2^16 rows each."""
    found = [Interval(0, 1, integer=True)]
    for i, left in enumerate(weighted):
        for j, right in enumerate(weighted[i:], start=i):
            most = float(left.bound) * CLUSTER_ROWS * (float(right.bound) * CLUSTER_ROWS)
            if not math.isfinite(most):
                raise Misuse(
                    f"Gram over {written(term.columns[i])} has no finite bound", hint="bound its parts by clip"
                )
            found.append(Interval(0.0 if i == j else -most, most, integer=False, of_clusters=True))
    return found


def _interval(node: Expression, parts: Sequence[Interval], dataset: Dataset) -> Interval | None:
    match node:
        case Col(name):
            return _column(name, dataset)
        case Const(value):
            return Interval(value, value, integer=isinstance(value, int))
        case Binary("/", _, _):
            return _quotient(*parts)
        case Binary(op, _, _):
            return _hull(op, *parts)
        case Power(_, exponent):
            return _power(parts[0], exponent)
        case Unary("neg", _):
            return Interval(-parts[0].high, -parts[0].low, integer=parts[0].integer)
        case Unary("abs", _):
            straddles = parts[0].low < 0 < parts[0].high
            least = min(abs(parts[0].low), abs(parts[0].high))
            return _made(least * 0 if straddles else least, parts[0].bound, integer=parts[0].integer)
        case Unary(op, _):
            return _function(op, parts[0])
        case Clip(_, low, high):
            ends = sorted(min(max(end, low), high) for end in (parts[0].low, parts[0].high))
            return _made(ends[0], ends[1], integer=parts[0].integer and isinstance(low, int) and isinstance(high, int))
        case Indicator():
            return _TRUTH
    return _TRUTH


def _column(name: str, dataset: Dataset) -> Interval | None:
    column = dataset.column(name)
    if column.kind is Kind.CATEGORY:
        return _TRUTH
    if column.low is None or column.high is None:
        raise Misuse(f"column {name!r} of data set {dataset.name!r} has no declared range")
    if not (math.isfinite(column.low) and math.isfinite(column.high) and column.low <= column.high):
        raise Misuse(f"column {name!r} of data set {dataset.name!r} has a declared range that is none")
    if column.kind is Kind.INTEGER:
        return _made(math.ceil(column.low), math.floor(column.high), integer=True)
    return _made(column.low, column.high, integer=False)


def _made(low: Number, high: Number, *, integer: bool) -> Interval:
    """An interval whose ends have its type; an integer that may reach 2^62 is computed in binary64 instead."""
    if integer and max(abs(low), abs(high)) < INTEGER_LIMIT:
        return Interval(int(low), int(high), integer=True)
    return Interval(_real(low), _real(high), integer=False)


def _real(value: Number) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _hull(op: str, left: Interval, right: Interval) -> Interval:
    integer = left.integer and right.integer
    a, b, c, d = left.low, left.high, right.low, right.high
    if not integer:
        a, b, c, d = float(a), float(b), float(c), float(d)
    match op:
        case "+":
            return _promoted(a + c, b + d, integer=integer)
        case "-":
            return _promoted(a - d, b - c, integer=integer)
        case _:
            ends = (a * c, a * d, b * c, b * d)
            return _promoted(min(ends), max(ends), integer=integer)


def _promoted(low: Number, high: Number, *, integer: bool) -> Interval:
    """As `_made`; a promoted node rounds its operands first, which may move its ends by a few ulp."""
    found = _made(low, high, integer=integer)
    return _widened(found) if integer and not found.integer else found


def _quotient(left: Interval, right: Interval) -> Interval | None:
    """Divide over the rows where the divisor is not zero; a real divisor that can come close to zero has no bound."""
    a, b, c, d = float(left.low), float(left.high), right.low, right.high
    if c == 0 == d:
        return None
    if c <= 0 <= d:
        if not right.integer:
            return None
        divisors = [end for end in (c, -1 if c < 0 else 0, 1 if d > 0 else 0, d) if end != 0]
    else:
        divisors = [c, d]
    ends = [x / float(y) for x in (a, b) for y in divisors]
    return Interval(min(ends), max(ends), integer=False)


def _power(base: Interval, exponent: int) -> Interval:
    if exponent == 0:
        return Interval(1, 1, integer=True) if base.integer else Interval(1.0, 1.0, integer=False)
    ends = [_raised(end, exponent) for end in (base.low, base.high)]
    low, high = min(ends), max(ends)
    if exponent % 2 == 0 and base.low < 0 < base.high:
        low = 0
    if base.integer:
        return _promoted(low, high, integer=True)
    return _widened(Interval(float(low), float(high), integer=False))


def _raised(end: Number, exponent: int) -> Number:
    found = end
    for _ in range(exponent - 1):  # in written order: pow() of libm differs in the last bit between platforms
        found = found * end
    return found


def _function(op: str, of: Interval) -> Interval | None:
    low, high = float(of.low), float(of.high)
    match op:
        case "sqrt":
            return None if high < 0 else _widened(Interval(math.sqrt(max(low, 0.0)), math.sqrt(high), integer=False))
        case "log" | "lgamma":
            if high <= 0:
                return None
            least = max(low, 1.0 if of.integer else _LEAST)  # rows at or below zero are not finite
            return _widened(_log(least, high) if op == "log" else _lgamma(least, high))
        case "exp":
            return _widened(Interval(exact.exp(low), exact.exp(high), integer=False))
        case "expit":
            return _widened(Interval(_expit(low), _expit(high), integer=False))
        case "softplus":
            return _widened(Interval(exact.softplus(low), exact.softplus(high), integer=False))
    return None


def _log(low: float, high: float) -> Interval:
    return Interval(exact.ln(low), exact.ln(high), integer=False)


def _lgamma(low: float, high: float) -> Interval:
    ends = (exact.lgamma(low), exact.lgamma(high))
    least = _LGAMMA_LEAST if low < _LGAMMA_AT < high else min(ends)
    return Interval(least - _SLACK, max(ends) + _SLACK, integer=False)  # it crosses zero, where ulps are no measure


def _expit(x: float) -> float:
    return 1.0 / (1.0 + exact.exp(-x))


def _widened(found: Interval) -> Interval:
    """Both ends moved outward by 16 ulp: an engine's function may be a few ulp off."""
    low, high = float(found.low), float(found.high)
    return Interval(low - abs(low) * _SLACK - _LEAST, high + abs(high) * _SLACK + _LEAST, integer=False)
