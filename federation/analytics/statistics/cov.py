"""Covariance matrix of several columns (n - 1 below the line), over complete cases; one round.

The same figures as numpy.cov; a weighted one is numpy.cov with fweights.
"""

from __future__ import annotations

from federation.analytics.cells import binary64, is_closed
from federation.analytics.estimates import Interval
from federation.analytics.matrices import (
    MatrixParameters,
    MatrixResult,
    Question,
    filled,
    interval_of,
    opened,
    over_groups,
    spans,
)
from federation.analytics.plan import Plan
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression
from federation.query.query import Totals


class Cov(Statistic[MatrixParameters, MatrixResult]):
    """Covariance matrix of the complete cases, per category if asked."""

    name = "cov"
    version = 1
    Parameters = MatrixParameters

    def rounds(self, parameters: MatrixParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: MatrixParameters, where: Expression | None, joint: Dataset) -> Plan[MatrixResult]:
        return over_groups("covariance", parameters, where, joint, _entries)


def _entries(
    question: Question, totals: Totals, cell: int, joint: Dataset
) -> tuple[list[list[float | None]], list[list[Interval]]]:
    of = spans(question, totals, cell, joint)
    known = None if is_closed(totals, cell) else opened(question, totals, cell)

    def entry(i: int, j: int) -> tuple[float | None, Interval]:
        value = None
        if known is not None and known.size > 1:
            value = binary64(known.products(i + 1, j + 1) / (known.size - 1))
        return value, interval_of(value, of, i, j)

    return filled(len(question.columns), entry)
