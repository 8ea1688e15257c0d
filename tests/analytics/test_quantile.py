"""Quantiles equal numpy's "inverted_cdf" of the pooled rows, or their interval holds it; planted faults are caught."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import registry
from federation.analytics import bracket, cells, ladder
from federation.analytics.bins import Grid, grid, spread
from federation.analytics.plan import Failure
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Column, Kind
from federation.errors import Misuse
from federation.jobs import planner
from federation.query.round import Phase, Round
from tests.analytics.parties import (
    GROUPS,
    MISSING,
    Party,
    ask,
    dataset,
    driven,
    job,
    joint_of,
    opened,
    outcomes,
    party,
    pooled,
    result,
)

QS = (0.0, 0.07, 0.25, 0.5, 0.9, 0.99, 1.0)


def drawn(draw: st.DrawFn, *, k: int, own_figures: bool, sizes: Sequence[int], spread: int = 60) -> list[Party]:
    """Three to five parties with their own ranges; `random` makes rows cheap to draw and is no part of the test."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    parties = []
    for _ in range(draw(st.integers(3, 5))):
        low, high = dice.choice([(-50, 50), (-60, 60), (0, 40)])
        rows = [
            (dice.choice([MISSING, *(dice.randint(-spread, spread) for _ in "abc")]), area, odd(dice))
            for area in GROUPS
            for _ in range(dice.choice(sizes))
        ]
        parties.append(party(dataset(k=k, own_figures=own_figures, low=low, high=high), rows))
    return parties


def odd(dice: random.Random) -> float:
    return dice.choice([float("nan"), 0.1, 50.5, dice.uniform(-60, 60), dice.gauss(0, 5), dice.gauss(0, 5)])


def truth(values: Sequence[Any], q: float) -> Any:
    return np.quantile(np.array(values), q, method="inverted_cdf")


def check_open(parties: Sequence[Party], by: str | None, seen: Counter[str], resolution: float = 0.25) -> None:
    """Nothing is withheld: whole numbers are exact, others within the resolution."""
    qs = tuple(QS)
    age, pay = outcomes(
        parties,
        ask("quantile", column="age", q=qs, by=by),
        ask("quantile", column="pay", q=qs, by=by, resolution=resolution),
    )
    for column, outcome in (("age", age), ("pay", pay)):
        assert not isinstance(outcome, Failure), outcome
        for label, pool in pooled(parties, column, by).items():
            group = outcome.result.only if by is None else outcome.result[label]
            assert group.n == len(pool.values)
            if not pool.values:
                assert group.values == (None,) * len(qs)
                assert all(cell.interval == (None, None) for cell in group.estimates)
                seen["nobody"] += 1
                continue
            for q, cell in zip(qs, group.estimates, strict=True):
                wanted, (low, high) = truth(pool.values, q), cell.interval
                if column == "age":
                    assert cell.value == low == high == wanted
                    assert type(cell.value) is int
                else:
                    assert low <= wanted <= high
                    assert low <= cell.value <= high
                    assert high - low <= resolution * (1 + 1e-9)
                seen[column] += 1


def test_where_nothing_is_withheld_quantiles_are_numpys() -> None:
    seen: Counter[str] = Counter()

    @st.composite
    def federations(draw: st.DrawFn) -> list[Party]:
        return drawn(draw, k=1, own_figures=True, sizes=(0, 1, 2, 7, 30))

    @settings(max_examples=60)
    @given(federations(), st.sampled_from([None, "area"]))
    def property_holds(parties: list[Party], by: str | None) -> None:
        check_open(parties, by, seen)

    property_holds()
    assert seen["age"] >= 200, seen
    assert seen["pay"] >= 200, seen
    check_open([party(dataset(k=1, own_figures=True), [(1, "sea", 1.0)])] * 3, "area", seen)
    assert seen["nobody"] >= 4, seen


