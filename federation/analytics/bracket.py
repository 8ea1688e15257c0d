"""Asks ever finer bins around quantiles: which edges the next round asks, and what the opened ones prove so far.

Where nothing is withheld (k = 1) a round asks up to 4,096 bins at once, or 1,024 and then 1,024 around each quantile.
Where small cells are withheld, fine bins open nothing: the first round counts rows only, and each further one cuts what
is left around a quantile into as many pieces as it has units for, some 2 k per party, so that few pieces are withheld.
A cut that proves nothing is tried again four times as coarse; what cannot be cut further stays an interval.

Not hidden: a bin and its pieces are both opened, so their difference tells how many rows the withheld pieces hold
together. Nested openings of one plan count as one opening (DESIGN section 5); cutting only around what was asked, and
only where units suffice, keeps such differences few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from federation.analytics.bins import MOST_BINS, Grid, pieces
from federation.analytics.ladder import NOTHING, Ladder, Rows, joined, partition, proved, told

PIECES: Final = 1_024  # of the first round, and around each of up to four quantiles in a further one
FEWEST: Final = 16  # pieces around one quantile where many are asked
UNITS: Final = 2  # times k, per party and piece
MOST_ROUNDS: Final = 8  # where cells are withheld


def first(grid: Grid, k: int) -> tuple[int, ...]:
    """Return the edges of the first round."""
    if k > 1:
        return (0, grid.size)
    return pieces(0, grid.size, grid.size if grid.size <= MOST_BINS else PIECES)


def rounds(grid: Grid, k: int, targets: int) -> int:
    """Return the most rounds that `targets` quantiles, over all groups, take."""
    if grid.size <= (1 if k > 1 else MOST_BINS):
        return 1
    if k > 1:
        return MOST_ROUNDS
    found, width, cut = 1, -(-grid.size // PIECES), fan(targets)
    while width > 1:
        found, width = found + 1, -(-width // cut)
    return found


def widest(grid: Grid, k: int, targets: int, groups: int) -> int:
    """Return the most cells, over all groups, of a round after the first; a few more than there can be."""
    width = grid.size if k > 1 else -(-grid.size // PIECES)  # of what is left around one quantile
    fanned = targets * (PIECES + 1) if targets <= MOST_BINS // PIECES else max(MOST_BINS, FEWEST * targets) + targets
    return 2 * groups + min(fanned, targets * (width + 1))


def fan(spans: int) -> int:
    """Return into how many pieces each of `spans` bins may be cut in one round."""
    return max(FEWEST, min(PIECES, MOST_BINS // max(spans, 1)))


@dataclass(slots=True)
class Search:
    """What is known of one group's quantiles; local to a plan that is running.

    Attributes:
        ladder: what all rounds so far prove; empty before the first.
        asked: edges of the latest round, with parties withholding each bin between them.
        units: units of the first round, and `rows` its rows or their weight: units may have several rows.
    """

    grid: Grid
    qs: tuple[float, ...]
    k: int
    parties: int = 0
    ladder: Ladder = field(default_factory=dict)
    asked: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()
    units: int = 1
    rows: int = 1
    before: Mapping[float, tuple[int, int]] = field(default_factory=dict)
    cuts: dict[float, int] = field(default_factory=dict)

    def take(self, edges: Sequence[int], cells: Sequence[Rows], withheld: Sequence[int], parties: int) -> None:
        """Take what a round opened: one cell below the first edge, one between each two, none above the last."""
        self.before = {q: self.bracket(q) for q in self.qs} if self.ladder else {}
        inner = edges[0] == 0
        self.asked = tuple(edges) if inner else (0, *edges)
        known = partition(self.asked, cells[1:] if inner else cells)
        self.withheld = tuple(withheld[1:] if inner else withheld)
        if self.k <= 1:
            self.ladder = dict(sorted({**self.ladder, **known}.items()))  # all of it is exact and agrees
        else:
            self.ladder = joined(self.ladder, known) if self.ladder else known
        self.parties = parties

    def bracket(self, q: float) -> tuple[int, int]:
        """Return the edges between which the q-quantile of all rows lies."""
        return proved(self.ladder, q)

    def spans(self) -> dict[tuple[int, int], int]:
        """Return what to cut further, and into how many pieces at most; empty at the end."""
        wanted: dict[tuple[int, int], int] = {}
        if self.ladder[0].above == NOTHING:
            return wanted
        for q in self.qs:
            span = self.bracket(q)
            most = self._most(q, span)
            if span[1] - span[0] > 1 and most > 1:
                wanted[span] = max(most, wanted.get(span, 0))
                self.cuts[q] = min(most, span[1] - span[0])
        return wanted

    def edges(self, spans: Mapping[tuple[int, int], int], cut: int) -> tuple[int, ...]:
        """Return the edges of the next round; the last one is the grid's, as the last bin alone is closed."""
        found = {self.grid.size}
        for (left, right), most in spans.items():
            found.update(pieces(left, right, min(most, cut)))
        return tuple(sorted(found))

    def f(self, left: int, right: int) -> int:
        """Return the most parties that withhold one of the latest bins between two edges."""
        bins = zip(self.asked, self.asked[1:], self.withheld, strict=False)
        return max((f for a, b, f in bins if a < right and b > left), default=0)

    def _most(self, q: float, span: tuple[int, int]) -> int:
        if self.k <= 1:
            return PIECES
        left, right = (self.ladder[edge] for edge in span)
        inside = self.ladder[0].above[0] - left.below[0] - right.above[0]  # opened rows
        most = min(PIECES, inside * self.units // self.rows // (UNITS * self.k * self.parties))
        if self.before.get(q) == span and q in self.cuts:
            most = min(most, self.cuts[q] // 4)  # the last cut proved nothing
        return most


def found(search: Search, q: float) -> tuple[int, int, int, int] | None:
    """Return where the quantile of the opened rows lies, as `ladder.told`; None where that is the whole range."""
    at = told(search.ladder, q)
    if at is None or (at[:2] == (0, search.grid.size) and search.grid.size > 1):
        return None
    return at
