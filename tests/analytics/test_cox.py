"""Cox's model equals statsmodels' and lifelines' on pooled rows; a coarse grid is their model of binned times."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.datasets import load_gbsg2, load_lung, load_rossi
from statsmodels.duration.hazard_regression import PHReg

from federation.analytics import hazards, proportional_hazards
from federation.analytics.plan import Failure
from federation.analytics.statistics.cox import CoxResult
from federation.jobs import planner
from tests.analytics.cohorts import split
from tests.analytics.parties import ask, driven, job, joint_of, outcomes, result

SHARP = {"precision": 1e-14, "r_precision": 1e-15}  # lifelines stops at 5e-8 otherwise
FORMULA = "Surv(time, status) ~ age + sex + ecog"


def lung() -> pd.DataFrame:
    frame = load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna().astype(int)
    frame = frame.rename(columns={"ph.ecog": "ecog"}).assign(sex=lambda f: f["sex"].map({1: "m", 2: "f"}))
    return frame.reset_index(drop=True)


def columns(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"age": frame["age"], "sex": (frame["sex"] == "m") * 1.0, "ecog": frame["ecog"]})


def agrees(found: CoxResult, x: pd.DataFrame, time: object, status: object, ties: str, **more: object) -> None:
    reference = PHReg(np.asarray(time), x.to_numpy(np.float64), np.asarray(status), ties=ties, **more).fit()
    assert found.converged
    assert found.estimates == pytest.approx(reference.params, rel=1e-8)
    assert list(found.bse) == pytest.approx(reference.bse, rel=1e-8)
    assert list(found.pvalues) == pytest.approx(reference.pvalues, rel=1e-6, abs=1e-300)
    assert found.llf == pytest.approx(reference.llf, rel=1e-9)
    assert np.array(found.covariance) == pytest.approx(reference.cov_params(), rel=1e-6, abs=1e-12)
    assert np.array(found.conf_int()) == pytest.approx(reference.conf_int(), rel=1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("parts", [(100, 60, 67), (20,) * 9 + (47,)])
def test_it_equals_statsmodels_on_pooled_rows(ties: str, parts: tuple[int, ...]) -> None:
    frame = lung()
    found = result(split(frame, parts), ask("cox", formula=FORMULA, ties=ties))
    assert found.names == ("age", "sex[T.m]", "ecog")
    assert (found.n, found.events, found.exact) == (227, 164, True)
    agrees(found, columns(frame), frame["time"], frame["status"], ties)
    assert found.encoding_error < 1e-9
    assert found.iterations <= 8


def test_many_ties_and_indicators_equal_lifelines_with_baseline_and_predictions() -> None:
    frame = load_rossi().rename(columns={"mar": "married"})
    frame["race"] = np.where(frame["race"] == 1, "black", "other")
    asked = ask("cox", formula='Surv(week, arrest) ~ fin + age + C(race, ref="other") + wexp + married + prio')
    found = result(split(frame, (300, 100, 32)), asked)
    x = frame.assign(race=(frame["race"] == "black") * 1.0).drop(columns="paro")
    reference = CoxPHFitter().fit(x, "week", "arrest", fit_options=SHARP)
    names = ["fin", "age", "race", "wexp", "married", "prio"]
    assert found.estimates == pytest.approx(reference.params_[names].to_numpy(), rel=1e-8)
    assert list(found.bse) == pytest.approx(reference.standard_errors_[names].to_numpy(), rel=1e-8)
    assert list(found.hazard_ratios_) == pytest.approx(reference.hazard_ratios_[names].to_numpy(), rel=1e-8)
    assert found.llf == pytest.approx(reference.log_likelihood_, rel=1e-9)
    test = reference.log_likelihood_ratio_test()
    assert found.log_likelihood_ratio_test == pytest.approx((test.test_statistic, test.p_value), rel=1e-8)
    assert found.aic == pytest.approx(reference.AIC_partial_, rel=1e-9)
    baseline = reference.baseline_cumulative_hazard_["baseline cumulative hazard"]
    mine = found.baseline_cumulative_hazard_
    assert mine.hazard == pytest.approx(baseline.loc[list(mine.times)].to_numpy(), rel=1e-8)
    assert found.predict(frame) == pytest.approx(reference.predict_partial_hazard(x).to_numpy(), rel=1e-8)


def test_strata_products_and_powers_equal_statsmodels() -> None:
    frame = load_gbsg2()[["time", "cens", "horTh", "age", "tsize", "menostat", "tgrade"]]
    asked = [
        ask("cox", formula="Surv(time, cens) ~ age + I(age**2) + horTh * tsize", strata=("menostat", "tgrade")),
        ask("cox", formula="Surv(time, cens) ~ age + age**2 + horTh * tsize + strata(menostat) + strata(tgrade)"),
    ]
    treated = (frame["horTh"] == "yes") * 1.0
    x = {"treated": treated, "age": frame["age"], "two": frame["age"] ** 2, "size": frame["tsize"]}
    x = pd.DataFrame(x).assign(both=treated * frame["tsize"])
    for outcome in outcomes(split(frame, (300, 200, 186)), *asked):
        found = outcome.result
        order = [found.names.index(name) for name in found.names]
        assert sorted(order) == list(range(5))
        place = {"horTh[T.yes]": "treated", "age": "age", "tsize": "size"}
        named = [place.get(name, "both" if ":" in name else "two") for name in found.names]
        agrees(found, x[named], frame["time"], frame["cens"], "efron", strata=frame["menostat"] + frame["tgrade"])
        assert len(found.baselines) == 6


def test_a_value_that_is_missing_and_levels_that_are_empty_at_some_party_or_at_all() -> None:
    frame = lung().assign(group=lambda f: np.where(f["ecog"] > 1, "high", np.where(f["ecog"] == 1, "one", "zero")))
    frame = frame.sort_values("group", ignore_index=True)  # so that the parties hold different levels
    frame["weight"] = frame["age"] * 1.5 + frame["ecog"]
    frame.loc[200:205, "weight"] = np.nan
    frame.loc[0, "sex"] = "x"
    parties = split(frame, (60, 100, 67))
    frame.loc[0, "sex"] = parties[0].rows["sex"][0] = "m"
    found = result(parties, ask("cox", formula="Surv(time, status) ~ weight + sex + group"))
    whole = frame.dropna()
    assert found.n == len(whole) == 221
    assert found.names == ("weight", "sex[T.m]", "group[T.one]", "group[T.zero]")
    assert any("'x' of sex" in note for note in found.notes)
    x = {"sex[T.m]": (whole["sex"] == "m") * 1.0, "weight": whole["weight"]}
    x |= {f"group[T.{level}]": (whole["group"] == level) * 1.0 for level in ("one", "zero")}
    agrees(found, pd.DataFrame(x)[list(found.names)], whole["time"], whole["status"], "efron")


def test_ranges_far_too_wide_and_scales_a_million_apart_cost_no_digits() -> None:
    frame = lung().assign(age=lambda f: f["age"] * 1e6, ecog=lambda f: f["ecog"] * 1e-6)
    parties = split(frame, (100, 60, 67))
    found = result(parties, ask("cox", formula=FORMULA))
    reference = result(split(lung(), (100, 60, 67)), ask("cox", formula=FORMULA))
    scales = np.array([1e-6, 1.0, 1e6])
    assert found.estimates == pytest.approx(np.array(reference.estimates) * scales, rel=1e-8)
    assert list(found.bse) == pytest.approx(np.array(list(reference.bse)) * scales, rel=1e-8)


def test_real_times_are_searched_first() -> None:
    dice = np.random.Generator(np.random.PCG64(2))
    frame = pd.DataFrame({"x": dice.normal(size=400), "event": dice.integers(0, 2, 400)})
    frame["time"] = np.round(dice.exponential(np.exp(-0.7 * frame["x"])) * 10, 3)
    found = result(split(frame, (200, 150, 50)), ask("cox", formula="Surv(time, event) ~ x", resolution=0.001))
    agrees(found, frame[["x"]], frame["time"], frame["event"], "efron")
    assert found.notes == ("event times are told to 0.001",)


def test_without_the_clause_it_is_the_model_of_binned_times_of_cells_that_are_large_enough() -> None:
    frame = load_gbsg2()[["time", "cens", "horTh", "age"]]
    parts = (300, 200, 186)
    found = result(split(frame, parts, k=3, own_figures=False), ask("cox", formula="Surv(time, cens) ~ age + horTh"))
    low, high = frame["time"].min(), frame["time"].max() + 1
    starts = [low + (high - low) * i // 16 for i in range(16)]
    place = np.searchsorted(starts, frame["time"], side="right") - 1
    bounds = np.cumsum([0, *parts])
    kept = np.zeros(len(frame), dtype=bool)
    for at in range(16):
        for event in (0, 1):
            inside = (place == at) & (frame["cens"] == event)
            if all(inside[a:b].sum() >= 3 for a, b in pairwise(bounds)):
                kept |= inside
    assert 0 < (~kept).sum() < 150
    x = pd.DataFrame({"horTh": (frame["horTh"] == "yes") * 1.0, "age": frame["age"]})[kept]
    assert found.names == ("age", "horTh[T.yes]")
    agrees(found, x[["age", "horTh"]], np.array(starts)[place[kept]], frame["cens"][kept], "efron")
    assert not found.exact
    assert found.closed


def test_levels_below_k_are_refused_with_the_merge_that_passes() -> None:
    frame = lung().assign(group=lambda f: f["ecog"].map({0: "a", 1: "b", 2: "c", 3: "c"}))
    parties = split(frame.assign(group=["d", "d", *frame["group"][2:]]), (100, 60, 67), k=3, own_figures=False)
    asked = ask("cox", formula="Surv(time, status) ~ group")
    (outcome,) = outcomes(parties, asked)
    assert isinstance(outcome, Failure)
    assert (outcome.code, outcome.rule) == ("refused", "support")
    assert "collapse=" in outcome.hint
    joined = (("group", (("b", "c", "d"),)),)
    assert "{'group': [['b', 'c', 'd']]}" in outcome.hint
    assert result(parties, ask("cox", formula="Surv(time, status) ~ group", collapse=joined)).converged


def test_coefficients_without_a_finite_value_are_said() -> None:
    frame = lung().assign(never=lambda f: np.where((f["status"] == 0) & (f["age"] > 60), 1, 0))
    (outcome,) = outcomes(split(frame, (100, 60, 67)), ask("cox", formula="Surv(time, status) ~ age + never"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "separated"
    assert "'never'" in outcome.message


def test_columns_that_depend_on_others_are_named() -> None:
    frame = lung().assign(twice=lambda f: 2 * f["age"] + 3)
    (outcome,) = outcomes(split(frame, (100, 60, 67)), ask("cox", formula="Surv(time, status) ~ age + ecog + twice"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "singular"
    assert "'twice'" in outcome.message


@pytest.mark.parametrize("fault", ["risk", "ties"])
def test_a_risk_set_or_ties_that_are_wrong_would_be_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "risk":  # who leaves in a bin is not at risk at its event

        def made(events: int, tied: tuple[int, ...], others: tuple[int, ...]) -> hazards.Tied:
            return hazards.Tied(events, tied, (0,) * len(others) if events else others)

        monkeypatch.setattr(proportional_hazards, "Tied", made)
    else:
        real = hazards._Sums.add
        monkeypatch.setattr(hazards._Sums, "add", lambda *args, efron: real(*args, efron=not efron))
    with pytest.raises(AssertionError):
        test_it_equals_statsmodels_on_pooled_rows("efron", (100, 60, 67))


def test_what_has_no_meaning_is_refused_before_anybody_is_asked() -> None:
    frame = lung()
    wrong = (
        "age ~ sex",
        "Surv(time, status) ~ 1",
        "Surv(time, status) ~ age - 1",
        "Surv(time, status) ~ age + offset(ecog)",
        "Surv(time, age) ~ sex",
        "Surv(sex, status) ~ age",
        "Surv(time, status) ~ agee",
    )
    found = outcomes(split(frame, (100, 60, 67)), *(ask("cox", formula=formula) for formula in wrong))
    found += outcomes(split(frame, (100, 60, 67)), ask("cox", formula=FORMULA, ties="exact"))
    for outcome in found:
        assert isinstance(outcome, Failure)
        assert outcome.code == "misuse", outcome
    (outcome,) = outcomes(split(frame.assign(status=0), (100, 60, 67)), ask("cox", formula=FORMULA))
    assert isinstance(outcome, Failure)
    assert outcome.code == "job_failed"


def test_the_grid_of_the_fit_is_the_event_times_alone() -> None:
    frame = lung()
    parties = split(frame, (100, 60, 67))
    joint = joint_of(parties)
    seen: list[int] = []
    asked = job([ask("cox", formula=FORMULA)], 3, max_rounds=60)
    driven(planner.replay(asked, joint), parties, joint, lambda _, numbers: seen.append(len(numbers)))
    events = frame["time"][frame["status"] == 1].nunique()
    assert max(seen[1:]) < (events + 3) * 2 * (1 + 10 + 2 + 1) + 50
