"""Ways to spoil a message or to lie in it: the line spoils bytes, enrolled members sign what they like, together.

Each way returns whose line it comes on and what comes; to a party only the coordinator speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from random import Random
from typing import Any

from federation.ledger import merkle
from federation.protocols.masked_sum.messages import Opening, Shares
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.convert import BODIES, Malformed
from federation.wire.envelope import LARGEST_BODY, opened, signed
from tests.attacks.masked_sum.judging import moments, stories
from tests.wire.mutations import Pool, blindly, encoding, rooted
from tests.wire.recorded_sums import (
    MALLORY,
    OUTSIDER,
    RELAY,
    RESEARCHER,
    Chunks,
    Messages,
    Moment,
    bundled,
    messages_in,
    roster,
    signer,
)

SMALL_BYTES = 64 * 1024  # longer frames are not written out and read again every time


@dataclass(frozen=True)
class Word:
    """What a party said in a story."""

    story: str
    sender: str
    value: Any
    frame: m.Frame


@cache
def words() -> list[Word]:
    """Every message that a party said in any story."""
    frames = [(name, frame) for name, story in stories().items() for frame in story.frames]
    read = [(name, opened(frame.signed, roster(), relay=RELAY), frame) for name, frame in frames]
    return [Word(name, message.sender, message.value, frame) for name, message, frame in read]


@cache
def fitting(story: str, kind: type | None, sender: str) -> list[Word]:
    """Those of a story, a kind and a sender; what is "" or None is any."""
    return [
        word
        for word in words()
        if story in ("", word.story) and sender in ("", word.sender) and (kind is None or isinstance(word.value, kind))
    ]


@cache
def pool() -> Pool:
    """Whatever was said that has the right length for something else."""
    values = [getattr(value, one.name) for value in (word.value for word in words()) for one in fields(value)]
    flat = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    spoken = sorted({one for one in flat if isinstance(one, bytes)})
    return Pool(
        names=(MALLORY, "p0", "p2", "p3", "p4", RELAY, RESEARCHER, ""),
        hashes=[one for one in spoken if len(one) == 32],
        shares=[one for one in spoken if len(one) == 33],
    )


Attack = Callable[[Moment, Random], tuple[str, bytes | m.Frame]]


def bytes_on_the_line(moment: Moment, draw: Random) -> tuple[str, bytes | m.Frame]:
    """Truncated, cut, joined, doubled, overwritten, flipped: one frame's bytes, one to three times."""
    data = convert.frame_bytes(moment.frame if len(moment.frame.parts) < 4 else replace(moment.frame, parts=()))
    for _ in range(draw.choice((1, 1, 2, 3))):
        data = blindly(data[:SMALL_BYTES], draw)
    return line_of(moment, draw), data


def false_envelope(moment: Moment, draw: Random) -> tuple[str, bytes | m.Frame]:
    """Unsigned, wrongly signed, signed by another, under another domain, oversized."""
    sound = moment.frame.signed
    by = signer(draw.choice((MALLORY, RELAY, RESEARCHER)))
    tag = draw.choice((*BODIES, "federation/advert/v1", "", "x" * 200))
    match draw.randrange(9):
        case 0:
            false = replace(sound, signature=b"", key_id=b"")
        case 1:
            false = replace(sound, signature=bytes(64))
        case 2:
            false = replace(sound, signature=blindly(sound.signature, draw))
        case 3:
            false = replace(sound, key_id=by.member.key_id)
        case 4:
            false = replace(sound, key_id=draw.randbytes(draw.choice((0, 15, 16, 17))))
        case 5:
            false = replace(sound, domain=tag)
        case 6:  # another role, or another kind of message, soundly signed
            tag = draw.choice(list(BODIES))
            false = m.Signed(sound.body, by.member.key_id, by.sign(tag, sound.body), tag)
        case 7:
            false = replace(sound, body=blindly(sound.body[:SMALL_BYTES], draw))
        case _ if draw.random() < 0.02:
            false = replace(sound, body=bytes(LARGEST_BODY + 1))
        case _:
            false = replace(sound, signature=draw.choice(words()).frame.signed.signature)
    return line_of(moment, draw), replace(moment.frame, signed=false)


