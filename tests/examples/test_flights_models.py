"""Three airports' joint models: statsmodels finds the same on pooled rows, and a row that is left out is seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from PIL import Image

from federation_examples import alone, pictures, reference
from federation_examples.flights import data, models
from federation_examples.report import Report

RSQUARED = 0.8773342347  # measured on pooled rows
ONE_IN = 20  # rows that most of these tests take


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return data.split(tmp_path_factory.mktemp("airports"))


@pytest.fixture(scope="module")
def files(everything: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("some")
    some = {party: folder / file.name for party, file in everything.items()}
    for party, file in everything.items():
        pd.read_parquet(file).iloc[::ONE_IN].to_parquet(some[party])
    return some


@pytest.fixture(scope="module")
def report(files: dict[str, Path]) -> Report:
    return alone.alone(dataclasses.replace(models.MODELS, split=lambda _: files))


def test_every_coefficient_is_that_of_pooled_rows(report: Report) -> None:
    # 4 and 15 coefficients with their errors, rows and deviance of both, and R2.
    assert len(report.lines) == 2 * (4 + 15) + 4 + 1
    assert report.agrees


def test_all_flights_have_the_published_share_that_the_delay_at_departure_explains(
    everything: dict[str, Path], tmp_path: Path
) -> None:
    with alone.session(models.MODELS, everything, tmp_path) as session:
        found = session.table(data.NAME, purpose=data.PURPOSE).ols(models.LINEAR)
    assert (found.n, found.rsquared) == (327_346, pytest.approx(RSQUARED, abs=6e-11))


@pytest.mark.slow
def test_the_committed_picture_shows_what_all_flights_give(repository: Path) -> None:
    whole = alone.alone(models.MODELS)
    assert whole.agrees
    with Image.open(repository / "docs" / "img" / f"{whole.drawing.name}.png") as picture:
        assert json.loads(picture.text[pictures.VALUES]) == json.loads(pictures.values(whole.drawing)), "draw it again"


def test_the_pooled_fits_are_those_of_statsmodels(files: dict[str, Path]) -> None:
    rows = pd.concat([pd.read_parquet(file) for file in files.values()]).dropna(subset=["arr_delay"])
    linear, logit = models.pooled(list(files.values()))
    theirs = smf.ols(models.LINEAR, rows).fit()
    np.testing.assert_allclose([*linear.params.values()], theirs.params, rtol=1e-10)
    np.testing.assert_allclose([*linear.bse.values()], theirs.bse, rtol=1e-10)
    columns = [(rows.month == i).astype(float) for i in range(2, 13)] + [rows.origin == "JFK", rows.origin == "LGA"]
    design = np.column_stack([np.ones(len(rows)), rows.distance, *columns])
    late = sm.GLM((rows.arr_delay > models.LATE).astype(float), design, family=sm.families.Binomial()).fit()
    np.testing.assert_allclose([*logit.params.values()], late.params, rtol=1e-7)  # where statsmodels stops
    np.testing.assert_allclose([*logit.bse.values()], late.bse, rtol=1e-7)
    assert logit.deviance == pytest.approx(late.deviance, rel=1e-10)


def test_a_flight_that_is_left_out_is_seen(files: dict[str, Path], tmp_path: Path) -> None:
    names = {"Intercept": "Intercept"} | {term: name for term, (name, _) in models.LINEAR_TERMS.items()}
    less = tmp_path / "kennedy.parquet"
    pd.read_parquet(files["kennedy"]).iloc[1:].to_parquet(less)
    with alone.session(models.MODELS, files | {"kennedy": less}, tmp_path) as session:
        found = session.table(data.NAME, purpose=data.PURPOSE).ols(models.LINEAR)
    pooled = reference.least_squares(files.values(), "arr_delay", dict(models.LINEAR_TERMS.values()))
    off = {line.figure for line in reference.lines(found, pooled, names) if not line.agrees}
    assert {"rows of the model", "Intercept", "a minute of departure delay", "deviance"} <= off


def test_the_forest_shows_months_beside_january_and_airports_beside_newark(report: Report) -> None:
    names = [each.name for each in report.drawing.whiskers]
    assert names == ["1,000 miles further", *models.MONTHS[1:], "Kennedy", "LaGuardia"]
    found = {line.figure: line.federated for line in report.lines}
    december = next(each for each in report.drawing.whiskers if each.name == "December")
    assert np.log(december.value) == pytest.approx(found["late: December"])
    assert december.low < december.value < december.high


def test_the_models_are_not_asked_by_the_demo(flights_report: Report) -> None:
    assert not [line.figure for line in flights_report.lines if "R2" in line.figure or "late" in line.figure]
    assert [drawing.name for drawing in flights_report.drawings] == ["flights-ecdf"]
