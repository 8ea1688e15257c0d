"""Least squares equal statsmodels and scikit-learn on the pooled rows, also where columns are far apart in scale."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
import statsmodels.formula.api as smf

import federation as fed
from clients.local.federation import federation_of
from clients.researcher.session import Session
from federation.analytics import least_squares
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import JobFailed, Misuse
from tests.analytics.test_glm_exact import CUTS, ROWS, thirds

log = np.log  # patsy evaluates formulas where they are written


@pytest.fixture(scope="module")
def session() -> Session:
    return fed.local({party: ROWS.iloc[a:b].reset_index(drop=True) for party, (a, b) in CUTS.items()})


def compare(found: Any, expected: Any, rel: float = 1e-8) -> None:
    """Check a fit against statsmodels' own."""
    names = list(expected.params.index)
    assert set(found.names) == set(names)
    for name in names:
        size = max(abs(expected.params[name]), 1e-2 * expected.bse[name])
        assert abs(found.params[name] - expected.params[name]) <= rel * size, name
        assert found.bse[name] == pytest.approx(expected.bse[name], rel=rel)
        assert found.pvalues[name] == pytest.approx(expected.pvalues[name], rel=1e-6, abs=1e-250)
    order = [list(found.names).index(name) for name in names]
    np.testing.assert_allclose(np.array(found.conf_int())[order], expected.conf_int().to_numpy(), rtol=1e-6, atol=1e-9)
    assert found.rsquared == pytest.approx(expected.rsquared, rel=1e-9)
    assert found.rsquared_adj == pytest.approx(expected.rsquared_adj, rel=1e-9)
    assert found.scale == pytest.approx(expected.scale, rel=1e-9)
    assert found.llf == pytest.approx(expected.llf, rel=1e-9)
    assert found.aic == pytest.approx(expected.aic, rel=1e-9)
    assert found.bic == pytest.approx(expected.bic, rel=1e-9)
    assert (found.df_resid, found.df_model) == (expected.df_resid, expected.df_model)
    if found.cov_type == "nonrobust":
        assert found.fvalue == pytest.approx(expected.fvalue, rel=1e-9)
        assert found.f_pvalue == pytest.approx(expected.f_pvalue, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("formula", ["o ~ x + z + g", "o ~ x*g + log(z) + h", "o ~ g*h + x - 1", "a ~ x + I(x**2)"])
def test_ols_is_that_of_the_pooled_rows(session: Session, formula: str, cov_type: str) -> None:
    compare(
        session.table("data").ols(formula, cov_type=cov_type),
        smf.ols(formula, ROWS.dropna()).fit(cov_type=cov_type),
    )


@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0", "HC3"])
def test_weighted_least_squares_are_those_of_the_pooled_rows(session: Session, cov_type: str) -> None:
    found = session.table("data").ols("o ~ x + z + g", var_weights="v", cov_type=cov_type)
    kept = ROWS.dropna()
    compare(found, smf.wls("o ~ x + z + g", kept, weights=kept["v"]).fit(cov_type=cov_type))


def test_frequency_weights_repeat_rows(session: Session) -> None:
    kept = ROWS.dropna()
    repeated = kept.loc[kept.index.repeat(kept["w"])]
    compare(session.table("data").ols("o ~ x + z", freq_weights="w"), smf.ols("o ~ x + z", repeated).fit())


def test_one_round_is_enough_where_ranges_fit(session: Session) -> None:
    assert session.table("data").ols("o ~ x + z + g").iterations == 1


@pytest.mark.parametrize("width", [1.0, 1e3, 1e6])
def test_columns_far_apart_in_scale_and_loose_ranges_lose_no_digits(width: float) -> None:
    dice = np.random.default_rng(5)
    n = 900
    rows = pd.DataFrame(
        {"tiny": dice.normal(3e-4, 1e-5, n), "huge": dice.normal(2e6, 3e5, n), "year": dice.integers(1990, 2021, n)}
    )
    rows["y"] = 2 + 3e4 * rows.tiny - 4e-6 * rows.huge + 0.1 * (rows.year - 2000) + dice.normal(size=n)
    rows["b"] = (dice.random(n) < 1 / (1 + np.exp(-(rows.y - rows.y.mean())))).astype(int)
    ranges = {name: (float(rows[name].min()), float(rows[name].max())) for name in rows}
    columns = []
    for name, (low, high) in ranges.items():
        middle, half = (low + high) / 2, (high - low) / 2 * width
        kind = Kind.INTEGER if name in ("year", "b") else Kind.REAL
        if name == "b":
            columns.append(Column(name=name, kind=kind, low=0, high=1))
        elif kind is Kind.INTEGER:
            columns.append(Column(name=name, kind=kind, low=int(middle - half), high=int(middle + half)))
        else:
            columns.append(Column(name=name, kind=kind, low=middle - half, high=middle + half))
    frames = thirds(rows)
    dataset = Dataset(name="data", title="", unit="row", columns=tuple(columns), k=1, own_figures=True)
    table = Session(federation_of(frames, published=dict.fromkeys(frames, dataset))).table("data")
    scaled = rows.assign(tiny=rows.tiny * 1e4, huge=rows.huge / 1e6, year=rows.year - 2000.0)
    expected = smf.ols("y ~ tiny + huge + year + I(year**2)", scaled).fit()
    found = table.ols("y ~ tiny + huge + year + I(year**2)")
    squares = found.params["I(year ** 2)"]
    assert found.params["tiny"] == pytest.approx(expected.params["tiny"] * 1e4, rel=1e-8)
    assert found.params["huge"] == pytest.approx(expected.params["huge"] / 1e6, rel=1e-8)
    assert squares == pytest.approx(expected.params["I(year ** 2)"], rel=1e-8)
    assert found.params["year"] + 4000 * squares == pytest.approx(expected.params["year"], rel=1e-8)
    assert found.bse["tiny"] == pytest.approx(expected.bse["tiny"] * 1e4, rel=1e-8)
    assert found.rsquared == pytest.approx(expected.rsquared, rel=1e-9)
    logit = table.glm("b ~ tiny + huge + year", family="binomial")
    reference = smf.logit("b ~ tiny + huge + year", scaled).fit(disp=0, tol=1e-14)
    assert logit.params["tiny"] == pytest.approx(reference.params["tiny"] * 1e4, rel=1e-8)
    assert logit.bse["huge"] == pytest.approx(reference.bse["huge"] / 1e6, rel=1e-8)
    assert logit.llf == pytest.approx(reference.llf, rel=1e-9)


def test_a_fit_that_is_nearly_exact_keeps_its_errors() -> None:
    dice = np.random.default_rng(7)
    rows = pd.DataFrame({"x": dice.normal(size=600), "z": dice.normal(size=600)})
    rows["y"] = 1 + 2 * rows.x - 3 * rows.z + 1e-6 * dice.normal(size=600)
    found = fed.local(thirds(rows)).table("data").ols("y ~ x + z")
    expected = smf.ols("y ~ x + z", rows).fit()
    for name in found.names:
        assert found.params[name] == pytest.approx(expected.params[name], rel=1e-12)
        assert found.bse[name] == pytest.approx(expected.bse[name], rel=1e-8)


def test_a_leverage_of_one_is_refused_for_hc3_alone() -> None:
    rows = ROWS.dropna().copy()
    rows["one"] = (rows.index == rows.index[5]).astype(int)
    table = fed.local(thirds(rows)).table("data")
    with pytest.raises(JobFailed, match="leverage is 1"):
        table.ols("o ~ x + one", cov_type="HC3")
    assert table.ols("o ~ x + one", cov_type="HC0").converged


@pytest.mark.parametrize("alpha", [0.5, 100.0])
def test_ridge_is_that_of_scikit_learn(session: Session, alpha: float) -> None:
    kept = ROWS.dropna()
    x = np.column_stack([kept.x, kept.z / 1e4, kept.g == "b", kept.g == "c"])
    expected = sklearn.linear_model.Ridge(alpha=alpha, solver="cholesky").fit(x, kept.o)
    found = session.table("data").ridge("o ~ x + I(z / 10000) + g", alpha=alpha)
    np.testing.assert_allclose(np.array(found.params)[1:], expected.coef_, rtol=1e-8)
    assert found.params["Intercept"] == pytest.approx(expected.intercept_, rel=1e-8)
    assert found.df_resid > len(kept) - 5
    assert "effective parameters" in found.notes[0]


def test_penalised_logit_is_that_of_scikit_learn_also_where_there_is_separation() -> None:
    dice = np.random.default_rng(2)
    rows = pd.DataFrame({"x": dice.normal(size=300), "z": dice.normal(size=300)})
    rows["y"] = (rows.x > 0.1).astype(int)
    found = fed.local(thirds(rows)).table("data").ridge("y ~ x + z", family="binomial", alpha=2.0)
    expected = sklearn.linear_model.LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000).fit(rows[["x", "z"]], rows.y)
    np.testing.assert_allclose(np.array(found.params)[1:], expected.coef_[0], rtol=1e-6)


