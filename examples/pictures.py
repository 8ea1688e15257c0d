"""Draws a story's curves into a PNG file with matplotlib, which is an extra; the file carries the drawn values.

Colours are Okabe and Ito's, which people with any colour vision tell apart; every curve has a line style of its own and
its name beside it too, so that a grey print can be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from federation.errors import Misuse
from federation_examples.report import Curve, Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES, DOTS = (9.0, 5.4), 150  # 1350 dots wide: sharp when a page shows it 900 wide
GREY: Final = "#555555"
JOINT: Final[dict[str, Any]] = {"color": "#000000", "linestyle": "-", "linewidth": 4.5, "marker": "o", "markersize": 7}
ALONE: Final[tuple[dict[str, Any], ...]] = (
    {"color": "#E69F00", "linestyle": (0, (5, 1.5)), "marker": "s"},
    {"color": "#56B4E9", "linestyle": "-", "marker": "^"},
    {"color": "#D55E00", "linestyle": (0, (1, 1)), "marker": "D"},
)
VALUES: Final = "Drawn values"  # name of the PNG's text that holds them


def png(drawing: Drawing, folder: Path) -> Path:
    """Write `<folder>/<name>.png` and return its path.

    Raises:
        Misuse: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise Misuse(
            "drawing needs matplotlib", hint="install the extra: pip install 'pearl-federation[plot]'"
        ) from None

    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    if drawing.apart:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1.2))
        _differences(drawing, below)
    else:
        above = below = figure.subplots()
    curves(drawing, above)
    below.set_xlabel(drawing.x_label, fontsize=11)
    legend = {
        "loc": "outside upper left",
        "ncols": len(drawing.curves),
        "fontsize": 11,
        "frameon": False,
        "handlelength": 3,
    }
    # The title is the legend's, so that constrained layout gives room to both.
    title = {"title": drawing.title, "title_fontsize": 13.5, "alignment": "left"}
    figure.legend(*above.get_legend_handles_labels(), **legend, **title)
    figure.supxlabel(drawing.note, fontsize=8.5, color=GREY, x=0.01, ha="left")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{drawing.name}.png"
    figure.savefig(path, dpi=DOTS, metadata={"Title": drawing.title, "Source": drawing.note, VALUES: values(drawing)})
    return path


def values(drawing: Drawing) -> str:
    """Return what is drawn as JSON: name, x and y of every curve, and the marks."""
    curves = [{"name": curve.name, "x": curve.x, "y": curve.y} for curve in drawing.curves]
    return json.dumps({"curves": curves, "marked": drawing.marked})


def curves(drawing: Drawing, axes: Axes) -> None:
    """Draw every curve, the joint one widest and beneath: a party that is nearly everybody stays to be seen."""
    for curve, style in _styled(drawing):
        markers = {"marker": ""} if drawing.steps else {}
        drawn = "steps-post" if drawing.steps else "default"
        axes.plot(curve.x, _gaps(curve.y), drawstyle=drawn, label=curve.name, **{**style, **markers})
    for x, y, text in drawing.marked:
        axes.plot([x], [y], "o", color="#000000", markerfacecolor="#ffffff", markersize=8, markeredgewidth=2, zorder=5)
        axes.annotate(text, (x, y), (9, -17), textcoords="offset points", fontsize=11, zorder=5)
    if drawing.percent:
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_ylim(bottom=0)
    _framed(axes, drawing.y_label)


def _differences(drawing: Drawing, axes: Axes) -> None:
    """Draw how far every curve is from the joint one, in points of a hundred."""
    joint = next(curve for curve in drawing.curves if curve.joint)
    for curve, style in _styled(drawing):
        apart = [100 * (own - all_of_them) for own, all_of_them in zip(_gaps(curve.y), _gaps(joint.y), strict=True)]
        width = 2.5 if curve.joint else 1.8
        axes.plot(curve.x, apart, drawstyle="steps-post", **{**style, "marker": "", "linewidth": width})
    axes.yaxis.set_major_formatter(lambda points, _: f"{points:+.0f}".replace("-", "\N{MINUS SIGN}").replace("+0", "0"))
    _framed(axes, "points from\nthe joint curve")


def _styled(drawing: Drawing) -> list[tuple[Curve, dict[str, Any]]]:
    alone = iter(ALONE)
    styles = [
        {**JOINT, "zorder": 2} if curve.joint else {"linewidth": 2, "markersize": 4.5, "zorder": 3, **next(alone)}
        for curve in drawing.curves
    ]
    return list(zip(drawing.curves, styles, strict=True))


def _framed(axes: Axes, y_label: str) -> None:
    axes.set_ylabel(y_label, fontsize=11)
    axes.tick_params(labelsize=10.5)
    axes.margins(x=0.015)
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _gaps(y: Sequence[int | float | None]) -> list[float]:
    return [math.nan if value is None else value for value in y]