def odd_encoding(moment: Moment, draw: Random) -> tuple[str, bytes | m.Frame]:
    """A body that its owner spoiled before it signed it: malformed, not canonical, or of other lengths."""
    by, domain, body, frame = own(moment, draw)
    spoiled = encoding(body, draw) if draw.random() < 0.8 else blindly(body, draw)
    return by, replace(frame, signed=resigned(by, domain, spoiled))


def false_value(moment: Moment, draw: Random) -> tuple[str, bytes | m.Frame]:
    """A sound message that says something else, signed by the one who says it, with true or false chunks."""
    if moment.to != RELAY:
        return false_bundle(moment, draw)
    word = apt(moment, draw, MALLORY if draw.random() < 0.7 else "")
    by = MALLORY if draw.random() < 0.95 else OUTSIDER
    value, frame = replace(word.value, party=by), word.frame  # also what another one said, under its own name
    if draw.random() < 0.8:
        value = pool().message(value, draw, keep=("party",) if draw.random() < 0.95 else ())
    parts = frame.parts if draw.random() < 0.7 else chunks(frame.parts, draw)
    if draw.random() < 0.3:
        value, parts = rooted(value, parts)
    return by, replace(frame, signed=signed(signer(by), value.domain, value), parts=parts)


def false_bundle(moment: Moment, draw: Random) -> tuple[str, bytes | m.Frame]:
    """Messages left out, doubled, swapped, replayed, replaced; other statements, other chunks, other counts."""
    frame = moment.frame if draw.random() < 0.9 else any_moment(draw, "party").frame
    messages = messages_in(frame)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if messages:
            messages = rearranged(moment, messages, draw)
    changes: dict[str, Any] = {}
    if draw.random() < 0.05:
        counts = [len(parts) for _, parts in messages]
        changes = draw.choice(
            (
                {"chunk_counts": tuple(count + draw.choice((0, 1)) for count in counts)},
                {"chunk_counts": tuple(counts[1:])},
                {"job_hash": b"k" * 31},
                {"round_digest": b"k" * 33},
                {"attempt": 2**32 - 1},
            )
        )
    return RELAY, bundled(messages, **changes)


def replayed(moment: Moment, draw: Random) -> tuple[str, bytes | m.Frame]:
    """Something true of another step, another party, another attempt or another sum; or what the other side said."""
    if moment.to == RELAY:
        mine = MALLORY if draw.random() < 0.8 else ""
        story = moment.story if draw.random() < 0.5 else ""
        return MALLORY, draw.choice(fitting(story, None, mine) or words()).frame
    other = any_moment(draw, "party" if draw.random() < 0.9 else "aggregator")
    return RELAY, other.frame


ATTACKS: dict[Attack, int] = {
    bytes_on_the_line: 18,
    false_envelope: 12,
    odd_encoding: 14,
    false_value: 48,
    replayed: 8,
}


def rearranged(moment: Moment, messages: Messages, draw: Random) -> Messages:
    """One change in a bundle."""
    place, other = draw.randrange(len(messages)), draw.randrange(len(messages))
    way = draw.randrange(10)
    if messages[-1][0].domain == Opening.domain and draw.random() < 0.5:
        place, way = len(messages) - 1, draw.choice((way, 3, 9, 9))  # mostly in what the coordinator states
    envelope, parts = messages[place]
    new = list(messages)
    match way:
        case 0:
            del new[place]
        case 1:
            new.insert(other, new[place])
        case 2:
            new[place], new[other] = new[other], new[place]
        case 3:
            new[place] = (envelope, chunks(parts, draw))
        case 4:
            new[place] = (messages[other][0], parts)  # another's message with these chunks
        case 5:
            frame = draw.choice(words()).frame
            new[place] = (frame.signed, frame.parts if draw.random() < 0.5 else parts)
        case 6:
            spoiled = draw.choice((replace(envelope, signature=bytes(64)), replace(envelope, key_id=b"")))
            new[place] = (spoiled, parts)
        case _:
            new[place] = colluding(moment, envelope, parts, draw)
    return new


