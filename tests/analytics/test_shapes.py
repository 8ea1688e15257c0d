"""Skewness, kurtosis, crosstabs, two-dimensional histograms, ranges and missing rows are scipy's, numpy's, pandas'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from federation.analytics.plan import Failure
from tests.analytics.frames import AREAS, SEXES, parties_of, people, pool
from tests.analytics.parties import ask, outcomes, result

CLOSE = {"rtol": 1e-11, "atol": 1e-12}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("parties", [3, 10])
def test_skewness_and_kurtosis_are_scipys(parties: int, bias: bool) -> None:
    frames = people(1, parties)
    for column in ("age", "pay", "gain"):
        values = pool(frames)[column].dropna()
        skew, kurtosis = (
            outcome.result
            for outcome in outcomes(
                parties_of(frames), ask("skew", column=column, bias=bias), ask("kurtosis", column=column, bias=bias)
            )
        )
        np.testing.assert_allclose(skew.value, stats.skew(values, bias=bias), **CLOSE)
        np.testing.assert_allclose(kurtosis.value, stats.kurtosis(values, bias=bias), **CLOSE)
        assert abs(skew.value - stats.skew(values, bias=bias)) <= skew.only.encoding_error + 1e-12
        assert skew.n == len(values)
    np.testing.assert_allclose(skew.se, np.sqrt(6 / skew.n), rtol=0.02)
    np.testing.assert_allclose(kurtosis.se, np.sqrt(24 / skew.n), rtol=0.03)


def test_shapes_by_group_and_weighted_are_those_of_the_rows() -> None:
    frames = people(2, 5)
    by_group = result(parties_of(frames), ask("skew", column="pay", by=("area", "sex")))
    for key, group in pool(frames).groupby(["area", "sex"]):
        np.testing.assert_allclose(by_group[tuple(key)].value, stats.skew(group.pay.dropna()), **CLOSE)
    rows = pool(frames).dropna(subset="pay")
    weighted = result(parties_of(frames), ask("kurtosis", column="pay", weights="w"))
    np.testing.assert_allclose(weighted.value, stats.kurtosis(np.repeat(rows.pay, rows.w)), **CLOSE)
    unbiased = result(parties_of(frames), ask("skew", column="pay", weights="w", bias=False))
    np.testing.assert_allclose(unbiased.value, stats.skew(np.repeat(rows.pay, rows.w), bias=False), **CLOSE)


def test_moments_far_from_the_middle_of_a_loose_range_keep_their_digits() -> None:
    frames = people(3)
    for frame in frames:
        frame["pay"] = 3_900 + frame["score"] * 10  # a spread of 10 at the end of a range of 4,500
    values = pool(frames).pay
    found = result(parties_of(frames), ask("kurtosis", column="pay"))
    np.testing.assert_allclose(found.value, stats.kurtosis(values), atol=1e-6)
    assert 1e-6 < found.only.encoding_error < 0.1, "a bound: every row may be rounded in the same direction"


@pytest.mark.parametrize("weights", [None, "w"])
def test_a_crosstab_is_pandas(weights: str | None) -> None:
    frames = people(4, 5)
    rows = pool(frames)
    values = None if weights is None else rows[weights]
    truth = pd.crosstab(rows.area, rows.sick, values=values, aggfunc=None if weights is None else "sum", margins=True)
    found = result(parties_of(frames), ask("crosstab", row="area", column="sick", weights=weights))
    for area in AREAS:
        for sick in (0, 1):
            assert found[area, str(sick)].value == truth.loc[area, sick]
    assert found.only.row_totals == tuple(truth.loc[list(AREAS), "All"])
    assert found.only.column_totals == tuple(truth.loc["All", [0, 1]])
    assert found.only.total == truth.loc["All", "All"]
    assert found.table().rows[-1] == ("total", *truth.loc["All"])
    shares = pd.crosstab(
        rows.area, rows.sick, values=values, aggfunc=None if weights is None else "sum", normalize="index"
    )
    np.testing.assert_allclose(found.only.row_shares, shares.loc[list(AREAS)], rtol=1e-14)
    by_sex = result(parties_of(frames), ask("crosstab", row="area", column="sick", by="sex", weights=weights))
    for sex in SEXES:
        own = rows[rows.sex == sex]
        expected = len(own) if weights is None else own[weights].sum()
        assert by_sex[sex].total == expected
    assert (found.picture().drawn, by_sex.picture()) == ("heat", None)


def test_a_histogram_in_two_dimensions_is_numpys() -> None:
    frames = people(5)
    rows = pool(frames).dropna(subset=["age", "gain"])
    found = result(parties_of(frames), ask("histogram2d", x="age", y="gain", x_bins=5, y_bins=(0, 10, 50, 1_000.0)))
    edges = [np.array(each, dtype=float) for each in (found.x_edges, found.y_edges)]
    expected, _, _ = np.histogram2d(rows.age, rows.gain, bins=edges)
    np.testing.assert_array_equal(np.array(found.value), expected)
    assert found.only.outside == ()
    weighted = result(parties_of(frames), ask("histogram2d", x="age", y="gain", x_bins=5, y_bins=3, weights="w"))
    edges = [np.array(each, dtype=float) for each in (weighted.x_edges, weighted.y_edges)]
    expected, _, _ = np.histogram2d(rows.age, rows.gain, bins=edges, weights=rows.w)
    np.testing.assert_array_equal(np.array(weighted.value), expected)
    cut = result(parties_of(frames), ask("histogram2d", x="age", y="gain", x_bins=(0, 10, 20), y_bins=2, by="sex"))
    own = rows[rows.sex == "f"]
    inside, _, _ = np.histogram2d(own.age, own.gain, bins=[[0, 10, 20], np.array(cut.y_edges, dtype=float)])
    np.testing.assert_array_equal(np.array(cut["f"].value), inside)
    assert sum(cell.value for cell in cut["f"].outside) == len(own) - inside.sum()
    assert len(found.picture().y) == 5 * 3


def test_the_extent_is_that_of_the_opened_bins_and_no_value() -> None:
    frames = people(6)
    found = result(parties_of(frames), ask("extent", column="age", bins=10))
    ages = pool(frames).age.dropna()
    edges = np.linspace(-40, 60, 11)
    counts, _ = np.histogram(ages, bins=edges)
    filled = np.flatnonzero(counts)
    assert found.value == (edges[filled[0]], edges[filled[-1] + 1])
    assert (found.only.lowest, found.only.highest) == found.value
    assert found.value[0] <= ages.min()
    assert found.value[1] >= ages.max()
    by_area = result(parties_of(frames, k=8, own_figures=False), ask("extent", column="age", bins=10, by="area"))
    for area in AREAS:
        own = pool(frames).loc[lambda rows, area=area: rows.area == area, "age"].dropna()
        each = by_area[area]
        assert each.lowest <= own.min()
        assert each.highest >= own.max()
        assert each.low is None or each.low >= each.lowest


def test_missing_rows_are_counted_by_reason_and_by_group() -> None:
    frames = people(7)
    for frame in frames:
        frame["pay"] = frame["pay"].astype(object).where(frame["score"] > 0.3, None)
        frame["area"] = frame["area"].astype(object).where(frame["score"] < 0.8, None)
    found = result(parties_of(frames), ask("missing"))
    rows = pd.concat(frames)
    refused = int((rows.age == -99).sum())
    assert (found["age", "refused"], found["age", "null"], found["age"]) == (refused, 0, refused)
    assert found["area"] == int(rows.area.isna().sum())
    none = int(rows.pay.map(lambda value: value is None).sum())
    assert found["pay", "null"] == none
    assert dict(found.non_finite_of)["pay"] == int(rows.pay.isna().sum()) - none
    assert {row[0] for row in found.table().rows} == set(frames[0].columns)
    by_sex = result(parties_of(frames), ask("missing", columns=("age", "area"), by="sex", weights="w"))
    for sex in SEXES:
        own = rows[rows.sex == sex]
        group = next(each for each in by_sex.groups if each.column == "age" and each.missing.label == sex)
        assert group.missing.value == own.w[own.age == -99].sum()
        assert group.share == pytest.approx(own.w[own.age == -99].sum() / own.w.sum())


@pytest.mark.parametrize(
    "asked",
    [
        ask("crosstab", row="area", column="area"),
        ask("crosstab", row="area", column="sex", by="sex"),
        ask("histogram2d", x="age", y="age"),
        ask("histogram2d", x="age", y="area"),
        ask("histogram2d", x="age", y="pay", x_bins=0),
        ask("skew", column="area"),
        ask("extent", column="area"),
        ask("missing", columns=()),
        ask("missing", columns=("nobody",)),
    ],
    ids=str,
)
def test_what_is_no_question_is_refused(asked) -> None:
    (outcome,) = outcomes(parties_of(people(8)), asked)
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse"
