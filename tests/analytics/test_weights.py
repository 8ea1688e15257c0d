"""A row of weight w counts as w rows: weighted statistics equal the plain ones over repeated rows."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from federation.analytics import moments
from federation.analytics.plan import Failure
from federation.domain.job import Computation
from tests.analytics.frames import parties_of, people, pool, repeated
from tests.analytics.parties import ask, outcomes, result

ASKED = [
    ask("count", weights="w"),
    ask("count", by="area", weights="w"),
    ask("count", column="pay", weights="w"),
    *(ask(name, column=column, by=by, weights="w")
      for name in ("sum", "mean", "var", "std", "histogram", "quantile", "ecdf")
      for column in ("age", "pay") for by in (None, "sex", ("area", "sex"))),
    ask("quantile", column="age", q=(0.0, 0.1, 0.5, 1.0), weights="w"),
    ask("describe", columns=("age", "pay"), by="sex", weights="w"),
]  # fmt: skip


def numbers(of: Any) -> list[float | None]:
    """Every number of the opened values of a result, in order; rows and encoding bounds apart."""
    table = of.table()
    skipped = {"n", "units", "weight", "w", "n_missing"}
    kept = [i for i, name in enumerate(table.columns) if name not in skipped]
    found = [row[i] for row in table.rows for i in kept]
    return [None if value is None else float(value) for value in found if not isinstance(value, str)]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.name}{dict(asked.parameters)}")
def test_a_weighted_statistic_is_the_plain_one_over_repeated_rows(asked: Computation) -> None:
    frames = people(3, parties=5)
    plain = ask(asked.name, **{name: value for name, value in asked.parameters if name != "weights"})
    weighted, counted = result(parties_of(frames), asked), result(parties_of(repeated(frames)), plain)
    for ours, theirs in zip(numbers(weighted), numbers(counted), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert weighted.weights == "w"


@pytest.mark.parametrize("asked", [each for each in ASKED if each.name in ("count", "sum", "mean", "var")],
                         ids=lambda asked: f"{asked.name}{dict(asked.parameters)}")  # fmt: skip
def test_rows_are_counted_beside_their_weight(asked: Computation) -> None:
    frames = people(4)
    found = result(parties_of(frames), asked)
    rows = pool(frames)
    rows = rows[rows.w > 0]
    column = dict(asked.parameters).get("column")
    rows = rows if column is None else rows[rows[column].notna()]
    assert found.n == len(rows)
    assert sum(cell.weight for cell in found.estimates) == rows.w.sum()
    assert "weight" in found.table().columns


def test_fractional_weights_are_numpys_and_statsmodels() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    frames = people(5)
    rows = pool(frames)
    rows = rows[rows.pay.notna() & (rows.share > 0)]
    truth = weightstats.DescrStatsW(rows.pay, weights=rows.share, ddof=1)
    asked = [ask(name, column="pay", weights="share") for name in ("sum", "mean", "var", "std")]
    total, mean, var, std = (outcome.result for outcome in outcomes(parties_of(frames), *asked))
    np.testing.assert_allclose(total.value, truth.sum, rtol=1e-12)
    np.testing.assert_allclose(mean.value, np.average(rows.pay, weights=rows.share), rtol=1e-12)
    np.testing.assert_allclose(var.value, truth.var, rtol=1e-12)
    np.testing.assert_allclose((std.value, mean.se), (truth.std, truth.std / np.sqrt(truth.sum_weights)), rtol=1e-12)
    histogram = result(parties_of(frames), ask("histogram", column="pay", bins=7, weights="share"))
    expected, _ = np.histogram(rows.pay, bins=np.array(histogram.edges, dtype=float), weights=rows.share)
    np.testing.assert_allclose(histogram.value, expected, rtol=1e-12)
    quantile = result(parties_of(frames), ask("quantile", column="pay", q=(0.1, 0.5, 0.99), weights="share"))
    expected = np.quantile(rows.pay, (0.1, 0.5, 0.99), weights=rows.share, method="inverted_cdf")
    np.testing.assert_allclose(quantile.values, expected, atol=quantile.resolution)
    assert quantile.n == len(rows)


def test_rows_of_weight_zero_are_not_selected_so_that_k_does_not_count_them() -> None:
    frames = people(6)
    for frame in frames:
        frame.loc[frame.index[:-3], "w"] = 0  # three people a party carry all the weight
    (outcome,) = outcomes(parties_of(frames, k=5, own_figures=False), ask("mean", column="gain", weights="w"))
    assert isinstance(outcome, Failure)
    assert outcome.rule == "contributors"


def test_rows_without_a_weight_are_counted_as_left_out() -> None:
    frames = people(7)
    for frame in frames:
        frame["share"] = frame["share"].astype(object).where(frame.index > 1, None)
    found = result(parties_of(frames), ask("mean", column="gain", weights="share"))
    assert {column: n for column, _, n in found.n_missing}["share"] == 2 * len(frames)
    assert found.n == sum((frame["share"].dropna() > 0).sum() for frame in frames)


@pytest.mark.parametrize("weights", ["age", "area", "nobody"])
def test_what_holds_no_weights_is_refused(weights: str) -> None:
    (outcome,) = outcomes(parties_of(people(8)), ask("mean", column="pay", weights=weights))
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse"


def test_the_comparison_catches_a_weight_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = people(9)
    asked = ask("mean", column="pay", weights="w")
    rows = pool(frames).dropna(subset="pay")
    truth = np.average(rows.pay, weights=rows.w)
    np.testing.assert_allclose(result(parties_of(frames), asked).value, truth, rtol=1e-12)
    real = moments.moments

    def planted(question: moments.Asked, *rest: Any) -> moments.Moments:
        found = real(question, *rest)
        return type(found)(**{each.name: getattr(found, each.name) for each in fields(found)} | {"size": found.n})

    monkeypatch.setattr("federation.analytics.statistics.mean.moments", planted)
    assert abs(result(parties_of(frames), asked).value / truth - 1) > 1e-3
