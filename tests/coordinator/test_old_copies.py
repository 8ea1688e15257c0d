"""A jurisdiction whose memory was put back to an earlier time is shown its last answer, and refuses to go on.

From an older memory it could open a query over a second set. The coordinator keeps the last numbered answer that each
party signed and shows it when the party attends: also after a restart, and also of jobs that are over.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from clients.jurisdiction.driver import Driver as Jurisdiction
from clients.jurisdiction.records import Records
from federation.coordinator.driver import Driver as Coordinator
from federation.domain.job import State
from federation.domain.roster import Roster
from federation.protocols.masked_sum.messages import Head
from federation.wire import convert
from federation.wire import messages as m
from tests.coordinator.stage import (
    COORDINATOR,
    PARTIES,
    Stage,
    TornVault,
    assert_exact,
    begun,
    people,
    roster,
)

THREE = PARTIES[:3]
OLD = "hongkong"


def copied(stage: Stage) -> TornVault:
    """A copy of the party's memory as it is now."""
    vault = stage.vaults[OLD]
    assert isinstance(vault, TornVault)
    made = TornVault()
    made._streams, made._records = copy.deepcopy((vault._streams, vault._records))
    return made


def put_back(stage: Stage, old: TornVault) -> None:
    """Let the daemon start over the copy and attend."""
    stage.vaults[OLD] = old
    stage.kill(OLD)
    stage.attend(OLD)
    stage.settle()


def assert_refused(stage: Stage, number: int, known: int) -> None:
    fault = stage.stopped[OLD]
    assert (fault.rule, fault.party) == ("rollback", OLD)
    assert f"has signed answer number {number}, and its memory knows {known}" in fault.message
    assert OLD not in stage.coordinator.connected
    assert not stage.violations, "nobody broke the protocol"


def answered_twice(stage: Stage) -> tuple[TornVault, bytes]:
    """One job of two sums is over; the copy is of the time before it."""
    stage.attend()
    stage.settle()
    old = copied(stage)
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    return old, job_hash


def test_a_memory_from_before_an_answer_refuses_also_when_that_job_is_over() -> None:
    stage = Stage()
    old, _ = answered_twice(stage)
    put_back(stage, old)
    assert_refused(stage, 2, 0)


def test_it_refuses_before_it_answers_anything_else() -> None:
    """A job waits for its verdict: the old memory gives none."""
    stage = Stage()
    old, _ = answered_twice(stage)
    job = stage.job(token=b"u" * 16)
    stage.hang_up(OLD)
    second = stage.submit(job)
    stage.settle()
    before = {key for key in stage.sent if key[0] == OLD}
    put_back(stage, old)
    assert_refused(stage, 2, 0)
    assert {key for key in stage.sent if key[0] == OLD} == before
    assert stage.state(second) is State.UNDER_REVIEW


def test_a_memory_from_before_an_answer_of_a_job_that_runs_refuses() -> None:
    for sums in (0, 1):
        stage = Stage()
        _, job_hash = begun(stage)
        old = copied(stage)
        while stage.coordinator.update(job_hash, "ana").round_index < sums or not _answered(stage, sums + 1):
            stage.deliver(*stage.pending()[0])
        put_back(stage, old)
        assert_refused(stage, sums + 1, 0)


def _consenting(stage: Stage, job_hash: bytes) -> bool:
    """Whether all answers of the second sum are in, and written down, since something follows from them."""
    return stage.coordinator._runs[job_hash].phase == (1, 0, "consent")


def _answered(stage: Stage, number: int) -> bool:
    """Whether the coordinator has the party's answer of this number."""
    return stage.coordinator._answers.get(OLD, (0,))[0] >= number


def test_a_copy_from_after_the_last_answer_goes_on() -> None:
    """It knows all that was answered; what it lacks is sent again."""
    stage = Stage()
    job, job_hash = begun(stage)
    while not _answered(stage, 2):
        stage.deliver(*stage.pending()[0])
    old = copied(stage)
    stage.deliver(*stage.pending()[0])
    put_back(stage, old)
    stage.come_back()
    assert not stage.stopped
    assert_exact(stage, job, job_hash)


