"""Sample variance of a column (n - 1 below the line), with its standard deviation, mean and exact sums; one round."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import binary64, closed_estimate, is_closed, plain
from federation.analytics.estimates import Estimate, Estimates, Number
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
from federation.analytics.statistic import Shown, Statistic
from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse
from federation.privacy.suppression import variance_between
from federation.query.expression import Expression
from federation.query.query import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Estimate):
    """One cell: `value` is the sample variance, None for fewer than two rows; `se` is None, see `mean_se`.

    Attributes:
        mean: mean of the rows; None without rows.
        mean_se: standard error of the mean, sqrt(variance / n).
        std: sqrt(variance).
        sum: sum of x; an int for whole numbers.
        sum_of_squares: sum of x^2; an int for whole numbers whose squares stay below 2^62.
    """

    mean: float | None
    mean_se: float | None
    std: float | None
    sum: Number
    sum_of_squares: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class VarResult(Estimates):
    """Variances; every opened cell is a `Spread`."""

    @property
    def spread(self) -> Spread:
        """The one cell of a result without `by`, with mean, std and sums."""
        cell = self.only
        if not isinstance(cell, Spread):
            raise Misuse("the cell is closed")
        return cell

    @property
    def var(self) -> float | None:
        """The sample variance of a result without `by`."""
        value = self.spread.value
        return None if value is None else float(value)

    @property
    def std(self) -> float | None:
        """The sample standard deviation of a result without `by`."""
        return self.spread.std

    @property
    def mean(self) -> float | None:
        """The mean of a result without `by`; its standard error is `mean_se`."""
        return self.spread.mean

    @property
    def mean_se(self) -> float | None:
        """Standard error of the mean of a result without `by`."""
        return self.spread.mean_se

    @property
    def sum(self) -> Number:
        """Sum of x of a result without `by`."""
        return self.spread.sum

    @property
    def sum_of_squares(self) -> Number:
        """Sum of x^2 of a result without `by`."""
        return self.spread.sum_of_squares

    def headings(self) -> tuple[str, ...]:
        return ("var", "std", "mean", "mean_se")

    def shown(self, cell: Estimate) -> tuple[Shown, ...]:
        if not isinstance(cell, Spread):
            return (None, None, None, None)
        return (cell.value, cell.std, cell.mean, cell.mean_se)


class Var(Statistic[ColumnParameters, VarResult]):
    """Sample variance of the available cases, per category if asked."""

    name = "var"
    version = 1
    Parameters = ColumnParameters

    def rounds(self, parameters: ColumnParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: ColumnParameters, where: Expression | None, joint: Dataset) -> Plan[VarResult]:
        return over_cells(VarResult, self.name, parameters, where, joint, _estimate)


def _estimate(question: Asked, totals: Totals, cell: int, label: str, joint: Dataset) -> Estimate:
    most = further(question, totals, cell, joint)
    whole_weight = question.weight is None or question.weight.whole
    low, high = ends(question.column)
    withheld = totals.withheld[cell]
    if is_closed(totals, cell):
        nothing = Fraction(0)
        return closed_estimate(
            label, plain(variance_between(nothing, nothing, 0, None, low, high, whole=whole_weight)), withheld
        )
    found = moments(question, totals, cell)
    whole = question.column.kind is Kind.INTEGER and whole_weight
    mean = found.mean if found.n else low
    deviations = found.deviations if found.n else Fraction(0)
    variance = found.variance
    return Spread(
        label=label,
        value=None if variance is None else binary64(variance),
        n=found.n,
        units=found.units,
        weight=weight_in(question, found),
        interval=plain(variance_between(deviations, mean, found.size, most, low, high, whole=whole_weight)),
        withheld=withheld,
        encoding_error=binary64(found.deviations_error / (found.size - 1)) if found.size > 1 else 0.0,
        mean=float(found.mean) if found.n else None,
        mean_se=found.mean_se,
        std=None if variance is None else root(variance),
        sum=number(found.total, whole),
        sum_of_squares=number(found.squares, whole and not question.row_errors[1]),
    )
