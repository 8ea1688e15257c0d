"""What every signed body says of itself, and what all fields are held to: sizes, names, one canonical serialisation.

A body that does not parse, carries unknown fields, is not in canonical form, leaves a required field out or exceeds a
limit raises `Malformed`, whose text never quotes the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from federation.domain.roster import Role

M = TypeVar("M", bound=Message)

HASH_BYTES = 32
TOKEN_BYTES = 16
LONGEST_NAME = 200
LONGEST_TEXT = 4096  # a predicate, a hint, a title
MOST_ITEMS = 10_000  # parameters, categories, parties: nothing unbounded
DEEPEST_VALUE = 4
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
CONTROL_OR_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # C0, C1, and halves of pairs, which are no text
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # all of them but newline and tab


class Malformed(ValueError):
    """Foreign bytes are not the message that they claim to be; the text says what is wrong, without the bytes."""


@dataclass(frozen=True, slots=True)
class Body:
    """How a signed body of one domain becomes a value.

    Attributes:
        role: whose signature it must carry.
        speaker: the field that must equal the signer's name, or "".
    """

    role: Role
    speaker: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], object]


def parsed(kind: type[M], body: bytes) -> M:
    """Return the message in `body`: it parses, has no unknown field and is in the one canonical serialisation."""
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise Malformed("bytes that do not parse") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != body:
        raise Malformed("unknown fields or a non-canonical encoding")
    return message


def canonical(message: Message) -> bytes:
    """Return the one serialisation of a message."""
    return message.SerializeToString(deterministic=True)


def exactly(value: bytes, size: int, what: str) -> bytes:
    """Return `value` if it has `size` bytes."""
    if len(value) != size:
        raise Malformed(f"{what} of {len(value)} bytes instead of {size}")
    return value


def at_most(value: bytes, most: int, what: str) -> bytes:
    """Return `value` if it has no more than `most` bytes, and any at all."""
    if not 0 < len(value) <= most:
        raise Malformed(f"{what} of {len(value)} bytes instead of 1 to {most}")
    return value


def text(value: str, what: str, longest: int = LONGEST_TEXT) -> str:
    """Return `value` if it is short enough and has no control characters."""
    if len(value) > longest:
        raise Malformed(f"{what} longer than {longest} characters")
    if (CONTROL if longest > LONGEST_NAME else CONTROL_OR_LINE).search(value):  # a name is one line
        raise Malformed(f"{what} with control characters")
    return value


def sayable(text: str, longest: int = LONGEST_TEXT // 4) -> str:
    """Return a text of our own so that it may travel: no control characters or surrogates, and not too long.

    What we say may quote a file name or an engine; what arrives otherwise would be our own malformed message.
    """
    plain = CONTROL.sub("?", text)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def name(value: str, what: str) -> str:
    """Return `value` if it is a member's name."""
    if not NAME.fullmatch(value):
        raise Malformed(f"{what} that is not a name")
    return value


def few(items: Sequence[Any], what: str, most: int = MOST_ITEMS) -> Sequence[Any]:
    """Return `items` if they are no more than `most`."""
    if len(items) > most:
        raise Malformed(f"more than {most} {what}")
    return items
