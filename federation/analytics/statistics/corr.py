"""Matrix of Pearson's correlations of several columns, over complete cases; one round, the same query as `cov`.

The same figures as numpy.corrcoef. K. Pearson, Proc. R. Soc. Lond. 58 (1895) 240-242.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from federation.analytics.cells import is_closed
from federation.analytics.estimates import Interval
from federation.analytics.matrices import (
    MatrixParameters,
    MatrixResult,
    Question,
    Sums,
    filled,
    interval_of,
    opened,
    over_groups,
    spans,
)
from federation.analytics.moments import root
from federation.analytics.plan import Plan
from federation.analytics.spans import Span
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression
from federation.query.query import Totals


class Corr(Statistic[MatrixParameters, MatrixResult]):
    """Correlation matrix of the complete cases, per category if asked."""

    name = "corr"
    version = 1
    Parameters = MatrixParameters

    def rounds(self, parameters: MatrixParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: MatrixParameters, where: Expression | None, joint: Dataset) -> Plan[MatrixResult]:
        return over_groups("correlation", parameters, where, joint, entries)


def entries(
    question: Question, totals: Totals, cell: int, joint: Dataset
) -> tuple[list[list[float | None]], list[list[Interval]]]:
    """Return the correlations of one cell, and where those of all rows lie."""
    of = correlations(spans(question, totals, cell, joint))
    known = None if is_closed(totals, cell) else opened(question, totals, cell)

    def entry(i: int, j: int) -> tuple[float | None, Interval]:
        value = None if known is None else correlation(known, i, j)
        return value, interval_of(value, of, i, j)

    return filled(len(question.columns), entry)


def correlation(known: Sums, i: int, j: int) -> float | None:
    """Return the correlation of two columns, within [-1, 1]; None for fewer than two rows or a constant column."""
    if known.size <= 1:
        return None
    together = known.products(i + 1, j + 1)
    spreads = known.products(i + 1, i + 1) * known.products(j + 1, j + 1)
    if spreads <= 0:
        return None
    return min(1.0, root(together**2 / spreads)) * (1 if together >= 0 else -1)


def correlations(of: Callable[[int, int], Span] | None) -> Callable[[int, int], Span] | None:
    """Return where correlations lie, from where covariances lie."""
    if of is None:
        return None

    def found(i: int, j: int) -> Span:
        below = (of(i, i).within(0, math.inf).root * of(j, j).within(0, math.inf).root).within(0, math.inf)
        return Span(1.0, 1.0) if i == j else (of(i, j) / below).within(-1, 1)

    return found
