"""A cell that one party alone can fill opens only by the clause of every operator: `plan` names it, rules refuse it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.domain.catalogue import agreed
from federation.domain.job import Job
from federation.jobs import planner
from federation.policy import review
from federation.policy.rule import Request, Settings
from federation.policy.rules.own_figures import OwnFigures
from federation.query.round import Phase, Round
from tests.analytics.parties import Party, ask, dataset, driven, job, joint_of, party

ASKED = [
    ask("quantile", column="age", q=(0.25, 0.5), by="area"),
    ask("histogram", column="age", bins=4, by="area"),
    ask("describe", columns=("age",)),
]
ROWS = [(age % 100 - 50, "sea" if age % 2 else "north", 0.5) for age in range(400)]
CLAUSE, NONE = dataset(k=1, own_figures=True), dataset(k=2, own_figures=False)


def requested(of: Job, own: object, joint: object) -> Request:
    return Request(job=of, own=own, joint=joint, me="p0")  # type: ignore[arg-type]


def rounds_of(parties: list[Party]) -> list[Round]:
    joint, each = joint_of(parties), []
    asked = job(ASKED, len(parties))
    asked = replace(asked, max_rounds=planner.rounds(asked, joint))
    driven(planner.replay(asked, joint), parties, joint, lambda seen, _: each.append(seen))
    return each


@pytest.mark.parametrize("published", [CLAUSE, NONE], ids=["clause", "no clause"])
def test_every_round_of_these_statistics_is_within_the_rules(published: object) -> None:
    parties = [party(published, ROWS) for _ in range(3)]  # type: ignore[arg-type]
    asked = requested(job(ASKED, 3), published, joint_of(parties))
    assert review.judge(asked, Settings()).reasons == ()
    rounds = rounds_of(parties)
    assert [review.judge_round(asked, Settings(), each) for each in rounds] == [()] * len(rounds)
    phases = [each.phase for each in rounds]
    assert phases == ([Phase.SUMS] if published is CLAUSE else [Phase.SUPPORT, Phase.SUMS] * (len(rounds) // 2))


def test_sums_without_a_count_of_contributors_are_refused_in_every_round() -> None:
    parties = [party(NONE, ROWS) for _ in range(3)]
    asked = requested(job(ASKED, 3), NONE, joint_of(parties))
    rounds = rounds_of(parties)
    assert len(rounds) >= 4, "it goes on after its first sums"
    for each in rounds:
        if each.phase is Phase.SUPPORT:
            uncounted = replace(each, phase=Phase.SUMS)
            reasons = review.judge_round(asked, Settings(), uncounted)
            assert "own_figures" in [reason.rule for reason in reasons]
            assert "publish_own_figures" in OwnFigures.clause


def test_the_third_secure_sum_without_a_count_is_refused_like_the_first() -> None:
    first_only = replace(Round(index=2, phase=Phase.SUMS, queries=()), closed=())
    asked = requested(job(ASKED, 3), NONE, NONE)
    assert OwnFigures().judge_round(asked, Settings(), first_only) is not None
    assert OwnFigures().judge_round(asked, Settings(), replace(first_only, index=3)) is None


def test_one_operator_without_the_clause_closes_the_cells_of_all() -> None:
    joint = agreed({"p0": dataset(k=2, own_figures=True), "p1": NONE, "p2": dataset(k=2, own_figures=True)})
    assert not joint.own_figures
    assert planner.preview(job(ASKED, 3), joint).own_releases == 0
    lied = requested(job(ASKED, 3), NONE, replace(joint, own_figures=True))
    assert "own_figures" in [reason.rule for reason in review.judge(lied, Settings()).reasons]


def test_a_preview_names_the_cells_that_may_be_one_partys_own_figure() -> None:
    seen = planner.preview(job(ASKED, 3), CLAUSE)
    each = {opening.per: opening.own_releases for opening in seen.openings}
    assert each == {
        "area x 101 bins of age, and below and above them": 3 * 103,
        "area x 4 bins of age, and below and above them": 3 * 6,
        "all rows": 1,
        "101 bins of age, and below and above them": 103,
    }
    assert seen.own_releases == sum(each.values())
    closed = planner.preview(job(ASKED, 3), NONE)
    assert closed.own_releases == 0
    assert all(opening.own_releases == 0 for opening in closed.openings)
