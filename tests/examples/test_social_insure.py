"""Villages that keep small cells home: the published figures, what stays closed, and who would show by subtraction."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from clients.local.federation import local
from federation.errors import Refused
from federation_examples import alone, reference
from federation_examples.report import Report
from federation_examples.social_insure import data, story

PUBLISHED = {
    "households": 1_378,
    "rows of the model": 1_378,
    "deviance": 1736.54332632,
}
ROUNDED = {"intensive": -0.0517, "literacy": 0.3722, "pre_takeup_rate": 2.1995}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return data.split(tmp_path_factory.mktemp("villages"))


@pytest.fixture(scope="module")
def rows(files: dict[str, Path]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(file).assign(party=party) for party, file in files.items()])


def test_villages_have_the_published_figures(social_insure_report: Report) -> None:
    found = {line.figure: line.federated for line in social_insure_report.lines}
    for figure, value in PUBLISHED.items():
        assert found[figure] == pytest.approx(value, rel=1e-9), figure
    for figure, value in ROUNDED.items():
        assert found[figure] == pytest.approx(value, abs=5e-5), figure
    assert social_insure_report.agrees


def test_the_three_groups_have_all_households_and_about_a_third_each(rows: pd.DataFrame) -> None:
    assert len(rows) == 1_410
    assert sorted(rows.party.value_counts()) == [418, 463, 529]
    assert "village" not in rows.columns


def test_only_sizes_open_that_all_three_have_ten_of(social_insure_report: Report, rows: pd.DataFrame) -> None:
    complete = rows.dropna(subset=list(story.SPARSE))
    counts = pd.crosstab(complete.members, complete.party)
    opened = [int(size) for size, own in counts.iterrows() if (own >= data.K).all()]
    assert 0 < len(opened) < len(counts)
    figures = [line.figure for line in social_insure_report.lines]
    assert [figure for figure in figures if figure.startswith("take-up, households")] == [
        f"take-up, households of {size}" for size in opened
    ]
    assert f"k = 10 households: {20 - len(opened)} of 20 sizes" in social_insure_report.text()


def test_without_the_rule_a_size_that_one_household_has_would_open(files: dict[str, Path], rows: pd.DataFrame) -> None:
    with local(files) as session:  # the planted fault: k = 1, and own figures
        by_size = session.table("data").where(story.COMPLETE).mean("takeup", by="members")
    counts = rows.dropna(subset=list(story.SPARSE)).members.value_counts()
    alone_in_its_size = [str(int(size)) for size, count in counts.items() if count == 1]
    assert alone_in_its_size
    assert all(by_size[size].n == 1 for size in alone_in_its_size)


def test_the_households_that_lack_something_do_not_show_by_subtraction(
    social_insure_report: Report, files: dict[str, Path], tmp_path: Path
) -> None:
    assert "refused, rule differencing" in social_insure_report.text()
    with alone.session(story.STORY, files, tmp_path) as session:
        everybody = session.table(data.NAME, purpose=data.PURPOSE)
        everybody.where(story.COMPLETE).mean("takeup")
        with pytest.raises(Refused) as refused:
            everybody.mean("takeup")
    assert refused.value.rule == "differencing"


def test_another_purpose_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with alone.session(story.STORY, files, tmp_path) as session, pytest.raises(Refused) as refused:
        session.table(data.NAME, purpose="marketing").mean("takeup")
    assert refused.value.rule == "purposes"


def test_the_pooled_fit_is_that_of_statsmodels(files: dict[str, Path], rows: pd.DataFrame) -> None:
    theirs = smf.glm(story.FORMULA, rows, family=sm.families.Binomial()).fit(tol=1e-12)
    ours = reference.logistic(files.values(), "takeup", {term: term for term in story.TERMS})
    np.testing.assert_allclose([*ours.params.values()], theirs.params, rtol=1e-9)
    np.testing.assert_allclose([*ours.bse.values()], theirs.bse, rtol=1e-9)
    assert ours.deviance == pytest.approx(theirs.deviance, rel=1e-12)


def test_who_made_the_groups_is_said(social_insure_report: Report) -> None:
    assert "The grouping of the villages is ours" in social_insure_report.text()
    assert "made by us" in social_insure_report.drawing.note


def test_an_odds_ratio_is_of_the_unit_that_its_name_says(social_insure_report: Report) -> None:
    found = {line.figure: line.federated for line in social_insure_report.lines}
    drawn = {each.name: each for each in social_insure_report.drawing.whiskers}
    assert drawn["age, 10 years"].value == pytest.approx(math.exp(10 * found["age"]))
    assert drawn["can read"].value == pytest.approx(math.exp(found["literacy"]))
    ends = [math.log(end) for end in (drawn["can read"].low, drawn["can read"].high)]
    assert ends[1] - ends[0] == pytest.approx(2 * 1.959963985 * found["literacy, standard error"])
