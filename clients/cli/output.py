"""Writes for people and for programs: the result goes to stdout, everything else to stderr.

`-o json` is exactly one object on stdout, `{schema_version, status, exit_code, data | error}`; `-o jsonl` is one object
a line, the last of which is that envelope. What comes from other members is text, never terminal control.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO, TypeAlias

from clients.researcher.rendering import defused
from federation.errors import FederationError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SCHEMA_VERSION = 1
Plain: TypeAlias = "bool | int | float | str | bytes | Sequence[Plain] | Mapping[str, Plain] | None"


class Format(StrEnum):
    """What stdout carries."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def answer(
    data: Plain,
    *,
    text: str,
    output: Format,
    exit_code: int = 0,
    shown: Callable[[], RenderableType] | None = None,
) -> int:
    """Write a verb's result to stdout and return `exit_code`.

    Args:
        data: for programs; bytes become hexadecimal, numbers that are not finite become null.
        text: for people, and for pipes.
        output: what the user asked for.
        exit_code: 0, or 1 where there is something to show although the job failed in part.
        shown: makes what a terminal shows instead of `text`; called only there.
    """
    if output is not Format.TABLE:
        _write_json({"status": "ok" if exit_code == 0 else "failed", "exit_code": exit_code, "data": data}, output)
    elif shown is not None and on_terminal(sys.stdout):
        console(sys.stdout).print(shown())
    else:
        _write(sys.stdout, defused(text))
    return exit_code


def event(data: Plain, *, output: Format) -> None:
    """Write one line of a story to stdout in `-o jsonl`; nothing otherwise."""
    if output is Format.JSONL:
        _write_json({"event": data}, output)


def failure(error: FederationError, *, output: Format) -> int:
    """Say on stderr, in one line and a hint, why a verb failed; return the exit code of DESIGN section 6."""
    return failed(
        error.code, error.message, hint=error.hint, party=error.party, exit_code=error.exit_code, output=output
    )


def failed(code: str, message: str, *, exit_code: int, output: Format, hint: str = "", party: str = "") -> int:
    """As `failure`, for what is not an error of ours."""
    one_line = " ".join(message.split())
    say(f"error: {one_line}")
    if hint:
        say(f"hint: {hint}")
    if output is not Format.TABLE:
        error: Plain = {"code": code, "message": one_line, "hint": hint, "party": party}
        _write_json({"status": "error", "exit_code": exit_code, "error": error}, output)
    return exit_code


def line(text: str) -> None:
    """Write one line of a result that grows to stdout."""
    _write(sys.stdout, defused(text))


def say(line: str) -> None:
    """Write a line for people to stderr."""
    _write(sys.stderr, defused(line))


def on_terminal(stream: TextIO) -> bool:
    """True when a person reads this stream and wants more than plain lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def console(stream: TextIO) -> Console:
    """Return a rich console on `stream`: no markup, no highlighting; NO_COLOR is honoured by rich."""
    from rich.console import Console

    return Console(file=stream, markup=False, highlight=False, emoji=False)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text if text.endswith("\n") else text + "\n")
    stream.flush()


def _write_json(envelope: Mapping[str, Plain], output: Format) -> None:
    plain = _jsonable({"schema_version": SCHEMA_VERSION, **envelope})
    _write(
        sys.stdout, json.dumps(plain, allow_nan=False, ensure_ascii=True, indent=2 if output is Format.JSON else None)
    )


def _jsonable(value: Plain) -> Plain:
    match value:
        case bytes():
            return value.hex()
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case str() | bool() | int() | float() | None:
            return value
        case _:
            return [_jsonable(item) for item in value]
