"""Who stands behind the levels of a model: counted before anything else, level by level and outcome by outcome.

An indicator inside a model is a group-by in disguise. So where parties withhold small cells, a model is refused whose
levels, or products of levels that it has, do not have k units of each outcome at every party; an empty cell looks like
a small one. The refusal names the merge that passes: a merged cell passes for certain where one of its parts does.
Where nothing is withheld (k = 1), a level without rows is left out, and one whose rows all have the same outcome is
separation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Final, TypeAlias

from federation.analytics.asked import Frame, supporting
from federation.analytics.design import Design, Level, Levels
from federation.errors import JobFailed, Misuse, Refused
from federation.query.expression import Const, Expression, total
from federation.query.query import Axis, Bins, Categories, SumQuery, Totals

MOST_CELLS: Final = 20_000  # of one support query
OUTCOMES: Final = (0, 1, 2)  # edges of the bins of a response that is 0 or 1

Place: TypeAlias = tuple[int, ...]  # a level of each factor of a product


class Separated(JobFailed):
    """Coefficients without a finite value: what was seen is explained perfectly in some direction."""

    code = "separated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """The support query of one product of factors.

    Attributes:
        factors: which ones, by their place in the design; () for the outcome alone.
        binary: whether cells are told apart by a response of 0 and 1.
        sizes: cells per factor's axis, and which of them are levels: the first is `first`.
    """

    factors: tuple[int, ...]
    binary: bool
    query: SumQuery
    sizes: tuple[int, ...]
    firsts: tuple[int, ...]
    levels: tuple[int, ...]

    def cells(self) -> dict[Place, tuple[int, ...]]:
        """Return {levels: the query's cells of these levels, one for each outcome}."""
        found: dict[Place, tuple[int, ...]] = {}
        for place in product(*(range(size) for size in self.levels)):
            at = 0
            for size, first, level in zip(self.sizes, self.firsts, place, strict=True):
                at = at * size + first + level
            found[place] = (4 * at + 1, 4 * at + 2) if self.binary else (at,)
        return found


@dataclass(slots=True)
class Verdict:
    """What the support queries told.

    Attributes:
        passes: per support, per levels: whether each outcome has k units at every party.
        empty: factor -> levels that no row has.
        alike: per support, levels whose rows all have the same outcome.
    """

    passes: list[dict[Place, tuple[bool, ...]]] = field(default_factory=list)
    empty: dict[int, set[int]] = field(default_factory=dict)
    alike: list[tuple[Support, Place]] = field(default_factory=list)


def supports(design: Design, frame: Frame, outcome: Expression | None) -> tuple[Support, ...]:
    """Return the support queries of a design; `outcome` is a response of 0 and 1, None for another response.

    Where small cells are withheld, all that the cross products of the design's columns are about is asked: two factors
    together, also where the model has no product of them.
    """
    asked = [(factors, outcome) for factors in _largest(design.products)]
    if frame.joint.k > 1:
        asked = asked or [((), outcome)]
        products = {tuple(sorted({*a, *b})) for a in design.products for b in design.products}
        asked += [(factors, None) for factors in _largest(products) if (factors, None) not in asked]
    return tuple(_support(design, frame, factors, of) for factors, of in asked if factors or of is not None)


def _largest(products: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the sets of factors that are in no other."""
    sets = [set(item) for item in products]
    return sorted((tuple(sorted(item)) for item in sets if not any(item < other for other in sets)), key=len)


def _support(design: Design, frame: Frame, factors: tuple[int, ...], outcome: Expression | None) -> Support:
    axes: list[Axis] = []
    firsts, sizes = [], []
    for place in factors:
        axis, size, first = _axis(design.factors[place], frame)
        axes.append(axis)
        sizes.append(size)
        firsts.append(first)
    if outcome is not None:
        axes.append(Bins(outcome, OUTCOMES))
    if prod(sizes) * 4 > MOST_CELLS:
        named = ":".join(design.factors[place].text for place in factors)
        raise Misuse(f"{named} has too many combinations of levels", hint="`collapse=` levels")
    return Support(
        factors=factors,
        binary=outcome is not None,
        query=supporting(frame, tuple(axes)),
        sizes=tuple(sizes),
        firsts=tuple(firsts),
        levels=tuple(len(design.factors[place].levels) for place in factors),
    )


def judged(design: Design, asked: Sequence[Support], opened: Sequence[Totals], k: int) -> Verdict:
    """Return what the support queries opened says of the design's levels.

    Raises:
        Refused: rule "support": levels below k, with the `collapse=` that passes.
    """
    verdict = Verdict()
    for support, totals in zip(asked, opened, strict=True):
        passes: dict[Place, tuple[bool, ...]] = {}
        rows: dict[Place, tuple[int, ...]] = {}
        for place, cells in support.cells().items():
            passes[place] = tuple(not totals.withheld[cell] for cell in cells)
            rows[place] = tuple(totals.table[cell][0] for cell in cells)
        verdict.passes.append(passes)
        if k > 1:
            continue
        for index, factor in enumerate(support.factors):
            for level in range(support.levels[index]):
                if not any(any(n) for place, n in rows.items() if place[index] == level):
                    verdict.empty.setdefault(factor, set()).add(level)
        if support.binary:
            verdict.alike += [(support, place) for place, n in rows.items() if any(n) and not all(n)]
    if k > 1 and not all(all(outcomes) for passes in verdict.passes for outcomes in passes.values()):
        raise _refused(design, asked, verdict.passes, k)
    return verdict


def separated(design: Design, verdict: Verdict) -> Separated | None:
    """Return the error of a response of 0 and 1 whose rows of some levels are all alike, None where none are."""
    if not verdict.alike:
        return None
    support, place = verdict.alike[0]
    if not support.factors:
        return Separated("every row has the same response", hint="there is nothing to explain")
    what = " and ".join(
        f"level {design.factors[factor].levels[level].label!r} of {design.factors[factor].text!r}"
        for factor, level in zip(support.factors, place, strict=True)
    )
    cells = {at: tuple(True for _ in support.cells()[at]) for at in support.cells()}
    cells |= {at: (False, False) for of, at in verdict.alike if of is support}
    merge = collapse(design, [support], [cells])
    hint = f"`collapse={written(merge)}` joins levels that have both" if merge else "leave the factor out"
    return Separated(f"separation: all rows of {what} have the same response", hint=f"{hint}, or use ridge")


def collapse(
    design: Design, asked: Sequence[Support], passes: Sequence[Mapping[Place, tuple[bool, ...]]]
) -> dict[str, list[list[str]]] | None:
    """Return levels to join, per column, so that every cell has a part that passes; None where no merge does.

    Greedy: the level with most failing cells is joined to the neighbour, in published order, that has fewest.
    """
    groups = {place: [[level] for level in range(len(factor.levels))] for place, factor in enumerate(design.factors)}
    while True:
        failing = _failing(groups, asked, passes)
        if not any(failing.values()):
            break
        order = sorted(
            (key for key in failing if failing[key] and len(groups[key[0]]) > 1),
            key=lambda key: (-failing[key], key),
        )
        if not order:
            return None
        factor, at = order[0]
        beside = [place for place in (at + 1, at - 1) if 0 <= place < len(groups[factor])]
        chosen = min(beside, key=lambda place: failing[factor, place])
        low, high = sorted((at, chosen))
        groups[factor][low : high + 1] = [groups[factor][low] + groups[factor][high]]
    found: dict[str, list[list[str]]] = {}
    for place, joined in groups.items():
        factor_levels = design.factors[place]
        merges = [_values(factor_levels.levels, group) for group in joined if len(group) > 1]
        if len(joined) == 1 and len(factor_levels.levels) > 1:
            return None
        if merges:
            found.setdefault(factor_levels.named, []).extend(merges)
    return found


def written(merge: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """Return a merge as somebody would type it."""
    return repr({column: [list(group) for group in groups] for column, groups in merge.items()})


def _failing(
    groups: Mapping[int, list[list[int]]],
    asked: Sequence[Support],
    passes: Sequence[Mapping[Place, tuple[bool, ...]]],
) -> dict[tuple[int, int], int]:
    """Return {(factor, group): how many merged cells of it have an outcome that no part passes}."""
    failing = {(place, at): 0 for place, joined in groups.items() for at in range(len(joined))}
    for support, known in zip(asked, passes, strict=True):
        for chosen in product(*(range(len(groups[factor])) for factor in support.factors)):
            parts = product(*(groups[factor][at] for factor, at in zip(support.factors, chosen, strict=True)))
            outcomes = zip(*(known[part] for part in parts), strict=True)
            if all(any(outcome) for outcome in outcomes):
                continue
            for factor, at in zip(support.factors, chosen, strict=True):
                failing[factor, at] += 1
    return failing


def _refused(
    design: Design, asked: Sequence[Support], passes: Sequence[Mapping[Place, tuple[bool, ...]]], k: int
) -> Refused:
    names = [
        ":".join(design.factors[factor].text for factor in support.factors) or "the response"
        for support, known in zip(asked, passes, strict=True)
        if not all(map(all, known.values()))
    ]
    merge = collapse(design, asked, passes)
    binary = any(support.binary for support in asked)
    return Refused(
        f"some levels of {', '.join(map(repr, dict.fromkeys(names)))} have fewer than {k} units"
        f"{' of each outcome' if binary else ''} at some party",
        rule="support",
        hint=f"`collapse={written(merge)}` passes" if merge else "leave it out, widen `where`, or ask other parties",
    )


def _values(levels: Sequence[Level], group: Sequence[int]) -> list[str]:
    return [value for place in group for value in levels[place].joins]


def _axis(factor: Levels, frame: Frame) -> tuple[Axis, int, int]:
    """Return the axis of a factor, its size, and the cell of its first level."""
    listed = () if factor.whole else frame.joint.column(factor.column).categories
    if listed and [level.values for level in factor.levels] == [(value,) for value in listed]:
        return Categories(factor.column), len(listed), 0
    count = len(factor.levels)
    places = [Const(place) * factor.indicator(place) for place in range(1, count)]
    outside = Const(-1) * (1 - total(factor.indicator(place) for place in range(count)))
    return Bins(total([*places, outside]), tuple(range(max(count, 1) + 1))), count + 2, 1
