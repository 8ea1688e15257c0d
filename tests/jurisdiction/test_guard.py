"""The guard: one jurisdiction's settings over the shared rules, for a job and again for every round."""

from __future__ import annotations

import pytest

from clients.jurisdiction.guard import Guard
from federation import registry
from federation.domain.catalogue import agreed
from federation.domain.job import Job
from federation.errors import Refused
from federation.jobs import planner
from federation.policy import review
from federation.policy.rule import Request, Rule, Settings
from tests.coordinator.stage import PARTIES, Stage

THREE = PARTIES[:3]


def asked(settings: Settings, **changes: object) -> tuple[Guard, Job, Stage]:
    stage = Stage()
    stage.attend()
    published = {"data": stage.published["macao"]}
    return Guard("macao", settings, published), stage.job(**changes), stage


def test_what_no_rule_refuses_is_permitted_in_the_jurisdictions_name_for_this_job() -> None:
    guard, job, stage = asked(Settings())
    verdict = guard.judge(job, b"h" * 32, agreed(stage.published))
    assert (verdict.party, verdict.job_hash, verdict.permits) == ("macao", b"h" * 32, True)


def test_all_reasons_are_told_at_once() -> None:
    guard, job, stage = asked(Settings(purposes=("health",), statistics=("count",), researchers=("ben",)))
    verdict = guard.judge(job, b"h" * 32, agreed(stage.published))
    assert {reason.rule for reason in verdict.reasons} == {"purposes", "statistics", "researchers"}


def test_a_refused_round_names_the_rule_the_round_and_what_would_be_permitted() -> None:
    guard, job, stage = asked(Settings(most_numbers=1))
    joint = agreed(stage.published)
    due = planner.replay(job, joint).round
    assert due is not None
    with pytest.raises(Refused, match="macao refuses round 0 by rule cells") as caught:
        guard.judge_round(job, due, joint)
    assert (caught.value.rule, caught.value.party) == ("cells", "macao")
    assert caught.value.hint


def test_a_rule_that_fails_to_judge_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect must not become a permission; its text, which may hold anything, stays here."""

    class Broken(Rule):
        name, clause = "broken", "broken"

        def judge(self, request: Request, settings: Settings) -> None:
            raise ValueError("the value 4711 of a row")

    known = registry.discover
    monkeypatch.setattr(review.registry, "discover", lambda *args: {**known(*args), "broken": Broken})
    guard, job, stage = asked(Settings())
    (reason,) = guard.judge(job, b"h" * 32, agreed(stage.published)).reasons
    assert reason.rule == "broken"
    assert "ValueError" in reason.clause
    assert "4711" not in reason.clause
