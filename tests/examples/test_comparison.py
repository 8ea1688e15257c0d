"""A comparison says what was reached and what was not, and its picture holds what it draws."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from PIL import Image

from federation_examples import boards, pictures
from federation_examples.comparison import Bar, Board, Comparison, Dots, Kind, Lines, Row, averaged
from federation_examples.report import Curve

ROWS = (
    Row(name="pooled", kind=Kind.POOLED, found=(0.80, 0.82), published=0.79),
    Row(name="north", kind=Kind.ALONE, found=(0.60, 0.62)),
    Row(name="FedAvg", kind=Kind.JOINT, found=(0.79, 0.81), how="lr 0.1"),
)
BOARD = Board(
    name="planted",
    title="Planted",
    panels=(
        Lines(
            title="left",
            x_label="round",
            y_label="accuracy",
            curves=(
                averaged("FedAvg", [(0.5, 0.79), (0.7, 0.81)], joint=True),
                Curve(name="gap", x=(1, 2), y=(0.4, None)),
            ),
            levels=(("pooled", 0.81),),
        ),
        Dots(title="right", x_label="accuracy", rows=ROWS),
    ),
    note="nothing is real",
)
REPORT = Comparison(
    name="planted",
    title="Planted",
    measure="accuracy",
    repeats="mean of 2 seeds",
    rows=ROWS,
    bars=(Bar(what="FedAvg at most 0.020 below pooled", got=0.80, least=0.79),),
    drawing=BOARD,
    k=1,
    parties=("north",),
    jobs=2,
    seconds=1.0,
    receipt="signed by all",
    notes=("a caveat",),
)


def test_the_table_has_pooled_published_local_and_federated_figures() -> None:
    assert REPORT.table() == [
        ("model", "trained on", "published", "here", "sd", "from pooled", "parameters"),
        ("pooled", "all rows in one place", "0.7900", "0.8100", "0.0141", "", ""),
        ("north", "one party's rows", "", "0.6100", "0.0141", "-0.2000", ""),
        ("FedAvg", "federated", "", "0.8000", "0.0141", "-0.0100", "lr 0.1"),
    ]
    single = dataclasses.replace(
        REPORT, rows=tuple(dataclasses.replace(row, found=(0.5,), published=None) for row in ROWS)
    )
    assert single.table()[0] == ("model", "trained on", "here", "from pooled", "parameters")


def test_a_bar_that_was_missed_is_said_and_the_story_does_not_agree() -> None:
    assert REPORT.agrees
    assert "reached: FedAvg at most 0.020 below pooled: 0.8000, at least 0.7900" in REPORT.text()
    missed = dataclasses.replace(REPORT, bars=(*REPORT.bars, Bar(what="more", got=0.80, least=0.8001)))
    assert not missed.agrees
    assert "MISSED: more" in missed.text()
    assert not Bar(what="nothing", got=math.nan, least=0.0).holds


def test_text_ends_with_caveats_jobs_and_receipt() -> None:
    assert REPORT.text().splitlines()[-2:] == ["a caveat", "2 jobs, 1.0 s; signed by all"]
    assert json.loads(json.dumps(REPORT.to_dict()))["models"][2]["found"] == [0.79, 0.81]


def test_runs_are_averaged_round_by_round() -> None:
    curve = averaged("FedAvg", [(0.5, 0.7), (0.7, 0.8)])
    assert (curve.x, curve.y) == ((1, 2), (pytest.approx(0.6), pytest.approx(0.75)))
    with pytest.raises(ValueError, match="shorter"):
        averaged("FedAvg", [(0.5, 0.7), (0.7,)])


def test_a_board_is_drawn_with_its_values_inside(tmp_path: Path) -> None:
    path = boards.png(BOARD, tmp_path / "new")
    with Image.open(path) as picture:
        assert picture.width >= 900
        held = picture.text
    assert json.loads(held[pictures.VALUES]) == json.loads(json.dumps(BOARD.drawn()))
    assert held["Source"] == "nothing is real"
    assert path.stat().st_size < 200_000


def test_every_kind_of_model_and_every_curve_is_told_apart_without_colour() -> None:
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    boards.lines(BOARD.panels[0], left)
    named = [line for line in left.get_lines() if not line.get_label().startswith("_")]
    assert len({(line.get_linestyle(), line.get_linewidth(), str(line._dash_pattern)) for line in named}) == 2
    boards.dots(BOARD.panels[1], right)
    assert len({boards.MARKS[kind]["marker"] for kind in Kind} | {boards.PUBLISHED["marker"]}) == 4
    assert [label.get_text() for label in right.get_yticklabels()] == ["pooled", "north", "FedAvg"]
