"""A forecast says what would open, to whom, and what is not promised; it asks nobody."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import federation as fed
from clients.researcher.session import Session
from tests.researcher.fake import PARTIES, Fake, publication


def test_a_forecast_says_what_opens_to_whom_and_asks_nobody() -> None:
    fake = Fake()
    table = Session(fake).table("tb").where("age > 30")
    plan = table.plan(table.ask.count(by="sex"), table.ask.mean("cost"), purpose="study")
    said = plan.summary()
    for words in (
        "over tb where age > 30",
        "count of rows",
        "sum of ",
        "purpose: study",
        "seen by: guangdong, hongkong, macao, the coordinator, alice",
        "c = 2",
        "k = 1",
        "two who collude can subtract",
        "one party's own figure",
    ):
        assert words in said
    assert not fake.jobs
    assert plan.failures == ()
    assert "<table>" in plan._repr_html_()
    found = json.loads(json.dumps(plan.to_dict()))
    assert found["questions"] == ["count(by='sex')", "mean('cost')"]
    assert found["colluders"] == 2
    assert found["most_rounds"] == 1


def test_a_forecast_says_how_small_cells_are_kept() -> None:
    published = {party: publication(k=10, own_figures=False) for party in PARTIES}
    table = Session(Fake(published=published)).table("tb")
    said = table.plan(table.ask.count()).summary()
    assert "withholds what counts fewer than 10" in said
    assert "at most 2 secure sums" in said
    assert "fewer than three parties contribute stay closed" in said


def test_a_question_that_would_fail_is_said_beside_the_others() -> None:
    table = Session(Fake()).table("tb")
    plan = table.plan(table.ask.count(), table.ask.mean("agee"))
    assert plan.failures == (("mean('agee')", "data set 'tb' has no column 'agee'", "did you mean 'age'?"),)
    assert "mean('agee') would fail" in plan.summary()
    assert len(plan.rows()) == 1


@pytest.mark.parametrize(
    ("count", "minimum", "k", "said"),
    [
        (3, None, 1, "all 3 parties must answer: one that is lost is waited for until the deadline"),
        (4, None, 1, "all 4 parties must answer"),
        (4, 3, 1, "goes on without up to 1 lost party, once all 4 have permitted it; the same question over another "),
        (5, 3, 1, "goes on without up to 1 lost party, "),  # four of five are what it takes, whatever is asked for
        (10, 3, 1, "goes on without up to 3 lost parties, once all 10 have permitted it"),
        (4, 3, 10, "; whoever is counted in the first sum is waited for in the later ones"),
    ],
)
def test_a_forecast_says_what_may_be_lost(count: int, minimum: int | None, k: int, said: str) -> None:
    published = {f"party-{i}": publication(k=k, own_figures=k == 1) for i in range(count)}
    table = Session(Fake(published=published)).table("tb", minimum_parties=minimum)
    plan = table.plan(table.ask.count())
    assert said in plan.summary()
    assert ("all of them" in plan.summary()) == (plan.to_dict()["least"] == count)


def test_more_parties_bear_more_colluders_and_no_warning_for_three() -> None:
    published = {f"party-{i}": publication() for i in range(10)}
    table = Session(Fake(published=published)).table("tb")
    plan = table.plan(table.ask.count())
    assert plan.preview.colluders == 3
    assert "two who collude" not in plan.summary()


def test_a_plan_shows_who_would_refuse_by_which_rule_before_anybody_is_asked() -> None:
    frames = {party: pd.DataFrame({"x": range(40)}) for party in ("a", "b", "c")}
    hidden = fed.local(frames, k=1, own_figures=False).table("data")
    refused = hidden.plan(hidden.ask.mean("x"))
    assert [reason.rule for verdict in refused.verdicts for reason in verdict.reasons] == ["minimum_units"] * 3
    assert "a, b, c would refuse by rule minimum_units" in refused.summary()
    table = fed.local(frames, k=10, own_figures=False).table("data")
    permitted = table.plan(table.ask.mean("x"))
    assert all(verdict.permits for verdict in permitted.verdicts)
    assert "none of the 3 parties would refuse" in permitted.summary()
    assert "with a look at its own rows" in permitted.summary()
