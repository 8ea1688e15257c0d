"""A federation in memory for tests: three parties' rows, a plan that runs on them, and coordinators that misbehave.

There is no protocol and no signature here: the sums are added up in the open, by the numpy oracle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Blame, Job, PartyProgress, Released, State, Update, digest
from federation.domain.roster import Member, Role, Roster
from federation.jobs import planner
from federation.query.evaluate import answer
from federation.query.round import encoded
from federation.wire import convert, messages
from federation.wire.certificates import Certified

PARTIES = ("guangdong", "hongkong", "macao")
ROWS = {"guangdong": 60, "hongkong": 40, "macao": 30, "zhuhai": 20}  # the last one takes part where a test says so
UNKNOWN_AGE = 999
NOW_S = 1_790_000_000.0

Columns: TypeAlias = Mapping[str, np.ndarray]
Lie: TypeAlias = Callable[[Released], Released]


def publication(**changes: object) -> Dataset:
    """Return what a party publishes about the table `tb`."""
    dataset = Dataset(
        name="tb",
        title="Tuberculosis 肺结核",
        unit="person",
        columns=(
            Column(name="age", kind=Kind.INTEGER, unit="year", low=0, high=120, missing=(("999", "refused"),)),
            Column(name="cost", kind=Kind.REAL, unit="HKD", low=0.0, high=1000.0),
            Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
        ),
        k=1,
        own_figures=True,
        version="00" * 32,
    )
    return replace(dataset, **changes)  # type: ignore[arg-type]


def columns(party: str) -> Columns:
    """Return a party's rows; in the first three nobody told the age."""
    draw = np.random.default_rng(sum(party.encode()))
    count = ROWS[party]
    age = draw.integers(0, 100, count)
    age[:3] = UNKNOWN_AGE
    return {
        "age": age,
        "cost": draw.uniform(0.0, 900.0, count),
        "sex": np.array(["f", "m"], dtype=object)[draw.integers(0, 2, count)],
    }


def pooled(name: str, where: Callable[[Columns], np.ndarray] | None = None) -> np.ndarray:
    """Return a column of all parties' rows, without missing ages."""
    found = []
    for party in PARTIES:
        rows = columns(party)
        kept = rows["age"] != UNKNOWN_AGE if name == "age" else np.ones(ROWS[party], dtype=bool)
        if where is not None:
            kept &= where(rows)
        found.append(rows[name][kept])
    return np.concatenate(found)


def member(name: str, role: Role) -> Member:
    """Return a member whose keys are no keys."""
    return Member(name=name, role=role, identity_key=digest("test/key", name.encode()), tls_certificate=name.encode())


ROSTER = Roster(
    federation="bay",
    version=1,
    members=(
        member("alice", Role.RESEARCHER),
        member("relay", Role.COORDINATOR),
        *(member(party, Role.JURISDICTION) for party in PARTIES),
    ),
)


class Fake:
    """A transport that answers truly, unless it is given a lie or an ending.

    Attributes:
        lie: changes what is handed over at the end.
        ending: (state, blames) that every job ends with instead of a result.
        falls_silent: stop telling before the job has ended.
        lost: parties that are not counted, and sign nothing.
        keys: the federation's joint keys.
        jobs: what was handed in.
    """

    def __init__(
        self,
        *,
        lie: Lie | None = None,
        ending: tuple[State, Sequence[Blame]] | None = None,
        falls_silent: bool = False,
        published: Mapping[str, Dataset] | None = None,
        lost: Sequence[str] = (),
        keys: Sequence[Certified] = (),
    ) -> None:
        self.roster = ROSTER
        self.me = "alice"
        self.lie = lie
        self.ending = ending
        self.falls_silent = falls_silent
        self.lost = tuple(lost)
        self.keys = tuple(keys)
        self.jobs: dict[bytes, Job] = {}
        self.closed = False
        self._published = {party: publication() for party in PARTIES} if published is None else dict(published)

    def publications(self) -> Mapping[str, Mapping[str, tuple[Dataset, bytes]]]:
        found: dict[str, dict[str, tuple[Dataset, bytes]]] = {}
        for party, dataset in self._published.items():
            found.setdefault(dataset.name, {})[party] = (dataset, digest("test/publication", repr(dataset).encode()))
        return found

    def joint_keys(self) -> tuple[Certified, ...]:
        return self.keys

    def submit(self, job: Job) -> bytes:
        job_hash = hashlib.sha256(convert.BODIES[messages.JOB].encode(job)).digest()
        self.jobs[job_hash] = job
        return job_hash

    def watch(self, job_hash: bytes) -> Iterator[Update]:
        state, blames = self.ending or (State.RELEASED, ())
        yield self._update(job_hash, State.UNDER_REVIEW, "offered")
        yield self._update(job_hash, State.RUNNING, "permitted")
        if not self.falls_silent:
            yield self._update(job_hash, state, "attested", tuple(blames))

    def released(self, job_hash: bytes) -> Released:
        job = self.jobs[job_hash]
        joint = agreed({party: self._published[party] for party in job.parties})
        replay = planner.replay(job, joint)
        counted = tuple(party for party in job.parties if party not in self.lost)
        totals = []
        while replay.round is not None:
            asked = replay.round
            vectors = []
            for party in counted:
                own = self._published[party]
                answers = [answer(query, joint, own, columns(party)) for query in asked.queries]
                vectors.append(encoded(asked, joint, answers, own.k))
            numbers = tuple(sum(column) for column in zip(*vectors, strict=True))
            totals.append(numbers)
            replay.feed(numbers, counted)
        true = Released(
            job_hash=job_hash,
            totals=tuple(totals),
            contributors=(counted,) * len(totals),
            transcript=replay.transcript,
            attested_by=counted,
        )
        return true if self.lie is None else self.lie(true)

    def close(self) -> None:
        self.closed = True

    def _update(self, job_hash: bytes, state: State, step: str, blames: tuple[Blame, ...] = ()) -> Update:
        parties = tuple(
            PartyProgress(party=party, step=step, connected=True, sent_bytes=1234)
            for party in self.jobs[job_hash].parties
        )
        return Update(job_hash=job_hash, state=state, round_index=0, parties=parties, blames=blames)


def one_more(released: Released) -> Released:
    """The lie of a coordinator that adds 1 to the first opened number."""
    first = (released.totals[0][0] + 1, *released.totals[0][1:])
    return replace(released, totals=(first, *released.totals[1:]))
