"""A cohort of parties and an aggregator that exchange real messages in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from federation.protocols.machine import Transition
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.secure_sum import (
    AggregatorEffect,
    AggregatorEvent,
    Attested,
    Begin,
    Broadcast,
    Contribute,
    Delivered,
    Message,
    Opened,
    Parcel,
    PartyEffect,
    PartyEvent,
    Received,
    Release,
    Send,
    Setup,
    Spec,
    SpecKnown,
    State,
)

COORDINATOR = "relay"


def names(n: int) -> tuple[str, ...]:
    """`p0` .. : sorted."""
    return tuple(f"p{i}" for i in range(n))


def setup_of(n: int, **changes: object) -> Setup:
    """The setup of n parties; `changes` go to `Setup.standard`."""
    wanted = {"job_hash": b"j" * 32, "round_index": 0, "roster_hash": b"r" * 32, "parties": names(n), **changes}
    return Setup.standard(**wanted)  # type: ignore[arg-type]


def spec_of(setup: Setup, length: int, transcript: bytes = b"t" * 32) -> Spec:
    """The spec of a vector of `length` numbers."""
    return Spec(setup=setup, round_digest=b"q" * 32, transcript_hash=transcript, length=length)


def entropy(party: str, salt: str = "") -> bytes:
    """Fixed entropy of one party."""
    return hashlib.sha256(f"entropy of {party} {salt}".encode()).digest()


def attested(message: Message, sender: str | None = None) -> Attested[Message]:
    """The message as wire hands it on: a digest over bytes that name all its fields."""
    body = repr((message.domain, message)).encode()
    return Attested(sender=sender or message.party, value=message, digest=hashlib.sha256(body).digest())


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
    """n parties with fixed entropy, and their aggregator."""

    def __init__(self, n: int, length: int = 1, **changes: object) -> None:
        self.setup = setup_of(n, **changes)
        self.spec = spec_of(self.setup, length)
        self.parties = {p: Machine(state=MaskedSum.party(), party=p) for p in self.setup.parties}
        self.aggregator = Machine(state=MaskedSum.aggregator())
        self.aggregator.give(Opened(setup=self.setup, coordinator=COORDINATOR))
        self.aggregator.give(SpecKnown(spec=self.spec))

    def begin(self, party: str, salt: str = "") -> Parcel:
        """Let a party begin; its advert."""
        begin = Begin(setup=self.setup, me=party, coordinator=COORDINATOR, entropy=entropy(party, salt))
        return sent(self.parties[party].give(begin))

    def contribute(self, party: str, numbers: Sequence[int]) -> Parcel:
        """Let a party mask these numbers; its head and chunks."""
        return sent(self.parties[party].give(Contribute.of(self.spec, numbers)))

    def adverts(self) -> tuple[Parcel, ...]:
        """Let all parties begin and the aggregator collect: the bundle that it broadcasts."""
        effects: tuple[PartyEffect | AggregatorEffect, ...] = ()
        for party in self.parties:
            effects = self.aggregator.give(Received(parcel=self.begin(party)))
        return broadcast(effects)

    def rostered(self) -> tuple[Parcel, ...]:
        """Let all parties accept the adverts: the bundle that they accepted."""
        bundle = self.adverts()
        for machine in self.parties.values():
            machine.give(Delivered(parcels=bundle))
        return bundle

    def heads(self, vectors: Mapping[str, Sequence[int]]) -> tuple[Parcel, ...]:
        """Let all rostered parties contribute and the aggregator collect: the bundle that it broadcasts."""
        effects: tuple[PartyEffect | AggregatorEffect, ...] = ()
        for party, numbers in vectors.items():
            effects = self.aggregator.give(Received(parcel=self.contribute(party, numbers)))
        return broadcast(effects)

    def total(self, vectors: Mapping[str, Sequence[int]]) -> list[int]:
        """Run the whole sum; every member must release one and the same total, which is returned."""
        self.rostered()
        bundle = self.heads(vectors)
        for machine in self.parties.values():
            machine.give(Delivered(parcels=bundle))
        everybody = (*self.parties.values(), self.aggregator)
        released = [machine.released for machine in everybody]
        assert all(len(totals) == 1 for totals in released)
        assert len({totals[0].total for totals in released}) == 1
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
