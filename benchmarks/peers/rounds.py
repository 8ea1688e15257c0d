"""A masked sum between members in one process, with everything that a wire needs: what we put beside the peers.

Real machines, real Ed25519 signatures, real envelopes and frames: every member reads bytes and writes bytes, as the
drivers do, and all of that is in its time. Not in anybody's time, on our side as on a peer's: training, sockets, and
copying bulk chunks, which stay the parts of a frame. Every opened sum is held against the plain sum of integers.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import secrets
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from federation.crypto.blinding import blind, lend
from federation.crypto.encoding import Packing
from federation.domain.roster import Role, Roster
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials
from federation.protocols.events import (
    Attested,
    Begin,
    Broadcast,
    Contribute,
    DeadlinePassed,
    Deliver,
    Delivered,
    Opened,
    Parcel,
    Received,
    Release,
    Send,
    SpecKnown,
)
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.setup import Check, Setup, Spec, chunked
from federation.wire import bulk
from federation.wire import messages as m
from federation.wire.envelope import digest_of, opened, opened_each, signed
from federation.wire.frames import frame_from, frame_to
from federation.wire.v1 import signed_pb2

COORDINATOR = "coordinator"
CORES = 2  # as clients.jurisdiction.daemon and federation.coordinator.app have it
# What a party does with each bundle. Up to `unmask`, its last message, it is the client's time; then it checks.
ANSWERS = {"adverts": "shares", "shares": "unbox", "heads": "consent", "consents": "unmask"}
CHECK, SERVE = "check", "serve"
LATER = frozenset(kind.domain for kind in MaskedSum.deferred)


@dataclass(frozen=True)
class Packet:
    """A frame as bytes; `parts` are what travels on a stream of its own."""

    frame: bytes
    parts: tuple[bytes, ...] = ()

    @property
    def size_bytes(self) -> int:
        return len(self.frame) + sum(map(len, self.parts))


def as_the_drivers() -> None:
    """Lend the threads that daemons and the coordinator lend to long vectors and to many signatures."""
    lend(ThreadPoolExecutor(CORES, thread_name_prefix="masks").map)


def packed(frame: m.Frame) -> Packet:
    """Return the frame's bytes, as services and daemons write them."""
    if bulk.is_inline(frame.parts):
        return Packet(frame_to(frame).SerializeToString())
    blob = hashlib.sha256(frame.signed.body).digest()
    return Packet(frame_to(frame, blob=blob).SerializeToString(), frame.parts)


def unpacked(packet: Packet) -> m.Frame:
    """Return the frame in bytes."""
    message = signed_pb2.Frame.FromString(packet.frame)
    return frame_from(message, packet.parts if message.blob else None)


@dataclass(frozen=True)
class Cast:
    """The members of a federation, with their keys, in memory."""

    roster: Roster
    coordinator: Credentials
    parties: dict[str, Credentials]

    @classmethod
    def of(cls, parties: int) -> Cast:
        """Make `parties` jurisdictions and a coordinator; everybody has signed the roster."""
        made = {f"p{number:03d}": keys.made(f"p{number:03d}", Role.JURISDICTION) for number in range(parties)}
        coordinator = keys.made(COORDINATOR, Role.COORDINATOR)
        everybody = [coordinator, *made.values()]
        roster = roster_file.convened("benchmark", [one.member for one in everybody])
        for one in everybody:
            roster = roster_file.signed(roster, one)
        return cls(roster, coordinator, made)

    def setup(self, number: int) -> Setup:
        """The setup of sum `number` over all parties."""
        job = hashlib.sha256(f"job {number}".encode()).digest()
        return Setup.standard(
            job_hash=job, round_index=0, roster_hash=self.roster.hash, parties=tuple(self.parties), least=3
        )


