"""The aggregator's machine of a masked sum: it forwards, adds up, and is trusted with nothing but being there.

    Vacant --Opened--> Gathering --all adverts--> Collecting --all heads--> Finished
    any of the first three --DeadlinePassed | Stopped--> Aborted

It checks all that a party will check again, so that who breaks the protocol is named at once, by the one member who had
the message from its sender. A message that comes again is ignored, a second different one is a violation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from federation.domain.job import Blame
from federation.errors import Misuse, ProtocolViolation, Unavailable
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import checks, masks
from federation.protocols.masked_sum.masks import Binding
from federation.protocols.secure_sum import (
    Abort,
    Aborted,
    AggregatorEvent,
    AggregatorTransition,
    Attested,
    Awaits,
    Broadcast,
    DeadlinePassed,
    Message,
    Opened,
    Parcel,
    Received,
    Release,
    Setup,
    Spec,
    SpecKnown,
    State,
    Stopped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacant:
    """Nothing is known yet."""

    ended = False

    @property
    def awaits(self) -> Awaits:
        """The event Opened."""
        return Awaits(what="begin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Adverts come in.

    Attributes:
        keys: the representative of each accepted key, by party.
    """

    setup: Setup
    coordinator: str
    spec: Spec | None = None
    parcels: tuple[Parcel, ...] = ()
    keys: tuple[tuple[str, bytes], ...] = ()

    ended = False

    @property
    def received(self) -> tuple[Attested[Message], ...]:
        """All messages that were accepted."""
        return tuple(parcel.message for parcel in self.parcels)

    @property
    def awaits(self) -> Awaits:
        """The adverts that are still out."""
        return Awaits(what="advert", of=_absent(self.setup, self.parcels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting:
    """All adverts are out to everybody; masked vectors come in.

    Attributes:
        adverts: the accepted adverts.
        parcels: the accepted heads and their vectors.
    """

    setup: Setup
    coordinator: str
    spec: Spec | None
    adverts: tuple[Attested[Message], ...]
    adverts_hash: bytes
    parcels: tuple[Parcel, ...] = ()

    ended = False

    @property
    def received(self) -> tuple[Attested[Message], ...]:
        """All messages that were accepted."""
        return (*self.adverts, *(parcel.message for parcel in self.parcels))

    @property
    def awaits(self) -> Awaits:
        """The spec, then the heads that are still out."""
        if self.spec is None:
            return Awaits(what="spec", of=(self.coordinator,))
        return Awaits(what="head", of=_absent(self.setup, self.parcels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The total is open; the messages are kept so that a late copy of one of them is known."""

    setup: Setup
    received: tuple[Attested[Message], ...]

    ended = True

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()


def step(state: State, event: AggregatorEvent) -> AggregatorTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Vacant(), Opened(setup=setup, coordinator=coordinator):
            return Transition(Gathering(setup=setup, coordinator=coordinator))
        case (Gathering() | Collecting()) as now, SpecKnown(spec=spec):
            return Transition(_specified(now, spec))
        case (Gathering() | Collecting() | Finished()) as now, Received(parcel=parcel) if _again(now.received, parcel):
            return Transition(now)
        case Gathering() as now, Received(parcel=parcel):
            return _gather(now, parcel)
        case Collecting(spec=Spec() as spec) as now, Received(parcel=parcel):
            return _collect(now, spec, parcel)
        case (Collecting(), Received()):
            raise Misuse("a head came before the aggregator's driver gave SpecKnown: no party is to blame for that")
        case ((Finished() | Aborted()), (DeadlinePassed() | Stopped())):
            return Transition(state)
        case Aborted(), Received():
            return Transition(state)
        case _, Stopped(blames=blames):
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case (Gathering() | Collecting()) as now, DeadlinePassed(missing=missing):
            return _late(now, missing)
        case _:
            raise _out_of_place(state, event)


def _specified(now: Gathering | Collecting, spec: Spec) -> Gathering | Collecting:
    if spec.setup != now.setup or now.spec not in (None, spec):
        raise Misuse("a sum has one spec, and it is for the setup that was opened")
    return replace(now, spec=spec)


def _gather(now: Gathering, parcel: Parcel) -> AggregatorTransition:
    sender = parcel.message.sender
    _, representative = checks.advert(now.setup, now.setup.hash, parcel, sender)
    keys = (*now.keys, (sender, representative))
    checks.distinct(dict(keys), sender)
    parcels = _sorted((*now.parcels, parcel))
    if _absent(now.setup, parcels):
        return Transition(replace(now, parcels=parcels, keys=keys))
    adverts = tuple(p.message for p in parcels)
    state = Collecting(
        setup=now.setup,
        coordinator=now.coordinator,
        spec=now.spec,
        adverts=adverts,
        adverts_hash=masks.hash_of_adverts({advert.sender: advert.digest for advert in adverts}),
    )
    return Transition(state, (Broadcast(parcels=parcels),))


def _collect(now: Collecting, spec: Spec, parcel: Parcel) -> AggregatorTransition:
    binding = Binding(
        spec_hash=spec.hash, adverts_hash=now.adverts_hash, u2_hash=masks.hash_of_u2(now.setup, now.adverts_hash)
    )
    checks.head(spec, binding, parcel, parcel.message.sender)
    collected = replace(now, parcels=_sorted((*now.parcels, parcel)))
    if collected.awaits.of:
        return Transition(collected)
    total = masks.summed({p.message.sender: p.chunks for p in collected.parcels})
    effects = (Broadcast(parcels=collected.parcels), Release(total=total, parties=now.setup.parties))
    return Transition(Finished(setup=now.setup, received=collected.received), effects)


def _again(received: tuple[Attested[Message], ...], parcel: Parcel) -> bool:
    """Whether this very message was accepted before. Raises ProtocolViolation for a second, different one."""
    message = parcel.message
    for earlier in received:
        if earlier.sender == message.sender and type(earlier.value) is type(message.value):
            if earlier.digest == message.digest:
                return True
            kind = type(message.value).__name__.lower()
            raise ProtocolViolation(message.sender, phase=kind, expected=f"one {kind}", got="a second, different one")
    return False


def _late(now: Gathering | Collecting, missing: tuple[str, ...]) -> AggregatorTransition:
    what = now.awaits.what
    blames = tuple(
        Blame(party=name, code=Unavailable.code, message=f"{name} did not give its {what} before the deadline")
        for name in missing or now.awaits.of
    )
    return Transition(Aborted(blames=blames), (Abort(blames=blames),))


def _absent(setup: Setup, parcels: tuple[Parcel, ...]) -> tuple[str, ...]:
    present = {parcel.message.sender for parcel in parcels}
    return tuple(party for party in setup.parties if party not in present)


def _sorted(parcels: tuple[Parcel, ...]) -> tuple[Parcel, ...]:
    return tuple(sorted(parcels, key=lambda parcel: parcel.message.sender))


def _out_of_place(state: State, event: AggregatorEvent) -> ProtocolViolation:
    culprit = event.parcel.message.sender if isinstance(event, Received) else "the coordinator"
    due = state.awaits.what or "nothing"
    got = f"{type(event).__name__} in state {type(state).__name__}"
    return ProtocolViolation(culprit, phase=type(state).__name__.lower(), expected=due, got=got)
