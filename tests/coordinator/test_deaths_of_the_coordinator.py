"""kill -9 of the coordinator at every boundary and at every write, and a start over the same store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.jurisdiction.driver import Driver as Jurisdiction
from federation.coordinator.driver import Driver as Coordinator
from federation.domain.job import State
from federation.domain.roster import Roster
from federation.wire import messages as m
from tests.coordinator.stage import (
    COORDINATOR,
    PARTIES,
    DyingStore,
    Killed,
    Stage,
    assert_exact,
    begun,
    boundaries,
    disturbed,
    people,
    roster,
)

LONG = (2, False)  # k and own figures: a round of support before the sums
THREE = PARTIES[:3]


def test_the_coordinator_may_die_at_every_boundary() -> None:
    for at in range(boundaries(*LONG)):
        stage = Stage()
        job, job_hash = disturbed(stage, at, lambda stage: stage.kill_coordinator())
        assert_exact(stage, job, job_hash)


@pytest.mark.parametrize("after", [False, True])
def test_the_coordinator_may_die_before_and_after_every_write(after: bool) -> None:
    deaths = 0
    for at in range(1, 60):  # 0 is the job itself: nobody heard of it yet
        store = DyingStore()
        store.dies_at, store.dies_after = at, after
        stage = Stage(store=store)
        job, job_hash = begun(stage)
        stage.settle()
        stage.come_back()
        assert_exact(stage, job, job_hash)
        if store.appends <= at:
            break
        deaths += 1
    assert deaths >= 4, "it writes when something follows: reviewed, two keys, two heads, signed"


@pytest.mark.parametrize("after", [False, True])
def test_a_job_whose_submission_died_is_handed_in_again_with_its_token_and_runs_once(after: bool) -> None:
    store = DyingStore()
    stage = Stage(store=store)
    stage.attend()
    job = stage.job()
    store.dies_at, store.dies_after = store.appends, after
    with pytest.raises(Killed):
        stage.submit(job)
    stage.kill_coordinator()
    stage.attend()
    job_hash = stage.submit(job)
    stage.settle()
    assert_exact(stage, job, job_hash)
    assert stage.coordinator.counts() == (0, 1)
    assert all(len(engine.calls) == 1 for engine in stage.engines.values())


def test_everybody_may_die_at_once_at_every_boundary() -> None:
    for at in range(0, boundaries(*LONG), 2):
        stage = Stage()

        def act(stage: Stage) -> None:
            stage.kill_coordinator()
            for party in THREE:
                stage.kill(party)

        job, job_hash = disturbed(stage, at, act)
        assert_exact(stage, job, job_hash)


def test_a_store_that_forgets_what_was_answered_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: after a restart the coordinator takes nothing but the jobs from its store."""
    monkeypatch.setattr(DyingStore, "events", lambda self, job: self._events[job][:1])
    outcomes = set()
    for at in range(boundaries(*LONG)):
        stage = Stage(store=DyingStore())
        _, job_hash = disturbed(stage, at, lambda stage: stage.kill_coordinator())
        outcomes.add(stage.state(job_hash))
    assert outcomes != {State.RELEASED}


def test_a_released_job_is_told_after_a_restart_and_an_ended_one_keeps_its_reason() -> None:
    stage = Stage()
    job, job_hash = begun(stage)
    stage.settle()
    before = stage.released(job_hash)
    late = stage.job(token=b"u" * 16)
    late_hash = stage.submit(late)
    stage.expire()
    assert stage.blames(late_hash) == {(party, "refused") for party in THREE}
    stage.kill_coordinator()
    assert stage.released(job_hash) == before
    assert_exact(stage, job, job_hash)
    assert stage.state(late_hash) is State.REFUSED
    assert stage.blames(late_hash) == {(party, "refused") for party in THREE}
    stage.attend()
    stage.settle()
    assert all(not list(j._entries) for j in stage.jurisdictions.values()), "who missed the end is told"


def test_a_job_of_an_earlier_roster_does_not_keep_anybody_from_starting() -> None:
    """Members changed while a job ran: it is not taken up again, and the parties are told that it is over."""
    stage = Stage()
    _, job_hash = begun(stage)
    for _ in range(8):
        stage.deliver(*stage.pending()[0])
    later = roster_of_next_year()
    coordinator = Coordinator(people()[COORDINATOR], later, stage.store)
    assert coordinator.resume() == 0
    assert coordinator.counts() == (0, 0)
    unchanged = stage.store.events(job_hash)
    assert unchanged, "the record of it stays"
    outgoing = coordinator.attend("macao", moved(stage, "macao").hello())
    assert [item.frame.signed.domain for item in outgoing] == [m.ENDED]


def roster_of_next_year() -> Roster:
    return replace(roster(), version=2, signatures=())


def moved(stage: Stage, party: str) -> Jurisdiction:
    """The party's driver over the same vault, with the roster of next year."""
    stage.hang_up(party)
    desk = stage.jurisdictions[party]._desk
    return Jurisdiction(replace(desk, roster=roster_of_next_year()), "test")
