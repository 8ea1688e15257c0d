"""A jurisdiction between its coordinator and its rows: it judges first, remembers, and says the same thing twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from clients.jurisdiction.driver import GRACE_MS, Driver
from clients.jurisdiction.sums import secrets_of
from federation.domain.catalogue import Dataset
from federation.domain.job import State
from federation.domain.verdict import Verdict
from federation.errors import Misuse, Refused, Unavailable
from federation.identity.sealed import SealedLog
from federation.policy.rule import Settings
from federation.query.query import SumQuery
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.coordinator.stage import (
    COORDINATOR,
    DEADLINE_MS,
    PARTIES,
    Killed,
    Oracle,
    Stage,
    assert_exact,
    begun,
    dataset,
    people,
)

THREE = PARTIES[:3]


def hello_of(driver: Driver) -> m.Hello:
    value = convert.BODIES[m.HELLO].decode(driver.hello().signed.body)
    assert isinstance(value, m.Hello)
    return value


def until(stage: Stage, holds: Callable[[], bool]) -> None:
    """Deliver frame by frame until something holds."""
    while not holds():
        stage.deliver(*stage.pending()[0])


def verdict_of(stage: Stage, party: str) -> Verdict:
    (body,) = {
        b for (who, domain, *_), bodies in stage.sent.items() if (who, domain) == (party, m.VERDICT) for b in bodies
    }
    value = convert.BODIES[m.VERDICT].decode(convert.frame_of(body).signed.body)
    assert isinstance(value, Verdict)
    return value


# --- before any row --------------------------------------------------------------------------------------------------


REFUSALS: dict[str, tuple[Settings, dict[str, Any]]] = {
    "purposes": (Settings(purposes=("health",)), {"purpose": "tax"}),
    "statistics": (Settings(statistics=("count",)), {}),
    "researchers": (Settings(researchers=("ben",)), {}),
    "minimum_parties": (Settings(minimum_parties=4), {}),
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_a_rule_that_says_no_refuses_before_any_row_is_touched_and_any_key_drawn(rule: str) -> None:
    settings, changes = REFUSALS[rule]
    stage = Stage(settings=settings)
    stage.attend()
    job_hash = stage.submit(stage.job(**changes))
    stage.settle()
    assert stage.state(job_hash) is State.REFUSED
    for party in THREE:
        assert [reason.rule for reason in verdict_of(stage, party).reasons] == [rule]
        assert verdict_of(stage, party).reasons[0].remedy
    assert all(not engine.calls for engine in stage.engines.values())
    assert stage.entropy == dict.fromkeys(THREE, 0)


def test_a_rule_of_one_round_refuses_that_round_before_its_query_runs() -> None:
    stage = Stage(settings=Settings(most_numbers=3))
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.state(job_hash) is State.REFUSED
    objections = stage.objections()
    assert set(objections) == set(THREE)
    assert {(p, o.blame.party, o.blame.rule) for p, o in objections.items()} == {(p, p, "cells") for p in THREE}
    assert all(not engine.calls for engine in stage.engines.values())


def test_without_the_guard_the_query_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from clients.jurisdiction.guard import Guard

    monkeypatch.setattr(Guard, "judge_round", lambda *_: None)
    stage = Stage(settings=Settings(most_numbers=3))
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    assert all(engine.calls for engine in stage.engines.values())


def test_a_job_over_an_earlier_version_of_the_data_is_refused_by_rule_version() -> None:
    stage = Stage()
    stage.attend()
    job = stage.job()
    stage.published["macao"] = dataset(version="2")
    stage.kill("macao")
    stage.attend("macao")
    job_hash = stage.submit(job)
    stage.settle()
    assert stage.blames(job_hash) == {("macao", "refused")}
    assert [reason.rule for reason in verdict_of(stage, "macao").reasons] == ["version"]


def test_data_that_is_not_published_here_is_refused() -> None:
    stage = Stage()
    stage.attend()
    job = stage.job()
    desk = stage.jurisdictions["macao"]._desk
    stage.jurisdictions["macao"] = Driver(replace(desk, published={}, engines={}), "test")
    stage.attend("macao")
    job_hash = stage.submit(job)
    stage.settle()
    assert stage.blames(job_hash) == {("macao", "refused")}


# --- an engine that cannot -------------------------------------------------------------------------------------------


class Failing(Oracle):
    """An engine that raises instead of answering."""

    def __init__(self, own: Dataset, columns: Any, fault: Exception) -> None:
        super().__init__(own, columns)
        self.fault = fault

    def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> Any:
        self.calls.append(tuple(queries))
        raise self.fault


LONG = "x" * 10_000 + "\x1b[2J\r\n\ud800"
FAULTS: dict[str, tuple[Exception, str, str]] = {
    "a_value_outside_the_range": (Refused("column 'x' has values outside", rule="range"), "refused", "outside"),
    "a_file_that_is_gone": (Unavailable("the file is gone"), "unavailable", "gone"),
    "words_without_end": (Misuse(LONG, hint=LONG), "misuse", "xxx"),
    "a_defect": (ValueError("the value 4711 of a row"), "job_failed", "macao failed at this job with ValueError"),
    "a_defect_in_recursion": (RecursionError("deep"), "job_failed", "RecursionError"),
}


@pytest.mark.parametrize(("fault", "code", "said"), FAULTS.values(), ids=FAULTS)
def test_an_engine_that_fails_ends_the_job_in_its_jurisdictions_name(fault: Exception, code: str, said: str) -> None:
    stage = Stage()
    stage.engines["macao"] = Failing(stage.published["macao"], stage.engines["macao"].columns, fault)
    stage.jurisdictions["macao"] = stage.driver("macao")
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.blames(job_hash) == {("macao", code)}
    (blame,) = stage.coordinator.update(job_hash, "ana").blames
    assert said in blame.message
    assert "4711" not in blame.message, "the text of an unexpected error may hold anything"
    assert not stage.violations, "and what it says can be read"
    assert len(stage.engines["macao"].calls) == 1
    vault = stage.vaults["macao"]
    assert vault.read(secrets_of(job_hash, 0, 0)) == vault.read(secrets_of(job_hash, 1, 0)) == []


def test_a_failed_job_is_not_tried_again_after_a_restart() -> None:
    stage = Stage()
    fault = ValueError("a defect")
    stage.engines["macao"] = Failing(stage.published["macao"], stage.engines["macao"].columns, fault)
    stage.jurisdictions["macao"] = stage.driver("macao")
    _, job_hash = begun(stage)
    until(stage, lambda: bool(stage.objections()))
    stage.kill("macao")
    stage.come_back()
    assert stage.blames(job_hash) == {("macao", "job_failed")}
    assert len(stage.engines["macao"].calls) == 1
    assert not stage.stories()


def test_the_power_that_goes_in_a_query_is_no_failure_of_the_job() -> None:
    stage = Stage()

    class Dying(Oracle):
        def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> Any:
            self.calls.append(tuple(queries))
            if len(self.calls) == 1:
                raise Killed
            return super().sums(queries, joint)

    stage.engines["macao"] = Dying(stage.published["macao"], stage.engines["macao"].columns)
    stage.jurisdictions["macao"] = stage.driver("macao")
    job, job_hash = begun(stage)
    stage.settle()
    stage.come_back()
    assert_exact(stage, job, job_hash)


# --- after a restart -------------------------------------------------------------------------------------------------


def test_data_that_changed_between_two_starts_is_withdrawn_by_rule_and_is_no_violation() -> None:
    for steps in range(3, 30, 2):
        stage = Stage()
        _, job_hash = begun(stage)
        for _ in range(steps):
            if stage.pending():
                stage.deliver(*stage.pending()[0])
        permitted = ("macao", m.VERDICT) in {(who, domain) for who, domain, *_ in stage.sent}
        ended = stage.state(job_hash).ended
        stage.published["macao"] = dataset(version="2")
        stage.kill("macao")
        stage.attend("macao")
        stage.settle()
        assert not stage.stories(), "its verdict is what it was"
        if ended:
            continue
        assert stage.state(job_hash) is State.REFUSED
        assert stage.blames(job_hash) == {("macao", "refused")}
        (blame,) = stage.coordinator.update(job_hash, "ana").blames
        assert blame.rule == "version"
        if permitted:
            assert "permitted the job and can no longer take part" in blame.message
        assert stage.vaults["macao"].read(secrets_of(job_hash, 0, 0)) == []
        assert stage.vaults["macao"].read(secrets_of(job_hash, 1, 0)) == []


def test_a_policy_that_was_tightened_between_two_starts_holds_from_then_on() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    until(stage, lambda: stage.state(job_hash) is State.RUNNING)
    stage.settings = Settings(purposes=("health",))
    stage.kill("macao")
    stage.attend("macao")
    stage.settle()
    assert stage.blames(job_hash) == {("macao", "refused")}
    assert stage.coordinator.update(job_hash, "ana").blames[0].rule == "purposes"
    assert not stage.stories()


def test_without_the_sealed_verdict_an_honest_party_would_be_a_violator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: after a restart the job is judged anew and the new verdict is sent."""

    def judged_anew(self: Driver, job_hash: bytes) -> None:
        (_, offer), *_ = self._desk.vault.read(job_hash)
        self._desk.vault.erase(job_hash)
        frame = convert.frame_of(offer)
        self._offered(convert.BODIES[m.OFFER].decode(frame.signed.body), frame)  # type: ignore[arg-type]

    monkeypatch.setattr(Driver, "_restore_job", judged_anew)
    stage = Stage()
    _, job_hash = begun(stage)
    until(stage, lambda: stage.state(job_hash) is State.RUNNING)
    stage.published["macao"] = dataset(version="2")
    stage.kill("macao")
    stage.attend("macao")
    stage.settle()
    assert stage.blames(job_hash) == {("macao", "protocol_violation")}
    assert stage.stories()[m.VERDICT] == 1


