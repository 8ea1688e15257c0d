"""Models of survey samples equal weighted fits of statsmodels with Taylor's covariance over pooled rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from federation.analytics import taylor
from federation.analytics.plan import Failure
from tests.analytics.cohorts import split
from tests.analytics.parties import Party, ask, outcomes, result
from tests.analytics.samples_of import drawn, spread, whole_clusters

FAMILIES = {
    "gaussian": ("y", sm.families.Gaussian()),
    "binomial": ("poor", sm.families.Binomial()),
    "poisson": ("visits", sm.families.Poisson()),
}
DESIGN = {"psu": "psu", "strata": "stratum", "weights": "w"}
NAMES = ("Intercept", "sex[T.m]", "x")


def parties(frame: pd.DataFrame, count: int = 3) -> list[Party]:
    return split(frame, whole_clusters(frame, count), identifiers=("psu",))


def expected(frame: pd.DataFrame, inside: pd.Series, family: str, design: dict[str, str]):
    """Return (coefficients, standard errors) of the domain `inside`."""
    response, made = FAMILIES[family]
    w = frame["w"] * inside if "weights" in design else inside * 1.0
    x = np.column_stack([np.ones(len(frame)), (frame["sex"] == "m") * 1.0, frame["x"]])
    fit = sm.GLM(frame[response], x, family=made, freq_weights=w).fit(tol=1e-14, maxiter=100)
    mean = fit.fittedvalues
    weight = w * {"gaussian": mean * 0 + 1, "binomial": mean * (1 - mean), "poisson": mean}[family]
    scores = pd.DataFrame(x * ((frame[response] - mean) * w).to_numpy()[:, None])
    how = {"psu": design.get("psu"), "strata": design.get("strata"), "fpc": "fpc" in design}
    inverse = np.linalg.inv(x.T @ (x * weight.to_numpy()[:, None]))
    return fit.params.to_numpy(), np.sqrt(np.diag(inverse @ spread(scores, frame, **how) @ inverse))


def agrees(found, wanted) -> None:
    estimates, errors = wanted
    order = [found.names.index(name) for name in NAMES]
    assert np.array(found.estimates)[order] == pytest.approx(estimates, rel=1e-8)
    assert np.array(list(found.bse))[order] == pytest.approx(errors, rel=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [3, 10])
def test_it_equals_a_weighted_fit_with_taylors_covariance(family: str, count: int) -> None:
    frame = drawn()
    asked = ask("survey_glm", formula=f"{FAMILIES[family][0]} ~ x + sex", family=family, **DESIGN)
    found = result(parties(frame, count), asked)
    agrees(found, expected(frame, frame["y"] > 0, family, DESIGN))
    clusters = frame["psu"].nunique()
    assert found.df_resid == clusters - 3 + 1 - 3
    ratio = found.estimates[1] / found.bse[1]
    assert found.pvalues[1] == pytest.approx(2 * stats.t.sf(abs(ratio), found.df_resid), rel=1e-9)
    assert found.cov_type == "survey"
    assert found.llf is None


@pytest.mark.parametrize("design", [{**DESIGN, "fpc": "N"}, {"psu": "psu"}, {"strata": "stratum", "weights": "w"}])
def test_other_designs_and_domains(design: dict[str, str]) -> None:
    frame = drawn(5)
    asked = ask("survey_glm", formula="poor ~ x + sex", family="binomial", **design)
    agrees(result(parties(frame), asked), expected(frame, frame["y"] > 0, "binomial", design))
    asked = ask("survey_glm", formula="poor ~ x + sex", family="binomial", domain="x > 50", **design)
    agrees(result(parties(frame), asked), expected(frame, frame["x"] > 50, "binomial", design))


def test_errors_that_forget_the_clusters_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = taylor.sample
    monkeypatch.setattr(taylor, "sample", lambda drawn, *rest: real(replace(drawn, psu=None), *rest))
    with pytest.raises(AssertionError):
        test_it_equals_a_weighted_fit_with_taylors_covariance("binomial", 3)


def test_more_coefficients_than_clusters_leave_are_refused() -> None:
    frame = drawn().assign(psu=lambda f: f["stratum"] + (f["x"] > 60).map(str))
    mine = split(frame, (300, 200, 100), identifiers=("psu",))
    powers = " + ".join(f"w**{n}" for n in range(1, 4))
    terms = f"x + x**2 + sex + stratum + visits + visits**2 + poor + {powers} + x:w + x:sex + w:sex + visits:sex"
    (outcome,) = outcomes(mine, ask("survey_glm", formula=f"y ~ {terms}", psu="psu"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "job_failed"