def check_withheld(parties: Sequence[Party], by: str | None, seen: Counter[str]) -> None:
    """Small bins are withheld: the interval holds the quantile of all rows, and the value lies in it."""
    for column in ("age", "pay"):
        (outcome,) = outcomes(parties, ask("quantile", column=column, q=QS, by=by, resolution=1))
        hidden, every = pooled(parties, column, by), pooled(parties, column, by, k_applies=False)
        if isinstance(outcome, Failure):
            assert outcome.rule == "contributors"
            assert all(pool.closed for pool in hidden.values())
            seen["refused"] += 1
            continue
        for label, pool in every.items():
            group = outcome.result.only if by is None else outcome.result[label]
            assert (group.n is None) == hidden[label].closed
            for q, cell in zip(QS, group.estimates, strict=True):
                low, high = cell.interval
                if pool.values:
                    assert low <= truth(pool.values, q) <= high
                if hidden[label].closed:
                    assert (cell.value, cell.closed) == (None, True)
                    seen["closed"] += 1
                elif cell.value is None:
                    seen["whole range"] += 1
                else:
                    assert low <= cell.value <= high
                    seen["one bin" if high - low <= 1 else "interval"] += 1


@st.composite
def withholding(draw: st.DrawFn) -> list[Party]:
    own_figures = draw(st.booleans())
    return drawn(draw, k=draw(st.sampled_from([2, 5])), own_figures=own_figures, sizes=(0, 1, 4, 40, 400), spread=20)


def test_where_bins_are_withheld_the_interval_holds_the_quantile_of_all_rows() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=40)
    @given(withholding(), st.sampled_from([None, "area"]))
    def property_holds(parties: list[Party], by: str | None) -> None:
        check_withheld(parties, by, seen)

    property_holds()
    for ending in ("one bin", "interval", "whole range", "closed"):
        assert seen[ending] >= 10, seen
    # Without `by` all rows of a party count together; only tiny federations are refused as a whole.
    check_withheld([party(dataset(k=5, own_figures=False), [(1, "sea", 1.0)] * 4)] * 3, None, seen)
    assert seen["refused"] >= 1, seen


MANY = [(age, GROUPS[age % 3], age / 7) for age in range(-40, 41) if age != MISSING]


def planted_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is read one bin too low."""
    real = Grid.between
    monkeypatch.setattr(
        Grid, "between", lambda self, left, right, share: real(self, max(left - 1, 0), max(right - 1, 1), share)
    )


def planted_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rank is rounded down."""
    monkeypatch.setattr(ladder, "rank", lambda rows, q: max(math.floor(rows * q), 1))


