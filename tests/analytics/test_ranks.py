"""Gini coefficients, ROC areas and rank tests on bins: exact on binned values, and bounds hold the unbinned figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from federation.analytics.plan import Failure
from tests.analytics.frames import AREAS, parties_of, people, pool
from tests.analytics.parties import ask, outcomes, result


def gini(values: pd.Series, weights: np.ndarray | None = None) -> float:
    x = np.sort(values.to_numpy() if weights is None else np.repeat(values.to_numpy(), weights))
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def binned(values: pd.Series, edges: tuple[float, ...]) -> np.ndarray:
    found = np.searchsorted(np.array(edges, dtype=float), values, side="right")
    return np.where(values == edges[-1], len(edges) - 1, found)


@pytest.mark.parametrize("bins", [None, 10, 100, (0, 1, 5, 20, 100, 400, 1_000)])
def test_the_bounds_hold_the_gini_coefficient_of_the_rows(bins: int | tuple[float, ...] | None) -> None:
    frames = people(1, 5)
    found = result(parties_of(frames), ask("gini", column="gain", bins=bins))
    truth = gini(pool(frames).gain)
    low, high = found.interval
    assert low <= truth <= high
    assert low <= found.value <= high
    if bins is None:
        assert abs(found.value - truth) < 1e-3
    rows = pool(frames)
    weighted = result(parties_of(frames), ask("gini", column="gain", bins=bins, weights="w"))
    assert weighted.interval[0] <= gini(rows.gain, rows.w.to_numpy()) <= weighted.interval[1]


def test_the_lorenz_curve_is_exact_at_the_edges_of_bins() -> None:
    frames = people(2)
    edges = (0, 5, 20, 60, 1_000)
    found = result(parties_of(frames), ask("lorenz", column="gain", bins=edges, by="sex"))
    for sex in ("f", "m"):
        own = pool(frames).loc[lambda rows, sex=sex: rows.sex == sex, "gain"]
        for edge, x, y in zip(edges[1:-1], found[sex].population[1:], found[sex].owned[1:], strict=False):
            np.testing.assert_allclose((x, y), ((own < edge).mean(), own[own < edge].sum() / own.sum()), rtol=1e-12)
        assert (found[sex].population[-1], found[sex].owned[-1]) == (1, 1)
        assert found[sex].share_of(found[sex].population[2]) == pytest.approx(found[sex].owned[2])
    picture = found.picture()
    assert (picture.drawn, picture.diagonal, len(picture.lines)) == ("lines", True, 2)


def test_whole_numbers_in_bins_of_one_value_have_their_exact_coefficient() -> None:
    frames = people(3)
    found = result(parties_of(frames), ask("gini", column="w", bins=(0, 1, 2, 3, 4)))
    fine = result(parties_of(frames), ask("gini", column="w", bins=(0, 1, 2, 3, 4, 5)))
    truth = gini(pool(frames).w)
    assert found.interval[0] <= truth <= found.interval[1]
    assert fine.value == pytest.approx(truth, rel=1e-14)


@pytest.mark.parametrize("bins", [None, 20])
def test_the_area_under_the_curve_is_that_of_the_binned_score(bins: int | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    frames = people(4, 10)
    rows = pool(frames)
    found = result(parties_of(frames), ask("auc", score="score", label="sick", bins=bins))
    score = binned(rows.score, found.edges)
    np.testing.assert_allclose(found.value, metrics.roc_auc_score(rows.sick, score), rtol=1e-13)
    assert abs(found.value - metrics.roc_auc_score(rows.sick, rows.score)) < (2e-3 if bins is None else 0.02)
    weighted = result(parties_of(frames), ask("auc", score="score", label="sick", bins=bins, weights="w"))
    truth = metrics.roc_auc_score(rows.sick, score, sample_weight=rows.w)
    np.testing.assert_allclose(weighted.value, truth, rtol=1e-13)
    x, y, _ = metrics.roc_curve(rows.sick, score, drop_intermediate=False)
    np.testing.assert_allclose(found.only.false_positive, x, rtol=1e-13)
    np.testing.assert_allclose(found.only.true_positive, y, rtol=1e-13)
    by_area = result(parties_of(frames), ask("auc", score="score", label="sick", bins=bins, by="area"))
    for area in AREAS:
        own = rows.area == area
        np.testing.assert_allclose(by_area[area].auc, metrics.roc_auc_score(rows.sick[own], score[own]), rtol=1e-13)
    assert found.interval == (found.value, found.value)
    low, high = found.conf_int()
    assert 0 < low < found.value < high < 1


def test_the_standard_error_is_delongs() -> None:
    frames = people(5)
    rows = pool(frames)
    found = result(parties_of(frames), ask("auc", score="score", label="sick"))
    score = binned(rows.score, found.edges)
    wins = np.sign(score[rows.sick == 1][:, None] - score[rows.sick == 0][None, :]) / 2 + 0.5
    m, n = wins.shape
    truth = np.sqrt(wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n)
    np.testing.assert_allclose((found.value, found.se), (wins.mean(), truth), rtol=1e-12)


def test_one_class_of_several_is_positive() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    frames = people(6)
    rows = pool(frames)
    found = result(parties_of(frames), ask("auc", score="score", label="area", positive="south"))
    score = binned(rows.score, found.edges)
    np.testing.assert_allclose(found.value, metrics.roc_auc_score(rows.area == "south", score), rtol=1e-13)


@pytest.mark.parametrize("continuity", [True, False])
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_the_rank_test_is_scipys_on_binned_values(alternative: str, continuity: bool) -> None:
    frames = people(7, 5)
    rows = pool(frames)
    for column, by, groups in (
        ("age", "sex", ("f", "m")),
        ("gain", "area", ("sea", "north")),
        ("score", "sick", ("1", "0")),
    ):
        asked = ask("mann_whitney", column=column, by=by, groups=groups, alternative=alternative, continuity=continuity)
        found = result(parties_of(frames), asked)
        known = rows.dropna(subset=column)
        values = known[column] if column == "age" else pd.Series(binned(known[column], found.edges), index=known.index)
        one, other = (values[known[by].astype(str) == group] for group in groups)
        truth = stats.mannwhitneyu(one, other, alternative=alternative, method="asymptotic", use_continuity=continuity)
        assert found.u == truth.statistic
        np.testing.assert_allclose(found.pvalue, truth.pvalue, rtol=1e-10)
        np.testing.assert_allclose(found.estimate, truth.statistic / (len(one) * len(other)), rtol=1e-14)
        assert found.n == len(one) + len(other)
        assert [sum(each) for each in found.counts] == [len(one), len(other)]


@pytest.mark.parametrize(
    "asked",
    [
        ask("gini", column="pay"),
        ask("gini", column="gain", bins=(1.0, 500.0)),
        ask("lorenz", column="area"),
        ask("auc", score="score", label="area"),
        ask("auc", score="score", label="area", positive="see"),
        ask("auc", score="score", label="sick", by="sick"),
        ask("auc", score="area", label="sick"),
        ask("mann_whitney", column="pay", by="area"),
        ask("mann_whitney", column="pay", by="sex", alternative="no"),
    ],
    ids=str,
)
def test_what_is_no_question_is_refused(asked) -> None:
    (outcome,) = outcomes(parties_of(people(8)), asked)
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse"
