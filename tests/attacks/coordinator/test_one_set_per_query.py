"""A query that was answered over four parties is asked again over three: the difference would be the fourth's figure.

Each of the three remembers over which set it answered, before it sends anything, and refuses another set for ever.
"""

from __future__ import annotations

import pytest

from clients.jurisdiction.guard import Guard
from clients.jurisdiction.records import Records
from federation.domain.job import Computation, State
from tests.coordinator.stage import PARTIES, Stage, counted

FOUR, THREE = PARTIES[:4], PARTIES[:3]
RULE = "one set per query"


def asked(stage: Stage, parties: tuple[str, ...], token: bytes, *computations: Computation, where: str = "") -> bytes:
    job_hash = stage.submit(stage.job(*computations, parties=parties, token=token * 16, where=where))
    stage.settle()
    return job_hash


def four(**frame: object) -> Stage:
    stage = Stage(names=FOUR, **frame)  # type: ignore[arg-type]
    stage.attend()
    stage.settle()
    return stage


def assert_refused_by_all(stage: Stage, job_hash: bytes, parties: tuple[str, ...], calls: int) -> None:
    assert stage.state(job_hash) is State.REFUSED
    objections = {p: o for p, o in stage.objections().items() if o.job_hash == job_hash}
    assert set(objections) == set(parties), "each refuses by itself"
    for party, objection in objections.items():
        assert (objection.blame.party, objection.blame.code, objection.blame.rule) == (party, "refused", RULE)
        assert "together with other parties" in objection.blame.message
    assert {len(stage.engines[party].calls) for party in parties} == {calls}, "no engine was asked"
    assert stage.coordinator.released(job_hash, "ana") == ((), ())


@pytest.mark.parametrize(("k", "own_figures"), [(2, False), (1, True)])
def test_one_party_fewer_is_refused_by_every_one_that_is_left(k: int, own_figures: bool) -> None:
    stage = four(k=k, own_figures=own_figures)
    first = asked(stage, FOUR, b"1")
    assert counted(stage.totals(first)[-1][1])["shenzhen"] == 1
    assert_refused_by_all(stage, asked(stage, THREE, b"2"), THREE, calls=1)


def test_one_party_more_is_refused_by_those_who_answered() -> None:
    stage = four()
    asked(stage, THREE, b"1")
    second = asked(stage, FOUR, b"2")
    assert stage.state(second) is State.REFUSED
    refusing = {p for p, o in stage.objections().items() if o.job_hash == second}
    assert refusing == set(THREE), "shenzhen never answered it"


def test_the_same_set_again_gets_the_same_totals() -> None:
    stage = four()
    first, second = asked(stage, FOUR, b"1"), asked(stage, FOUR, b"2")
    assert first != second
    assert stage.totals(first) == stage.totals(second)


def test_the_same_query_inside_another_job_is_the_same_query() -> None:
    total, mean = (Computation(name=name, version=1, parameters=(("column", "x"),)) for name in ("sum", "mean"))
    stage = four()
    asked(stage, FOUR, b"1", total)
    both = stage.submit(stage.job(mean, total, parties=THREE, token=b"2" * 16))
    stage.settle()
    assert stage.state(both) is State.REFUSED


def test_another_query_may_go_to_another_set() -> None:
    stage = four()
    asked(stage, FOUR, b"1")
    other = asked(stage, THREE, b"2", where="s == 'a'")
    assert stage.state(other) is State.RELEASED


def test_a_restart_does_not_forget_the_set() -> None:
    stage = four()
    asked(stage, FOUR, b"1")
    for party in FOUR:
        stage.kill(party)
    stage.attend()
    assert_refused_by_all(stage, asked(stage, THREE, b"2"), THREE, calls=1)


def test_a_job_that_broke_off_after_the_query_was_answered_still_binds_it() -> None:
    """Nobody can know what a coordinator made of the vectors that it had."""
    stage = four(k=1, own_figures=True)
    first = stage.submit(stage.job(parties=FOUR, token=b"1" * 16))
    while not all(engine.calls for engine in stage.engines.values()):
        stage.deliver(*stage.pending()[0])
    stage.route(stage.coordinator.cancel(first, "ana"))
    stage.settle()
    assert stage.state(first) is State.ABORTED
    assert_refused_by_all(stage, asked(stage, THREE, b"2"), THREE, calls=1)


def test_a_party_that_forgets_the_set_would_give_the_fourth_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault, and what it costs: subtract two totals and read one party's figure."""
    monkeypatch.setattr(Records, "bind", lambda *_: True)
    monkeypatch.setattr(Records, "agree", lambda *_: True)
    stage = four(k=1, own_figures=True)
    first, second = asked(stage, FOUR, b"1"), asked(stage, THREE, b"2")
    difference = stage.totals(first)[0][1] - stage.totals(second)[0][1]  # about a centre that everybody knows
    assert counted(difference) == dict.fromkeys(PARTIES, 0) | {"shenzhen": 1}, "shenzhen's own figure"


def test_the_refusal_quotes_no_data_and_says_what_would_be_permitted() -> None:
    stage = four()
    refusal = Guard("macao", stage.settings, stage.published).other_set(stage.job())
    assert (refusal.rule, refusal.party) == (RULE, "macao")
    assert refusal.hint == "ask again with the parties of the first time"
