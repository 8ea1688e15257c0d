"""Secure sums that were run to their end over signed frames: every frame, and the state of every machine before it.

All is deterministic: names give keys, stories give entropy. One of the parties and the coordinator are malicious later,
in the tests that use this: `MALLORY` and `RELAY` are the signers whose keys an attack may use.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.domain.roster import Member, Role, Roster
from federation.errors import ProtocolViolation
from federation.protocols.events import (
    Abort,
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
    Stopped,
    Withdraw,
)
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.secure_sum import State
from federation.protocols.setup import Check, Setup, Spec
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import digest_of, opened, signed

Chunks: TypeAlias = tuple[bytes, ...]
Messages: TypeAlias = list[tuple[m.Signed, Chunks]]

RELAY, MALLORY, RESEARCHER = "relay", "p1", "ana"
OUTSIDER = "p4"  # enrolled, and asked to no sum
JOB = b"j" * 32
LATER = frozenset(kind.domain for kind in MaskedSum.deferred)


@dataclass(frozen=True)
class Signer:
    """A member with a key that its name determines."""

    member: Member
    key: Ed25519PrivateKey = field(repr=False)  # made once; `signing.sign` makes it for every message

    def sign(self, domain: str, body: bytes) -> bytes:
        return self.key.sign(len(domain).to_bytes(4, "big") + domain.encode("ascii") + body)


@cache
def signer(name: str) -> Signer:
    role = {RELAY: Role.COORDINATOR, RESEARCHER: Role.RESEARCHER}.get(name, Role.JURISDICTION)
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"identity of {name}".encode()).digest())
    public = key.public_key().public_bytes_raw()
    return Signer(Member(name=name, role=role, identity_key=public, tls_certificate=b""), key)


@cache
def roster() -> Roster:
    names = (RESEARCHER, "p0", "p1", "p2", "p3", OUTSIDER, RELAY)
    return Roster(federation="fuzzed", version=1, members=tuple(signer(name).member for name in names))


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A machine that is about to receive something.

    Attributes:
        story: which sum.
        to: the party, or the coordinator.
        sender: who is about to speak to it, "" when nobody is any more.
        frame: what an honest sender says now, or the last thing that was said.
        effects: what that leads to.
    """

    story: str
    to: str
    state: State
    sender: str = ""
    frame: m.Frame
    effects: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        return f"{'aggregator' if self.to == RELAY else 'party'} {type(self.state).__name__}"

    def step(self, event: Any) -> Transition[State, Any]:
        return (MaskedSum.aggregator_step if self.to == RELAY else MaskedSum.party_step)(self.state, event)


