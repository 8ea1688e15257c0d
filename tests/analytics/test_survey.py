"""Survey totals, means and ratios equal Taylor's formulas over pooled rows, and closed forms where there are some."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from federation.analytics import taylor
from federation.analytics.plan import Failure
from tests.analytics.cohorts import split
from tests.analytics.parties import Party, ask, outcomes, result
from tests.analytics.samples_of import drawn, spread, whole_clusters

DESIGNS = [
    {"psu": "psu", "strata": "stratum", "weights": "w"},
    {"psu": "psu", "strata": "stratum", "weights": "w", "fpc": "N"},
    {"psu": "psu", "weights": "w"},
    {"strata": "stratum", "weights": "w"},
    {"weights": "w"},
    {"psu": "psu"},
]


def parties(frame: pd.DataFrame, count: int = 3, **more: object) -> list[Party]:
    return split(frame, whole_clusters(frame, count), identifiers=("psu",), **more)


def expected(frame: pd.DataFrame, inside: pd.Series, design: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return (estimate, standard error) of everything, for the domain `inside`."""
    w = (frame["w"] if "weights" in design else pd.Series(1.0, index=frame.index)) * inside
    how = {"psu": design.get("psu"), "strata": design.get("strata"), "fpc": "fpc" in design}
    size, y, x = w.sum(), (w * frame["y"]).sum(), (w * frame["x"]).sum()
    z = pd.DataFrame({
        "count": w,
        "total": w * frame["y"],
        "mean": w * (frame["y"] - y / size) / size,
        "ratio": w * (frame["y"] - y / x * frame["x"]) / x,
    })  # fmt: skip
    errors = np.sqrt(np.diag(spread(z, frame, **how)))
    return dict(zip(z, zip((size, y, y / size, y / x), errors, strict=True), strict=True))


def questions(design: dict[str, str], **more: object):
    return [
        ask("survey_total", **design, **more),
        ask("survey_total", column="y", **design, **more),
        ask("survey_mean", column="y", **design, **more),
        ask("survey_ratio", numerator="y", denominator="x", **design, **more),
    ]


