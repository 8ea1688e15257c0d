"""Four regions' earnings: the pooled figures that were measured on all rows, and a fault that the table shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from federation_examples import alone, reference
from federation_examples.income import data, story
from federation_examples.report import Report

PUBLISHED = {
    "workers": 61_395,
    "mean, USD an hour": 18.43511533,
    "variance": 102.55960035,
    "Intercept": 1.0960575579,
    "a year of school": 0.1006541743,
    "a year of experience": 0.0322563897,
    "its square, hundreds": -0.0533363205,
    "women beside men": -0.2297039471,
    "Northeast beside Midwest": 0.0575045211,
    "South beside Midwest": -0.0171375099,
    "West beside Midwest": 0.0277371558,
    "R2 of Mincer's regression": 0.2621260343,
}
GINI = 0.29519926


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return data.split(tmp_path_factory.mktemp("regions"))


def test_four_regions_have_the_figures_that_were_measured_on_pooled_rows(income_report: Report) -> None:
    found = {line.figure: line.federated for line in income_report.lines}
    for figure, value in PUBLISHED.items():
        assert found[figure] == pytest.approx(value, rel=1e-8, abs=6e-11), figure
    assert found["Gini coefficient"] == pytest.approx(GINI, abs=1e-3)
    assert income_report.agrees


def test_every_figure_says_how_near_it_has_to_be(income_report: Report) -> None:
    head, first, *_ = income_report.text().splitlines()[1:]
    assert head.split()[-1] == "bar"
    assert first.endswith("equal")
    bars = {line.figure: line.bar for line in income_report.lines}
    assert (bars["p50, USD an hour"], bars["Gini coefficient"]) == ("0.01", "0.001")
    assert bars["a year of school"] == "1e-8 of it"
    assert "k = 1" in income_report.text()


def test_a_figure_beyond_its_bar_does_not_agree(income_report: Report) -> None:
    lines = {line.figure: line for line in income_report.lines}
    off = {"p50, USD an hour": 0.02, "Gini coefficient": 2e-3, "a year of school": 1e-8, "mean, USD an hour": 1e-7}
    for figure, by in off.items():
        line = lines[figure]
        assert line.agrees
        assert not dataclasses.replace(line, federated=line.federated + by).agrees, figure


def test_a_worker_who_is_counted_twice_is_seen(files: dict[str, Path], tmp_path: Path) -> None:
    rows = pd.read_parquet(files["west"])
    twice = tmp_path / "west.parquet"
    pd.concat([rows, rows.tail(1)]).to_parquet(twice)
    with alone.session(story.STORY, files | {"west": twice}, tmp_path) as session:
        report = story.run(session, files.values())
    off = [line.figure for line in report.lines if not line.agrees]
    assert not report.agrees
    assert {"workers", "mean, USD an hour", "variance", "rows of the model", "a year of school"} <= set(off)


def test_the_pooled_fit_is_that_of_statsmodels(files: dict[str, Path]) -> None:
    rows = pd.concat([pd.read_parquet(file) for file in files.values()])
    formula = "np.log(earnings) ~ education + experience + I(experience**2 / 100) + C(gender, Treatment('male'))"
    theirs = smf.ols(formula + " + C(region, Treatment('Midwest'))", rows).fit()
    ours = reference.least_squares(files.values(), "ln(earnings)", dict(story.TERMS.values()))
    # statsmodels has the factors first.
    order = [0, 5, 6, 7, 1, 2, 3, 4]
    np.testing.assert_allclose([*ours.params.values()], theirs.params.to_numpy()[order], rtol=1e-10)
    np.testing.assert_allclose([*ours.bse.values()], theirs.bse.to_numpy()[order], rtol=1e-10)
    assert ours.rsquared == pytest.approx(theirs.rsquared, rel=1e-12)


def test_the_curve_of_equal_pay_is_never_crossed(income_report: Report) -> None:
    drawing = income_report.drawing
    assert len(drawing.curves) == 5
    for curve in drawing.curves:
        assert (curve.y[0], curve.y[-1]) == (0.0, pytest.approx(1.0))
        assert all(owned <= share for share, owned in zip(curve.x, curve.y, strict=True))
    assert list(drawing.marked[0][:2]) == [0.5, pytest.approx(0.294, abs=1e-3)]
