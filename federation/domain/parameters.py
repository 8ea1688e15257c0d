"""Typed parameters out of the plain values that a job carries: what does not fit is refused before anything runs.

A job names parameters and gives plain values; a statistic, a model and a strategy each declare a frozen dataclass. No
value is converted but an int that stands for a float.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from federation.domain.job import Value
from federation.errors import Misuse, did_you_mean

MOST_TEXT = 4_096  # characters of a text parameter
MOST_ITEMS = 10_000  # items of a tuple parameter

T = TypeVar("T")


def read(kind: type[T], given: Sequence[tuple[str, Value]], what: str) -> T:
    """Return `kind` made from (name, value) pairs.

    Args:
        kind: a frozen dataclass of int, float, str, bool, None, tuples of them and unions.
        given: in any order.
        what: whose parameters they are, as an error says it.

    Raises:
        Misuse: unknown parameter (with the nearest name), one given twice, one lacking, or a value of another type.
            An int stands for a float; a bool never stands for a number; numbers are finite; texts and tuples are
            bounded.
    """
    hints = typing.get_type_hints(kind)
    declared = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in given:
        if name not in declared:
            raise Misuse(f"{what} has no parameter {name!r}", hint=did_you_mean(name, declared))
        if name in values:
            raise Misuse(f"{what} has parameter {name!r} twice")
        if not _fits(value, hints[name]):
            raise Misuse(f"parameter {name!r} of {what} must be {_spelled(hints[name])}, got {_kind(value)}")
        values[name] = value
    for name, field in declared.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise Misuse(f"{what} needs parameter {name!r}", hint=_spelled(hints[name]))
    return kind(**values)


def _fits(value: Value, hint: object) -> bool:
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return type(value) is int
    if hint is float:
        return type(value) is int or (type(value) is float and math.isfinite(value))
    if hint is str:
        return isinstance(value, str) and len(value) <= MOST_TEXT
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is not tuple or not isinstance(value, tuple) or len(value) > MOST_ITEMS:
        return False
    if len(parts) == 2 and parts[1] is Ellipsis:
        return all(_fits(item, parts[0]) for item in value)
    return len(value) == len(parts) and all(map(_fits, value, parts))


def _spelled(hint: object) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "nothing"
    if isinstance(hint, type) and origin is None:
        return {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}.get(
            hint, hint.__name__
        )
    if origin is tuple:
        several: Sequence[object] = parts[:1] if parts[-1:] == (Ellipsis,) else parts
        return f"a list of ({', '.join(map(_spelled, several))})"
    return " or ".join(map(_spelled, parts))


def _kind(value: Value) -> str:
    if isinstance(value, tuple):
        return "a list with other items" if value else "an empty list"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    return {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}.get(type(value), "nothing")
