"""k-means: Lloyd's algorithm, each step one secure sum over the cells of the nearest centre.

Places start at public places, which follow from the seed and from opened means and deviations, or which the question
gives: no row is ever a start. A step opens how many rows are nearest to each centre and their sums; their means are the
next centres (Lloyd, IEEE Trans. Inf. Theory 28, 1982). It ends where no centre moves. Distances are Euclidean, in
standard deviations of each column unless `standardize=False`; a row between two centres belongs to the first.

Every step opens another partition of the same rows, and the difference of two may be one of them. So where small
cells are withheld (k > 1) rows are cut once, around public prototypes, and the steps run over the cells of that one
partition in public (`federation.analytics.prototypes`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from federation.analytics import clusters, prototypes
from federation.analytics.cells import counted, is_closed, left_out
from federation.analytics.clusters import Places, Space, moments
from federation.analytics.estimates import Estimate, LeavesOut, RowsLeftOut, Suppressed, suppressed_cells
from federation.analytics.plan import Plan
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.query import SumQuery, Totals

MOST_CLUSTERS = 100
MOST_STARTS = 20
STARTS = 4  # by default, where every step is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class KmeansParameters:
    """What is clustered, and where centres start.

    Attributes:
        columns: columns of numbers.
        k: clusters, at least 2.
        seed: of the starts, a whole number from 0 to 2^63 - 1.
        n_init: how many sets of starts are tried side by side; the one with least inertia stays. None is 4, or 20
            where small cells are withheld and steps cost nothing.
        max_iter: most steps.
        standardize: whether distances are in standard deviations of each column.
        starts: k centres, each with one number per column, in place of the seed's.
    """

    columns: tuple[str, ...]
    k: int
    seed: int = 0
    n_init: int | None = None
    max_iter: int = 50
    standardize: bool = True
    starts: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KmeansResult(LeavesOut, Result):
    """Clusters.

    Attributes:
        centers: one per cluster, in the units of the columns.
        estimates: rows per cluster, as they were opened.
        inertia: sum of the squared distances of opened rows to their centre.
        n_iter: steps that were taken from these starts.
        converged: whether no centre moved in the last one.
        scale: what distances in each column are divided by.
        starts: where these centres started.
        inertias: of every set of starts.
        cells: of rows that stay together, where small cells are withheld; None where every row goes by itself.
    """

    columns: tuple[str, ...]
    centers: Places
    estimates: tuple[Estimate, ...]
    inertia: float
    n_iter: int
    converged: bool
    scale: tuple[float, ...]
    starts: Places
    inertias: tuple[float, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    cells: int | None = None

    @property
    def value(self) -> Places:
        """The centres."""
        return self.centers

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(cell.n or 0 for cell in self.estimates)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Clusters that are closed or that a party withholds, with the interval of their rows."""
        return (*suppressed_cells(self.estimates), *self.left_out.suppressed)

    @property
    def notes(self) -> tuple[str, ...]:
        """How it ended."""
        end = "no centre moves any more" if self.converged else "centres still move: raise max_iter"
        found = f"inertia {self.inertia:.6g} after {self.n_iter} steps; {end}"
        together = (
            f"small cells are withheld: rows were cut once, into {self.cells} cells, and each cell is in one cluster"
        )
        return (found,) if self.cells is None else (found, together)

    def predict(self, frame: Mapping[str, Sequence[float]]) -> list[int]:
        """Return the place of the nearest centre for rows that the researcher has: a data frame, or columns by name.

        Raises:
            Misuse: a column lacks.
        """
        for name in self.columns:
            if name not in frame:
                raise Misuse(f"the rows have no column {name!r}")
        found = []
        for row in zip(*(list(frame[name]) for name in self.columns), strict=True):
            away = [
                math.fsum(((float(x) - c) / s) ** 2 for x, c, s in zip(row, centre, self.scale, strict=True))
                for centre in self.centers
            ]
            found.append(away.index(min(away)))
        return found

    def table(self) -> Table:
        """Return one row per cluster: its rows, and its centre."""
        rows: list[tuple[Shown, ...]] = [
            (place + 1, cell.n, *centre, *cell.interval, cell.withheld)
            for place, (cell, centre) in enumerate(zip(self.estimates, self.centers, strict=True))
        ]
        return Table(columns=("cluster", "n", *self.columns, "low", "high", "withheld"), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the rows of each cluster."""
        return Picture(
            drawn=Drawn.BARS,
            title=f"clusters of {', '.join(self.columns)}",
            x_label="cluster",
            y_label="rows",
            x=tuple(str(place + 1) for place in range(len(self.centers))),
            y=tuple(cell.n for cell in self.estimates),
        )


class Kmeans(Statistic[KmeansParameters, KmeansResult]):
    """Clusters around centres, by Lloyd's algorithm."""

    name = "kmeans"
    version = 1
    Parameters = KmeansParameters

    def rounds(self, parameters: KmeansParameters, joint: Dataset) -> int:
        return 2 + prototypes.PRUNINGS if joint.k > 1 else 1 + parameters.max_iter

    def later_numbers(self, parameters: KmeansParameters, joint: Dataset) -> int:
        columns = len(parameters.columns)
        cells = max(prototypes.most(columns), parameters.k) if joint.k > 1 else _sets(parameters, joint) * parameters.k
        flags = 4 * columns + 1
        return cells * (4 + 2 * columns) + 2 * flags * (1 if joint.k > 1 else _sets(parameters, joint))

    def plan(self, parameters: KmeansParameters, where: Expression | None, joint: Dataset) -> Plan[KmeansResult]:
        _checked(parameters, joint)
        space = yield from clusters.opened(parameters.columns, where, joint, standardize=parameters.standardize)
        sets = (
            [parameters.starts]
            if parameters.starts is not None
            else [space.drawn(parameters.seed, place, parameters.k) for place in range(_sets(parameters, joint))]
        )
        if joint.k > 1:
            cells = yield from prototypes.partition(space, parameters.seed, parameters.k)
            return _of_cells(parameters, space, sets, cells)
        runs = [_Run(space, centres, centres) for centres in sets]
        for _ in range(parameters.max_iter):
            moving = [run for run in runs if not run.converged]
            if not moving:
                break
            queries = tuple(run.question() for run in moving)
            answers = yield queries
            for run, query, totals in zip(moving, queries, answers, strict=True):
                run.take(query, totals)
        best = min(runs, key=lambda run: run.inertia)  # the first of equal ones
        query, totals = best.last
        return KmeansResult(
            columns=parameters.columns,
            centers=best.centres,
            estimates=tuple(counted(query, totals, cell, f"cluster {cell + 1}", joint) for cell in range(parameters.k)),
            inertia=float(best.inertia),
            n_iter=best.steps,
            converged=best.converged,
            scale=space.scale,
            starts=best.starts,
            inertias=tuple(float(run.inertia) for run in runs),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
        )


def _of_cells(
    parameters: KmeansParameters, space: Space, sets: Sequence[Places], cells: prototypes.Cells
) -> KmeansResult:
    runs = [prototypes.clustered(space, cells, starts, parameters.max_iter) for starts in sets]
    best = min(runs, key=lambda run: run.inertia)  # the first of equal ones
    return KmeansResult(
        columns=parameters.columns,
        centers=best.centres,
        estimates=tuple(
            prototypes.estimated(cells, best.places, place, f"cluster {place + 1}", space.joint)
            for place in range(parameters.k)
        ),
        inertia=float(best.inertia),
        n_iter=best.steps,
        converged=best.converged,
        scale=space.scale,
        starts=best.starts,
        inertias=tuple(float(run.inertia) for run in runs),
        left_out=left_out(cells.query, cells.totals, space.joint),
        parties=cells.totals.parties,
        k=space.joint.k,
        cells=len(cells.prototypes),
    )


@dataclass(slots=True)
class _Run:
    """Lloyd's steps from one set of starts; local to a plan that is running."""

    space: Space
    starts: Places
    centres: Places
    steps: int = 0
    converged: bool = False
    inertia: Fraction = field(default_factory=Fraction)
    last: tuple[SumQuery, Totals] = field(init=False)

    def question(self) -> SumQuery:
        """Return the query of a step."""
        return self.space.question(self.centres)

    def take(self, query: SumQuery, totals: Totals) -> None:
        """Take a step's totals: the next centres, and the inertia about them."""
        held = [
            None if is_closed(totals, cell) or not totals.table[cell][-1] else moments(self.space, query, totals, cell)
            for cell in range(len(self.centres))
        ]
        moved = tuple(
            before if one is None else one.mean(self.space) for one, before in zip(held, self.centres, strict=True)
        )
        self.last = query, totals
        self.steps += 1
        self.inertia = sum((one.inertia(self.space) for one in held if one is not None), Fraction(0))
        self.converged = moved == self.centres
        self.centres = moved


def _checked(parameters: KmeansParameters, joint: Dataset) -> None:
    names = parameters.columns
    if not names or len(set(names)) < len(names):
        raise Misuse("clusters are of one or several different columns")
    for name in names:
        numeric(name, joint)
    if not 2 <= parameters.k <= MOST_CLUSTERS:
        raise Misuse(f"there are 2 to {MOST_CLUSTERS} clusters")
    if not 0 <= parameters.seed < 2**63 or parameters.max_iter < 1:
        raise Misuse("a seed is a whole number from 0 to 2^63 - 1, and max_iter at least 1")
    if not 1 <= _sets(parameters, joint) <= MOST_STARTS:
        raise Misuse(f"n_init is 1 to {MOST_STARTS}")
    starts = parameters.starts
    if starts is not None and (len(starts) != parameters.k or any(len(each) != len(names) for each in starts)):
        raise Misuse("starts are k centres, each with one number per column")


def _sets(parameters: KmeansParameters, joint: Dataset) -> int:
    if parameters.starts is not None:
        return 1
    if parameters.n_init is not None:
        return parameters.n_init
    return STARTS if joint.k <= 1 else MOST_STARTS
