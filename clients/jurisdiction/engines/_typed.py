"""From the columns that a source has to the typed relation `rows` that queries read (see `sql.layers`).

Declared kinds decide, never what a reader guesses. Refused, by a message that names the column and never a value: what
is not a whole number in an INTEGER column, text that is not a number in a numeric one, types that are neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from clients.jurisdiction.engines._held import Held
from clients.jurisdiction.sql.layers import UNLISTED, absent, call, named, real, reason, value, when, whole
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query.query import reasons

_UNREADABLE: Final = "unreadable column "
_FOUND: Final = re.compile(_UNREADABLE + r"(\d+)")


@dataclass(frozen=True, slots=True)
class Field:
    """A published column in its source: its place in the data set, its publication, and what holds it."""

    index: int
    item: Column
    held: Held

    @property
    def is_numeric(self) -> bool:
        """True for INTEGER and REAL."""
        return self.item.kind in (Kind.INTEGER, Kind.REAL)

    @property
    def is_fallible(self) -> bool:
        """Whether a value of the source's type may not be readable as published."""
        if self.item.kind is Kind.INTEGER:
            return not self.held.fits_by_type
        return self.item.kind is Kind.REAL and not self.held.is_number


def fields(dataset: Dataset, names: Sequence[str], held: Sequence[Held], where: str) -> tuple[Field, ...]:
    """Return where every published column stands in a source.

    Args:
        dataset: the publication.
        names: what the source calls its columns.
        held: its columns, in the same order.
        where: what messages call the source.

    Raises:
        Misuse: a column that is not there or there twice, or of a type that its kind cannot be read from.
    """
    found: list[Field] = []
    for index, item in enumerate(dataset.columns):
        if names.count(item.name) != 1:
            if item.name in names:
                raise Misuse(f"{where} has more than one column {item.name!r}", hint="rename or remove all but one")
            raise Misuse(f"{where} has no column {item.name!r}", hint=_nearest(item.name, dataset, names))
        if len(set(item.categories)) != len(item.categories):
            what = f"column {item.name!r} of data set {dataset.name!r} publishes a category twice"
            raise Misuse(what, hint="leave one of them out")
        field = Field(index, item, held[names.index(item.name)])
        readable = field.held.is_number or field.held.is_text or (field.held.is_written and not field.is_numeric)
        if not readable:
            what = f"{where} holds {field.held.type} in column {item.name!r}, which is published as {item.kind}"
            raise Misuse(what, hint="publish it with its kind, or convert the column")
        found.append(field)
    return tuple(found)


def _nearest(wanted: str, dataset: Dataset, names: Sequence[str]) -> str:
    """Return the name that was meant; where no published column is there, the first line may be a row of data."""
    alike = [name for name in names if name.strip().casefold() == wanted.strip().casefold()]
    if alike or any(item.name in names for item in dataset.columns):
        return did_you_mean(wanted, alike or names) or "correct the name, or the header of the data"
    return "does the first line hold the names of the columns, separated by , ; | or tabs?"


def source_name(place: int) -> str:
    """Return what the column at `place` of a source is called in statements."""
    return f"s{place}"


def aliased(source: exp.Expr, columns: int) -> exp.Table:
    """Return a source whose columns are called `s0`, `s1`, ... whatever it calls them itself."""
    names = [exp.to_identifier(source_name(place), quoted=True) for place in range(columns)]
    return exp.Table(this=source, alias=exp.TableAlias(this=exp.to_identifier("source"), columns=names))


def typed(found: Sequence[Field], source: exp.Expr) -> exp.Select:
    """Return the statement that makes `rows` of a source; it fails with a mark that `unreadable` reads."""
    outputs: list[exp.Expr] = []
    for field in found:
        outputs.append(named(_strict(field), value(field.index)))
        if field.item.missing:
            outputs.append(named(_reason(field), reason(field.index)))
    return exp.select(*outputs, copy=False).from_(source, copy=False)


def unreadable(message: str) -> int | None:
    """Return the index of the column that `typed` could not read, from the message of the failure; None if another."""
    found = _FOUND.search(message)
    return int(found[1]) if found else None


def fault(field: Field) -> exp.Expr:
    """Return the condition that a row cannot be read."""
    return exp.And(this=absent(exp.Paren(this=_value(field))), expression=absent(exp.Paren(this=_reason(field))))


def _strict(field: Field) -> exp.Expr:
    found = _value(field)
    if field.is_fallible:
        mark = call("ERROR", exp.Literal.string(f"{_UNREADABLE}{field.index}"))
        found = when(absent(exp.Paren(this=found)), mark, found.copy())
    if not field.is_fallible and not field.item.missing:
        return found
    return when(absent(exp.Paren(this=_reason(field))), found)


def _value(field: Field) -> exp.Expr:
    """The value in its kind's type; NULL too where it cannot be read."""
    match field.item.kind:
        case Kind.INTEGER:
            return field.held.integer()
        case Kind.REAL:
            return field.held.real()
        case Kind.CATEGORY:
            return _place(field.item.categories, field.held.text())
    return field.held.text()


def _place(categories: tuple[str, ...], text: exp.Expr) -> exp.Expr:
    """The place of a category in its published list, by a look-up that does not grow with the list."""
    unlisted = _small(whole(UNLISTED))
    is_given = exp.Not(this=absent(exp.Paren(this=text)))
    if not categories:
        return when(is_given, unlisted)
    listed = exp.DataType(this=exp.DataType.Type.ENUM, expressions=[exp.Literal.string(item) for item in categories])
    code = _small(call("ENUM_CODE", exp.TryCast(this=text.copy(), to=listed)))
    return when(is_given, exp.Coalesce(this=code, expressions=[unlisted]))


def _reason(field: Field) -> exp.Expr:
    """The index of the reason why the value is missing; NULL where it is not."""
    order = reasons(field.item.missing)
    found = when(absent(exp.Paren(this=field.held.given(numeric=field.is_numeric))), whole(0))
    for code, name in field.item.missing:
        for condition in _matches(field, code):
            found.append("ifs", exp.If(this=condition, true=whole(order.index(name))))
    return found


def _matches(field: Field, code: str) -> list[exp.Expr]:
    """The conditions under which a value is this missing code: as text, and as a number where both are."""
    found: list[exp.Expr] = []
    if field.held.is_text or not field.is_numeric:
        found.append(exp.EQ(this=exp.Paren(this=field.held.text()), expression=exp.Literal.string(code)))
    number = _parsed(code, field.item.kind) if field.is_numeric else None
    if number is not None:
        literal = whole(number) if isinstance(number, int) else real(number)
        found.append(exp.EQ(this=exp.Paren(this=_value(field)), expression=literal))
    return found


def _parsed(code: str, kind: Kind) -> int | float | None:
    """A missing code as a number of its column's kind; the same reading as the oracle's."""
    try:
        number = int(code) if kind is Kind.INTEGER else float(code)
    except ValueError:
        return None
    if isinstance(number, int):
        return number if -(2**63) <= number < 2**63 else None
    return number if number == number else None  # noqa: PLR0124  # NaN is no code: it equals nothing


def _small(of: exp.Expr) -> exp.Expr:
    return exp.Cast(this=of, to=exp.DataType(this=exp.DataType.Type.INT))
