"""From a formula to the columns of a design: which products of numbers and levels, under which names.

A column is a monomial: numbers to powers times at most one level of each factor. Factors are coded by treatment
contrasts, and a factor has all its levels where its margin is not in the model (`y ~ a - 1`, `y ~ a:b`), after the
rule of Chambers and Hastie (Statistical Models in S, 1992, section 2.4) as R and patsy have it, so that the columns of
a hierarchical model are never collinear by construction. Levels come from the catalogue. Refused: too many columns,
and levels to collapse that are none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, TypeAlias

from federation.analytics.formula_terms import Factor, Formula, Numeric, Term
from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query.expression import Col, Compare, Const, Expression, Member, Text

MOST_COLUMNS: Final = 500
MOST_LEVELS: Final = 1_000  # of a factor; of whole numbers inside C() a tenth of it
INTERCEPT: Final = "Intercept"

Merges: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]  # (column, levels that are one)
Monomial: TypeAlias = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
"""((number, power), ...), ((factor, level), ...), both sorted: what a column is a product of."""
ONE: Final[Monomial] = ((), ())


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a factor, or several that are one.

    Attributes:
        label: as columns name it: "south", "south+sea".
        values: categories of the column, as the catalogue has them; whole numbers as their text.
        above: what `collapse=` calls them: the values of a coarser level; () for the categories.
    """

    label: str
    values: tuple[str, ...]
    above: tuple[str, ...] = ()

    @property
    def joins(self) -> tuple[str, ...]:
        """What `collapse=` joins with other levels."""
        return self.above or self.values


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """A factor and its levels.

    Attributes:
        text: as columns of the design are named, "sex" or "C(sex)".
        column: its name.
        named: what `collapse=` calls it: the column, or a coarser level of it.
        whole: True for whole numbers inside C().
        levels: in published order.
        ref: the place of the level that the others are compared with.
        chosen: whether the researcher named it.
    """

    text: str
    column: str
    named: str
    whole: bool
    levels: tuple[Level, ...]
    ref: int
    chosen: bool

    def indicator(self, place: int) -> Expression:
        """Return 1 for the rows of a level, else 0."""
        of, values = Col(self.column), self.levels[place].values
        exact: tuple[int | str, ...] = tuple(map(int, values)) if self.whole else values
        if len(exact) > 1:
            return Member(of, exact).indicator()
        return Compare("==", of, Const(exact[0]) if isinstance(exact[0], int) else Text(exact[0])).indicator()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """The columns of a model.

    Attributes:
        numbers: what monomials count as numbers, without powers.
        factors: what they count as factors.
        names: of the columns, as statsmodels has them: "Intercept", "x", "sex[T.f]", "x:sex[T.f]".
        monomials: of the columns, in the same order.
        products: the factors that stand together in a term, each set once.
    """

    numbers: tuple[Numeric, ...]
    factors: tuple[Levels, ...]
    names: tuple[str, ...]
    monomials: tuple[Monomial, ...]
    products: tuple[tuple[int, ...], ...]

    def column(
        self, monomial: Monomial, numbers: Sequence[Expression], levels: Mapping[tuple[int, int], Expression]
    ) -> Expression:
        """Return a column over `numbers`, which stand for `self.numbers`, and the indicators of levels."""
        parts: list[Expression] = [levels[place] for place in monomial[1]]
        for place, power in monomial[0]:
            parts += [numbers[place]] * power
        if not parts:
            return Const(1)
        found = parts[0]
        for part in parts[1:]:
            found = found * part
        return found

    def indicators(self) -> dict[tuple[int, int], Expression]:
        """Return the indicator of every level that a column uses, each one node."""
        used = sorted({place for _, levels in self.monomials for place in levels})
        return {(factor, level): self.factors[factor].indicator(level) for factor, level in used}


