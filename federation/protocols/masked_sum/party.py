"""The party's machine of a masked sum.

    Idle --Begin--> Advertised --adverts--> Dealt --shares--> Shared --Contribute--> Masked --heads--> Consented
    Consented --consents--> Unmasked --opening--> Done;  of long totals Unmasked --opening--> Sampling --chunks--> Done
    Advertised, Dealt --a bundle without me--> Aside;  before Unmasked --Withdraw--> Withdrawn;  --Stopped--> Aborted

Nothing returns to an earlier state. A party consents to one list of contributors in its life in one setup, and gives of
every peer one kind of share, which that list decides and no message can ask for. The mask key and the seed leave the
state as soon as the vector is masked; the peers' shares leave it when they were given or are not needed any more. A
party releases only a total that it checked itself.

Whoever deals shares among adverts, or consents to heads, found its own among them unchanged. So its one signature
stands for that advert or head as well, and the party verifies by themselves only those of the others: adverts before it
masks anything, heads before it gives a share of anybody's secret (ADR 0019).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from federation.crypto import agreement, shamir
from federation.crypto.aead import BadSeal, opened, seal
from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols import bundles
from federation.protocols.events import (
    Abort,
    Attested,
    Begin,
    Contribute,
    DeadlinePassed,
    Delivered,
    Intend,
    Message,
    Parcel,
    PartyEvent,
    Send,
    Stopped,
    Withdraw,
)
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import checking, checks, masks
from federation.protocols.masked_sum.checking import Known
from federation.protocols.masked_sum.graph import Graph
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.protocols.masked_sum.opening import Masked as MaskedParties
from federation.protocols.secure_sum import Aborted, Awaits, PartyTransition, State
from federation.protocols.setup import Spec
from federation.protocols.states import Done, Idle, Taking, Withdrawn, identity, late, out_of_place, withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertised(Taking):
    """Its keys are out."""

    advert: Advert
    entropy: bytes = field(repr=False)

    what = "adverts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt(Taking):
    """Everybody's keys are known and sound, its own secrets are dealt among its neighbours.

    Attributes:
        sides: the keys of all who advertised, in party order.
        own: its own shares of its two secrets.
        agreed: what it agrees on with each of its neighbours, in party order; both boxes of a pair are sealed under it.
        adverts: what everybody's keys came in, in party order; their signatures are still to be verified.
    """

    entropy: bytes = field(repr=False)
    sides: tuple[Side, ...]
    adverts_hash: bytes
    shares: Shares
    own: tuple[bytes, bytes] = field(repr=False)
    agreed: tuple[bytes, ...] = field(repr=False)
    adverts: tuple[Attested[Message], ...]

    what = "shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared(Taking):
    """It holds a share of its neighbours' secrets; now its numbers are due.

    Attributes:
        held: (share of the seed, share of the mask key) of everybody `masked.around` it, in party order.
    """

    entropy: bytes = field(repr=False)
    masked: MaskedParties
    adverts_hash: bytes
    u2_hash: bytes
    held: tuple[tuple[bytes, bytes], ...] = field(repr=False)

    @property
    def awaits(self) -> Awaits:
        """The party's own numbers."""
        return Awaits(what="contribution", of=(self.me,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked(Taking):
    """Its masked vector is out; the keys that made it are gone.

    Attributes:
        lot: draws which chunks of a long total it will check.
    """

    spec: Spec
    binding: Binding
    masked: MaskedParties
    held: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    lot: bytes = field(repr=False)
    head: Head

    what = "heads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented(Taking):
    """It has agreed to one list of contributors, and agrees to no other any more.

    Attributes:
        heads: of those who are counted, in party order; their signatures are still to be verified.
    """

    known: Known
    held: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    lot: bytes = field(repr=False)
    heads: tuple[Attested[Message], ...]

    what = "consents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasked(Taking):
    """Its shares are out and gone; the total is due."""

    known: Known
    lot: bytes = field(repr=False)

    what = "opening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling(Taking):
    """It has the total and has drawn the chunks of every contributor that it adds up itself."""

    known: Known
    claimed: checking.Claimed

    what = "samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside(Taking):
    """The others went on without this party; it holds no secret of anybody and is not counted."""


def step(state: State, event: PartyEvent) -> PartyTransition:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Idle(), Begin() as begin:
            return _advertise(begin)
        case Taking() as now, Delivered(parcels=parcels) if identity(parcels) in now.seen:
            return Transition(now)
        case Advertised() as now, Delivered(parcels=parcels):
            return _deal(now, parcels)
        case Dealt() as now, Delivered(parcels=parcels):
            return _share(now, parcels)
        case Shared() as now, Contribute() as contribution:
            return _mask(now, contribution)
        case Masked() as now, Delivered(parcels=parcels):
            return _consent(now, parcels)
        case Consented() as now, Delivered(parcels=parcels):
            return _unmask(now, parcels)
        case Unmasked() as now, Delivered(parcels=parcels):
            return _open(now, parcels)
        case Sampling() as now, Delivered(parcels=parcels):
            release = checking.sampled(now.known, now.claimed, parcels, now.coordinator)
            return Transition(_done(now, parcels), (release,))
        case ((Idle() | Unmasked() | Sampling() | Done() | Aborted()), Withdraw()):
            return Transition(state)  # the driver's to see: there is no `Send`, so no such word leaves
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


def _advertise(begin: Begin) -> PartyTransition:
    setup = begin.setup
    if begin.me not in setup.parties or begin.coordinator in setup.parties or len(begin.entropy) != 32:
        raise Misuse("a party begins under its own name, with another member as coordinator and 32 bytes of entropy")
    secrets = masks.secrets_of(begin.entropy, setup)
    advert = Advert(
        setup_hash=setup.hash,
        party=begin.me,
        enc_pk=agreement.key_pair(secrets.enc_private)[1],
        mask_pk=agreement.key_pair(secrets.mask_private)[1],
    )
    state = Advertised(setup=setup, me=begin.me, coordinator=begin.coordinator, entropy=begin.entropy, advert=advert)
    return Transition(state, (Send(message=advert),))


def _deal(now: Advertised, parcels: tuple[Parcel, ...]) -> PartyTransition:
    setup, relay = now.setup, now.coordinator
    setup_hash = setup.hash
    found = bundles.one_each(setup, parcels, relay, "adverts", setup.least)
    keys = {party: checks.advert(setup, setup_hash, parcel, relay) for party, parcel in found.items()}
    if now.me not in keys:
        return Transition(_aside(now, parcels))
    if keys[now.me].advert != now.advert:
        raise ProtocolViolation(relay, phase="adverts", expected="my own advert unchanged", got="another one")
    checks.distinct(keys, relay, now.me)
    sides = tuple(Side(party=party, enc_pk=of.advert.enc_pk, mask_pk=of.advert.mask_pk) for party, of in keys.items())
    adverts_hash = masks.hash_of_adverts(setup_hash, (parcel.message.digest for parcel in found.values()))
    secrets, graph = masks.secrets_of(now.entropy, setup), Graph.of(setup, adverts_hash, tuple(keys))
    holders = graph.holders(now.me)
    of_seed = shamir.split(secrets.seed, graph.threshold, len(holders), secrets.seed_polynomial)
    of_key = shamir.split(secrets.mask_private, graph.threshold, len(holders), secrets.key_polynomial)
    pairs = dict(zip(holders, zip(of_seed, of_key, strict=True), strict=True))
    mine = next(side for side in sides if side.party == now.me)
    others = [side for side in sides if graph.meet(now.me, side.party)]
    agreed = masks.box_secrets(secrets.enc_private, others)
    boxes = []
    for side, secret in zip(others, agreed, strict=True):
        key = masks.box_key(secret, mine, side, adverts_hash)
        pair = pairs[side.party]
        sealed = seal(key, b"".join(pair), masks.box_label(adverts_hash, now.me, side.party))
        boxes.append(sealed + _digests(adverts_hash, now.me, side.party, pair))
    shares = Shares(
        setup_hash=setup_hash,
        adverts_hash=adverts_hash,
        party=now.me,
        commitment=masks.commitment(setup_hash, now.me, secrets.seed),
        boxes_root=merkle.root([merkle.leaf_hash(box) for box in boxes]),
    )
    state = Dealt(
        setup=setup,
        me=now.me,
        coordinator=relay,
        seen=(identity(parcels),),
        entropy=now.entropy,
        sides=sides,
        adverts_hash=adverts_hash,
        shares=shares,
        own=pairs[now.me],
        agreed=tuple(agreed),
        adverts=tuple(of.message for of in keys.values()),
    )
    return Transition(state, (Send(message=shares, chunks=tuple(boxes)),))


def _share(now: Dealt, parcels: tuple[Parcel, ...]) -> PartyTransition:
    setup, relay = now.setup, now.coordinator
    found = bundles.one_each(setup, parcels, relay, "shares", setup.least)
    setup_hash = setup.hash
    dealt = {p: checks.shares(setup, setup_hash, now.adverts_hash, parcel, relay) for p, parcel in found.items()}
    sides = {side.party: side for side in now.sides}
    if strange := sorted(set(dealt) - set(sides)):
        raise ProtocolViolation(
            relay, phase="shares", expected="shares of those who advertised", got=f"also of {', '.join(strange)}"
        )
    if now.me not in dealt:
        return Transition(_aside(now, parcels))
    if dealt[now.me] != now.shares:
        raise ProtocolViolation(relay, phase="shares", expected="my own shares unchanged", got="other ones")
    # Of all others, neighbours or not: who is whose neighbour depends on every advert.
    checks.prove((advert for advert in now.adverts if advert.sender not in dealt), relay)
    graph = Graph.of(setup, now.adverts_hash, tuple(sides))
    if few := graph.thin(dealt):
        raise _thin(relay, "shares", graph, few)
    agreed = dict(zip(graph.neighbours(now.me), now.agreed, strict=True))
    held = []
    for party, value in dealt.items():
        if party == now.me:
            held.append(now.own)
            continue
        if not graph.meet(now.me, party):
            _no_box(found[party], relay)
            continue
        peers = graph.neighbours(party)
        box = checks.own_box(value, tuple(map(bytes, found[party].chunks)), peers.index(now.me), len(peers), relay)
        held.append(_unboxed(agreed[party], sides[party], sides[now.me], now.adverts_hash, box))
    state = Shared(
        setup=setup,
        me=now.me,
        coordinator=relay,
        seen=(*now.seen, identity(parcels)),
        entropy=now.entropy,
        masked=MaskedParties(
            sides=tuple(sides[party] for party in dealt),
            commitments=tuple(value.commitment for value in dealt.values()),
            graph=graph,
        ),
        adverts_hash=now.adverts_hash,
        u2_hash=masks.hash_of_u2(now.adverts_hash, (parcel.message.digest for parcel in found.values())),
        held=tuple(held),
    )
    return Transition(state)


def _unboxed(secret: bytes, source: Side, mine: Side, adverts_hash: bytes, box: bytes) -> tuple[bytes, bytes]:
    """Return the two shares in a box; that it does not open is the dealer's doing: its signed root has this box."""
    try:
        key = masks.box_key(secret, source, mine, adverts_hash)
        plain = opened(key, box[: checks.SEALED_BYTES], masks.box_label(adverts_hash, source.party, mine.party))
        pair = plain[: shamir.SHARE_BYTES], plain[shamir.SHARE_BYTES :]
        for share in pair:
            shamir.check(share)
        if box[checks.SEALED_BYTES :] != _digests(adverts_hash, source.party, mine.party, pair):
            raise shamir.BadShare("shares that are not those whose digests are beside them")
    except (BadSeal, shamir.BadShare) as fault:
        raise ProtocolViolation(
            source.party, phase="shares", expected=f"a box that {mine.party} can open", got=str(fault)
        ) from None
    return pair


def _mask(now: Shared, contribution: Contribute) -> PartyTransition:
    spec = contribution.spec
    if spec.setup != now.setup or len(contribution.vector) != spec.size_bytes:
        raise Misuse(
            "a contribution is for the setup that the party began with and has as many numbers as its spec says"
        )
    binding = Binding(spec_hash=spec.hash, adverts_hash=now.adverts_hash, u2_hash=now.u2_hash)
    secrets = masks.secrets_of(now.entropy, now.setup)
    mine = next(side for side in now.masked.sides if side.party == now.me)
    peers = [side for side in now.masked.sides if now.masked.graph.meet(now.me, side.party)]
    # Every key was found sound when its advert came: an exchange with it does not fail any more.
    pairs = masks.pair_seeds(secrets.mask_private, mine, peers, binding)
    streams = masks.streams_on(masks.self_seed(secrets.seed, now.me, binding), pairs, now.me)
    chunks, leaves = masks.masked(contribution.vector, spec.ring, streams)
    head = Head(
        spec_hash=binding.spec_hash,
        u2_hash=binding.u2_hash,
        party=now.me,
        chunk_root=merkle.root(leaves),
        length=spec.length,
        number=contribution.number,
    )
    state = Masked(
        setup=now.setup,
        me=now.me,
        coordinator=now.coordinator,
        seen=now.seen,
        spec=spec,
        binding=binding,
        masked=now.masked,
        held=now.held,
        lot=secrets.lot,
        head=head,
    )
    return Transition(state, (Send(message=head, chunks=chunks),))


def _consent(now: Masked, parcels: tuple[Parcel, ...]) -> PartyTransition:
    setup, relay = now.setup, now.coordinator
    found = bundles.one_each(setup, parcels, relay, "heads", setup.least)
    if strange := sorted(set(found) - set(now.masked.names)):
        raise ProtocolViolation(
            relay, phase="heads", expected="heads of those who shared", got=f"also of {', '.join(strange)}"
        )
    if few := now.masked.graph.thin(found):
        raise _thin(relay, "heads", now.masked.graph, few)
    heads = {party: checks.head(now.spec, now.binding, parcel, relay) for party, parcel in found.items()}
    if now.me in heads and heads[now.me] != now.head:
        raise ProtocolViolation(relay, phase="heads", expected="my own head unchanged", got="another one")
    u3_hash = masks.hash_of_u3(now.binding, (parcel.message.digest for parcel in found.values()))
    known = Known(
        spec=now.spec,
        binding=now.binding,
        masked=now.masked,
        counted=tuple(heads),
        heads=tuple(heads.values()),
        u3_hash=u3_hash,
    )
    state = Consented(
        setup=setup,
        me=now.me,
        coordinator=relay,
        seen=(*now.seen, identity(parcels)),
        known=known,
        held=now.held,
        lot=now.lot,
        heads=tuple(parcel.message for parcel in found.values()),
    )
    consent = Consent(spec_hash=now.binding.spec_hash, u3_hash=u3_hash, party=now.me)
    return Transition(state, (Intend(parties=known.counted), Send(message=consent)))


def _unmask(now: Consented, parcels: tuple[Parcel, ...]) -> PartyTransition:
    setup, relay, known = now.setup, now.coordinator, now.known
    found = bundles.one_each(setup, parcels, relay, "consents", setup.threshold)
    if strange := sorted(set(found) - set(known.masked.names)):
        raise ProtocolViolation(
            relay, phase="consents", expected="consents of those who shared", got=f"also of {', '.join(strange)}"
        )
    for parcel in found.values():
        checks.consent(setup, known.binding.spec_hash, known.u3_hash, parcel, relay)
    checks.prove((head for head in now.heads if head.sender not in found), relay)
    held = dict(zip(known.masked.around(now.me), now.held, strict=True))
    of_seeds, of_keys = known.masked.owed(now.me, known.counted, known.masked.absent(known.counted))
    unmask = Unmask(
        spec_hash=known.binding.spec_hash,
        u3_hash=known.u3_hash,
        party=now.me,
        self_shares=tuple(held[party][0] for party in of_seeds),
        key_shares=tuple(held[party][1] for party in of_keys),
    )
    state = Unmasked(
        setup=setup, me=now.me, coordinator=relay, seen=(*now.seen, identity(parcels)), known=known, lot=now.lot
    )
    return Transition(state, (Send(message=unmask),))


def _open(now: Unmasked, parcels: tuple[Parcel, ...]) -> PartyTransition:
    relay = now.coordinator
    if checks.whole_vector(now.known.spec):
        return Transition(_done(now, parcels), (checking.recomputed(now.known, parcels, relay),))
    claimed, challenge = checking.challenged(now.known, parcels, now.lot, now.me, relay)
    state = Sampling(
        setup=now.setup,
        me=now.me,
        coordinator=relay,
        seen=(*now.seen, identity(parcels)),
        known=now.known,
        claimed=claimed,
    )
    return Transition(state, (Send(message=challenge),))


def _late(now: Taking, missing: tuple[str, ...]) -> PartyTransition:
    said = f" to {now.coordinator}, as that one says" if missing else ""
    return late(missing or now.awaits.of, now.awaits.what, said)


def _done(now: Taking, parcels: tuple[Parcel, ...]) -> Done:
    return Done(setup=now.setup, me=now.me, coordinator=now.coordinator, seen=(*now.seen, identity(parcels)))


def _aside(now: Taking, parcels: tuple[Parcel, ...]) -> Aside:
    return Aside(setup=now.setup, me=now.me, coordinator=now.coordinator, seen=(*now.seen, identity(parcels)))


def _no_box(parcel: Parcel, relay: str) -> None:
    if parcel.chunks:
        got = f"one of {parcel.message.sender}, who is none"
        raise ProtocolViolation(relay, phase="shares", expected="boxes of my neighbours", got=got)


def _thin(relay: str, phase: str, graph: Graph, few: tuple[str, ...]) -> ProtocolViolation:
    """Return the violation of a list that would part honest contributors from each other."""
    least = graph.terms.counted if graph.terms else 0
    return ProtocolViolation(
        relay,
        phase=phase,
        expected=f"{least} of any {len(few)} neighbouring places",
        got=f"fewer from {few[0]} to {few[-1]}: a part of the sum could be opened alone",
    )


def _digests(adverts_hash: bytes, dealer: str, holder: str, pair: tuple[bytes, bytes]) -> bytes:
    return b"".join(
        masks.share_digest(adverts_hash, dealer, holder, kind, share)
        for kind, share in zip(("seed", "key"), pair, strict=True)
    )
