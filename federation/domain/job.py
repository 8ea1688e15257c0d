"""What a researcher submits, and the events of its life; both are frozen values.

A job carries names, versions and typed parameters. It has no field for code, a class path, SQL or a file name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = int | float | str | bool | tuple["Value", ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """One statistic of a job.

    Attributes:
        name: member of `federation.analytics.statistics`.
        version: the statistic's version; a party that does not have it refuses at review.
        parameters: sorted (name, value) pairs that the statistic's frozen `Parameters` is made from.
    """

    name: str
    version: int
    parameters: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the researcher signed.

    Attributes:
        name: readable, for people; the identity of a job is its hash.
        researcher: the member who signs.
        project: an approved frame, or "" for none.
        purpose: why; judged by each jurisdiction's policy.
        dataset: the data set that every computation reads.
        where: a predicate as text, "" for all rows; parsed by every party itself, never evaluated.
        computations: asked together, one approval.
        protection: name of the secure sum, member of `federation.protocols`.
        key: digest of the joint key that its holders, the parties, sum under, 32 bytes; b"" for sums without a key.
        parties: sorted jurisdiction names that must all take part.
        publications: sorted (party, SHA-256 of the publication's signed bytes): pins ranges, lists and data versions.
        minimum_parties: fewest contributors; at least 3.
        deadline_ms: Unix time in milliseconds after which the job ends with a reason.
        max_rounds: most secure sums that the job may ask.
        roster_hash: the roster that the researcher saw.
        token: made by the client, 16 bytes; the same token is the same job.
    """

    name: str
    researcher: str
    project: str = ""
    purpose: str = ""
    dataset: str
    where: str = ""
    computations: tuple[Computation, ...]
    protection: str = "masked_sum"
    key: bytes = b""
    parties: tuple[str, ...]
    publications: tuple[tuple[str, bytes], ...]
    minimum_parties: int = 3
    deadline_ms: int
    max_rounds: int
    roster_hash: bytes
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who ended a job, and how: `party` is a member's name or "" when nobody is to blame.

    Attributes:
        code: an error code of `federation.errors`: "refused", "unavailable", "protocol_violation", "job_failed".
        message: one sentence without data values.
        hint: the next step, or "".
        rule: for "refused": the rule that said no, else "".
    """

    party: str
    code: str
    message: str
    hint: str = ""
    rule: str = ""


class State(StrEnum):
    """Where a job stands; the transitions are `federation.jobs.lifecycle`."""

    SUBMITTED = "submitted"
    UNDER_REVIEW = "under review"
    RUNNING = "running"
    RELEASED = "released"
    REFUSED = "refused"
    ABORTED = "aborted"

    @property
    def ended(self) -> bool:
        """True for the three states that nothing leaves."""
        return self in (State.RELEASED, State.REFUSED, State.ABORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyProgress:
    """How far one party is, for people who watch.

    Attributes:
        step: what it did last: "offered", "permitted", "sent head 0", "attested".
        heard_ms: when it last sent anything, by the coordinator's clock; 0 for never.
    """

    party: str
    step: str
    connected: bool
    sent_bytes: int
    heard_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One line of a job's life, as `watch` streams it.

    Attributes:
        round_index: secure sums finished so far.
        blames: why it ended, for REFUSED and ABORTED; one per party that refused.
    """

    job_hash: bytes
    state: State
    round_index: int
    parties: tuple[PartyProgress, ...]
    blames: tuple[Blame, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a finished job opened; the researcher replays the plan on it.

    Attributes:
        totals: per secure sum, the opened numbers.
        contributors: per secure sum, whose numbers are in it, sorted.
        transcript: hash that contributors signed over rounds, contributors and totals; the signatures were verified.
        attested_by: the parties whose signatures stand under `transcript`.
    """

    job_hash: bytes
    totals: tuple[tuple[int, ...], ...]
    contributors: tuple[tuple[str, ...], ...]
    transcript: bytes
    attested_by: tuple[str, ...]


def digest(label: str, *parts: bytes) -> bytes:
    """Return SHA-256 over length-prefixed parts under an ASCII label: the one way in which ids are made, 32 bytes.

    Length prefixes make the encoding injective, labels keep domains apart.
    """
    framed = [piece for part in (label.encode("ascii"), *parts) for piece in (len(part).to_bytes(8, "big"), part)]
    return hashlib.sha256(b"".join(framed)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of what happened to a job, as the coordinator saw it; no data values.

    Attributes:
        at_ms: Unix time in milliseconds at the coordinator.
        party: the member who did it.
        text: what, in words.
    """

    at_ms: int
    party: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One job in a list of jobs."""

    job_hash: bytes
    job: Job
    state: State
    round_index: int
    submitted_ms: int
    blames: tuple[Blame, ...] = ()
