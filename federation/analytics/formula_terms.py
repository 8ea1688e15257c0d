"""What a formula says: numbers and factors, their products, and a response; `formula` reads it from text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, eq=False)
class Numeric:
    """A number per row, to a power.

    Attributes:
        text: as it was written, without spaces; numbers with one text are one.
        of: the number, typed by the catalogue.
        power: 1, or the exponent of `x**2`.
        atom: the text of `of` alone.
    """

    text: str
    of: Expression
    power: int
    atom: str

    @property
    def expression(self) -> Expression:
        """The number to its power."""
        return self.of if self.power == 1 else self.of**self.power


@dataclass(frozen=True, slots=True)
class Factor:
    """A column with levels: a category, or whole numbers inside C().

    Attributes:
        text: as columns of the design are named, "sex" or "C(sex)".
        column: its name.
        ref: the level that the others are compared with; None for the first.
        level: a coarser level of the column, as the catalogue names it; "" for its categories.
    """

    text: str
    column: str
    ref: str | None
    level: str = ""

    @property
    def named(self) -> str:
        """What says which levels it has: the column, or a coarser level of it."""
        return self.level or self.column


Variable: TypeAlias = Numeric | Factor
Term: TypeAlias = tuple[Variable, ...]  # a product; () is the intercept


@dataclass(frozen=True, slots=True, eq=False)
class Survival:
    """What a survival model explains: a time, and whether the event happened then (1) or was not seen until then."""

    time: Numeric
    event: Numeric


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Formula:
    """A parsed formula.

    Attributes:
        text: as it was written.
        response: what is explained.
        terms: by the number of their variables, then as written; the intercept is not among them.
        intercept: whether there is one.
        offsets: numbers that are added with the coefficient 1.
        strata: columns of `strata(...)`, for survival models.
    """

    text: str
    response: Numeric | Survival
    terms: tuple[Term, ...]
    intercept: bool
    offsets: tuple[Numeric, ...] = ()
    strata: tuple[str, ...] = ()


def joined(terms: list[Term], more: Iterable[Term]) -> list[Term]:
    """Return both, each once; a product in another order is the same."""
    found = {_key(term): term for term in terms}
    for term in more:
        found.setdefault(_key(term), term)
    return list(found.values())


def among(term: Term, others: Iterable[Term]) -> bool:
    """Return whether a term is one of the others."""
    return any(_key(term) == _key(other) for other in others)


def product_of(left: Term, right: Term) -> Term:
    """Return the product of two terms; a variable that both have stands once."""
    known = {variable.text for variable in left}
    return (*left, *(variable for variable in right if variable.text not in known))


def _key(term: Term) -> frozenset[str]:
    return frozenset(variable.text for variable in term)
