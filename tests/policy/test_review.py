"""The review runs every rule, tells every reason, and refuses where a rule cannot judge. A rule is one new file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from federation import registry
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Job
from federation.errors import Misuse
from federation.jobs import planner
from federation.policy import review, rules
from federation.policy.rule import Request, Rule, Settings
from federation.policy.rules.purposes import Purposes
from federation.query.round import Phase, Round
from tests.analytics.parties import ask, dataset, job

OPEN = Settings()


def request(published: Dataset, asked: Job) -> Request:
    joint = agreed(dict.fromkeys(asked.parties, published))
    return Request(job=asked, own=published, joint=joint, me="p1", job_hash=b"h" * 32)


MANY = [ask("count", by="area"), ask("mean", column="age", by="area"), ask("histogram", column="pay")]


@pytest.mark.parametrize("identifier", [True, False])
@pytest.mark.parametrize(("k", "own_figures"), [(10, False), (2, False), (1, True), (5, True)])
def test_what_the_house_asks_passes_its_own_rules(k: int, own_figures: bool, identifier: bool) -> None:
    published = dataset(k=k, own_figures=own_figures, identifier=identifier)
    asked = request(published, job(MANY, 3))
    verdict = review.judge(asked, OPEN)
    assert verdict.permits, verdict
    assert (verdict.party, verdict.job_hash) == ("p1", b"h" * 32)
    first = planner.replay(asked.job, asked.joint).round
    assert first is not None
    assert review.judge_round(asked, OPEN, first) == ()


def test_every_reason_is_told_at_once_in_the_order_of_rules() -> None:
    settings = Settings(purposes=("billing",), researchers=(), statistics=())
    reasons = review.judge(request(dataset(k=1, own_figures=False), job(MANY, 3)), settings).reasons
    assert [reason.rule for reason in reasons] == ["minimum_units", "purposes", "researchers", "statistics"]


def test_no_reason_holds_what_the_job_says() -> None:
    secret = "a text of the researcher"
    settings = Settings(purposes=("billing",))
    asked = job(MANY, 3)
    object.__setattr__(asked, "purpose", secret)
    assert secret not in repr(review.judge(request(dataset(k=10, own_figures=False), asked), settings))


@pytest.mark.parametrize("error", [Misuse("no"), ZeroDivisionError("12345")])
def test_a_rule_that_cannot_judge_refuses(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(Purposes, "judge", broken)
    monkeypatch.setattr(Purposes, "judge_round", broken)
    asked = request(dataset(k=10, own_figures=False), job(MANY, 3))
    (reason,) = review.judge(asked, OPEN).reasons
    assert reason.rule == "purposes"
    assert "cannot be judged" in reason.clause
    assert "12345" not in reason.clause
    round_ = Round(index=0, phase=Phase.SUPPORT, queries=())
    assert [each.rule for each in review.judge_round(asked, OPEN, round_)] == ["purposes"]


NEW = '''"""No work on Sundays, as an example."""

from federation.policy.rule import Rule


class Sundays(Rule):
    """Nothing is asked on Sundays."""

    name = "sundays"
    clause = "nothing is asked on Sundays"

    def judge(self, request, settings):
        return self.refused("ask tomorrow")
'''


def test_a_new_rule_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(dataset(k=10, own_figures=False), job(MANY, 3))
    assert review.judge(asked, OPEN).permits
    (tmp_path / "sundays.py").write_text(NEW, "utf-8")
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
    assert "sundays" in registry.discover(review.FAMILY, Rule)
    assert [reason.rule for reason in review.judge(asked, OPEN).reasons] == ["sundays"]
    sys.modules.pop(f"{review.FAMILY}.sundays")


def test_a_query_of_a_plan_that_hides_a_group_in_a_sum_is_refused() -> None:
    """The planted fault: a statistic that sums an indicator instead of grouping by it. Three people are 33."""
    from federation.policy.rule import Look
    from federation.query.expression import Col, Compare, Const, Indicator
    from federation.query.query import SumQuery

    hidden = SumQuery(dataset="people", terms=(Indicator(Compare("==", Col("age"), Const(33))),))
    asked = request(dataset(k=10, own_figures=False), job(MANY, 3))
    sums = Round(index=1, phase=Phase.SUMS, queries=(hidden,))
    assert [reason.rule for reason in review.judge_look(asked, OPEN, sums, Look(indicated=(3,)))] == ["indicators"]


def test_the_settings_are_any_by_default_and_identifiers_are_kinds() -> None:
    assert Column(name="who", kind=Kind.IDENTIFIER).kind is Kind.IDENTIFIER
    assert (OPEN.purposes, OPEN.statistics, OPEN.researchers, OPEN.minimum_parties) == (None, None, None, 3)
