"""A cell with two contributors never opens, empty and small look alike, f and the interval are right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.analytics import replay
from federation.analytics.plan import Failure
from federation.jobs import planner
from federation.query.round import Phase, Round
from tests.analytics.parties import GROUPS, Party, ask, dataset, driven, job, joint_of, outcomes, party, pooled, result

K = 5


def federation(sizes: Sequence[Sequence[int]], *, k: int = K, own_figures: bool = False) -> list[Party]:
    """Return parties whose areas have the given numbers of rows; every value is 3."""
    published = dataset(k=k, own_figures=own_figures)
    return [
        party(published, [(3, area, 3.0) for area, n in zip(GROUPS, each, strict=True) for _ in range(n)])
        for each in sizes
    ]


def opened_cells(parties: Sequence[Party]) -> list[list[int]]:
    """Return every row of numbers, per cell, that any round of sums opened."""
    seen: list[list[int]] = []

    def watch(asked: Round, numbers: list[int]) -> None:
        if asked.phase is Phase.SUMS:
            seen.extend(numbers[3 * i : 3 * i + 3] for i in range(3))

    joint = joint_of(parties)
    asked = job([ask("mean", column="age", by="area")], len(parties))
    driven(planner.replay(asked, joint), parties, joint, watch)
    return seen


def contributors(parties: Sequence[Party], area: int) -> int:
    return sum((each.rows["area"] == GROUPS[area]).sum() >= K for each in parties)


sizes = st.lists(st.tuples(*[st.sampled_from([0, 1, 4, 5, 9])] * 3), min_size=3, max_size=5)


def no_cell_of_two_opens(parties: Sequence[Party]) -> None:
    for area, numbers in enumerate(opened_cells(parties)):
        if contributors(parties, area) < 3:
            assert not any(numbers), "two contributors could subtract"


@given(sizes)
def test_a_cell_with_two_contributors_never_opens(drawn: list[tuple[int, ...]]) -> None:
    no_cell_of_two_opens(federation(drawn))


def test_a_replay_that_closes_nothing_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    two = federation([(9, 9, 9), (9, 9, 9), (9, 9, 4)])
    no_cell_of_two_opens(two)
    monkeypatch.setattr(replay, "closes", lambda *_: False)
    with pytest.raises(AssertionError, match="subtract"):
        no_cell_of_two_opens(two)


def test_three_contributors_open() -> None:
    found = result(federation([(9, 9, 9), (9, 5, 9), (9, 9, 4)]), ask("mean", column="age", by="area"))
    assert (found["north"].value, found["south"].value) == (3, 3)
    assert found["sea"].closed
    assert found["sea"].withheld == 1


@given(sizes)
def test_empty_and_small_look_alike(drawn: list[tuple[int, ...]]) -> None:
    """All that any round opens is the same when every withheld cell is emptied."""
    emptied = [tuple(n if n >= K else 0 for n in each) for each in drawn]
    assert everything_opened(federation(drawn)) == everything_opened(federation(emptied))


def everything_opened(parties: Sequence[Party]) -> list[list[int]]:
    seen: list[list[int]] = []
    joint = joint_of(parties)
    asked = job([ask("mean", column="age", by="area"), ask("count", by="area")], len(parties))
    driven(planner.replay(asked, joint), parties, joint, lambda _, numbers: seen.append(numbers))
    return seen


def test_a_small_cell_that_is_sent_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from federation.query import round as rounds

    real = rounds.encoded
    monkeypatch.setattr(rounds, "encoded", lambda asked, joint, answers, _: real(asked, joint, answers, 2))
    full = [(9, 9, 9)] * 3
    assert everything_opened(federation([*full, (4, 9, 9)])) != everything_opened(federation([*full, (0, 9, 9)]))


@pytest.mark.parametrize("own_figures", [True, False])
@given(drawn=sizes)
def test_f_is_who_withholds_and_the_interval_holds_the_truth(own_figures: bool, drawn: list[tuple[int, ...]]) -> None:
    parties = federation(drawn, own_figures=own_figures)
    names = ("count", "sum", "mean", "var")
    asked = [ask("count", by="area"), *(ask(name, column="age", by="area") for name in names[1:])]
    for name, outcome in zip(names, outcomes(parties, *asked), strict=True):
        if isinstance(outcome, Failure):
            continue
        hidden, every = pooled(parties, "age", "area"), pooled(parties, "age", "area", k_applies=False)
        for label in GROUPS:
            cell, n = outcome.result[label], len(every[label].values)
            assert cell.withheld == hidden[label].withheld
            truth = {"count": n, "sum": 3 * n, "mean": 3 if n else None, "var": 0 if n > 1 else None}[name]
            low, high = cell.interval
            if truth is not None:
                assert low is None or low <= truth
                assert high is None or truth <= high
            if not cell.closed and name == "count":
                assert cell.interval == (cell.value, cell.value + cell.withheld * (K - 1))
            if not cell.closed and not cell.withheld and cell.value is not None:
                assert cell.interval == (cell.value, cell.value)


def test_an_interval_without_the_withheld_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from federation.analytics import cells

    parties = federation([(9, 9, 9)] * 3 + [(4, 9, 9)])
    truth = 9 * 3 + 4
    low, high = result(parties, ask("count", by="area"))["north"].interval
    assert low <= truth <= high
    monkeypatch.setattr(cells, "most_left_out", lambda *_: 0)
    low, high = result(parties, ask("count", by="area"))["north"].interval
    assert not low <= truth <= high, "the planted fault leaves the four rows out"


def test_where_every_cell_is_closed_there_is_a_reason_and_a_remedy_and_no_number() -> None:
    for name, parameters in (("count", {}), ("sum", {"column": "age"}), ("histogram", {"column": "age"})):
        (outcome,) = outcomes(federation([(4, 0, 0)] * 3), ask(name, **parameters))
        assert isinstance(outcome, Failure)
        assert (outcome.code, outcome.rule) == ("refused", "contributors")
        assert "three" in outcome.message or "3" in outcome.message
        assert "widen" in outcome.hint


def test_with_own_figures_a_single_contributor_opens_and_k_is_still_kept() -> None:
    found = result(federation([(9, 9, 0), (0, 4, 0), (0, 0, 0)], own_figures=True), ask("count", by="area"))
    assert (found["north"].value, found["north"].withheld, found["north"].interval) == (9, 2, (9, 9 + 2 * 4))
    assert found["south"].value == 9
    assert found["sea"].closed, "nobody contributes: empty and small look alike"
    assert found["sea"].interval == (0, 12)


def test_public_data_tells_an_empty_cell_as_zero() -> None:
    found = result(federation([(9, 1, 0)] * 3, k=1, own_figures=True), ask("mean", column="age", by="area"))
    assert (found["sea"].value, found["sea"].n, found["sea"].closed) == (None, 0, False)
    assert found["south"].value == 3
    count = result(federation([(9, 1, 0)] * 3, k=1, own_figures=True), ask("count", by="area"))
    assert count["sea"].value == 0
    assert count["sea"].interval == (0, 0)
