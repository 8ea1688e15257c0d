"""A researcher's transport over gRPC: mutual TLS to the coordinator, every answer made from signed messages.

Reconnects while it watches, so a coordinator that restarts costs a pause and not a job. Refuses whatever the roster
does not vouch for.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from clients.channel import connect
from clients.channel.calls import Calls
from clients.researcher import received
from clients.researcher.transport import Attendance
from clients.researcher.verified import ending
from federation.domain.catalogue import Dataset
from federation.domain.job import Job, LogLine, Released, State, Summary, Update
from federation.domain.roster import Roster
from federation.errors import ProtocolViolation, Unreachable
from federation.identity.keys import Credentials
from federation.protocols.events import Release
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import Certified
from federation.wire.envelope import digest_of, signed

PATIENCE_S = 30.0  # how long a coordinator that answered before may be away
LONGEST_PAUSE_S = 2.0
LARGEST_FILE = 4 * 1024 * 1024 * 1024  # bytes
A = TypeVar("A")


class RemoteTransport:
    """One researcher at one coordinator.

    Args:
        address: host:port.
        credentials: the researcher's keys.
        roster: in force; its coordinator's certificate is the only one that is accepted.
    """

    def __init__(self, address: str, credentials: Credentials, roster: Roster) -> None:
        self._me, self._roster = credentials, roster
        self._calls = Calls(address, credentials, roster)
        self._met = False  # whether the coordinator has answered once: before that, a wrong address fails at once

    @property
    def roster(self) -> Roster:
        return self._roster

    @property
    def me(self) -> str:
        return self._me.name

    def publications(self) -> Mapping[str, Mapping[str, tuple[Dataset, bytes]]]:
        response = self._patiently(self._calls.list_publications)
        return received.publications_in((convert.signed_from(p) for p in response.publications), self._roster)

    def joint_keys(self) -> tuple[Certified, ...]:
        response = self._patiently(self._calls.list_keys)
        return received.joint_keys_in(
            ((convert.signed_from(one) for one in key.signatures) for key in response.keys), self._roster
        )

    def submit(self, job: Job) -> bytes:
        envelope = signed(self._me, m.JOB, job)
        response = self._patiently(lambda: self._calls.submit(convert.signed_to(envelope)))
        if response.job_hash != digest_of(envelope):
            coordinator = received.coordinator_of(self._roster)
            raise ProtocolViolation(coordinator, phase="submit", expected="the hash of this job", got="another hash")
        return response.job_hash

    def watch(self, job_hash: bytes) -> Iterator[Update]:
        heard = time.monotonic()
        for attempt in itertools.count():
            try:
                for response in self._calls.watch(job_hash):
                    heard = time.monotonic()
                    update = received.update_in(response)
                    yield update
                    if update.state.ended:
                        return
            except Unreachable:
                if time.monotonic() - heard > PATIENCE_S:
                    raise
            _pause(attempt)

    def attendance(self) -> tuple[Attendance, ...]:
        parties = self._patiently(self._calls.status).parties
        return tuple(Attendance(party=p.party, connected=p.connected, software=p.software) for p in parties)

    def jobs(self) -> tuple[Summary, ...]:
        response = self._patiently(self._calls.list_jobs)
        return tuple(received.summary_in(job, self._roster) for job in response.jobs)

    def cancel(self, job_hash: bytes) -> State:
        return convert.state_from(self._patiently(lambda: self._calls.cancel(job_hash)).state)

    def log(self, job_hash: bytes, *, follow: bool) -> Iterator[LogLine]:
        told = 0
        while True:
            lines = 0
            for line in self._calls.read_log(job_hash, follow=follow):
                lines += 1
                if lines > told:  # a stream lives for a minute: the next one begins anew
                    yield LogLine(at_ms=line.at_ms, party=line.party, text=line.text)
            told = max(told, lines)
            if not follow or next(iter(self.watch(job_hash))).state.ended:
                return

    def released(self, job_hash: bytes) -> Released:
        response = self._patiently(lambda: self._calls.fetch(job_hash))
        if not response.attestations:
            for update in self.watch(job_hash):
                if update.state.ended and update.state is not State.RELEASED:
                    raise ending(update.state, update.blames, coordinator=received.coordinator_of(self._roster))
            response = self._patiently(lambda: self._calls.fetch(job_hash))
        attestations = [convert.signed_from(a) for a in response.attestations]
        contributors = convert.contributors_from(response.contributors)
        return received.released_in(job_hash, response.totals, contributors, attestations, self._roster)

    def evidence(self, job_hash: bytes) -> Iterator[bytes]:
        yield from self._bounded(self._calls.read_evidence(job_hash), "evidence")

    def opened(self, job_hash: bytes, known: int) -> tuple[Release, ...]:
        response = self._patiently(lambda: self._calls.follow(job_hash, known))
        counted = convert.contributors_from(response.contributors)
        if len(counted) != len(response.totals):
            coordinator = received.coordinator_of(self._roster)
            raise ProtocolViolation(coordinator, phase="follow", expected="the contributors of each sum", got="others")
        return tuple(Release.of(t, p) for t, p in zip(response.totals, counted, strict=True))

    def model(self, job_hash: bytes, *, best: bool) -> bytes:
        return b"".join(self._bounded(self._calls.read_model(job_hash, best=best), "model"))

    def _bounded(self, pieces: Iterator[Any], what: str) -> Iterator[bytes]:
        size = 0
        for response in pieces:
            size += len(response.piece)
            if size > LARGEST_FILE or not response.piece:  # empty ones could go on for ever
                coordinator = received.coordinator_of(self._roster)
                raise ProtocolViolation(coordinator, phase=what, expected="a file of bounded size", got="more")
            yield response.piece

    def close(self) -> None:
        self._calls.close()

    def _patiently(self, call: Callable[[], A]) -> A:
        """Make a call that may be made twice, again and again while a coordinator that answered before is away."""
        began = time.monotonic()
        for attempt in itertools.count():
            try:
                answer = call()
            except Unreachable:
                if not self._met or time.monotonic() - began > PATIENCE_S:
                    raise
            else:
                self._met = True
                return answer
            _pause(attempt)
        raise AssertionError("counting has no end")


def _pause(attempt: int) -> None:
    time.sleep(min(LONGEST_PAUSE_S, connect.backoff(attempt, secrets.randbelow(1000) / 1000)))
