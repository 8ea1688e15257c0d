"""Pictures are drawn as they are given; what is closed is a gap. Drawn on axes that only remember, and on real ones."""

from __future__ import annotations

import math
import sys

import pytest

from clients.researcher.plotting import drawn
from clients.researcher.session import Session
from federation.analytics.statistic import Drawn, Picture
from federation.errors import Misuse
from tests.researcher.fake import Fake


class Remembering:
    """Axes that remember what was drawn."""

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
