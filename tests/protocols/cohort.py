"""A cohort of parties and an aggregator that exchange real messages in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, TypeAlias

import pytest

from federation.crypto import agreement, ring
from federation.domain.job import Blame
from federation.protocols.events import (
    Abort,
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

Vectors: TypeAlias = Mapping[str, Sequence[int]]

COORDINATOR = "relay"
PHASES = ("advert", "shares", "head", "consent", "unmask", "result")  # what a party does, in order


def names(n: int) -> tuple[str, ...]:
    """`p0` .., of more than ten `p00` ..: sorted."""
    width = len(str(n - 1))
    return tuple(f"p{i:0{width}}" for i in range(n))


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
    body = repr((message.domain, [getattr(message, one.name) for one in fields(message)])).encode()  # type: ignore[arg-type]
    return Attested(
        sender=sender or str(getattr(message, "party", COORDINATOR)),
        value=message,
        digest=hashlib.sha256(body).digest(),
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

    @property
    def blames(self) -> list[Blame]:
        """Whom it named when it gave up."""
        return [blame for effect in self.effects if isinstance(effect, Abort) for blame in effect.blames]

    def branch(self) -> Machine:
        """The same machine, to go another way from here: states are values."""
        return Machine(self.state, self.party, list(self.events), list(self.effects))


class Cohort:
    """n parties with fixed entropy, and their aggregator; every step can be taken alone, for those who are named.

    `inbox` is what the aggregator has sent to each party and nobody has delivered yet.
    """

    def __init__(
        self,
        n: int,
        length: int = 1,
        *,
        check: Check = Check.ALL,
        ring: str = "z2^128",
        encoding: bytes = b"",
        **changes: object,
    ):
        self.setup = setup_of(n, **changes)
        self.spec = spec_of(self.setup, length, check=check, ring=ring, encoding=encoding)
        self.parties = {p: Machine(state=MaskedSum.party(), party=p) for p in self.setup.parties}
        self.aggregator = Machine(state=MaskedSum.aggregator())
        self.inbox: dict[str, list[tuple[Parcel, ...]]] = {p: [] for p in self.parties}
        self.receive(Opened(setup=self.setup, coordinator=COORDINATOR))
        self.receive(SpecKnown(spec=self.spec))

    def branch(self) -> Cohort:
        """The same cohort, to go another way from here."""
        other = object.__new__(Cohort)
        other.setup, other.spec = self.setup, self.spec
        other.parties = {party: machine.branch() for party, machine in self.parties.items()}
        other.aggregator = self.aggregator.branch()
        other.inbox = {party: list(bundles) for party, bundles in self.inbox.items()}
        return other

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
        vector = plain_sum(self, {party: numbers}, [party])
        return sent(self.parties[party].give(Contribute(spec=self.spec, vector=vector)))

    def deliver(self, party: str, most: int = 99) -> list[Parcel]:
        """Deliver everything in a party's inbox, or so many bundles; what it sends."""
        out = []
        for _ in range(min(most, len(self.inbox[party]))):
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

    def take(self, phase: str, there: Sequence[str], vectors: Vectors, *, wait: bool = False) -> None:
        """Let those who are there do what is due in `phase`; then, unless told, the aggregator waits no longer."""
        if phase == "advert":
            for party in there:
                self.receive(Received(parcel=self.begin(party)))
        else:
            self.exchange(*there) if there else None
        if phase == "head":
            for party in there:
                if self.parties[party].state.awaits.what == "contribution":
                    self.receive(Received(parcel=self.contribute(party, vectors[party])))
        if phase == "result" and there:
            self.exchange(*there)  # what was drawn of a long total
        if not wait and self.aggregator.state.awaits.what == phase:
            self.late()

    def run(self, vectors: Vectors, lost: Mapping[str, str], start: str = "advert") -> None:
        """Run all phases from `start`; from its phase in `lost` on, a party is not heard and hears nothing."""
        for number, phase in enumerate(PHASES):
            there = [party for party in self.parties if party not in lost or PHASES.index(lost[party]) > number]
            if number >= PHASES.index(start) and (phase == "result" or not self.aggregator.state.ended):
                self.take(phase, there, vectors)

    def settle(self, vectors: Vectors) -> None:
        """Let everybody do what it can, whatever was done before, until nothing moves."""
        for _ in range(2 * len(PHASES)):
            for party, machine in self.parties.items():
                if machine.state.awaits.what == "begin":
                    self.receive(Received(parcel=self.begin(party)))
                self.exchange(party)
                if machine.state.awaits.what == "contribution":
                    self.receive(Received(parcel=self.contribute(party, vectors[party])))

    # --- whole phases -----------------------------------------------------------------------------------------------

    def adverts(self, *parties: str) -> tuple[Parcel, ...]:
        """Let these parties (all) begin; the bundle of adverts that waits for them."""
        for party in parties or tuple(self.parties):
            self.receive(Received(parcel=self.begin(party)))
        return self.waiting()

    def shared(self, *parties: str) -> None:
        """Let these parties (all) exchange keys and shares: they await their numbers."""
        who = parties or tuple(self.parties)
        if self.aggregator.state.awaits.what == "advert":
            self.take("advert", [party for party in who if not self.parties[party].events], {})
        self.take("shares", who, {})
        self.exchange(*who)

    def heads(self, vectors: Vectors) -> tuple[Parcel, ...]:
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

    def total(self, vectors: Vectors) -> list[int]:
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


def plain_sum(cohort: Cohort, vectors: Vectors, counted: Sequence[str]) -> bytes:
    """What the numbers of those who are counted add up to, by plain integers."""
    size = 8 * ring.RINGS[cohort.spec.ring].element_bytes
    columns = zip(*(vectors[party] for party in counted), strict=True)
    return b"".join((sum(column) % 2**size).to_bytes(size // 8, "little") for column in columns)


def remember_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute every X25519 and HKDF once: runs of one cohort differ in who is lost, not in keys."""
    for name in ("shared", "representative", "key_pair", "derive"):
        monkeypatch.setattr(agreement, name, lru_cache(maxsize=100_000)(getattr(agreement, name)))
    once = lru_cache(maxsize=1_000)(Setup.hash.fget)  # type: ignore[attr-defined]
    monkeypatch.setattr(Setup, "hash", property(once))


def sent(effects: Sequence[PartyEffect | AggregatorEffect]) -> Parcel:
    """The one message among `effects`."""
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    return parcel(send)
