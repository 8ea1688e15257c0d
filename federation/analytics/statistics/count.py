"""Number of rows, or of rows in which a column has a value, or the sum of their weights: one round, exact."""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.cells import counted, left_out, require_an_open_cell, unit
from federation.analytics.estimates import Estimate, Estimates
from federation.analytics.groups import By, axes, labels
from federation.analytics.plan import Plan
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Shown, Statistic
from federation.analytics.weights import among, weight_of
from federation.domain.catalogue import Dataset
from federation.query.expression import Col, Const, Expression
from federation.query.query import SumQuery, shape


@dataclass(frozen=True, slots=True, kw_only=True)
class CountParameters:
    """What to count.

    Attributes:
        column: a column of numbers whose rows with a value are counted; None counts all rows.
        by: a category column, or several, for one count per category or combination.
        weights: a column of weights; their sum is counted, not rows.
        dropna: False for one more group, of rows without a value of `by`.
    """

    column: str | None = None
    by: By = None
    weights: str | None = None
    dropna: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CountResult(Estimates):
    """Counts; `value` is an int, or the sum of weights.

    `units` are distinct units where k protects units that may have several rows.
    """

    def headings(self) -> tuple[str, ...]:
        return ("units",)

    def shown(self, cell: Estimate) -> tuple[Shown, ...]:
        return (cell.units,)


class Count(Statistic[CountParameters, CountResult]):
    """Rows, per category if asked."""

    name = "count"
    version = 1
    Parameters = CountParameters

    def rounds(self, parameters: CountParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: CountParameters, where: Expression | None, joint: Dataset) -> Plan[CountResult]:
        per, weight = unit(joint), weight_of(parameters.weights, joint)
        terms: tuple[Expression, ...] = () if per is None else (Const(1),)
        if parameters.column is not None:
            # To the power 0 a value is 1: the term uses the column, so that rows without a value are left out and
            # counted.
            terms = (Col(numeric(parameters.column, joint).name) ** 0,)
        query = SumQuery(
            dataset=joint.name,
            where=among(weight, where),
            per=per,
            group_by=axes(parameters.by, joint, dropna=parameters.dropna),
            terms=terms if weight is None else (*terms, weight.of),
        )
        scale = shape(query, joint).scales[0] if terms else 0
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        cells = enumerate(labels(parameters.by, joint, dropna=parameters.dropna))
        return CountResult(
            statistic=self.name,
            column=parameters.column,
            by=parameters.by,
            estimates=tuple(
                counted(query, totals, cell, label, joint, scale=scale, weight=weight) for cell, label in cells
            ),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            weights=parameters.weights,
        )