@dataclass
class Seat:
    """What a member's place at the table knows: its keys, its machine and where its time went.

    Attributes:
        spent_s: (stage, what) -> seconds; what is "read", "step", "write" or "encode".
        used_s: the same of processor time, in all threads: what others who use the machine distort less.
        sent: stage -> bytes.
    """

    me: Credentials
    roster: Roster
    setup: Setup
    spec: Spec
    spent_s: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    sent: Counter[str] = field(default_factory=Counter)
    totals: list[Release] = field(default_factory=list)
    verified: dict[m.Signed, Attested] = field(default_factory=dict)
    used_s: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    stage: str = ""
    _lap: tuple[float, float] = field(default=(0.0, 0.0), repr=False)

    def start(self, stage: str) -> None:
        """Time runs from here, for `stage`."""
        self.stage, self._lap = stage, (time.perf_counter(), time.process_time())

    def lap(self, what: str) -> None:
        """Put the time since the last lap down to `what`."""
        now = time.perf_counter(), time.process_time()
        self.spent_s[self.stage, what] += now[0] - self._lap[0]
        self.used_s[self.stage, what] += now[1] - self._lap[1]
        self._lap = now

    def verify(self, envelopes: Sequence[m.Signed]) -> None:
        """Verify and decode; as in the drivers once, together, and never what we signed ourselves."""
        new = [envelope for envelope in envelopes if envelope not in self.verified]
        later = LATER if isinstance(self, Party) else ()
        for envelope, message in zip(new, opened_each(new, self.roster, relay=COORDINATOR, later=later), strict=True):
            self.verified[envelope] = Attested(
                sender=message.sender, value=message.value, digest=message.digest, claim=message.claim
            )

    def frame(self, send: Send) -> m.Frame:
        """Sign."""
        envelope = signed(self.me, send.message.domain, send.message)
        self.verified[envelope] = Attested(sender=self.me.name, value=send.message, digest=digest_of(envelope))
        return m.Frame(envelope, send.chunks, self.setup.job_hash, self.setup.round_index, self.setup.attempt)


@dataclass
class Party(Seat):
    """A client. `vector` returns the encoded numbers; it is called, and timed, when the sum asks for them."""

    vector: Callable[[], bytes] = bytes
    entropy: bytes = b""
    is_silent: bool = False  # falls silent after it has dealt its shares
    waits: bool = False  # its numbers are not there yet
    state: object = field(default_factory=MaskedSum.party)

    def begin(self) -> list[m.Frame]:
        """Announce keys."""
        self.start("advert")
        return self._stepped(Begin(setup=self.setup, me=self.me.name, coordinator=COORDINATOR, entropy=self.entropy))

    def receive(self, frame: m.Frame) -> list[m.Frame]:
        """Answer a frame of the coordinator; the time before belongs to reading."""
        bundle = opened(frame.signed, self.roster, relay=COORDINATOR).value
        self.verify(bundle.messages)
        parcels, start = [], 0
        for envelope, count in zip(bundle.messages, bundle.chunk_counts, strict=True):
            parcels.append(Parcel(message=self.verified[envelope], chunks=frame.parts[start : start + count]))
            start += count
        self.lap("read")
        frames = self._stepped(Delivered(parcels=tuple(parcels)))
        return frames + self.contribute()

    def contribute(self) -> list[m.Frame]:
        """Mask, if the numbers are due."""
        if self.state.awaits.what != "contribution" or self.is_silent or self.waits:
            return []
        self.start("mask")
        vector = self.vector()
        self.lap("encode")
        return self._stepped(Contribute(spec=self.spec, vector=vector))

    def answered(self, packet: Packet) -> list[Packet]:
        """Bytes in, bytes out."""
        self.start(ANSWERS.get(self.state.awaits.what, CHECK))
        return self.written(self.receive(unpacked(packet)))

    def written(self, frames: Sequence[m.Frame]) -> list[Packet]:
        """Frames as bytes."""
        packets = [packed(frame) for frame in frames]
        for frame, packet in zip(frames, packets, strict=True):
            self.sent[frame.signed.domain.split("/")[1]] += packet.size_bytes
        self.lap("write")
        return packets

    def _stepped(self, event: object) -> list[m.Frame]:
        transition = MaskedSum.party_step(self.state, event)
        self.state = transition.state
        self.totals += [effect for effect in transition.effects if isinstance(effect, Release)]
        self.lap("step")
        frames = [self.frame(effect) for effect in transition.effects if isinstance(effect, Send)]
        self.lap("write")
        return frames


