"""Sum of a column, exact for whole numbers; its standard error is that of n independent draws, sqrt(n * variance)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import binary64, closed_estimate, is_closed, plain
from federation.analytics.estimates import Estimate, Estimates
from federation.analytics.moments import (
    Asked,
    ColumnParameters,
    further,
    moments,
    number,
    over_cells,
    root,
    weight_in,
)
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset, Kind
from federation.privacy.suppression import sum_between
from federation.query.expression import Expression
from federation.query.query import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class SumResult(Estimates):
    """Sums; `value` is an int for a column of whole numbers."""


class Sum(Statistic[ColumnParameters, SumResult]):
    """Sum of the available cases, per category if asked."""

    name = "sum"
    version = 1
    Parameters = ColumnParameters

    def rounds(self, parameters: ColumnParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: ColumnParameters, where: Expression | None, joint: Dataset) -> Plan[SumResult]:
        return over_cells(SumResult, self.name, parameters, where, joint, _estimate)


def _estimate(question: Asked, totals: Totals, cell: int, label: str, joint: Dataset) -> Estimate:
    most = further(question, totals, cell, joint)
    low, high = ends(question.column)
    withheld = totals.withheld[cell]
    if is_closed(totals, cell):
        nothing_known = withheld < totals.parties
        return closed_estimate(
            label, plain(sum_between(Fraction(0), None if nothing_known else most, low, high)), withheld
        )
    found = moments(question, totals, cell)
    whole = question.column.kind is Kind.INTEGER and (question.weight is None or question.weight.whole)
    value = number(found.total, whole)
    between = sum_between(found.total, most, low, high)
    return Estimate(
        label=label,
        value=value,
        se=None if found.variance is None else root(found.size * found.variance),
        n=found.n,
        units=found.units,
        weight=weight_in(question, found),
        interval=(value, value) if between == (found.total, found.total) else plain(between),
        withheld=withheld,
        encoding_error=binary64(found.first_error),
    )