def test_a_refusal_stays_what_it_was_when_the_policy_is_relaxed() -> None:
    stage = Stage(settings=Settings(purposes=("health",)))
    _, job_hash = begun(stage)
    until(stage, lambda: ("macao", m.VERDICT, job_hash, 0, 0) in stage.sent)
    stage.settings = Settings()
    stage.kill("macao")
    stage.attend("macao")
    stage.settle()
    assert stage.state(job_hash) is State.REFUSED
    assert not stage.stories()


def test_what_is_open_is_said_in_the_hello_also_after_a_restart() -> None:
    stage = Stage()
    stage.attend()
    stage.settle()
    hashes = [stage.submit(stage.job(token=bytes([i]) * 16)) for i in range(3)]
    until(stage, lambda: len(stage.jurisdictions["macao"]._entries) == 3)
    assert hello_of(stage.jurisdictions["macao"]).open_jobs == tuple(hashes)
    stage.kill("macao")
    assert hello_of(stage.jurisdictions["macao"]).open_jobs == tuple(hashes)
    stage.come_back()
    assert hello_of(stage.jurisdictions["macao"]).open_jobs == ()
    assert [stage.state(job_hash) for job_hash in hashes] == [State.RELEASED] * 3


def test_a_hello_says_who_with_which_roster_software_and_publications() -> None:
    stage = Stage()
    hello = hello_of(stage.jurisdictions["macao"])
    assert (hello.party, hello.software, len(hello.publications)) == ("macao", "test", 1)
    published = convert.BODIES[m.PUBLICATION].decode(hello.publications[0].body)
    assert published == m.Publication(party="macao", dataset=stage.published["macao"])


