"""Distribution function of a column: which share of its values lies below each edge; one round of bins, cumulated.

`se` is that of a share of n independent rows, sqrt(p (1 - p) / n). Where parties withhold bins, `low` and `high` hold
the share among all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from federation.analytics.bins import binned, grid, named, spread
from federation.analytics.cells import counted, left_out, require_an_open_cell, rows_between
from federation.analytics.curves import Curve, curve, drawn
from federation.analytics.estimates import (
    Estimate,
    LeavesOut,
    Number,
    RowsLeftOut,
    Suppressed,
    found,
    suppressed_cells,
)
from federation.analytics.groups import By, labels, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.ladder import NOTHING, joined, partition
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends, numeric
from federation.analytics.statistic import Picture, Result, Shown, Statistic, Table
from federation.analytics.statistics.histogram import nothing
from federation.analytics.weights import weight_of
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.query import SumQuery, Totals, shape

OPEN_BINS = 256  # by default, where nothing is withheld
FEW_BINS = 32  # by default, where small bins are withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfParameters:
    """Whose distribution, and at which edges.

    Attributes:
        column: a column of numbers.
        bins: how many of equal width between `low` and `high`, or the edges themselves, increasing; None is one bin per
            value for whole numbers of few values, else 256, or 32 where small bins are withheld.
        low: left end of the first bin; None is the least declared value.
        high: right end of the last bin, which is closed; None is the greatest declared value.
        by: a category column, or several, for one curve per category or combination.
        weights: a column of weights, which are summed in place of counting rows; None for none.
    """

    column: str
    bins: int | tuple[float, ...] | None = None
    low: float | None = None
    high: float | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfGroup:
    """One curve.

    Attributes:
        n: opened rows; None where the group is closed.
        bins: rows per bin, and below the first and above the last edge, as they were opened.
        weight: sum of the opened rows' weights; None where the question has none.
    """

    label: str
    n: int | None
    curve: Curve
    bins: tuple[Estimate, ...]
    weight: Number | None = None

    @property
    def value(self) -> tuple[float | None, ...]:
        """Share of the values below the right end of each bin."""
        return self.curve.share

    @property
    def se(self) -> tuple[float | None, ...]:
        """Standard error of each share."""
        size = self.n if self.weight is None else self.weight
        return tuple(None if p is None or not size else math.sqrt(p * (1 - p) / size) for p in self.curve.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdfResult(LeavesOut, Result):
    """Distribution functions, one per group.

    Attributes:
        edges: one more than bins.
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    column: str
    by: By
    edges: tuple[Number, ...]
    groups: tuple[EcdfGroup, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> EcdfGroup:
        """The one curve of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one curve per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[float | None, ...]:
        """Share of the values below the right end of each bin, without `by`."""
        return self.only.value

    @property
    def se(self) -> tuple[float | None, ...]:
        """Standard error of each share, without `by`."""
        return self.only.se

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.n or 0 for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every bin that is closed or that a party withholds, with the interval of its rows."""
        cells = (cell for group in self.groups for cell in suppressed_cells(group.bins))
        return (*cells, *self.left_out.suppressed)

    def __getitem__(self, label: str | tuple[str, ...]) -> EcdfGroup:
        return found(self.groups, label)

    def table(self) -> Table:
        """Return one row per group and bin: the share below its right end, se, low, high, rows, withholding parties."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            of = group.curve
            columns = (self.edges, self.edges[1:], of.share, group.se, of.low, of.high, of.n, group.bins[1:])
            for *shown, cell in zip(*columns, strict=False):
                rows.append((*label, *shown, cell.withheld))
        head = (*grouping(self.by), "from", "to", "share", "se", "low", "high")
        return Table(columns=(*head, "n" if self.weights is None else self.weights, "withheld"), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the steps, one curve per group."""
        return drawn(self.column, [group.curve for group in self.groups], self.by)


class Ecdf(Statistic[EcdfParameters, EcdfResult]):
    """Distribution function of the available cases, per category if asked."""

    name = "ecdf"
    version = 1
    Parameters = EcdfParameters

    def rounds(self, parameters: EcdfParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: EcdfParameters, where: Expression | None, joint: Dataset) -> Plan[EcdfResult]:
        edges = _edges(parameters, joint)
        query = binned(parameters.column, edges, parameters.by, where, joint, weight_of(parameters.weights, joint))
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        groups = labels(parameters.by, joint)
        return EcdfResult(
            column=parameters.column,
            by=parameters.by,
            edges=edges,
            groups=tuple(
                _group(label, place, parameters, edges, query, totals, joint) for place, label in enumerate(groups)
            ),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            weights=parameters.weights,
        )


def _edges(parameters: EcdfParameters, joint: Dataset) -> tuple[Number, ...]:
    column = numeric(parameters.column, joint)
    bins, most = parameters.bins, OPEN_BINS if joint.k <= 1 else FEW_BINS
    if bins is None and parameters.low is parameters.high is None:
        fine = grid(parameters.column, None, joint)
        if fine.size <= most:
            return tuple(fine.edge(place) for place in range(fine.size + 1))
    return spread(column, most if bins is None else bins, parameters.low, parameters.high)


def _group(
    label: str,
    place: int,
    parameters: EcdfParameters,
    edges: Sequence[Number],
    query: SumQuery,
    totals: Totals,
    joint: Dataset,
) -> EcdfGroup:
    low, high = ends(numeric(parameters.column, joint))
    start, size = place * (len(edges) + 1), len(edges) + 1
    weight = weight_of(parameters.weights, joint)
    cells = [rows_between(query, totals, start + cell, joint, weight) for cell in range(size)]
    names = [f"below {edges[0]}", *named(edges), f"above {edges[-1]}"]
    before = "" if parameters.by is None else f"{label}: "
    bins = [
        counted(query, totals, start + cell, before + name, joint, weight=weight) for cell, name in enumerate(names)
    ]
    if low >= edges[0]:
        cells[0], bins[0] = NOTHING, nothing(bins[0].label)
    if high <= edges[-1]:
        cells[-1], bins[-1] = NOTHING, nothing(bins[-1].label)
    known = partition(range(size + 1), cells)
    ladder = joined(known, known)
    least, most = ladder[0].above
    is_closed = least == 0 != most
    return EcdfGroup(
        label=label,
        n=None if is_closed else sum(cell.n or 0 for cell in bins),
        curve=curve(label, edges, [ladder[i + 1] for i in range(len(edges))], weight),
        bins=tuple(bins),
        weight=None if is_closed or weight is None else weight.number(least),
    )
