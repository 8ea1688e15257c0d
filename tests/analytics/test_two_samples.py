"""Tests of means equal scipy's on pooled rows, over unequal parties with missing values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from federation.analytics.plan import Failure
from tests.analytics.frames import AREAS, parties_of, people, pool
from tests.analytics.parties import ask, outcomes, result

CLOSE = {"rtol": 1e-10, "atol": 0}


def of(rows: pd.DataFrame, column: str, by: str, group: object) -> np.ndarray:
    return rows.loc[rows[by] == group, column].dropna().to_numpy()


@pytest.mark.parametrize("parties", [3, 10])
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_one_mean_is_scipys(parties: int, alternative: str) -> None:
    frames = people(1, parties)
    for column, mu in (("pay", 1_900.0), ("age", 20.5)):
        truth = stats.ttest_1samp(pool(frames)[column].dropna(), mu, alternative=alternative)
        found = result(parties_of(frames), ask("t_test", column=column, mu=mu, alternative=alternative))
        np.testing.assert_allclose((found.statistic, found.pvalue, found.df), (*truth, truth.df), **CLOSE)
        low, high = truth.confidence_interval(0.9)
        ours = [np.inf * sign if end is None else end for sign, end in zip((-1, 1), found.conf_int(0.1), strict=True)]
        np.testing.assert_allclose(ours, (low, high), **CLOSE)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_two_means_are_scipys(equal: bool, alternative: str) -> None:
    frames = people(2, 5)
    rows = pool(frames)
    for column, by, groups in (
        ("pay", "sex", ("f", "m")),
        ("age", "area", ("sea", "north")),
        ("gain", "sick", ("0", "1")),
    ):
        wanted = [int(group) if by == "sick" else group for group in groups]
        truth = stats.ttest_ind(
            *(of(rows, column, by, group) for group in wanted), equal_var=equal, alternative=alternative
        )
        asked = ask("t_test", column=column, by=by, groups=groups, equal_variances=equal, alternative=alternative)
        found = result(parties_of(frames), asked)
        np.testing.assert_allclose((found.statistic, found.pvalue, found.df), (*truth, truth.df), **CLOSE)
        low, high = truth.confidence_interval()
        ours = [np.inf * sign if end is None else end for sign, end in zip((-1, 1), found.conf_int(), strict=True)]
        np.testing.assert_allclose(ours, (low, high), **CLOSE)
        assert found.interval == (found.estimate, found.estimate)
        assert found.n == sum(len(of(rows, column, by, group)) for group in wanted)
        assert found.picture().x == groups


def test_groups_that_were_not_asked_for_stay_closed() -> None:
    found = result(parties_of(people(2)), ask("t_test", column="age", by="area", groups=("sea", "north")))
    assert [each.label for each in found.groups] == ["sea", "north"]
    assert found.n == (pool(people(2)).dropna(subset="age").area.isin(["sea", "north"])).sum()


@pytest.mark.parametrize("equal", [True, False])
def test_several_means_are_scipys(equal: bool) -> None:
    frames = people(3, 10)
    rows = pool(frames)
    for column in ("age", "pay"):
        groups = [of(rows, column, "area", area) for area in AREAS]
        truth = stats.f_oneway(*groups, equal_var=equal)
        found = result(parties_of(frames), ask("anova", column=column, by="area", equal_variances=equal))
        np.testing.assert_allclose((found.statistic, found.pvalue), truth, **CLOSE)
        whole = np.concatenate(groups)
        between = sum(len(each) * (each.mean() - whole.mean()) ** 2 for each in groups)
        np.testing.assert_allclose(found.estimate, between / ((whole - whole.mean()) ** 2).sum(), rtol=1e-9)
        assert found.table().rows[0][2] == 2
        assert found.df[0] == 2


def test_an_empty_group_is_left_out_and_said() -> None:
    frames = [frame[frame.area != "sea"] for frame in people(4)]
    found = result(parties_of(frames), ask("anova", column="pay", by="area"))
    truth = stats.f_oneway(*(of(pool(frames), "pay", "area", area) for area in AREAS[:2]))
    np.testing.assert_allclose((found.statistic, found.pvalue), truth, **CLOSE)
    assert "sea" in found.notes[0]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (ask("t_test", column="pay", by="area"), "misuse"),
        (ask("t_test", column="pay", by="area", groups=("sea", "see")), "misuse"),
        (ask("t_test", column="pay", by="sex", alternative="more"), "misuse"),
        (ask("t_test", column="sex"), "misuse"),
        (ask("anova", column="pay", by="gain"), "misuse"),
    ],
)
def test_what_is_no_question_is_refused(asked, code: str) -> None:
    (outcome,) = outcomes(parties_of(people(5)), asked)
    assert isinstance(outcome, Failure)
    assert outcome.code == code


def test_a_constant_column_has_no_statistic_and_says_so() -> None:
    frames = people(6)
    for frame in frames:
        frame["gain"] = 7.0
    found = result(parties_of(frames), ask("t_test", column="gain", by="sex"))
    assert found.statistic is None or abs(found.estimate) < 1e-9
    assert result(parties_of(frames), ask("anova", column="sick", by="sex")).statistic is not None
