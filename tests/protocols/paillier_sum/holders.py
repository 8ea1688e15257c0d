"""Holders of a joint key who sum in memory, and their aggregator; and what a test makes of their messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

from federation.crypto import ring
from federation.crypto.paillier.threshold import JointKey, KeyShare, dealt
from federation.protocols.events import (
    AggregatorEvent,
    Begin,
    Broadcast,
    Contribute,
    DeadlinePassed,
    Delivered,
    Opened,
    Parcel,
    PartyEvent,
    Received,
    SpecKnown,
)
from federation.protocols.machine import Transition
from federation.protocols.paillier_sum import PaillierSum
from federation.protocols.secure_sum import State
from federation.protocols.setup import Setup, Spec
from tests.protocols import cohort
from tests.protocols.cohort import COORDINATOR, attested, entropy, names, sent

Vectors: TypeAlias = Mapping[str, Sequence[int]]
PHASES = ("ready", "cipher", "partial", "result")  # what a party does, in order


@cache
def key_of(n: int, bits: int = 512, salt: str = "") -> tuple[JointKey, dict[str, KeyShare]]:
    """The key of n holders, and everybody's share: made once, by a dealer."""
    return dealt(bits, names(n), hashlib.sha256(f"key {n} {bits} {salt}".encode()).digest())


def setup_of(n: int, bits: int = 512, **changes: object) -> Setup:
    """The setup of the holders of `key_of`."""
    wanted = {
        "job_hash": b"j" * 32,
        "round_index": 0,
        "roster_hash": b"r" * 32,
        "parties": names(n),
        "key": key_of(n, bits)[0].digest,
        **changes,
    }
    return Setup.keyed(**wanted)  # type: ignore[arg-type]


class Machine(cohort.Machine):
    """One machine of this protocol."""

    @property
    def step(self) -> Callable[[State, Any], Transition[State, Any]]:
        """The step of its role."""
        return PaillierSum.party_step if self.party else PaillierSum.aggregator_step

    @property
    def start(self) -> State:
        """The first state of its role."""
        return PaillierSum.party() if self.party else PaillierSum.aggregator()

    def branch(self) -> Machine:
        """The same machine, to go another way from here."""
        return Machine(self.state, self.party, list(self.events), list(self.effects))


