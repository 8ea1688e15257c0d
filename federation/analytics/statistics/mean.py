"""Mean of a column with its standard error, sqrt(variance / n) with the sample variance; one round."""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.cells import binary64, closed_estimate, is_closed, plain
from federation.analytics.estimates import Estimate, Estimates
from federation.analytics.moments import Asked, ColumnParameters, further, moments, over_cells, weight_in
from federation.analytics.plan import Plan
from federation.analytics.ranges import ends
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.privacy.suppression import mean_between
from federation.query.expression import Expression
from federation.query.query import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanResult(Estimates):
    """Means; `value` is None for a cell without rows."""


class Mean(Statistic[ColumnParameters, MeanResult]):
    """Mean of the available cases, per category if asked."""

    name = "mean"
    version = 1
    Parameters = ColumnParameters

    def rounds(self, parameters: ColumnParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: ColumnParameters, where: Expression | None, joint: Dataset) -> Plan[MeanResult]:
        return over_cells(MeanResult, self.name, parameters, where, joint, _estimate)


def _estimate(question: Asked, totals: Totals, cell: int, label: str, joint: Dataset) -> Estimate:
    most = further(question, totals, cell, joint)
    low, high = ends(question.column)
    withheld = totals.withheld[cell]
    if is_closed(totals, cell):
        return closed_estimate(label, plain((low, high)), withheld)
    found = moments(question, totals, cell)
    return Estimate(
        label=label,
        value=float(found.mean) if found.n else None,
        se=found.mean_se,
        n=found.n,
        units=found.units,
        weight=weight_in(question, found),
        interval=plain(mean_between(found.total, found.size, most, low, high)),
        withheld=withheld,
        encoding_error=binary64(found.first_error / found.size) if found.n else 0.0,
    )