class Sum:
    """One secure sum of n parties over real frames.

    Args:
        order: in which the parties' messages arrive, in every step.
        lost: (party, message class in lower case): that party is not heard any more from that message on.
        lie: what `MALLORY` sends in the place of an honest frame, given that and what it says.
    """

    def __init__(
        self,
        story: str,
        n: int = 4,
        *,
        length: int = 2,
        check: Check = Check.ALL,
        ring: str = "z2^128",
        attempt: int = 0,
        order: Sequence[int] = (0, 1, 2, 3),
        lost: tuple[str, str] = ("", ""),
        lie: Callable[[m.Frame, Any], m.Frame] | None = None,
    ) -> None:
        self.story, self.lost, self.lie = story, lost, lie
        parties = tuple(f"p{number}" for number in range(n))
        self.setup = Setup.standard(
            job_hash=JOB, round_index=0, roster_hash=roster().hash, parties=parties, attempt=attempt
        )
        self.spec = Spec(
            setup=self.setup, round_digest=b"q" * 32, transcript_hash=b"t" * 32, length=length, ring=ring, check=check
        )
        self.order = [parties[number] for number in order if number < n]
        self.states: dict[str, State] = {party: MaskedSum.party() for party in parties}
        self.states[RELAY] = MaskedSum.aggregator()
        self.frames: list[m.Frame] = []  # of parties
        self.moments: list[Moment] = []
        self.releases: list[Release] = []
        self.aborts: list[Abort] = []
        self._envelopes: dict[bytes, m.Signed] = {}
        self._gone: set[str] = set()
        self._run()

    def total_of(self, parties: Sequence[str]) -> bytes:
        """What their vectors add up to: all have ones in every byte."""
        size = self.spec.size_bytes // self.spec.length
        one = int.from_bytes(bytes([1]) * size, "little")
        return (one * len(parties) % 2 ** (8 * size)).to_bytes(size, "little") * self.spec.length

    # --- the run ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._step(RELAY, Opened(setup=self.setup, coordinator=RELAY))
        out = []
        for party in self.order:
            secret = hashlib.sha256(f"{self.story} {party}".encode()).digest()
            begin = Begin(setup=self.setup, me=party, coordinator=RELAY, entropy=secret)
            out += self._spoken(party, self._step(party, begin))
        for _ in range(12):
            inbox = self._collected(out)
            if not inbox:
                break
            out = [answer for party in self.order for frame in inbox[party] for answer in self._delivered(party, frame)]
        if not self.states[RELAY].ended:
            self._step(RELAY, DeadlinePassed())
        for to, state in self.states.items():
            heard = [moment.frame for moment in self.moments if moment.to == to]
            self.moments += [Moment(story=self.story, to=to, state=state, frame=frame) for frame in heard[-1:]]

    def _collected(self, out: list[m.Frame]) -> dict[str, list[m.Frame]]:
        """What the aggregator sends to each party once it has got all of `out` and waits no longer."""
        inbox: dict[str, list[m.Frame]] = {}
        for frame in out:
            inbox = self._forwarded(self._received(frame), inbox)
        if not inbox and out and self.states[RELAY].awaits.enough:
            inbox = self._forwarded(self._step(RELAY, DeadlinePassed()), inbox)
        if self.states[RELAY].awaits.what == "spec":
            self._step(RELAY, SpecKnown(spec=self.spec))
        return inbox

    def _received(self, frame: m.Frame) -> tuple[object, ...]:
        message = opened(frame.signed, roster(), relay=RELAY)
        kind = type(message.value).__name__.lower()
        self.frames.append(frame)
        if (message.sender, kind) == self.lost:
            self._gone.add(message.sender)
        if message.sender in self._gone:
            return ()
        self._envelopes[message.digest] = frame.signed
        attested = Attested(sender=message.sender, value=message.value, digest=message.digest)
        return self._step(RELAY, Received(parcel=Parcel(message=attested, chunks=frame.parts)), frame, message.sender)

    def _forwarded(self, effects: Sequence[object], inbox: dict[str, list[m.Frame]]) -> dict[str, list[m.Frame]]:
        for effect in effects:
            if isinstance(effect, Broadcast | Deliver):
                frame = self._bundled(effect)
                for party in [effect.to] if isinstance(effect, Deliver) else self.setup.parties:
                    inbox = {p: inbox.get(p, []) + ([frame] if p == party else []) for p in self.setup.parties}
        return inbox

    def _bundled(self, effect: Broadcast | Deliver) -> m.Frame:
        messages = [(self._envelopes[parcel.message.digest], parcel.chunks) for parcel in effect.parcels]
        statement = effect.statement if isinstance(effect, Broadcast) else None
        if statement is not None:
            messages.append((signed(signer(RELAY), statement.message.domain, statement.message), statement.chunks))
        return bundled(messages)

    def _delivered(self, party: str, frame: m.Frame) -> list[m.Frame]:
        try:
            effects = self._step(party, Delivered(parcels=parcels_of(frame)), frame, RELAY)
        except ProtocolViolation:
            if party == MALLORY and self.lie is not None:
                return []  # an honest machine does not know itself again in what it said falsely
            raise
        out = self._spoken(party, effects)
        if self.states[party].awaits.what == "contribution":
            vector = bytes([1]) * self.spec.size_bytes
            out += self._spoken(party, self._step(party, Contribute(spec=self.spec, vector=vector)))
        return out

    def _spoken(self, party: str, effects: Sequence[object]) -> list[m.Frame]:
        said = [effect for effect in effects if isinstance(effect, Send)]
        frames = [m.Frame(signed(signer(party), one.message.domain, one.message), one.chunks, JOB) for one in said]
        if party != MALLORY or self.lie is None:
            return frames
        return [self.lie(frame, one.message) for frame, one in zip(frames, said, strict=True)]

    def _step(self, to: str, event: Any, frame: m.Frame | None = None, sender: str = "") -> tuple[object, ...]:
        before = self.states[to]
        step = MaskedSum.aggregator_step if to == RELAY else MaskedSum.party_step
        transition = step(before, event)
        if frame is not None:
            moment = Moment(
                story=self.story, to=to, state=before, sender=sender, frame=frame, effects=transition.effects
            )
            self.moments.append(moment)
        self.states[to] = transition.state
        self.aborts += [effect for effect in transition.effects if isinstance(effect, Abort)]
        self.releases += [effect for effect in transition.effects if isinstance(effect, Release)]
        return transition.effects