class Holders:
    """All holders of a key with fixed entropy, and their aggregator; every step can be taken alone.

    `inbox` is what the aggregator has sent to each party and nobody has delivered yet.
    """

    def __init__(
        self,
        n: int = 3,
        length: int = 1,
        *,
        bits: int = 512,
        value_bits: int = 128,
        transcript: bytes = b"t" * 32,
        salt: str = "",
        **changes: object,
    ) -> None:
        self.joint, self.shares = key_of(n, bits)
        self.setup = setup_of(n, bits, **changes)
        self.spec = Spec(
            setup=self.setup, round_digest=b"q" * 32, transcript_hash=transcript, length=length, value_bits=value_bits
        )
        self.salt = salt
        self.parties = {p: Machine(state=PaillierSum.party(), party=p) for p in self.setup.parties}
        self.aggregator = Machine(state=PaillierSum.aggregator())
        self.inbox: dict[str, list[tuple[Parcel, ...]]] = {p: [] for p in self.parties}
        self.receive(Opened(setup=self.setup, coordinator=COORDINATOR, joint=self.joint.to_bytes()))
        self.receive(SpecKnown(spec=self.spec))

    def branch(self) -> Holders:
        """The same holders, to go another way from here."""
        other = object.__new__(Holders)
        other.__dict__.update(self.__dict__)
        other.parties = {party: machine.branch() for party, machine in self.parties.items()}
        other.aggregator = self.aggregator.branch()
        other.inbox = {party: list(bundles) for party, bundles in self.inbox.items()}
        return other

    # --- single steps -----------------------------------------------------------------------------------------------

    def receive(self, event: AggregatorEvent) -> None:
        """Give the aggregator an event; what it sends goes into the inboxes."""
        for effect in self.aggregator.give(event):
            if isinstance(effect, Broadcast):
                for bundles in self.inbox.values():
                    bundles.append(effect.parcels)

    def beginning(self, party: str) -> Begin:
        """The event with which a party begins."""
        return Begin(
            setup=self.setup,
            me=party,
            coordinator=COORDINATOR,
            entropy=entropy(party, self.salt),
            joint=self.joint.to_bytes(),
            share=self.shares[party].to_bytes(),
        )

    def begin(self, party: str) -> Parcel:
        """Let a party begin; its word that it is there."""
        return sent(self.parties[party].give(self.beginning(party)))

    def contribute(self, party: str, numbers: Sequence[int]) -> Parcel:
        """Let a party encrypt these numbers; its cipher and chunks."""
        return sent(self.parties[party].give(Contribute.of(self.spec, numbers)))

    def deliver(self, party: str, bundle: Sequence[Parcel] | None = None) -> Parcel | None:
        """Deliver this bundle, or what waits for a party; what it sends."""
        bundles = self.inbox[party] if bundle is None else [tuple(bundle)]
        found = None
        while bundles:
            effects = self.parties[party].give(Delivered(parcels=bundles.pop(0)))
            found = sent(effects) if any(type(effect).__name__ == "Send" for effect in effects) else None
        return found

    def late(self) -> None:
        """Let the aggregator wait no longer."""
        self.receive(DeadlinePassed())

    # --- whole steps ------------------------------------------------------------------------------------------------

    def joined(self) -> None:
        """Let everybody say that it is there, and hear it of all others: they await their numbers."""
        for party in self.parties:
            self.receive(Received(parcel=self.begin(party)))
        for party in self.parties:
            self.deliver(party)

    def ciphers(self, vectors: Vectors) -> tuple[Parcel, ...]:
        """Let everybody join and encrypt; the bundle of ciphers that waits for everybody."""
        self.joined()
        for party, numbers in vectors.items():
            self.receive(Received(parcel=self.contribute(party, numbers)))
        return self.waiting()

    def partials(self, vectors: Vectors) -> tuple[Parcel, ...]:
        """Let everybody encrypt and answer; the bundle of answers that waits for everybody."""
        self.ciphers(vectors)
        for party in self.parties:
            answer = self.deliver(party)
            assert answer is not None
            self.receive(Received(parcel=answer))
        return self.waiting()

    def waiting(self) -> tuple[Parcel, ...]:
        """The last bundle that waits for anybody; () for none."""
        return next((bundles[-1] for bundles in self.inbox.values() if bundles), ())

    def total(self, vectors: Vectors) -> list[int]:
        """Run the whole sum; every member must release one and the same total, which is returned."""
        self.partials(vectors)
        for party in self.parties:
            self.deliver(party)
        everybody = (*self.parties.values(), self.aggregator)
        released = [machine.released for machine in everybody]
        assert all(len(totals) == 1 for totals in released)
        assert {(totals[0].total, totals[0].parties) for totals in released} == {
            (released[0][0].total, self.setup.parties)
        }
        assert all(machine.state.ended for machine in everybody)
        return released[0][0].numbers

    def settle(self, vectors: Vectors) -> None:
        """Let everybody do what it can, whatever was done before, until nothing moves."""
        for _ in range(2 * len(PHASES)):
            for party, machine in self.parties.items():
                if machine.state.awaits.what == "begin":
                    self.receive(Received(parcel=self.begin(party)))
                answer = self.deliver(party)
                if answer is not None:
                    self.receive(Received(parcel=answer))
                if machine.state.awaits.what == "contribution":
                    self.receive(Received(parcel=self.contribute(party, vectors[party])))


def plain(vectors: Vectors) -> list[int]:
    """What the numbers add up to, by plain integers, in Z_2^128 with sign."""
    sums = [sum(column) % 2**128 for column in zip(*vectors.values(), strict=True)]
    return [total - 2**128 if total >= 2**127 else total for total in sums]


def told(parcel: Parcel, *, chunks: Sequence[bytes] | None = None, **changed: object) -> Parcel:
    """What a party says instead, signed by it."""
    value = replace(parcel.message.value, **changed)  # type: ignore[type-var]
    kept = parcel.chunks if chunks is None else tuple(chunks)
    return Parcel(message=attested(value, sender=parcel.message.sender), chunks=kept)


def with_one(bundle: Sequence[Parcel], other: Parcel) -> tuple[Parcel, ...]:
    """The bundle with another parcel of one sender."""
    sender = other.message.sender
    return tuple(other if parcel.message.sender == sender else parcel for parcel in bundle)


def events_of(machine: Machine) -> list[PartyEvent | AggregatorEvent]:
    """What a machine was given, so far."""
    return list(machine.events)


__all__ = ["PHASES", "Holders", "Machine", "events_of", "key_of", "plain", "ring", "setup_of", "told", "with_one"]
