"""Parties that are lost at every step of a job, and come back or never do.

A first sum goes on without them if the job permits it, and everything after it is between exactly those who were
counted. Where it may not go on it waits, until they come back or the deadline names them. Whoever was left out signs
nothing, learns of nothing that comes after, and holds nobody up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from clients.jurisdiction.sums import secrets_of
from clients.researcher import verified
from federation.coordinator.patience import Patience
from federation.domain.catalogue import agreed
from federation.domain.job import Computation, Job, Released, State
from federation.errors import ProtocolViolation
from federation.jobs import sums
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.wire import messages as m
from tests.coordinator.stage import (
    COORDINATOR,
    DEADLINE_MS,
    PARTIES,
    Stage,
    TornVault,
    assert_exact,
    begun,
    reference,
)

STEPS = {"advert": Advert, "shares": Shares, "head": Head, "consent": Consent, "unmask": Unmask}
UNCOUNTED = ("advert", "shares", "head")  # lost before that, a party's numbers are not there to be counted
SOON = Patience(away_ms=10_000, silent_ms=20_000)
MEDIAN = Computation(name="quantile", version=1, parameters=(("column", "x"), ("q", (0.25, 0.75))))
Then = Callable[[Stage, str], None]


def gone(_stage: Stage, _party: str) -> None:
    """It never comes back."""


def stage_of(parties: int, *, single: bool = True) -> Stage:
    """So many parties; `single`: a job is one secure sum, and else a round of support before it."""
    return Stage(names=PARTIES[:parties], k=1 if single else 2, own_figures=single, patience=SOON)


def lose(stage: Stage, parties: Sequence[str], step: str, *, index: int = 0) -> list[str]:
    """Break a party's line when it sends its message of this step in this sum; return who was lost so far."""
    domain = m.ATTESTATION if step == "attestation" else STEPS[step].domain
    lost: list[str] = []

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        due = (way, frame.signed.domain, frame.round_index) == ("in", domain, index)
        if not due or party not in parties or party in lost:
            return (frame,)
        lost.append(party)
        stage.hang_up(party)
        return ()

    stage.link = link
    return lost


def without_them(stage: Stage) -> None:
    """Let patience pass; what follows is on its way."""
    stage.now_ms += SOON.away_ms
    stage.route(stage.coordinator.tick(stage.now_ms))


def survivors(job: Job, lost: Sequence[str]) -> tuple[str, ...]:
    return tuple(party for party in job.parties if party not in lost)


def believed(stage: Stage, job: Job, released: Released) -> None:
    """What the researcher replays and believes; raises what it would raise."""
    joint = agreed({party: stage.published[party] for party in job.parties})
    verified.outcomes(job, released.job_hash, joint, released, coordinator=COORDINATOR)


# --- the first sum ---------------------------------------------------------------------------------------------------


def returning_at_once(stage: Stage, party: str) -> None:
    """It comes back as soon as the others have gone on without it, while their messages are on the way."""
    stage.attend(party)


def returning_after_its_end(stage: Stage, party: str) -> None:
    stage.settle()
    stage.attend(party)


@pytest.mark.parametrize("then", [gone, returning_at_once, returning_after_its_end], ids=lambda then: then.__name__)
@pytest.mark.parametrize("step", [*STEPS, "attestation"])
@pytest.mark.parametrize(("parties", "away"), [(4, 1), (5, 1), (7, 2)])
def test_a_sum_is_opened_over_those_who_are_there(parties: int, away: int, step: str, then: Then) -> None:
    stage = stage_of(parties)
    job, job_hash = begun(stage)
    missing = job.parties[1 : 1 + away]
    lost = lose(stage, missing, step)
    stage.settle()
    assert sorted(lost) == list(missing)
    assert stage.state(job_hash) is State.RUNNING, "it waits for a while"
    without_them(stage)
    for party in missing:
        then(stage, party)
    stage.wait(stage.now_ms + SOON.away_ms)  # and for their signatures
    contributors = survivors(job, missing) if step in UNCOUNTED else job.parties
    assert_exact(stage, job, job_hash, contributors)
    released = stage.released(job_hash)
    believed(stage, job, released)
    if then is gone:
        assert set(released.attested_by) == set(job.parties) - set(missing)
    assert stage.now_ms < DEADLINE_MS, "nobody waited for the deadline"
    stage.come_back()
    assert all(not jurisdiction._entries for jurisdiction in stage.jurisdictions.values()), "everybody heard of the end"
    for party in job.parties:
        assert not any(stage.vaults[party].read(secrets_of(job_hash, index, 0)) for index in (0, 1))


