"""Generalized linear models equal statsmodels on the pooled rows; planted faults show that the comparison sees."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

import federation as fed
from clients.researcher.session import Session
from federation.analytics import families
from federation.errors import JobFailed
from federation.query.expression import Expression

log = np.log  # patsy evaluates formulas where they are written
CUTS = {"gd": (0, 700), "hk": (700, 1_150), "mo": (1_150, 1_200), "sz": (1_200, 1_230)}
FAMILIES = {
    "binomial": sm.families.Binomial(),
    "poisson": sm.families.Poisson(),
    "gamma": sm.families.Gamma(sm.families.links.Log()),
    "negativebinomial": sm.families.NegativeBinomial(alpha=0.7),
    "gaussian": sm.families.Gaussian(),
}


def made() -> pd.DataFrame:
    """Return rows of four parties: one without a level, one with a single class, one with NaN."""
    dice = np.random.default_rng(11)
    n = 1_230
    rows = pd.DataFrame(
        {
            "x": dice.normal(50, 10, n),
            "z": dice.exponential(2e4, n),
            "g": dice.choice(list("abc"), n, p=[0.5, 0.35, 0.15]),
            "h": dice.choice(["u", "v"], n),
            "e": dice.uniform(1, 5, n),
            "w": dice.integers(1, 4, n),
            "v": dice.uniform(0.5, 2, n),
        }
    )
    eta = -3 + 0.06 * rows.x - 2e-5 * rows.z + 0.5 * (rows.g == "b") - 0.4 * (rows.h == "v")
    rows["y"] = (dice.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    rows["share"] = np.clip(1 / (1 + np.exp(-eta + dice.normal(size=n))), 0, 1).round(2)
    rows["c"] = dice.poisson(np.exp(0.2 + 0.02 * rows.x - 1e-5 * rows.z) * rows.e)
    rows["a"] = dice.gamma(2.0, np.exp(0.5 + 0.01 * rows.x) / 2)
    rows["o"] = 1.5 + 0.3 * rows.x + 1e-4 * rows.z + dice.normal(size=n) * 3
    rows.loc[1_150:1_199, "g"] = "a"
    rows.loc[1_200:, "y"] = 1
    rows.loc[(rows.index >= 700) & (rows.index < 1_150) & (rows.index % 9 == 0), "x"] = np.nan
    return rows


ROWS = made()


def thirds(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows at three parties."""
    size = len(rows) // 3
    return {party: rows.iloc[i * size : (i + 1) * size] for i, party in enumerate("abc")}


@pytest.fixture(scope="module")
def session() -> Session:
    return fed.local({party: ROWS.iloc[a:b].reset_index(drop=True) for party, (a, b) in CUTS.items()})


