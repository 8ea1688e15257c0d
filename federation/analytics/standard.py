"""Numbers about a public centre and in powers of two, so that columns 10^6 apart in scale lose no digits.

Every number x of a model stands as (x - centre) / 2^shift. The change is undone exactly, in Fractions, after the
opening: a power of two loses nothing, and a centre moves only coefficients of margins, which is why it is taken only
where all margins are in the model. First the centre is that of the declared range; from opened moments come the mean
and a bound: |x - centre| <= sqrt(sum (x - centre)^2) in every row, so that clipping there changes nothing, and a
declared range that is a million times too wide costs no digits either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Final, TypeAlias

from federation.analytics.design import ONE, Design, Monomial
from federation.domain.catalogue import Dataset
from federation.query.bounds import Interval, interval
from federation.query.expression import Expression, Number

SMALL: Final = 8  # a scale between 2^-8 and 2^8 needs no shift: sums keep 60 bits, and a multiplication is saved
MOST_DEPTH: Final = 4  # of margins that other columns span
WORTH: Final = 4  # a clip must narrow a range by more than this to be worth its cost

Row: TypeAlias = dict[int, Fraction]  # column -> coefficient


@dataclass(frozen=True, slots=True)
class Standard:
    """How a number stands in a query.

    Attributes:
        centre: what is taken away; an int keeps whole numbers whole.
        shift: it is divided by 2^shift.
        reach: |x - centre| is at most this in every row; None where the declared range says no more.
    """

    centre: Number = 0
    shift: int = 0
    reach: Number | None = None

    def of(self, number: Expression) -> Expression:
        """Return the number as it stands in a query."""
        found = number - self.centre if self.centre else number
        if self.reach is not None:
            found = found.clip(-self.reach, self.reach)
        return found * 2.0**-self.shift if self.shift else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What was opened of a number about a centre: rows, the sums of d and d^2, and a bound on the error of the last."""

    rows: int
    first: Fraction
    second: Fraction
    error: Fraction

    @property
    def variance(self) -> Fraction:
        """Mean of (x - mean)^2; rounding of rows may push it to zero."""
        return max(self.second / self.rows - (self.first / self.rows) ** 2, Fraction(0))

    @property
    def is_sharp(self) -> bool:
        """Whether rounding of rows is known to be below 2^-33 of the variance."""
        return self.error <= self.rows * self.variance / 2**33


def declared(number: Expression, joint: Dataset, *, centred: bool) -> Standard:
    """Return the standard that the declared ranges give: the middle of the range, and a scale where it needs one."""
    found = interval(number, joint)
    middle: Number = 0
    if centred:
        middle = (int(found.low) + int(found.high)) // 2 if found.integer else (found.low + found.high) / 2
    return Standard(centre=middle, shift=_shift(max(abs(found.low - middle), abs(found.high - middle))))


def refined(before: Standard, opened: Spread, number: Expression, joint: Dataset, *, centred: bool) -> Standard:
    """Return the standard that the opened moments about `before.centre` give."""
    found = interval(number, joint)
    mean = Fraction(before.centre) + opened.first / opened.rows
    centre: Number = 0
    if centred:
        centre = round(mean) if found.integer else float(mean)
    off = opened.first + opened.rows * (Fraction(before.centre) - Fraction(centre))  # sum of x - centre
    moved = Fraction(before.centre) - Fraction(centre)
    second = opened.second + opened.error + 2 * moved * opened.first + opened.rows * moved**2
    spread = second / opened.rows if not centred else second / opened.rows - (off / opened.rows) ** 2
    return Standard(
        centre=centre,
        shift=_shift(math.sqrt(float(max(spread, Fraction(0))))),
        reach=_reach(second, found, centre),
    )


def _shift(size: float) -> int:
    exponent = math.frexp(float(size))[1] if size else 0
    return 0 if abs(exponent) <= SMALL else exponent


def _reach(second: Fraction, found: Interval, centre: Number) -> Number | None:
    """Return a power of two that no |x - centre| exceeds, None where it would not narrow the declared range."""
    widest = max(abs(found.low - centre), abs(found.high - centre))
    bound = 2 ** (math.frexp(math.sqrt(float(max(second, Fraction(0)))))[1] + 1)
    if bound * WORTH >= widest:
        return None
    return bound if found.integer else float(bound)


def centred(design: Design) -> tuple[bool, ...]:
    """Return which numbers may be centred: those whose every product has all its margins in the model."""
    margins = Margins(design)
    may = [True] * len(design.numbers)
    while True:
        lacking = [m for m in design.monomials if not all(margins.spelled(sub) is not None for sub in _subs(m, may))]
        if not lacking:
            return tuple(may)
        for place, _ in (pair for monomial in lacking for pair in monomial[0]):
            may[place] = False


