"""Every statistic equals the pooled one after the same rule per party; planted faults show that the comparison sees."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.analytics import moments
from federation.analytics.estimates import Estimate, Number
from federation.analytics.plan import Done, Failure, Outcome
from federation.domain.catalogue import Column, Dataset, Kind
from federation.query import round as rounds
from federation.query.query import Answer, SumQuery
from federation.query.round import Round
from tests.analytics.parties import (
    GROUPS,
    MISSING,
    Party,
    Pool,
    ask,
    dataset,
    exact_variance,
    outcomes,
    party,
    pooled,
    result,
)

ULP = 2.0**-52

ODD = (float("nan"), float("inf"), 0.1, 1e-300, 50.5)


def drawn_rows(draw: st.DrawFn, area: str, size: int) -> list[tuple[Any, ...]]:
    """Return rows of one area; a seed makes many rows cheap to draw, `random` is no part of what is tested."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    ages = [dice.choice([MISSING, dice.randint(-60, 60), dice.randint(-60, 60)]) for _ in range(size)]
    return [(age, area, dice.choice([*ODD, dice.uniform(-60, 60), dice.gauss(0, 1)])) for age in ages]


@st.composite
def federations(draw: st.DrawFn) -> list[Party]:
    """Three to five parties with their own ranges and rows; each area of each party is empty, small or large."""
    own_figures = draw(st.booleans())
    parties = []
    for _ in range(draw(st.integers(3, 5))):
        k = draw(st.sampled_from([1, 3] if own_figures else [2, 5]))
        low, high = draw(st.sampled_from([(-50, 50), (-60, 60), (0, 40)]))
        sizes = [draw(st.sampled_from([0, 1, 12, 20, 30])) for _ in GROUPS]
        rows = [row for area, size in zip(GROUPS, sizes, strict=True) for row in drawn_rows(draw, area, size)]
        parties.append(party(dataset(k=k, own_figures=own_figures, low=low, high=high), rows))
    return parties


def check(parties: Sequence[Party], by: str | None, seen: Counter[str]) -> None:
    """Compare count, sum, mean, var and std of both columns with the pool."""
    names = ("sum", "mean", "var", "std")
    asked = [ask("count", by=by), *(ask(name, column=column, by=by) for column in ("age", "pay") for name in names)]
    found = outcomes(parties, *asked)
    compare(found[0], pooled(parties, None, by), seen, "count")
    for place, column in ((1, "age"), (5, "pay")):
        pools = pooled(parties, column, by)
        for name, outcome in zip(names, found[place : place + 4], strict=True):
            compare(outcome, pools, seen, name)


def compare(outcome: Outcome, pools: dict[str, Pool], seen: Counter[str], name: str) -> None:
    """Check one outcome against its pool, cell by cell."""
    if all(pool.closed for pool in pools.values()):
        assert isinstance(outcome, Failure), "nothing may be told of cells that are all closed"
        assert (outcome.code, outcome.rule) == ("refused", "contributors")
        assert outcome.hint
        seen["refused"] += 1
        return
    assert isinstance(outcome, Done), outcome
    for label, pool in pools.items():
        cell = outcome.result[label]
        assert (cell.closed, cell.withheld) == (pool.closed, pool.withheld)
        if pool.closed:
            assert cell.value is cell.n is cell.se is None
            seen["closed"] += 1
            continue
        assert cell.n == len(pool.values)
        compare_value(cell, pool.values, name)
        seen["withheld" if pool.withheld else "opened"] += 1


def compare_value(cell: Estimate, values: Sequence[Any], name: str) -> None:
    """Check value, error bound and standard error of one cell."""
    n = len(values)
    total = sum((Fraction(value) for value in values), Fraction(0))
    match name:
        case "count":
            assert cell.value == n
        case "sum":
            near(cell.value, total, cell.encoding_error)
        case "mean" if n:
            near(cell.value, total / n, cell.encoding_error)
            np.testing.assert_allclose(cell.value, np.mean(values), rtol=1e-9, atol=1e-9)
        case "var" if n > 1:
            near(cell.value, exact_variance(values), cell.encoding_error)
            np.testing.assert_allclose(cell.value, np.var(values, ddof=1), rtol=1e-9, atol=1e-9)
            near(cell.sum, total, moments_error(n, 2))
            if all(isinstance(value, int) for value in values):
                assert cell.sum_of_squares == sum(value * value for value in values)
                assert type(cell.sum_of_squares) is int
                assert cell.encoding_error == 0
        case "std" if n > 1:
            np.testing.assert_allclose(cell.value, np.std(values, ddof=1), rtol=1e-7, atol=1e-6)
        case _:
            assert cell.value is None
    if name == "mean" and n > 1:
        np.testing.assert_allclose(cell.se, np.std(values, ddof=1) / np.sqrt(n), rtol=1e-7, atol=1e-7)
    if name == "sum" and n > 1:
        np.testing.assert_allclose(cell.se, np.std(values, ddof=1) * np.sqrt(n), rtol=1e-7, atol=1e-6)


