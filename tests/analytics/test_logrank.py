"""Log-rank tests equal lifelines' and statsmodels' on pooled rows, also weighted, in several groups and in strata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_gbsg2, load_lung
from lifelines.statistics import logrank_test, multivariate_logrank_test
from statsmodels.duration.survfunc import survdiff

from federation.analytics.plan import Failure
from federation.analytics.statistics import logrank
from tests.analytics.cohorts import split
from tests.analytics.parties import ask, outcomes, result


def lung() -> pd.DataFrame:
    frame = load_lung()[["time", "status", "sex", "ph.ecog"]].dropna().astype(int)
    frame = frame.assign(sex=frame["sex"].map({1: "m", 2: "f"}), ecog=frame["ph.ecog"].map(str))
    return frame.drop(columns="ph.ecog").reset_index(drop=True)


WEIGHTINGS = [
    (None, {}),
    ("wilcoxon", {}),
    ("tarone-ware", {}),
    ("peto", {}),
    ("fleming-harrington", {"p": 1.0, "q": 0.5}),
]


@pytest.mark.parametrize(("weightings", "more"), WEIGHTINGS)
def test_two_groups_equal_lifelines(weightings: str | None, more: dict[str, float]) -> None:
    frame = lung()
    found = result(
        split(frame, (100, 60, 67)),
        ask("logrank", time="time", event="status", by="sex", weightings=weightings, **more),
    )
    rows = [frame[frame["sex"] == sex] for sex in ("f", "m")]
    reference = logrank_test(
        *(each["time"] for each in rows), *(each["status"] for each in rows), weightings=weightings, **more
    )
    assert found.test_statistic == pytest.approx(reference.test_statistic, rel=1e-9)
    assert found.p_value == pytest.approx(reference.p_value, rel=1e-9)
    assert found.degrees_of_freedom == 1
    assert sum(group.observed for group in found.groups) == pytest.approx(sum(g.expected for g in found.groups))


@pytest.mark.parametrize("parts", [(100, 60, 67), (20,) * 9 + (47,)])
def test_several_groups_equal_lifelines_and_an_empty_one_changes_nothing(parts: tuple[int, ...]) -> None:
    frame = lung()
    reference = multivariate_logrank_test(frame["time"], frame["ecog"], frame["status"])
    found = result(split(frame, parts), ask("logrank", time="time", event="status", by="ecog"))
    assert found.test_statistic == pytest.approx(reference.test_statistic, rel=1e-9)
    assert found.p_value == pytest.approx(reference.p_value, rel=1e-9)
    assert found.degrees_of_freedom == 3
    late = frame.assign(ecog=[*frame["ecog"][:-1], "9"])
    late.loc[len(late) - 1, "time"] = 1  # gone before anybody else has an event: never at risk beside others
    late.loc[len(late) - 1, "status"] = 0
    again = result(split(late, parts), ask("logrank", time="time", event="status", by="ecog"))
    assert again.degrees_of_freedom == 3


def test_strata_equal_statsmodels() -> None:
    frame = load_gbsg2()[["time", "cens", "horTh", "menostat", "tgrade"]]
    found = result(
        split(frame, (300, 200, 186)),
        ask("logrank", time="time", event="cens", by="horTh", strata=("menostat", "tgrade")),
    )
    statistic, p = survdiff(
        frame["time"], frame["cens"], frame["horTh"], strata=frame["menostat"] + frame["tgrade"].astype(str)
    )
    assert found.test_statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p_value == pytest.approx(p, rel=1e-9)
    plain = result(split(frame, (300, 200, 186)), ask("logrank", time="time", event="cens", by="horTh"))
    assert plain.test_statistic != pytest.approx(statistic, rel=1e-3)


def test_a_coarse_grid_is_the_test_of_times_at_its_left_ends() -> None:
    frame = lung()
    edges = (5, 100, 200, 400, 1023)
    found = result(split(frame, (100, 60, 67)), ask("logrank", time="time", event="status", by="sex", bins=edges))
    left = np.array(edges)[np.searchsorted(edges, frame["time"], side="right") - 1]
    reference = multivariate_logrank_test(left, frame["sex"], frame["status"])
    assert found.test_statistic == pytest.approx(reference.test_statistic, rel=1e-9)
    assert not found.exact


def test_a_risk_set_without_its_own_bin_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = logrank.at_risk
    monkeypatch.setattr(logrank, "at_risk", lambda bins: [*real(bins)[1:], (0, 0)])
    with pytest.raises((AssertionError, AttributeError)):
        test_two_groups_equal_lifelines(None, {})


def test_questions_without_an_answer_are_refused() -> None:
    frame = lung().assign(one="same")
    wrong = [
        (ask("logrank", time="time", event="status", by="one"), "job_failed"),
        (ask("logrank", time="time", event="status", by="sex", strata="sex"), "misuse"),
        (ask("logrank", time="time", event="status", by="sex", weightings="gehan"), "misuse"),
        (ask("logrank", time="time", event="status", by="sex", p=-1.0), "misuse"),
    ]
    for outcome, (_, code) in zip(
        outcomes(split(frame, (100, 60, 67)), *(each for each, _ in wrong)), wrong, strict=True
    ):
        assert isinstance(outcome, Failure)
        assert outcome.code == code
