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


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