@pytest.mark.parametrize("then", [gone, returning_at_once], ids=lambda then: then.__name__)
@pytest.mark.parametrize("step", UNCOUNTED)
@pytest.mark.parametrize(("parties", "away"), [(4, 1), (7, 2)])
def test_a_plan_goes_on_between_exactly_those_who_were_counted(parties: int, away: int, step: str, then: Then) -> None:
    stage = stage_of(parties)
    stage.attend()
    stage.settle()
    job, job_hash = begun(stage, stage.job(MEDIAN))
    missing = job.parties[-away:]
    lose(stage, missing, step)
    stage.settle()
    before = set(stage.sent)
    told: list[m.Frame] = []
    without_them(stage)

    def heard(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        told.extend([frame] if way == "out" and party in missing else [])
        return (frame,)

    stage.link = heard
    for party in missing:
        then(stage, party)
    stage.settle()
    contributors = survivors(job, missing)
    assert stage.state(job_hash) is State.RELEASED, stage.blames(job_hash)
    released = stage.released(job_hash)
    assert len(released.totals) >= 4
    assert set(released.contributors) == {contributors}
    assert stage.totals(job_hash) == reference(stage, job, contributors)
    assert set(released.attested_by) == set(contributors), "nobody waited for a signature of those who are not counted"
    believed(stage, job, released)
    assert not stage.stories()
    assert not stage.objections()
    for party in missing:
        later = [
            (domain, attempt) for who, domain, _, index, attempt in set(stage.sent) - before if who == party and index
        ]
        assert set(later) <= {(Advert.domain, 0), (Shares.domain, 0)}, (
            "keys that nobody uses, and nothing of later sums"
        )
        assert (party, m.ATTESTATION, job_hash, 0, 0) not in stage.sent
    assert not [f for f in told if (f.round_index, f.attempt) > (1, 0)], "and it hears nothing of them"


def test_parties_that_are_not_counted_may_help_to_open_and_hold_nothing_afterwards() -> None:
    """Of seven, two were too late with their numbers and one more went away: without the two nobody could open."""
    stage = stage_of(7)
    job, job_hash = begun(stage)
    late, gone_since = job.parties[5:], job.parties[4]
    lose(stage, late, "head")
    stage.settle()
    lost = lose(stage, [gone_since], "unmask")
    without_them(stage)
    stage.settle()
    assert lost == [gone_since]
    for helper in late:
        assert stage.coordinator.update(job_hash, "ana").round_index == 0, "the shares of four are too few"
        stage.attend(helper)
        stage.settle()
    assert stage.coordinator.update(job_hash, "ana").round_index == 1
    assert stage.state(job_hash) is State.RUNNING, "the signatures of four are too few"
    for helper in late:
        assert not stage.vaults[helper].read(secrets_of(job_hash, 0, 0))
        assert stage.jurisdictions[helper]._entries, "it has not heard of the end"
        stage.kill(helper)
        stage.attend(helper)
        stage.settle()
        assert (helper, m.ATTESTATION, job_hash, 0, 0) not in stage.sent
    stage.attend(gone_since)
    stage.settle()
    assert_exact(stage, job, job_hash, survivors(job, late))


def test_what_everybody_must_be_in_is_not_opened_over_fewer() -> None:
    """The researcher said so: minimum_parties is the number of parties."""
    for step in UNCOUNTED:
        stage = stage_of(5)
        stage.attend()
        stage.settle()
        job, job_hash = begun(stage, stage.job(minimum_parties=5))
        lose(stage, ["zhuhai"], step)
        stage.wait(DEADLINE_MS - 1)
        assert stage.state(job_hash) is State.RUNNING
        assert stage.coordinator.update(job_hash, "ana").round_index == 0
        stage.attend("zhuhai")
        stage.settle()
        assert_exact(stage, job, job_hash)


@pytest.mark.parametrize("step", UNCOUNTED)
def test_fewer_than_the_threshold_wait_and_end_with_the_names_of_all_who_are_missing(step: str) -> None:
    stage = stage_of(5)
    _, job_hash = begun(stage)
    missing = ["guangdong", "zhuhai"]
    lose(stage, missing, step)
    stage.wait(DEADLINE_MS)
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {(party, "unavailable") for party in missing}
    assert stage.coordinator.released(job_hash, "ana") == ((), ())


# --- three parties: pause and resume ---------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("step", STEPS)
def test_three_pause_at_every_step_and_resume(step: str, index: int) -> None:
    stage = stage_of(3, single=False)
    job, job_hash = begun(stage)
    party = PARTIES[(index + len(step)) % 3]
    lost = lose(stage, [party], step, index=index)
    stage.wait(DEADLINE_MS - 1)
    assert lost == [party]
    assert stage.state(job_hash) is State.RUNNING
    stage.attend(party)
    stage.settle()
    assert_exact(stage, job, job_hash)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("step", [*STEPS, "attestation"])
def test_three_of_whom_one_never_comes_back_end_with_its_name(step: str, index: int) -> None:
    stage = stage_of(3, single=False)
    _, job_hash = begun(stage)
    lose(stage, ["macao"], step, index=0 if step == "attestation" else index)
    stage.wait(DEADLINE_MS)
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("macao", "unavailable")}
    assert stage.now_ms == DEADLINE_MS


