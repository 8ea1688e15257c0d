"""What happens to the machines of a secure sum, and what they want done; the same for every protocol and both roles.

party        Begin, Delivered, Contribute, Withdraw, DeadlinePassed, Stopped  ->  Send, Intend, Release, Abort
aggregator   Opened, Received, SpecKnown, DeadlinePassed, Stopped  ->  Deliver, Broadcast, Release, Abort

A message reaches a machine only as `Attested`: its signature was verified by `wire`, its sender is in the roster. The
kinds that a protocol names as `deferred` reach a party with a `claim` instead, which its machine judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from federation.crypto import ring
from federation.crypto.ring import Chunk
from federation.crypto.signing import Claim
from federation.domain.job import Blame
from federation.protocols.setup import Setup, Spec, chunked, root_of

# --- messages, as machines see them ----------------------------------------------------------------------------------


class Message(Protocol):
    """A protocol message: a frozen value that knows the domain tag that it is signed under."""

    domain: ClassVar[str]


@runtime_checkable
class Numbered(Protocol):
    """A message that carries how many answers its party has given in all: what a rolled back memory is found by."""

    @property
    def party(self) -> str: ...

    @property
    def number(self) -> int: ...


@runtime_checkable
class Rooted(Protocol):
    """A message whose bulk bytes are under a root that it signs."""

    @property
    def chunk_root(self) -> bytes: ...


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested(Generic[T_co]):
    """A decoded message whose signature was verified, or has still to be.

    Attributes:
        sender: the member whose key signed, or is said to have.
        digest: SHA-256 of the received signed body, 32 bytes.
        claim: the signature, where it was not verified yet.
    """

    sender: str
    value: T_co
    digest: bytes
    claim: Claim | None = field(default=None, compare=False)

    def holds(self) -> bool:
        """Return whether the signature is the sender's."""
        return self.claim is None or self.claim.holds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One attested message and the bulk bytes that come with it, in pieces."""

    message: Attested[Message]
    chunks: tuple[Chunk, ...] = field(default=(), repr=False)


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Party: take part.

    Attributes:
        coordinator: the member who forwards.
        entropy: 32 fresh secret bytes for this setup.
        joint: the joint key that the setup names, as `JointKey.to_bytes` has it; b"" for sums without one.
        share: this party's `KeyShare.to_bytes`; b"" likewise.
    """

    setup: Setup
    me: str
    coordinator: str
    entropy: bytes = field(repr=False)
    joint: bytes = b""
    share: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribute:
    """Party: the encoded local answer, spec.size_bytes long; sealed before it is stepped.

    `number` counts the party's answers in all its sums, this one included; it is signed with the answer.
    """

    spec: Spec
    vector: Chunk = field(repr=False)
    number: int = 0

    @classmethod
    def of(cls, spec: Spec, numbers: Sequence[int], number: int = 0) -> Contribute:
        """Return the event for signed numbers in [-2^127, 2^127). Raises Misuse for others."""
        return cls(spec=spec, vector=ring.to_bytes(ring.from_ints(numbers)), number=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Party: the bundle of one step, as the aggregator forwarded it, in any order."""

    parcels: tuple[Parcel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Party: say that this attempt was not opened by us and never will be; nothing of it goes on after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Aggregator: collect for this setup.

    Attributes:
        coordinator: the aggregator's own member name.
        joint: the joint key that the setup names, as `JointKey.to_bytes` has it; b"" for sums without one.
    """

    setup: Setup
    coordinator: str
    joint: bytes = b""


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
    """Both: no longer wait. The aggregator goes on with those who are there if they are enough, and else aborts.

    `missing` is what the coordinator told a party; when empty, whoever the state awaits.
    """

    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Both: the job ended elsewhere; secrets are erased."""

    blames: tuple[Blame, ...]


PartyEvent: TypeAlias = Begin | Delivered | Contribute | Withdraw | DeadlinePassed | Stopped
AggregatorEvent: TypeAlias = Opened | Received | SpecKnown | DeadlinePassed | Stopped


# --- effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Sign `message` under `message.domain`, send it with its chunks; a resend is the same bytes."""

    message: Message
    chunks: tuple[Chunk, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intend:
    """Party: make durable that this party opens its queries over `parties` and nobody else, before what follows."""

    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Aggregator: forward these parcels to one party of the setup."""

    to: str
    parcels: tuple[Parcel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """Aggregator: forward these parcels, as they were received, to every party of the setup.

    Attributes:
        statement: what the coordinator itself says with them, signed by it, as the bundle's last message.
    """

    parcels: tuple[Parcel, ...]
    statement: Send | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Both: the opened total, and whose contributions are in it.

    Attributes:
        chunks: of the total, spec.size_bytes long in all; a long one is never put together.
        root: of the tree over the total's chunks, 32 bytes, where it is known already; b"" otherwise.
    """

    chunks: tuple[Chunk, ...] = field(repr=False)
    parties: tuple[str, ...]
    root: bytes = field(default=b"", compare=False)

    @classmethod
    def of(cls, total: bytes, parties: tuple[str, ...]) -> Release:
        """Return the release of a total in one piece."""
        return cls(chunks=chunked(total), parties=parties)

    @property
    def total(self) -> bytes:
        """The total in one piece: a copy."""
        return b"".join(self.chunks)

    @property
    def digest(self) -> bytes:
        """What names the total: `root`, made now where it is not known; 32 bytes."""
        return self.root or root_of(self.chunks)

    @property
    def numbers(self) -> list[int]:
        """The total as signed numbers, of a sum in Z_2^128."""
        return ring.to_ints(ring.from_bytes(self.total))


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Both: the sum ended without a total; nothing was opened."""

    blames: tuple[Blame, ...]


PartyEffect: TypeAlias = Send | Intend | Release | Abort
AggregatorEffect: TypeAlias = Deliver | Broadcast | Release | Abort
