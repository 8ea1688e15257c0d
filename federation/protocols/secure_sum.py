"""The contract of every secure sum, and the values that all of them share. Drivers know this file and no protocol.

Every protocol is a few steps of one shape: each party sends one signed message (with bulk chunks where it is long), the
aggregator forwards all of them as one bundle, each party checks the bundle. So all have the same events and effects:

party        Begin, Delivered, Contribute, DeadlinePassed, Stopped   ->  Send, Release, Abort
aggregator   Opened, Received, SpecKnown, DeadlinePassed, Stopped    ->  Broadcast, Release, Abort

A message reaches a machine only as `Attested`: its signature was verified by `wire`, its sender is in the roster. What
a machine must not accept is raised as `ProtocolViolation`, naming who broke which step; the state is then unchanged.
Refused here: fewer than three parties, a threshold below floor(2n/3) + 1, more colluders than 2t - n - 1 promised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

from federation.crypto import ring
from federation.domain.job import Blame, digest
from federation.errors import Misuse, Refused
from federation.protocols.machine import Transition

CHUNK_BYTES = 256 * 1024
RING = "z2^128"


def chunked(data: bytes) -> tuple[bytes, ...]:
    """Return `data` in pieces of CHUNK_BYTES, the last one shorter if need be: how bulk bytes are hashed and sent."""
    return tuple(data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))


def chunk_sizes(length: int) -> tuple[int, ...]:
    """Return the byte counts of the chunks of a vector of `length` numbers, in order."""
    whole, rest = divmod(length * ring.ELEMENT_BYTES, CHUNK_BYTES)
    return (CHUNK_BYTES,) * whole + ((rest,) if rest else ())


# --- what a sum is about ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Who sums, for which round of which job; known before the numbers are, so that keys can be exchanged early.

    Attributes:
        job_hash: 32 bytes.
        round_index: number of the secure sum in its job, from 0.
        attempt: 0, and one more for each new try with new keys.
        roster_hash: the roster in force, 32 bytes.
        parties: sorted names, at least 3; all of them must deliver.
        threshold: t, shares that open a secret; at least floor(2n/3) + 1.
        colluders: c, parties that may collude with a malicious coordinator; at most 2t - n - 1.
        least: fewest contributors whose sum is opened; at least max(3, t).
    """

    job_hash: bytes
    round_index: int
    attempt: int
    roster_hash: bytes
    parties: tuple[str, ...]
    threshold: int
    colluders: int
    least: int

    def __post_init__(self) -> None:
        n, t = len(self.parties), self.threshold
        if tuple(sorted(set(self.parties))) != self.parties:
            raise Misuse("the parties of a secure sum are sorted and named once each")
        if len(self.job_hash) != 32 or len(self.roster_hash) != 32 or self.round_index < 0 or self.attempt < 0:
            raise Misuse("a setup has 32-byte hashes and counts rounds and attempts from 0")
        if n < 3:
            raise Refused(
                f"a secure sum needs at least 3 parties, this has {n}: a sum of two shows each the other's figure",
                rule="secure_sum/parties",
                hint="ask a third jurisdiction to take part",
            )
        if not 2 * n // 3 + 1 <= t <= n or not 0 <= self.colluders <= 2 * t - n - 1 or not max(3, t) <= self.least <= n:
            raise Refused(
                f"threshold {t}, colluders {self.colluders} and least {self.least} are not safe for {n} parties",
                rule="secure_sum/threshold",
                hint="t >= floor(2n/3)+1, c <= 2t-n-1, max(3, t) <= least <= n",
            )

    @classmethod
    def standard(
        cls, *, job_hash: bytes, round_index: int, roster_hash: bytes, parties: Sequence[str], attempt: int = 0
    ) -> Setup:
        """Return the setup with the smallest safe threshold t = floor(2n/3) + 1, c = 2t - n - 1 and least = t."""
        n = len(parties)
        t = 2 * n // 3 + 1
        return cls(
            job_hash=job_hash,
            round_index=round_index,
            attempt=attempt,
            roster_hash=roster_hash,
            parties=tuple(sorted(parties)),
            threshold=t,
            colluders=2 * t - n - 1,
            least=t,
        )

    @property
    def hash(self) -> bytes:
        """setup_hash, 32 bytes: binds what is sent before the round's numbers are known."""
        counts = (self.round_index, self.attempt, self.threshold, self.colluders, self.least)
        return digest(
            "federation/setup/v1",
            self.job_hash,
            self.roster_hash,
            *(count.to_bytes(8, "big") for count in counts),
            *(party.encode() for party in self.parties),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is summed: binds the numbers to a round of the plan and to everything that was opened before it.

    Attributes:
        round_digest: digest of the plan's round (query/round), 32 bytes.
        transcript_hash: chain over all opened totals so far, 32 bytes.
        ring: "z2^128".
        length: d, numbers in the vector, >= 1.
    """

    setup: Setup
    round_digest: bytes
    transcript_hash: bytes
    length: int
    ring: str = RING

    def __post_init__(self) -> None:
        if self.length < 1 or self.ring != RING or len(self.round_digest) != 32 or len(self.transcript_hash) != 32:
            raise Misuse(f"a spec has 32-byte digests, at least one number and the ring {RING!r}")

    @property
    def hash(self) -> bytes:
        """spec_hash, 32 bytes: an input of every mask, so parties that disagree get masks that do not cancel."""
        return digest(
            "federation/spec/v1",
            self.setup.hash,
            self.round_digest,
            self.transcript_hash,
            self.ring.encode(),
            self.length.to_bytes(8, "big"),
        )


# --- messages, as machines see them ----------------------------------------------------------------------------------


class Message(Protocol):
    """A protocol message: a frozen value that names its party and the domain tag that it is signed under."""

    domain: ClassVar[str]

    @property
    def party(self) -> str: ...


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested(Generic[T_co]):
    """A decoded message whose signature was verified.

    Attributes:
        sender: the member whose key signed.
        digest: SHA-256 of the received signed body, 32 bytes.
    """

    sender: str
    value: T_co
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One attested message and the bulk bytes that belong to it: chunks of CHUNK_BYTES, the last may be shorter."""

    message: Attested[Message]
    chunks: tuple[bytes, ...] = field(default=(), repr=False)


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Party: take part. `entropy` is 32 fresh secret bytes for this setup; `coordinator` is the member who forwards."""

    setup: Setup
    me: str
    coordinator: str
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribute:
    """Party: the encoded local answer, 16 * spec.length bytes (`crypto.ring`); sealed before it is stepped."""

    spec: Spec
    vector: bytes = field(repr=False)

    @classmethod
    def of(cls, spec: Spec, numbers: Sequence[int]) -> Contribute:
        """Return the event for signed numbers in [-2^127, 2^127). Raises Misuse for others."""
        return cls(spec=spec, vector=ring.to_bytes(ring.from_ints(numbers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Party: the bundle of all parties' messages of one step, as the aggregator forwarded it, in any order."""

    parcels: tuple[Parcel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Aggregator: collect for this setup. `coordinator` is the aggregator's own member name."""

    setup: Setup
    coordinator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Aggregator: one party's message has arrived whole. The same one again is ignored, another one is a violation."""

    parcel: Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecKnown:
    """Aggregator: the round's spec; given before any party can contribute, at any time after `Opened`."""

    spec: Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """Both: no longer wait. `missing` is what the coordinator told a party; when empty, whoever the state awaits."""

    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Both: the job ended elsewhere; secrets are erased."""

    blames: tuple[Blame, ...]


PartyEvent: TypeAlias = Begin | Delivered | Contribute | DeadlinePassed | Stopped
AggregatorEvent: TypeAlias = Opened | Received | SpecKnown | DeadlinePassed | Stopped


# --- effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Party: sign `message` under `message.domain`, send it with its chunks; a resend is the same bytes."""

    message: Message
    chunks: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """Aggregator: forward these parcels, as they were received, to every party of the setup."""

    parcels: tuple[Parcel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Both: the opened total, 16 bytes a number, and whose contributions are in it."""

    total: bytes = field(repr=False)
    parties: tuple[str, ...]

    @property
    def numbers(self) -> list[int]:
        """The total as signed numbers."""
        return ring.to_ints(ring.from_bytes(self.total))


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Both: the sum ended without a total; nothing was opened."""

    blames: tuple[Blame, ...]


PartyEffect: TypeAlias = Send | Release | Abort
AggregatorEffect: TypeAlias = Broadcast | Release | Abort


# --- states and the contract -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaits:
    """What a machine waits for and who owes it.

    Attributes:
        what: "begin", "contribution" or "spec" for what the driver gives; a message class in lower case ("advert",
            "head") for what a party owes; its plural for the bundle that the coordinator owes; "" at the end.
        of: the members who owe it.
    """

    what: str = ""
    of: tuple[str, ...] = ()


class State(Protocol):
    """What drivers may know of a state; states are frozen and equal when all their fields are."""

    @property
    def awaits(self) -> Awaits: ...

    @property
    def ended(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Both: how every sum ends that opens nothing. It holds no secret, and nothing leaves it."""

    blames: tuple[Blame, ...]

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()

    @property
    def ended(self) -> bool:
        """True."""
        return True


PartyTransition: TypeAlias = Transition[State, PartyEffect]
AggregatorTransition: TypeAlias = Transition[State, AggregatorEffect]


class SecureSum(ABC):
    """One protocol: two machines and the messages that they exchange; found by `registry.look_up`."""

    name: ClassVar[str]
    messages: ClassVar[tuple[type[Message], ...]]

    @classmethod
    @abstractmethod
    def party(cls) -> State:
        """Return the party's first state; it awaits `Begin`."""

    @classmethod
    @abstractmethod
    def party_step(cls, state: State, event: PartyEvent) -> PartyTransition:
        """Return where `event` leads a party.

        Raises:
            ProtocolViolation: the event is not what an honest member would have sent; the state stays.
        """

    @classmethod
    @abstractmethod
    def aggregator(cls) -> State:
        """Return the aggregator's first state; it awaits `Opened`."""

    @classmethod
    @abstractmethod
    def aggregator_step(cls, state: State, event: AggregatorEvent) -> AggregatorTransition:
        """Return where `event` leads the aggregator.

        Raises:
            ProtocolViolation: a party's message is not what an honest party would have sent; the state stays.
        """
