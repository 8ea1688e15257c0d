"""How many rows lie below and above each edge, as intervals: what opened bins prove about ranks and quantiles.

Every round opens a partition of the range. A bin tells its rows exactly, or between two ends where parties withhold it,
or nothing where it is closed. What several rounds tell about one edge is intersected, and edges bound each other. All
of it is whole numbers, so everybody who replays comes to the same next question.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Rows: TypeAlias = tuple[int, int | None]  # the least and the most rows; None for no bound
NOTHING: Rows = (0, 0)


@dataclass(frozen=True, slots=True)
class Rung:
    """One edge: rows below it, and rows at or above it."""

    below: Rows
    above: Rows


Ladder: TypeAlias = Mapping[int, Rung]  # by the edge's place in the grid, increasing; the first is 0


def partition(edges: Sequence[int], cells: Sequence[Rows]) -> Ladder:
    """Return what one partition proves: `edges` from 0 to the last place, `cells` between each two."""
    below, above = _cumulated(cells), _cumulated(cells[::-1])[::-1]
    return {edge: Rung(*both) for edge, *both in zip(edges, below, above, strict=True)}


def joined(first: Ladder, second: Ladder) -> Ladder:
    """Return what two partitions of the same rows prove together."""
    every = {**first, **second}
    for edge in first.keys() & second.keys():
        one, other = first[edge], second[edge]
        every[edge] = Rung(_both(one.below, other.below), _both(one.above, other.above))
    edges = sorted(every)
    below = _rising([every[edge].below for edge in edges])
    above = _rising([every[edge].above for edge in reversed(edges)])[::-1]
    total = _both(below[-1], above[0])
    return {
        edge: Rung(_both(a, _rest(total, b)), _both(b, _rest(total, a)))
        for edge, a, b in zip(edges, below, above, strict=True)
    }


def rank(rows: int, q: float) -> int:
    """Return which of `rows` sorted values, counted from 1, is the q-quantile of numpy's method "inverted_cdf".

    It is the least value that a share of at least q does not exceed. Computed as numpy does, by one product in
    binary64, so that both agree also where q has no binary fraction.
    """
    place = rows * q - 1.0
    return min(max(math.ceil(place), 0) + 1, max(rows, 1))  # beyond 2^53, which weights reach, the product is rounded


def proved(ladder: Ladder, q: float) -> tuple[int, int]:
    """Return the edges between which the q-quantile of all rows lies, whatever withheld bins hold.

    More rows below an edge move the quantile down by at least nothing, more rows above move it up: the least below
    with the most above is the worst case for "below this edge", and the other way round.
    """
    edges = list(ladder)

    def sure_below(edge: int) -> bool:
        (least, _), (_, most) = ladder[edge].below, ladder[edge].above
        return most is not None and least >= rank(least + most, q)

    def not_above(edge: int) -> bool:
        (_, most), (least, _) = ladder[edge].below, ladder[edge].above
        return most is None or most >= rank(most + least, q)

    right = min(bisect_left(edges, True, key=sure_below), len(edges) - 1)
    left = min(max(bisect_left(edges, True, key=not_above) - 1, 0), right)
    return edges[left], edges[right]


def told(ladder: Ladder, q: float) -> tuple[int, int, int, int] | None:
    """Return where the quantile of the opened rows lies: (left edge, right edge, place in this bin, rows of the bin).

    None where nothing was opened.
    """
    edges = list(ladder)

    def reached(edge: int) -> bool:
        opened, further = ladder[edge].below[0], ladder[edge].above[0]
        return opened >= rank(opened + further, q)

    place = bisect_left(edges, True, key=reached)
    if not 0 < place < len(edges):
        return None
    left, right = edges[place - 1], edges[place]
    before, opened = ladder[left].below[0], ladder[right].below[0]
    rows = max(opened - before, 1)
    return left, right, min(max(rank(opened + ladder[right].above[0], q) - before, 1), rows), rows


def shares(rung: Rung) -> tuple[float | None, float, float]:
    """Return the share of rows below an edge: of the opened rows, and the least and greatest of all rows."""
    (least, most), (fewest, many) = rung.below, rung.above
    value = least / (least + fewest) if least + fewest else None
    low = 0.0 if many is None or not least else least / (least + many)
    high = 1.0 if most is None or not fewest else most / (most + fewest)
    return value, low, high


def _cumulated(cells: Sequence[Rows]) -> list[Rows]:
    found: list[Rows] = [NOTHING]
    for least, most in cells:
        low, high = found[-1]
        found.append((low + least, None if high is None or most is None else high + most))
    return found


def _rising(rows: Sequence[Rows]) -> list[Rows]:
    """What comes later is at least what comes earlier, and what comes earlier at most what comes later."""
    lows = [least for least, _ in rows]
    for i in range(1, len(lows)):
        lows[i] = max(lows[i], lows[i - 1])
    highs = [most for _, most in rows]
    for i in range(len(highs) - 2, -1, -1):
        highs[i] = _least(highs[i], highs[i + 1])
    return list(zip(lows, highs, strict=True))


def _rest(total: Rows, part: Rows) -> Rows:
    """What is left of `total` beside `part`."""
    least = 0 if part[1] is None else max(total[0] - part[1], 0)
    return least, None if total[1] is None else total[1] - part[0]


def _both(one: Rows, other: Rows) -> Rows:
    return max(one[0], other[0]), _least(one[1], other[1])


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