# --- later sums ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["consent", "unmask"])
@pytest.mark.parametrize("parties", [4, 5])
def test_who_is_lost_after_its_numbers_are_there_does_not_hold_up_a_later_sum(parties: int, step: str) -> None:
    stage = stage_of(parties, single=False)
    job, job_hash = begun(stage)
    lose(stage, ["macao"], step, index=1)
    stage.settle()
    assert stage.coordinator.update(job_hash, "ana").round_index == 2
    stage.wait(stage.now_ms + SOON.away_ms)
    assert_exact(stage, job, job_hash, job.parties)
    assert set(stage.released(job_hash).attested_by) == set(job.parties) - {"macao"}


@pytest.mark.parametrize("comes_back", [True, False])
@pytest.mark.parametrize(("step", "index"), [("consent", 0), ("unmask", 0), ("shares", 1), ("head", 1)])
@pytest.mark.parametrize("parties", [4, 5])
def test_a_later_sum_waits_for_everybody_who_was_counted(parties: int, step: str, index: int, comes_back: bool) -> None:
    """Lost in the first sum after it is counted, or in the second before its numbers are there: it is waited for."""
    stage = stage_of(parties, single=False)
    job, job_hash = begun(stage)
    lose(stage, ["macao"], step, index=index)
    stage.wait(DEADLINE_MS - 1)
    assert stage.state(job_hash) is State.RUNNING
    assert stage.coordinator.update(job_hash, "ana").round_index == 1
    if comes_back:
        stage.attend("macao")
        stage.settle()
        assert_exact(stage, job, job_hash)
        return
    stage.wait(DEADLINE_MS)
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("macao", "unavailable")}


def test_two_are_lost_in_the_first_sum_and_another_one_in_a_later_one() -> None:
    """After the first, the sum is between five of seven: it finishes without one of them, if its numbers are there."""
    stage = stage_of(7, single=False)
    job, job_hash = begun(stage)
    lose(stage, job.parties[:2], "head")
    stage.settle()
    lost = lose(stage, [job.parties[6]], "consent", index=1)
    without_them(stage)
    stage.wait(stage.now_ms + SOON.away_ms)
    assert lost == [job.parties[6]]
    assert_exact(stage, job, job_hash, job.parties[2:])
    assert sorted(stage.released(job_hash).attested_by) == list(job.parties[2:6])


