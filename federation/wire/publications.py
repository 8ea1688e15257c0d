"""Publications as bytes: columns, units, ranges, category lists."""

from __future__ import annotations

import math

from federation.domain.catalogue import Column, Dataset, Kind, Level, Outside
from federation.wire import messages as m
from federation.wire.fields import LONGEST_NAME, Malformed, canonical, few, name, parsed, text
from federation.wire.v1 import catalogue_pb2

_KINDS = {
    Kind.INTEGER: catalogue_pb2.KIND_INTEGER,
    Kind.REAL: catalogue_pb2.KIND_REAL,
    Kind.CATEGORY: catalogue_pb2.KIND_CATEGORY,
    Kind.IDENTIFIER: catalogue_pb2.KIND_IDENTIFIER,
}
MOST_DOMINANCE = 100  # percent
MOST_LEVELS = 20  # of a column
_OUTSIDE = {Outside.CLIP: catalogue_pb2.OUTSIDE_CLIP, Outside.REFUSE: catalogue_pb2.OUTSIDE_REFUSE}


def _number_to(value: float) -> catalogue_pb2.Number:
    return catalogue_pb2.Number(integer=value) if isinstance(value, int) else catalogue_pb2.Number(real=value)


def _number_from(message: catalogue_pb2.Number, what: str) -> int | float:
    which = message.WhichOneof("value")
    if which is None:
        raise Malformed(f"{what} without a value")
    value: int | float = getattr(message, which)
    if isinstance(value, float) and not math.isfinite(value):
        raise Malformed(f"{what} that is not finite")
    return value


def _column_to(column: Column) -> catalogue_pb2.Column:
    return catalogue_pb2.Column(
        name=column.name,
        kind=_KINDS[column.kind],
        unit=column.unit,
        low=None if column.low is None else _number_to(column.low),
        high=None if column.high is None else _number_to(column.high),
        categories=column.categories,
        missing=[catalogue_pb2.MissingCode(code=code, reason=reason) for code, reason in column.missing],
        outside=_OUTSIDE[column.outside],
        levels=[catalogue_pb2.Level(name=level.name, of=level.of) for level in column.levels],
    )


def _column_from(message: catalogue_pb2.Column) -> Column:
    kind = next((k for k, v in _KINDS.items() if v == message.kind), None)
    outside = next((o for o, v in _OUTSIDE.items() if v == message.outside), None)
    if kind is None or outside is None:
        raise Malformed("a column of unknown kind")
    numeric = kind in (Kind.INTEGER, Kind.REAL)
    if numeric != message.HasField("low") or numeric != message.HasField("high"):
        raise Malformed("a range where there should be none, or none where one is due")
    low = _number_from(message.low, "a bound") if numeric else None
    high = _number_from(message.high, "a bound") if numeric else None
    if low is not None and high is not None and low > high:
        raise Malformed("a range whose low bound is above its high bound")
    levels = tuple(_level_from(level) for level in few(message.levels, "levels", MOST_LEVELS))
    if any(not level.of or len(level.of) != len(message.categories) for level in levels):
        raise Malformed("a level that does not have a value for each category")
    return Column(
        name=text(message.name, "a column name", LONGEST_NAME),
        kind=kind,
        unit=text(message.unit, "a unit", LONGEST_NAME),
        low=low,
        high=high,
        categories=tuple(text(c, "a category", LONGEST_NAME) for c in few(message.categories, "categories")),
        missing=tuple(
            (text(x.code, "a code", LONGEST_NAME), text(x.reason, "a reason", LONGEST_NAME))
            for x in few(message.missing, "missing codes", 100)
        ),
        outside=outside,
        levels=levels,
    )


def _level_from(message: catalogue_pb2.Level) -> Level:
    of = tuple(text(value, "a value", LONGEST_NAME) for value in few(message.of, "categories"))
    return Level(text(message.name, "a level's name", LONGEST_NAME), of)


def publication_to(value: m.Publication) -> bytes:
    """Return the body of a publication."""
    d = value.dataset
    return canonical(
        catalogue_pb2.Publication(
            party=value.party,
            name=d.name,
            title=d.title,
            unit=d.unit,
            columns=[_column_to(c) for c in d.columns],
            k=d.k,
            own_figures=d.own_figures,
            version=d.version,
            dominance=d.dominance,
        )
    )


def publication_from(body: bytes) -> m.Publication:
    """Return the publication in a body. Raises Malformed."""
    p = parsed(catalogue_pb2.Publication, body)
    columns = tuple(_column_from(c) for c in few(p.columns, "columns"))
    names = [name for c in columns for name in (c.name, *(level.name for level in c.levels))]
    if len(set(names)) != len(names):
        raise Malformed("two columns or levels of one name")
    if p.k < 1:
        raise Malformed("a k below 1")
    if p.dominance > MOST_DOMINANCE:
        raise Malformed("a share above all")
    return m.Publication(
        party=name(p.party, "a party"),
        dataset=Dataset(
            name=text(p.name, "a data set's name", LONGEST_NAME),
            title=text(p.title, "a title"),
            unit=text(p.unit, "a unit", LONGEST_NAME),
            columns=columns,
            k=p.k,
            own_figures=p.own_figures,
            version=text(p.version, "a version", LONGEST_NAME),
            dominance=p.dominance,
        ),
    )