# --- forgetting ------------------------------------------------------------------------------------------------------


def test_a_job_that_nobody_ended_is_forgotten_a_while_after_its_deadline_with_its_secrets() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    until(stage, lambda: bool(stage.engines["macao"].calls))
    driver, vault = stage.jurisdictions["macao"], stage.vaults["macao"]
    assert vault.read(secrets_of(job_hash, 0, 0))
    driver.tick(DEADLINE_MS + GRACE_MS)
    assert hello_of(driver).open_jobs == (job_hash,)
    driver.tick(DEADLINE_MS + GRACE_MS + 1)
    assert hello_of(driver).open_jobs == ()
    assert not any(vault.read(stream) for stream in (job_hash, *(secrets_of(job_hash, index, 0) for index in (0, 1))))
    stage.kill("macao")
    assert hello_of(stage.jurisdictions["macao"]).open_jobs == ()


def test_an_end_erases_what_was_kept_of_a_job_and_a_second_end_is_ignored() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    until(stage, lambda: bool(stage.engines["macao"].calls))
    ended = m.Ended(job_hash=job_hash, state=State.ABORTED)
    frame = m.Frame(signed(people()[COORDINATOR], m.ENDED, ended), job_hash=job_hash)
    assert stage.jurisdictions["macao"].receive(frame) == []
    assert stage.vaults["macao"].read(job_hash) == []
    assert stage.vaults["macao"].read(secrets_of(job_hash, 0, 0)) == []
    assert stage.jurisdictions["macao"].receive(frame) == []