def pooled(formula: str, family: str, **given: Any) -> Any:
    """Return statsmodels' fit of the complete rows, iterated to the end."""
    kept = (ROWS.dropna() if "x" in formula else ROWS).reset_index(drop=True)
    extra = {name: kept[column].to_numpy() for name, column in given.items() if name != "offset"}
    if "offset" in given:
        extra["offset"] = log(kept["e"].to_numpy()) if given["offset"] == "log(e)" else kept[given["offset"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = smf.glm(formula, kept, family=FAMILIES[family], **extra)
        return model.fit(tol=1e-15, tol_criterion="params", maxiter=200)


def compare(found: Any, expected: Any) -> None:
    """Check coefficients, errors, deviance and likelihood against the bars of the project."""
    names = list(expected.params.index)
    assert list(found.names) == names or set(found.names) == set(names)
    for name in names:
        size = max(abs(expected.params[name]), 1e-2 * expected.bse[name])
        assert abs(found.params[name] - expected.params[name]) <= 1e-8 * size, name
        assert found.bse[name] == pytest.approx(expected.bse[name], rel=1e-8)
        assert found.tvalues[name] == pytest.approx(expected.tvalues[name], rel=1e-7, abs=1e-9)
        assert found.pvalues[name] == pytest.approx(expected.pvalues[name], rel=1e-6, abs=1e-300)
    order = [list(found.names).index(name) for name in names]
    np.testing.assert_allclose(np.array(found.conf_int())[order], expected.conf_int().to_numpy(), rtol=1e-6, atol=1e-9)
    scale = np.sqrt(np.outer(expected.bse, expected.bse))
    np.testing.assert_allclose(
        found.cov_params()[np.ix_(order, order)] / scale, expected.cov_params().to_numpy() / scale, rtol=1e-7, atol=1e-9
    )
    assert found.deviance == pytest.approx(expected.deviance, rel=1e-9)
    assert found.null_deviance == pytest.approx(expected.null_deviance, rel=1e-9)
    assert found.llf == pytest.approx(expected.llf, rel=1e-9)
    assert found.aic == pytest.approx(expected.aic, rel=1e-9)
    assert found.bic == pytest.approx(expected.bic_llf, rel=1e-9)
    assert found.scale == pytest.approx(expected.scale, rel=1e-9)
    assert (found.df_resid, found.df_model) == (expected.df_resid, expected.df_model)
    assert found.converged
    assert found.encoding_error < 1e-8


@pytest.mark.parametrize(
    ("formula", "family", "given"),
    [
        ("y ~ x + z + C(g) + h", "binomial", {}),
        ("y ~ x*g + z + h - 1", "binomial", {}),
        ("y ~ x + I(x**2) + log(z)", "binomial", {}),
        ("y ~ x + z", "binomial", {"freq_weights": "w"}),
        ("y ~ x + z", "binomial", {"var_weights": "v", "offset": "v"}),
        ("share ~ x + z", "binomial", {}),
        ("c ~ x + z + g", "poisson", {"offset": "log(e)"}),
        ("c ~ x + z + g", "poisson", {"freq_weights": "w"}),
        ("c ~ x - 1", "poisson", {"var_weights": "v"}),
        ("a ~ x + z + g", "gamma", {}),
        ("a ~ x + z", "gamma", {"var_weights": "v"}),
        ("a ~ x + z", "gamma", {"freq_weights": "w", "offset": "v"}),
        ("c ~ x + z + g", "negativebinomial", {}),
        ("c ~ x + z", "negativebinomial", {"offset": "log(e)", "freq_weights": "w"}),
        ("o ~ x + z + g*h", "gaussian", {}),
        ("o ~ x + z", "gaussian", {"var_weights": "v"}),
        ("o ~ x + z", "gaussian", {"freq_weights": "w"}),
        ("o ~ 1", "gaussian", {}),
        ("y ~ 1", "binomial", {}),
    ],
)
def test_a_glm_is_that_of_the_pooled_rows(session: Session, formula: str, family: str, given: dict[str, str]) -> None:
    alpha = {"alpha": 0.7} if family == "negativebinomial" else {}
    found = session.table("data").glm(formula, family=family, **given, **alpha)
    compare(found, pooled(formula, family, **given))
    missing = [count for column, _, count in found.n_missing if column == "x"]
    assert missing == ([50] if "x" in formula else [])


def test_predictions_are_those_of_the_pooled_fit(session: Session) -> None:
    kept = ROWS.dropna().reset_index(drop=True)
    found = session.table("data").glm("y ~ x*g + log(z) + h", family="binomial")
    expected = pooled("y ~ x*g + log(z) + h", "binomial")
    np.testing.assert_allclose(found.predict(kept), expected.predict(kept), rtol=1e-9)
    assert np.isnan(found.predict(ROWS)).sum() == 50


def test_a_wrong_residual_is_seen(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    right = families.Binomial.step

    def wrong(self: families.Binomial, y: Expression, eta: Expression, reach: float) -> families.Step:
        made = right(self, y, eta, reach)
        return families.Step(weight=made.weight, residual=made.residual * 1.0 + 1e-7, loss=made.loss)

    monkeypatch.setattr(families.Binomial, "step", wrong)
    found = session.table("data").glm("y ~ x", family="binomial")
    with pytest.raises(AssertionError):
        compare(found, pooled("y ~ x", "binomial"))


def test_separation_is_said_with_its_level_and_what_passes() -> None:
    rows = ROWS.dropna().copy()
    rows.loc[rows.g == "c", "y"] = 1
    table = fed.local(thirds(rows)).table("data")
    with pytest.raises(JobFailed, match=r"separation: all rows of level 'c' of 'g'") as caught:
        table.glm("y ~ x + g", family="binomial")
    assert "collapse={'g': [['b', 'c']]}" in caught.value.hint
    assert table.glm("y ~ x + g", family="binomial", collapse=[["g", [["b", "c"]]]]).converged


def test_separation_along_numbers_is_said_with_their_names() -> None:
    dice = np.random.default_rng(2)
    rows = pd.DataFrame({"x": dice.normal(size=300), "z": dice.normal(size=300)})
    rows["y"] = (rows.x > 0.1).astype(int)
    table = fed.local(thirds(rows)).table("data")
    with pytest.raises(JobFailed, match="separation") as caught:
        table.glm("y ~ x + z", family="binomial")
    assert "'x'" in caught.value.message


def test_a_column_that_others_add_up_to_is_named(session: Session) -> None:
    for formula, family in (("y ~ x + I(2*x - 3)", "binomial"), ("o ~ x + z + I(x + z)", "gaussian")):
        with pytest.raises(JobFailed, match="is a combination of") as caught:
            session.table("data").glm(formula, family=family)
        assert "I(" in caught.value.message
    with pytest.raises(JobFailed, match="is the same in every row"):
        session.table("data").glm("o ~ x + I(w > 0)", family="gaussian")


def test_a_fit_that_comes_to_no_end_says_so(session: Session) -> None:
    table = session.table("data")
    cut = table.glm("y ~ x + z", family="binomial", maxiter=2)
    assert not cut.converged
    assert cut.notes == ("did not converge in 2 rounds: raise maxiter",)
    assert cut.params["x"] == pytest.approx(pooled("y ~ x + z", "binomial").params["x"], rel=1e-2)
    for family, response in (("gamma", "a"), ("negativebinomial", "c")):
        found = table.glm(f"{response} ~ x + z", family=family, alpha=0.7, maxiter=2)
        assert not found.converged
        assert found.scale > 0
    assert table.glm("a ~ x + z", family="gamma", maxiter=30).converged
