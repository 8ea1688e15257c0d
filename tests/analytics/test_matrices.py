"""Covariances and correlations equal numpy's over the complete pooled rows, to 1e-12."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from federation.analytics.plan import Failure
from tests.analytics.frames import parties_of, people, pool
from tests.analytics.parties import ask, outcomes, result

COLUMNS = ("age", "pay", "gain", "score")


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.dropna(subset=list(COLUMNS))


def near(found: object, expected: object, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.array(found, dtype=float), expected, rtol=rtol)


@pytest.mark.parametrize("parties", [3, 10])
def test_matrices_are_numpys(parties: int) -> None:
    frames = people(1, parties)
    rows = complete(pool(frames))
    cov, corr = (
        outcome.result
        for outcome in outcomes(parties_of(frames), ask("cov", columns=COLUMNS), ask("corr", columns=COLUMNS))
    )
    near(cov.value, np.cov(rows[list(COLUMNS)].to_numpy().T))
    near(corr.value, np.corrcoef(rows[list(COLUMNS)].to_numpy().T))
    assert cov["age", "pay"] == cov["pay", "age"] == cov.value[0][1]
    assert cov.n == corr.n == len(rows)
    assert corr.picture().span == (-1, 1)
    assert cov.table().columns == ("column", *COLUMNS)
    assert all(corr[name, name] == 1 for name in COLUMNS)
    spread = np.abs(np.array(cov.value) - np.cov(rows[list(COLUMNS)].to_numpy().T))
    assert (spread <= np.array(cov.only.encoding_error) + 1e-14 * np.abs(cov.value)).all()


@pytest.mark.parametrize("by", ["area", ("sex", "sick")])
def test_matrices_by_group_are_numpys(by: str | tuple[str, ...]) -> None:
    frames = people(2, 5)
    cov = result(parties_of(frames), ask("cov", columns=COLUMNS, by=by))
    corr = result(parties_of(frames), ask("corr", columns=COLUMNS, by=by))
    for key, group in complete(pool(frames)).groupby([by] if isinstance(by, str) else list(by)):
        label = tuple(map(str, key))
        near(cov[label].value, np.cov(group[list(COLUMNS)].to_numpy().T))
        near(corr[label].value, np.corrcoef(group[list(COLUMNS)].to_numpy().T))
    assert cov.picture() is None


def test_weighted_matrices_are_numpys() -> None:
    frames = people(3)
    rows = complete(pool(frames))
    found = result(parties_of(frames), ask("cov", columns=COLUMNS, weights="w"))
    near(found.value, np.cov(rows[list(COLUMNS)].to_numpy().T, fweights=rows.w))
    some = rows[rows.share > 0]
    values = some[list(COLUMNS)].to_numpy()
    away = values - np.average(values, axis=0, weights=some.share)
    fractional = result(parties_of(frames), ask("cov", columns=COLUMNS, weights="share"))
    near(fractional.value, (away * some.share.to_numpy()[:, None]).T @ away / (some.share.sum() - 1), 1e-11)
    assert fractional.n == len(some)
    near(fractional.only.weight, some.share.sum())


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
@pytest.mark.parametrize(("x", "y"), [("age", "pay"), ("gain", "score")])
def test_the_test_of_a_correlation_is_scipys(x: str, y: str, alternative: str) -> None:
    frames = people(4, 3)
    rows = pool(frames).dropna(subset=[x, y])
    truth = stats.pearsonr(rows[x], rows[y], alternative=alternative)
    found = result(parties_of(frames), ask("corr_test", x=x, y=y, alternative=alternative))
    near((found.estimate, found.pvalue), truth, 1e-9)
    near(found.conf_int(0.1), truth.confidence_interval(0.9), 1e-11)
    near(found.statistic, found.estimate / found.se)


def test_a_constant_column_has_no_correlation() -> None:
    frames = people(5)
    for frame in frames:
        frame["sick"] = 1
    found = result(parties_of(frames), ask("corr", columns=("age", "sick")))
    assert found["age", "sick"] is None
    assert result(parties_of(frames), ask("cov", columns=("age", "sick")))["sick", "sick"] == 0
    (outcome,) = outcomes(parties_of(frames), ask("corr_test", x="age", y="sick"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "job_failed"


@pytest.mark.parametrize("columns", [("age",), ("age", "age"), ("age", "area"), ("age", "nobody")])
def test_what_has_no_matrix_is_refused(columns: tuple[str, ...]) -> None:
    (outcome,) = outcomes(parties_of(people(6)), ask("cov", columns=columns))
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse"
