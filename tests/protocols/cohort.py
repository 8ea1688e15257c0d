"""A cohort of parties and an aggregator that exchange real messages in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.protocols.events import (
    AggregatorEffect,
    AggregatorEvent,
    Attested,
    Begin,
    Broadcast,
    Contribute,
    DeadlinePassed,
    Deliver,
    Delivered,
    Message,
    Opened,
    Parcel,
    PartyEffect,
    PartyEvent,
    Received,
    Release,
    Send,
    SpecKnown,
)
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.secure_sum import State
from federation.protocols.setup import Check, Setup, Spec

COORDINATOR = "relay"


def names(n: int) -> tuple[str, ...]:
    """`p0` .. : sorted."""
    return tuple(f"p{i}" for i in range(n))


def setup_of(n: int, **changes: object) -> Setup:
    """The setup of n parties; `changes` go to `Setup.standard`."""
    wanted = {"job_hash": b"j" * 32, "round_index": 0, "roster_hash": b"r" * 32, "parties": names(n), **changes}
    return Setup.standard(**wanted)  # type: ignore[arg-type]


def spec_of(setup: Setup, length: int, transcript: bytes = b"t" * 32, **changes: object) -> Spec:
    """The spec of a vector of `length` numbers."""
    wanted = {"round_digest": b"q" * 32, "transcript_hash": transcript, "length": length, **changes}
    return Spec(setup=setup, **wanted)  # type: ignore[arg-type]


def entropy(party: str, salt: str = "") -> bytes:
    """Fixed entropy of one party."""
    return hashlib.sha256(f"entropy of {party} {salt}".encode()).digest()


def attested(message: Message, sender: str | None = None) -> Attested[Message]:
    """The message as wire hands it on: a digest over bytes that name all its fields."""
    body = repr((message.domain, message)).encode()
    return Attested(
        sender=sender or getattr(message, "party", COORDINATOR), value=message, digest=hashlib.sha256(body).digest()
    )


def parcel(send: Send) -> Parcel:
    """What the aggregator receives of what a party sends."""
    return Parcel(message=attested(send.message), chunks=send.chunks)


@dataclass
class Machine:
    """One machine, every event that it was given and every effect that it had."""

    state: State
    party: str = ""
    events: list[PartyEvent | AggregatorEvent] = field(default_factory=list)
    effects: list[PartyEffect | AggregatorEffect] = field(default_factory=list)

    @property
    def step(self) -> Callable[[State, Any], Transition[State, Any]]:
        """The step of its role."""
        return MaskedSum.party_step if self.party else MaskedSum.aggregator_step

    @property
    def start(self) -> State:
        """The first state of its role."""
        return MaskedSum.party() if self.party else MaskedSum.aggregator()

    def give(self, event: PartyEvent | AggregatorEvent) -> tuple[PartyEffect | AggregatorEffect, ...]:
        """Step and return the effects; an event that raises leaves no trace."""
        transition = self.step(self.state, event)
        self.state = transition.state
        self.events.append(event)
        self.effects.extend(transition.effects)
        return transition.effects

    @property
    def released(self) -> list[Release]:
        """Totals that it opened; an honest run has one."""
        return [effect for effect in self.effects if isinstance(effect, Release)]


class Cohort:
    """n parties with fixed entropy, and their aggregator; every step can be taken alone, for those who are named.

    `inbox` is what the aggregator has sent to each party and nobody has delivered yet.
    """

    def __init__(self, n: int, length: int = 1, *, check: Check = Check.ALL, ring: str = "z2^128", **changes: object):
        self.setup = setup_of(n, **changes)
        self.spec = spec_of(self.setup, length, check=check, ring=ring)
        self.parties = {p: Machine(state=MaskedSum.party(), party=p) for p in self.setup.parties}
        self.aggregator = Machine(state=MaskedSum.aggregator())
        self.inbox: dict[str, list[tuple[Parcel, ...]]] = {p: [] for p in self.parties}
        self.receive(Opened(setup=self.setup, coordinator=COORDINATOR))
        self.receive(SpecKnown(spec=self.spec))

    # --- single steps -----------------------------------------------------------------------------------------------

    def receive(self, event: AggregatorEvent) -> tuple[PartyEffect | AggregatorEffect, ...]:
        """Give the aggregator an event; what it sends goes into the inboxes."""
        effects = self.aggregator.give(event)
        for effect in effects:
            for party in self.parties:
                if isinstance(effect, Broadcast):
                    said = () if effect.statement is None else (parcel(effect.statement),)
                    self.inbox[party].append((*effect.parcels, *said))
                elif isinstance(effect, Deliver) and effect.to == party:
                    self.inbox[party].append(effect.parcels)
        return effects

    def begin(self, party: str, salt: str = "") -> Parcel:
        """Let a party begin; its advert."""
        begin = Begin(setup=self.setup, me=party, coordinator=COORDINATOR, entropy=entropy(party, salt))
        return sent(self.parties[party].give(begin))

    def contribute(self, party: str, numbers: Sequence[int]) -> Parcel:
        """Let a party mask these numbers; its head and chunks."""
        return sent(self.parties[party].give(Contribute.of(self.spec, numbers)))

    def deliver(self, party: str) -> list[Parcel]:
        """Deliver everything in a party's inbox; what it sends."""
        out = []
        while self.inbox[party]:
            effects = self.parties[party].give(Delivered(parcels=self.inbox[party].pop(0)))
            out += [parcel(effect) for effect in effects if isinstance(effect, Send)]
        return out

    def exchange(self, *parties: str) -> None:
        """Deliver what lies in the inboxes of these parties (of all), and give the aggregator what they answer."""
        answers = [answer for party in parties or tuple(self.parties) for answer in self.deliver(party)]
        for answer in answers:
            self.receive(Received(parcel=answer))

    def late(self) -> None:
        """Let the aggregator wait no longer."""
        self.receive(DeadlinePassed())

    # --- whole phases -----------------------------------------------------------------------------------------------

    def adverts(self, *parties: str) -> tuple[Parcel, ...]:
        """Let these parties (all) begin; the bundle of adverts that waits for them."""
        for party in parties or tuple(self.parties):
            self.receive(Received(parcel=self.begin(party)))
        return self.waiting()

    def shared(self, *parties: str) -> None:
        """Let these parties (all) exchange keys and shares: they await their numbers."""
        who = parties or tuple(self.parties)
        if not self.aggregator.state.awaits.what == "shares":
            self.adverts(*who)
        self.exchange(*who)
        self.exchange(*who)

    def heads(self, vectors: Mapping[str, Sequence[int]]) -> tuple[Parcel, ...]:
        """Let these sharing parties contribute; the bundle of heads that waits for them, if all have."""
        for party, numbers in vectors.items():
            self.receive(Received(parcel=self.contribute(party, numbers)))
        return self.waiting()

    def opened(self, *parties: str) -> None:
        """Let these parties (all) consent, unmask and take the total, and draw samples if they must."""
        for _ in range(4):
            self.exchange(*parties)

    def waiting(self) -> tuple[Parcel, ...]:
        """The last bundle that waits for anybody; () for none."""
        return next((bundles[-1] for bundles in self.inbox.values() if bundles), ())

    def total(self, vectors: Mapping[str, Sequence[int]]) -> list[int]:
        """Run the whole sum; every member must release one and the same total, which is returned."""
        self.shared()
        self.heads(vectors)
        self.opened()
        everybody = (*self.parties.values(), self.aggregator)
        released = [machine.released for machine in everybody]
        assert all(len(totals) == 1 for totals in released)
        assert len({(totals[0].total, totals[0].parties) for totals in released}) == 1
        assert all(machine.state.ended for machine in everybody)
        return released[0][0].numbers


def sent(effects: Sequence[PartyEffect | AggregatorEffect]) -> Parcel:
    """The one message among `effects`."""
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    return parcel(send)


def broadcast(effects: Sequence[PartyEffect | AggregatorEffect]) -> tuple[Parcel, ...]:
    """The one bundle among `effects`."""
    (found,) = (effect for effect in effects if isinstance(effect, Broadcast))
    return found.parcels
