"""Lorenz curve: which share of a sum the poorest rows have, exact at the edges of the bins; one round, as `gini`.

C. Gini, Variabilita e mutabilita (1912); M. O. Lorenz, Publ. Am. Stat. Assoc. 9 (1905) 209-219; see
`analytics.inequality`.
"""

from __future__ import annotations

from federation.analytics.inequality import InequalityParameters, LorenzResult, curves
from federation.analytics.plan import Plan
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


class Lorenz(Statistic[InequalityParameters, LorenzResult]):
    """Lorenz curve of the available cases, per category if asked."""

    name = "lorenz"
    version = 1
    Parameters = InequalityParameters

    def rounds(self, parameters: InequalityParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: InequalityParameters, where: Expression | None, joint: Dataset) -> Plan[LorenzResult]:
        return curves(LorenzResult, parameters, where, joint)
