"""The party's machine of a masked sum.

    Idle --Begin--> Advertised --Delivered(adverts)--> Rostered --Contribute--> Masked --Delivered(heads)--> Done
    any of the first four --DeadlinePassed | Stopped--> Aborted

The mask key leaves the state as soon as the vector is masked: nothing that follows can make a second mask under it. A
party releases only the total that it added up itself from every party's signed vector.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from federation.crypto import agreement, ring
from federation.domain.job import Blame, digest
from federation.errors import Misuse, ProtocolViolation, Unavailable
from federation.ledger import merkle
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import checks, masks
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Advert, Head
from federation.protocols.secure_sum import (
    Abort,
    Aborted,
    Awaits,
    Begin,
    Contribute,
    DeadlinePassed,
    Delivered,
    Parcel,
    PartyEvent,
    PartyTransition,
    Release,
    Send,
    Setup,
    Spec,
    State,
    Stopped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing is known yet."""

    ended = False

    @property
    def awaits(self) -> Awaits:
        """Begin, of nobody in particular."""
        return Awaits(what="begin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What a party that takes part knows in every state: the setup, its own name and the coordinator's."""

    setup: Setup
    me: str
    coordinator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertised(Taking):
    """Its own advert is out."""

    advert: Advert
    private: bytes = field(repr=False)

    ended = False

    @property
    def awaits(self) -> Awaits:
        """The bundle of all adverts."""
        return Awaits(what="adverts", of=(self.coordinator,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rostered(Taking):
    """Everybody's keys are known and sound.

    Attributes:
        keys: every party's public key, in party order.
        seen: the bundle that was accepted; the same one again is ignored.
    """

    private: bytes = field(repr=False)
    keys: tuple[Side, ...]
    adverts_hash: bytes
    seen: tuple[bytes, ...]

    ended = False

    @property
    def awaits(self) -> Awaits:
        """The party's own numbers."""
        return Awaits(what="contribution", of=(self.me,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked(Taking):
    """Its own masked vector is out; the mask key is gone."""

    spec: Spec
    binding: Binding
    head: Head
    seen: tuple[bytes, ...]

    ended = False

    @property
    def awaits(self) -> Awaits:
        """The bundle of all heads and their vectors."""
        return Awaits(what="heads", of=(self.coordinator,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Taking):
    """The total is open."""

    seen: tuple[bytes, ...]

    ended = True

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()


def step(state: State, event: PartyEvent) -> PartyTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Idle(), Begin() as begin:
            return _advertise(begin)
        case Advertised() as now, Delivered(parcels=parcels):
            return _roster(now, parcels)
        case Rostered() as now, Contribute() as contribution:
            return _mask(now, contribution)
        case (Rostered() | Masked() | Done()) as now, Delivered(parcels=parcels) if _bundle(parcels) in now.seen:
            return Transition(now)
        case Masked() as now, Delivered(parcels=parcels):
            return _release(now, parcels)
        case ((Done() | Aborted()), (DeadlinePassed() | Stopped())):
            return Transition(state)
        case Aborted(), Delivered():
            return Transition(state)
        case _, Stopped(blames=blames):
            return Transition(Aborted(blames=blames), (Abort(blames=blames),))
        case (Advertised() | Rostered() | Masked()) as now, DeadlinePassed(missing=missing):
            return _late(now, missing)
        case _:
            raise _out_of_place(state, event)


def _advertise(begin: Begin) -> PartyTransition:
    setup = begin.setup
    if begin.me not in setup.parties or begin.coordinator in setup.parties or len(begin.entropy) != 32:
        raise Misuse("a party begins under its own name, with another member as coordinator and 32 bytes of entropy")
    private, public = masks.mask_keys(begin.entropy, setup)
    advert = Advert(setup_hash=setup.hash, party=begin.me, mask_pk=public)
    state = Advertised(setup=setup, me=begin.me, coordinator=begin.coordinator, private=private, advert=advert)
    return Transition(state, (Send(message=advert),))


def _roster(now: Advertised, parcels: tuple[Parcel, ...]) -> PartyTransition:
    setup, relay = now.setup, now.coordinator
    setup_hash = setup.hash
    found = checks.one_each(setup, parcels, relay, "adverts")
    checked = {party: checks.advert(setup, setup_hash, parcel, relay) for party, parcel in found.items()}
    if checked[now.me][0] != now.advert:
        raise ProtocolViolation(relay, phase="adverts", expected="my own advert unchanged", got="another one")
    checks.distinct({party: representative for party, (_, representative) in checked.items()}, relay, now.me)
    state = Rostered(
        setup=setup,
        me=now.me,
        coordinator=relay,
        private=now.private,
        keys=tuple(Side(party=party, mask_pk=advert.mask_pk) for party, (advert, _) in checked.items()),
        adverts_hash=masks.hash_of_adverts({party: parcel.message.digest for party, parcel in found.items()}),
        seen=(_bundle(parcels),),
    )
    return Transition(state)


def _mask(now: Rostered, contribution: Contribute) -> PartyTransition:
    spec = contribution.spec
    if spec.setup != now.setup or len(contribution.vector) != spec.length * ring.ELEMENT_BYTES:
        raise Misuse(
            "a contribution is for the setup that the party began with and has as many numbers as its spec says"
        )
    binding = Binding(
        spec_hash=spec.hash,
        adverts_hash=now.adverts_hash,
        u2_hash=masks.hash_of_u2(now.setup, now.adverts_hash),
    )
    sides = {side.party: side for side in now.keys}
    mine = sides.pop(now.me)
    seeds = {}
    for peer in sides.values():
        try:
            seeds[peer.party] = masks.pair_seed(now.private, mine, peer, binding)
        except agreement.BadPublicKey as fault:
            raise ProtocolViolation(peer.party, phase="advert", expected="a sound X25519 key", got=str(fault)) from None
    chunks = tuple(masks.masked(contribution.vector, seeds, now.me))
    head = Head(
        spec_hash=binding.spec_hash,
        u2_hash=binding.u2_hash,
        party=now.me,
        chunk_root=merkle.root([merkle.leaf_hash(chunk) for chunk in chunks]),
        length=spec.length,
    )
    state = Masked(
        setup=now.setup, me=now.me, coordinator=now.coordinator, spec=spec, binding=binding, head=head, seen=now.seen
    )
    return Transition(state, (Send(message=head, chunks=chunks),))


def _release(now: Masked, parcels: tuple[Parcel, ...]) -> PartyTransition:
    relay = now.coordinator
    found = checks.one_each(now.setup, parcels, relay, "heads")
    heads = {party: checks.head(now.spec, now.binding, parcel, relay) for party, parcel in found.items()}
    if heads[now.me] != now.head:
        raise ProtocolViolation(relay, phase="heads", expected="my own head unchanged", got="another one")
    total = masks.summed({party: parcel.chunks for party, parcel in found.items()})
    state = Done(setup=now.setup, me=now.me, coordinator=relay, seen=(*now.seen, _bundle(parcels)))
    return Transition(state, (Release(total=total, parties=now.setup.parties),))


def _late(now: Advertised | Rostered | Masked, missing: tuple[str, ...]) -> PartyTransition:
    what = now.awaits.what
    said = f" to {now.coordinator}, as that one says" if missing else ""
    blames = tuple(
        Blame(party=name, code=Unavailable.code, message=f"{name} did not give its {what}{said} before the deadline")
        for name in missing or now.awaits.of
    )
    return Transition(Aborted(blames=blames), (Abort(blames=blames),))


def _bundle(parcels: tuple[Parcel, ...]) -> bytes:
    """Identity of a bundle, whatever the order of its parcels."""
    return digest("federation/masked_sum/bundle/v1", *sorted(parcel.message.digest for parcel in parcels))


def _out_of_place(state: State, event: PartyEvent) -> ProtocolViolation:
    me, coordinator = (state.me, state.coordinator) if isinstance(state, Taking) else ("this party", "the coordinator")
    culprit = coordinator if isinstance(event, Delivered) else me  # all other events are made by the party's own driver
    step_due = state.awaits.what or "nothing"
    got = f"{type(event).__name__} in state {type(state).__name__}"
    return ProtocolViolation(culprit, phase=type(state).__name__.lower(), expected=step_due, got=got)