@pytest.mark.parametrize("running", [False, True])
def test_a_coordinator_that_was_restarted_still_remembers(running: bool) -> None:
    stage = Stage()
    old, job_hash = answered_twice(stage)
    if running:
        old = copied(stage)
        job_hash = stage.submit(stage.job(token=b"u" * 16))
        while not _consenting(stage, job_hash):
            stage.deliver(*stage.pending()[0])
    for _ in range(2):
        stage.kill_coordinator()
        assert stage.coordinator._answers[OLD][0] == (4 if running else 2)
    put_back(stage, old)
    assert_refused(stage, *((4, 2) if running else (2, 0)))
    assert stage.state(job_hash) is (State.RUNNING if running else State.RELEASED)


def later_roster() -> Roster:
    return replace(roster(), version=2, signatures=())


def test_a_roster_of_the_next_year_does_not_make_it_forget() -> None:
    """Jobs of an earlier roster are not taken up; what was answered in them was answered."""
    for ended in (True, False):
        stage = Stage()
        _, job_hash = begun(stage)
        while not (stage.state(job_hash).ended if ended else _consenting(stage, job_hash)):
            stage.deliver(*stage.pending()[0])
        coordinator = Coordinator(people()[COORDINATOR], later_roster(), stage.store)
        assert coordinator.resume() == 0
        assert coordinator._answers[OLD][0] == 2


def test_a_party_with_a_new_key_is_not_shown_what_it_cannot_verify() -> None:
    stage = Stage()
    answered_twice(stage)
    stranger = people()["zunyi"].member
    moved = tuple(
        replace(member, identity_key=stranger.identity_key) if member.name == OLD else member
        for member in roster().members
        if member.name != "zunyi"
    )
    coordinator = Coordinator(people()[COORDINATOR], replace(roster(), version=2, members=moved), stage.store)
    coordinator.resume()
    assert OLD not in coordinator._answers
    assert coordinator._answers["macao"][0] == 2


def test_an_answer_that_it_remembers_says_nothing_to_a_party() -> None:
    stage = Stage()
    _, job_hash = answered_twice(stage)
    driver = stage.jurisdictions[OLD]
    heads = [
        convert.frame_of(payload).signed
        for kind, payload in stage.store.events(job_hash)
        if kind == "frame" and convert.frame_of(payload).signed.domain == Head.domain
    ]
    mine = [head for head in heads if head.key_id == people()[OLD].member.key_id]
    assert [driver.receive(m.Frame(head)) for head in mine] == [[], []]


def test_a_party_that_was_told_what_it_lost_goes_on_and_the_others_keep_their_records() -> None:
    """The operator gave the newest copy up: the party counts on, and a forgotten query opens over no other set."""
    stage = Stage(names=PARTIES[:4])
    stage.attend()
    stage.settle()
    old = copied(stage)
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    Records(old).reconcile(2)
    put_back(stage, old)
    assert not stage.stopped
    again = stage.submit(stage.job(token=b"u" * 16))
    stage.settle()
    assert stage.state(again) is State.RELEASED
    assert stage.totals(again) == stage.totals(job_hash)


def test_what_a_party_forgot_the_others_refuse() -> None:
    stage = Stage(names=PARTIES[:4])
    stage.attend()
    stage.settle()
    old = copied(stage)
    begun(stage)
    stage.settle()
    Records(old).reconcile(2)
    put_back(stage, old)
    fewer = stage.submit(stage.job(parties=PARTIES[:3], token=b"u" * 16))
    stage.settle()
    assert stage.state(fewer) is State.REFUSED
    assert {party for party, o in stage.objections().items() if o.job_hash == fewer} == {"guangdong", "macao"}


def test_without_the_comparison_an_old_memory_would_open_a_query_over_a_second_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted fault, with all copies old: what was opened over four is opened over three."""
    monkeypatch.setattr(Jurisdiction, "_remembered", lambda *_: [])
    stage = Stage(names=PARTIES[:4], k=1, own_figures=True)
    stage.attend()
    stage.settle()
    olds = {party: copy.deepcopy((vault._streams, vault._records)) for party, vault in stage.vaults.items()}  # type: ignore[attr-defined]
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    for party, (streams, records) in olds.items():
        vault = TornVault()
        vault._streams, vault._records = streams, records
        stage.vaults[party] = vault
        stage.kill(party)
    stage.attend()
    stage.settle()
    assert not stage.stopped
    fewer = stage.submit(stage.job(parties=PARTIES[:3], token=b"u" * 16))
    stage.settle()
    assert stage.state(fewer) is State.RELEASED
