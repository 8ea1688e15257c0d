"""Holders of a key who make it in memory: all of them honest, but for what a test puts into their mouths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256, shake_256
from typing import Any

import numpy as np
import pytest

from federation.crypto import ot
from federation.domain.job import digest
from federation.protocols.key_ceremony.events import (
    Abort,
    Begin,
    Boundary,
    Delivered,
    Done,
    Effect,
    Event,
    Heard,
    Proceed,
    Send,
)
from federation.protocols.key_ceremony.messages import What, box_digest
from federation.protocols.key_ceremony.party import step
from federation.protocols.key_ceremony.states import At, Blinding, Idle, Pairs, State, Taking
from federation.protocols.key_ceremony.terms import Ceremony
from federation.protocols.key_ceremony.transfers import boundary

Change = Callable[[Send], Send]


def names(n: int) -> tuple[str, ...]:
    """`p0` to `p9`."""
    return tuple(f"p{i}" for i in range(n))


def ceremony_of(n: int = 3, bits: int = 512, batch: int = 64, salt: object = "") -> Ceremony:
    """A ceremony of its own for every salt."""
    return Ceremony(id=sha256(f"ceremony {salt}".encode()).digest(), holders=names(n), bits=bits, batch=batch)


def entropy_of(party: str) -> bytes:
    """Fixed entropy of one holder."""
    return sha256(f"entropy of {party}".encode()).digest()


def trees_of(ceremony: Ceremony) -> dict[str, Pairs]:
    """What the first three steps lead to, without a group: trees of fixed seeds, for tests of what follows."""
    forests, pruned = {}, {}
    for chooser in ceremony.holders:
        for sender in ceremony.others(chooser):
            context = digest("test/pair", ceremony.hash, chooser.encode(), sender.encode())
            seeds = shake_256(b"seeds" + context).digest(ot.TREES * ot.LEAVES * ot.SEED_BYTES)
            delta = shake_256(b"delta" + context).digest(ot.COLUMNS // 8)
            known = bytearray(seeds)
            for tree, missing in enumerate(ot._places(delta)):
                at = (tree * ot.LEAVES + missing) * ot.SEED_BYTES
                known[at : at + ot.SEED_BYTES] = bytes(ot.SEED_BYTES)
            forests[chooser, sender] = ot.Forest(context=context, seeds=seeds)
            pruned[chooser, sender] = ot.Pruned(context=context, delta=delta, seeds=bytes(known))
    return {
        me: Pairs(
            sid=ceremony.hash,
            forests=tuple(forests[me, other] for other in ceremony.others(me)),
            pruned=tuple(pruned[other, me] for other in ceremony.others(me)),
        )
        for me in ceremony.holders
    }


@dataclass
class Player:
    """One holder's machine, every event that it was given and the effects of the last one."""

    state: State
    events: list[Event] = field(default_factory=list)
    effects: tuple[Effect, ...] = ()

    def give(self, event: Event) -> None:
        """Step; an event that raises leaves no trace."""
        transition = step(self.state, event)
        self.state, self.effects = transition.state, transition.effects
        self.events.append(event)

    @property
    def sends(self) -> list[Send]:
        """What it wants sent."""
        return [effect for effect in self.effects if isinstance(effect, Send)]

    @property
    def done(self) -> Done | None:
        """Its key."""
        return next((effect for effect in self.effects if isinstance(effect, Done)), None)

    @property
    def abort(self) -> Abort | None:
        """Why it gave up."""
        return next((effect for effect in self.effects if isinstance(effect, Abort)), None)

    @property
    def proceed(self) -> Proceed | None:
        """What begins its next batch."""
        return next((effect.proceed for effect in self.effects if isinstance(effect, Boundary)), None)


