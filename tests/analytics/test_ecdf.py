"""Distribution functions and grouped histograms equal numpy's after the same rule per party."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.analytics.plan import Failure
from federation.errors import Misuse
from federation.query import round as rounds
from tests.analytics.parties import GROUPS, MISSING, Party, ask, dataset, outcomes, party, result

EDGES = (-50, -10, 0, 10, 50)


@st.composite
def federations(draw: st.DrawFn) -> list[Party]:
    dice = random.Random(draw(st.integers(0, 2**32)))
    own_figures = draw(st.booleans())
    k = draw(st.sampled_from([1, 4] if own_figures else [2, 4]))
    return [
        party(
            dataset(k=k, own_figures=own_figures),
            [
                (dice.choice([MISSING, *(dice.randint(-50, 50) for _ in "abc")]), area, 0.0)
                for area in GROUPS
                for _ in range(dice.choice([0, 3, 30, 60]))
            ],
        )
        for _ in range(draw(st.integers(3, 4)))
    ]


def bins(parties: Sequence[Party], area: str | None, *, rule: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (rows, withholding parties, closed) per bin, computed by numpy without any code under test."""
    totals, withheld = np.zeros(len(EDGES) - 1, dtype=int), np.zeros(len(EDGES) - 1, dtype=int)
    for each in parties:
        kept = each.rows["age"] != MISSING
        if area is not None:
            kept &= each.rows["area"] == area
        counts, _ = np.histogram(each.rows["age"][kept], bins=EDGES)
        hidden = (counts < each.own.k) & (each.own.k > 1) & rule
        withheld += hidden
        totals += np.where(hidden, 0, counts)
    few = (len(parties) - withheld < 3) & (not parties[0].own.own_figures) & rule
    closed = few | (withheld == len(parties))
    return np.where(closed, 0, totals), withheld, closed


def check(parties: Sequence[Party], by: str | None, seen: Counter[str]) -> None:
    found = outcomes(
        parties,
        ask("ecdf", column="age", bins=EDGES, by=by),
        ask("histogram", column="age", bins=EDGES, by=by),
    )
    groups = GROUPS if by else (None,)
    every = {area: bins(parties, area, rule=True) for area in groups}
    if all(closed.all() for _, _, closed in every.values()):
        assert all(isinstance(outcome, Failure) and outcome.rule == "contributors" for outcome in found)
        seen["refused"] += 1
        return
    ecdf, histogram = (outcome.result for outcome in found)
    for area, (rows, withheld, closed) in every.items():
        bars = histogram.only if area is None else histogram[area]
        curve = ecdf.only if area is None else ecdf[area]
        assert bars.value == tuple(None if shut else n for n, shut in zip(rows, closed, strict=True))
        assert [cell.withheld for cell in bars.estimates] == withheld.tolist()
        assert [cell.withheld for cell in curve.bins[1:-1]] == withheld.tolist()
        true, _, _ = bins(parties, area, rule=False)
        for i, share in enumerate(curve.value):
            if rows.sum():
                assert share == rows[: i + 1].sum() / rows.sum()
                assert curve.se[i] == math.sqrt(share * (1 - share) / rows.sum())
                seen["share"] += 1
            else:
                assert share is None
                seen["no rows"] += 1
            if true.sum():
                assert curve.curve.low[i] <= true[: i + 1].sum() / true.sum() <= curve.curve.high[i]
            if not withheld.any():
                assert curve.curve.low[i] == curve.curve.high[i] or not rows.sum()
                seen["exact"] += 1


def test_curves_and_histograms_equal_numpys_under_the_same_rule() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=60)
    @given(federations(), st.sampled_from([None, "area"]))
    def property_holds(parties: list[Party], by: str | None) -> None:
        check(parties, by, seen)

    property_holds()
    check([party(dataset(k=4, own_figures=False), [(1, "sea", 0.0)] * 3)] * 3, None, seen)
    for ending in ("share", "no rows", "exact"):
        assert seen[ending] >= 10, seen
    assert seen["refused"] >= 1, seen


def test_a_bin_that_is_not_withheld_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    parties = [
        party(dataset(k=4, own_figures=True), [(1, "sea", 0.0)] * n + [(-20, "sea", 0.0)] * 9) for n in (9, 9, 2)
    ]
    check(parties, "area", Counter())
    real = rounds.encoded
    monkeypatch.setattr(rounds, "encoded", lambda asked, joint, answers, _: real(asked, joint, answers, 1))
    with pytest.raises(AssertionError):
        check(parties, "area", Counter())


def test_whole_numbers_get_a_bin_each_and_the_curve_is_drawn_as_steps() -> None:
    parties = [party(dataset(k=1, own_figures=True, low=0, high=9), [(age, "sea", 0.0) for age in (1, 1, 4)])] * 3
    found = result(parties, ask("ecdf", column="age"))
    assert found.edges == tuple(range(11)), "one bin a value"
    assert found.value == (0, 2 / 3, 2 / 3, 2 / 3, 1, 1, 1, 1, 1, 1)
    picture = found.picture()
    assert (picture.drawn, picture.filled, picture.others) == ("steps", False, ())
    assert (picture.x, picture.y) == ((0, 1, 4, 10), (0, 2 / 3, 1)), "flat stretches are one step"
    grouped = result(parties, ask("ecdf", column="age", by="area")).picture()
    assert (grouped.label, grouped.others) == ("sea", ()), "nobody in the north and in the south: no curve"
    empty = [party(dataset(k=1, own_figures=True), [])] * 3
    assert result(empty, ask("ecdf", column="age", by="area")).picture().y == (None,), "a gap, not zero"


@pytest.mark.parametrize(("k", "bins"), [(1, 256), (5, 32)])
def test_by_default_there_are_fewer_bins_where_small_ones_are_withheld(k: int, bins: int) -> None:
    parties = [party(dataset(k=k, own_figures=True, low=0, high=999), [(5, "sea", 9.0)] * 9)] * 3
    assert len(result(parties, ask("ecdf", column="age")).value) == bins


def test_what_lies_outside_given_edges_counts_as_below_and_above() -> None:
    parties = [party(dataset(k=1, own_figures=True), [(age, "sea", 0.0) for age in (-40, 5, 5, 40)])] * 3
    found = result(parties, ask("ecdf", column="age", bins=(0, 5, 10)))
    assert found.value == (0.25, 0.75)
    again = result(parties, ask("ecdf", column="age", bins=2, low=0, high=10.0))
    assert again.value == found.value
    assert found.n == 12
    with pytest.raises(Misuse, match="one curve per"):
        _ = result(parties, ask("ecdf", column="age", by="area")).value


def test_a_grouped_histogram_has_one_curve_a_group_and_a_single_one_stays_filled() -> None:
    parties = [party(dataset(k=1, own_figures=True), [(age, area, 0.0) for area in GROUPS for age in (1, 20)])] * 3
    grouped = result(parties, ask("histogram", column="age", bins=EDGES, by="area"))
    assert grouped["sea"].value == (0, 0, 3, 3)
    assert (grouped.n, grouped.table().columns[0]) == (18, "area")
    picture = grouped.picture()
    assert (picture.label, len(picture.others), picture.filled) == ("north", 2, False)
    assert result(parties, ask("histogram", column="age")).picture().filled
    with pytest.raises(Misuse, match="one histogram per"):
        _ = grouped.estimates
    with pytest.raises(Misuse, match="no group"):
        _ = grouped["nowhere"]