def designed(
    formula: Formula, joint: Dataset, merges: Merges = (), empty: Mapping[int, Iterable[int]] | None = None
) -> Design:
    """Return the design of a formula.

    Args:
        formula: its terms must be over `joint`.
        joint: the joint description.
        merges: levels that are one.
        empty: factor -> places of levels, merged, that no row has; they are left out.

    Raises:
        Misuse: too many columns or levels, or a merge of what is no level.
    """
    factors = _factors(formula, joint, merges, empty or {})
    numbers: dict[str, tuple[int, Numeric]] = {}
    for term in formula.terms:
        for variable in term:
            if isinstance(variable, Numeric) and variable.atom not in numbers:
                numbers[variable.atom] = (len(numbers), replace(variable, power=1))
    known = {factor.text: place for place, factor in enumerate(factors)}
    places = {atom: place for atom, (place, _) in numbers.items()}
    names: list[str] = []
    monomials: list[Monomial] = []
    coded: dict[frozenset[str], set[frozenset[int]]] = {}  # by the numbers of a term: margins that are spanned
    terms = ((), *formula.terms) if formula.intercept else formula.terms
    for term in terms:
        spanned = coded.setdefault(frozenset(v.text for v in term if isinstance(v, Numeric)), set())
        inside = [known[v.text] for v in term if isinstance(v, Factor)]
        for coding in _codings(inside, spanned):
            for name, monomial in _columns(term, coding, factors, known, places):
                names.append(name)
                monomials.append(monomial)
                if len(names) > MOST_COLUMNS:
                    raise Misuse(f"the model has more than {MOST_COLUMNS} columns", hint="fewer interactions or levels")
    twice = [name for name, count in Counter(monomials).items() if count > 1]
    if twice:
        name = names[len(monomials) - 1 - monomials[::-1].index(twice[0])]
        raise Misuse(f"the model has {name!r} twice", hint="write a product of numbers once, as x**2 or I(x * z)")
    together = {tuple(sorted({factor for factor, _ in levels})) for _, levels in monomials} - {()}
    return Design(
        numbers=tuple(number for _, number in numbers.values()),
        factors=factors,
        names=tuple(names),
        monomials=tuple(monomials),
        products=tuple(sorted(together, key=lambda item: (len(item), item))),
    )


def _codings(inside: Sequence[int], spanned: set[frozenset[int]]) -> list[dict[int, bool]]:
    """Return how a term's factors are coded, factor -> all levels?, so that nothing that is spanned comes again.

    All levels of a and b span the margins {}, {a}, {b} and {a, b}; what is missing of them is put together from the
    largest down: {a} without its margin {} is a without its reference level, {} and {a} together are all levels of a.
    """
    subsets = [frozenset(f for i, f in enumerate(inside) if bits >> i & 1) for bits in range(1 << len(inside))]
    missing = sorted((s for s in subsets if s not in spanned), key=lambda s: (len(s), [inside.index(f) for f in s]))
    spanned.update(missing)
    codings: list[dict[int, bool]] = [dict.fromkeys(sorted(s, key=inside.index), False) for s in missing]
    joined = True
    while joined:
        joined = False
        for small, large in product(codings, codings):
            extra = [f for f in large if f not in small]
            if len(extra) != 1 or len(large) != len(small) + 1 or large[extra[0]]:
                continue
            if all(small[f] == large[f] for f in small):
                large[extra[0]] = True
                codings.remove(small)
                joined = True
                break
    return codings


def _columns(
    term: Term,
    coding: Mapping[int, bool],
    factors: Sequence[Levels],
    known: Mapping[str, int],
    numbers: Mapping[str, int],
) -> list[tuple[str, Monomial]]:
    """Return the columns of a term under one coding; the levels of its first factor change fastest."""
    powers: Counter[int] = Counter()
    for variable in term:
        if isinstance(variable, Numeric):
            powers[numbers[variable.atom]] += variable.power
    choices = [
        [place for place in range(len(factors[factor].levels)) if everything or place != factors[factor].ref]
        for factor, everything in coding.items()
    ]
    found: list[tuple[str, Monomial]] = []
    for reversed_places in product(*reversed(choices)):
        places = dict(zip(coding, reversed(reversed_places), strict=True))
        parts = []
        for variable in term:
            if isinstance(variable, Numeric):
                parts.append(variable.text)
            elif known[variable.text] in places:
                factor = known[variable.text]
                mark = "" if coding[factor] else "T."
                parts.append(f"{variable.text}[{mark}{factors[factor].levels[places[factor]].label}]")
        monomial = (tuple(sorted(powers.items())), tuple(sorted(places.items())))
        found.append((":".join(parts) or INTERCEPT, monomial))
    return found


