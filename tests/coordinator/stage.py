"""A coordinator and its jurisdictions in one process: real signatures, a fake clock, broken lines, dead machines.

A line is what TLS over TCP is: in order, in both directions, and when it breaks everything on its way is lost. `settle`
delivers one frame at a time, so every test can act at every boundary between two frames.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from clients.jurisdiction.driver import Driver as Jurisdiction
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.run import Desk
from clients.jurisdiction.vault import MemoryVault, Vault
from clients.researcher import received
from federation.analytics.plan import Plan, together
from federation.analytics.replay import Replay
from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.patience import Patience
from federation.coordinator.run import Outgoing
from federation.coordinator.store import MemoryStore, Store
from federation.crypto import ring
from federation.crypto.paillier.threshold import JointKey, KeyShare, dealt
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Computation, Job, Released, State
from federation.domain.roster import Role, Roster
from federation.errors import ProtocolViolation, Refused
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials
from federation.jobs import planner
from federation.policy.rule import Settings
from federation.query import evaluate
from federation.query.expression import Binary, Col, Const
from federation.query.query import Answer, SumQuery, Totals
from federation.query.round import encoded
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS
from federation.wire.envelope import signed

PARTIES = ("guangdong", "hongkong", "macao", "shenzhen", "zhuhai", "zhuzhou", "zunyi")
COORDINATOR = "relay"
NOW_MS = 1_000_000
DEADLINE_MS = NOW_MS + 60_000
BASE = 100  # party i's rows add up to BASE**i, so an opened sum tells who was counted how often


@cache
def people() -> dict[str, Credentials]:
    """Everybody's keys, made once."""
    roles = {COORDINATOR: Role.COORDINATOR, "ana": Role.RESEARCHER, "ben": Role.RESEARCHER}
    roles |= dict.fromkeys(PARTIES, Role.JURISDICTION)
    return {name: keys.made(name, role) for name, role in roles.items()}


@cache
def roster() -> Roster:
    """The roster that everybody signed."""
    draft = roster_file.convened("gba", [one.member for one in people().values()])
    for one in people().values():
        draft = roster_file.signed(draft, one)
    return roster_file.in_force(draft)


def dataset(*, k: int = 2, own_figures: bool = False, version: str = "1") -> Dataset:
    """Whole numbers `x`, and a category `s`; with k = 2 every round of sums has a round of support before it."""
    return Dataset(
        name="data",
        title="Data",
        unit="row",
        k=k,
        own_figures=own_figures,
        version=version,
        columns=(
            Column(name="x", kind=Kind.INTEGER, low=0, high=BASE ** len(PARTIES)),
            Column(name="s", kind=Kind.CATEGORY, categories=("a", "b")),
        ),
    )


