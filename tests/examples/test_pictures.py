"""The pictures of the pages are the ones that the stories draw: the same values, held by the files themselves."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from PIL import Image

from federation.errors import Misuse
from federation_examples import pictures
from federation_examples.report import Report

STORIES = ("flights", "tuberculosis", "income", "social_insure", "stops")


MOST_CHARACTERS = 95  # of a title that is not cut off


@pytest.fixture(params=STORIES)
def report(request: pytest.FixtureRequest) -> Report:
    found: Report = request.getfixturevalue(f"{request.param}_report")
    return found


def test_the_committed_picture_shows_what_the_story_finds(report: Report, repository: Path) -> None:
    with Image.open(repository / "docs" / "img" / f"{report.drawing.name}.png") as picture:
        held = picture.text
    assert json.loads(held[pictures.VALUES]) == json.loads(pictures.values(report.drawing)), "draw it again"
    assert held["Title"] == report.drawing.title
    assert held["Source"] == report.drawing.note


def test_a_drawn_picture_holds_its_values_and_is_wide_enough_to_read(report: Report, tmp_path: Path) -> None:
    path = pictures.png(report.drawing, tmp_path / "new")
    assert path == tmp_path / "new" / f"{report.drawing.name}.png"
    with Image.open(path) as picture:
        assert picture.width >= 900
        assert json.loads(picture.text[pictures.VALUES]) == json.loads(pictures.values(report.drawing))
    assert path.stat().st_size < 200_000
    assert len(report.drawing.title) <= MOST_CHARACTERS


def test_a_gap_is_drawn_as_a_gap(tuberculosis_report: Report) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    pictures.curves(tuberculosis_report.drawing, axes)
    for line in axes.get_lines():
        drawn = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        assert math.isnan(drawn[1998])
        assert math.isnan(drawn[1999])
        assert drawn[1997] > 0


@pytest.mark.parametrize("story", ["flights", "tuberculosis", "income"])
def test_every_curve_is_told_apart_without_colour(story: str, request: pytest.FixtureRequest) -> None:
    report: Report = request.getfixturevalue(f"{story}_report")
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    pictures.curves(report.drawing, axes)
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    assert [line.get_label() for line in lines] == [curve.name for curve in report.drawing.curves]
    assert len({(line.get_linestyle(), line.get_linewidth(), str(line._dash_pattern)) for line in lines}) == len(lines)


def test_drawing_without_matplotlib_names_the_extra(
    flights_report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Misuse) as caught:
        pictures.png(flights_report.drawing, tmp_path)
    assert "pearl-federation[plot]" in caught.value.hint


def test_a_forest_shows_every_ratio_with_its_interval_beside_its_name(social_insure_report: Report) -> None:
    from matplotlib.figure import Figure

    forest = social_insure_report.drawing
    axes = Figure().subplots()
    pictures.whiskers(forest, axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == [each.name for each in forest.whiskers]
    drawn = [line.get_segments()[0] for line in axes.collections]
    for each, ((low, _), (high, _)) in zip(forest.whiskers, drawn, strict=True):
        assert (low, high) == (pytest.approx(each.low), pytest.approx(each.high))
        assert each.low < each.value < each.high
    assert axes.get_xscale() == "log"
    assert 1 in axes.get_xticks()
