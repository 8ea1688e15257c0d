"""The party's machine of a plain sum.

    Idle --Begin--> Waiting --presents--> Ready --Contribute--> Sent --total--> Done
    --total without its own vector--> Aside;  before Done --Withdraw--> Withdrawn;  --Stopped, DeadlinePassed--> Aborted

It checks who is counted and that the total is the one that the coordinator signed; that it is their sum it takes on
trust: a plain sum protects nobody from the coordinator.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.errors import Misuse, ProtocolViolation
from federation.protocols import bundles
from federation.protocols.events import (
    Abort,
    Begin,
    Contribute,
    DeadlinePassed,
    Delivered,
    Intend,
    Parcel,
    PartyEvent,
    Release,
    Send,
    Stopped,
    Withdraw,
)
from federation.protocols.machine import Transition
from federation.protocols.plain_sum import checks
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.protocols.secure_sum import Aborted, Awaits, PartyTransition, State
from federation.protocols.setup import Spec, chunked, root_of
from federation.protocols.states import Done, Idle, Taking, Withdrawn, identity, late, out_of_place, withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Taking):
    """It has said that it is there."""

    what = "presents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Taking):
    """Enough are there; now its numbers are due."""

    @property
    def awaits(self) -> Awaits:
        """The party's own numbers."""
        return Awaits(what="contribution", of=(self.me,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Taking):
    """Its vector is out; the total is due."""

    spec: Spec
    spec_hash: bytes
    mine: Vector

    what = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside(Taking):
    """The others went on without this party; it is not counted."""


def step(state: State, event: PartyEvent) -> PartyTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Idle(), Begin() as begin:
            return _begun(begin)
        case Taking() as now, Delivered(parcels=parcels) if identity(parcels) in now.seen:
            return Transition(now)
        case Waiting() as now, Delivered(parcels=parcels):
            return _ready(now, parcels)
        case Ready() as now, Contribute() as contribution:
            return _sent(now, contribution)
        case Ready() as now, Delivered(parcels=parcels) if _of_others(now, parcels):
            return Transition(
                Aside(setup=now.setup, me=now.me, coordinator=now.coordinator, seen=(*now.seen, identity(parcels)))
            )
        case Sent() as now, Delivered(parcels=parcels):
            return _done(now, parcels)
        case ((Idle() | Done() | Aborted()), Withdraw()):
            return Transition(state)
        case Taking() as now, Withdraw():
            return withdrawn(now)
        case ((Aside() | Withdrawn() | Aborted()), (Delivered() | Contribute())):
            return Transition(state)
        case ((Done() | Withdrawn() | Aborted()), (DeadlinePassed() | Stopped())):
            return Transition(state)
        case _, Stopped(blames=blames):
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case Taking() as now, DeadlinePassed(missing=missing):
            return _late(now, missing)
        case _:
            raise out_of_place(state, event)


def _begun(begin: Begin) -> PartyTransition:
    setup = begin.setup
    if begin.me not in setup.parties or begin.coordinator in setup.parties or setup.key:
        raise Misuse("a party begins under its own name, with another member as coordinator and without a joint key")
    state = Waiting(setup=setup, me=begin.me, coordinator=begin.coordinator)
    return Transition(state, (Send(message=Present(setup_hash=setup.hash, party=begin.me)),))


def _ready(now: Waiting, parcels: tuple[Parcel, ...]) -> PartyTransition:
    found = bundles.one_each(now.setup, parcels, now.coordinator, "presents", now.setup.least)
    for parcel in found.values():
        checks.present(now.setup, parcel, now.coordinator)
    kind = Ready if now.me in found else Aside
    return Transition(kind(setup=now.setup, me=now.me, coordinator=now.coordinator, seen=(identity(parcels),)))


def _sent(now: Ready, contribution: Contribute) -> PartyTransition:
    spec = contribution.spec
    if spec.setup != now.setup or len(contribution.vector) != spec.size_bytes:
        raise Misuse("a contribution is for the setup that the party began with, as long as its spec says")
    chunks, spec_hash = chunked(contribution.vector), spec.hash
    vector = Vector(
        spec_hash=spec_hash,
        party=now.me,
        chunk_root=root_of(chunks),
        number=contribution.number,
    )
    state = Sent(
        setup=now.setup,
        me=now.me,
        coordinator=now.coordinator,
        seen=now.seen,
        spec=spec,
        spec_hash=spec_hash,
        mine=vector,
    )
    return Transition(state, (Send(message=vector, chunks=chunks),))


def _of_others(now: Ready, parcels: tuple[Parcel, ...]) -> bool:
    """Whether the coordinator says a total in which this party, which has sent nothing, is not counted."""
    totals = [p.message.sender for p in parcels if isinstance(p.message.value, Total)]
    return totals == [now.coordinator] and all(parcel.message.sender != now.me for parcel in parcels)


def _done(now: Sent, parcels: tuple[Parcel, ...]) -> PartyTransition:
    relay, setup = now.coordinator, now.setup
    said = [parcel for parcel in parcels if isinstance(parcel.message.value, Total)]
    value = said[0].message.value if len(said) == 1 else None
    if not isinstance(value, Total) or said[0].message.sender != relay:
        raise ProtocolViolation(relay, phase="total", expected="one total, its own", got="something else")
    found = bundles.one_each(setup, (p for p in parcels if p is not said[0]), relay, "total", setup.least)
    vectors = {party: checks.vector(now.spec, now.spec_hash, parcel, relay) for party, parcel in found.items()}
    if (value.spec_hash, value.list_hash) != (now.spec_hash, checks.list_hash(now.spec_hash, found.values())):
        raise ProtocolViolation(relay, phase="total", expected="a total of this list", got="one of another")
    seen = (*now.seen, identity(parcels))
    if now.me not in vectors:
        return Transition(Aside(setup=setup, me=now.me, coordinator=relay, seen=seen))
    if vectors[now.me] != now.mine:
        raise ProtocolViolation(relay, phase="total", expected="my own vector unchanged", got="another one")
    checks.rooted(now.spec, value.total_root, said[0].chunks, relay, "total")
    state = Done(setup=setup, me=now.me, coordinator=relay, seen=seen)
    release = Release(chunks=said[0].chunks, parties=tuple(vectors), root=value.total_root)
    return Transition(state, (Intend(parties=tuple(vectors)), release))


def _late(now: Taking, missing: tuple[str, ...]) -> PartyTransition:
    said = f" to {now.coordinator}, as that one says" if missing else ""
    return late(missing or now.awaits.of, now.awaits.what, said)