def rows(party: str) -> dict[str, Any]:
    """Four rows, which add up to BASE**i."""
    value = BASE ** PARTIES.index(party)
    return {"x": np.array([value - value // 2, value // 2, 0, 0]), "s": np.array(["a", "b", "a", "b"])}


class Oracle(Engine):
    """The numpy oracle as an engine that notes for which queries it was asked."""

    def __init__(self, own: Dataset, columns: Mapping[str, Any]) -> None:
        self.own, self.columns = own, columns
        self.calls: list[tuple[SumQuery, ...]] = []
        self.closed = False

    @classmethod
    def open(cls, dataset: Dataset, source: Any, *, threads: int | None = None) -> Oracle:
        return cls(dataset, source)

    @property
    def version(self) -> str:
        return self.own.version

    def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[Answer, ...]:
        self.calls.append(tuple(queries))
        return tuple(evaluate.answer(query, joint, self.own, self.columns) for query in queries)

    def close(self) -> None:
        self.closed = True


class Killed(BaseException):
    """The power is gone, in the middle of a write. Nothing may catch it."""


class TornVault(MemoryVault):
    """A vault in memory that, like the durable one, undoes a transaction that did not end, and can die at any write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.dies_at = -1
        self._depth = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        outermost, self._depth = self._depth == 0, self._depth + 1
        streams = {name: list(events) for name, events in self._streams.items()}
        before = (streams, dict(self._records)) if outermost else None
        try:
            yield
        except BaseException:
            if before is not None:
                self._streams, self._records = before
            raise
        finally:
            self._depth -= 1

    def _write(self) -> None:
        if self.writes == self.dies_at:
            self.dies_at = -1
            raise Killed
        self.writes += 1

    def append_many(self, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        self._write()
        return super().append_many(stream, events)

    def erase(self, stream: bytes) -> None:
        self._write()
        super().erase(stream)

    def put(self, key: bytes, value: bytes) -> None:
        self._write()
        super().put(key, value)

    def put_new(self, key: bytes, value: bytes) -> bool:
        self._write()
        return super().put_new(key, value)


class DyingStore(MemoryStore):
    """A store in memory that can die at any append, before or after it is on the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.dies_at = -1
        self.dies_after = False

    def append(self, job_hash: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        due = self.appends == self.dies_at
        self.appends += 1
        if due and not self.dies_after:
            raise Killed
        super().append(job_hash, events)
        if due:
            raise Killed


@cache
def dealt_to(names: tuple[str, ...]) -> tuple[JointKey, dict[str, KeyShare]]:
    """A short development key, and its holders' shares."""
    return dealt(512, names, b"dealt to everybody on the stage.")


@cache
def certificate(names: tuple[str, ...]) -> tuple[m.Signed, ...]:
    """The key's certificate as all holders sign it; it lasts until long after the deadline."""
    joint, made_ms = dealt_to(names)[0], NOW_MS - 1
    value = m.KeyCertificate(
        joint_key=joint.to_bytes(), transcript=bytes(32), made_ms=made_ms, expires_ms=made_ms + EPOCH_MS
    )
    return tuple(signed(people()[name], m.KEY_CERTIFICATE, value) for name in names)


# (direction "in" to or "out" of the coordinator, party, frame) -> the frames that arrive instead
Link = Callable[[str, str, m.Frame], Sequence[m.Frame]]


def plain(_direction: str, _party: str, frame: m.Frame) -> Sequence[m.Frame]:
    """Deliver what was sent."""
    return (frame,)


@dataclass
class Stage:
    """Everybody, and the lines between them.

    Attributes:
        names: the jurisdictions that exist.
        boundary: called before each delivery; where tests break lines and kill machines.
        link: what arrives instead of a frame.
        patience: how long the coordinator waits for those whom a sum can do without.
        keyed: all jurisdictions hold shares of one development key, and jobs are summed under it.
        strict: those who refuse development keys.
        sent: (party, domain, job, round, attempt) -> the different bytes that the party sent; more than one is a
            second story.
        violations: (who noticed, what) whenever somebody closed the line over a frame.
        stopped: the daemons that ended over what they were told, and why; they do not start again by themselves.
    """

    names: tuple[str, ...] = PARTIES[:3]
    k: int = 2
    own_figures: bool = False
    settings: Settings = field(default_factory=Settings)
    store: Store = field(default_factory=MemoryStore)
    link: Link = plain
    boundary: Callable[[Stage], None] = lambda _: None
    vaults: dict[str, Vault] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    sent: dict[tuple[str, str, bytes, int, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    violations: list[tuple[str, ProtocolViolation]] = field(default_factory=list)
    stopped: dict[str, Refused] = field(default_factory=dict)
    keyed: bool = False
    strict: tuple[str, ...] = ()
    delivered: int = 0
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.entropy = dict.fromkeys(self.names, 0)
        self.published = {p: dataset(k=self.k, own_figures=self.own_figures) for p in self.names}
        self.engines = {party: Oracle(self.published[party], rows(party)) for party in self.names}
        for party in self.names:
            self.vaults.setdefault(party, TornVault())
        self.coordinator = self._coordinator()
        if self.keyed:
            certified = self.coordinator.joint_keys.keep(certificate(self.names))
            for party in self.names:
                JointKeys(self.vaults[party]).keep(certified, dealt_to(self.names)[1][party])
        self.jurisdictions = {party: self.driver(party) for party in self.names}
        self.lines: dict[str, dict[str, deque[m.Frame]]] = {}

    # --- machines ---------------------------------------------------------------------------------------------------

    def _coordinator(self) -> Coordinator:
        clock = lambda: self.now_ms  # noqa: E731 - time goes on after it was made
        return Coordinator(people()[COORDINATOR], roster(), self.store, clock=clock, patience=self.patience)

    def driver(self, party: str) -> Jurisdiction:
        """Start the jurisdiction's driver over its vault."""
        desk = Desk(
            me=people()[party],
            coordinator=COORDINATOR,
            roster=roster(),
            engines={"data": self.engines[party]},
            published={"data": self.published[party]},
            guard=Guard(party, self.settings, {"data": self.published[party]}),
            vault=self.vaults[party],
            entropy=lambda count: self._drawn(party, count),
            joint_keys=JointKeys(self.vaults[party]),
            development=party not in self.strict,
        )
        return Jurisdiction(desk, "test")

    def _drawn(self, party: str, count: int) -> bytes:
        """Never the same twice: a restart that draws again shows in the bytes that it sends."""
        self.entropy[party] += 1
        return f"{party}:{self.entropy[party]}".encode().ljust(count, b".")

    def kill(self, party: str) -> None:
        """Kill a jurisdiction's daemon and start it again; it does not attend yet."""
        self.hang_up(party)
        self.jurisdictions[party] = self.driver(party)

    def kill_coordinator(self) -> None:
        """Kill the coordinator and start it again over the same store; nobody attends yet."""
        self.lines.clear()
        self.coordinator = self._coordinator()
        self.coordinator.resume()

    # --- lines ------------------------------------------------------------------------------------------------------

    def attend(self, *parties: str) -> None:
        """Let jurisdictions (all by default) dial the coordinator and say hello."""
        for party in parties or self.names:
            self.hang_up(party)
            self.lines[party] = {"in": deque(), "out": deque()}
            self.route(self.coordinator.attend(party, self.jurisdictions[party].hello()))

    def hang_up(self, party: str) -> None:
        """Break a line: what was on its way is lost."""
        if self.lines.pop(party, None) is not None:
            self.route(self.coordinator.leave(party))

    def route(self, outgoing: Sequence[Outgoing]) -> None:
        """Put what the coordinator sends on the lines that are open."""
        for item in outgoing:
            if item.to in self.lines:
                self.lines[item.to]["out"].append(item.frame)

    def pending(self) -> list[tuple[str, str]]:
        """The ends of lines where a frame waits."""
        return [(way, party) for party in self.lines for way in ("out", "in") if self.lines[party][way]]

    def deliver(self, way: str, party: str) -> None:
        """Deliver the next frame of one line."""
        self.delivered += 1
        for frame in self.link(way, party, self.lines[party][way].popleft()):
            if party not in self.lines:
                return
            try:
                if way == "in":
                    self.route(self.coordinator.receive(party, frame))
                else:
                    self._answered(party, self.jurisdictions[party].receive(frame))
            except ProtocolViolation as fault:
                self.violations.append((party if way == "out" else COORDINATOR, fault))
                self.hang_up(party)
            except Refused as fault:
                assert way == "out", "no party's message is refused: its line is closed, or its job is"
                self.stopped[party] = fault
                self.hang_up(party)
            except Killed:
                if way == "out":
                    self.kill(party)
                else:
                    self.kill_coordinator()

    def _answered(self, party: str, frames: Sequence[m.Frame]) -> None:
        for frame in frames:
            key = (party, frame.signed.domain, frame.job_hash, frame.round_index, frame.attempt)
            self.sent[key].add(convert.frame_bytes(frame))
            self.lines[party]["in"].append(frame)

    def settle(self, *, most: int = 5_000) -> None:
        """Deliver, the lines in turn, until nothing is on its way; the coordinator then sees when it has to act."""
        turn = 0
        while pending := self.pending():
            self.boundary(self)
            most -= 1
            assert most, "the frames never end"
            if not (pending := self.pending()):
                break
            turn += 1
            self.deliver(*pending[turn % len(pending)])
        self.coordinator.next_deadline_ms()

    def come_back(self) -> None:
        """Let whoever does not attend dial again, and go on, until nobody hangs up any more."""
        for _ in range(10):
            self.settle()
            absent = [party for party in self.names if party not in self.lines and party not in self.stopped]
            if not absent:
                return
            self.attend(*absent)

    # --- jobs -------------------------------------------------------------------------------------------------------

    def publications(self) -> dict[str, tuple[Dataset, bytes]]:
        """What a researcher sees."""
        found = received.publications_in(self.coordinator.publications(), roster())
        return dict(found["data"])

    def job(self, *asked: Computation, parties: Sequence[str] = (), **changes: Any) -> Job:
        """A job over the data set; by default the sum of x."""
        seen = self.publications()
        parties = tuple(sorted(parties or self.names))
        computations = asked or (Computation(name="sum", version=1, parameters=(("column", "x"),)),)
        made = Job(
            name="walk",
            researcher="ana",
            dataset="data",
            computations=computations,
            parties=parties,
            publications=tuple((party, seen[party][1]) for party in parties),
            deadline_ms=DEADLINE_MS,
            max_rounds=20,
            roster_hash=roster().hash,
            token=b"t" * 16,
        )
        if self.keyed:
            made = replace(made, protection="paillier_sum", key=dealt_to(self.names)[0].digest)
        return replace(made, **changes)

    def submit(self, job: Job) -> bytes:
        """Hand in a job; nothing is delivered yet."""
        envelope = signed(people()[job.researcher], m.JOB, job)
        job_hash, outgoing = self.coordinator.submit(envelope, self.now_ms, job.researcher)
        self.route(outgoing)
        return job_hash

    def wait(self, until_ms: int) -> None:
        """Let time pass: what falls due on the way is done when it is due, and what follows from it is delivered."""
        self.settle()
        while (due := self.coordinator.next_deadline_ms()) is not None and due <= until_ms:
            self.now_ms = max(self.now_ms, due)
            self.route(self.coordinator.tick(self.now_ms))
            self.settle()
        self.now_ms = until_ms

    def expire(self) -> None:
        """Let the deadline pass."""
        self.now_ms = DEADLINE_MS
        self.route(self.coordinator.tick(self.now_ms))

    def state(self, job_hash: bytes) -> State:
        """Where a job stands at the coordinator."""
        return self.coordinator.update(job_hash, "ana").state

    def blames(self, job_hash: bytes) -> set[tuple[str, str]]:
        """Who ended the job and how: (party, code)."""
        return {(blame.party, blame.code) for blame in self.coordinator.update(job_hash, "ana").blames}

    def totals(self, job_hash: bytes) -> list[list[int]]:
        """The opened numbers of every secure sum of a released job."""
        return [list(numbers) for numbers in self.released(job_hash).totals]

    def released(self, job_hash: bytes) -> Released:
        """What the researcher gets, with the parties' signatures checked."""
        totals, attestations = self.coordinator.released(job_hash, "ana")
        numbers, contributors = [release.total for release in totals], [release.parties for release in totals]
        return received.released_in(job_hash, numbers, contributors, attestations, roster())

    def objections(self) -> dict[str, m.Objection]:
        """Every objection that was sent, by the party that signed it."""
        return {
            party: convert.BODIES[m.OBJECTION].decode(convert.frame_of(each).signed.body)  # type: ignore[misc]
            for (party, domain, *_), bodies in self.sent.items()
            for each in bodies
            if domain == m.OBJECTION
        }

    def stories(self) -> Counter[str]:
        """How many messages were said in two different ways, by domain: an honest party has none, ever."""
        return Counter(domain for (_, domain, *_), bodies in self.sent.items() if len(bodies) > 1)


def reference(stage: Stage, job: Job, counted_in: Sequence[str] = ()) -> list[list[int]]:
    """The totals by plain addition of every party's vector once, without protocol, machines or messages.

    `counted_in` are those whose vectors are added, all by default.
    """
    joint = agreed({party: stage.published[party] for party in job.parties})
    replay = planner.replay(job, joint)
    found = []
    contributors = tuple(counted_in) or job.parties
    while (due := replay.round) is not None:
        vectors = []
        for party in contributors:
            own = stage.published[party]
            answers = [evaluate.answer(query, joint, own, rows(party)) for query in due.queries]
            vectors.append(encoded(due, joint, answers, own.k))
        found.append([sum(column) for column in zip(*vectors, strict=True)])
        replay.feed(found[-1], contributors)
    return found


def counted(total: int) -> dict[str, int]:
    """How often each party is in a sum of x: the digits in base BASE.

    A statistic may sum about the centre of the range; everybody has four rows, so that adds multiples of 2 BASE**7.
    """
    return {party: total // BASE**i % BASE for i, party in enumerate(PARTIES)}


# --- a plan of several rounds ----------------------------------------------------------------------------------------

WALK = Computation(name="walk", version=1, parameters=(("rounds", 3),))


def walk(rounds: int) -> Plan[tuple[int, ...]]:
    """Ask `rounds` sums of x, each weighted by what the one before it opened: a false total leads it astray."""
    seen: list[int] = []
    weight = 1
    for _ in range(rounds):
        totals: tuple[Totals, ...] = yield (SumQuery(dataset="data", terms=(Binary("*", Col("x"), Const(weight)),)),)
        seen.append(totals[0].table[0][1])
        weight = 1 + (seen[-1] + weight) % 97
    return tuple(seen)


def with_walks(job: Job, joint: Dataset, known: Callable[[Job, Dataset], Replay] = planner.replay) -> Replay:
    """`planner.replay` that also knows `walk`; for monkeypatch."""
    if job.computations[0].name != "walk":
        return known(job, joint)
    (rounds,) = (value for name, value in job.computations[0].parameters if name == "rounds")
    assert isinstance(rounds, int)
    return Replay(together([walk(rounds)]), joint, parties=job.parties, max_rounds=job.max_rounds)


def numbers_in(total: bytes) -> list[int]:
    """An opened vector as signed numbers."""
    return ring.to_ints(ring.from_bytes(total))


# --- one job with one thing going wrong ------------------------------------------------------------------------------


def begun(stage: Stage, job: Job | None = None) -> tuple[Job, bytes]:
    """Everybody attends and a job is handed in; nothing of it is delivered yet."""
    stage.attend()
    stage.settle()
    made = stage.job() if job is None else job
    return made, stage.submit(made)


def disturbed(stage: Stage, at: int, act: Callable[[Stage], None]) -> tuple[Job, bytes]:
    """Run one job, do `act` before delivery number `at` of it, and let whoever is away come back in the end."""
    job, job_hash = begun(stage)
    start = stage.delivered

    def boundary(stage: Stage) -> None:
        if stage.delivered - start == at:
            stage.boundary = lambda _: None
            act(stage)

    stage.boundary = boundary
    stage.settle()
    stage.boundary = lambda _: None
    stage.come_back()
    return job, job_hash


@cache
def boundaries(k: int, own_figures: bool, parties: int = 3) -> int:
    """How many frames an undisturbed job takes."""
    stage = Stage(names=PARTIES[:parties], k=k, own_figures=own_figures)
    _, job_hash = begun(stage)
    start = stage.delivered
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    return stage.delivered - start


def assert_exact(stage: Stage, job: Job, job_hash: bytes, counted_in: Sequence[str] = ()) -> None:
    """The job ended with the reference's totals, everybody in it once, and nobody told two stories.

    `counted_in` are those who are counted, all by default; whoever else takes part is not, and signed nothing.
    """
    contributors = tuple(counted_in) or job.parties
    assert stage.state(job_hash) is State.RELEASED, (stage.blames(job_hash), stage.violations)
    released, totals = stage.released(job_hash), stage.totals(job_hash)
    assert set(released.contributors) == {contributors}
    assert totals == reference(stage, job, contributors)
    assert counted(totals[-1][1]) == {party: int(party in contributors) for party in PARTIES}
    if not counted_in:
        assert set(released.attested_by) == set(job.parties)
    assert set(released.attested_by) <= set(contributors)
    assert not stage.stories()
    assert not stage.violations
