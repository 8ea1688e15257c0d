"""Sample standard deviation of a column: the square root of `var`, asked by the same query; one round."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from federation.analytics.estimates import Estimate, Estimates
from federation.analytics.moments import ColumnParameters
from federation.analytics.plan import Plan
from federation.analytics.statistic import Statistic
from federation.analytics.statistics.var import Spread, Var
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class StdResult(Estimates):
    """Standard deviations; `value` is None for a cell of fewer than two rows."""


class Std(Statistic[ColumnParameters, StdResult]):
    """Sample standard deviation of the available cases, per category if asked."""

    name = "std"
    version = 1
    Parameters = ColumnParameters

    def rounds(self, parameters: ColumnParameters, joint: Dataset) -> int:
        return Var().rounds(parameters, joint)

    def plan(self, parameters: ColumnParameters, where: Expression | None, joint: Dataset) -> Plan[StdResult]:
        spreads = yield from Var().plan(parameters, where, joint)
        return StdResult(
            statistic=self.name,
            column=spreads.column,
            by=spreads.by,
            estimates=tuple(_rooted(cell) for cell in spreads.estimates),
            left_out=spreads.left_out,
            parties=spreads.parties,
            k=spreads.k,
            weights=spreads.weights,
        )


def _rooted(cell: Estimate) -> Estimate:
    low, high = (None if end is None else math.sqrt(end) for end in cell.interval)
    if not isinstance(cell, Spread):
        return replace(cell, interval=(low, high))
    error = math.sqrt(cell.encoding_error)  # |sqrt a - sqrt b| <= sqrt|a - b|, and <= |a - b| / sqrt a
    return Estimate(
        label=cell.label,
        value=cell.std,
        n=cell.n,
        units=cell.units,
        weight=cell.weight,
        interval=(low, high),
        withheld=cell.withheld,
        encoding_error=min(error, cell.encoding_error / cell.std) if cell.std else error,
    )
