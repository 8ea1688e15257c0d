"""The stage with rows to learn from: real trainers, a tiny model, and what plain addition of its updates ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from clients.jurisdiction.engine import Rows
from clients.researcher import verified
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Job, Released, State, Value
from federation.jobs import planner, training
from federation.jobs.training import Followed, Training
from federation.query.row_query import RowQuery
from federation.training.plan import TrainingPlan
from tests.coordinator.stage import COORDINATOR, PARTIES, DyingStore, Killed, Oracle, Stage, TornVault, begun
from tests.training.plainly import Plain

ROWS = 16  # of each party
ROUNDS = 2


def dataset(*, k: int, own_figures: bool) -> Dataset:
    """Two numbers and what is predicted from them."""
    return Dataset(
        name="data",
        title="Data",
        unit="row",
        k=k,
        own_figures=own_figures,
        version="1",
        columns=(
            Column(name="x", kind=Kind.REAL, low=-10.0, high=10.0),
            Column(name="z", kind=Kind.REAL, low=-10.0, high=10.0),
            Column(name="y", kind=Kind.INTEGER, low=0, high=1),
        ),
    )


def rows(party: str) -> dict[str, Any]:
    """A party's rows."""
    place = PARTIES.index(party)
    dice = np.random.Generator(np.random.PCG64(place))
    x, z = dice.normal(place / 3, 1, ROWS), dice.normal(size=ROWS)
    return {"x": x, "z": z, "y": (x - z + dice.normal(size=ROWS) > place / 3).astype(np.int64)}


class Learner(Oracle):
    """The oracle, with rows for a trainer."""

    def rows(self, query: RowQuery, joint: Dataset) -> Rows:
        columns = tuple(np.array(self.columns[name], dtype=np.float64) for name in query.columns)
        return Rows(columns=columns, numbers=np.arange(len(columns[0])), units=None, counts=())


class LongVault(TornVault):
    """A torn vault that can die before what is long is kept, too; what was kept is not undone with the transaction."""

    def keep(self, name: bytes, parts: Sequence[bytes | memoryview]) -> None:
        self._write()
        super().keep(name, parts)


class LongStore(DyingStore):
    """A dying store that can die around what is long, too."""

    def keep(self, job_hash: bytes, parts: Sequence[bytes | memoryview]) -> None:
        self.appends += 1
        self._die(self.appends - 1, late=False)
        super().keep(job_hash, parts)
        self._die(self.appends - 1, late=True)

    def _die(self, at: int, *, late: bool) -> None:
        if at == self.dies_at and late is self.dies_after:
            raise Killed


@dataclass
class TrainingStage(Stage):
    """A stage whose job trains."""

    k: int = 1
    own_figures: bool = True
    strategy: str = "scaffold"

    def __post_init__(self) -> None:
        for party in self.names:
            self.vaults.setdefault(party, LongVault())
        super().__post_init__()
        self.published = {party: dataset(k=self.k, own_figures=self.own_figures) for party in self.names}
        self.engines = {party: Learner(self.published[party], rows(party)) for party in self.names}
        self.jurisdictions = {party: self.driver(party) for party in self.names}

    def training(self, least: int = 3, options: dict[str, Value] | None = None, **plan: Value) -> Job:
        """A job that trains a logistic regression for two rounds, each evaluated."""
        chosen: dict[str, Value] = {"target": "y", "features": ("x", "z"), "strategy": self.strategy, "seed": 7, **plan}
        chosen["options"] = tuple(sorted({"rounds": ROUNDS, "steps": 2, "batch_size": 8, **(options or {})}.items()))
        joint = agreed(self.published)
        asked = training.computation(TrainingPlan.of(tuple(sorted(chosen.items())), joint))
        return self.job(asked, minimum_parties=least, max_rounds=40)

    def plain(self, job: Job) -> Plain:
        return Plain(job, {party: (self.published[party], self.engines[party]) for party in job.parties})


def trains(stage: TrainingStage, least: int = 3, **more: Any) -> tuple[Job, bytes]:
    """Everybody attends and a training is handed in; nothing of it is delivered yet."""
    stage.attend()
    stage.settle()
    return begun(stage, stage.training(least, **more))


def disturbed(
    stage: TrainingStage, at: int, act: Callable[[Stage], None], least: int = 3, **more: Any
) -> tuple[Job, bytes]:
    """Run a training, do `act` before delivery number `at` of it, and let whoever is away come back in the end."""
    job, job_hash = trains(stage, least, **more)
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


def boundaries(**more: Any) -> int:
    """How many frames an undisturbed training takes."""
    stage = TrainingStage(**more)
    _, job_hash = trains(stage)
    start = stage.delivered
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED, stage.blames(job_hash)
    return stage.delivered - start


@cache
def _plainly(k: int, own_figures: bool, job: Job, sets: tuple[tuple[str, ...], ...]) -> Training:
    """Where a training of these parties ends."""
    stage = TrainingStage(names=job.parties, k=k, own_figures=own_figures)
    return stage.plain(job).run(lambda index, _parties: sets[index])


def assert_trained(stage: TrainingStage, job: Job, job_hash: bytes, counted: Sequence[Sequence[str]] = ()) -> Released:
    """The training ended as plain addition over the same parties does, bit for bit, and nobody told two stories.

    `counted` are the parties of every sum, all of them in all by default.
    """
    assert stage.state(job_hash) is State.RELEASED, (stage.blames(job_hash), stage.violations, stage.stopped)
    released = stage.released(job_hash)
    sets = released.contributors
    assert sets == tuple(tuple(one) for one in counted or [job.parties] * len(sets))
    reached = _plainly(stage.k, stage.own_figures, job, sets)
    assert released.transcript == reached.transcript
    for best in (True, False):
        assert stage.coordinator.model(job_hash, "ana", best=best)() == reached.file(best=best)
    follow = planner.followed(job, agreed(stage.published))
    assert isinstance(follow, Followed)
    verified.replay(follow, job, job_hash, released, coordinator=COORDINATOR)
    assert follow.history == reached.history
    assert not stage.stories()
    assert not stage.violations
    return released


def opened_sums(stage: TrainingStage, job: Job) -> int:
    """How many sums the training has."""
    return training.most_sums(Training(job, agreed(stage.published)).plan, agreed(stage.published))
