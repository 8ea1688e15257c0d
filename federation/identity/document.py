"""Strict JSON documents: the one reader of cards and rosters, which are written by other people.

Refuses what is too big, not UTF-8, not JSON, nested without end, a key twice, an unknown or missing key, a value of
another type, base64 that has a second spelling. Every error is one line that names the document and the key. Writing is
atomic: a reader sees the old file or the new one, never half of one.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from federation.errors import Misuse, Unavailable, did_you_mean


def decoded(content: bytes, *, what: str, schema: str, limit_bytes: int) -> object:
    """Return the JSON value of a document.

    Args:
        content: the document's bytes.
        what: how errors name the document, "the roster file gba.json" for one.
        schema: what stands under the top-level key "schema".
        limit_bytes: most bytes that are parsed.

    Raises:
        Misuse: one line, naming the document.
    """
    if len(content) > limit_bytes:
        raise Misuse(f"{what} has {len(content)} bytes, more than the {limit_bytes} that are read")
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as cause:
        reason = cause.args[0] if isinstance(cause, _Repeated) else "it is not a JSON document in UTF-8"
        raise Misuse(f"{what} cannot be read: {reason}", hint="fetch the file again") from None
    if not isinstance(value, dict) or value.get("schema") != schema:
        raise Misuse(f"{what} is not a document of schema {schema!r}", hint="check that it is the right file")
    return value


def fields(value: object, what: str, known: Sequence[str]) -> Mapping[str, object]:
    """Return `value` as an object that has exactly the keys `known`. Raises Misuse, naming the nearest key."""
    if not isinstance(value, dict):
        raise Misuse(f"{what} must be an object with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise Misuse(f"{what} has an unknown key {key[:64]!r}", hint=did_you_mean(key[:64], known))
    for key in known:
        if key not in value:
            raise Misuse(f"{what} lacks the key {key!r}")
    return value


def text(value: object, what: str, pattern: re.Pattern[str]) -> str:
    """Return `value` if it is a text that the whole of `pattern` matches."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Misuse(f"{what} must be a text of the form {pattern.pattern}")
    return value


def one_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern that matches exactly these words, for `text`."""
    return re.compile("|".join(re.escape(str(word)) for word in words))


def integer(value: object, what: str, least: int, most: int) -> int:
    """Return `value` if it is an integer in [least, most]; true and 1.0 are no integers."""
    if type(value) is not int or not least <= value <= most:
        raise Misuse(f"{what} must be a whole number from {least} to {most}")
    return value


def binary(value: object, what: str, least: int, most: int) -> bytes:
    """Return the bytes of a base64 text, `least` to `most` of them; only the canonical spelling is read."""
    if isinstance(value, str) and len(value) <= 4 * most:
        try:
            content = base64.b64decode(value.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            content = b""
        if least <= len(content) <= most and base64.b64encode(content).decode() == value:
            return content
    size = f"{least}" if least == most else f"{least} to {most}"
    raise Misuse(f"{what} must be {size} bytes in base64")


def items(value: object, what: str, most: int) -> list[object]:
    """Return `value` if it is a list of at most `most` items."""
    if not isinstance(value, list) or len(value) > most:
        raise Misuse(f"{what} must be a list of at most {most} items")
    return value


def base64_text(content: bytes) -> str:
    """Return `content` as the base64 text that `binary` reads."""
    return base64.b64encode(content).decode("ascii")


def encoded(value: Mapping[str, object]) -> bytes:
    """Return the document as indented UTF-8 JSON with a last newline, keys in the order given."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def read(path: Path, *, what: str, limit_bytes: int) -> bytes:
    """Return the file's bytes, at most `limit_bytes` + 1 of them. Raises Misuse if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes + 1)
    except OSError as cause:
        raise Misuse(f"{what} cannot be read: {cause.strerror}", hint="check the name and who may read it") from None


def write(path: Path, content: bytes, *, mode: int = 0o644, replace: bool = True) -> None:
    """Write the file atomically: temporary file, fsync, rename, fsync of the folder.

    Args:
        path: in a folder that exists.
        content: all of the file.
        mode: permission bits of the file.
        replace: False refuses to overwrite, also against a writer at the same moment.

    Raises:
        Misuse: the file exists and may not be replaced.
        Unavailable: the system refuses; the old file, if any, is unchanged.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError:
        raise Misuse(f"{path} exists already", hint="name another file, or remove it yourself") from None
    except OSError as cause:
        raise Unavailable(f"{path} cannot be written: {cause.strerror}", hint="check folder and free space") from None


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Repeated(ValueError):
    """A key or a constant that strict JSON does not have; its text is safe to print."""


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated("a key stands twice in one object")
    return found


def _no_constant(name: str) -> object:
    raise _Repeated(f"{name} is not JSON")
