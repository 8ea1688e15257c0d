"""How long those are waited for whom a job can do without: by the clock, and the same after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from federation.coordinator.config import CoordinatorConfig
from federation.coordinator.patience import Patience
from federation.domain.job import Job, State
from federation.protocols.masked_sum.messages import Advert, Consent, Head
from federation.wire import messages as m
from tests.coordinator.stage import DEADLINE_MS, NOW_MS, PARTIES, Stage, assert_exact, begun

SOON = Patience(away_ms=10_000, silent_ms=20_000)
FOUR = PARTIES[:4]


def without(
    *muted: str, domain: str = Head.domain, patience: Patience = SOON, **changes: object
) -> tuple[Stage, Job, bytes]:
    """A job of four of whom some attend and never answer in one step."""

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        return () if (way, frame.signed.domain) == ("in", domain) and party in muted else (frame,)

    stage = Stage(names=FOUR, k=1, own_figures=True, patience=patience, link=link)
    stage.attend()
    stage.settle()
    job, job_hash = begun(stage, stage.job(**changes))
    stage.settle()
    return stage, job, job_hash


def tick(stage: Stage, at_ms: int) -> None:
    stage.now_ms = at_ms
    stage.route(stage.coordinator.tick(at_ms))


def assert_due(stage: Stage, job_hash: bytes, due_ms: int) -> None:
    """At this time and not before, the job goes on without whom it waits for."""
    phase = stage.coordinator._runs[job_hash].phase
    assert stage.coordinator.next_deadline_ms() == due_ms
    tick(stage, due_ms - 1)
    assert stage.coordinator._runs[job_hash].phase == phase
    tick(stage, due_ms)
    assert stage.coordinator._runs[job_hash].phase != phase


def test_who_is_away_is_waited_for_from_the_moment_when_its_line_broke() -> None:
    stage, job, job_hash = without("macao")
    stage.now_ms += 3_000
    stage.hang_up("macao")
    assert_due(stage, job_hash, NOW_MS + 3_000 + SOON.away_ms)
    stage.settle()
    assert_exact(stage, job, job_hash, ("guangdong", "hongkong", "shenzhen"))


def test_who_was_away_before_is_waited_for_since_the_others_were_done() -> None:
    """It went before its keys were asked for; the wait for its numbers begins when only they are missing."""
    stage = Stage(names=FOUR, k=1, own_figures=True, patience=SOON)
    _, job_hash = begun(stage)
    while stage.coordinator._runs[job_hash].phase[2] != "head":
        stage.deliver(*stage.pending()[0])
    stage.hang_up("macao")
    stage.now_ms += 7_000
    stage.settle()
    assert_due(stage, job_hash, NOW_MS + 7_000 + SOON.away_ms)


def test_who_attends_and_is_silent_is_waited_for_longer() -> None:
    stage, job, job_hash = without("macao")
    assert_due(stage, job_hash, NOW_MS + SOON.silent_ms)
    stage.settle()
    assert_exact(stage, job, job_hash, ("guangdong", "hongkong", "shenzhen"))


def test_coming_back_without_an_answer_does_not_begin_the_wait_anew() -> None:
    stage, _, job_hash = without("macao")
    for _ in range(5):
        stage.now_ms += 1_000
        stage.attend("macao")
        stage.settle()
    assert_due(stage, job_hash, NOW_MS + SOON.silent_ms)


def test_who_comes_back_from_away_has_the_longer_wait_again() -> None:
    stage, _, job_hash = without("macao")
    stage.hang_up("macao")
    assert stage.coordinator.next_deadline_ms() == NOW_MS + SOON.away_ms
    stage.now_ms += 9_999
    stage.attend("macao")
    stage.settle()
    assert_due(stage, job_hash, NOW_MS + SOON.silent_ms)


def test_one_who_is_silent_and_one_who_is_away_are_waited_for_as_the_silent_one() -> None:
    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        muted = party in ("hongkong", "macao")
        return () if (way, frame.signed.domain) == ("in", Head.domain) and muted else (frame,)

    stage = Stage(names=PARTIES, k=1, own_figures=True, patience=SOON, link=link)
    _, job_hash = begun(stage)
    stage.settle()
    stage.hang_up("macao")
    assert_due(stage, job_hash, NOW_MS + SOON.silent_ms)


def test_every_step_is_waited_for_anew() -> None:
    stage = Stage(names=PARTIES, k=1, own_figures=True, patience=SOON)
    lost = {"macao": Advert.domain, "zunyi": Head.domain}

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if way == "in" and lost.get(party) == frame.signed.domain:
            stage.hang_up(party)
            return ()
        return (frame,)

    stage.link = link
    job, job_hash = begun(stage)
    stage.settle()
    assert_due(stage, job_hash, NOW_MS + SOON.away_ms)
    stage.settle()
    assert_due(stage, job_hash, NOW_MS + 2 * SOON.away_ms)
    stage.settle()
    assert_exact(stage, job, job_hash, tuple(party for party in job.parties if party not in lost))


@pytest.mark.parametrize(
    ("muted", "changes"),
    [
        (("macao",), {"minimum_parties": 4}),
        (("macao", "shenzhen"), {}),
    ],
    ids=["nobody may be missing", "fewer than the threshold are there"],
)
def test_who_cannot_be_spared_is_waited_for_until_the_deadline(muted: tuple[str, ...], changes: dict[str, int]) -> None:
    stage, _, job_hash = without(*muted, **changes)
    assert stage.coordinator.next_deadline_ms() == DEADLINE_MS
    tick(stage, DEADLINE_MS - 1)
    assert stage.state(job_hash) is State.RUNNING
    tick(stage, DEADLINE_MS)
    assert stage.blames(job_hash) == {(party, "unavailable") for party in muted}


def test_a_deadline_that_comes_before_patience_passes_ends_the_job() -> None:
    stage, _, job_hash = without("macao", patience=replace(SOON, silent_ms=900_000))
    assert stage.coordinator.next_deadline_ms() == DEADLINE_MS
    tick(stage, DEADLINE_MS)
    assert stage.blames(job_hash) == {("macao", "unavailable")}


def test_silence_in_review_is_not_spared() -> None:
    stage, _, job_hash = without("macao", domain=m.VERDICT)
    assert stage.coordinator.next_deadline_ms() == DEADLINE_MS
    tick(stage, DEADLINE_MS - 1)
    assert stage.state(job_hash) is State.UNDER_REVIEW


def test_without_patience_a_job_goes_on_at_once() -> None:
    stage, job, job_hash = without("macao", patience=Patience(away_ms=0, silent_ms=0))
    assert_due(stage, job_hash, NOW_MS)
    stage.settle()
    assert_exact(stage, job, job_hash, ("guangdong", "hongkong", "shenzhen"))


def test_going_on_is_told_in_the_jobs_log_with_the_names() -> None:
    stage, _, job_hash = without("macao")
    tick(stage, NOW_MS + SOON.silent_ms)
    texts = [line.text for line in stage.coordinator.log(job_hash, "ana")]
    assert "waits no longer for macao" in texts
    stage.kill_coordinator()
    assert "waits no longer for macao" in [line.text for line in stage.coordinator.log(job_hash, "ana")]


def test_a_recall_is_told_as_one() -> None:
    stage, _, job_hash = without("guangdong", "hongkong", domain=Consent.domain)
    tick(stage, NOW_MS + SOON.silent_ms)
    texts = [line.text for line in stage.coordinator.log(job_hash, "ana")]
    assert "asks everybody to try the sum again: no consent of guangdong, hongkong" in texts


def test_a_restart_begins_the_wait_anew_and_forgets_nothing_else() -> None:
    stage, job, job_hash = without("macao")
    stage.now_ms += 15_000
    stage.kill_coordinator()
    for party in ("guangdong", "hongkong", "shenzhen"):
        stage.attend(party)
    stage.settle()
    assert_due(stage, job_hash, NOW_MS + 15_000 + SOON.away_ms)
    stage.settle()
    assert_exact(stage, job, job_hash, ("guangdong", "hongkong", "shenzhen"))


def frames_of(stage: Stage, job_hash: bytes) -> dict[str, list[m.Frame]]:
    """Every frame that a party would get if it attended now."""
    run = stage.coordinator._runs[job_hash]
    return {party: [outgoing.frame for outgoing in run.outstanding(party)] for party in FOUR}


@pytest.mark.parametrize("domain", [Advert.domain, Head.domain, Consent.domain, m.ATTESTATION])
def test_that_it_went_on_is_an_event_and_folding_gives_the_same_bytes_for_everybody(domain: str) -> None:
    muted = ("macao",) if domain != Consent.domain else ("macao", "shenzhen")
    stage, _, job_hash = without(*muted, domain=domain)
    tick(stage, NOW_MS + SOON.silent_ms)
    compared = 0
    while True:
        before, phase = frames_of(stage, job_hash), stage.coordinator._runs[job_hash].phase
        other = Stage(names=FOUR, k=1, own_figures=True, patience=SOON, store=stage.store)
        other.coordinator.resume()
        other.coordinator.update(job_hash, "ana")
        if other.coordinator._runs[job_hash].phase == phase:  # what nothing followed from is not written yet
            assert frames_of(other, job_hash) == before
            compared += 1
        if not stage.pending():
            break
        stage.deliver(*stage.pending()[0])
    assert compared >= 3
    assert [kind for kind, _ in stage.store.events(job_hash)].count("late") == 1


def test_a_fold_that_leaves_out_that_it_went_on_would_not_stand_where_it_stood() -> None:
    """The planted fault."""
    stage, _, job_hash = without("macao")
    tick(stage, NOW_MS + SOON.silent_ms)
    phase = stage.coordinator._runs[job_hash].phase
    events = stage.store.events(job_hash)
    stage.store._events[job_hash] = [event for event in events if event[0] != "late"]  # type: ignore[attr-defined]
    stage.kill_coordinator()
    assert stage.coordinator._runs[job_hash].phase != phase


def test_the_file_says_it_in_seconds() -> None:
    config = CoordinatorConfig.model_validate(
        {"keys": "keys", "roster": "roster", "state": "state", "away_s": 1.5, "silent_s": 60}
    )
    assert config.patience == Patience(away_ms=1_500, silent_ms=60_000)
