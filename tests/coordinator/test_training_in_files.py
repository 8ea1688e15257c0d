"""A training whose vectors and totals rest in the coordinator's files, which dies with its real store at boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.jurisdiction import sums as party_sums
from federation.coordinator import bulk_files, folding
from federation.coordinator.bulk_files import DiskSpool, Resting
from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.spool import Parts
from federation.coordinator.store import SqliteStore
from federation.jobs import training
from federation.wire import messages as m
from tests.coordinator.stage import COORDINATOR, Stage, people, roster
from tests.coordinator.training_stage import TrainingStage, assert_trained, disturbed

pytest.importorskip("torch")

LONG = 1_500  # bytes: updates of the wide model are longer, shares of keys are not
WIDE: dict[str, Any] = {"model": "mlp", "config": (("hidden", (96,)),)}


@pytest.fixture(params=[1 << 20, 0], ids=["all", "sample"])
def long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (folding, party_sums):
        monkeypatch.setattr(room, "LONG_BYTES", LONG)
    monkeypatch.setattr(bulk_files, "INLINE_BYTES", LONG)
    monkeypatch.setattr(bulk_files, "LEAST_VIEW", LONG)
    monkeypatch.setattr(bulk_files, "RELIEVED_BYTES", 0)
    monkeypatch.setattr(training, "ALL_BYTES", request.param)


class FiledStage(TrainingStage):
    """A training stage to which long frames come as they do from a line: through the spool of its store."""

    def on(self, folder: Path) -> FiledStage:
        self.folder, self.rested = folder, 0

        def arrived(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
            del party
            if way == "out":
                self.rested += isinstance(frame.parts, Resting)
                return (replace(frame, parts=tuple(map(bytes, frame.parts))),)
            if sum(map(len, frame.parts)) <= LONG:
                return (frame,)
            arriving = self.store.spool.arriving()
            for part in frame.parts:
                arriving.add([part])
            return (replace(frame, parts=arriving.whole()),)

        self.link = arrived
        return self


def dies(stage: Stage) -> None:
    """The process is gone, without a word to its files; another one starts over them."""
    assert isinstance(stage, FiledStage)
    assert isinstance(stage.store, SqliteStore)
    stage.store._db.close()
    stage.lines.clear()
    stage.store = SqliteStore(stage.folder / "events.db")
    stage.coordinator = Coordinator(people()[COORDINATOR], roster(), stage.store)
    stage.coordinator.resume()


@pytest.mark.usefixtures("long")
def test_a_coordinator_may_die_over_vectors_in_files_at_any_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it finds again are mapped files, and the model is that of plain addition; at the end none is left."""
    again = 0
    found = DiskSpool.found

    def counted(self: DiskSpool, job_hash: bytes, party: str, digest: bytes) -> Parts | None:
        nonlocal again
        parts = found(self, job_hash, party, digest)
        again += parts is not None
        return parts

    monkeypatch.setattr(DiskSpool, "found", counted)
    rested = 0
    for at in range(42, 170, 21):
        folder = tmp_path / str(at)
        folder.mkdir()
        stage = FiledStage(store=SqliteStore(folder / "events.db")).on(folder)
        job, job_hash = disturbed(stage, at, dies, **WIDE)
        assert_trained(stage, job, job_hash)
        rested += stage.rested
        assert not [path.name for path in folder.glob("bulk-*")]
        stage.store.close()
    assert again
    assert bool(rested) is (training.ALL_BYTES == 0), "only where a total goes out alone"