@dataclass
class Aggregator(Seat):
    """The coordinator's place."""

    state: object = field(default_factory=MaskedSum.aggregator)
    envelopes: dict[bytes, m.Signed] = field(default_factory=dict)

    def open(self) -> None:
        """Begin to collect."""
        for event in (Opened(setup=self.setup, coordinator=COORDINATOR), SpecKnown(spec=self.spec)):
            self.state = MaskedSum.aggregator_step(self.state, event).state

    def receive(self, frame: m.Frame) -> list[tuple[str, m.Frame]]:
        """Return (to whom, frame) after a party's frame."""
        self.verify([frame.signed])
        message = self.verified[frame.signed]
        self.envelopes[message.digest] = frame.signed
        self.lap("read")
        return self._stepped(Received(parcel=Parcel(message=message, chunks=frame.parts)))

    def deadline(self) -> list[tuple[str, Packet]]:
        """Go on without those who are silent."""
        self.start(self.state.awaits.what)
        return self._written(self._stepped(DeadlinePassed()))

    def answered(self, packet: Packet) -> list[tuple[str, Packet]]:
        """Bytes in, bytes out."""
        self.start(SERVE if self.totals else self.state.awaits.what)
        return self._written(self.receive(unpacked(packet)))

    def _written(self, outgoing: Sequence[tuple[str, m.Frame]]) -> list[tuple[str, Packet]]:
        packets = [(to, packed(frame)) for to, frame in outgoing]
        self.lap("write")
        return packets

    def _stepped(self, event: object) -> list[tuple[str, m.Frame]]:
        transition = MaskedSum.aggregator_step(self.state, event)
        self.state = transition.state
        self.lap("step")
        self.totals += [effect for effect in transition.effects if isinstance(effect, Release)]
        out = []
        for effect in transition.effects:
            match effect:
                case Deliver(to=to, parcels=parcels):
                    out.append((to, self._bundle(parcels)))
                case Broadcast(parcels=parcels, statement=statement):
                    frame = self._bundle(parcels, statement)
                    out += [(party, frame) for party in self.setup.parties]
        self.lap("write")
        return out

    def _bundle(self, parcels: Sequence[Parcel], statement: Send | None = None) -> m.Frame:
        messages = [self.envelopes[parcel.message.digest] for parcel in parcels]
        chunks = [parcel.chunks for parcel in parcels]
        if statement is not None:
            messages.append(signed(self.me, statement.message.domain, statement.message))
            chunks.append(statement.chunks)
        bundle = m.Bundle(
            job_hash=self.setup.job_hash,
            round_index=self.setup.round_index,
            attempt=self.setup.attempt,
            round_digest=self.spec.round_digest,
            total_digest=b"",
            messages=tuple(messages),
            chunk_counts=tuple(map(len, chunks)),
        )
        parts = tuple(part for run in chunks for part in run)
        return m.Frame(signed(self.me, m.BUNDLE, bundle), parts, bundle.job_hash, bundle.round_index, bundle.attempt)


def played(aggregator: Aggregator, parties: dict[str, Party], checking: int) -> None:
    """Let everybody speak until nobody has anything to say; who is silent is given up when all others have spoken.

    Once the total is open, the first `checking` of those who are counted check it.
    """
    aggregator.open()
    due: list[tuple[str, Packet]] = []
    for party in parties.values():
        for packet in party.written(party.begin()):
            due += aggregator.answered(packet)
    while due or not aggregator.state.ended:
        if not due:
            due = aggregator.deadline()
            if not due:
                raise SystemExit(f"the sum stands still: {aggregator.state.awaits}")
        answers: list[tuple[str, Packet]] = []
        while due:
            to, packet = due.pop(0)
            if parties[to].is_silent and not parties[to].state.awaits.what.startswith(("advert", "shares")):
                continue
            if aggregator.totals and to not in aggregator.totals[0].parties[:checking]:
                continue
            for answer in parties[to].answered(packet):
                answers += aggregator.answered(answer)
        due = answers


CLIP = 8.0  # as Flower's


