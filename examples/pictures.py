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
from federation_examples.report import Curve, Drawing, Forest, Whisker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import FixedLocator

INCHES, DOTS = (9.0, 5.4), 150  # 1350 dots wide: sharp when a page shows it 900 wide
MOST_MARKED: Final = 36  # points of a curve; more markers hide one another
MOST_TICKS: Final = 12  # points of a curve that are all named on its axis
MOST_NAMES: Final = 4  # beside each other in a legend, at full size
WIDE: Final = 10.0  # a greatest ratio this many times the least one has few round ratios
GREY: Final = "#555555"
JOINT: Final[dict[str, Any]] = {"color": "#000000", "linestyle": "-", "linewidth": 4.5, "marker": "o", "markersize": 7}
ALONE: Final[tuple[dict[str, Any], ...]] = (
    {"color": "#E69F00", "linestyle": (0, (5, 1.5)), "marker": "s"},
    {"color": "#56B4E9", "linestyle": "-", "marker": "^"},
    {"color": "#D55E00", "linestyle": (0, (1, 1)), "marker": "D"},
    {"color": "#009E73", "linestyle": (0, (6, 1.5, 1, 1.5)), "marker": "v"},
    {"color": "#CC79A7", "linestyle": (0, (3, 1, 1, 1, 1, 1)), "marker": "P"},
)
VALUES: Final = "Drawn values"  # name of the PNG's text that holds them


def png(drawing: Drawing | Forest, folder: Path) -> Path:
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

    if isinstance(drawing, Forest):
        height = max(3.0, 1.7 + 0.3 * (len(drawing.whiskers) + sum(each.opens for each in drawing.whiskers)))
        figure = Figure(figsize=(INCHES[0], height), layout="constrained")
        above = below = figure.subplots()
        whiskers(drawing, above)
    elif drawing.apart:
        figure = Figure(figsize=INCHES, layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1.2))
        _differences(drawing, below)
        curves(drawing, above)
    else:
        figure = Figure(figsize=INCHES, layout="constrained")
        above = below = figure.subplots()
        curves(drawing, above)
    FigureCanvasAgg(figure)
    below.set_xlabel(drawing.x_label, fontsize=11)
    handles, labels = above.get_legend_handles_labels()
    legend = {
        "loc": "outside upper left",
        "ncols": max(len(labels), 1),
        "fontsize": 11 if len(labels) <= MOST_NAMES else 9.5,
        "frameon": False,
        "handlelength": 3,
    }
    # The title is the legend's, so that constrained layout gives room to both.
    title = {"title": drawing.title, "title_fontsize": 13.5, "alignment": "left"}
    figure.legend(handles, labels, **legend, **title)
    figure.supxlabel(drawing.note, fontsize=8.5, color=GREY, x=0.01, ha="left")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{drawing.name}.png"
    figure.savefig(path, dpi=DOTS, metadata={"Title": drawing.title, "Source": drawing.note, VALUES: values(drawing)})
    return path


def values(drawing: Drawing | Forest) -> str:
    """Return what is drawn as JSON: name, x and y of every curve, and the marks; or every ratio with its interval."""
    marked = {"marked": drawing.marked} if isinstance(drawing, Drawing) else {}
    return json.dumps(drawing.drawn() | marked)


def curves(drawing: Drawing, axes: Axes) -> None:
    """Draw every curve, the joint one widest and beneath: a party that is nearly everybody stays to be seen."""
    for curve, style in _styled(drawing):
        markers = {"marker": ""} if drawing.steps or len(curve.x) > MOST_MARKED else {}
        drawn = "steps-post" if drawing.steps else "default"
        axes.plot(curve.x, _gaps(curve.y), drawstyle=drawn, label=curve.name, **{**style, **markers})
    for x, y, text in drawing.marked:
        axes.plot([x], [y], "o", color="#000000", markerfacecolor="#ffffff", markersize=8, markeredgewidth=2, zorder=5)
        axes.annotate(text, (x, y), (9, -17), textcoords="offset points", fontsize=11, zorder=5)
    named = {x for curve in drawing.curves for x in curve.x}
    if 0 < len(named) <= MOST_TICKS:
        axes.set_xticks(sorted(named))
    if drawing.diagonal:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (2, 3)), linewidth=1.2, zorder=1)
        axes.annotate("equal shares", (0.62, 0.645), fontsize=9.5, color=GREY, ha="right")
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    if drawing.percent:
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_ylim(bottom=0)
    _framed(axes, drawing.y_label)


def whiskers(forest: Forest, axes: Axes) -> None:
    """Draw every ratio with its interval from the top down, joint ones filled, on a logarithmic axis around 1."""
    places, free = [], 0
    for place, each in enumerate(forest.whiskers):
        free += each.opens
        places.append(place + 0.7 * free)
    axes.axvline(1, color=GREY, linewidth=1.2, zorder=1)
    labels = {True: forest.joint_label, False: forest.alone_label}
    for place, each in zip(places, forest.whiskers, strict=True):
        style = _whisker(each)
        apart = [[each.value - each.low], [each.high - each.value]]
        axes.errorbar([each.value], [place], xerr=apart, label=labels.pop(each.joint, "") or None, **style)
        paper = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.6}
        where = {"textcoords": "offset points", "ha": "center", "bbox": paper, "zorder": 1.5}
        axes.annotate(f"{each.value:.2f}", (each.value, place), (0, 6), **where)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(_rounds(forest))
    axes.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    axes.minorticks_off()
    axes.set_yticks(places, [each.name for each in forest.whiskers])
    axes.set_ylim(places[-1] + 0.6, places[0] - 0.8)
    _framed(axes, "")
    axes.grid(visible=False, axis="y")


def _whisker(each: Whisker) -> dict[str, Any]:
    """Filled and wide for a joint figure, hollow for one of a party alone."""
    if each.joint:
        return {"fmt": "o", "color": "#000000", "markersize": 7, "linewidth": 2.4, "capsize": 0}
    return {
        "fmt": "s",
        "color": "#D55E00",
        "markersize": 6,
        "markerfacecolor": "#ffffff",
        "linewidth": 1.6,
        "capsize": 0,
    }


def _rounds(forest: Forest) -> FixedLocator:
    """Return round ratios that the intervals reach."""
    from matplotlib.ticker import FixedLocator

    least, most = min(each.low for each in forest.whiskers), max(each.high for each in forest.whiskers)
    wide = most / least > WIDE
    rounds = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if wide else (0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 5)
    return FixedLocator([each for each in rounds if each == 1 or least / 1.3 <= each <= most * 1.3])


def _differences(drawing: Drawing, axes: Axes) -> None:
    """Draw how far every curve is from the joint one, in points of a hundred."""
    joint = next(curve for curve in drawing.curves if curve.joint)
    for curve, style in _styled(drawing):
        apart = [100 * (own - all_of_them) for own, all_of_them in zip(_gaps(curve.y), _gaps(joint.y), strict=True)]
        width = 2.5 if curve.joint else 1.8
        drawn = "steps-post" if drawing.steps else "default"
        axes.plot(curve.x, apart, drawstyle=drawn, **{**style, "marker": "", "linewidth": width})
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
