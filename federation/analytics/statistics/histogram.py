"""Histogram of a column: rows per bin, exact, one round. Bins are [low, high), the last one is closed, as in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from federation.analytics.cells import counted, left_out, require_an_open_cell, unit
from federation.analytics.estimates import Estimate, Number, RowsLeftOut, Suppressed, suppressed_cells
from federation.analytics.moments import ends, numeric
from federation.analytics.plan import Plan
from federation.analytics.statistic import Drawn, Picture, Result, Statistic, Table
from federation.domain.catalogue import Column, Dataset
from federation.errors import Misuse
from federation.query.expression import Col, Const, Expression
from federation.query.query import Bins, SumQuery, shape

MOST_BINS = 4_096  # as many as a round of quantiles asks (DESIGN section 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramParameters:
    """What to count, and where the bins end.

    Attributes:
        column: a column of numbers.
        bins: how many of equal width between `low` and `high`, or the edges themselves, increasing.
        low: left end of the first bin; None is the least declared value.
        high: right end of the last bin; None is the greatest declared value.
    """

    column: str
    bins: int | tuple[float, ...] = 20
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramResult(Result):
    """Rows per bin.

    Attributes:
        edges: one more than bins.
        estimates: one per bin; a closed bin has no value.
        below: rows below the first edge; known to be 0 where the declared range has nothing there.
        above: rows above the last edge.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    column: str
    edges: tuple[Number, ...]
    estimates: tuple[Estimate, ...]
    below: Estimate
    above: Estimate
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def value(self) -> tuple[Number | None, ...]:
        """Rows per bin; None where a bin is closed."""
        return tuple(cell.value for cell in self.estimates)

    @property
    def se(self) -> None:
        """Counts of rows have no standard error."""
        return

    @property
    def n(self) -> int:
        """Rows in the opened bins."""
        return sum(cell.n or 0 for cell in self.estimates)

    @property
    def n_missing(self) -> tuple[tuple[str, str, int | None], ...]:
        """(column, reason, count) of rows left out; None where the count is closed."""
        return self.left_out.missing

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed, or that a party withholds, with the interval that it leaves."""
        return (*suppressed_cells((self.below, *self.estimates, self.above)), *self.left_out.suppressed)

    def table(self) -> Table:
        rows = zip(self.edges, self.edges[1:], self.estimates, strict=False)
        return Table(
            columns=("from", "to", "n", "low", "high", "withheld"),
            rows=tuple((low, high, cell.value, *cell.interval, cell.withheld) for low, high, cell in rows),
        )

    def picture(self) -> Picture:
        return Picture(
            drawn=Drawn.STEPS,
            title=f"histogram of {self.column}",
            x_label=self.column,
            y_label="rows",
            x=self.edges,
            y=self.value,
        )


class Histogram(Statistic[HistogramParameters, HistogramResult]):
    """Rows per bin of one column."""

    name = "histogram"
    version = 1
    Parameters = HistogramParameters

    def rounds(self, parameters: HistogramParameters) -> int:  # noqa: ARG002 - the contract's argument
        return 1

    def plan(self, parameters: HistogramParameters, where: Expression | None, joint: Dataset) -> Plan[HistogramResult]:
        column = numeric(parameters.column, joint)
        edges = _edges(parameters, column)
        per = unit(joint)
        query = SumQuery(
            dataset=joint.name,
            where=where,
            per=per,
            group_by=(Bins(Col(column.name), edges),),
            terms=() if per is None else (Const(1),),
        )
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        names = (f"below {edges[0]}", *_labels(edges), f"above {edges[-1]}")
        below, *inner, above = (counted(query, totals, cell, label, joint) for cell, label in enumerate(names))
        low, high = ends(column)
        return HistogramResult(
            column=column.name,
            edges=edges,
            estimates=tuple(inner),
            below=below if low < edges[0] else _nothing(below.label),
            above=above if high > edges[-1] else _nothing(above.label),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
        )


def _edges(parameters: HistogramParameters, column: Column) -> tuple[Number, ...]:
    if isinstance(parameters.bins, tuple):
        if parameters.low is not None or parameters.high is not None:
            raise Misuse("a histogram takes edges or low and high, not both")
        if not 2 <= len(parameters.bins) <= MOST_BINS + 1:
            raise Misuse(f"a histogram takes 2 to {MOST_BINS + 1} edges, got {len(parameters.bins)}")
        return parameters.bins
    if not 1 <= parameters.bins <= MOST_BINS:
        raise Misuse(f"a histogram has 1 to {MOST_BINS} bins, got {parameters.bins}")
    first, last = ends(column)
    low = first if parameters.low is None else Fraction(parameters.low)
    high = last if parameters.high is None else Fraction(parameters.high)
    if low >= high:
        raise Misuse("a histogram needs low < high", hint="a column of one value needs low and high, or edges")
    exact = (low + (high - low) * i / parameters.bins for i in range(parameters.bins + 1))
    edges = tuple(edge.numerator if edge.denominator == 1 else float(edge) for edge in exact)
    if any(not left < right for left, right in pairwise(edges)):
        raise Misuse("the bins are narrower than binary64 can tell apart", hint="use fewer bins")
    return edges


def _labels(edges: Sequence[Number]) -> tuple[str, ...]:
    bins = [f"[{low}, {high})" for low, high in pairwise(edges)]
    return (*bins[:-1], bins[-1][:-1] + "]")


def _nothing(label: str) -> Estimate:
    return Estimate(label=label, value=0, n=0, units=0, interval=(0, 0))