def _factors(
    formula: Formula, joint: Dataset, merges: Merges, empty: Mapping[int, Iterable[int]]
) -> tuple[Levels, ...]:
    found: dict[str, Levels] = {}
    for term in formula.terms:
        for variable in term:
            if isinstance(variable, Factor) and variable.text not in found:
                found[variable.text] = _levels(variable, joint, merges, frozenset(empty.get(len(found), ())))
    for column, _ in merges:
        names = {factor.named for factor in found.values()}
        if column not in names:
            raise Misuse(
                f"collapse= names {column!r}, which is no factor of the model", hint=did_you_mean(column, names)
            )
    return tuple(found.values())


def _levels(factor: Factor, joint: Dataset, merges: Merges, empty: frozenset[int]) -> Levels:
    column = joint.column(factor.column)
    whole = column.kind is Kind.INTEGER
    if whole:
        low, high = math.ceil(column.low or 0), math.floor(column.high or 0)
        if high - low >= MOST_LEVELS // 10:
            raise Misuse(
                f"C({column.name}) has more than {MOST_LEVELS // 10} levels over its declared range",
                hint="use the number itself, or clip it",
            )
        listed = tuple(str(value) for value in range(low, high + 1))
    else:
        listed = column.categories
    coarse = next((level for level in column.levels if level.name == factor.level), None)
    levels = merged(factor.named, listed if coarse is None else coarse.values, merges)
    holding = {value: place for place, level in enumerate(levels) for value in level.values}
    if coarse is not None:
        levels = tuple(_below(level, column.categories, coarse.of) for level in levels)
    if factor.ref is not None and factor.ref not in holding:
        raise Misuse(f"{factor.text} has no level ref={factor.ref!r}", hint=did_you_mean(factor.ref, listed))
    if len(levels) > MOST_LEVELS:
        raise Misuse(f"{factor.text} has more than {MOST_LEVELS} levels", hint="collapse= joins levels")
    chosen = None if factor.ref is None else holding[factor.ref]
    if chosen in empty:
        raise Misuse(f"the reference level of {factor.text} has no row", hint="choose another ref=")
    kept = [place for place in range(len(levels)) if place not in empty]
    if not kept:
        raise Misuse(f"{factor.text} has no row")
    return Levels(
        text=factor.text,
        column=column.name,
        named=factor.named,
        whole=whole,
        levels=tuple(levels[place] for place in kept),
        ref=0 if chosen is None else kept.index(chosen),
        chosen=chosen is not None,
    )


def _below(level: Level, categories: Sequence[str], of: Sequence[str]) -> Level:
    """Return a level of values above the categories as one of the categories themselves."""
    values = tuple(category for category, value in zip(categories, of, strict=True) if value in level.values)
    return Level(level.label, values, level.values)


def merged(column: str, listed: Sequence[str], merges: Merges) -> tuple[Level, ...]:
    """Return the levels of a column, in published order, where those that `merges` names together are one."""
    group: dict[str, tuple[str, ...]] = {}  # level -> those it is one with
    for name, values in merges:
        if name != column:
            continue
        for value in values:
            if value not in listed:
                raise Misuse(f"collapse= of {column!r} names no level of it", hint=did_you_mean(value, listed))
            if value in group:
                raise Misuse(f"collapse= of {column!r} names a level twice")
            group[value] = values
    found = dict.fromkeys(tuple(sorted(set(group.get(value, (value,))), key=listed.index)) for value in listed)
    return tuple(Level("+".join(values), values) for values in found)