def colluding(moment: Moment, envelope: m.Signed, parts: Chunks, draw: Random) -> tuple[m.Signed, Chunks]:
    """A message that mallory or the coordinator signs in the place of this one."""
    try:
        value: Any = BODIES[envelope.domain].decode(envelope.body)
    except Malformed:
        return envelope, parts  # spoiled before
    by = RELAY if isinstance(value, Opening) else draw.choice((MALLORY, MALLORY, MALLORY, OUTSIDER))
    if by != RELAY:
        value = replace(value, party=by)
    if draw.random() < 0.7:
        value = pool().message(value, draw, keep=("party",))
    if isinstance(value, Shares) and draw.random() < 0.5:
        value, parts = boxed(moment, value, parts, draw)
    elif draw.random() < 0.3:
        value, parts = rooted(value, chunks(parts, draw))
    return signed(signer(by), value.domain, value), parts


def boxed(moment: Moment, value: Shares, parts: Chunks, draw: Random) -> tuple[Shares, Chunks]:
    """Shares whose box for this party is nothing of the kind, and is under their root all the same."""
    parties = [party for party in stories()[moment.story].setup.parties if party != value.party]
    if moment.to not in parties or not parts:
        return value, parts
    leaves = [merkle.leaf_hash(draw.randbytes(82)) for _ in parties]
    place, box = parties.index(moment.to), draw.randbytes(len(parts[0]))
    leaves[place] = merkle.leaf_hash(box)
    return replace(value, boxes_root=merkle.root(leaves)), (box, *merkle.inclusion(leaves, place))


def chunks(parts: Chunks, draw: Random) -> Chunks:
    """Other chunks."""
    if not parts:
        return (draw.randbytes(draw.choice((0, 16, 82))),)
    place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    new = list(parts)
    match draw.randrange(7):
        case 0:
            del new[place]
        case 1:
            new.insert(place, new[other])
        case 6:
            new.append(new[other])  # all that is due, and more
        case 2:
            new[place], new[other] = new[other], new[place]
        case 3:
            new[place] = blindly(new[place][:SMALL_BYTES], draw)
        case 4:
            new[place] = draw.randbytes(len(new[place]))
        case _:
            new.clear()
    return tuple(new)


def own(moment: Moment, draw: Random) -> tuple[str, str, bytes, m.Frame]:
    """(who signs, domain, body, frame) of what a malicious member would say to this machine."""
    if moment.to != RELAY:
        return RELAY, m.BUNDLE, moment.frame.signed.body, moment.frame
    frame = apt(moment, draw, MALLORY).frame
    return MALLORY, frame.signed.domain, frame.signed.body, frame


def apt(moment: Moment, draw: Random, sender: str) -> Word:
    """What is due in this state and mostly in this very sum, or anything."""
    due = getattr(moment.state, "due", None) if draw.random() < 0.9 else None
    story = moment.story if draw.random() < 0.8 else ""
    return draw.choice(fitting(story, due, sender) or words())


def resigned(by: str, domain: str, body: bytes) -> m.Signed:
    return m.Signed(body, signer(by).member.key_id, signer(by).sign(domain, body), domain)


def line_of(moment: Moment, draw: Random) -> str:
    return RELAY if moment.to != RELAY else MALLORY


def any_moment(draw: Random, role: str) -> Moment:
    return draw.choice(moments()[draw.choice([name for name in moments() if name.startswith(role)])])
