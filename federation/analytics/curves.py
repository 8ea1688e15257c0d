"""A distribution function as steps: what was opened at each edge, what withheld bins leave unknown, how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from federation.analytics.estimates import Number
from federation.analytics.groups import By, written
from federation.analytics.ladder import Rung, shares
from federation.analytics.statistic import Drawn, Picture, Series
from federation.analytics.weights import Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The share of values below the right end of each bin; a whole number v is below the edge v + 1.

    Attributes:
        label: whose values.
        edges: one more than bins.
        n: opened rows, or their weight, below the right end of each bin.
        share: of the opened rows; None where nothing was opened.
        low: least share of all rows, those that parties withhold included.
        high: greatest share of all rows.
    """

    label: str
    edges: tuple[Number, ...]
    n: tuple[Number, ...]
    share: tuple[float | None, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def curve(label: str, edges: Sequence[Number], rungs: Sequence[Rung], weight: Weight | None = None) -> Curve:
    """Return the curve through `rungs`, one per edge; with weights they stand in the unit that these opened in."""
    found = [shares(rung) for rung in rungs[1:]]
    return Curve(
        label=label,
        edges=tuple(edges),
        n=tuple(weight.number(rung.below[0]) if weight else rung.below[0] for rung in rungs[1:]),
        share=tuple(share for share, _, _ in found),
        low=tuple(low for _, low, _ in found),
        high=tuple(high for _, _, high in found),
    )


def drawn(column: str, curves: Sequence[Curve], by: By) -> Picture:
    """Return step curves from 0 to 1, one per group of which anything was opened."""
    of = "" if by is None else f" by {written(by)}"
    opened = [each for each in curves if any(each.n)]
    first, *others = (_steps(each) for each in opened or curves[:1])
    return Picture(
        drawn=Drawn.STEPS,
        title=f"distribution of {column}{of}",
        x_label=column,
        y_label="share of rows",
        x=first.x,
        y=first.y,
        label="" if by is None else first.label,
        others=tuple(others),
        filled=False,
    )


def _steps(of: Curve) -> Series:
    """The same curve with flat stretches as one step: thousands of edges are few steps."""
    turns = [i for i, (before, after) in enumerate(pairwise(of.share)) if before != after]
    kept = [*turns, len(of.share) - 1]
    return Series(
        label=of.label,
        x=(of.edges[0], *(of.edges[i + 1] for i in kept)),
        y=tuple(of.share[i] for i in kept),
    )
