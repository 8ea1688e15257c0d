"""A look at a source that nobody described yet: what its columns hold, for `fed.local` and an operator's first draft.

What comes out are ranges and lists of values of the source, so it stays with whoever owns the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlglot import exp

from clients.jurisdiction.engines._held import Held
from clients.jurisdiction.engines._sources import Source, opened
from clients.jurisdiction.sql.layers import column, finite, named, when
from federation.errors import Misuse
from federation.query.expression import INTEGER_LIMIT, Number

NOT_GIVEN: Final = "NA"  # what R writes into a CSV file where there is no value


class Sort(Enum):
    """What a column's values are."""

    NOTHING = "nothing"  # none of them is there
    INTEGER = "integer"
    REAL = "real"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One column as it stands in a source.

    Attributes:
        low: least finite number; None if there is none.
        high: greatest finite number.
        is_coded: True where `NOT_GIVEN` stands for "no value" among numbers.
        texts: the distinct texts, sorted; () for numbers, None if there are more than were asked for.
    """

    name: str
    sort: Sort
    low: Number | None = None
    high: Number | None = None
    is_coded: bool = False
    texts: tuple[str, ...] | None = ()


def looked(source: object, most: int, texts: Collection[str] = ()) -> tuple[Seen, ...]:
    """Return every column of a source that has a plain type, in its order.

    Args:
        source: as `Engine.open` takes it.
        most: distinct texts of one column that are still listed.
        texts: columns that are texts whatever they spell.

    Raises:
        Misuse: no source of rows, or one that cannot be read.
    """
    found = opened(source, None, None)
    try:
        if len(set(found.names)) != len(found.names):
            raise Misuse(f"{found.where} has two columns of one name", hint="rename or remove one of them")
        columns = {name: held for name, held in zip(found.names, found.held, strict=True) if _is_plain(held)}
        maybe = {name: held for name, held in columns.items() if name not in texts and _may_count(held, found)}
        numbers = _numbers(found, maybe)
        return tuple(numbers.get(name) or _text(found, name, held, most) for name, held in columns.items())
    finally:
        found.connection.close()


def _is_plain(held: Held) -> bool:
    return held.is_number or held.is_text or held.is_written


def _may_count(held: Held, source: Source) -> bool:
    """Text in a frame is text, whatever it spells; in CSV everything is text at first."""
    return held.is_number or (held.is_text and source.is_text)


def _numbers(source: Source, columns: dict[str, Held]) -> dict[str, Seen]:
    """Return the columns that hold numbers only, by one pass over all."""
    if not columns:
        return {}
    outputs = [output for held in columns.values() for output in _summary(held, source)]
    inner = exp.select(*(named(of, name) for name, of in _parts(columns)), copy=False).from_(source.relation.copy())
    row = source.run(exp.select(*outputs, copy=False).from_(inner.subquery("parts"))).fetchone() or ()
    size = len(outputs) // len(columns)
    found: dict[str, Seen] = {}
    for place, (name, held) in enumerate(columns.items()):
        seen = _judged(name, held, source, row[place * size : (place + 1) * size])
        if seen is not None:
            found[name] = seen
    return found


def _parts(columns: dict[str, Held]) -> list[tuple[str, exp.Expr]]:
    """Every column as it stands, as an integer and as a real."""
    found: list[tuple[str, exp.Expr]] = []
    for held in columns.values():
        found += [(held.name, held.given()), (f"{held.name}i", held.integer()), (f"{held.name}r", held.real())]
    return found


def _summary(held: Held, source: Source) -> list[exp.Expr]:
    given, integer, number = held.name, f"{held.name}i", f"{held.name}r"
    coded = exp.EQ(this=column(given), expression=exp.Literal.string(NOT_GIVEN)) if source.is_text else exp.false()
    bounded = when(finite(number), column(number))
    return [
        *(exp.Count(this=column(name)) for name in (given, integer, number)),
        exp.CountIf(this=coded),
        *(of(this=column(integer)) for of in (exp.Min, exp.Max)),
        *(of(this=bounded.copy()) for of in (exp.Min, exp.Max)),
    ]


def _judged(name: str, held: Held, source: Source, row: Sequence[Number | None]) -> Seen | None:
    """Return what a column is by its summary, None for text."""
    given, integers, reals, coded = (int(item or 0) for item in row[:4])
    low, high, least, greatest = row[4:]
    is_coded, values = coded > 0, given - coded
    if values == 0:
        return Seen(name=name, sort=Sort.NOTHING, is_coded=is_coded)
    if held.type == "BOOLEAN":
        return Seen(name=name, sort=Sort.INTEGER, low=0, high=1)
    # A pandas column of integers turns into reals where one is missing; elsewhere a real is meant as one
    counts = (held.is_whole_by_type or source.is_text or held.nan_is_null) and values == integers
    if counts and low is not None and high is not None and -INTEGER_LIMIT < low <= high < INTEGER_LIMIT:
        return Seen(name=name, sort=Sort.INTEGER, low=low, high=high, is_coded=is_coded)
    if values == reals:
        return Seen(name=name, sort=Sort.REAL, low=least, high=greatest, is_coded=is_coded)
    return None


def _text(source: Source, name: str, held: Held, most: int) -> Seen:
    distinct = exp.select(named(held.text(), "text")).distinct().from_(source.relation.copy()).limit(most + 2)
    texts = sorted(row[0] for row in source.run(distinct).fetchall() if row[0] is not None)
    sort = Sort.TEXT if texts else Sort.NOTHING
    return Seen(name=name, sort=sort, texts=tuple(texts) if len(texts) <= most else None)
