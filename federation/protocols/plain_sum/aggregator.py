"""The aggregator's machine of a plain sum: it adds up what it got and says of whom it is.

    Vacant --Opened--> Gathering --presents--> Collecting --vectors--> Finished
    --DeadlinePassed--> goes on with those who are there if they are enough, else Aborted;  --Stopped--> Aborted

A message that comes again is ignored; a second different one is a violation, and so is one of a later step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols.bundles import spoken
from federation.protocols.events import (
    Abort,
    AggregatorEvent,
    Broadcast,
    DeadlinePassed,
    Message,
    Opened,
    Parcel,
    Received,
    Release,
    Send,
    SpecKnown,
    Stopped,
)
from federation.protocols.machine import Transition
from federation.protocols.plain_sum import checks
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.protocols.secure_sum import Aborted, AggregatorTransition, Awaits, State
from federation.protocols.setup import Setup, Spec
from federation.protocols.states import COORDINATOR, Vacant, late, out_of_place
from federation.protocols.summing import summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Messages of one step come in.

    Attributes:
        spec: once it is known.
        parcels: what came so far, by sender, in party order.
        said: digest of every accepted message, by sender and kind.
        asked: whose messages are due.
    """

    setup: Setup
    coordinator: str
    spec: Spec | None = None
    parcels: Mapping[str, Parcel] = field(default_factory=dict)
    said: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    asked: tuple[str, ...]

    due: ClassVar[type[Message]] = Present
    ended = False

    @property
    def awaits(self) -> Awaits:
        """The messages that are still out."""
        absent = tuple(party for party in self.asked if party not in self.parcels)
        return Awaits(what=self.due.__name__.lower(), of=absent, enough=len(self.parcels) >= self.setup.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering(Serving):
    """Words come in of those who are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting(Serving):
    """Vectors come in."""

    due: ClassVar[type[Message]] = Vector

    @property
    def awaits(self) -> Awaits:
        """The spec, then the vectors that are still out."""
        if self.spec is None:
            return Awaits(what="spec", of=(self.coordinator,))
        absent = tuple(party for party in self.asked if party not in self.parcels)
        return Awaits(what="vector", of=absent, enough=len(self.parcels) >= self.setup.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Serving):
    """The total is open."""

    due: ClassVar[type[Message]] = Vector
    ended = True

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()


def step(state: State, event: AggregatorEvent) -> AggregatorTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Vacant(), Opened(setup=setup, coordinator=coordinator):
            return Transition(Gathering(setup=setup, coordinator=coordinator, asked=setup.parties))
        case (Gathering() | Collecting()) as now, SpecKnown(spec=spec):
            if spec.setup != now.setup or now.spec not in (None, spec):
                raise Misuse("a sum has one spec, and it is for the setup that was opened")
            return Transition(replace(now, spec=spec))
        case Serving() as now, Received(parcel=parcel):
            return _receive(now, parcel)
        case Aborted(), Received():
            return Transition(state)
        case ((Finished() | Aborted()), (DeadlinePassed() | Stopped())):
            return Transition(state)
        case _, Stopped(blames=blames):
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case Serving() as now, DeadlinePassed(missing=missing):
            return _late(now, missing)
        case _:
            raise out_of_place(state, event, COORDINATOR)


def _receive(now: Serving, parcel: Parcel) -> AggregatorTransition:
    sender, kind = parcel.message.sender, type(parcel.message.value)
    earlier = now.said.get((sender, kind.__name__))
    if earlier == parcel.message.digest:
        return Transition(now)
    if kind not in (Present, Vector):
        raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    if earlier is not None:
        name = kind.__name__.lower()
        raise ProtocolViolation(sender, phase=name, expected=f"one {name}", got="a second, different one")
    spoken(kind, now.setup, parcel, sender)
    if isinstance(now, Finished) or (kind is Present and isinstance(now, Collecting)):
        return Transition(now)  # its step was closed without it
    match now:
        case Gathering() if kind is Present:
            checks.present(now.setup, parcel, sender)
        case Collecting(spec=Spec() as spec) if sender in now.asked:
            value = checks.vector(spec, spec.hash, parcel, sender)
            checks.rooted(spec, value.chunk_root, parcel.chunks, sender, "vector")
        case _:
            raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    found = {**now.parcels, sender: parcel}
    taken = replace(
        now,
        parcels={party: found[party] for party in now.setup.parties if party in found},
        said={**now.said, (sender, kind.__name__): parcel.message.digest},
    )
    return Transition(taken) if taken.awaits.of else _closed(taken)


def _closed(now: Serving) -> AggregatorTransition:
    """Return the next step: everybody has spoken, or nobody is waited for any more."""
    parcels = tuple(now.parcels.values())
    match now:
        case Gathering():
            collecting = Collecting(
                setup=now.setup, coordinator=now.coordinator, spec=now.spec, said=now.said, asked=tuple(now.parcels)
            )
            return Transition(collecting, (Broadcast(parcels=parcels),))
        case Collecting(spec=Spec() as spec):
            spec_hash = spec.hash
            chunks, leaves = summed([parcel.chunks for parcel in parcels], spec.ring)
            root = merkle.root(leaves)
            said = Total(spec_hash=spec_hash, list_hash=checks.list_hash(spec_hash, parcels), total_root=root)
            finished = Finished(
                setup=now.setup, coordinator=now.coordinator, spec=spec, said=now.said, asked=tuple(now.parcels)
            )
            heads = tuple(replace(parcel, chunks=()) for parcel in parcels)
            release = Release(chunks=chunks, parties=tuple(now.parcels), root=root)
            return Transition(
                finished, (Broadcast(parcels=heads, statement=Send(message=said, chunks=chunks)), release)
            )
        case _:
            raise Misuse(f"nothing closes {type(now).__name__}")


def _late(now: Serving, missing: tuple[str, ...]) -> AggregatorTransition:
    if now.awaits.enough:
        return _closed(now)
    return late(missing or now.awaits.of, now.awaits.what)
