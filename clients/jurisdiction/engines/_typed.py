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

from clients.jurisdiction.sql.layers import UNLISTED, absent, as_real, call, column, real, reason, value, when, whole
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query.query import reasons

_NARROW: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "BOOLEAN"})
_WIDE: Final = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"})
_BROKEN: Final = frozenset({"FLOAT", "DOUBLE", "DECIMAL"})  # may hold what is not whole
_TEXT: Final = frozenset({"VARCHAR", "ENUM", "UUID"})
_WRITTEN: Final = frozenset({"DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "NULL"})
_NUMBERS: Final = _NARROW | _WIDE | _BROKEN
_WHOLE: Final = r"\s*[+-]?[0-9]+(\.0*)?\s*"
_UNREADABLE: Final = "unreadable column "
_FOUND: Final = re.compile(_UNREADABLE + r"(\d+)")


@dataclass(frozen=True, slots=True)
class Field:
    """A published column in its source.

    Attributes:
        index: its place in the data set.
        item: the publication.
        name: what the source calls it here.
        type: the source's type, without parameters.
        nan_is_null: True where the source cannot tell NaN and NULL apart.
    """

    index: int
    item: Column
    name: str
    type: str
    nan_is_null: bool

    @property
    def is_numeric(self) -> bool:
        """True for INTEGER and REAL."""
        return self.item.kind in (Kind.INTEGER, Kind.REAL)


def fields(
    dataset: Dataset, names: Sequence[str], types: Sequence[str], *, source: str, nan_is_null: bool = False
) -> tuple[Field, ...]:
    """Return where every published column stands in a source whose columns are called `s0`, `s1`, ... here.

    Raises:
        Misuse: a column that is not there or there twice, or of a type that its kind cannot be read from.
    """
    found: list[Field] = []
    for index, item in enumerate(dataset.columns):
        if names.count(item.name) != 1:
            fault = "has no column" if item.name not in names else "has more than one column"
            raise Misuse(f"{source} {fault} {item.name!r}", hint=did_you_mean(item.name, names))
        if len(set(item.categories)) != len(item.categories):
            raise Misuse(f"column {item.name!r} of data set {dataset.name!r} publishes a category twice")
        place = names.index(item.name)
        kind = types[place].split("(")[0]
        named = Field(index, item, source_name(place), kind, nan_is_null)
        readable = _NUMBERS | _TEXT | {"NULL"} | (frozenset() if named.is_numeric else _WRITTEN)
        if kind not in readable and not (kind.startswith("TIMESTAMP") and not named.is_numeric):
            raise Misuse(f"{source} holds {kind} in column {item.name!r}, which is published as {item.kind}")
        found.append(named)
    return tuple(found)


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
        outputs.append(exp.alias_(_strict(field), value(field.index), quoted=True))
        if field.item.missing:
            outputs.append(exp.alias_(_reason(field), reason(field.index), quoted=True))
    return exp.select(*outputs, copy=False).from_(source, copy=False)


def is_fallible(field: Field) -> bool:
    """Return whether a value of the source's type may not be readable as published."""
    match field.item.kind:
        case Kind.INTEGER:
            return field.type not in _NARROW
        case Kind.REAL:
            return field.type not in _NUMBERS
    return False


def unreadable(message: str) -> int | None:
    """Return the index of the column that `typed` could not read, from the message of the failure; None if another."""
    found = _FOUND.search(message)
    return int(found[1]) if found else None


def fault(field: Field) -> exp.Expr:
    """Return the condition that a row cannot be read."""
    return exp.And(this=absent(exp.Paren(this=_value(field))), expression=absent(exp.Paren(this=_reason(field))))


def refusal(item: Column, where: str) -> Misuse:
    """Return the error for a column that cannot be read as published."""
    return Misuse(
        f"{where}: column {item.name!r} is published as {item.kind} and holds something else",
        hint="publish it with its kind, or declare the missing code",
    )


def _strict(field: Field) -> exp.Expr:
    if not is_fallible(field):
        return when(absent(exp.Paren(this=_reason(field))), _value(field)) if field.item.missing else _value(field)
    mark = call("ERROR", exp.Literal.string(f"{_UNREADABLE}{field.index}"))
    found = when(absent(exp.Paren(this=_value(field))), mark, _value(field))
    return when(absent(exp.Paren(this=_reason(field))), found)


def _source(field: Field) -> exp.Expr:
    """The value as the source has it, NULL where NaN means NULL."""
    found = column(field.name)
    if field.type in ("FLOAT", "DOUBLE") and (field.nan_is_null or not field.is_numeric):
        return when(exp.Not(this=call("ISNAN", found)), found.copy())
    return found


def _value(field: Field) -> exp.Expr:
    """The value in its kind's type; NULL too where it cannot be read."""
    source = _source(field)
    match field.item.kind:
        case Kind.INTEGER:
            return _integer(field, source)
        case Kind.REAL:
            return as_real(source) if field.type in _NUMBERS else exp.TryCast(this=source, to=_type("double"))
        case Kind.CATEGORY:
            return _place(field.item.categories, _written(field, source))
    return _written(field, source)


def _integer(field: Field, source: exp.Expr) -> exp.Expr:
    if field.type in _NARROW:
        return exp.cast(source, "bigint")
    found = exp.TryCast(this=source, to=_type("bigint"))
    if field.type in _WIDE:
        return found
    if field.type in _BROKEN:
        return when(exp.EQ(this=source.copy(), expression=exp.Floor(this=source.copy())), found)
    text = exp.cast(source.copy(), "text")
    return when(call("REGEXP_FULL_MATCH", text, exp.Literal.string(_WHOLE)), found)


def _written(field: Field, source: exp.Expr) -> exp.Expr:
    """The value as text; a whole number without a fraction, however the source stores it."""
    text = exp.cast(source, "text")
    if field.type not in _BROKEN:
        return text
    is_whole = exp.EQ(this=source.copy(), expression=exp.Floor(this=source.copy()))
    found = exp.TryCast(this=source.copy(), to=_type("bigint"))
    return when(is_whole, exp.Coalesce(this=exp.cast(found, "text"), expressions=[text]), text.copy())


def _place(categories: tuple[str, ...], text: exp.Expr) -> exp.Expr:
    """The place of a category in its published list, by a look-up that does not grow with the list."""
    unlisted = exp.cast(whole(UNLISTED), "int")
    if not categories:
        return when(exp.Not(this=absent(exp.Paren(this=text))), unlisted)
    listed = exp.DataType(this=exp.DataType.Type.ENUM, expressions=[exp.Literal.string(item) for item in categories])
    code = exp.cast(call("ENUM_CODE", exp.TryCast(this=text, to=listed)), "int")
    found = exp.Coalesce(this=code, expressions=[unlisted])
    return when(exp.Not(this=absent(exp.Paren(this=text.copy()))), found)


def _reason(field: Field) -> exp.Expr:
    """The index of the reason why the value is missing; NULL where it is not."""
    order = reasons(field.item.missing)
    found = when(absent(exp.Paren(this=_source(field))), whole(0))
    for code, name in field.item.missing:
        for condition in _matches(field, code):
            found.append("ifs", exp.If(this=condition, true=whole(order.index(name))))
    return found


def _matches(field: Field, code: str) -> list[exp.Expr]:
    """The conditions under which a value is this missing code: as text, and as a number where both are."""
    found: list[exp.Expr] = []
    if not field.is_numeric:
        return [exp.EQ(this=exp.Paren(this=_written(field, _source(field))), expression=exp.Literal.string(code))]
    if field.type in _TEXT:
        found.append(exp.EQ(this=exp.cast(column(field.name), "text"), expression=exp.Literal.string(code)))
    number = _parsed(code, field.item.kind)
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


def _type(name: str) -> exp.DataType:
    return exp.DataType.build(name)
