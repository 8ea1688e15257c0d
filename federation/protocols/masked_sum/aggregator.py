"""The aggregator's machine of a masked sum: it forwards, adds up, and is trusted with nothing but being there.

    Vacant --Opened--> Gathering --adverts--> Dealing --shares--> Collecting --heads--> Consenting --t consents-->
    Unmasking --t sets of shares--> Finished;  DeadlinePassed goes on with those who are there, or aborts if too few

It checks all that a party will check again, so that who breaks the protocol is named at once, by the one member who had
the message from its sender. A message that comes again is ignored, so is one that comes after its step was closed; a
second different one is a violation. The roots of long vectors are looked at before a sample of them is given out: until
then nothing depends on them, since who signs a root for other bytes could have sent those bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

from federation.crypto.ring import Chunk
from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import (
    Abort,
    AggregatorEvent,
    Broadcast,
    DeadlinePassed,
    Deliver,
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
from federation.protocols.masked_sum import checks, masks, opening
from federation.protocols.masked_sum.checks import Keys
from federation.protocols.masked_sum.graph import Graph
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Advert, Challenge, Consent, Head, Opening, Shares, Unmask
from federation.protocols.masked_sum.opening import Masked
from federation.protocols.secure_sum import Aborted, AggregatorTransition, Awaits, State
from federation.protocols.setup import Setup, Spec
from federation.protocols.states import COORDINATOR, Vacant, late, out_of_place

Parcels: TypeAlias = Mapping[str, Parcel]  # by sender
ORDER: tuple[type[Message], ...] = (Advert, Shares, Head, Consent, Unmask, Challenge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the aggregator knows in every state.

    Attributes:
        said: digest of every accepted message, by sender and kind.
        parcels: what came in this step, by sender.
    """

    setup: Setup
    coordinator: str
    spec: Spec | None = None
    said: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    parcels: Parcels = field(default_factory=dict)

    due: ClassVar[type[Message]] = Advert
    ended = False

    @property
    def expected(self) -> tuple[str, ...]:
        """Who may speak in this step, in party order."""
        return self.setup.parties

    @property
    def wanted(self) -> int:
        """How many must speak for the sum to go on without the others."""
        return self.setup.least

    @property
    def awaits(self) -> Awaits:
        """The messages that are still out."""
        return self._outstanding()

    def _outstanding(self) -> Awaits:
        absent = tuple(party for party in self.expected if party not in self.parcels)
        return Awaits(what=self.due.__name__.lower(), of=absent, enough=len(self.parcels) >= self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering(Serving):
    """Adverts come in."""

    keys: Mapping[str, Keys] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing(Serving):
    """All adverts that count are out to everybody; shares come in."""

    sides: tuple[Side, ...]
    adverts_hash: bytes
    leaves: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    due: ClassVar[type[Message]] = Shares

    @property
    def expected(self) -> tuple[str, ...]:
        """Those who advertised."""
        return tuple(side.party for side in self.sides)

    @property
    def graph(self) -> Graph:
        """Who is dealt to by whom."""
        return Graph.of(self.setup, self.adverts_hash, self.expected)

    @property
    def awaits(self) -> Awaits:
        """The shares that are still out; those who are there are enough if they are everywhere on the circle."""
        outstanding = self._outstanding()
        return replace(outstanding, enough=outstanding.enough and not self.graph.thin(self.parcels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting(Serving):
    """Everybody has the shares that are for it; masked vectors come in.

    Attributes:
        dealt: dealer -> holder -> the digests of both shares that it got, 64 bytes.
    """

    masked: Masked
    adverts_hash: bytes
    u2_hash: bytes
    dealt: Mapping[str, Mapping[str, bytes]]

    due: ClassVar[type[Message]] = Head

    @property
    def expected(self) -> tuple[str, ...]:
        """Those who shared."""
        return self.masked.names

    @property
    def awaits(self) -> Awaits:
        """The spec, then the heads that are still out."""
        if self.spec is None:
            return Awaits(what="spec", of=(self.coordinator,))
        outstanding = self._outstanding()
        return replace(outstanding, enough=outstanding.enough and not self.masked.graph.thin(self.parcels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Serving):
    """It is settled who is counted.

    Attributes:
        heads: their heads and vectors, in party order.
        dealt: as before, until the sum is open.
    """

    spec: Spec
    binding: Binding
    masked: Masked
    heads: Parcels
    u3_hash: bytes
    dealt: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)

    @property
    def expected(self) -> tuple[str, ...]:
        """Everybody who holds shares, counted or not."""
        return self.masked.names

    @property
    def wanted(self) -> int:
        """As many as open a secret."""
        return self.setup.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Consenting(Counted):
    """Consents to the one list come in."""

    due: ClassVar[type[Message]] = Consent


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking(Counted):
    """Shares that open the sum come in.

    Attributes:
        liars: who gave other shares than were dealt to it, where the right ones are too few.
    """

    liars: tuple[str, ...] = ()

    due: ClassVar[type[Message]] = Unmask

    @property
    def awaits(self) -> Awaits:
        """The shares that are still out; once they were enough, waiting longer is all that is left."""
        return replace(self._outstanding(), enough=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Counted):
    """The total is open; the vectors are kept for those who draw samples of them.

    Attributes:
        leaves: leaf hashes of every vector, once somebody asked for a sample.
    """

    leaves: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    due: ClassVar[type[Message]] = Challenge
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
        case (Gathering() | Dealing() | Collecting()) as now, SpecKnown(spec=spec):
            return Transition(_specified(now, spec))
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


def _specified(now: Gathering | Dealing | Collecting, spec: Spec) -> Gathering | Dealing | Collecting:
    if spec.setup != now.setup or now.spec not in (None, spec):
        raise Misuse("a sum has one spec, and it is for the setup that was opened")
    return replace(now, spec=spec)


def _receive(now: Serving, parcel: Parcel) -> AggregatorTransition:
    message = parcel.message
    sender, kind = message.sender, type(message.value)
    earlier = now.said.get((sender, kind.__name__))
    if earlier == message.digest and kind is not Challenge:
        return Transition(now)
    if kind not in ORDER or (kind is Head and now.spec is None and isinstance(now, Collecting)):
        raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    if earlier is not None and earlier != message.digest:
        name = kind.__name__.lower()
        raise ProtocolViolation(sender, phase=name, expected=f"one {name}", got="a second, different one")
    if ORDER.index(kind) < ORDER.index(now.due) or (kind is now.due and sender not in now.expected):
        _of_the_setup(now, parcel)
        return Transition(now)  # its step was closed without it
    if kind is not now.due:
        raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    return _accepted(_noted(now, parcel), parcel)


def _noted(now: Serving, parcel: Parcel) -> Serving:
    """Return the state with the parcel in it, in party order."""
    message = parcel.message
    found = {**now.parcels, message.sender: parcel}
    return replace(
        now,
        said={**now.said, (message.sender, type(message.value).__name__): message.digest},
        parcels={party: found[party] for party in now.expected if party in found},
    )


def _accepted(now: Serving, parcel: Parcel) -> AggregatorTransition:
    """Return the state that has taken `parcel`, or the next one if that was the last. Raises ProtocolViolation."""
    sender = parcel.message.sender
    match now:
        case Gathering():
            keys = {**now.keys, sender: checks.advert(now.setup, now.setup.hash, parcel, sender)}
            checks.distinct(keys, sender)  # whoever comes with a key that is there already
            taken: Serving = replace(now, keys=keys)
        case Dealing():
            value = checks.shares(now.setup, now.setup.hash, now.adverts_hash, parcel, sender)
            leaves = checks.boxes(value, tuple(map(bytes, parcel.chunks)), len(now.graph.neighbours(sender)), sender)
            taken = replace(now, leaves={**now.leaves, sender: leaves})
        case Collecting(spec=Spec() as spec):
            head = checks.head(spec, _binding(now, spec), parcel, sender)
            checks.vector(spec, head, parcel.chunks, sender, rooted=checks.whole_vector(spec))
            taken = now
        case Consenting():
            checks.consent(now.setup, now.binding.spec_hash, now.u3_hash, parcel, sender)
            return _closed(now) if len(now.parcels) >= now.wanted else Transition(now)
        case Unmasking():
            counted = tuple(now.heads)
            of_seeds, of_keys = now.masked.owed(sender, counted, now.masked.absent(counted))
            checks.unmask(now.spec, now.u3_hash, (len(of_seeds), len(of_keys)), parcel, sender)
            return _opened(now)
        case Finished():
            return _sample(now, parcel)
        case _:
            raise out_of_place(now, Received(parcel=parcel), COORDINATOR)
    return Transition(taken) if taken.awaits.of else _closed(taken)


def _closed(now: Serving) -> AggregatorTransition:
    """Return the next step, with those who are there."""
    parcels = tuple(now.parcels.values())
    match now:
        case Gathering():
            sides = tuple(
                Side(party=p, enc_pk=now.keys[p].advert.enc_pk, mask_pk=now.keys[p].advert.mask_pk) for p in now.parcels
            )
            digests = (parcel.message.digest for parcel in parcels)
            adverts_hash = masks.hash_of_adverts(now.setup.hash, digests)
            dealing = Dealing(
                setup=now.setup,
                coordinator=now.coordinator,
                said=now.said,
                spec=now.spec,
                sides=sides,
                adverts_hash=adverts_hash,
            )
            return Transition(dealing, (Broadcast(parcels=parcels),))
        case Dealing():
            return _dealt(now)
        case Collecting(spec=Spec() as spec):
            binding = _binding(now, spec)
            u3_hash = masks.hash_of_u3(binding, (parcel.message.digest for parcel in parcels))
            consenting = Consenting(
                setup=now.setup,
                coordinator=now.coordinator,
                said=now.said,
                spec=spec,
                binding=binding,
                masked=now.masked,
                heads=now.parcels,
                u3_hash=u3_hash,
                dealt=now.dealt,
            )
            return Transition(consenting, (Broadcast(parcels=tuple(replace(p, chunks=()) for p in parcels)),))
        case Consenting():
            unmasking = Unmasking(
                setup=now.setup,
                coordinator=now.coordinator,
                said=now.said,
                spec=now.spec,
                binding=now.binding,
                masked=now.masked,
                heads=now.heads,
                u3_hash=now.u3_hash,
                dealt=now.dealt,
            )
            return Transition(unmasking, (Broadcast(parcels=parcels),))
        case _:
            raise Misuse(f"nothing closes {type(now).__name__}")


def _dealt(now: Dealing) -> AggregatorTransition:
    """Everybody who advertised gets its own box of every neighbour, with the path to the root that this one signed."""
    sides, graph = {side.party: side for side in now.sides}, now.graph
    commitments = []
    dealt: dict[str, dict[str, bytes]] = {}
    places: dict[str, dict[str, int]] = {}
    for dealer, parcel in now.parcels.items():
        value = parcel.message.value
        commitments.append(value.commitment if isinstance(value, Shares) else b"")
        holders = graph.neighbours(dealer)
        places[dealer] = {holder: place for place, holder in enumerate(holders)}
        dealt[dealer] = {
            holder: bytes(box[checks.SEALED_BYTES :]) for holder, box in zip(holders, parcel.chunks, strict=True)
        }
    collecting = Collecting(
        setup=now.setup,
        coordinator=now.coordinator,
        spec=now.spec,
        said=now.said,
        masked=Masked(sides=tuple(sides[party] for party in now.parcels), commitments=tuple(commitments), graph=graph),
        adverts_hash=now.adverts_hash,
        u2_hash=masks.hash_of_u2(now.adverts_hash, (p.message.digest for p in now.parcels.values())),
        dealt=dealt,
    )
    effects = []
    paths = {dealer: merkle.inclusions(now.leaves[dealer]) for dealer in now.parcels}
    for target in sides:
        parcels = []
        for dealer, parcel in now.parcels.items():
            chunks: tuple[Chunk, ...] = ()
            if (place := places[dealer].get(target)) is not None:
                chunks = (parcel.chunks[place], *paths[dealer][place])
            parcels.append(Parcel(message=parcel.message, chunks=chunks))
        effects.append(Deliver(to=target, parcels=tuple(parcels)))
    return Transition(collecting, tuple(effects))


def _opened(now: Unmasking) -> AggregatorTransition:
    """Return the opened total, or wait for more shares."""
    unmasks = {p: parcel.message.value for p, parcel in now.parcels.items() if isinstance(parcel.message.value, Unmask)}
    counted = tuple(now.heads)
    try:
        secrets = opening.recovered(now.setup, now.masked, counted, unmasks, now.dealt, now.binding.adverts_hash)
    except opening.Short as short:
        if short.dealers or (short.liars and not now.awaits.of):
            raise _dealt_badly(short.dealers, short.liars) from None
        return Transition(replace(now, liars=short.liars))
    vectors = [parcel.chunks for parcel in now.heads.values()]
    chunks, leaves = masks.summed(vectors, now.spec.ring, secrets.streams(now.masked, now.binding))
    said = Opening(
        spec_hash=now.binding.spec_hash,
        u3_hash=now.u3_hash,
        seeds=tuple(secrets.seeds.values()),
        keys=tuple(secrets.keys.values()),
        total_root=merkle.root(leaves),
    )
    whole = checks.whole_vector(now.spec)
    heads = tuple(parcel if whole else replace(parcel, chunks=()) for parcel in now.heads.values())
    finished = Finished(
        setup=now.setup,
        coordinator=now.coordinator,
        said=now.said,
        spec=now.spec,
        binding=now.binding,
        masked=now.masked,
        heads={} if whole else now.heads,
        u3_hash=now.u3_hash,
    )
    statement = Send(message=said, chunks=() if whole else chunks)
    release = Release(chunks=chunks, parties=counted, root=said.total_root)
    effects = (Broadcast(parcels=heads, statement=statement), release)
    return Transition(finished, effects)


def _sample(now: Finished, parcel: Parcel) -> AggregatorTransition:
    """Return the drawn chunks of every vector; now is the time to see whether they are under their owners' roots."""
    asked, sender = parcel.message.value, parcel.message.sender
    size = len(now.spec.chunks)
    if not isinstance(asked, Challenge) or asked.party != sender or asked.u3_hash != now.u3_hash:
        raise ProtocolViolation(sender, phase="samples", expected="a question about this list", got="another")
    if asked.spec_hash != now.binding.spec_hash or any(place >= size for place in asked.places) or not now.heads:
        raise ProtocolViolation(sender, phase="samples", expected=f"places below {size}", got="others")
    leaves = now.leaves or {
        party: checks.vector(now.spec, head.message.value, head.chunks, party)
        for party, head in now.heads.items()
        if isinstance(head.message.value, Head)
    }
    answer = []
    for party, head in now.heads.items():
        chunks = [
            piece for place in asked.places for piece in (head.chunks[place], *merkle.inclusion(leaves[party], place))
        ]
        answer.append(Parcel(message=head.message, chunks=tuple(chunks)))
    return Transition(replace(now, leaves=leaves), (Deliver(to=sender, parcels=tuple(answer)),))


def _late(now: Serving, missing: tuple[str, ...]) -> AggregatorTransition:
    awaits = now.awaits
    if awaits.enough:
        return _closed(now)
    if isinstance(now, Unmasking) and now.liars:
        raise _dealt_badly((), now.liars)
    return late(missing or awaits.of, awaits.what)


def _binding(now: Collecting, spec: Spec) -> Binding:
    return Binding(spec_hash=spec.hash, adverts_hash=now.adverts_hash, u2_hash=now.u2_hash)


def _of_the_setup(now: Serving, parcel: Parcel) -> None:
    if parcel.message.sender not in now.setup.parties:
        raise ProtocolViolation(
            parcel.message.sender, phase="routing", expected="a party of the setup", got="a stranger"
        )


def _dealt_badly(dealers: tuple[str, ...], liars: tuple[str, ...]) -> ProtocolViolation:
    if dealers:
        expected, got = "shares of what it committed itself to", f"{', '.join(dealers)} dealt shares of something else"
    else:
        expected, got = "the shares that were dealt to it", f"other ones from {', '.join(liars)}"
    return ProtocolViolation((dealers or liars)[0], phase="unmask", expected=expected, got=got)