class Table:
    """All holders of one ceremony; what one of them says may be changed on the way.

    Args:
        quick: begin behind the three steps that set transfers up, with trees of fixed seeds.

    Attributes:
        bytes: that were sent.
        factors: of the modulus, which nobody at the table knows.
    """

    def __init__(self, ceremony: Ceremony, *, quick: bool = True) -> None:
        self.ceremony = ceremony
        self.bytes = 0
        self.factors = (0, 0)
        self.heard: dict[str, tuple[Heard, ...]] = {}
        if quick:
            self.players = {}
            for me, pairs in trees_of(ceremony).items():
                at = At(ceremony=ceremony, me=me, entropy=entropy_of(me), place=3, seen=ceremony.hash)
                start = boundary(at, pairs, tries=0)
                self.players[me] = Player(start.state, [], start.effects)
        else:
            self.players = {me: Player(Idle()) for me in ceremony.holders}
            for me, player in self.players.items():
                player.give(Begin(ceremony=ceremony, me=me, entropy=entropy_of(me)))

    def branch(self) -> Table:
        """The same table, to go another way from here: states are values."""
        other = object.__new__(Table)
        other.ceremony, other.bytes, other.heard, other.factors = (
            self.ceremony,
            self.bytes,
            dict(self.heard),
            self.factors,
        )
        other.players = {me: Player(p.state, list(p.events), p.effects) for me, p in self.players.items()}
        return other

    @property
    def what(self) -> What | None:
        """The step whose words are on the way."""
        return next((send.word.what for player in self.players.values() for send in player.sends), None)

    @property
    def ended(self) -> bool:
        """Whether all have ended."""
        return all(player.state.ended for player in self.players.values())

    def collect(self, changes: dict[str, Change] | None = None) -> None:
        """Take what everybody wants sent, changed for those who are named; they know what they said."""
        boxes: dict[str, list[Heard]] = {me: [] for me in self.players}
        for sender, player in self.players.items():
            said = [(changes or {}).get(sender, lambda same: same)(send) for send in player.sends]
            for send in said:
                boxes[send.to].append(Heard(sender=sender, word=send.word, box=send.box))
                self.bytes += len(send.box) + len(send.word.body)
            if isinstance(player.state, Taking) and all(send.word == said[0].word for send in said):
                player.state = replace(player.state, at=replace(player.state.at, mine=said[0].word))
        self.heard = {me: tuple(found) for me, found in boxes.items()}

    def deliver(self, *who: str) -> None:
        """Deliver what was collected, to all or to those who are named."""
        for me in who or tuple(self.players):
            if not self.players[me].state.ended:
                self.players[me].give(Delivered(heard=self.heard[me]))

    def move(self, changes: dict[str, Change] | None = None) -> None:
        """One step of all: the next batch, or the words of one step."""
        if all(player.proceed for player in self.players.values()):
            for player in self.players.values():
                assert player.proceed is not None
                player.give(player.proceed)
        else:
            self.collect(changes)
            self.deliver()
        blinding = [p.state for p in self.players.values() if type(p.state) is Blinding]
        if len(blinding) == len(self.players):
            self.factors = sum(state.p for state in blinding), sum(state.q for state in blinding)

    def until(self, what: What | None) -> Table:
        """Move until the words of this step are on the way, or all have ended."""
        while not self.ended and (self.what is not what or what is None):
            self.move()
        return self

    def run(self) -> Iterator[Table]:
        """Move to the end, stopping before every step."""
        while not self.ended:
            yield self
            self.move()


def saying(body: bytes | None = None, box: bytes | None = None, **fields: object) -> Change:
    """A change of what somebody says: another body for all, another box with its digest, other fields."""

    def change(send: Send) -> Send:
        word = send.word
        if body is not None:
            word = replace(word, body=body)
        if box is not None:
            others = tuple(box_digest(box) if told else told for told in word.boxes)
            word = replace(word, boxes=others)
        return replace(send, word=replace(word, **fields), box=send.box if box is None else box)  # type: ignore[arg-type]

    return change


def remember_transfers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute every transfer once in all tests: a dispute and a restart ask for the same ones again."""
    for name, kept in REMEMBERED.items():
        monkeypatch.setattr(ot, name, kept)


def once(transferred: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Return the function with its newest results remembered by every byte that it is given; nobody may change them."""
    known: OrderedDict[bytes, tuple[Any, ...]] = OrderedDict()

    def remembered(seeds: ot.Forest | ot.Pruned, use: int, *given: Any) -> tuple[Any, ...]:
        about = (seeds.context, getattr(seeds, "delta", b""), seeds.seeds, use.to_bytes(8, "big"))
        shapes = repr([getattr(each, "shape", None) for each in given]).encode()
        parts = (*about, shapes, *(each if isinstance(each, bytes) else each.tobytes() for each in given))
        key = sha256(b"".join(sha256(part).digest() for part in parts)).digest()
        if key not in known:
            known[key] = transferred(seeds, use, *given)
            for made in known[key]:
                if isinstance(made, np.ndarray):
                    made.setflags(write=False)
            while len(known) > MOST_REMEMBERED:
                known.popitem(last=False)
        return known[key]

    return remembered


MOST_REMEMBERED = 256
REMEMBERED = {name: cache(getattr(ot, name)) for name in ("offer", "reply", "grown", "pruned")}
REMEMBERED |= {name: once(getattr(ot, name)) for name in ("choose", "answer")}


@cache
def founded(ceremony: Ceremony) -> Table:
    """A ceremony whose transfers are set up, from its first word on; `branch` it."""
    table = Table(ceremony, quick=False)
    while not all(player.proceed for player in table.players.values()):
        table.move()
    return table


@cache
def ended(ceremony: Ceremony, *, quick: bool = True) -> Table:
    """A ceremony that ran to its end."""
    return Table(ceremony, quick=quick).until(None)