def moments_error(n: int, scale: float) -> float:
    """A generous bound for a sum of n values of magnitude 60."""
    return n * 60 * scale * ULP * 4


def near(value: Number | None, truth: Fraction, error: float) -> None:
    """Check that value is the truth up to its stated error and one rounding; exactly, where the error is 0."""
    assert value is not None
    if error == 0 and truth.denominator == 1:
        assert value == truth
    assert abs(Fraction(value) - truth) <= Fraction(error) * (1 + Fraction(ULP)) + abs(truth) * Fraction(ULP)


def test_every_statistic_equals_the_pooled_one_under_the_same_rule() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=120)
    @given(federations(), st.sampled_from([None, "area"]))
    def property_holds(parties: list[Party], by: str | None) -> None:
        check(parties, by, seen)

    property_holds()
    # How often each ending is reached: a property that never closes a cell proves nothing about closed cells.
    for ending in ("opened", "withheld", "closed", "refused"):
        assert seen[ending] >= 9, seen


MANY = [(age, GROUPS[age % 3], age / 7) for age in range(-40, 41) if age != MISSING]


@pytest.fixture
def parties() -> list[Party]:
    """Four parties, one of which is small."""
    published = dataset(k=5, own_figures=False)
    return [
        party(published, MANY),
        party(published, MANY[:30]),
        party(published, MANY[20:]),
        party(published, MANY[:4]),
    ]


def planted_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first party's first number of every round of sums is lost on the way, its flags are not."""
    real, lost = rounds.encoded, set()

    def lossy(asked: Round, joint: Dataset, answers: Sequence[Answer], k: int) -> list[int]:
        vector = real(asked, joint, answers, k)
        if asked.phase is rounds.Phase.SUMS and asked not in lost:
            lost.add(asked)
            vector[0] = 0
        return vector

    monkeypatch.setattr(rounds, "encoded", lossy)


def planted_no_withholding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small cells are sent."""
    real = rounds.encoded
    monkeypatch.setattr(rounds, "encoded", lambda asked, dataset, answers, k: real(asked, dataset, answers, min(k, 1)))


def planted_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums are read about another centre than they were asked about."""
    monkeypatch.setattr(moments.Moments, "total", property(lambda self: self.first + self.n * (self.centre + 1)))


