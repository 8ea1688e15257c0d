"""Defects that somebody could write, planted on purpose: what a simulation that passes would have found.

Each is a context manager; inside of it the programs have the defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from clients.jurisdiction import driver as jurisdiction
from clients.jurisdiction.records import Records
from clients.jurisdiction.run import Run as PartyRun
from clients.jurisdiction.sums import Sum as PartySum
from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.run import Outgoing
from federation.coordinator.run import Run as CoordinatorRun
from federation.coordinator.sums import Sum as CoordinatorSum
from federation.jobs import sums
from federation.protocols.masked_sum.masks import masked, summed
from federation.protocols.setup import Setup
from tests.simulation.memories import Memory

Fault = Callable[[], Iterator[None]]


@contextmanager
def forgets_what_it_sent() -> Iterator[None]:
    """A party begins its sums again after a restart, with new keys."""

    def restore(self: PartyRun) -> None:
        self.begin()

    with mock.patch.object(PartyRun, "restore", restore):
        yield


@contextmanager
def seals_after_it_sent() -> Iterator[None]:
    """A party's newest event of a sum is not on the disk when it is answered."""
    plain = PartySum._step

    def step(self: PartySum, event: object, kind: str, payload: bytes) -> object:
        late, self._late = getattr(self, "_late", []), [(kind, payload)]
        vault, self._vault = self._vault, mock.Mock(append_many=lambda *_: 0)
        try:
            return plain(self, event, kind, payload)  # type: ignore[arg-type]
        finally:
            self._vault = vault
            vault.append_many(self._stream, late)

    with mock.patch.object(PartySum, "_step", step), mock.patch.object(PartySum, "_late", [], create=True):
        yield


@contextmanager
def consents_without_record() -> Iterator[None]:
    """A party agrees to a list of contributors and does not look at, or write, its record."""
    with mock.patch.object(Records, "agree", return_value=True):
        yield


@contextmanager
def answers_without_record() -> Iterator[None]:
    """A party keeps no record at all."""
    with mock.patch.object(Records, "agree", return_value=True), mock.patch.object(Records, "bind", return_value=True):
        yield


@contextmanager
def frees_what_others_rest_on() -> Iterator[None]:
    """A withdrawal frees a query, whatever other sums rest on its set."""

    def withdrawn(self: Records, queries: Sequence[bytes], setup: Setup) -> None:
        for query, known in self._known(tuple(queries)).items():
            if known is not None and known.sums[:1] == (setup.hash,):
                self._vault.put(query, b"")

    with mock.patch.object(Records, "withdrawn", withdrawn):
        yield


@contextmanager
def begins_ended_jobs_again() -> Iterator[None]:
    """A party does not remember which jobs are over."""
    plain = Memory.put

    def put(self: Memory, key: bytes, value: bytes) -> None:
        if not key.startswith(jurisdiction.ENDED):
            plain(self, key, value)

    with mock.patch.object(Memory, "put", put):
        yield


@contextmanager
def answers_twice() -> Iterator[None]:
    """A party adds its numbers twice."""

    def doubled(vector: bytes, ring: str, streams: object) -> object:
        twice = (2 * int.from_bytes(vector[16:32], "little")).to_bytes(16, "little")
        return masked(vector[:16] + twice + vector[32:], ring, streams)  # type: ignore[arg-type]

    with mock.patch("federation.protocols.masked_sum.masks.masked", doubled):
        yield


@contextmanager
def counts_twice() -> Iterator[None]:
    """The coordinator adds one vector twice."""

    def twice(vectors: Sequence[Sequence[bytes]], ring: str, streams: object) -> object:
        return summed([*vectors, vectors[0]], ring, streams)  # type: ignore[arg-type]

    plain = CoordinatorSum.receive

    def receive(self: CoordinatorSum, *arguments: object) -> object:
        with mock.patch("federation.protocols.masked_sum.masks.summed", twice):
            return plain(self, *arguments)  # type: ignore[arg-type]

    with mock.patch.object(CoordinatorSum, "receive", receive):
        yield


@contextmanager
def takes_too_few_withdrawals() -> Iterator[None]:
    """One withdrawal is enough to begin again."""
    with mock.patch.object(Setup, "withdrawals", 1):
        yield


@contextmanager
def never_withdraws() -> Iterator[None]:
    """A party that is asked to withdraw says nothing."""
    with mock.patch.object(PartyRun, "recalled", return_value=[]):
        yield


@contextmanager
def gives_shares_after_it_withdrew() -> Iterator[None]:
    """A party signs that it never opens an attempt, and goes on with it."""
    plain = PartySum.withdraw

    def withdraw(self: PartySum) -> object:
        before = self._state
        effects = plain(self)
        self._state = before
        return effects

    with mock.patch.object(PartySum, "withdraw", withdraw):
        yield


@contextmanager
def uses_keys_that_were_dealt_among_more() -> Iterator[None]:
    """After somebody was lost, the next sum goes on with the keys that were dealt with the one who was lost."""
    with mock.patch.object(sums, "first_attempt", return_value=0):
        yield


@contextmanager
def does_not_store_its_patience() -> Iterator[None]:
    """The coordinator does not store that it went on without somebody."""

    def gone_on(self: Coordinator, run: CoordinatorRun) -> list[Outgoing]:
        told = run.go_on()
        self._keep(run)
        return told

    with mock.patch.object(Coordinator, "_gone_on", gone_on):
        yield


@contextmanager
def stores_after_it_sent() -> Iterator[None]:
    """The coordinator writes what it took with the message after the next one."""
    plain = Coordinator._folded

    def folded(self: Coordinator, run: CoordinatorRun, *arguments: object) -> list[Outgoing]:
        keep, self._keep = self._keep, lambda run: keep(run) if run.life.state.ended else None  # type: ignore[method-assign]
        try:
            return plain(self, run, *arguments)  # type: ignore[arg-type]
        finally:
            self._keep = keep  # type: ignore[method-assign]

    with mock.patch.object(Coordinator, "_folded", folded):
        yield


@contextmanager
def waits_for_ever() -> Iterator[None]:
    """No deadline ends a job."""
    with mock.patch.object(CoordinatorRun, "expire", return_value=[]):
        yield


@contextmanager
def keeps_secrets() -> Iterator[None]:
    """A party does not erase a sum's secrets when its job ends."""
    with mock.patch.object(PartyRun, "forget", return_value=None):
        yield


@contextmanager
def names_everybody() -> Iterator[None]:
    """At a deadline everybody who has not consented is named, also those who have withdrawn."""
    with mock.patch.object(CoordinatorSum, "awaits", property(lambda self: self._state.awaits)):
        yield


PLANTED = {
    name: value
    for name, value in globals().items()
    if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
}
