"""Gini coefficient: mean difference of two rows over twice the mean, from rows and sums in bins; one round.

C. Gini, Variabilita e mutabilita (1912); M. O. Lorenz, Publ. Am. Stat. Assoc. 9 (1905) 209-219; see
`analytics.inequality`.
"""

from __future__ import annotations

from federation.analytics.inequality import GiniResult, InequalityParameters, curves
from federation.analytics.plan import Plan
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


class Gini(Statistic[InequalityParameters, GiniResult]):
    """Gini coefficient of the available cases, per category if asked."""

    name = "gini"
    version = 1
    Parameters = InequalityParameters

    def rounds(self, parameters: InequalityParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: InequalityParameters, where: Expression | None, joint: Dataset) -> Plan[GiniResult]:
        return curves(GiniResult, parameters, where, joint)
