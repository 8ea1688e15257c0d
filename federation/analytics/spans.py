"""Interval arithmetic: where a formula lies when some of its sums are only known to lie between two numbers.

Every operation is rounded outward, so that what is printed as an interval holds the truth. A sum that occurs twice in
a formula counts as two, so intervals may be wider than need be; `within` cuts them by what is known otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from federation.analytics.estimates import Interval, Number

Exact: TypeAlias = int | float | Fraction


@dataclass(frozen=True, slots=True)
class Span:
    """All numbers from `low` to `high`; infinite ends are "no bound"."""

    low: float
    high: float

    def __add__(self, other: Span | Exact) -> Span:
        b = span(other)
        return _made(self.low + b.low, self.high + b.high)

    __radd__ = __add__

    def __neg__(self) -> Span:
        return Span(-self.high, -self.low)

    def __sub__(self, other: Span | Exact) -> Span:
        return self + -span(other)

    def __rsub__(self, other: Exact) -> Span:
        return span(other) - self

    def __mul__(self, other: Span | Exact) -> Span:
        b = span(other)
        ends = [_times(x, y) for x in (self.low, self.high) for y in (b.low, b.high)]
        return _made(min(ends), max(ends))

    __rmul__ = __mul__

    def __truediv__(self, other: Span | Exact) -> Span:
        b = span(other)
        if b.low <= 0 <= b.high:
            if b.low < 0 < b.high or b.low == b.high or self.low < 0 < self.high:
                return ANYTHING
            turned = Span(1 / b.high if b.high else -math.inf, 1 / b.low if b.low else math.inf)
        else:
            turned = Span(1 / b.high, 1 / b.low)
        return self * _made(turned.low, turned.high)

    def __rtruediv__(self, other: Exact) -> Span:
        return span(other) / self

    @property
    def squared(self) -> Span:
        """The squares of its numbers."""
        ends = (_times(self.low, self.low), _times(self.high, self.high))
        least = 0.0 if self.low < 0 < self.high else min(ends)
        return _made(least, max(ends)).within(0, math.inf)

    @property
    def root(self) -> Span:
        """The square roots of its numbers at or above 0."""
        return _made(math.sqrt(max(self.low, 0.0)), math.sqrt(max(self.high, 0.0))).within(0, math.inf)

    def within(self, low: Exact, high: Exact) -> Span:
        """Return what of it lies between two numbers; between them, where rounding leaves nothing."""
        a, b = span(low).low, span(high).high
        return Span(min(max(self.low, a), b), max(min(self.high, b), a))

    @property
    def interval(self) -> Interval:
        """Return both ends as a result prints them: None for no bound."""
        return (_end(self.low), _end(self.high))


def span(of: Span | Exact) -> Span:
    """Return the least span of binary64 numbers that holds a number."""
    if isinstance(of, Span):
        return of
    if isinstance(of, float):
        return Span(of, of)
    try:
        near = float(of)
    except OverflowError:
        return Span(-math.inf, -1.7e308) if of < 0 else Span(1.7e308, math.inf)
    return Span(_down(near) if near > of else near, _up(near) if near < of else near)


def between(low: Exact | None, high: Exact | None) -> Span:
    """Return the span from one number to another; None is no bound."""
    return Span(-math.inf if low is None else span(low).low, math.inf if high is None else span(high).high)


def total(spans: Iterable[Span]) -> Span:
    """Return the sum."""
    found = Span(0.0, 0.0)
    for each in spans:
        found = found + each
    return found


def shown(value: Number | None, of: Span, *, is_known: bool) -> Interval:
    """Return the interval of a result: the value itself where nothing is withheld, else `of` with the value in it."""
    if is_known:
        return value, value
    low, high = of.interval
    if value is not None:
        low = None if low is None else min(low, value)
        high = None if high is None else max(high, value)
    return low, high


def _made(low: float, high: float) -> Span:
    return Span(-math.inf if math.isnan(low) else _down(low), math.inf if math.isnan(high) else _up(high))


def _times(a: float, b: float) -> float:
    return 0.0 if not a or not b else a * b


def _down(value: float) -> float:
    return math.nextafter(value, -math.inf)


def _up(value: float) -> float:
    return math.nextafter(value, math.inf)


def _end(value: float) -> float | None:
    return None if math.isinf(value) else value


ANYTHING = Span(-math.inf, math.inf)