def planted_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies below the first edge of a finer round is forgotten."""
    real = ladder.partition
    monkeypatch.setattr(bracket, "partition", lambda edges, bins: real(edges, [(0, 0), *bins[1:]]))


@pytest.mark.parametrize("plant", [planted_bin, planted_rank, planted_loss])
@pytest.mark.parametrize("by", [None, "area"])
def test_the_comparison_catches_a_planted_fault(
    plant: Callable[[pytest.MonkeyPatch], None], by: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = dataset(k=1, own_figures=True)
    parties = [party(published, MANY[i : i + 30] + [(-50, area, -50.0) for area in GROUPS * 3]) for i in (0, 20, 40)]
    check_open(parties, by, Counter())
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_open(parties, by, Counter())


def test_an_interval_without_what_is_withheld_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    published = dataset(k=5, own_figures=True)
    full = [(age, "sea", 0.0) for age in range(0, 40, 10) for _ in range(40)]
    small = [(age, "sea", 0.0) for age in range(-50, 0) for _ in range(4)]
    parties = [party(published, full), party(published, full), party(published, small)]
    check_withheld(parties, None, Counter())
    monkeypatch.setattr(cells, "most_left_out", lambda *_: 0)
    with pytest.raises(AssertionError):
        check_withheld(parties, None, Counter())


def wide(low: int, high: int, k: int = 1) -> list[Party]:
    published = dataset(k=k, own_figures=True, low=low, high=high)
    dice = random.Random(high)
    return [party(published, [(dice.randint(low, high), "sea", dice.uniform(low, high)) for _ in range(60)])] * 3


@pytest.mark.parametrize(
    ("low", "high", "q", "most", "early"),
    [
        (0, 4095, QS, 1, 0),  # one histogram
        (0, 4096, 0.5, 2, 0),  # 1,024 bins, then 1,024 in one of them
        (0, 2**20 - 1, 0.5, 2, 0),
        (0, 2**20, 0.5, 3, 1),  # only the last bin has 1,025 values
        (-(2**40), 2**40, 0.5, 5, 0),
        (-(2**40), 2**40, QS, 5, 0),  # seven share 4,096: 585 each
    ],
)
def test_rounds_are_as_many_as_were_said(low: int, high: int, q: Any, most: int, early: int) -> None:
    parties = wide(low, high)
    joint, asked = joint_of(parties), ask("quantile", column="age", q=q)
    assert planner.rounds(job([asked], 3), joint) == most
    sizes: list[int] = []
    replay = planner.replay(job([asked], 3, max_rounds=most), joint)
    driven(replay, parties, joint, lambda _, numbers: sizes.append(len(numbers)))
    assert replay.rounds_fed == most - early
    assert max(sizes) <= 2 * 4_200, "bins and flags"
    values = np.concatenate([each.rows["age"] for each in parties])
    found = replay.results[0].result.values
    for share, value in zip(q if isinstance(q, tuple) else (q,), found, strict=True):
        assert value == truth(values, share)


def test_several_quantiles_are_refined_in_the_same_round() -> None:
    parties = wide(0, 2**20 - 1)
    joint = joint_of(parties)
    each: list[Round] = []
    replay = planner.replay(job([ask("quantile", column="age", q=(0.25, 0.5, 0.75))], 3), joint)
    driven(replay, parties, joint, lambda asked, _: each.append(asked))
    assert [len(asked.queries) for asked in each] == [1, 1], "3 x 1,024 bins in the second"


@pytest.mark.parametrize("k", [2, 10])
def test_a_withheld_search_ends_and_keeps_to_its_rounds(k: int) -> None:
    for own_figures in (True, False):
        published = dataset(k=k, own_figures=own_figures, low=-5_000, high=5_000)
        dice = random.Random(k)
        parties = [
            party(published, [(round(dice.gauss(0, 300)), "sea", 0.0) for _ in range(size)]) for size in (900, 400, 90)
        ]
        joint, asked = joint_of(parties), job([ask("quantile", column="age", q=(0.1, 0.5))], 3, max_rounds=99)
        phases: list[Phase] = []
        replay = driven(planner.replay(asked, joint), parties, joint, lambda each, _, to=phases: to.append(each.phase))
        assert len(phases) <= planner.rounds(asked, joint)
        values = np.concatenate([each.rows["age"] for each in parties])
        for q, cell in zip((0.1, 0.5), replay.results[0].result.estimates, strict=True):
            low, high = cell.interval
            assert low <= truth(values, q) <= high
            assert high - low < 600, "it says more than the range"


def test_a_replay_of_the_recorded_numbers_comes_to_the_same_end() -> None:
    published = dataset(k=3, own_figures=False)
    parties = [party(published, MANY * 4), party(published, MANY * 3), party(published, MANY * 2)]
    joint = joint_of(parties)
    asked = job([ask("quantile", column="pay", q=(0.1, 0.5), by="area"), ask("describe")], 3, max_rounds=40)
    recorded: list[list[int]] = []
    first = driven(planner.replay(asked, joint), parties, joint, lambda _, numbers: recorded.append(numbers))
    again = planner.replay(asked, joint)
    for numbers in recorded:
        again.feed(numbers)
    assert len(recorded) > 4
    assert (again.round, again.transcript, again.results) == (None, first.transcript, first.results)


def test_another_opened_number_is_another_question() -> None:
    parties = wide(0, 2**20 - 1)
    joint = joint_of(parties)
    honest, other = (planner.replay(job([ask("quantile", column="age")], 3), joint) for _ in "ab")
    numbers = opened(honest.round, parties, joint)
    honest.feed(numbers)
    other.feed([numbers[0], numbers[1] + 500, *numbers[2:]])
    assert honest.round.queries != other.round.queries


def test_k_counts_units_and_the_quantile_counts_rows() -> None:
    published = dataset(k=5, own_figures=False, identifier=True)

    def rows(units: int, each: int) -> list[tuple[Any, ...]]:
        return [(unit % 40, "sea", 1.0, f"u{unit}") for unit in range(units) for _ in range(each)]

    parties = [party(published, rows(400, 3)), party(published, rows(300, 1)), party(published, rows(200, 7))]
    values = np.concatenate([each.rows["age"] for each in parties])
    found = result(parties, ask("quantile", column="age", q=(0.3, 0.5)))
    assert found.n == len(values)
    for q, cell in zip((0.3, 0.5), found.only.estimates, strict=True):
        low, high = cell.interval
        assert low <= truth(values, q) <= high
        assert high - low <= 12
    few = [party(published, rows(4, 300))] * 3
    (outcome,) = outcomes(few, ask("quantile", column="age"))
    assert isinstance(outcome, Failure), "1,200 rows of four people are four people"
    assert outcome.rule == "contributors"


@pytest.mark.parametrize("own_figures", [True, False])
def test_a_group_that_one_party_alone_fills_opens_only_by_the_clause(own_figures: bool) -> None:
    published = dataset(k=2, own_figures=own_figures)
    parties = [party(published, [(age, "north", 0.0) for age in range(30)] * 3) for _ in range(3)]
    parties[0] = party(published, [(age, area, 0.0) for age in range(30) for area in ("north", "sea")] * 3)
    found = result(parties, ask("quantile", column="age", by="area"))
    assert found["north"].value == 14
    sea = found["sea"]
    seen: list[int] = []
    driven(
        planner.replay(
            job([ask("quantile", column="age")], 3, where="area == 'sea'", max_rounds=40), joint_of(parties)
        ),
        parties,
        joint_of(parties),
        lambda asked, numbers: seen.extend(numbers[: len(numbers) // 2] if asked.phase is Phase.SUMS else []),
    )
    if own_figures:
        assert (sea.n, sea.value is None) == (90, False)
        low, high = sea.interval
        assert low <= 14 <= high
        assert 90 in seen
    else:
        assert (sea.n, sea.value, sea.interval) == (None, None, (-50, 50))
        assert not any(seen), "no number of the one party opened"
        (refused,) = outcomes(parties, ask("quantile", column="age"), where="area == 'sea'")
        assert isinstance(refused, Failure)
        assert (refused.code, refused.rule) == ("refused", "contributors")
    line = next(each for each in found.suppressed if each.what.startswith("sea"))
    assert line.closed is not own_figures


def test_a_replay_that_closes_nothing_would_open_the_one_partys_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    from federation.analytics import replay

    published = dataset(k=2, own_figures=False)
    parties = [party(published, [(3, "sea" if i == 0 else "north", 0.0)] * 30) for i in range(3)]
    asked = ask("quantile", column="age", by="area")
    (before,) = outcomes(parties, asked)
    assert isinstance(before, Failure)
    monkeypatch.setattr(replay, "closes", lambda *_: False)
    (after,) = outcomes(parties, asked)
    assert not isinstance(after, Failure)
    assert after.result["sea"].n == 30


def test_a_result_answers_by_share_and_by_group() -> None:
    parties = [party(dataset(k=1, own_figures=True), MANY) for _ in range(3)]
    one = result(parties, ask("quantile", column="age"))
    assert (one.value, one.values, one.se, one.interval) == (0, (0,), None, (0, 0))
    several = result(parties, ask("quantile", column="age", q=(0.25, 0.5)))
    assert several[0.5].value == several.only[0.5].value == several.values[1] == 0
    with pytest.raises(Misuse, match="several quantiles"):
        _ = several.value
    with pytest.raises(Misuse, match="not asked"):
        _ = several[0.75]
    grouped = result(parties, ask("quantile", column="age", by="area"))
    assert grouped["sea"].value == truth([age for age, area, _ in MANY if area == "sea"], 0.5)
    assert len(grouped.picture().others) == 2
    with pytest.raises(Misuse, match="per 'area'"):
        _ = grouped.value
    with pytest.raises(Misuse, match="no group"):
        _ = grouped["nowhere"]
    assert several.table().columns == ("q", "quantile", "low", "high", "n", "withheld")
    assert grouped.table().rows[0][0] == "north"
    assert "inverse distribution function" in several.notes[0]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"column": "area"}, "holds no numbers"),
        ({"column": "age", "q": 1.5}, "between 0 and 1"),
        ({"column": "age", "q": -0.1}, "between 0 and 1"),
        ({"column": "age", "q": ()}, "1 to 100"),
        ({"column": "age", "q": (0.5,) * 101}, "1 to 100"),
        ({"column": "age", "resolution": 0}, "above 0"),
        ({"column": "age", "resolution": 0.5}, "whole number"),
        ({"column": "pay", "resolution": -1.0}, "above 0"),
        ({"column": "pay", "resolution": 1e-300}, "finer than binary64"),
        ({"column": "age", "by": "pay"}, "kind real"),
        ({"column": "agee"}, "no column"),
    ],
)
def test_a_question_without_a_meaning_fails_alone_before_anything_is_asked(
    parameters: dict[str, Any], said: str
) -> None:
    published = dataset(k=1, own_figures=True)
    bad, good = outcomes([party(published, MANY)] * 3, ask("quantile", **parameters), ask("count"))
    assert isinstance(bad, Failure)
    assert bad.code == "misuse"
    assert said in bad.message
    assert not isinstance(good, Failure)


def test_bins_have_exact_edges_and_the_default_resolution_is_as_said() -> None:
    joint = dataset(k=1, own_figures=True)
    age, pay = grid("age", None, joint), grid("pay", None, joint)
    assert (age.size, age.edge(0), age.edge(101), age.last(101)) == (101, -50, 51, 50)
    assert (pay.size, pay.edge(0), pay.edge(pay.size)) == (2**20, -50.0, 50.5)
    assert pay.step == Fraction(201, 2) / 2**20
    coarse = grid("age", 25, joint)
    assert [coarse.edge(i) for i in range(coarse.size + 1)] == [-50, -25, 0, 25, 50, 51]
    single = grid("pay", None, dataset(k=1, own_figures=True, low=0, high=0))
    assert single.size == 2**20
    assert registry.look_up(planner.FAMILY, Statistic, "quantile").version == 1


def test_a_column_of_one_value_has_that_quantile() -> None:
    from dataclasses import replace

    base = dataset(k=1, own_figures=True, low=7, high=7)
    flat = replace(base, columns=tuple(replace(c, low=2.5, high=2.5) if c.name == "pay" else c for c in base.columns))
    parties = [party(flat, [(7, "sea", 2.5)] * 4)] * 3
    assert result(parties, ask("quantile", column="age")).interval == (7, 7)
    found = result(parties, ask("quantile", column="pay"))
    assert (found.value, found.interval) == (2.5, (2.5, 2.5))


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.integers(1, 4_096))
def test_an_edge_is_the_exact_fraction_rounded_once(low: int, width: int, size: int) -> None:
    start, step = Fraction(low, 7), Fraction(width, 3 * size)
    made = Grid(column="pay", whole=False, low=start, high=start + step * size, step=step, size=size)
    for index in {0, 1, size // 2, size - 1, size}:
        assert made.edge(index) == float(start + step * index)
    pay = Column(name="pay", kind=Kind.REAL, low=low / 7, high=low / 7 + width)
    exact = [Fraction(low / 7) + (Fraction(low / 7 + width) - Fraction(low / 7)) * i / size for i in range(size + 1)]
    assert list(spread(pay, size, None, None)) == [float(edge) for edge in exact]
