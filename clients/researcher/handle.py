"""A job that was handed in: follow it, and get its results once all parties signed what was opened.

A handle can be made again after the program ended, from the job and the publications that it pins (`job_record`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clients.researcher import verified
from clients.researcher.figures import digest_of, figures_of
from clients.researcher.receipt import Receipt
from clients.researcher.results import Results, error_of
from clients.researcher.transport import Transport
from federation.analytics.plan import Outcome
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import Job, Released, State, Update
from federation.errors import Unavailable
from federation.jobs.protection import trust

GRACE_S = 60.0  # how long a coordinator may take to tell that the deadline passed; clocks differ
OnUpdate = Callable[[Update], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """One job that was handed in.

    Attributes:
        job_hash: what the coordinator calls it, 32 bytes.
        published: party -> the publication that the job pins.
        coordinator: the member who is blamed for what no party signed.
        on_update: called with each line of the job's life; None for silence.
        now_s: Unix time in seconds.
    """

    transport: Transport
    job: Job
    job_hash: bytes
    published: Mapping[str, Dataset]
    coordinator: str
    on_update: OnUpdate | None = None
    now_s: Callable[[], float] = time.time

    @property
    def name(self) -> str:
        """The job's readable name."""
        return self.job.name

    def watch(self) -> Iterator[Update]:
        """Yield a line at each change until the job has ended.

        Raises:
            Unavailable: the deadline passed a minute ago, and the coordinator talks on.
        """
        for update in self.transport.watch(self.job_hash):
            yield update
            if update.state.ended:
                return
            if self.now_s() > self.job.deadline_ms / 1000 + GRACE_S:  # nothing waits forever, however much it is told
                raise Unavailable(
                    f"the deadline of job {self.name} passed and {self.coordinator} does not end it",
                    hint="ask the coordinator's operator; the parties stop at the deadline by themselves",
                    party=self.coordinator,
                )

    def results(self) -> Results:
        """Wait until the job ends, replay its plan on what was opened, and return its results.

        Raises:
            Refused, Unavailable, ProtocolViolation, JobFailed: how it ended instead; `verified` says when each.
            Refused, Misuse, JobFailed: it ended well, and every one of its questions failed; the first one's reason.
        """
        last: Update | None = None
        for last in self.watch():
            if self.on_update is not None:
                self.on_update(last)
        if last is None or not last.state.ended:
            raise Unavailable(
                f"{self.coordinator} stopped telling about job {self.name} before it ended",
                hint=f"the job goes on; ask again: federation result {self.name}",
                party=self.coordinator,
            )
        if last.state is not State.RELEASED:
            raise verified.ending(last.state, last.blames, coordinator=self.coordinator)
        released = self.transport.released(self.job_hash)
        joint = agreed(self.published)
        outcomes = verified.outcomes(self.job, self.job_hash, joint, released, coordinator=self.coordinator)
        results = Results(outcomes, self.job.computations, self._receipt(released, outcomes))
        if len(results.failures) == len(results):
            asked, failure = results.failures[0]
            raise error_of(failure, asked)
        return results

    def __repr__(self) -> str:
        return f"Handle({self.name!r}, {self.job_hash.hex()[:12]})"

    def _receipt(self, released: Released, outcomes: Sequence[Outcome]) -> Receipt:
        return Receipt.of(
            self.job,
            self.job_hash,
            counted=released.contributors[-1],  # in every total alike, or it was not verified
            transcript=released.transcript,
            signed_by=released.attested_by,
            rounds=len(released.totals),
            trust=self._trust(),
            figures=digest_of(figures_of(self.job.computations, outcomes)),
        )

    def _trust(self) -> str:
        """Return whom a sum under the job's key has to trust; the coordinator serves keys longer than they last."""
        if not self.job.key:
            return ""
        joint = next((key.joint for key in self.transport.joint_keys() if key.digest == self.job.key), None)
        return "the key's certificate is not served any more" if joint is None else trust(joint)
