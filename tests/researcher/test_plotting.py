"""Pictures are drawn as they are given; what is closed is a gap. Drawn on axes that only remember, and on real ones."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from clients.researcher.plotting import drawn
from clients.researcher.session import Session
from federation.analytics.statistic import Drawn, Line, Picture
from federation.errors import Misuse
from tests.researcher.fake import Fake


class Remembering:
    """Axes that remember what was drawn."""

    figure = SimpleNamespace(colorbar=lambda *_, **__: None)

    def __init__(self) -> None:
        self.said: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {}

    def __getattr__(self, name: str) -> object:
        return lambda *positional, **named: self.said.__setitem__(name, (positional, named))


def picture(how: Drawn, x: tuple[float | str, ...], **more: object) -> Picture:
    return Picture(drawn=how, title="t", x_label="x", y_label="y", x=x, y=(1, None, 2.5), **more)  # type: ignore[arg-type]


def test_bars_have_their_labels_and_a_closed_cell_is_a_gap() -> None:
    ax = Remembering()
    drawn(picture(Drawn.BARS, ("a", "b", "c")), ax)  # type: ignore[arg-type]
    (places, heights), named = ax.said["bar"]
    assert list(places) == [0, 1, 2]  # type: ignore[call-overload]
    assert heights[0] == 1  # type: ignore[index]
    assert math.isnan(heights[1])  # type: ignore[index]
    assert named == {"yerr": None, "tick_label": ["a", "b", "c"]}
    assert ax.said["set_title"] == (("t",), {})


def test_points_have_error_bars_and_steps_have_edges() -> None:
    ax = Remembering()
    drawn(picture(Drawn.POINTS, ("a", "b", "c"), error=(0.5, None, 0.25)), ax)  # type: ignore[arg-type]
    assert ax.said["errorbar"][1]["yerr"][0] == 0.5  # type: ignore[index]
    drawn(picture(Drawn.STEPS, (0, 1, 2, 3)), ax)  # type: ignore[arg-type]
    assert ax.said["stairs"][0][1] == (0, 1, 2, 3)


def test_a_single_number_is_nothing_to_draw() -> None:
    with pytest.raises(Misuse, match="nothing to draw"):
        Session(Fake()).table("tb").count().plot()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Misuse, match="needs matplotlib") as caught:
        Session(Fake()).table("tb").histogram("cost").plot()
    assert "plot" in caught.value.hint


def test_matplotlib_draws_every_result_that_has_a_picture() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    table = Session(Fake()).table("tb")
    for result in (table.histogram("cost", bins=4), table.mean("age", by="sex"), table.count(by="sex")):
        ax = result.plot()
        assert ax.get_title() == result.picture().title  # type: ignore[union-attr]
        ax.figure.canvas.draw()


def test_a_matrix_of_labels_has_its_first_row_on_top_and_one_of_edges_stands_where_they_are() -> None:
    ax = Remembering()
    heat = Picture(
        drawn=Drawn.HEAT, title="t", x_label="x", y_label="y", x=("a", "b"), rows=("c",), y=(1, None), span=(-1.0, 1.0)
    )
    drawn(heat, ax)  # type: ignore[arg-type]
    (x, y, cells), named = ax.said["pcolormesh"]
    assert (list(x), list(y), cells[0][0]) == ([0, 1, 2], [0, 1], 1)  # type: ignore[call-overload, index]
    assert math.isnan(cells[0][1])  # type: ignore[index]
    assert (named["vmin"], named["vmax"]) == (-1.0, 1.0)
    assert ax.said["set_xticks"][0] == ([0.5, 1.5], ["a", "b"])
    assert "invert_yaxis" in ax.said
    edges = Remembering()
    drawn(replace(heat, x=(0, 1, 2), rows=(5.0, 6.0)), edges)  # type: ignore[arg-type]
    assert edges.said["pcolormesh"][0][:2] == ((0, 1, 2), (5.0, 6.0))
    assert "invert_yaxis" not in edges.said


def test_lines_go_through_their_points_beside_the_diagonal() -> None:
    ax = Remembering()
    lines = (Line(label="f", x=(0, 0.5, 1), y=(0, 0.2, 1)),)
    of = Picture(drawn=Drawn.LINES, title="t", x_label="x", y_label="y", x=(), y=(), lines=lines, diagonal=True)
    drawn(of, ax)  # type: ignore[arg-type]
    assert ax.said["plot"][0] == ((0, 1), (0, 1)), "the last one is the diagonal"
    assert "legend" in ax.said
    with pytest.raises(Misuse):
        Line(label="", x=(0,), y=())


def test_all_kinds_of_pictures_are_drawn_by_matplotlib() -> None:
    from matplotlib.figure import Figure

    heat = Picture(
        drawn=Drawn.HEAT, title="t", x_label="", y_label="", x=("a", "b"), rows=("c", "d"), y=(1, 2, 3, None)
    )
    lines = (Line(label="", x=(0, 1), y=(0, 1)), Line(label="more", x=(0, 1), y=(1, 0)))
    for each in (heat, Picture(drawn=Drawn.LINES, title="", x_label="", y_label="", x=(), y=(), lines=lines)):
        ax = Figure().subplots()
        assert drawn(each, ax) is ax
