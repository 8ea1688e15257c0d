"""Clusters where small cells are withheld: one partition of the rows around public prototypes, clustered in public.

Every step of Lloyd's algorithm opens another partition of the same rows, and in its last steps one row moves: the
difference of two steps is that row. So with k > 1 rows are cut once. Prototypes follow from the seed and from opened
means and deviations. Of those whose cell would not open every second one is dropped, told by flags alone, so that its
rows belong to the next ones, until all would open; then one secure sum opens rows, sums and squares per nearest
prototype. Lloyd's steps run over the means of these cells, each as heavy as its rows, which asks nobody anything.
Centres and inertia are those of the rows; what is coarse is that the rows of a cell stay together.

Source: Lloyd's steps over the means of cells as in Zhang, Ramakrishnan and Livny, BIRCH (SIGMOD 1996), section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Final

from federation.analytics.asked import supporting
from federation.analytics.cells import is_closed, require_an_open_cell, rows_between
from federation.analytics.clusters import Moments, Places, Space, distance, moments
from federation.analytics.estimates import Estimate
from federation.analytics.plan import Plan
from federation.domain.catalogue import Dataset
from federation.errors import Refused
from federation.privacy.suppression import closes
from federation.query.query import SumQuery, Totals

MOST_CELLS: Final = 128
MOST_NODES: Final = 9_000  # of the query's expressions
NODES: Final = 8  # of one column's distance
ROOM: Final = 3  # times k units, in a cell of average size at a party of average size
SPARE: Final = 2  # prototypes per cluster, at least
PRUNINGS: Final = 6  # of which the last one drops all that would not open
_PROTOTYPES: Final = 2**32  # apart from the starts of any set


@dataclass(frozen=True, slots=True)
class Cells:
    """What the partition opened: the query, its totals, its prototypes, and the moments of cells; None is closed."""

    query: SumQuery
    totals: Totals
    prototypes: Places
    held: tuple[Moments | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustered:
    """Where Lloyd's steps over cells ended.

    Attributes:
        places: per cell, its cluster; a closed cell belongs to the one next to its prototype.
    """

    starts: Places
    centres: Places
    places: tuple[int, ...]
    inertia: Fraction
    steps: int
    converged: bool


def most(columns: int) -> int:
    """Return the most cells of a partition by so many columns, unless more clusters are asked."""
    return min(MOST_CELLS, MOST_NODES // (NODES * columns))


def partition(space: Space, seed: int, clusters: int) -> Plan[Cells]:
    """Cut the rows once.

    Raises:
        Refused: rule "contributors", where fewer cells than clusters would open.
    """
    joint = space.joint
    wanted = max(SPARE * clusters, space.units // (space.parties * ROOM * joint.k))
    count = max(clusters, min(most(len(space.columns)), wanted))
    kept = space.drawn(seed, _PROTOTYPES, count)
    for pruning in range(1, PRUNINGS + 1):
        (totals,) = yield (supporting(space.frame, (space.nearest(kept),)),)
        shut = [at for at, withheld in enumerate(totals.withheld) if _shut(withheld, totals.parties, joint)]
        dropped = set(shut if pruning == PRUNINGS else shut[::2])
        kept = tuple(one for at, one in enumerate(kept) if at not in dropped)
        if len(kept) < clusters:
            raise Refused(
                f"rows lie too thin for {clusters} clusters: fewer cells of {joint.k} units than that would open",
                rule="contributors",
                hint="fewer clusters, fewer columns, another seed, or a wider `where`",
            )
        if not dropped:
            break
    query = space.question(kept)
    (totals,) = yield (query,)
    require_an_open_cell(totals)
    held = tuple(
        None if is_closed(totals, cell) or not totals.table[cell][-1] else moments(space, query, totals, cell)
        for cell in range(len(kept))
    )
    return Cells(query, totals, kept, held)


def clustered(space: Space, cells: Cells, starts: Places, max_iter: int) -> Clustered:
    """Return where Lloyd's steps over the cells' means end; a centre without cells stays where it is."""
    points = [
        prototype if held is None else held.mean(space)
        for prototype, held in zip(cells.prototypes, cells.held, strict=True)
    ]
    centres, steps, converged = starts, 0, False
    places, inertia = (0,) * len(points), Fraction(0)
    while steps < max_iter and not converged:
        steps += 1
        found = []
        for point in points:
            away = [distance(space, point, centre) for centre in centres]
            found.append(away.index(min(away)))
        places = tuple(found)
        sums = [_sum(cells, places, cluster) for cluster in range(len(centres))]
        moved = tuple(centre if one is None else one.mean(space) for one, centre in zip(sums, centres, strict=True))
        inertia = sum((one.inertia(space) for one in sums if one is not None), Fraction(0))
        converged, centres = moved == centres, moved
    return Clustered(starts=starts, centres=centres, places=places, inertia=inertia, steps=steps, converged=converged)


def estimated(cells: Cells, places: tuple[int, ...], cluster: int, label: str, joint: Dataset) -> Estimate:
    """Return the rows of a cluster, with what parties withhold of its cells."""
    mine = [cell for cell, place in enumerate(places) if place == cluster]
    between = [rows_between(cells.query, cells.totals, cell, joint) for cell in mine]
    rows = sum(low for low, _ in between)
    highs = [high for _, high in between if high is not None]
    withheld = max((cells.totals.withheld[cell] for cell in mine), default=0)
    return Estimate(
        label=label,
        value=rows,
        n=rows,
        units=sum(cells.totals.table[cell][0] for cell in mine),
        interval=(rows, sum(highs) if len(highs) == len(between) else None),
        withheld=withheld,
    )


def _sum(cells: Cells, places: tuple[int, ...], cluster: int) -> Moments | None:
    mine = [held for held, place in zip(cells.held, places, strict=True) if held is not None and place == cluster]
    return reduce(add, mine) if mine else None


def _shut(withheld: int, parties: int, joint: Dataset) -> bool:
    return withheld >= parties or (not joint.own_figures and closes(withheld, parties))
