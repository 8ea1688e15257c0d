"""Excess kurtosis: the fourth central moment over the variance squared, less 3; two rounds, the same as `skew`.

g2 as scipy's kurtosis, or G2 with bias=False, as pandas. D. N. Joanes, C. A. Gill, The Statistician 47 (1998) 183-189.
"""

from __future__ import annotations

import math
from fractions import Fraction

from federation.analytics.cells import binary64
from federation.analytics.plan import Plan
from federation.analytics.power_moments import Powers, ShapeParameters, ShapeResult, numbers, shapes
from federation.analytics.spans import ANYTHING, Span
from federation.analytics.statistic import Statistic
from federation.analytics.statistics import skew
from federation.analytics.weights import weight_of
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


class Kurtosis(Statistic[ShapeParameters, ShapeResult]):
    """Excess kurtosis of the available cases, per category if asked."""

    name = "kurtosis"
    version = 1
    Parameters = ShapeParameters

    def rounds(self, parameters: ShapeParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 2

    def later_numbers(self, parameters: ShapeParameters, joint: Dataset) -> int:
        return numbers(parameters, joint)

    def plan(self, parameters: ShapeParameters, where: Expression | None, joint: Dataset) -> Plan[ShapeResult]:
        weight = weight_of(parameters.weights, joint)
        is_counted = weight is None or weight.whole

        def formula(n: Fraction, central: tuple[Fraction, Fraction, Fraction]) -> float | None:
            m2, _, m4 = central
            if not m2 or (not parameters.bias and n <= 3):
                return None
            g2 = m4 / m2**2 - 3
            return binary64(g2 if parameters.bias else (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6))

        def reach(powers: Powers) -> Span:
            m2, _, m4 = powers.central()
            n = powers.size
            found = (m4 / m2.squared).within(1, math.inf)
            if is_counted and n.low > 1 and n.high < math.inf:
                found = found.within(1, (n.high - 2 + 1 / (n.high - 1)) * (1 + 1e-12))  # of any n numbers
            g2 = found - 3
            if parameters.bias:
                return g2
            return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6) if n.low > 3 else ANYTHING

        return shapes(self.name, parameters, where, joint, formula, reach, _error)


def _error(n: float) -> float | None:
    first = skew.error(n)
    return None if first is None or n <= 3 else 2 * first * math.sqrt((n * n - 1) / ((n - 3) * (n + 5)))
