"""The one reader of the TOML files that operators write by hand, in whatever editor they have.

A byte order mark is passed over. Refused, each in one line with the next step: no file, one that is too big to be a
configuration, bytes that are not UTF-8, what is not TOML, numbers and nesting without end.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from federation.errors import Misuse

LARGEST_BYTES: Final = 1024 * 1024
LONGEST_KEY: Final = 80  # of a key that a message shows
_ENDLESS: Final = "a number has too many digits or lists lie too deep in each other"


def read(path: Path, *, hint: str) -> dict[str, object]:
    """Return the tables of a TOML file.

    Args:
        path: the file.
        hint: what to do if there is none.

    Raises:
        Misuse: see above.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as fault:
        raise Misuse(f"cannot read {path}: {fault.strerror}", hint=hint) from None
    return tables(content, where=str(path))


def tables(content: bytes, *, where: str, remedy: str = "correct the file") -> dict[str, object]:
    """Return the tables of TOML as bytes; `where` names them in errors, `remedy` is what to do. Raises Misuse."""
    if len(content) > LARGEST_BYTES:
        raise Misuse(f"{where} is not TOML: it has more than {LARGEST_BYTES} bytes", hint="is it the right file?")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as fault:
        reason = str(fault)
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        reason, remedy = f"line {line} is not UTF-8", "save it as UTF-8, or for one: iconv -f GBK -t UTF-8"
    except (ValueError, RecursionError):  # of int() and of the parser
        reason = _ENDLESS
    raise Misuse(f"{where} is not TOML: {reason}", hint=remedy)


def key(parts: tuple[object, ...]) -> str:
    """Return the place of a fault as messages show it, "dataset.0.name" for one."""
    found = ".".join(str(part) for part in parts)
    return found if len(found) <= LONGEST_KEY else f"{found[:LONGEST_KEY]}…"
