"""Draws a result's picture with matplotlib, which is an extra; a closed cell is a gap, never a zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from federation.analytics.statistic import Drawn, Picture
from federation.errors import Misuse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = 10  # of matplotlib's cycle
STYLES = ("-", "--", ":", "-.")


def drawn(picture: Picture, ax: Axes | None = None) -> Axes:
    """Draw `picture` and return the axes.

    Args:
        picture: plain values, as a statistic's result has them.
        ax: where; a new figure of pyplot by default.

    Raises:
        Misuse: matplotlib is not installed.
    """
    if ax is None:
        try:
            from matplotlib import pyplot as plt
        except ModuleNotFoundError:
            raise Misuse("drawing needs matplotlib", hint="install the extra `plot`") from None
        _, ax = plt.subplots()
    heights = _with_gaps(picture.y)
    errors = _with_gaps(picture.error) if picture.error else None
    match picture.drawn:
        case Drawn.BARS:
            ax.bar(range(len(heights)), heights, yerr=errors, tick_label=[str(label) for label in picture.x])
        case Drawn.POINTS:
            ax.errorbar(range(len(heights)), heights, yerr=errors, fmt="o", capsize=3)
            ax.set_xlim(-0.5, len(heights) - 0.5)
            ax.set_xticks(range(len(heights)), [str(label) for label in picture.x])
        case Drawn.STEPS:
            _steps(picture, heights, ax)
        case Drawn.LINES:
            _lines(picture, ax)
        case Drawn.HEAT:
            _heat(picture, heights, ax)
        case Drawn.FOREST:
            ax.errorbar(heights, range(len(heights)), xerr=errors, fmt="o", capsize=3)
            ax.axvline(0.0, color="grey", linewidth=0.8)
            ax.set_yticks(range(len(heights)), [str(label) for label in picture.x])
            ax.set_ylim(len(heights) - 0.5, -0.5)
    ax.set_title(picture.title)
    ax.set_xlabel(picture.x_label)
    ax.set_ylabel(picture.y_label)
    return ax


def _steps(picture: Picture, heights: Sequence[float], ax: Axes) -> None:
    """Draw one curve or several; without an area under it, so that curves do not hide each other."""
    if picture.filled:
        ax.stairs(heights, picture.x, fill=True)
        return
    ax.stairs(heights, picture.x, baseline=None, label=picture.label or None)
    for place, each in enumerate(picture.others, start=1):
        style = STYLES[place // COLOURS % len(STYLES)]  # colours come round again, with another line
        ax.stairs(_with_gaps(each.y), each.x, baseline=None, label=each.label, linestyle=style)
    if picture.others:
        ax.legend(title=None)


def _lines(picture: Picture, ax: Axes) -> None:
    for place, line in enumerate(picture.lines):
        ax.plot(line.x, line.y, label=line.label or None, linestyle=STYLES[place // COLOURS % len(STYLES)])
    if picture.diagonal:
        ax.plot((0, 1), (0, 1), color="0.6", linestyle=":")
    if any(line.label for line in picture.lines):
        ax.legend(title=None)


def _heat(picture: Picture, heights: Sequence[float], ax: Axes) -> None:
    """Draw labels at the middle of their cells, and edges where they are."""
    has_edges = not any(isinstance(place, str) for place in (*picture.x, *picture.rows))
    across, down = (len(side) - has_edges for side in (picture.x, picture.rows))
    cells = [list(heights[row * across : (row + 1) * across]) for row in range(down)]
    x = picture.x if has_edges else range(across + 1)
    y = picture.rows if has_edges else range(down + 1)
    low, high = picture.span or (None, None)
    drawing = ax.pcolormesh(x, y, cells, vmin=low, vmax=high, cmap="viridis" if low is None else "RdBu_r")
    if not has_edges:
        ax.set_xticks([place + 0.5 for place in range(across)], [str(label) for label in picture.x])
        ax.set_yticks([place + 0.5 for place in range(down)], [str(label) for label in picture.rows])
        ax.invert_yaxis()  # the first row is the top one, as in a table
    ax.figure.colorbar(drawing, ax=ax)


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
