"""The space in which rows are clustered: opened means and deviations, public places in it, and sums by nearest place.

A place is a point of numbers that everybody knows: a start, a centre, a prototype. None is ever a row. Refused: a
column with one value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from federation.analytics import standard
from federation.analytics.asked import Frame, ask
from federation.analytics.cells import unit
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends, numeric
from federation.analytics.standard import Spread, Standard
from federation.analytics.tails import normal_ppf
from federation.domain.catalogue import Dataset
from federation.domain.job import digest
from federation.errors import JobFailed
from federation.query.expression import Col, Const, Expression, total
from federation.query.query import Argmin, SumQuery, Totals, shape

Place: TypeAlias = tuple[float, ...]
Places: TypeAlias = tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The columns, how they stand in queries, and how far apart they are.

    Attributes:
        mean: opened means; `deviation` their standard deviations.
        scale: what distances in each column are divided by.
        rows: complete rows, `units` those whom they belong to, of `parties` parties.
    """

    joint: Dataset
    where: Expression | None
    columns: tuple[str, ...]
    standards: tuple[Standard, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    scale: tuple[float, ...]
    rows: int
    units: int
    parties: int

    @property
    def frame(self) -> Frame:
        """The rows that are clustered."""
        return Frame(joint=self.joint, where=self.where, needs=self.numbers)

    @property
    def numbers(self) -> tuple[Expression, ...]:
        """The columns, as queries name them."""
        return tuple(map(Col, self.columns))

    def nearest(self, places: Places) -> Argmin:
        """Return the axis of the nearest of `places`."""
        return Argmin(
            tuple(
                total(
                    ((x - c) * (1.0 / s)) ** 2 if s != 1.0 else (x - c) ** 2
                    for x, c, s in zip(self.numbers, place, self.scale, strict=True)
                )
                for place in places
            )
        )

    def question(self, places: Places) -> SumQuery:
        """Return the query for rows, sums and squares about public centres, per nearest of `places`."""
        held = [each.of(x) for each, x in zip(self.standards, self.numbers, strict=True)]
        return SumQuery(
            dataset=self.joint.name,
            where=self.where,
            per=unit(self.joint),
            group_by=(self.nearest(places),),
            terms=(*held, *(x**2 for x in held), Const(1)),  # the last one counts rows, as `counted` reads them
        )

    def drawn(self, seed: int, group: int, count: int) -> Places:
        """Return places: normal numbers of the seed, with the opened mean and deviation, inside the declared range."""
        return tuple(tuple(self._drawn(seed, group, place)) for place in range(count))

    def _drawn(self, seed: int, group: int, place: int) -> list[float]:
        found = []
        for j, name in enumerate(self.columns):
            word = b"".join(number.to_bytes(8, "big") for number in (seed, group, place, j))
            share = (int.from_bytes(digest("federation/kmeans/v1", word)[:6], "big") + 0.5) / 2**48
            low, high = ends(numeric(name, self.joint))
            found.append(min(max(self.mean[j] + self.deviation[j] * normal_ppf(share), float(low)), float(high)))
        return found


@dataclass(frozen=True, slots=True)
class Moments:
    """Rows and, per column, the sums of standardised values and of their squares, exactly."""

    rows: int
    first: tuple[Fraction, ...]
    second: tuple[Fraction, ...]

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both, which have no row in common."""
        return Moments(
            self.rows + other.rows,
            tuple(a + b for a, b in zip(self.first, other.first, strict=True)),
            tuple(a + b for a, b in zip(self.second, other.second, strict=True)),
        )

    def mean(self, space: Space) -> Place:
        """Return the mean, in the columns' units; there must be a row."""
        return tuple(
            float(Fraction(each.centre) + first / self.rows * Fraction(2) ** each.shift)
            for each, first in zip(space.standards, self.first, strict=True)
        )

    def inertia(self, space: Space) -> Fraction:
        """Return the sum of squared distances to the mean."""
        found = Fraction(0)
        for each, first, second, scale in zip(space.standards, self.first, self.second, space.scale, strict=True):
            spread = (second - first * first / self.rows) * Fraction(4) ** each.shift
            found += max(spread, Fraction(0)) / Fraction(scale) ** 2
        return found


def moments(space: Space, query: SumQuery, totals: Totals, cell: int) -> Moments:
    """Return what a cell of `Space.question` opened."""
    count = len(space.columns)
    _, *sums = totals.table[cell]
    scaled = [Fraction(n) / Fraction(2) ** s for n, s in zip(sums, shape(query, space.joint).scales, strict=True)]
    return Moments(sums[-1], tuple(scaled[:count]), tuple(scaled[count : 2 * count]))


def distance(space: Space, one: Place, other: Place) -> float:
    """Return the squared distance of two places, in written order: the same bits everywhere."""
    found = 0.0
    for a, b, s in zip(one, other, space.scale, strict=True):
        away = (a - b) / s
        found += away * away
    return found


def opened(columns: Sequence[str], where: Expression | None, joint: Dataset, *, standardize: bool) -> Plan[Space]:
    """Ask for means and deviations, and return the space that they span.

    Raises:
        JobFailed: a column has one value only.
        Refused: rule "contributors", where nothing was opened.
    """
    numbers = tuple(map(Col, columns))
    before = [standard.declared(number, joint, centred=True) for number in numbers]
    held = [each.of(number) for each, number in zip(before, numbers, strict=True)]
    question = ask(
        Frame(joint=joint, where=where, needs=numbers),
        {"first": held, "second": [x**2 for x in held]},
        complete=True,
    )
    (totals,) = yield (question.query,)
    found = question.read(totals)
    standards, mean, deviation = [], [], []
    for place, (each, number) in enumerate(zip(before, numbers, strict=True)):
        grown = Fraction(2) ** each.shift
        spread = Spread(
            rows=found.rows,
            first=found.sums["first"][place] * grown,
            second=found.sums["second"][place] * grown**2,
            error=found.errors["second"][place] * grown**2,
        )
        if not spread.variance:
            raise JobFailed(f"column {columns[place]!r} has one value only", hint="leave it out")
        standards.append(standard.refined(each, spread, number, joint, centred=True))
        mean.append(float(Fraction(each.centre) + spread.first / spread.rows))
        deviation.append(math.sqrt(float(spread.variance)))
    return Space(
        joint=joint,
        where=where,
        columns=tuple(columns),
        standards=tuple(standards),
        mean=tuple(mean),
        deviation=tuple(deviation),
        scale=tuple(deviation) if standardize else (1.0,) * len(numbers),
        rows=found.rows,
        units=found.units,
        parties=totals.parties,
    )