@dataclass(frozen=True)
class Numbers:
    """The vectors of all parties: floats that everybody can make again, and how they become elements of the ring."""

    parties: int
    dim: int
    bits: int

    def floats(self, party: int) -> np.ndarray:
        """The vector of a party."""
        made = np.random.default_rng(party).standard_normal(self.dim, dtype=np.float32)
        made *= np.float32(0.1)
        return made

    @functools.cached_property
    def packing(self) -> Packing:
        """The fewest bytes that hold these bits of all parties."""
        return Packing.standard(self.dim, self.parties, self.bits, clip=CLIP)

    def spec(self, setup: Setup) -> Spec:
        """What is summed, and that every party checks samples of the total, as for a model."""
        return Spec(
            setup=setup,
            round_digest=hashlib.sha256(b"round").digest(),
            transcript_hash=hashlib.sha256(b"transcript").digest(),
            length=self.packing.elements,
            ring=self.packing.ring.name,
            encoding=self.packing.digest,
            check=Check.SAMPLE,
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of a masked vector."""
        return self.packing.size_bytes

    def encoded(self, floats: np.ndarray) -> memoryview:
        """Clip, quantise and pack."""
        return self.packing.encode(floats).words

    def integers(self, party: int) -> np.ndarray:
        """The numbers of one party, as integers."""
        return self.packing.sums(chunked(self.encoded(self.floats(party))), 1).astype(np.int64)

    def total(self, release: Release) -> np.ndarray:
        """The opened integers."""
        return self.packing.sums(release.chunks, len(release.parties)).astype(np.int64)

    def mean(self, release: Release) -> np.ndarray:
        """The opened mean, in floats."""
        return self.packing.decode(release.chunks, len(release.parties)).mean

    def loop(self, masks: int) -> Callable[[], object]:
        """Return so many masks on one vector in one thread, for the limit of one core."""
        words = np.zeros(self.packing.size_bytes // 8, "<u8")
        seeds = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(masks)]
        return lambda: blind(words, self.packing.ring, add=seeds[::2], subtract=seeds[1::2], threads=1, spread=map)


@dataclass(frozen=True)
class Round:
    """What one sum took: of a client the median over clients, in milliseconds."""

    client_ms: float
    client_cpu_ms: float
    check_ms: float
    aggregator_ms: float
    aggregator_cpu_ms: float
    client_stage_ms: dict[str, float]
    aggregator_stage_ms: dict[str, float]
    up_bytes: float
    control_bytes: float


_numbers_of_sums = itertools.count()


def played_round(cast: Cast, numbers: Numbers, dropped: int, *, checking: int | None = None) -> Round:
    """Run one sum in which `dropped` clients fall silent after they have shared; every total must be exact."""
    setup = cast.setup(next(_numbers_of_sums))
    spec = numbers.spec(setup)
    aggregator = Aggregator(me=cast.coordinator, roster=cast.roster, setup=setup, spec=spec)
    parties = {}
    for place, (name, me) in enumerate(cast.parties.items()):
        floats = None if place < dropped else numbers.floats(place)
        parties[name] = Party(
            me=me,
            roster=cast.roster,
            setup=setup,
            spec=spec,
            vector=functools.partial(numbers.encoded, floats),
            entropy=secrets.token_bytes(32),
            is_silent=place < dropped,
        )
    checking = len(parties) if checking is None else checking
    played(aggregator, parties, checking)
    alive = [party for party in parties.values() if not party.is_silent]
    expected = sum(numbers.integers(place) for place in range(dropped, len(parties)))
    for seat in (aggregator, *alive[:checking]):
        if len(seat.totals) != 1 or not np.array_equal(numbers.total(seat.totals[0]), expected):
            raise SystemExit(f"{seat.me.name} opened a sum that is not the plain sum of integers")
    aggregator.start("mean")
    numbers.mean(aggregator.totals[0])
    aggregator.lap("decode")
    vector = spec.size_bytes
    return Round(
        client_ms=statistics.median(milliseconds(party.spent_s, but=CHECK) for party in alive),
        client_cpu_ms=statistics.median(milliseconds(party.used_s, but=CHECK) for party in alive),
        check_ms=statistics.median(milliseconds(party.spent_s, of=CHECK) for party in alive[:checking]),
        aggregator_ms=milliseconds(aggregator.spent_s, but=SERVE),
        aggregator_cpu_ms=milliseconds(aggregator.used_s, but=SERVE),
        client_stage_ms=stages(alive[:checking]),
        aggregator_stage_ms=stages([aggregator]),
        up_bytes=statistics.median(sum(party.sent.values()) for party in alive),
        control_bytes=statistics.median(sum(party.sent.values()) - vector for party in alive),
    )


def milliseconds(found_s: dict[tuple[str, str], float], *, of: str = "", but: str = "") -> float:
    """Milliseconds in one stage, or in all but one."""
    return 1000 * sum(seconds for (stage, _), seconds in found_s.items() if (stage == of if of else stage != but))


def stages(seats: Sequence[Seat]) -> dict[str, float]:
    """Median milliseconds by stage and what was done in it."""
    names = {key: None for seat in seats for key in seat.spent_s}
    return {
        f"{stage} {what}": 1000 * statistics.median(seat.spent_s.get((stage, what), 0.0) for seat in seats)
        for stage, what in names
    }