def test_four_who_are_left_of_five_keep_the_promise_of_five_and_need_each_other() -> None:
    """Against two colluders, as five parties were promised, four open nothing with the shares of only three."""
    stage = stage_of(5, single=False)
    job, job_hash = begun(stage)
    lose(stage, [job.parties[0]], "head")
    stage.settle()
    lost = lose(stage, [job.parties[4]], "unmask", index=1)
    without_them(stage)
    stage.wait(DEADLINE_MS - 1)
    assert lost == [job.parties[4]]
    assert stage.coordinator.update(job_hash, "ana").round_index == 1
    stage.attend(job.parties[4])
    stage.settle()
    assert_exact(stage, job, job_hash, job.parties[1:])


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parties", "away"), [(4, 1), (5, 1), (7, 2)])
def test_a_job_is_released_with_a_threshold_of_signatures_and_a_researcher_takes_no_fewer(
    parties: int, away: int
) -> None:
    stage = stage_of(parties, single=False)
    job, job_hash = begun(stage)
    missing = job.parties[:away]
    lose(stage, missing, "attestation")
    stage.wait(stage.now_ms + SOON.away_ms)
    assert_exact(stage, job, job_hash, job.parties)
    released = stage.released(job_hash)
    threshold = sums.promised(job.parties).threshold
    assert len(released.attested_by) == parties - away == threshold
    believed(stage, job, released)
    for fewer in (released.attested_by[1:], released.attested_by[:-1], ()):
        with pytest.raises(ProtocolViolation, match="signed by the parties that are counted") as caught:
            believed(stage, job, replace(released, attested_by=fewer))
        assert caught.value.party == COORDINATOR


def test_signatures_that_are_too_few_are_waited_for_until_the_deadline_names_who_lacks() -> None:
    stage = stage_of(5)
    _, job_hash = begun(stage)
    lose(stage, ["hongkong", "macao"], "attestation")
    stage.wait(DEADLINE_MS)
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("hongkong", "unavailable"), ("macao", "unavailable")}
    assert stage.coordinator.released(job_hash, "ana") == ((), ())


def test_a_signature_that_comes_while_the_last_one_is_awaited_is_taken() -> None:
    stage = stage_of(5)
    job, job_hash = begun(stage)
    lose(stage, ["hongkong"], "attestation")
    stage.wait(stage.now_ms + SOON.away_ms - 1)
    assert stage.state(job_hash) is State.RUNNING
    stage.attend("hongkong")
    stage.settle()
    assert_exact(stage, job, job_hash)


# --- deaths meanwhile ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", UNCOUNTED)
def test_whoever_is_left_may_die_while_the_others_go_on(step: str) -> None:
    for after in range(0, 36, 4):
        stage = stage_of(4, single=False)
        job, job_hash = begun(stage)
        lose(stage, ["macao"], step)
        stage.settle()
        without_them(stage)
        for _ in range(after):
            if stage.pending():
                stage.deliver(*stage.pending()[0])
        for party in ("guangdong", "shenzhen"):
            stage.kill(party)
            stage.attend(party)
        stage.settle()
        assert_exact(stage, job, job_hash, survivors(job, ["macao"]))


def test_a_party_that_is_not_counted_seals_nobodys_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the opening like everybody, and has no use for it."""
    sealed: list[int] = []
    plain = TornVault.append_many

    def measured(self: TornVault, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        sealed.extend(len(payload) for _, payload in events if self is stage.vaults["macao"])
        return plain(self, stream, events)

    wide = (("bins", 2000), ("column", "x"), ("high", 1_000_000), ("low", 0))
    stage = stage_of(4)
    stage.attend()
    stage.settle()
    _, job_hash = begun(stage, stage.job(Computation(name="histogram", version=1, parameters=wide)))
    lose(stage, ["macao"], "advert")
    stage.settle()
    monkeypatch.setattr(TornVault, "append_many", measured)
    without_them(stage)
    stage.attend("macao")
    stage.settle()
    total = stage.coordinator.released(job_hash, "ana")[0][0].total
    assert sealed
    assert max(sealed) < len(total) > 50_000


@pytest.mark.parametrize("step", [*STEPS, "attestation"])
def test_a_coordinator_that_dies_after_it_went_on_stands_where_it_stood(step: str) -> None:
    """That it waited no longer is an event like others: folding it gives the same sums, and the same bytes."""
    for after in (0, 2, 5, 9):
        stage = stage_of(4, single=False)
        job, job_hash = begun(stage)
        lose(stage, ["macao"], step, index=0)
        stage.settle()
        if stage.coordinator.update(job_hash, "ana").round_index == 0:
            without_them(stage)
        for _ in range(after):
            if stage.pending():
                stage.deliver(*stage.pending()[0])
        stage.kill_coordinator()
        for party in survivors(job, ["macao"]):
            stage.attend(party)
        stage.settle()
        if step in UNCOUNTED:
            assert_exact(stage, job, job_hash, survivors(job, ["macao"]))
            continue
        stage.attend("macao")
        stage.settle()
        assert_exact(stage, job, job_hash)