def test_closing_lets_go_of_rows_and_memory(tmp_path: Any) -> None:
    vault = SealedLog(tmp_path / "state", people()["macao"].storage_key)
    stage = Stage(vaults={"macao": vault})
    stage.jurisdictions["macao"].close()
    assert stage.engines["macao"].closed
    with pytest.raises(Misuse, match="closed"):
        vault.read(b"x" * 32)


def test_the_operators_log_says_what_was_permitted_refused_objected_and_ended_without_data() -> None:
    notes: list[tuple[str, str, str]] = []
    stage = Stage()
    desk = stage.jurisdictions["macao"]._desk
    stage.jurisdictions["macao"] = Driver(desk, "test", lambda *note: notes.append(note))
    begun(stage)
    stage.settle()
    assert [(event, job) for event, job, _ in notes] == [("permitted", "walk"), ("released", "walk")]
    assert not any("100" in text for _, _, text in notes)


# --- memory that cannot be written -----------------------------------------------------------------------------------


def filled(vault: SealedLog) -> None:
    """Use up every page that the disk still has."""
    (pages,) = vault._db.execute("PRAGMA page_count").fetchone()
    vault._db.execute(f"PRAGMA max_page_count = {pages}")
    for size in (4000, 400, 40):
        for index in range(1000):
            try:
                vault.put(f"{size}/{index}".encode(), bytes(size))
            except Unavailable:
                break


def test_a_full_disk_is_the_daemons_end_and_not_the_jobs(tmp_path: Any) -> None:
    """Nothing is sent that is not sealed; after room was made and a restart the job goes on."""
    vault = SealedLog(tmp_path / "state", people()["macao"].storage_key)
    stage = Stage(vaults={"macao": vault})
    job, job_hash = begun(stage)
    until(stage, lambda: stage.state(job_hash) is State.RUNNING and ("out", "macao") in stage.pending())
    filled(vault)
    before: dict[Any, set[bytes]] = {}

    def said() -> dict[Any, set[bytes]]:
        return {key: set(bodies) for key, bodies in stage.sent.items() if key[0] == "macao"}

    with pytest.raises(Unavailable, match="the disk is full"):  # noqa: PT012 - a small record may still find room
        while True:
            before = said()
            stage.deliver(*stage.pending()[0])
    assert said() == before
    vault.close()
    stage.vaults["macao"] = SealedLog(tmp_path / "state", people()["macao"].storage_key)
    stage.kill("macao")
    stage.come_back()
    assert_exact(stage, job, job_hash)
    stage.vaults["macao"].close()