class Margins:
    """Which monomials are combinations of a design's columns: columns themselves, and what levels add up to."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._index = {monomial: place for place, monomial in enumerate(design.monomials)}
        self._known: dict[tuple[Monomial, int], Row | None] = {}

    def spelled(self, monomial: Monomial, depth: int = MOST_DEPTH) -> Row | None:
        """Return {column: coefficient} that add up to `monomial`; None if no combination was found."""
        if monomial in self._index:
            return {self._index[monomial]: Fraction(1)}
        if depth == 0:
            return None
        if (monomial, depth) not in self._known:
            self._known[monomial, depth] = self._levels(monomial, depth) or self._reference(monomial, depth)
        return self._known[monomial, depth]

    def _levels(self, monomial: Monomial, depth: int) -> Row | None:
        """The sum over all levels of a factor that the monomial does not have."""
        numbers, levels = monomial
        for factor, of in enumerate(self._design.factors):
            if factor in dict(levels):
                continue
            first = (numbers, tuple(sorted((*levels, (factor, of.ref)))))
            if first not in self._index and depth == 1:
                continue
            parts = [
                self.spelled((numbers, tuple(sorted((*levels, (factor, place))))), depth - 1)
                for place in range(len(of.levels))
            ]
            if found := _added([(Fraction(1), part) for part in parts]):
                return found
        return None

    def _reference(self, monomial: Monomial, depth: int) -> Row | None:
        """A reference level is what the margin has beyond all other levels."""
        numbers, levels = monomial
        for factor, level in levels:
            of = self._design.factors[factor]
            if level != of.ref:
                continue
            rest = tuple(pair for pair in levels if pair[0] != factor)
            others = [
                (numbers, tuple(sorted((*rest, (factor, place))))) for place in range(len(of.levels)) if place != of.ref
            ]
            if not all(other in self._index for other in others):
                continue
            margin = self.spelled((numbers, rest), depth - 1)
            parts = [(Fraction(-1), self.spelled(other, 0)) for other in others]
            if found := _added([(Fraction(1), margin), *parts]):
                return found
        return None


def undone(design: Design, standards: Sequence[Standard]) -> tuple[Row, ...]:
    """Return, per column of the standardised design, the coefficients of the design's own columns that it is."""
    pairs = [(Fraction(1, 2) ** s.shift, -Fraction(s.centre) * Fraction(1, 2) ** s.shift) for s in standards]
    return _spelled(design, pairs)


def redone(design: Design, standards: Sequence[Standard]) -> tuple[Row, ...]:
    """Return, per column of the design, the coefficients of the standardised columns that it is."""
    return _spelled(design, [(Fraction(2) ** s.shift, Fraction(s.centre)) for s in standards])


def applied(rows: Sequence[Row], coefficients: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of one set of columns from those of the other, exactly."""
    found = [Fraction(0)] * len(coefficients)
    for row, coefficient in zip(rows, coefficients, strict=True):
        for column, factor in row.items():
            found[column] += factor * coefficient
    return found


def _spelled(design: Design, pairs: Sequence[tuple[Fraction, Fraction]]) -> tuple[Row, ...]:
    """Spell out every column where each number is a * u + b, in columns of u."""
    margins = Margins(design)
    rows: list[Row] = []
    for numbers, levels in design.monomials:
        parts: list[tuple[Fraction, Row | None]] = []
        choices = [range(power + 1) if pairs[place][1] else (power,) for place, power in numbers]
        for powers in product(*choices):
            factor = Fraction(1)
            for (place, power), taken in zip(numbers, powers, strict=True):
                a, b = pairs[place]
                factor *= math.comb(power, taken) * a**taken * b ** (power - taken)
            kept = tuple((place, taken) for (place, _), taken in zip(numbers, powers, strict=True) if taken)
            parts.append((factor, margins.spelled((kept, levels))))
        rows.append(_added(parts) or {})
    return tuple(rows)


def _subs(monomial: Monomial, may: Sequence[bool]) -> list[Monomial]:
    numbers, levels = monomial
    choices = [range(power + 1) if may[place] else (power,) for place, power in numbers]
    return [
        (tuple((place, taken) for (place, _), taken in zip(numbers, powers, strict=True) if taken), levels)
        for powers in product(*choices)
    ]


def _added(parts: Sequence[tuple[Fraction, Mapping[int, Fraction] | None]]) -> Row | None:
    def put(found: Row, part: tuple[Fraction, Mapping[int, Fraction] | None]) -> Row:
        for column, coefficient in (part[1] or {}).items():
            found[column] = found.get(column, Fraction(0)) + part[0] * coefficient
        return found

    if any(row is None for _, row in parts):
        return None
    start: Row = {}
    return {column: value for column, value in reduce(put, parts, start).items() if value}


def constant(design: Design) -> Row | None:
    """Return the combination of columns that is 1 in every row, None if the model has no constant."""
    return Margins(design).spelled(ONE)
