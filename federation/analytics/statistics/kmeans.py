"""k-means: Lloyd's algorithm, each step one secure sum over the cells of the nearest centre.

Centres start at public places, which follow from the seed and from opened means and deviations, or which the question
gives: no row is ever a start. A step opens how many rows are nearest to each centre and their sums; their means are the
next centres (Lloyd, IEEE Trans. Inf. Theory 28, 1982). It ends where no centre moves. Distances are Euclidean, in
standard deviations of each column unless `standardize=False`; a row between two centres belongs to the first.

Every step opens another partition of the same rows. Small cells are withheld as everywhere, a centre without opened
rows stays where it is, and with k > 1 one start is tried, not four.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from federation.analytics import standard
from federation.analytics.asked import Frame, ask
from federation.analytics.cells import counted, is_closed, left_out, unit
from federation.analytics.estimates import Estimate, LeavesOut, RowsLeftOut, Suppressed, suppressed_cells
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends, numeric
from federation.analytics.standard import Spread, Standard
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.analytics.tails import normal_ppf
from federation.domain.catalogue import Dataset
from federation.domain.job import digest
from federation.errors import JobFailed, Misuse
from federation.query.expression import Col, Const, Expression, total
from federation.query.query import Argmin, SumQuery, Totals, shape

MOST_CLUSTERS = 100
MOST_STARTS = 20
STARTS = 4  # by default, where nothing is withheld

Centres: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KmeansParameters:
    """What is clustered, and where centres start.

    Attributes:
        columns: columns of numbers.
        k: clusters, at least 2.
        seed: of the starts, a whole number from 0 to 2^63 - 1.
        n_init: how many sets of starts are tried side by side; the one with least inertia stays. None is 4, or 1 where
            small cells are withheld.
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
    """

    columns: tuple[str, ...]
    centers: Centres
    estimates: tuple[Estimate, ...]
    inertia: float
    n_iter: int
    converged: bool
    scale: tuple[float, ...]
    starts: Centres
    inertias: tuple[float, ...]
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def value(self) -> Centres:
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
        return (f"inertia {self.inertia:.6g} after {self.n_iter} steps; {end}",)

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

    def rounds(self, parameters: KmeansParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1 + parameters.max_iter

    def later_numbers(self, parameters: KmeansParameters, joint: Dataset) -> int:
        flags = 4 * len(parameters.columns) + 1
        of_one = parameters.k * (4 + 2 * len(parameters.columns)) + 2 * flags
        return _sets(parameters, joint) * of_one

    def plan(self, parameters: KmeansParameters, where: Expression | None, joint: Dataset) -> Plan[KmeansResult]:
        _checked(parameters, joint)
        space = yield from _space(parameters, where, joint)
        sets = (
            [parameters.starts]
            if parameters.starts is not None
            else [_starts(parameters, place, space) for place in range(_sets(parameters, joint))]
        )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """The columns, how they stand in queries, and how far apart they are."""

    joint: Dataset
    where: Expression | None
    numbers: tuple[Expression, ...]
    standards: tuple[Standard, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(slots=True)
class _Run:
    """Lloyd's steps from one set of starts; local to a plan that is running."""

    space: _Space
    starts: Centres
    centres: Centres
    steps: int = 0
    converged: bool = False
    inertia: Fraction = field(default_factory=Fraction)
    last: tuple[SumQuery, Totals] = field(init=False)

    def question(self) -> SumQuery:
        """Return the query for rows, sums and squares about public centres, per nearest centre."""
        space = self.space
        away = [
            total(
                ((x - c) * (1.0 / s)) ** 2 if s != 1.0 else (x - c) ** 2
                for x, c, s in zip(space.numbers, centre, space.scale, strict=True)
            )
            for centre in self.centres
        ]
        held = [each.of(x) for each, x in zip(space.standards, space.numbers, strict=True)]
        return SumQuery(
            dataset=space.joint.name,
            where=space.where,
            per=unit(space.joint),
            group_by=(Argmin(tuple(away)),),
            terms=(*held, *(x**2 for x in held), Const(1)),  # the last one counts rows, as `counted` reads them
        )

    def take(self, query: SumQuery, totals: Totals) -> None:
        """Take a step's totals: the next centres, and the inertia about them."""
        space, count = self.space, len(self.space.numbers)
        scales = shape(query, space.joint).scales
        moved: list[tuple[float, ...]] = []
        inertia = Fraction(0)
        for cell, before in enumerate(self.centres):
            _, *sums = totals.table[cell]
            rows = sums[-1]
            if is_closed(totals, cell) or not rows:
                moved.append(before)
                continue
            place = []
            for j, each in enumerate(space.standards):
                first = Fraction(sums[j]) / Fraction(2) ** scales[j]
                second = Fraction(sums[count + j]) / Fraction(2) ** scales[count + j]
                place.append(float(Fraction(each.centre) + first / rows * Fraction(2) ** each.shift))
                spread = (second - first * first / rows) * Fraction(4) ** each.shift
                inertia += max(spread, Fraction(0)) / Fraction(space.scale[j]) ** 2
            moved.append(tuple(place))
        self.last = query, totals
        self.steps += 1
        self.inertia = inertia
        self.converged = tuple(moved) == self.centres
        self.centres = tuple(moved)


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
    return parameters.n_init if parameters.n_init is not None else STARTS if joint.k <= 1 else 1


def _space(parameters: KmeansParameters, where: Expression | None, joint: Dataset) -> Plan[_Space]:
    numbers = tuple(Col(name) for name in parameters.columns)
    before = [standard.declared(number, joint, centred=True) for number in numbers]
    held = [each.of(number) for each, number in zip(before, numbers, strict=True)]
    question = ask(
        Frame(joint=joint, where=where, needs=numbers),
        {"first": held, "second": [x**2 for x in held]},
        complete=True,
    )
    (totals,) = yield (question.query,)
    opened = question.read(totals)
    standards, mean, deviation = [], [], []
    for place, (each, number) in enumerate(zip(before, numbers, strict=True)):
        grown = Fraction(2) ** each.shift
        spread = Spread(
            rows=opened.rows,
            first=opened.sums["first"][place] * grown,
            second=opened.sums["second"][place] * grown**2,
            error=opened.errors["second"][place] * grown**2,
        )
        if not spread.variance:
            raise JobFailed(f"column {parameters.columns[place]!r} has one value only", hint="leave it out")
        standards.append(standard.refined(each, spread, number, joint, centred=True))
        mean.append(float(Fraction(each.centre) + spread.first / spread.rows))
        deviation.append(math.sqrt(float(spread.variance)))
    return _Space(
        joint=joint,
        where=where,
        numbers=numbers,
        standards=tuple(standards),
        mean=tuple(mean),
        deviation=tuple(deviation),
        scale=tuple(deviation) if parameters.standardize else (1.0,) * len(numbers),
    )


def _starts(parameters: KmeansParameters, place: int, space: _Space) -> Centres:
    """Return k centres: normal numbers of the seed, with the opened mean and deviation, inside the declared range."""
    found = []
    for cluster in range(parameters.k):
        centre = []
        for j, name in enumerate(parameters.columns):
            word = b"".join(number.to_bytes(8, "big") for number in (parameters.seed, place, cluster, j))
            share = (int.from_bytes(digest("federation/kmeans/v1", word)[:6], "big") + 0.5) / 2**48
            low, high = ends(numeric(name, space.joint))
            centre.append(min(max(space.mean[j] + space.deviation[j] * normal_ppf(share), float(low)), float(high)))
        found.append(tuple(centre))
    return tuple(found)
