"""One query over all rows of a model: what it asks by name, and what came back, exactly, with bounds on its errors.

All queries of a model count the same rows: those that have every value that the model needs, finite. A query that does
not use all of them by itself carries a term that is zero and does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from federation.analytics.cells import is_closed, require_an_open_cell, unit
from federation.analytics.moments import ROUNDING
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Both, Col, Const, Expression, Gram, Missing, Not, Term, total
from federation.query.query import Axis, SumQuery, Totals, shape

HALF: Final = Fraction(1, 2)
NEEDED: Final = " needed"
PADDING: Final = " padding"

Matrix: TypeAlias = tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Which rows a model is about.

    Attributes:
        where: a condition, None for all rows.
        needs: numbers that every row of the model has.
        levels: category columns of which it has a value.
        padding: columns of a Gram of nothing that is asked beside narrower ones. A party whose units are too few for as
            many columns withholds a query; where one did, all queries of the model must be as wide.
    """

    joint: Dataset
    where: Expression | None
    needs: tuple[Expression, ...]
    levels: tuple[str, ...] = ()
    padding: tuple[Expression, ...] = ()

    @property
    def complete(self) -> Expression | None:
        """The condition for rows of the model that says of categories that they are there.

        An indicator in a term would say it too, and be a cell in disguise.
        """
        found = self.where
        for name in self.levels:
            there = Not(Missing(Col(name)))
            found = there if found is None else Both(found, there)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What one query opened.

    Attributes:
        rows: how many rows were counted.
        units: how many units they belong to.
        sums: per name, the sums; a Gram's upper triangle by rows.
        errors: the same, bounds on what rounding of rows did to them.
    """

    rows: int
    units: int
    sums: Mapping[str, tuple[Fraction, ...]]
    errors: Mapping[str, tuple[Fraction, ...]]
    totals: Totals

    def one(self, name: str) -> Fraction:
        """Return the only sum of that name."""
        return self.sums[name][0]

    def matrix(self, name: str) -> Matrix:
        """Return a Gram as a full symmetric matrix."""
        return square(self.sums[name])


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that knows what its sums are called."""

    query: SumQuery
    frame: Frame
    names: tuple[tuple[str, int], ...]

    def read(self, totals: Totals, rows: int | None = None) -> Opened:
        """Return what was opened.

        Args:
            totals: of the query.
            rows: how many there were in the query before; None for the first.

        Raises:
            Refused: rule "contributors": nothing was opened.
            JobFailed: no row, or other rows than before.
        """
        require_an_open_cell(totals)
        joint = self.frame.joint
        units, *numbers = totals.table[0]
        form = shape(self.query, joint)
        counted = numbers.pop(0) if self.query.per else units
        if not counted:
            raise JobFailed("no row has all values that the model needs", hint="`where` or a column leaves none")
        if rows is not None and rows != counted:
            raise JobFailed("the rows changed while the model was fitted", hint="ask again")
        skip = 1 if self.query.per else 0
        scales, intervals = form.scales[skip:], form.intervals[skip:]
        values = [Fraction(number) / Fraction(2) ** s for number, s in zip(numbers, scales, strict=True)]
        errors = [
            Fraction(0) if i.integer else counted * (HALF / Fraction(2) ** s + ROUNDING * Fraction(i.bound))
            for i, s in zip(intervals, scales, strict=True)
        ]
        sums: dict[str, tuple[Fraction, ...]] = {}
        bounds: dict[str, tuple[Fraction, ...]] = {}
        at = 0
        for name, size in self.names:
            sums[name], bounds[name] = tuple(values[at : at + size]), tuple(errors[at : at + size])
            at += size
        return Opened(rows=counted, units=units, sums=sums, errors=bounds, totals=totals)


def ask(frame: Frame, parts: Mapping[str, Gram | Sequence[Expression]], *, complete: bool = False) -> Asked:
    """Return the query for the named sums over the rows of `frame`; `complete` says that they use all of its needs."""
    terms: list[Term] = []
    names: list[tuple[str, int]] = []
    for name, part in parts.items():
        terms += [part] if isinstance(part, Gram) else part
        names.append((name, part.sums if isinstance(part, Gram) else len(part)))
    if frame.needs and not complete:
        terms.append(nothing(frame.needs))
        names.append((NEEDED, 1))
    if frame.padding and not any(isinstance(term, Gram) and len(term.columns) >= len(frame.padding) for term in terms):
        padding = Gram(Const(0), frame.padding)
        terms.append(padding)
        names.append((PADDING, padding.sums))
    per = unit(frame.joint)
    where = frame.where if complete else frame.complete
    query = SumQuery(dataset=frame.joint.name, where=where, per=per, terms=(*((Const(1),) if per else ()), *terms))
    return Asked(query, frame, tuple(names))


def supporting(frame: Frame, axes: tuple[Axis, ...]) -> SumQuery:
    """Return the query for how many units each cell of `axes` has among the rows of `frame`.

    Where small cells are withheld, the numbers stay closed: a count of some levels, and one of them and a small one
    joined, would tell the small one.
    """
    return SumQuery(
        dataset=frame.joint.name,
        where=frame.complete,
        per=unit(frame.joint),
        group_by=axes,
        terms=(nothing(frame.needs),),
        flags_only=frame.joint.k > 1,
    )


def nothing(needs: Sequence[Expression]) -> Expression:
    """Return a term that is zero in every row that has all of `needs`, and excludes the others."""
    return Const(0) * total(needs)


def square(upper: Sequence[Fraction]) -> Matrix:
    """Return the symmetric matrix of an upper triangle by rows."""
    size = int(((8 * len(upper) + 1) ** 0.5 - 1) / 2 + 0.5)
    found = [[Fraction(0)] * size for _ in range(size)]
    at = 0
    for i in range(size):
        for j in range(i, size):
            found[i][j] = found[j][i] = upper[at]
            at += 1
    return tuple(map(tuple, found))


def closed(totals: Totals) -> bool:
    """Return whether nothing of a query over all rows was opened."""
    return is_closed(totals, 0)