def planted_degrees_of_freedom(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variance divides by n."""
    monkeypatch.setattr(
        moments.Moments, "variance", property(lambda self: self.deviations / self.n if self.n > 1 else None)
    )


def planted_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled sums are read with one bit less."""
    real = moments.shape

    class Off:
        def __init__(self, query: SumQuery, joint: Dataset) -> None:
            self.scales = tuple(scale - 1 if scale else 0 for scale in real(query, joint).scales)

    monkeypatch.setattr(moments, "shape", Off)


@pytest.mark.parametrize(
    "plant", [planted_loss, planted_no_withholding, planted_centre, planted_degrees_of_freedom, planted_scale]
)
@pytest.mark.parametrize("by", [None, "area"])
def test_the_comparison_catches_a_planted_fault(
    plant: Callable[[pytest.MonkeyPatch], None], by: str | None, parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(parties, by, Counter())
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(parties, by, Counter())


def test_whole_numbers_are_exact_far_from_zero_and_in_wide_ranges() -> None:
    low, high = 2**61 - 10**6, 2**61 + 10**6
    rows = [(low + 13 * i, "sea", 0.0) for i in range(50)]
    published = dataset(k=2, own_figures=False, low=low, high=high)
    found = result([party(published, rows) for _ in range(3)], ask("var", column="age"))
    values = [age for age, _, _ in rows] * 3
    assert found.sum == sum(values)
    assert found.sum_of_squares == sum(value * value for value in values)
    assert Fraction(found.value) == pytest.approx(exact_variance(values), rel=ULP)


def test_the_squares_of_a_range_too_wide_for_64_bits_state_their_error() -> None:
    rows = [(3 * i - 2**40 + 1, "sea", 0.0) for i in range(50)]
    published = dataset(k=2, own_figures=False, low=-(2**40), high=2**40)
    found = result([party(published, rows) for _ in range(3)], ask("var", column="age"))
    values = [age for age, _, _ in rows] * 3
    assert found.sum == sum(values)
    assert type(found.sum_of_squares) is float
    assert found.spread.encoding_error > 0
    assert abs(Fraction(found.value) - exact_variance(values)) <= found.spread.encoding_error


def test_equal_values_have_variance_zero_and_not_a_negative_one() -> None:
    published = dataset(k=2, own_figures=False)
    found = result([party(published, [(1, "sea", 0.1)] * 9) for _ in range(3)], ask("var", column="pay"))
    assert 0 <= found.value <= found.spread.encoding_error
    assert found.std >= 0


def test_rows_left_out_are_counted_by_reason() -> None:
    published = dataset(k=2, own_figures=False)
    rows = [(MISSING, "sea", 1.0)] * 3 + [(60, "sea", float("nan"))] * 2 + [(1, "sea", 2.0)] * 5
    parties = [party(published, rows) for _ in range(3)]
    age = result(parties, ask("mean", column="age"))
    assert age.n_missing == (("age", "null", None), ("age", "refused", 9))
    assert age.clipped == (("age", 6),)
    assert age.non_finite == 0
    assert age.value == pytest.approx((50 * 2 + 5) / 7)
    pay = result(parties, ask("count", column="pay"))
    assert (pay.value, pay.non_finite) == (24, 6)
    assert [(each.what, each.withheld, each.interval) for each in age.suppressed] == [("missing age: null", 3, (0, 3))]


def test_a_condition_is_parsed_and_applied() -> None:
    published = dataset(k=2, own_figures=False)
    parties = [party(published, MANY) for _ in range(3)]
    kept = [age for age, area, _ in MANY if age > 3 and area == "sea"] * 3
    assert result(parties, ask("sum", column="age"), where="age > 3 and area == 'sea'").value == sum(kept)


def test_k_counts_units_and_not_their_rows_where_the_data_set_names_them() -> None:
    published = dataset(k=5, own_figures=False, identifier=True)

    def rows(units: int, each: int) -> list[tuple[Any, ...]]:
        return [(7, "sea", 1.0, f"u{unit}") for unit in range(units) for _ in range(each)]

    small = [party(published, rows(9, 3)), party(published, rows(9, 1)), party(published, rows(2, 40))]
    (outcome,) = outcomes(small, ask("mean", column="age"))
    assert isinstance(outcome, Failure), "80 rows of two people are two people"
    large = [*small[:2], party(published, rows(5, 4)), small[2]]
    count = result(large, ask("count"))
    assert (count.value, count.estimates[0].units) == (27 + 9 + 20, 9 + 9 + 5)
    assert count.interval == (56, None), "a withheld person may have any number of rows"
    mean = result(large, ask("mean", column="age"))
    assert (mean.value, mean.n, mean.interval) == (7, 56, (-50, 50))
    histogram = result(large, ask("histogram", column="age", bins=(-50.0, 0.0, 50.0)))
    assert histogram.value[1] == 56


def test_a_sum_beyond_binary64_fails_with_a_reason_and_its_mean_does_not() -> None:
    wide = Column(name="pay", kind=Kind.REAL, low=0.0, high=1.7e308)
    published = Dataset(name="people", title="", unit="", k=1, own_figures=True, columns=(wide,))
    parties = [Party(published, {"pay": np.full(5, 1.6e308)}) for _ in range(3)]
    (outcome,) = outcomes(parties, ask("mean", column="pay"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse", "the squares have no bound"
    narrower = replace(published, columns=(replace(wide, low=0.0, high=2e154),))
    parties = [Party(narrower, {"pay": np.full(5000, 0.0 if i else 2e154)}) for i in range(3)]
    mean, var = outcomes(parties, ask("mean", column="pay"), ask("var", column="pay"))
    assert isinstance(mean, Done)
    assert isinstance(var, Failure)
    assert var.code == "job_failed"
    assert "binary64" in var.message
