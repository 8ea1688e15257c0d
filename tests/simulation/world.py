"""A coordinator and its jurisdictions with everything real but rows, sockets and time: what can happen to them is here.

A line is what TLS over TCP is: in order in both directions. When it breaks, what the party sent last may still arrive;
what was sent to it is lost. A party may vanish, so that the coordinator believes it is there. Hostile operations (lose,
swap, replay) do what no such line does: then only safety is asked for.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from clients.jurisdiction.driver import GRACE_MS
from clients.jurisdiction.driver import Driver as Jurisdiction
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.run import Desk, _release_of
from clients.jurisdiction.vault import Vault
from clients.researcher import received
from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.run import Outgoing
from federation.coordinator.store import MemoryStore, SqliteStore, Store
from federation.domain.job import Job, State
from federation.errors import FederationError, ProtocolViolation, Refused
from federation.identity.sealed import SealedLog
from federation.jobs import planner
from federation.policy.rule import Settings
from federation.wire import messages as m
from federation.wire.envelope import digest_of, signed
from tests.simulation import people as folk
from tests.simulation.memories import Killed, Memory, MortalStore, MortalVault
from tests.simulation.people import COORDINATOR, PARTIES, RESEARCHER, Teller, asking, dataset, people, roster
from tests.simulation.tap import Asked, Tap, Wrong

START_MS = 1_000_000
MOST_TICKS = 200  # in one step of the clock


@dataclass
class Line:
    """What is on its way; `closes` when the coordinator will see the end after the last frame."""

    to_coordinator: deque[m.Frame] = field(default_factory=deque)
    to_party: deque[m.Frame] = field(default_factory=deque)
    open: bool = True
    closes: bool = False

    def way(self, way: str) -> deque[m.Frame]:
        return self.to_coordinator if way == "in" else self.to_party


@dataclass(frozen=True)
class Wish:
    """A job that a researcher asks for: parties by number, fewest contributors, rounds, first query, time in ms."""

    parties: tuple[int, ...]
    minimum: int
    rounds: int
    first: int
    lasts_ms: int


@contextmanager
def simulated() -> Iterator[None]:
    """Let jobs ask the walk of `people`."""
    with mock.patch.object(planner, "replay", folk.replay):
        yield


class World:
    """Everybody, and what happens to them.

    Args:
        n: how many jurisdictions there are.
        support: whether every round of sums has a round of support before it.
        folder: for durable memories, None for memories that only the simulation keeps.

    Attributes:
        violations: (who noticed, what) whenever somebody closed the line over a frame.
    """

    def __init__(self, n: int, *, support: bool, folder: Path | None = None) -> None:
        self.names = PARTIES[:n]
        self.now_ms = START_MS
        self.tap = Tap(support=support)
        self.jobs: list[bytes] = []
        self.cancelled: set[bytes] = set()
        self.violations: list[tuple[str, FederationError]] = []
        self.lines: dict[str, Line] = {}
        self.heard: dict[tuple[str, str], list[m.Frame]] = {}
        self._folder, self._own = folder, dataset(support=support)
        self._drawn = dict.fromkeys(self.names, 0)
        self.engines = {party: Teller(party, self._own) for party in self.names}
        self.vaults = {party: self._vault(party) for party in self.names}
        self.store = self._store()
        self.coordinator = self._coordinator()
        self.jurisdictions: dict[str, Jurisdiction] = {}
        self.back(*self.names)
        self.settle()

    # --- processes --------------------------------------------------------------------------------------------------

    def _vault(self, party: str) -> MortalVault:
        vault: Vault = (
            Memory() if self._folder is None else SealedLog(self._folder / party, people()[party].storage_key)
        )
        return MortalVault(vault, lambda stream, events: self._wrote(party, stream, events))

    def _store(self) -> MortalStore:
        store: Store = MemoryStore() if self._folder is None else SqliteStore(self._folder / "events.db")
        return MortalStore(store)

    def _coordinator(self) -> Coordinator:
        return Coordinator(people()[COORDINATOR], roster(), self.store, clock=lambda: self.now_ms)

    def _driver(self, party: str) -> Jurisdiction:
        published = {"data": self._own}
        desk = Desk(
            me=people()[party],
            coordinator=COORDINATOR,
            roster=roster(),
            engines={"data": self.engines[party]},
            published=published,
            guard=Guard(party, Settings(), published),
            vault=self.vaults[party],
            entropy=lambda count: self._fresh(party, count),
            joint_keys=JointKeys(self.vaults[party]),
        )
        return Jurisdiction(desk, "simulated")

    def _fresh(self, party: str, count: int) -> bytes:
        """Never the same twice: a restart that draws again shows in the bytes that it sends."""
        self._drawn[party] += 1
        return hashlib.sha512(f"{party} {self._drawn[party]}".encode()).digest()[:count]

    def _wrote(self, party: str, stream: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        """Look at what a party writes: totals are what it released."""
        for kind, payload in events:
            if kind == "total":
                index = sum(kind == "total" for kind, _ in self.vaults[party].read(stream)) - 1
                self.tap.opened(party, stream, index, _release_of(payload))

    # --- lines ------------------------------------------------------------------------------------------------------

    def back(self, *parties: str) -> bool:
        """Let parties start if they are dead, dial if they have no line, and say hello; return whether any did."""
        dialled = False
        for party in parties:
            with suppress(Killed):
                if party not in self.jurisdictions:
                    self.jurisdictions[party] = self._driver(party)
            if party not in self.jurisdictions or (party in self.lines and self.lines[party].open):
                continue
            self.lines[party] = Line()
            hello = self.jurisdictions[party].hello()
            self._coordinate(lambda hello=hello, party=party: self.coordinator.attend(party, hello))
            dialled = True
        return dialled

    def gone(self, party: str, *, kept: int = 0, dead: bool = False, seen: bool = True) -> None:
        """Break a line; `kept` frames of the party still arrive, then the coordinator may see the end of the line."""
        if dead and self.jurisdictions.pop(party, None) is not None and self._folder is not None:
            self.vaults[party].close()
            self.vaults[party] = self._vault(party)
        line = self.lines.get(party)
        if line is None or not line.open:
            return
        line.open, line.closes = False, seen
        line.to_party.clear()
        while len(line.to_coordinator) > kept:
            line.to_coordinator.pop()
        self._ended(party)

    def _ended(self, party: str) -> None:
        """Let the coordinator see the end of a line on which nothing more comes."""
        line = self.lines[party]
        if not line.open and not line.to_coordinator:
            del self.lines[party]
            if line.closes:
                self._coordinate(lambda: self.coordinator.leave(party))

    def kill_coordinator(self) -> None:
        """Kill the coordinator and start it again over what it wrote; nobody attends."""
        self.lines.clear()
        if self._folder is not None:
            self.store.close()
            self.store = self._store()
        self.store.dies_in = 0
        self.coordinator = self._coordinator()
        self.coordinator.resume()

    def _coordinate(self, act: Callable[[], Sequence[Outgoing]]) -> None:
        """Let the coordinator act, and put what it sends on the lines."""
        try:
            outgoing = act()
        except Killed:
            self.kill_coordinator()
            return
        for item in outgoing:
            line = self.lines.get(item.to)
            if line is not None and line.open:
                line.to_party.append(item.frame)
        for job_hash in self.jobs:
            run = self.coordinator._runs.get(job_hash)
            for index, total in enumerate(run.totals if run is not None else ()):
                if COORDINATOR not in self.tap.released[job_hash, index]:
                    self.tap.opened(COORDINATOR, job_hash, index, total)

    # --- deliveries -------------------------------------------------------------------------------------------------

    def pending(self) -> list[tuple[str, str]]:
        """The ends of lines where a frame waits."""
        return [(way, party) for party, line in self.lines.items() for way in ("out", "in") if line.way(way)]

    def deliver(self, way: str, party: str) -> None:
        """Deliver the next frame of one line."""
        line = self.lines[party]
        frame = line.way(way).popleft()
        self.heard.setdefault((way, party), []).append(frame)
        if way == "in":
            self._received(party, line, frame)
        else:
            self._answered(party, line, frame)

    def _received(self, party: str, line: Line, frame: m.Frame) -> None:
        try:
            self._coordinate(lambda: self.coordinator.receive(party, frame))
        except ProtocolViolation as fault:
            self.violations.append((COORDINATOR, fault))
            self.gone(party)
        if self.lines.get(party) is line:
            self._ended(party)

    def _answered(self, party: str, line: Line, frame: m.Frame) -> None:
        driver = self.jurisdictions[party]
        try:
            driver.tick(self.now_ms)
            answers = driver.receive(frame)
        except ProtocolViolation as fault:
            self.violations.append((party, fault))
            self.gone(party)
        except Refused:  # its memory is an old copy: the daemon ends
            self.gone(party, dead=True)
        except Killed:
            self.gone(party, kept=len(line.to_coordinator), dead=True)
        else:
            self.tap.sent(party, frame, answers)
            line.to_coordinator.extend(answers)

    def settle(self, *, most: int = 20_000) -> None:
        """Deliver, the lines in turn, until nothing is on its way."""
        turn = 0
        while pending := self.pending():
            turn += 1
            if turn > most:
                raise Wrong("the frames never end")
            self.deliver(*pending[turn % len(pending)])

    # --- time -------------------------------------------------------------------------------------------------------

    def wait(self, ms: int) -> None:
        """Let time pass; the coordinator wakes whenever it asked to be woken."""
        until = self.now_ms + ms
        for _ in range(MOST_TICKS):
            due = self.coordinator.next_deadline_ms()
            if due is None or due > until:
                break
            self.now_ms = max(self.now_ms, due)
            self._coordinate(lambda: self.coordinator.tick(self.now_ms))
        else:
            raise Wrong("the coordinator wakes and wakes and nothing comes of it")
        self.now_ms = until

    # --- jobs -------------------------------------------------------------------------------------------------------

    def ask(self, wish: Wish) -> None:
        """Hand in a job."""
        parties = tuple(sorted(PARTIES[place] for place in wish.parties))
        pins = received.publications_in(self._publications(), roster())["data"]
        job = Job(
            name=f"walk-{len(self.jobs)}",
            researcher=RESEARCHER,
            dataset="data",
            computations=(asking(wish.rounds, wish.first),),
            parties=parties,
            publications=tuple((party, pins[party][1]) for party in parties),
            minimum_parties=wish.minimum,
            deadline_ms=self.now_ms + wish.lasts_ms,
            max_rounds=2 * wish.rounds,
            roster_hash=roster().hash,
            token=len(self.jobs).to_bytes(16, "big"),
        )
        envelope = signed(people()[RESEARCHER], m.JOB, job)
        job_hash = digest_of(envelope)
        self.jobs.append(job_hash)
        self.tap.asked[job_hash] = Asked(job, wish.rounds, wish.first)
        self._coordinate(lambda: self.coordinator.submit(envelope, self.now_ms, RESEARCHER)[1])
        if job_hash not in self.coordinator._order:  # it died before it was written: the researcher tries again
            self._coordinate(lambda: self.coordinator.submit(envelope, self.now_ms, RESEARCHER)[1])

    def _publications(self) -> list[m.Signed]:
        return [
            signed(people()[party], m.PUBLICATION, m.Publication(party=party, dataset=self._own))
            for party in self.names
        ]

    def cancel(self, place: int) -> None:
        """Let the researcher end a job."""
        job_hash = self.jobs[place % len(self.jobs)]
        if self.state(job_hash).ended:
            return
        self.cancelled.add(job_hash)
        self._coordinate(lambda: self.coordinator.cancel(job_hash, RESEARCHER))
        if not self.state(job_hash).ended:
            self._coordinate(lambda: self.coordinator.cancel(job_hash, RESEARCHER))

    def state(self, job_hash: bytes) -> State:
        """Where a job stands at the coordinator."""
        return self.coordinator.update(job_hash, RESEARCHER).state

    def open_jobs(self) -> list[bytes]:
        """Jobs that have not ended."""
        return [job_hash for job_hash in self.jobs if not self.state(job_hash).ended]

    def deadlines(self) -> list[int]:
        """When the open jobs end."""
        return [self.tap.asked[job_hash].job.deadline_ms for job_hash in self.open_jobs()]

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of what is durable."""
        for vault in self.vaults.values():
            vault.close()
        self.store.close()

    def forgotten(self) -> None:
        """Let time pass until every party has forgotten what nobody ended, and see that no secret is left anywhere."""
        ends = [asked.job.deadline_ms for asked in self.tap.asked.values()]
        self.wait(max([self.now_ms, *ends]) + GRACE_MS + 1 - self.now_ms)
        for party in self.names:
            self.jurisdictions[party].tick(self.now_ms)
            vault = self.vaults[party].vault
            assert isinstance(vault, Memory | SealedLog)
            if vault.streams():
                raise Wrong(f"{party} keeps secrets of a job that ended")
