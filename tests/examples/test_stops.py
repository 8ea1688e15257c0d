"""Stops in five precincts: the published odds ratios, statsmodels' figures, and a stop moved to another cell."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from clients.local.federation import local
from federation.errors import Refused
from federation_examples import alone
from federation_examples.report import Report
from federation_examples.stops import data, story

PUBLISHED = {
    "stops compared": 26_923,
    "common odds ratio within precincts": 2.20310034,
    "its logarithm within precincts, 2.5 %": 0.708048,
    "its logarithm within precincts, 97.5 %": 0.871683,
    "CMH chi-square within precincts": 376.64808838,
    "chi-square, crude": 771.25176566,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return data.split(tmp_path_factory.mktemp("precincts"))


@pytest.fixture(scope="module")
def rows(files: dict[str, Path]) -> pd.DataFrame:
    return pd.concat(pd.read_parquet(file) for file in files.values())


def test_five_precincts_have_the_published_odds_ratio(stops_report: Report) -> None:
    found = {line.figure: line.federated for line in stops_report.lines}
    for figure, value in PUBLISHED.items():
        assert found[figure] == pytest.approx(value, rel=1e-6 if value < 1 else 1e-8), figure
    assert found["cells of the precincts' tables that are equal"] == 20
    assert stops_report.agrees


@pytest.mark.parametrize("column", ["precinct", "problem"])
def test_statsmodels_and_scipy_find_the_same(column: str, rows: pd.DataFrame, stops_report: Report) -> None:
    within = story.STRATA[column]
    compared = rows[rows.race.isin(story.RACES) & rows.search.notna()]
    tables = [
        pd.crosstab(own.race, own.search).loc[list(story.RACES), list(story.SEARCHED)].to_numpy()
        for _, own in compared.groupby(column)
    ]
    theirs = StratifiedTable(tables)
    found = {line.figure: line.federated for line in stops_report.lines}
    assert found[f"common odds ratio {within}"] == pytest.approx(theirs.oddsratio_pooled, rel=1e-12)
    assert found[f"CMH chi-square {within}"] == pytest.approx(
        theirs.test_null_odds(correction=True).statistic, rel=1e-10
    )
    low, high = theirs.logodds_pooled_confint()
    assert found[f"its logarithm {within}, 2.5 %"] == pytest.approx(low, rel=1e-9)
    assert found[f"its logarithm {within}, 97.5 %"] == pytest.approx(high, rel=1e-9)
    crude = stats.chi2_contingency(np.sum(tables, axis=0), correction=False).statistic
    assert found["chi-square, crude"] == pytest.approx(crude, rel=1e-12)


def test_a_stop_without_a_word_on_searches_is_in_no_cell(rows: pd.DataFrame, stops_report: Report) -> None:
    assert len(rows) == 51_920
    assert rows.search.isna().sum() == 8_221
    assert stops_report.lines[0].federated < rows.race.isin(story.RACES).sum() + 1


def test_one_stop_in_another_cell_is_seen(files: dict[str, Path], tmp_path: Path) -> None:
    moved = tmp_path / "precinct-3.parquet"
    with duckdb.connect() as database:
        rows = database.read_parquet(str(files["precinct-3"])).df()
        first = rows.index[(rows.race == "Black") & (rows.search == "NO")][0]
        rows.loc[first, "search"] = "YES"
        database.from_df(rows).write_parquet(str(moved))
    with alone.session(story.STORY, files | {"precinct-3": moved}, tmp_path) as session:
        report = story.run(session, files.values())
    off = {line.figure for line in report.lines if not line.agrees}
    assert "stops compared" not in off
    assert {"odds ratio, precinct 3", "common odds ratio within precincts", "chi-square, crude"} <= off
    equal = next(line for line in report.lines if line.figure.startswith("cells of"))
    assert (equal.federated, equal.pooled) == (18, 20)


def test_without_the_clause_no_precinct_opens_and_joint_strata_do(files: dict[str, Path]) -> None:
    with local(files, k=2, own_figures=False) as session:
        stops = session.table("data").where(story.COMPARED)
        chosen = {"rows": story.RACES, "columns": story.SEARCHED}
        with pytest.raises(Refused):
            stops.mantel_haenszel("race", "search", by="precinct", **chosen)
        assert stops.mantel_haenszel("race", "search", by="problem", **chosen).estimate == pytest.approx(2.80680502)


def test_the_picture_sets_the_joint_ratios_apart_from_the_precincts_own(stops_report: Report) -> None:
    forest = stops_report.drawing
    assert [each.joint for each in forest.whiskers] == [False] * 5 + [True] * 3
    assert [each.name for each in forest.whiskers if each.opens] == ["all five, crude"]
    crude, common, _ = forest.whiskers[5:]
    assert crude.low > common.high  # the gap that precincts make
    assert math.log(common.low) == pytest.approx(0.708048, abs=1e-6)
    assert "no causal claim" in forest.note
    assert "No causal claim" in stops_report.text()
