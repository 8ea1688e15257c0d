"""Ways to spoil a message, drawn by a seeded `Random`: bytes that nobody understands, and values field by field.

Blind ways change bytes without knowing what they mean. Knowing ways take a message apart at the fields of its encoding,
or change a value so that its encoding is sound and only its meaning is not: these get the furthest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from federation.crypto.chunk_hash import chunk_hash
from federation.ledger import merkle

LONG = 40  # how many bytes or items a spoiled field grows by at most


# --- the encoding ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One field of a message as its bytes: the key, the length if it has one, and the rest."""

    key: bytes
    size: bytes
    rest: bytes

    @property
    def raw(self) -> bytes:
        return self.key + self.size + self.rest

    def holding(self, rest: bytes) -> Item:
        """The same field with other bytes in it; one of wire type 0 stays what it is."""
        return replace(self, size=varint(len(rest)), rest=rest) if self.size else self


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def padded(number: bytes) -> bytes:
    """The same variable-length number with one more byte."""
    return bytes([*number[:-1], number[-1] | 0x80, 0])


def number_of(number: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(number))


def items(body: bytes) -> list[Item]:
    """The fields of a sound message, one after the other; nothing in ours is of another wire type than 0 or 2."""
    found, at = [], 0
    while at < len(body):
        key = _varint_at(body, at)
        at += len(key)
        first = _varint_at(body, at)
        at += len(first)
        if number_of(key) & 7 == 0:
            found.append(Item(key, b"", first))
            continue
        rest = body[at : at + number_of(first)]
        at += len(rest)
        found.append(Item(key, first, rest))
    return found


def joined(parts: Sequence[Item]) -> bytes:
    return b"".join(part.raw for part in parts)


def _varint_at(body: bytes, start: int) -> bytes:
    end = start
    while body[end] & 0x80:
        end += 1
    return body[start : end + 1]


UNKNOWN = [  # fields 100 and the last one that there is, with each wire type
    bytes([0xA0 | kind, 0x06]) + rest
    for kind, rest in ((0, b"\x00"), (1, bytes(8)), (2, b"\x00"), (2, b"\x03abc"), (3, b"\xa4\x06"), (5, bytes(4)))
] + [b"\xf8\xff\xff\xff\x0f\x00"]


# --- bytes -----------------------------------------------------------------------------------------------------------


def blindly(data: bytes, draw: Random) -> bytes:
    """Other bytes than `data`, whatever they mean."""
    place, other = draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)
    low, high = sorted((place, other))
    junk = draw.randbytes(draw.randint(1, LONG))
    spoiled = draw.choice(
        (
            data[:low],  # truncated
            data[low:],
            data[:low] + data[high:],  # a piece lost
            data[:low] + junk + data[low:],  # a piece put in
            data[:low] + junk + data[low + len(junk) :],  # a piece overwritten
            data[:low] + data[low:high] * 2 + data[high:],  # a piece twice
            data[high:] + data[low:high] + data[:low],  # pieces in another order
            data[:low] + bytes(high - low) + data[high:],
            data[:low] + b"\xff" * (high - low) + data[high:],
            data + junk,
            junk,
        )
        if draw.random() < 0.5
        else (_flipped(data, draw),)
    )
    return spoiled if spoiled != data else data + b"\x00"


def encoding(body: bytes, draw: Random) -> bytes:
    """The fields of a sound message otherwise encoded, lost, doubled, swapped, or with other bytes in them."""
    parts = items(body)
    if not parts:
        return draw.choice(UNKNOWN)
    place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    part, rest = parts[place], parts[place].rest
    before, after = parts[:place], parts[place + 1 :]
    match draw.randrange(9):
        case 0:
            return joined(before + after)
        case 1:
            return joined([*before, part, part, *after])
        case 2:
            parts[place], parts[other] = parts[other], parts[place]
            return joined(parts)
        case 3:
            return joined(before) + draw.choice(UNKNOWN) + joined(parts[place:])
        case 4:
            return joined(before) + padded(part.key) + part.size + rest + joined(after)
        case 5:
            return joined([*before, part.holding(draw.choice((rest[:-1], rest + b"\x00", b"", rest * 2))), *after])
        case 6:
            return joined([*before, part.holding(bytes(len(rest))), *after])
        case 7:
            return joined([*before, part.holding(parts[other].rest), *after])
        case _:
            return joined([*before, part.holding(blindly(rest, draw)), *after])


def _flipped(data: bytes, draw: Random) -> bytes:
    if not data:
        return b"\x00"
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


# --- values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """What honest messages hold: the best stuff for false ones.

    Attributes:
        names: of members, and of nobody.
        hashes: everything of 32 bytes that was ever said.
        shares: everything of 33 bytes.
    """

    names: Sequence[str]
    hashes: Sequence[bytes]
    shares: Sequence[bytes]

    def value(self, value: object, draw: Random) -> object:
        """Another value of the same type, which the wire can carry."""
        match value:
            case str():
                return draw.choice(self.names)
            case int():
                return draw.choice((0, 1, value + 1, max(0, value - 1), 2**31, 2**32 - 1))
            case bytes():
                same = {32: self.hashes, 33: self.shares}.get(len(value), self.hashes)
                others = (_flipped(value, draw), bytes(len(value)), b"\xff" * len(value), draw.randbytes(len(value)))
                return draw.choice((draw.choice(same), draw.choice(same), *others, value[:-1], value + b"\x00"))
            case tuple():
                return self._items(value, draw)
            case _:
                raise TypeError(type(value).__name__)

    def message(self, value: Any, draw: Random, *, keep: Sequence[str] = ()) -> Any:
        """The same message with one or two other fields; those in `keep` stay."""
        free = [one.name for one in fields(value) if one.name not in keep]
        for name in draw.sample(free, min(len(free), draw.choice((1, 1, 2)))):
            value = replace(value, **{name: self.value(getattr(value, name), draw)})
        return value

    def _items(self, value: tuple[Any, ...], draw: Random) -> tuple[Any, ...]:
        if not value:
            return (draw.choice((draw.choice(self.shares), draw.choice(self.hashes))),)
        if isinstance(value[0], int):
            return tuple(sorted({*value, draw.choice((0, 1, 2, 2**32 - 1))})[draw.randint(0, 1) :])
        place, other = draw.randrange(len(value)), draw.randrange(len(value))
        new = list(value)
        match draw.randrange(8):
            case 0:
                del new[place]
            case 1:
                new.insert(place, value[other])
            case 2:
                new[place], new[other] = new[other], new[place]
            case 3:
                new *= LONG
            case 4:
                new.clear()
            case _:
                new[place] = self.value(value[place], draw)
        return tuple(new)


def rooted(value: Any, parts: tuple[bytes, ...]) -> tuple[Any, tuple[bytes, ...]]:
    """The message with the root of these very chunks, where it has one: only their meaning is false then."""
    tree = merkle.root([chunk_hash(part) for part in parts])
    name = next((one for one in ("boxes_root", "chunk_root", "total_root") if hasattr(value, one)), "")
    return (replace(value, **{name: tree}) if name else value), parts
