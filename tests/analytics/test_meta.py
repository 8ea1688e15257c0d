"""Studies apart equal statsmodels' fits of each, and their fixed and random effects those of its meta-analysis."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.meta_analysis import combine_effects

import federation as fed
from clients.researcher.session import Session
from federation.analytics import meta
from federation.errors import JobFailed, Misuse
from tests.analytics.test_glm_exact import ROWS, thirds

KEPT = ROWS.dropna().reset_index(drop=True).assign(year=lambda rows: "y" + (rows.index % 7).astype(str))
KEPT["o"] += (KEPT.index % 7) * KEPT.x / 40  # studies differ in the slope of x


@pytest.fixture(scope="module")
def session() -> Session:
    return fed.local(thirds(KEPT))


POOL = KEPT.iloc[: len(KEPT) // 3 * 3]


@pytest.mark.parametrize("model", ["ols", "glm"])
def test_effects_are_those_of_each_study_combined(session: Session, model: str) -> None:
    table = session.table("data")
    if model == "ols":
        found = table.ols("o ~ x + z", method="meta", study="year")
        fits = {year: smf.ols("o ~ x + z", rows).fit() for year, rows in POOL.groupby("year")}
    else:
        found = table.glm("y ~ x + h", family="binomial", method="meta", study="year")
        fits = {year: smf.logit("y ~ x + h", rows).fit(disp=0, tol=1e-14) for year, rows in POOL.groupby("year")}
    assert found.labels == tuple(sorted(fits))
    for pooled in found.pooled:
        expected = combine_effects(
            np.array([fit.params[pooled.name] for fit in fits.values()]),
            np.array([fit.bse[pooled.name] ** 2 for fit in fits.values()]),
            method_re="dl",
        )
        frame = expected.summary_frame()
        assert pooled.fixed_effect == pytest.approx(frame.loc["fixed effect", "eff"], rel=1e-8)
        assert pooled.fixed_effect_se == pytest.approx(frame.loc["fixed effect", "sd_eff"], rel=1e-8)
        assert pooled.q == pytest.approx(expected.q, rel=1e-7)
        assert pooled.tau2 == pytest.approx(max(expected.tau2, 0.0), rel=1e-6)
        if expected.tau2 > 0:  # statsmodels goes on with a variance below zero
            assert pooled.random_effect == pytest.approx(frame.loc["random effect", "eff"], rel=1e-8)
            assert pooled.random_effect_se == pytest.approx(frame.loc["random effect", "sd_eff"], rel=1e-8)
        else:
            assert (pooled.random_effect, pooled.random_effect_se) == (pooled.fixed_effect, pooled.fixed_effect_se)
    for label, fit in zip(found.labels, found.fits, strict=True):
        assert fit.params["x"] == pytest.approx(fits[label].params["x"], rel=1e-8)
    if model == "ols":
        assert found.pooled[1].tau2 > 0
    assert found.n == len(POOL)
    assert len(found.table().rows) == 3
    assert found.picture().x[-2:] == ("fixed", "random")


def test_studies_take_no_more_rounds_than_one(session: Session) -> None:
    table = session.table("data")
    found = table.ols("o ~ x", method="meta", study="year")
    assert all(fit.iterations == 1 for fit in found.fits)
    assert len(found.fits) == 7


def test_a_study_without_a_model_is_named_and_the_others_go_on() -> None:
    rows = KEPT.copy()
    rows.loc[rows.year == "y3", "y"] = 1
    found = fed.local(thirds(rows)).table("data").glm("y ~ x + h", family="binomial", method="meta", study="year")
    assert [label for label, _ in found.failures] == ["y3"]
    assert "y3" not in found.labels
    assert any(note.startswith("y3: no model") for note in found.notes)


def test_what_is_no_study_is_refused(session: Session) -> None:
    table = session.table("data")
    for study in (None, "x"):
        with pytest.raises(Misuse, match="category column"):
            table.ols("o ~ x", method="meta", study=study)
    with pytest.raises(Misuse, match="no method"):
        table.ols("o ~ x", method="mata")
    with pytest.raises(JobFailed, match="fewer than two studies"):
        table.where("year == 'y1'").ols("o ~ x", method="meta", study="year")


def test_a_forgotten_variance_between_studies_is_seen(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    right = meta.combined
    monkeypatch.setattr(meta, "combined", lambda name, b, se: right(name, b, [2 * each for each in se]))
    with pytest.raises(AssertionError):
        test_effects_are_those_of_each_study_combined(session, "ols")
