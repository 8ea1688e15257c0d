"""What a coordinator admits, routes, tells and ends; time is an argument."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.analytics.replay import Replay
from federation.coordinator.driver import LONGEST_JOB_MS, Driver
from federation.coordinator.store import MemoryStore
from federation.domain.job import Computation, State
from federation.domain.verdict import Reason, Verdict
from federation.errors import FederationError, Misuse, ProtocolViolation, Refused
from federation.policy.rule import Settings
from federation.protocols.masked_sum import MaskedSum
from federation.wire import messages as m
from federation.wire.envelope import attested, signed
from tests.coordinator.stage import (
    COORDINATOR,
    DEADLINE_MS,
    NOW_MS,
    PARTIES,
    Stage,
    assert_exact,
    begun,
    dataset,
    people,
    roster,
)

THREE = PARTIES[:3]


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.attend()
    made.settle()
    return made


# --- handing in ------------------------------------------------------------------------------------------------------


def test_the_same_token_again_is_the_same_job_and_asks_nobody_twice(stage: Stage) -> None:
    job = stage.job()
    job_hash = stage.submit(job)
    stage.settle()
    assert stage.submit(job) == job_hash
    assert not stage.pending()
    assert stage.coordinator.counts() == (0, 1)


def test_a_token_for_another_job_is_misuse_and_another_researcher_has_tokens_of_its_own(stage: Stage) -> None:
    job = stage.job()
    stage.submit(job)
    with pytest.raises(Misuse, match="this token was used for another job"):
        stage.submit(replace(job, purpose="another"))
    stage.submit(replace(job, researcher="ben"))
    assert stage.coordinator.counts() == (2, 2)


def test_the_same_token_after_its_deadline_still_tells_the_same_job(stage: Stage) -> None:
    job = stage.job()
    job_hash = stage.submit(job)
    stage.settle()
    stage.now_ms = DEADLINE_MS + 1
    assert stage.submit(job) == job_hash


@pytest.mark.parametrize("deadline_ms", [0, -1, NOW_MS, NOW_MS + LONGEST_JOB_MS + 1, 2**63 - 1])
def test_a_deadline_that_passed_or_is_a_mistake_in_a_unit_is_misuse(stage: Stage, deadline_ms: int) -> None:
    with pytest.raises(Misuse, match="deadline"):
        stage.submit(stage.job(deadline_ms=deadline_ms))


@pytest.mark.parametrize("deadline_ms", [NOW_MS + 1, NOW_MS + LONGEST_JOB_MS])
def test_a_deadline_at_the_edge_is_taken(stage: Stage, deadline_ms: int) -> None:
    stage.submit(stage.job(deadline_ms=deadline_ms))


SUM = Computation(name="sum", version=1, parameters=(("column", "x"),))
BAD_JOBS: dict[str, tuple[type[FederationError], str, dict[str, object]]] = {
    "another_roster": (Refused, "another roster", {"roster_hash": b"o" * 32}),
    "unknown_publication": (
        Misuse,
        "does not have",
        {"publications": tuple((party, b"u" * 32) for party in THREE)},
    ),
    "unknown_statistic": (Refused, "no statistic", {"computations": (replace(SUM, name="magic"),)}),
    "a_path_for_a_statistic": (Refused, "no statistic", {"computations": (replace(SUM, name="../sum"),)}),
    "another_version": (Refused, "version", {"computations": (replace(SUM, version=9),)}),
    "unknown_protection": (Misuse, "protocols has no member", {"protection": "trust_me"}),
    "no_meaning": (Misuse, "predicate", {"where": "x >"}),
    "another_dataset": (Misuse, "publication that is not", {"dataset": "other"}),
    "nothing_asked": (Misuse, "asks anything", {"computations": (replace(SUM, parameters=(("column", "y"),)),)}),
    "no_round": (FederationError, "0 rounds", {"max_rounds": 0}),
    "two_parties": (Refused, "at least 3 parties", {"parties": THREE[:2]}),
}


@pytest.mark.parametrize(("error", "said", "changes"), BAD_JOBS.values(), ids=BAD_JOBS)
def test_a_job_that_cannot_run_is_refused_at_once_and_not_stored(
    stage: Stage, error: type[FederationError], said: str, changes: dict[str, object]
) -> None:
    with pytest.raises(error, match=said):
        stage.submit(stage.job(**changes))
    assert stage.coordinator.counts() == (0, 0)
    assert not stage.pending()


def test_a_publication_pinned_under_another_partys_name_is_misuse(stage: Stage) -> None:
    pins = dict(stage.job().publications)
    swapped = (("guangdong", pins["hongkong"]), ("hongkong", pins["guangdong"]), ("macao", pins["macao"]))
    with pytest.raises(Misuse, match="not guangdong's"):
        stage.submit(stage.job(publications=swapped))


def test_publications_that_disagree_refuse_the_job_by_rule_catalogue() -> None:
    stage = Stage()
    stage.published["macao"] = replace(stage.published["macao"], unit="ship")
    stage.jurisdictions["macao"] = stage.driver("macao")
    stage.attend()
    with pytest.raises(Refused, match="units of counting") as caught:
        stage.submit(stage.job())
    assert (caught.value.rule, caught.value.party) == ("catalogue", "macao")


def test_a_job_that_another_researcher_hands_in_is_its_violation(stage: Stage) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        stage.coordinator.submit(signed(people()["ana"], m.JOB, stage.job()), NOW_MS, "ben")
    assert caught.value.party == "ben"


# --- attending -------------------------------------------------------------------------------------------------------


def hello(party: str = "macao", **changes: object) -> m.Frame:
    values = {"party": party, "roster_hash": roster().hash, "software": "1", "publications": (), **changes}
    return m.Frame(signed(people()[party], m.HELLO, m.Hello(**values)))  # type: ignore[arg-type]


def coordinator() -> Driver:
    return Driver(people()[COORDINATOR], roster(), MemoryStore())


def test_a_hello_of_another_member_is_refused_on_this_line() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        coordinator().attend("hongkong", hello("macao"))
    assert caught.value.party == "hongkong"


def test_another_roster_is_refused_with_the_party() -> None:
    with pytest.raises(Refused, match="another roster") as caught:
        coordinator().attend("macao", hello(roster_hash=b"o" * 32))
    assert (caught.value.rule, caught.value.party) == ("roster", "macao")


def test_a_publication_of_another_party_is_refused_in_a_hello() -> None:
    at = coordinator()
    foreign = signed(people()["hongkong"], m.PUBLICATION, m.Publication(party="hongkong", dataset=dataset()))
    with pytest.raises(ProtocolViolation) as caught:
        at.attend("macao", hello(publications=(foreign,)))
    assert caught.value.party == "macao"
    assert at.connected == frozenset()
    assert at.publications() == []


def test_only_who_attends_is_published_and_only_what_it_says_now(stage: Stage) -> None:
    assert {p.key_id for p in stage.coordinator.publications()} == {people()[p].member.key_id for p in THREE}
    stage.hang_up("macao")
    assert len(stage.coordinator.publications()) == 2
    assert stage.coordinator.attendance()["macao"] is None
    stage.published["macao"] = dataset(version="2")
    stage.kill("macao")
    stage.attend("macao")
    versions = {dataset.version for dataset, _ in stage.publications().values()}
    assert versions == {"1", "2"}


def test_a_job_that_nobody_knows_is_told_as_over() -> None:
    (outgoing,) = coordinator().attend("macao", hello(open_jobs=(b"u" * 32,)))
    ended = attested(outgoing.frame.signed, roster(), domain=m.ENDED, kind=m.Ended, relay=COORDINATOR).value
    assert (ended.job_hash, ended.state, ended.blames[0].party) == (b"u" * 32, State.ABORTED, COORDINATOR)


def test_a_party_that_missed_the_end_is_told_when_it_says_that_it_still_waits(stage: Stage) -> None:
    _, job_hash = begun(stage)
    while stage.jurisdictions["macao"]._entries or not stage.state(job_hash).ended:
        ends = [end for end in stage.pending() if stage.state(job_hash).ended is False or end[1] != "macao"]
        if not ends:
            break
        stage.deliver(*ends[0])
    assert stage.state(job_hash) is State.RELEASED
    assert stage.jurisdictions["macao"]._entries, "its farewell is still on the way"
    stage.attend("macao")
    stage.settle()
    assert not stage.jurisdictions["macao"]._entries


# --- review ----------------------------------------------------------------------------------------------------------


def refusing(stage: Stage, party: str, job_hash: bytes) -> m.Frame:
    reason = Reason(rule="purposes", clause="only health", remedy="say health")
    verdict = Verdict(party=party, job_hash=job_hash, reasons=(reason,))
    return m.Frame(signed(people()[party], m.VERDICT, verdict), job_hash=job_hash)


def test_a_refused_job_tells_every_reason_of_everybody() -> None:
    stage = Stage(settings=Settings(purposes=("health",), statistics=("count",)))
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.state(job_hash) is State.REFUSED
    blames = stage.coordinator.update(job_hash, "ana").blames
    assert {(b.party, b.rule) for b in blames} == {(p, r) for p in THREE for r in ("purposes", "statistics")}
    assert all(not engine.calls for engine in stage.engines.values()), "no row was touched"
    assert not stage.stories()


def test_a_refusal_is_told_when_everybody_who_can_be_reached_has_judged(stage: Stage) -> None:
    job = stage.job()
    stage.hang_up("macao")
    job_hash = stage.submit(job)
    stage.coordinator.receive("guangdong", refusing(stage, "guangdong", job_hash))
    assert stage.state(job_hash) is State.UNDER_REVIEW, "hongkong attends and has not judged"
    stage.coordinator.receive("hongkong", refusing(stage, "hongkong", job_hash))
    assert stage.state(job_hash) is State.REFUSED, "macao is not awaited for a job that is refused anyway"
    assert stage.blames(job_hash) == {("guangdong", "refused"), ("hongkong", "refused")}


def test_a_refusal_is_told_when_the_last_one_who_owes_a_verdict_hangs_up(stage: Stage) -> None:
    job_hash = stage.submit(stage.job())
    stage.coordinator.receive("guangdong", refusing(stage, "guangdong", job_hash))
    stage.hang_up("hongkong")
    assert stage.state(job_hash) is State.UNDER_REVIEW
    stage.hang_up("macao")
    assert stage.state(job_hash) is State.REFUSED
    assert stage.blames(job_hash) == {("guangdong", "refused")}
    stage.kill_coordinator()
    assert stage.state(job_hash) is State.REFUSED, "it was written down"


def test_a_job_that_nobody_refused_waits_for_those_who_hung_up(stage: Stage) -> None:
    job = stage.job()
    job_hash = stage.submit(job)
    for party in THREE:
        stage.hang_up(party)
    assert stage.state(job_hash) is State.UNDER_REVIEW
    stage.come_back()
    assert_exact(stage, job, job_hash)


def test_a_job_may_be_handed_in_while_a_party_is_away_and_goes_on_when_it_comes(stage: Stage) -> None:
    job = stage.job()
    stage.hang_up("macao")
    job_hash = stage.submit(job)
    stage.settle()
    assert stage.state(job_hash) is State.UNDER_REVIEW
    stage.attend("macao")
    stage.settle()
    assert_exact(stage, job, job_hash)


# --- ends ------------------------------------------------------------------------------------------------------------


def test_the_deadline_names_who_did_not_judge(stage: Stage) -> None:
    job_hash = stage.submit(stage.job())
    stage.hang_up("macao")
    stage.settle()
    assert stage.coordinator.next_deadline_ms() == DEADLINE_MS
    stage.route(stage.coordinator.tick(DEADLINE_MS - 1))
    assert stage.state(job_hash) is State.UNDER_REVIEW
    stage.expire()
    assert stage.state(job_hash) is State.REFUSED
    (blame,) = stage.coordinator.update(job_hash, "ana").blames
    assert (blame.party, blame.rule) == ("macao", "no answer")
    assert stage.coordinator.next_deadline_ms() is None
    stage.settle()
    assert not stage.jurisdictions["guangdong"]._entries


@pytest.mark.parametrize("domain", [*(kind.domain for kind in MaskedSum.messages[:5]), m.ATTESTATION])
def test_the_deadline_names_who_did_not_send_what_was_due(domain: str) -> None:
    stage = Stage(link=lambda way, party, f: () if (way, party, f.signed.domain) == ("in", "macao", domain) else (f,))
    _, job_hash = begun(stage)
    stage.settle()
    stage.expire()
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("macao", "unavailable")}


def test_a_researcher_may_cancel_its_own_job_and_nobody_elses(stage: Stage) -> None:
    job_hash = stage.submit(stage.job())
    with pytest.raises(Misuse, match="no such job of yours"):
        stage.coordinator.cancel(job_hash, "ben")
    stage.route(stage.coordinator.cancel(job_hash, "ana"))
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("ana", "job_failed")}
    assert stage.coordinator.cancel(job_hash, "ana") == []
    stage.settle()
    assert all(not jurisdiction._entries for jurisdiction in stage.jurisdictions.values())
    assert all(not engine.calls for engine in stage.engines.values())


def test_nobody_else_learns_of_a_job(stage: Stage) -> None:
    job_hash = stage.submit(stage.job())
    stage.settle()
    for ask in (stage.coordinator.update, stage.coordinator.released, stage.coordinator.cancel):
        for who, which in (("ben", job_hash), ("ana", b"u" * 32)):
            with pytest.raises(Misuse, match="no such job of yours"):
                ask(which, who)


def test_totals_are_told_only_when_everybody_signed() -> None:
    stage = Stage(
        link=lambda way, party, f: () if (way, party, f.signed.domain) == ("in", "macao", m.ATTESTATION) else (f,)
    )
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.coordinator.update(job_hash, "ana").round_index == 2, "both sums are open"
    assert stage.state(job_hash) is State.RUNNING
    assert stage.coordinator.released(job_hash, "ana") == ((), ())


def test_who_watches_is_woken_at_every_step_and_sees_how_far_each_party_is() -> None:
    stage, woken = Stage(), list[bytes]()
    stage.coordinator = Driver(people()[COORDINATOR], roster(), stage.store, woken.append)
    _, job_hash = begun(stage)
    assert woken == [job_hash]
    steps = set()
    while stage.pending():
        stage.deliver(*stage.pending()[0])
        steps |= {progress.step for progress in stage.coordinator.update(job_hash, "ana").parties}
    assert steps >= {"offered", "permitted", "sent advert 0", "sent head 0", "sent head 1", "attested"}
    assert len(woken) > 15
    final = stage.coordinator.update(job_hash, "ana")
    assert all(progress.connected and progress.sent_bytes > 500 for progress in final.parties)
    stage.hang_up("macao")
    assert [p.connected for p in stage.coordinator.update(job_hash, "ana").parties] == [True, True, False]


def test_many_jobs_go_on_at_once_and_keep_apart(stage: Stage) -> None:
    jobs = [stage.job(token=bytes([i]) * 16, where=f"x >= {i}" if i else "") for i in range(5)]
    hashes = [stage.submit(job) for job in jobs]
    assert stage.coordinator.counts() == (5, 5)
    stage.settle()
    for job_hash in hashes:
        assert stage.state(job_hash) is State.RELEASED
    assert stage.coordinator.counts() == (0, 5)
    assert len({tuple(map(tuple, stage.totals(job_hash))) for job_hash in hashes}) >= 2
    assert not stage.stories()


def test_a_job_that_ended_holds_no_vector_any_more_also_after_a_restart(stage: Stage) -> None:
    hashes = [stage.submit(stage.job())]
    stage.settle()
    hashes.append(stage.submit(stage.job(token=b"u" * 16, where="x > 0")))
    for _ in range(14):
        stage.deliver(*stage.pending()[0])
    stage.route(stage.coordinator.cancel(hashes[1], "ana"))
    for _ in range(2):
        for job_hash in hashes:
            stage.coordinator.update(job_hash, "ana")  # folds what ended before the last start
            run = stage.coordinator._runs[job_hash]
            assert not run._sums
            assert not run._known
        stage.kill_coordinator()
    assert stage.totals(hashes[0])


def test_what_ended_before_a_start_is_not_folded_until_somebody_asks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_hash = stage.submit(stage.job())
    stage.settle()
    before, log = stage.coordinator.summaries("ana"), stage.coordinator.log(job_hash, "ana")
    folded: list[bytes] = []
    plain = Driver._fold
    monkeypatch.setattr(Driver, "_fold", lambda self, name, events: (folded.append(name), plain(self, name, events))[1])
    stage.kill_coordinator()
    assert stage.coordinator.summaries("ana") == before
    assert stage.coordinator.counts() == (0, 1)
    assert folded == []
    assert stage.coordinator.log(job_hash, "ana") == log
    assert stage.totals(job_hash)
    assert folded == [job_hash]


def test_a_defect_of_the_coordinator_ends_the_job_with_its_word_for_it_and_not_the_coordinator(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_hash = stage.submit(stage.job())
    monkeypatch.setattr(Replay, "feed", lambda *_: {}["the value 4711"])
    stage.settle()
    monkeypatch.undo()
    assert stage.state(job_hash) is State.ABORTED
    (blame,) = stage.coordinator.update(job_hash, "ana").blames
    assert (blame.party, blame.code) == ("", "job_failed")
    assert "KeyError" in blame.message
    assert "4711" not in blame.message, "the text of an unexpected error may hold anything"
    stage.kill_coordinator()
    assert stage.state(job_hash) is State.ABORTED
    stage.attend()
    again = stage.job(token=b"u" * 16)
    second = stage.submit(again)
    stage.settle()
    assert_exact(stage, again, second)
