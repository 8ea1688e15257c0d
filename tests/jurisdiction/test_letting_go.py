"""A daemon holds a long vector until it is out, a long total until it is merged, and says the same again if asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from clients.jurisdiction import learning, letting_go, run
from clients.jurisdiction import sums as party_sums
from clients.jurisdiction.learning import Learning
from clients.jurisdiction.run import Desk
from federation.coordinator import folding
from federation.domain.job import State
from federation.jobs import training
from federation.wire import messages as m
from tests.coordinator import stage as coordinated
from tests.coordinator.stage import PARTIES, Stage
from tests.coordinator.training_stage import TrainingStage, assert_trained, disturbed, trains

pytest.importorskip("torch")

LONG = 1_500  # bytes: updates of the wide model are longer, shares of keys are not
WIDE: dict[str, Any] = {"model": "mlp", "config": (("hidden", (96,)),)}
FIRST, LAST = 24, 150  # deliveries between which updates and totals travel


@pytest.fixture(autouse=True, params=[False, True], ids=["all", "sample"])
def _long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (folding, party_sums):
        monkeypatch.setattr(room, "LONG_BYTES", LONG)
    monkeypatch.setattr(learning, "HELD_BYTES", LONG)
    monkeypatch.setattr(coordinated, "Desk", partial(Desk, spares=True))
    if request.param:
        monkeypatch.setattr(training, "ALL_BYTES", 0)


@dataclass
class Lined(TrainingStage):
    """A stage whose frames are copied on their way, as on a line, and let go of once they are out."""

    came: list[memoryview] = field(default_factory=list)
    went: list[memoryview] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = self._copied
        super().__post_init__()

    def _copied(self, way: str, _party: str, frame: m.Frame) -> Sequence[m.Frame]:
        parts = tuple(memoryview(bytes(part)) for part in frame.parts)
        if way == "out" and sum(map(len, parts)) > LONG:
            self.came += parts
        return (replace(frame, parts=parts),)

    def _answered(self, party: str, frames: Sequence[m.Frame]) -> None:
        for frame in frames:
            super()._answered(party, [replace(frame, parts=tuple(map(bytes, frame.parts)))])
            self.went += [part for part in frame.parts if isinstance(part, memoryview)]
            self.jurisdictions[party].let_go(frame)


def is_released(view: memoryview) -> bool:
    try:
        len(view)
    except ValueError:
        return True
    return False


def hang_up(party: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.hang_up(party)
        stage.attend(party)

    return act


def kill(party: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.kill(party)
        stage.attend(party)

    return act


def test_a_vector_is_released_when_it_is_out_and_a_total_when_it_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ALL_BYTES", 0)  # totals that parties add up themselves are short
    stage = Lined()
    job, job_hash = trains(stage, **WIDE)
    stage.settle()
    assert_trained(stage, job, job_hash)
    assert stage.went
    assert all(map(is_released, stage.went))
    assert sum(map(is_released, stage.came)) >= 2 * len(PARTIES[:3])  # of two rounds; samples are not long
    for room in (run, party_sums):
        monkeypatch.setattr(room, "let_go", lambda _: None)  # the planted fault
    held = Lined()
    job, job_hash = trains(held, **WIDE)
    held.settle()
    assert_trained(held, job, job_hash)
    assert not any(map(is_released, (*held.went, *held.came)))


@pytest.mark.parametrize("act", [hang_up, kill])
def test_a_line_may_break_at_any_boundary_and_what_was_let_go_of_is_said_again(
    act: Callable[[str], Callable[[Stage], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    updated = Learning._updated

    def counted(self: Learning, course: training.Training) -> memoryview:
        made.append(course.round_index)
        return updated(self, course)

    monkeypatch.setattr(Learning, "_updated", counted)
    again = 0
    for at in range(FIRST, LAST, 9):
        made.clear()
        stage = Lined()
        job, job_hash = disturbed(stage, at, act(PARTIES[at % 3]), **WIDE)
        assert_trained(stage, job, job_hash)  # bit for bit, and nobody told two stories
        again += len(made) > 2 * len(PARTIES[:3])
    assert again > 3


def test_a_vector_that_cannot_be_made_again_ends_the_job_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: another processor, or another version of torch, after the line broke."""
    updated = Learning._updated
    ends = set()
    for at in range(FIRST, LAST, 9):
        broken = PARTIES[at % 3]
        seen: list[int] = []

        def other(
            self: Learning, course: training.Training, broken: str = broken, seen: list[int] = seen
        ) -> memoryview:
            words = updated(self, course)
            if self._trainer._me != broken:
                return words
            seen.append(course.round_index)
            changed = np.frombuffer(words, dtype=np.uint8).copy()
            changed[0] ^= seen.count(course.round_index) > 1
            return memoryview(changed.tobytes())

        monkeypatch.setattr(Learning, "_updated", other)
        stage = Lined()
        _, job_hash = disturbed(stage, at, hang_up(broken), **WIDE)
        ends.add(stage.state(job_hash))
        if stage.state(job_hash) is not State.RELEASED:
            assert {party for party, _ in stage.blames(job_hash)} == {broken}
        assert not stage.stories()
    assert ends >= {State.RELEASED, State.ABORTED}


def test_views_of_chunks_are_released_alone_and_what_is_in_use_stays() -> None:
    data = b"abcdef"
    first, second = letting_go.views([data, data]), letting_go.views([memoryview(data)])
    letting_go.let_go(first)
    assert all(map(is_released, first))
    assert bytes(second[0]) == data
    used = memoryview(bytearray(8))
    array = np.frombuffer(used, dtype="<u8")
    letting_go.let_go([used, b"bytes are left alone"])
    assert not array.any()