def test_a_shrunken_gram_is_seen(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    right = least_squares.solved
    monkeypatch.setattr(least_squares, "solved", lambda start: least_squares.Factored(*_shrunk(right(start))))
    found = session.table("data").ols("o ~ x + z")
    with pytest.raises(AssertionError):
        compare(found, smf.ols("o ~ x + z", ROWS.dropna()).fit())


def _shrunk(factor: least_squares.Factored) -> tuple[Any, ...]:
    matrix = [list(row) for row in factor.exactly]
    matrix[1][1] *= 1 + Fraction(1, 10**6)
    return tuple(map(tuple, matrix)), factor.lower, factor.least


def test_a_model_without_meaning_is_refused_before_anything_is_asked(session: Session) -> None:
    table = session.table("data")
    for asked, said in (
        (lambda: table.ols("Surv(x, y) ~ z"), "t.cox"),
        (lambda: table.ols("o ~ x", cov_type="HC9"), "HC3"),
        (lambda: table.glm("o ~ x", family="binomial"), "binomial response"),
        (lambda: table.glm("y ~ x", family="binomal"), "did you mean 'binomial'"),
        (lambda: table.glm("c ~ x", family="poisson", freq_weights="w", var_weights="v"), "not both"),
        (lambda: table.ridge("o ~ x", alpha=0), "above 0"),
        (lambda: table.glm("g ~ x", family="binomial"), "category"),
    ):
        with pytest.raises(Misuse) as caught:
            asked()
        assert said in f"{caught.value.message} {caught.value.hint}"
