"""From a job to its replay: versions, parameters, predicates, the number of rounds, and what a preview promises."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from federation.analytics.plan import Failure
from federation.analytics.statistics.quantile import Quantile
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation
from federation.errors import Misuse, Refused
from federation.jobs import planner
from federation.query.predicate import PredicateError
from federation.query.query import canonical
from federation.query.round import Phase, Round, length
from tests.analytics.parties import GROUPS, Party, ask, dataset, driven, job, joint_of, opened, party

CLOSED = dataset(k=10, own_figures=False)
OPEN = dataset(k=1, own_figures=True)
ASKED = [ask("mean", column="age", by="area"), ask("sum", column="age", by="area"), ask("count")]


def parties() -> list[Party]:
    return [party(CLOSED, [(age, GROUPS[age % 3], 0.5) for age in range(40)]) for _ in range(3)]


def test_a_job_becomes_the_same_rounds_wherever_it_is_planned() -> None:
    first, second = planner.replay(job(ASKED, 3), CLOSED), planner.replay(job(ASKED, 3), CLOSED)
    assert first.round is not second.round
    assert [canonical(query) for query in first.round.queries] == [canonical(query) for query in second.round.queries]
    assert first.transcript == second.transcript


def test_statistics_that_need_the_same_sums_ask_them_once() -> None:
    assert len(planner.replay(job(ASKED, 3), CLOSED).round.queries) == 2


def test_a_statistic_that_is_not_here_is_refused_by_rule_version() -> None:
    with pytest.raises(Refused, match="no statistic 'meen'") as caught:
        planner.replay(job([ask("meen", column="age")], 3), CLOSED)
    assert caught.value.rule == "version"
    assert "mean" in caught.value.hint


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_refused_by_rule_version_and_names_no_party(version: int) -> None:
    with pytest.raises(Refused, match=f"not {version}") as caught:
        planner.replay(job([ask("mean", version=version, column="age")], 3), CLOSED)
    assert caught.value.rule == "version"
    assert caught.value.party == ""
    assert not any(f"p{i}" in str(caught.value).split() for i in range(3))


def test_a_name_is_a_file_and_never_a_path() -> None:
    for name in ("os.path", "../plan", "mean.Mean", "__init__", "federation.errors"):
        with pytest.raises(Refused):
            planner.replay(job([ask(name)], 3), CLOSED)


@pytest.mark.parametrize(
    "asked",
    [
        job([ask("mean", colum="age")], 3),
        job([], 3),
        job([ask("count")] * 1_001, 3),
        replace(job(ASKED, 3), dataset="taxes"),
    ],
    ids=["parameters", "nothing", "too many", "data set"],
)
def test_a_job_without_a_meaning_is_misuse(asked: object) -> None:
    with pytest.raises(Misuse):
        planner.replay(asked, CLOSED)  # type: ignore[arg-type]


def test_a_predicate_is_parsed_and_never_evaluated() -> None:
    with pytest.raises(PredicateError):
        planner.replay(job(ASKED, 3, where="__import__('os').system('true')"), CLOSED)
    with pytest.raises(Misuse):
        planner.replay(job(ASKED, 3, where="agee > 3"), CLOSED)


def test_a_statistic_that_cannot_start_fails_alone() -> None:
    each = parties()
    replay = driven(planner.replay(job([ask("mean", column="nowhere"), *ASKED], 3), CLOSED), each, joint_of(each))
    assert isinstance(replay.results[0], Failure)
    assert not any(isinstance(outcome, Failure) for outcome in replay.results[1:])


def test_rounds_are_the_most_secure_sums_support_included() -> None:
    each = parties()
    for joint, most in ((CLOSED, 2), (OPEN, 1)):
        assert planner.rounds(job(ASKED, 3), joint) == most
    replay = driven(planner.replay(job(ASKED, 3), joint_of(each)), each, joint_of(each))
    assert replay.rounds_fed == 2


def test_a_preview_tells_what_opens_to_whom_and_under_which_promise() -> None:
    asked = job([*ASKED, ask("mean", column="nowhere")], 5, where="age > 3")
    found = planner.preview(asked, CLOSED)
    moments, rows = found.openings
    assert (moments.per, moments.cells, moments.where) == ("area", 3, "age > 3")
    assert moments.opens == ("count of rows", "sum of age", "sum of age**2")
    assert (rows.per, rows.cells, rows.opens) == ("all rows", 1, ("count of rows",))
    assert [(index, failure.code) for index, failure in found.failures] == [(3, "misuse")]
    assert found.seen_by == ("p0", "p1", "p2", "p3", "p4", "the coordinator", "ana")
    assert (found.k, found.own_figures, found.own_releases) == (10, False, 0)
    assert (found.most_rounds, found.max_rounds, found.colluders) == (2, 8, 2)


def test_a_preview_counts_exactly_the_numbers_that_open() -> None:
    each = parties()
    asked = job(ASKED, 3)
    found = planner.preview(asked, CLOSED)
    replay = planner.replay(asked, CLOSED)
    flags = sum(opening.flags for opening in found.openings)
    assert length(replay.round, CLOSED) == flags
    replay.feed(opened(replay.round, each, CLOSED))
    assert replay.round.phase is Phase.SUMS
    assert length(replay.round, CLOSED) == found.numbers + flags


def test_a_preview_labels_own_releases_where_the_clause_permits_them() -> None:
    found = planner.preview(job(ASKED, 3), OPEN)
    assert found.own_figures
    assert found.own_releases == 3 + 1
    assert found.most_rounds == 1


def test_a_preview_says_who_is_counted() -> None:
    found = planner.preview(job([ask("count")], 3), dataset(k=5, own_figures=False, identifier=True))
    assert found.openings[0].opens == ("count of distinct who", "sum of 1")


def test_two_parties_get_no_preview() -> None:
    with pytest.raises(Refused):
        planner.preview(job(ASKED, 2), CLOSED)


def widths(asked: Computation, own: Dataset, seed: int) -> tuple[list[int], int]:
    """Return the numbers of every round of sums over drawn rows, and the most that the planner foretells."""
    drawn = Random(seed)
    low, high = int(own.column("age").low or 0), int(own.column("age").high or 0)
    each = [
        party(own, [(drawn.randint(low, high), drawn.choice(GROUPS), drawn.uniform(low, high)) for _ in range(60)])
        for _ in range(3)
    ]
    joint, found = joint_of(each), []
    most = planner.rounds(job([asked], 3), joint)

    def watch(due: Round, _: list[int]) -> None:
        if due.phase is Phase.SUMS:
            found.append(length(due, joint))

    driven(planner.replay(job([asked], 3, max_rounds=most), joint), each, joint, watch)
    return found, planner.most_numbers(job([asked], 3), joint)


MANY_ROUNDS = [
    ask("quantile", column="age", q=0.5),
    ask("quantile", column="age", q=(0.1, 0.5, 0.9), by="area"),
    ask("quantile", column="pay", q=(0.25, 0.75)),
    ask("quantile", column="age", q=tuple(i / 50 for i in range(50))),
    ask("describe", columns=("age", "pay")),
    ask("describe", columns=("age",), by="area"),
    ask("cox", formula="Surv(gain, ill == 'yes') ~ pay", bins=3),
    ask("cox", formula="Surv(gain, ill == 'yes') ~ pay + age", bins=2, strata="sex"),
    ask("kmeans", columns=("age", "pay"), k=2),
]


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("asked", MANY_ROUNDS, ids=range(len(MANY_ROUNDS)))
def test_no_round_has_more_numbers_than_was_foretold(asked: Computation, k: int) -> None:
    own = dataset(k=k, own_figures=k == 1, low=-30_000, high=30_000)
    reached = 0
    for seed in range(4):
        found, most = widths(asked, own, seed)
        assert max(found) <= most
        reached += len(found) > 1
    assert reached >= 2, "several rounds are reached"


def test_a_plan_that_forgot_its_later_rounds_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: only the first round is counted."""
    monkeypatch.setattr(Quantile, "later_numbers", lambda *_: 0)
    found, most = widths(MANY_ROUNDS[1], dataset(k=3, own_figures=False, low=-30_000, high=30_000), 0)
    assert max(found) > most


def test_the_most_numbers_of_one_round_are_exactly_its_own() -> None:
    for asked in (ASKED, [ask("histogram", column="age", bins=256)], [ask("ecdf", column="age", by="area")]):
        (due,) = (planner.replay(job(asked, 3), OPEN).round,)
        assert planner.most_numbers(job(asked, 3), OPEN) == length(due, OPEN)


def test_a_statistic_of_several_rounds_that_does_not_say_counts_as_the_widest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Quantile, "later_numbers")
    wide = dataset(k=1, own_figures=True, low=-30_000, high=30_000)
    assert planner.most_numbers(job([ask("quantile", column="age")], 3), wide) == 1_000_000
    assert planner.most_numbers(job([ask("mean", column="age")], 3), wide) < 20


def test_a_preview_promises_what_the_job_is_protected_by() -> None:
    assert planner.preview(job(ASKED, 5), CLOSED).colluders == 2
    assert planner.preview(replace(job(ASKED, 5), key=bytes(range(32))), CLOSED).colluders == 4
