"""How a session reaches a coordinator: the seam between the researcher's face and the wire.

One implementation speaks gRPC (`remote`), one runs everything in this process (`clients.local`). Both verify
signatures: what they return was signed by whom they say. They do not judge what it means; `verified` replays it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from federation.domain.catalogue import Dataset
from federation.domain.job import Job, LogLine, Released, State, Summary, Update
from federation.domain.roster import Roster
from federation.protocols.events import Release
from federation.wire.certificates import Certified


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """One jurisdiction as the coordinator sees it; `software` is what it said of itself."""

    party: str
    connected: bool
    software: str


class Transport(Protocol):
    """A connection of one researcher to one coordinator."""

    @property
    def roster(self) -> Roster:
        """The roster that every signature was checked against."""

    @property
    def me(self) -> str:
        """The researcher's member name."""

    def publications(self) -> Mapping[str, Mapping[str, tuple[Dataset, bytes]]]:
        """Return data set name -> party -> (publication, SHA-256 of its signed bytes)."""

    def joint_keys(self) -> tuple[Certified, ...]:
        """Return the federation's joint keys, oldest first; the signatures of all their holders are verified."""

    def submit(self, job: Job) -> bytes:
        """Sign and hand in a job; return its hash, 32 bytes. The same token is the same job, however often sent."""

    def watch(self, job_hash: bytes) -> Iterator[Update]:
        """Yield a line at each change until the job has ended.

        Raises:
            Unreachable: the connection broke and could not be made again.
            Unavailable: the job's deadline passed and the coordinator still says nothing.
        """

    def attendance(self) -> tuple[Attendance, ...]:
        """Return every jurisdiction of the roster and whether it attends."""

    def jobs(self) -> tuple[Summary, ...]:
        """Return the researcher's own jobs, oldest first; every one's signature is verified."""

    def cancel(self, job_hash: bytes) -> State:
        """End a job of the researcher's own; return where it stands then."""

    def log(self, job_hash: bytes, *, follow: bool) -> Iterator[LogLine]:
        """Yield what happened to a job, oldest first; on until it ends if `follow`."""

    def released(self, job_hash: bytes) -> Released:
        """Return what a finished job opened, with the signatures under it verified.

        Raises:
            Refused, Unavailable, ProtocolViolation, JobFailed: how the job ended instead.
        """

    def evidence(self, job_hash: bytes) -> Iterator[bytes]:
        """Yield the evidence file of an ended job in pieces; nothing in it is verified, `audit` does that."""

    def opened(self, job_hash: bytes, known: int) -> tuple[Release, ...]:
        """Return what a training of the researcher's has opened after its first `known` sums; nobody signed it yet."""

    def model(self, job_hash: bytes, *, best: bool) -> bytes:
        """Return the model file of a released training; nothing in it is verified."""

    def close(self) -> None:
        """Hang up; jobs go on without us."""
