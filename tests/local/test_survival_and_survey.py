"""Survival, components, clusters and surveys through all programs in one process equal the pooled figures."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_lung
from lifelines.statistics import multivariate_logrank_test
from statsmodels.duration.hazard_regression import PHReg

import federation as fed
from clients.researcher.session import Session
from federation.errors import FederationError
from tests.analytics.samples_of import drawn, spread, whole_clusters

mpl.use("agg")
PARTS = ((0, 110), (110, 180), (180, 210), (210, 227))


def lung() -> pd.DataFrame:
    frame = load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna().astype(int)
    frame = frame.rename(columns={"ph.ecog": "ecog"}).assign(sex=lambda f: f["sex"].map({1: "m", 2: "f"}))
    return frame.sort_values("sex", ignore_index=True)  # so that some parties hold one sex only


@pytest.fixture(scope="module")
def session() -> Session:
    frame = lung()
    return fed.local({f"p{i}": frame.iloc[a:b] for i, (a, b) in enumerate(PARTS)})


def test_survival_of_a_cohort(session: Session) -> None:
    frame, t = lung(), session.table("data")
    curve = t.kaplan_meier("time", "status", by="sex")
    for sex in ("f", "m"):
        rows = frame[frame["sex"] == sex]
        reference = KaplanMeierFitter().fit(rows["time"], rows["status"])
        wanted = reference.survival_function_at_times([50, 300, 700]).tolist()
        assert curve[sex].survival_function_at_times([50, 300, 700]) == pytest.approx(wanted, rel=1e-12)
    test = t.logrank("time", "status", by="sex")
    reference = multivariate_logrank_test(frame["time"], frame["sex"], frame["status"])
    assert test.test_statistic == pytest.approx(reference.test_statistic, rel=1e-9)
    assert "chi-square" in test.summary()
    axes = curve.plot()
    assert [line.get_text() for line in axes.get_legend().get_texts()] == ["f", "m"]
    assert len(t.kaplan_meier("time", "status").plot().patches) == 3, "the curve and both ends of its interval"


def test_proportional_hazards(session: Session) -> None:
    frame, t = lung(), session.table("data")
    found = t.cox("Surv(time, status) ~ age + ecog", strata="sex")
    x = frame[["age", "ecog"]].to_numpy(float)
    reference = PHReg(frame["time"], x, frame["status"], ties="efron", strata=frame["sex"]).fit()
    assert list(found.params) == pytest.approx(reference.params, rel=1e-8)
    assert list(found.bse) == pytest.approx(reference.bse, rel=1e-8)
    assert "exp(coef)" in found.summary()
    assert found.predict(frame).shape == (227,)
    found.plot()


def test_components_and_clusters(session: Session) -> None:
    frame, t = lung(), session.table("data")
    columns = ["time", "age", "ecog"]
    found = t.pca(columns)
    values = np.linalg.eigvalsh(np.corrcoef(frame[columns], rowvar=False))[::-1]
    assert found.eigenvals == pytest.approx(values, rel=1e-9)
    clusters = t.kmeans(columns, k=2, seed=3)
    assert clusters.converged
    nearest = np.array(clusters.predict(frame))
    for place in range(2):
        assert clusters.centers[place] == pytest.approx(frame[nearest == place][columns].mean().to_numpy(), rel=1e-12)


def test_a_survey_sample() -> None:
    frame = drawn(6)
    parts = whole_clusters(frame, 4)
    t = fed.local({f"p{i}": frame.iloc[rows] for i, rows in enumerate(parts)}).table("data")
    sample = t.survey(strata="stratum", psu="psu", weights="w")
    mean = sample.mean("y")
    w = frame["w"]
    wanted = (w * frame["y"]).sum() / w.sum()
    z = pd.DataFrame({"z": w * (frame["y"] - wanted) / w.sum()})
    assert mean.value == pytest.approx(wanted, rel=1e-12)
    assert mean.se == pytest.approx(spread(z, frame, psu="psu", strata="stratum", fpc=False)[0, 0] ** 0.5, rel=1e-9)
    assert sample.total(by="sex")["f"].value == pytest.approx(w[frame["sex"] == "f"].sum(), rel=1e-12)
    assert sample.ratio("y", "x", domain="sex == 'm'").n == (frame["sex"] == "m").sum()
    assert "clusters by psu" in mean.summary()
    assert "strata='stratum'" in repr(sample)


def test_under_k_and_without_the_clause_survival_is_on_a_coarse_grid() -> None:
    frame = lung()
    parties = {f"p{i}": frame.iloc[i::3] for i in range(3)}
    t = fed.local(parties, k=3, own_figures=False).table("data")
    found = t.kaplan_meier("time", "status")
    assert not found.exact
    assert len(found.times) <= 16
    assert "left end" in found.summary()
    assert "withheld" in found.summary() or "closed" in found.summary()
    with pytest.raises(FederationError):
        t.cox("Surv(time, status) ~ C(ecog)")