def agrees(cell, wanted: tuple[float, float]) -> None:
    assert cell.value == pytest.approx(wanted[0], rel=1e-12)
    assert cell.se == pytest.approx(wanted[1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("design", DESIGNS, ids="-".join)
@pytest.mark.parametrize("count", [3, 10])
def test_it_equals_the_formulas_over_pooled_rows(design: dict[str, str], count: int) -> None:
    frame = drawn()
    found = outcomes(parties(frame, count), *questions(design))
    for outcome, wanted in zip(found, expected(frame, frame["y"] > 0, design).values(), strict=True):
        agrees(outcome.result.only, wanted)
        assert outcome.result.n == 600
    mean = found[2].result
    sizes = frame.groupby(design.get("strata", lambda _: 0))[design.get("psu", "y")].nunique()
    assert mean.df == sizes.sum() - len(sizes)
    half = stats.t.ppf(0.975, mean.df) * mean.se
    assert mean.conf_int()[0] == pytest.approx((mean.value - half, mean.value + half), rel=1e-12)


@pytest.mark.parametrize("design", DESIGNS[:3], ids="-".join)
def test_domains_groups_and_missing_values_keep_the_whole_samples_clusters(design: dict[str, str]) -> None:
    frame = drawn(1)
    hidden = frame.index % 7 == 0
    held = frame.assign(y=frame["y"].mask(hidden))
    inside = ~hidden & (frame["x"] > 60)
    by_sex = outcomes(parties(held), *questions(design, by="sex", domain="x > 60")[1:3])
    for sex in ("f", "m"):
        wanted = expected(frame, inside & (frame["sex"] == sex), design)
        agrees(by_sex[0].result[sex], wanted["total"])
        agrees(by_sex[1].result[sex], wanted["mean"])
    # `where` is another sample: its clusters alone are counted.
    where = frame[frame["sex"] == "f"]
    wanted = expected(where, where["y"] > 0, design)
    found = result(parties(frame), ask("survey_mean", column="y", **design), where="sex == 'f'")
    agrees(found.only, wanted["mean"])


def test_closed_forms_of_simple_and_of_cluster_samples() -> None:
    frame = drawn(2)
    n = len(frame)
    mean = result(parties(frame), ask("survey_mean", column="y"))
    assert mean.se == pytest.approx(frame["y"].std(ddof=1) / math.sqrt(n), rel=1e-10)
    whole = frame.assign(N=5000)
    total = result(parties(whole), ask("survey_total", column="y", fpc="N"))
    assert total.se == pytest.approx(n * math.sqrt((1 - n / 5000) / n) * frame["y"].std(ddof=1), rel=1e-10)
    sums = frame.groupby("psu")["y"].sum()
    clustered = result(parties(frame), ask("survey_total", column="y", psu="psu"))
    assert clustered.se == pytest.approx(math.sqrt(len(sums)) * sums.std(ddof=1), rel=1e-10)
    strata = frame.groupby("stratum")["y"]
    share = strata.size() / n
    stratified = result(parties(frame), ask("survey_mean", column="y", strata="stratum"))
    assert stratified.se == pytest.approx(math.sqrt((share**2 * strata.var(ddof=1) / strata.size()).sum()), rel=1e-3)


def test_five_rows_by_hand() -> None:
    """Two strata, clusters {1, 2} and {3, 4}, {5}: z sums 1, 5 | 9, 4 with weights 1, totals 19, variance 16 + 25."""
    frame = pd.DataFrame(
        {"psu": ["a", "b", "b", "c", "d"], "stratum": ["s", "s", "s", "t", "t"], "y": [1, 2, 3, 9, 4], "w": [1] * 5}
    )
    mine = split(frame, ([0], [1, 2], [3, 4]), identifiers=("psu",))
    found = result(mine, ask("survey_total", column="y", psu="psu", strata="stratum", weights="w"))
    assert found.value == 19
    # 2/1 * ((1 - 3)^2 + (5 - 3)^2) = 16, and 2/1 * ((9 - 6.5)^2 + (4 - 6.5)^2) = 25
    assert found.se == pytest.approx(math.sqrt(16 + 25), rel=1e-12)
    assert found.df == 2


def test_small_cells_are_withheld_by_who_is_counted_and_said() -> None:
    frame = drawn(3)
    frame.insert(0, "who", [f"q{i // 2}" for i in range(len(frame))])
    mine = split(frame, whole_clusters(frame, 3), k=5, own_figures=False, identifiers=("who", "psu"))
    (outcome,) = outcomes(mine, ask("survey_mean", column="y", psu="psu", strata="stratum", weights="w", by="sex"))
    if isinstance(outcome, Failure):
        assert outcome.rule == "contributors"
    alone = [ask("survey_mean", column="y", psu="psu", weights="w"), ask("survey_total", psu="psu", weights="w")]
    mean, total = (found.result for found in outcomes(mine, *alone))
    wanted = expected(frame, frame["y"] > 0, {"psu": "psu", "weights": "w"})
    agrees(mean.only, wanted["mean"])
    agrees(total.only, wanted["count"])
    assert 300 <= mean.only.units <= 302, "two persons may lie in two parties"


def test_what_cannot_be_estimated_is_said() -> None:
    frame = drawn(4)
    lonely = frame.copy()
    lonely.loc[lonely["stratum"] == "west", "psu"] = "west-0"
    design = {"psu": "psu", "strata": "stratum", "weights": "w"}
    (outcome,) = outcomes(parties(lonely), ask("survey_mean", column="y", **design))
    assert isinstance(outcome, Failure)
    assert "one cluster" in outcome.message
    lonely["N"] = lonely["N"].where(lonely["stratum"] != "west", 1)
    certain = result(parties(lonely), ask("survey_total", column="y", fpc="N", **design))
    assert certain.se is not None
    frame["one"] = 1
    wrong = [
        (ask("survey_total", column="y", psu="psu", strata="stratum", fpc="one"), "job_failed"),
        (ask("survey_mean", column="sex"), "misuse"),
        (ask("survey_mean", column="y", psu="y"), "misuse"),
        (ask("survey_mean", column="y", strata="y"), "misuse"),
        (ask("survey_mean", column="y", domain="agee > 3"), "misuse"),
    ]
    for outcome, (_, code) in zip(outcomes(parties(frame), *(asked for asked, _ in wrong)), wrong, strict=True):
        assert isinstance(outcome, Failure)
        assert outcome.code == code, outcome


def test_clusters_that_are_forgotten_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = taylor.sums_query

    def of_rows(of: taylor.Sample, *args: object) -> object:
        query = real(of, *args)
        gram = next(term for term in query.terms if isinstance(term, taylor.Gram))
        object.__setattr__(gram, "clusters", "sex")
        return query

    monkeypatch.setattr(taylor, "sums_query", of_rows)
    with pytest.raises(AssertionError):
        test_it_equals_the_formulas_over_pooled_rows(DESIGNS[0], 3)
