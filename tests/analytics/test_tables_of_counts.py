"""Tests of tables of counts equal scipy's and statsmodels' on pooled rows; integer cells are exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from federation.analytics.hypergeometric import TwoByTwo
from federation.analytics.plan import Failure
from federation.errors import JobFailed
from tests.analytics.frames import AREAS, SEXES, parties_of, people, pool
from tests.analytics.parties import ask, outcomes, result

CLOSE = {"rtol": 1e-10, "atol": 0}


def table(rows: pd.DataFrame, row: str, column: str) -> np.ndarray:
    found = pd.crosstab(rows[row], rows[column])
    orders = [[each for each in AREAS if each in side] or list(side) for side in (found.index, found.columns)]
    return found.reindex(orders[0], axis=0).reindex(orders[1], axis=1).to_numpy()


@pytest.mark.parametrize("parties", [3, 10])
@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize(("row", "column"), [("area", "sex"), ("sex", "sick"), ("area", "sick"), ("w", "area")])
def test_chi_square_is_scipys(row: str, column: str, correction: bool, parties: int) -> None:
    frames = people(1, parties)
    truth = stats.chi2_contingency(table(pool(frames), row, column), correction=correction)
    found = result(parties_of(frames), ask("chi2", row=row, column=column, correction=correction))
    np.testing.assert_allclose((found.statistic, found.pvalue, found.df), truth[:3], **CLOSE)
    np.testing.assert_allclose(found.expected, truth.expected_freq, **CLOSE)
    assert found.observed.n == tuple(map(tuple, table(pool(frames), row, column).tolist()))
    cramer = stats.contingency.association(table(pool(frames), row, column), method="cramer", correction=False)
    np.testing.assert_allclose(found.estimate, cramer, **CLOSE)
    assert found.picture().drawn == "heat"
    plain = stats.chi2_contingency(table(pool(frames), row, column), correction=False).statistic
    np.testing.assert_allclose(np.square(found.residuals).sum(), plain, **CLOSE)


def test_an_empty_level_is_left_out_and_said() -> None:
    frames = [frame[frame.area != "sea"] for frame in people(2)]
    found = result(parties_of(frames), ask("chi2", row="area", column="sick", correction=False))
    truth = stats.chi2_contingency(table(pool(frames), "area", "sick"), correction=False)
    np.testing.assert_allclose((found.statistic, found.pvalue, found.df), truth[:3], **CLOSE)
    assert "sea" in found.notes[0]


@pytest.mark.parametrize("rows", [160, 900])
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_fisher_is_scipys(alternative: str, rows: int) -> None:
    frames = people(3, 3, rows)
    cells = table(pool(frames), "sex", "sick")
    truth = stats.fisher_exact(cells, alternative=alternative)
    found = result(parties_of(frames), ask("fisher", row="sex", column="sick", alternative=alternative))
    np.testing.assert_allclose((found.statistic, found.pvalue), truth, **CLOSE)
    interval = stats.contingency.odds_ratio(cells).confidence_interval(0.95, alternative)
    low, high = found.conf_int()
    np.testing.assert_allclose((low, np.inf if high is None else high), interval, rtol=1e-9)


@pytest.mark.parametrize(
    "cells", [(3, 1, 1, 3), (0, 5, 7, 2), (12, 0, 4, 9), (1, 1, 1, 1), (40, 2, 1, 3_000), (0, 3, 3, 0)]
)
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_the_hypergeometric_law_is_scipys(cells: tuple[int, int, int, int], alternative: str) -> None:
    a, b, c, d = cells
    of = TwoByTwo(a, b, c, d)
    matrix = [[a, b], [c, d]]
    np.testing.assert_allclose(of.pvalue(alternative), stats.fisher_exact(matrix, alternative).pvalue, rtol=1e-11)
    truth = stats.contingency.odds_ratio(matrix).confidence_interval(0.9, alternative)
    np.testing.assert_allclose(of.interval(0.1, alternative), truth, rtol=1e-8)


def test_a_table_of_many_rows_keeps_its_digits_and_one_of_too_many_is_refused() -> None:
    of = TwoByTwo(30_500, 29_500, 30_000, 60_000)
    truth = stats.hypergeom(150_000, 60_000, 60_500)
    np.testing.assert_allclose(of.tails()[1], truth.sf(30_499), rtol=1e-9)
    with pytest.raises(JobFailed):
        TwoByTwo(400_000, 400_000, 400_000, 400_000)


@pytest.mark.parametrize("parties", [3, 10])
def test_the_common_odds_ratio_is_statsmodels(parties: int) -> None:
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    frames = people(4, parties)
    rows = pool(frames)
    tables = [table(rows[rows.area == area], "sex", "sick") for area in AREAS]
    truth = contingency.StratifiedTable(tables)
    found = result(parties_of(frames), ask("mantel_haenszel", row="sex", column="sick", by="area"))
    np.testing.assert_allclose(found.estimate, truth.oddsratio_pooled, **CLOSE)
    np.testing.assert_allclose(found.se, truth.logodds_pooled_se, **CLOSE)
    np.testing.assert_allclose(found.conf_int(), truth.oddsratio_pooled_confint(), **CLOSE)
    test = truth.test_null_odds()
    np.testing.assert_allclose(
        (found.statistic, found.pvalue), (test.statistic, stats.chi2.sf(test.statistic, 1)), **CLOSE
    )
    corrected = result(parties_of(frames), ask("mantel_haenszel", row="sex", column="sick", by="area", correction=True))
    test = truth.test_null_odds(correction=True)
    np.testing.assert_allclose(
        (corrected.statistic, corrected.pvalue), (test.statistic, stats.chi2.sf(test.statistic, 1)), **CLOSE
    )
    equal = truth.test_equal_odds(adjust=True)
    np.testing.assert_allclose(found.homogeneity, (equal.statistic, 2, equal.pvalue), rtol=1e-8)
    assert [each.label for each in found.strata] == list(AREAS)
    assert len(found.table().rows) == 4
    assert found.picture().x[-1] == "common"


def test_levels_are_chosen_and_their_order_turns_the_odds_ratio_round() -> None:
    frames = people(5)
    asked = [
        ask("fisher", row="area", column="sick", rows=("sea", "north")),
        ask("fisher", row="area", column="sick", rows=("north", "sea")),
        ask("fisher", row="area", column="sick"),
        ask("fisher", row="area", column="sick", rows=("north", "south"), columns=("0", "2")),
        ask("chi2", row="area", column="area"),
    ]
    one, other, *wrong = outcomes(parties_of(frames), *asked)
    assert one.result.estimate == pytest.approx(1 / other.result.estimate)
    rows = pool(frames)
    cells = table(rows[rows.area.isin(["sea", "north"])], "area", "sick")
    assert other.result.estimate == pytest.approx(cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0]))
    for outcome in wrong:
        assert isinstance(outcome, Failure)
        assert outcome.code == "misuse"


def test_a_cell_that_stays_closed_although_somebody_has_it_refuses_the_test() -> None:
    frames = people(6, 3, 2_000)
    few = frames[0]
    frames[0] = few.drop(few.index[(few.sex == "f") & (few.sick == 1)][2:])
    (outcome,) = outcomes(parties_of(frames, k=5, own_figures=False), ask("chi2", row="sex", column="sick"))
    assert isinstance(outcome, Failure)
    assert outcome.rule == "contributors"
    assert "(f, 1)" in outcome.message


def test_levels_are_in_published_order() -> None:
    found = result(parties_of(people(7)), ask("chi2", row="sex", column="area"))
    assert (found.observed.down, found.observed.across) == (SEXES, AREAS)
