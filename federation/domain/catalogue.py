"""What a jurisdiction publishes about a data set: columns, units, ranges, category lists; never a row.

`agreed` compares the publications of all parties of a job and refuses, naming party and column, where they do not
describe the same thing. Values of ranges and lists are public by publication; messages still never quote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from federation.errors import Misuse, Refused, did_you_mean


class Kind(StrEnum):
    """What a column holds."""

    INTEGER = "integer"
    REAL = "real"
    CATEGORY = "category"  # text or integer codes from a closed, published list
    IDENTIFIER = "identifier"  # who is counted; never grouped by, never in a term or a predicate


class Outside(StrEnum):
    """What happens to a value outside the declared range: counted in either case, never silent."""

    CLIP = "clip"  # moved to the nearest bound and counted
    REFUSE = "refuse"  # the local query fails, naming party and column


@dataclass(frozen=True, slots=True)
class Level:
    """A coarser way to say what a category column says: of districts their cities, of districts their regions.

    Attributes:
        name: as grouping and formulas name it; no column and no other level has it.
        of: per category of the column, in published order, the value of this level.
    """

    name: str
    of: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The values, each once, in the order of their first category."""
        return tuple(dict.fromkeys(self.of))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One published column.

    Attributes:
        name: as predicates and statistics name it.
        unit: unit of measurement, "" for none ("minutes", "HKD"); must be equal at all parties.
        low: least value, in `unit`; required for INTEGER and REAL, None otherwise.
        high: greatest value, >= low.
        categories: the closed list for CATEGORY, in published order; () otherwise.
        missing: pairs (code as text, reason) that stand for "no value"; NULL is always missing, reason "null".
        levels: coarser ones of a CATEGORY, from fine to coarse; () for none.
    """

    name: str
    kind: Kind
    unit: str = ""
    low: int | float | None = None
    high: int | float | None = None
    categories: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    outside: Outside = Outside.CLIP
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One published data set of one jurisdiction.

    Attributes:
        name: shared by all parties that publish the same kind of table.
        unit: who is counted: "person", "firm", "flight".
        k: least units in a cell of the jurisdiction's own before it contributes it; 1 for data that is public already.
        own_figures: the operator's clause `publish_own_figures`: a cell to which fewer than three parties contribute
            may open.
        version: SHA-256 (hex) over the data; a change of the data is a new version.
        dominance: most percent of a sum's absolute contributions that two units may hold in a cell of the
            jurisdiction's own before it withholds the cell; 0 for any.
    """

    name: str
    title: str
    unit: str
    columns: tuple[Column, ...]
    k: int = 10
    own_figures: bool = False
    version: str = ""
    dominance: int = 0

    def column(self, name: str) -> Column:
        """Return the column called `name`. Raises Misuse with the nearest name if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise Misuse(
            f"data set {self.name!r} has no column {name!r}", hint=did_you_mean(name, (c.name for c in self.columns))
        )

    def level(self, name: str) -> tuple[Column, Level] | None:
        """Return the level called `name` and the column that it is of, None if there is none."""
        return next(((column, level) for column in self.columns for level in column.levels if level.name == name), None)


def levels_of(categories: Sequence[str], declared: Mapping[str, Mapping[str, Sequence[str]]]) -> tuple[Level, ...]:
    """Return the levels that an operator declares, name -> value -> what it joins, from fine to coarse.

    A value joins categories, or values of a level that was declared before.

    Raises:
        Misuse: something is joined twice, or not at all.
    """
    found: list[Level] = []
    for name, joined in declared.items():
        holding = {part: value for value, parts in joined.items() for part in parts}
        below = next((of for of in (*(one.of for one in reversed(found)), categories) if set(of) == set(holding)), None)
        if below is None or len(holding) != sum(map(len, joined.values())):
            raise Misuse(
                f"level {name!r} does not join all categories, or all values of a level before it, each once",
                hint="every one stands in exactly one list",
            )
        found.append(Level(name, tuple(holding[value] for value in below)))
    return tuple(found)


def agreed(published: Mapping[str, Dataset]) -> Dataset:
    """Return the joint data set that all parties' publications describe.

    The joint range of a column is the hull of the declared ranges, k is the greatest k, `own_figures` holds only
    where every party has the clause, `dominance` is the least share that a party set, and the version is empty:
    versions belong to parties.

    Args:
        published: party name -> its publication; at least one.

    Raises:
        Refused: rule "catalogue", naming the party and the column whose kind, unit, category list, levels or
            missing codes differ.
    """
    parties = sorted(published)
    if not parties:
        raise Misuse("no party publishes this data set", hint="`federation catalog ls` shows what is published")
    first = published[parties[0]]
    for party in parties[1:]:
        _compare(parties[0], first, party, published[party])
    columns = []
    for column in first.columns:
        others = [published[party].column(column.name) for party in parties]
        lows = [other.low for other in others if other.low is not None]
        highs = [other.high for other in others if other.high is not None]
        columns.append(
            Column(
                name=column.name,
                kind=column.kind,
                unit=column.unit,
                low=min(lows) if lows else None,
                high=max(highs) if highs else None,
                categories=column.categories,
                missing=column.missing,
                outside=column.outside,
                levels=column.levels,
            )
        )
    return Dataset(
        name=first.name,
        title=first.title,
        unit=first.unit,
        columns=tuple(columns),
        k=max(published[party].k for party in parties),
        own_figures=all(published[party].own_figures for party in parties),
        dominance=min((one.dominance for one in published.values() if one.dominance), default=0),
    )


def _compare(reference: str, first: Dataset, party: str, other: Dataset) -> None:
    def refuse(what: str, column: str = "") -> Refused:
        where = f"column {column!r} of data set" if column else "data set"
        return Refused(
            f"{party} and {reference} publish {where} {first.name!r} with different {what}",
            rule="catalogue",
            hint="the operators agree on one description and publish again",
            party=party,
        )

    if other.name != first.name:
        raise refuse("names")
    if other.unit != first.unit:
        raise refuse("units of counting")
    mine, theirs = {c.name for c in first.columns}, {c.name for c in other.columns}
    for name in sorted(mine ^ theirs):
        raise refuse("columns: one of them lacks it", name)
    for column in first.columns:
        peer = other.column(column.name)
        for what, a, b in (
            ("kinds", column.kind, peer.kind),
            ("units of measurement", column.unit, peer.unit),
            ("category lists", column.categories, peer.categories),
            ("levels", column.levels, peer.levels),
            ("missing codes", column.missing, peer.missing),
        ):
            if a != b:
                raise refuse(what, column.name)
