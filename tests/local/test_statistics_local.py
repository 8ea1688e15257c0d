"""Descriptive figures and tests through `fed.local`, with the real engine and masks: those of the pooled rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clients.local.federation import local
from clients.researcher.results import Results
from clients.researcher.table import Table
from tests.analytics.frames import AREAS, people

PARTIES = 7


@pytest.fixture(scope="module")
def frames() -> list[pd.DataFrame]:
    made = people(11, PARTIES, 2_000)
    for frame in made:
        frame["age"] = frame["age"].astype(float).where(frame["age"] != -99)
    return made


@pytest.fixture(scope="module")
def rows(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def table(frames: list[pd.DataFrame]) -> Table:
    return local({f"p{i}": frame for i, frame in enumerate(frames)}).table("data")


def ran(table: Table, *asked: object) -> Results:
    return table._session.run(list(asked), data=table)


def test_descriptive_figures_are_those_of_the_pooled_rows(table: Table, rows: pd.DataFrame) -> None:
    ask = table.ask
    columns = ["age", "pay", "gain"]
    cov, corr, skew, kurtosis, gini, missing, mean = ran(
        table,
        ask.cov(columns),
        ask.corr(columns, by="sick"),
        ask.skew("pay"),
        ask.kurtosis("pay", by=["area", "sex"]),
        ask.gini("gain"),
        ask.missing(by="area"),
        ask.mean("pay", by="sick", weights="w"),
    )
    complete = rows.dropna(subset=columns)
    np.testing.assert_allclose(cov.value, complete[columns].cov(), rtol=1e-12)
    for sick in (0, 1):
        own = complete.loc[complete.sick == sick, columns].corr()
        np.testing.assert_allclose(corr[str(sick)].value, own, rtol=1e-10)
        some = rows[(rows.sick == sick) & rows.pay.notna()]
        np.testing.assert_allclose(mean[str(sick)].value, np.average(some.pay, weights=some.w), rtol=1e-12)
    pay = rows.pay.dropna()
    np.testing.assert_allclose(skew.value, stats.skew(pay), rtol=1e-9)
    group = rows[(rows.area == "sea") & (rows.sex == "f")].pay.dropna()
    np.testing.assert_allclose(kurtosis["sea", "f"].value, stats.kurtosis(group), rtol=1e-8)
    x = np.sort(rows.gain)
    truth = (2 * np.arange(1, len(x) + 1) - len(x) - 1) @ x / (len(x) * x.sum())
    assert gini.interval[0] <= truth <= gini.interval[1]
    assert gini.value == pytest.approx(truth, abs=1e-3)
    assert missing["age"] == rows.age.isna().sum()
    assert cov.receipt.parties == tuple(f"p{i}" for i in range(PARTIES))
    for each in (cov, corr, skew, gini, missing):
        assert each.summary()


def test_crossed_figures_are_those_of_the_pooled_rows(table: Table, rows: pd.DataFrame) -> None:
    crosstab = table.crosstab("area", "sick", weights="w")
    truth = pd.crosstab(rows.area, rows.sick, values=rows.w, aggfunc="sum").loc[list(crosstab.only.down)]
    np.testing.assert_array_equal(crosstab.value, truth)
    flat = table.histogram2d("pay", "gain", 6, [0.0, 10.0, 100.0, float(rows.gain.max())])
    edges = [np.array(each, dtype=float) for each in (flat.x_edges, flat.y_edges)]
    known = rows.dropna(subset="pay")
    np.testing.assert_array_equal(flat.value, np.histogram2d(known.pay, known.gain, bins=edges)[0])
    extent = table.extent("pay", 10, by="area")
    for area in AREAS:
        own = rows.loc[rows.area == area, "pay"]
        assert extent[area].low <= own.min() <= own.max() <= extent[area].high


def test_tests_are_those_of_the_pooled_rows(table: Table, rows: pd.DataFrame) -> None:
    ask = table.ask
    welch, anova, chi2, fisher, strata, corr, ranks, auc = ran(
        table,
        ask.t_test("pay", by="sex"),
        ask.anova("pay", by="area"),
        ask.chi2("area", "sex"),
        ask.fisher("sex", "sick"),
        ask.mantel_haenszel("sex", "sick", by="area"),
        ask.corr_test("age", "pay"),
        ask.mann_whitney("w", by="sex"),
        ask.auc("score", "sick"),
    )
    pay = rows.dropna(subset="pay")
    two = [pay.loc[pay.sex == sex, "pay"] for sex in ("f", "m")]
    np.testing.assert_allclose((welch.statistic, welch.pvalue), stats.ttest_ind(*two, equal_var=False), rtol=1e-10)
    three = [pay.loc[pay.area == area, "pay"] for area in AREAS]
    np.testing.assert_allclose((anova.statistic, anova.pvalue), stats.f_oneway(*three), rtol=1e-10)
    test = stats.chi2_contingency(pd.crosstab(rows.area, rows.sex))
    np.testing.assert_allclose((chi2.statistic, chi2.pvalue, chi2.df), test[:3], rtol=1e-11)
    cells = pd.crosstab(rows.sex, rows.sick).to_numpy()
    np.testing.assert_allclose((fisher.statistic, fisher.pvalue), stats.fisher_exact(cells), rtol=1e-10)
    r = s = 0.0
    for _, own in rows.groupby("area"):
        (a, b), (c, d) = pd.crosstab(own.sex, own.sick).to_numpy()
        r, s = r + a * d / len(own), s + b * c / len(own)
    np.testing.assert_allclose(strata.value, r / s, rtol=1e-12)
    known = rows.dropna(subset=["age", "pay"])
    np.testing.assert_allclose((corr.value, corr.pvalue), stats.pearsonr(known.age, known.pay), rtol=1e-9)
    groups = [rows.loc[rows.sex == sex, "w"] for sex in ("f", "m")]
    truth = stats.mannwhitneyu(*groups, method="asymptotic")
    np.testing.assert_allclose((ranks.u, ranks.pvalue), truth, rtol=1e-10)
    wins = stats.mannwhitneyu(rows.score[rows.sick == 1], rows.score[rows.sick == 0]).statistic
    assert auc.value == pytest.approx(wins / ((rows.sick == 1).sum() * (rows.sick == 0).sum()), abs=2e-3)
    for each in (welch, anova, chi2, fisher, strata, corr, ranks, auc):
        assert each.summary()
        assert each.to_pandas() is not None


def test_small_cells_stay_home_and_the_rest_is_that_of_the_opened_rows(frames: list[pd.DataFrame]) -> None:
    k = 12
    table = local({f"p{i}": frame for i, frame in enumerate(frames)}, k=k).table("data")
    found = table.crosstab("area", "sick")
    opened = np.zeros((3, 2), dtype=int)
    for frame in frames:
        own = pd.crosstab(frame.area, frame.sick).reindex(index=list(found.only.down), columns=[0, 1], fill_value=0)
        opened += np.where(own.to_numpy() < k, 0, own.to_numpy())
    np.testing.assert_array_equal(found.value, opened)
    test = table.chi2("area", "sick")
    truth = stats.chi2_contingency(opened)
    np.testing.assert_allclose((test.statistic, test.pvalue), truth[:2], rtol=1e-11)
    rows = pd.concat(frames, ignore_index=True)
    everything = stats.chi2_contingency(pd.crosstab(rows.area, rows.sick))
    assert test.statistic_interval[0] <= everything.statistic <= test.statistic_interval[1]
    assert "withheld by" in test.summary()