def bundled(messages: Sequence[tuple[m.Signed, Sequence[bytes]]], **changes: Any) -> m.Frame:
    """A bundle that the coordinator signs; `changes` are fields that it lies about."""
    said = {
        "job_hash": JOB,
        "round_index": 0,
        "attempt": 0,
        "round_digest": b"q" * 32,
        "total_digest": b"",
        "messages": tuple(message for message, _ in messages),
        "chunk_counts": tuple(len(chunks) for _, chunks in messages),
    }
    bundle = m.Bundle(**(said | changes))
    return m.Frame(
        signed(signer(RELAY), m.BUNDLE, bundle), tuple(chunk for _, chunks in messages for chunk in chunks), JOB
    )


def messages_in(frame: m.Frame) -> Messages:
    """The messages of a bundle, each with its chunks."""
    bundle = convert.bundle_of(frame.signed.body)
    ends = list(itertools.accumulate(bundle.chunk_counts))
    starts = [0, *ends[:-1]]
    return [(one, frame.parts[a:b]) for one, a, b in zip(bundle.messages, starts, ends, strict=True)]


def parcels_of(frame: m.Frame) -> tuple[Parcel, ...]:
    """What a party's driver makes of a bundle: every message opened, each with its chunks, some with a claim.

    Raises:
        ProtocolViolation: as the envelope does.
        ValueError: there are not as many parts as the bundle counts.
    """
    bundle = opened(frame.signed, roster(), relay=RELAY).value
    if not isinstance(bundle, m.Bundle) or sum(bundle.chunk_counts) != len(frame.parts):
        raise ValueError("not a bundle with its chunks")
    found, start = [], 0
    for envelope, count in zip(bundle.messages, bundle.chunk_counts, strict=True):
        message = opened(envelope, roster(), relay=RELAY, later=LATER)
        if not isinstance(message.value, MaskedSum.messages):
            raise ValueError("not a message of the protocol")  # noqa: TRY004 - foreign bytes, not a type of ours
        attested: Attested[Any] = Attested(
            sender=message.sender, value=message.value, digest=digest_of(envelope), claim=message.claim
        )
        found.append(Parcel(message=attested, chunks=frame.parts[start : start + count]))
        start += count
    return tuple(found)


def beside(moment: Moment, event: Withdraw | Stopped | DeadlinePassed) -> Moment:
    """The same machine after something that was no message."""
    after = moment.step(event).state
    return Moment(story=moment.story, to=moment.to, state=after, sender=moment.sender, frame=moment.frame)
