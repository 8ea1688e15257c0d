"""Frozen values of the messages that only the wire knows, and the domain tags of all signed messages.

Messages that a room below speaks (Job, Verdict, Dataset, a protocol's messages) are that room's values; `convert` turns
all of them into bytes and back.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.crypto.ring import Chunk
from federation.domain.catalogue import Dataset
from federation.domain.job import Blame, State

HELLO = "federation/hello/v1"
PUBLICATION = "federation/publication/v1"
JOB = "federation/job/v1"
OFFER = "federation/offer/v1"
VERDICT = "federation/verdict/v1"
BUNDLE = "federation/bundle/v1"
RECALL = "federation/recall/v1"
ATTESTATION = "federation/attestation/v1"
OBJECTION = "federation/objection/v1"
ENDED = "federation/ended/v1"
KEY_PROPOSAL = "federation/key-proposal/v1"
KEY_JOIN = "federation/key-join/v1"
KEY_ASK = "federation/key-ask/v1"
KEY_CERTIFICATE = "federation/key-certificate/v1"
KEY_NEWS = "federation/key-news/v1"


@dataclass(frozen=True, slots=True)
class Signed:
    """Bytes with a member's signature: exactly these bytes are signed, hashed and logged.

    Attributes:
        body: the serialised inner message as made or received.
        key_id: 16 bytes; which identity key signed.
        signature: Ed25519, 64 bytes, over the length-prefixed domain and the body.
        domain: which message the body is.
    """

    body: bytes
    key_id: bytes
    signature: bytes
    domain: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A signed message and the bulk bytes whose Merkle roots it, or what it carries, holds.

    `job_hash` (or a key ceremony's id), `round_index` and `attempt` only say where a protocol message is to be looked
    up; the message binds it by its hashes. `to` is the one holder that a word of a key ceremony goes to.
    """

    signed: Signed
    parts: tuple[Chunk, ...] = ()
    job_hash: bytes = b""
    round_index: int = 0
    attempt: int = 0
    to: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes of the body and of all parts."""
        return len(self.signed.body) + sum(len(part) for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A party's published data set."""

    party: str
    dataset: Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A jurisdiction's first message on its control stream."""

    party: str
    roster_hash: bytes
    software: str
    publications: tuple[Signed, ...]
    open_jobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The coordinator puts a signed job, and the publications that it pins, before a party."""

    job: Signed
    publications: tuple[Signed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The signed messages of one step of a secure sum; their chunks are the frame's parts, in this order.

    Attributes:
        attempt: number of the try within the round, from 0.
        round_digest: the round that the coordinator says the plan asks: a party compares it with its own; b"" in the
            steps before the round's numbers are known.
        total_digest: what names the total as the coordinator says it is (`Release.digest`), b"" in the steps before.
        messages: the parties', and the coordinator's own statement as the last one where the step has one.
        chunk_counts: how many parts belong to each message.
    """

    job_hash: bytes
    round_index: int
    attempt: int
    round_digest: bytes
    total_digest: bytes
    messages: tuple[Signed, ...]
    chunk_counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """The coordinator asks a party to withdraw an attempt that was not opened, so that another may begin."""

    job_hash: bytes
    round_index: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A party's word that this transcript is what it computed."""

    party: str
    job_hash: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """A party stops a job; `blame.party` is whom it names."""

    party: str
    job_hash: bytes
    blame: Blame


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The coordinator says that a job is over."""

    job_hash: bytes
    state: State
    blames: tuple[Blame, ...] = ()
    rounds: int = 0


# --- joint keys ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProposal:
    """A jurisdiction proposes that its holders make a key; SHA-256 of its signed bytes is the ceremony's id.

    Attributes:
        made_ms: when it was proposed: the key's epoch begins.
        deadline_ms: when the ceremony is given up.
    """

    proposer: str
    holders: tuple[str, ...]
    bits: int
    made_ms: int
    deadline_ms: int
    roster_hash: bytes
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyJoin:
    """A holder's operator has approved; boxes for this holder are sealed to `box_key`, in this ceremony only."""

    party: str
    ceremony: bytes
    box_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAsk:
    """A holder whose line was broken asks for words from `place` on; one that `answers` is not answered by another."""

    party: str
    ceremony: bytes
    place: int
    answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCertificate:
    """What all holders sign, in equal bytes: their key, the transcript of its ceremony, and its epoch."""

    joint_key: bytes
    transcript: bytes
    made_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNews:
    """All that the coordinator has of one ceremony."""

    proposal: Signed
    joins: tuple[Signed, ...] = ()
    certificates: tuple[Signed, ...] = ()
