"""Draws what stories of training found into a PNG file with matplotlib; the file carries the drawn values.

Two panels at most: curves along rounds (or a ROC curve), and every way to train as a dot with its spread, beside what
was published. Colours and line styles are those of `pictures`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from federation.errors import Misuse
from federation_examples.comparison import Board, Dots, Kind, Lines, Row
from federation_examples.pictures import ALONE, DOTS, GREY, JOINT, VALUES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES: Final = {1: (9.0, 5.4), 2: (12.0, 5.6)}
MARKS: Final = {
    Kind.POOLED: {"marker": "D", "color": "#000000", "markerfacecolor": "#000000"},
    Kind.ALONE: {"marker": "s", "color": "#56B4E9", "markerfacecolor": "#ffffff"},
    Kind.JOINT: {"marker": "o", "color": "#0072B2", "markerfacecolor": "#0072B2"},
}
PUBLISHED: Final = {"marker": "x", "color": "#D55E00", "linestyle": "none", "markersize": 8, "markeredgewidth": 2}


def png(board: Board, folder: Path) -> Path:
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

    figure = Figure(figsize=INCHES[len(board.panels)], layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(1, len(board.panels), squeeze=False)[0], board.panels, strict=True):
        if isinstance(panel, Lines):
            lines(panel, axes)
        else:
            dots(panel, axes)
        axes.set_title(panel.title, fontsize=11.5, loc="left")
        axes.tick_params(labelsize=10)
        axes.grid(color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(board.title, fontsize=13.5, x=0.01, ha="left")
    figure.supxlabel(board.note, fontsize=8.5, color=GREY, x=0.01, ha="left")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{board.name}.png"
    figure.savefig(path, dpi=DOTS, metadata={"Title": board.title, "Source": board.note, VALUES: values(board)})
    return path


def values(board: Board) -> str:
    """Return what is drawn as JSON."""
    return json.dumps(board.drawn())


def lines(panel: Lines, axes: Axes) -> None:
    """Draw every curve, and levels as dashed lines across."""
    alone = iter(ALONE)
    for curve in panel.curves:
        style: dict[str, Any] = {**JOINT, "linewidth": 3.2} if curve.joint else {"linewidth": 2, **next(alone)}
        style |= {"marker": "", "zorder": 2 if curve.joint else 3}
        axes.plot(curve.x, [math.nan if y is None else y for y in curve.y], label=curve.name, **style)
    for place, (name, y) in enumerate(panel.levels):
        axes.axhline(y, color=GREY, linestyle=((0, (2, 2)), (0, (6, 3)))[place % 2], linewidth=1.4, zorder=1)
        axes.annotate(f"{name} {y:.3f}", (0.01, y), (0, 3), xycoords=axes.get_yaxis_transform(), fontsize=9.5,
                      textcoords="offset points", color=GREY)  # fmt: skip
    if panel.diagonal:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (2, 3)), linewidth=1.2, zorder=1)
        axes.annotate("chance", (0.62, 0.645), fontsize=9.5, color=GREY, ha="right")
        axes.set_aspect("equal")
    if panel.least is not None:
        axes.set_ylim(bottom=panel.least)
    axes.set_xlabel(panel.x_label, fontsize=11)
    axes.set_ylabel(panel.y_label, fontsize=11)
    axes.legend(loc="lower right", fontsize=9.5, frameon=False, handlelength=3.2)


def dots(panel: Dots, axes: Axes) -> None:
    """Draw every row from the top down, with its spread, its figure, and what was published."""
    shown: set[Kind] = set()
    for place, row in enumerate(panel.rows):
        name = None if row.kind in shown else row.kind.value
        shown.add(row.kind)
        axes.errorbar([row.here], [place], xerr=[row.spread or 0], label=name, **_dot(row))
        behind = {"boxstyle": "square,pad=0.05", "facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.8}
        at = {"textcoords": "offset points", "ha": "center", "fontsize": 9, "bbox": behind}
        axes.annotate(f"{row.here:.3f}", (row.here, place), (0, 6), **at)
    published = [(row.published, place) for place, row in enumerate(panel.rows) if row.published is not None]
    if published:
        axes.plot(*zip(*published, strict=True), label="published", zorder=4, **PUBLISHED)
    pooled = next((row.here for row in panel.rows if row.kind is Kind.POOLED), None)
    if pooled is not None:
        axes.axvline(pooled, color=GREY, linestyle=(0, (2, 2)), linewidth=1.2, zorder=1)
    axes.set_yticks(range(len(panel.rows)), [row.name for row in panel.rows])
    axes.set_ylim(len(panel.rows) - 0.4, -0.8)
    axes.set_xlabel(panel.x_label, fontsize=11)
    below = {"loc": "upper center", "bbox_to_anchor": (0.4, -0.11), "ncols": len(Kind) + 1}
    axes.legend(**below, fontsize=9, frameon=False, handletextpad=0.3, columnspacing=1.2)


def _dot(row: Row) -> dict[str, Any]:
    return {"linestyle": "none", "markersize": 6.5, "elinewidth": 1.6, "capsize": 0, "zorder": 3, **MARKS[row.kind]}
