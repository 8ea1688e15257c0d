"""Skewness: the third central moment over the standard deviation cubed; two rounds.

g1 as scipy's skew, or G1 = g1 sqrt(n (n - 1)) / (n - 2) with bias=False, as pandas. D. N. Joanes, C. A. Gill, The
Statistician 47 (1998) 183-189.
"""

from __future__ import annotations

import math
from fractions import Fraction

from federation.analytics.moments import root
from federation.analytics.plan import Plan
from federation.analytics.power_moments import Powers, ShapeParameters, ShapeResult, numbers, shapes
from federation.analytics.spans import ANYTHING, Span
from federation.analytics.statistic import Statistic
from federation.analytics.weights import weight_of
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


class Skew(Statistic[ShapeParameters, ShapeResult]):
    """Skewness of the available cases, per category if asked."""

    name = "skew"
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
            m2, m3, _ = central
            if not m2 or (not parameters.bias and n <= 2):
                return None
            g1 = root(m3**2 / m2**3) * (1 if m3 >= 0 else -1)
            return g1 if parameters.bias else g1 * root(n * (n - 1)) / float(n - 2)

        def reach(powers: Powers) -> Span:
            m2, m3, _ = powers.central()
            found = m3 / (m2 * m2.root)
            n = powers.size
            if is_counted and n.low > 1 and n.high < math.inf:
                most = (n.high - 2) / math.sqrt(n.high - 1) if n.high > 2 else 0.0  # of any n numbers
                found = found.within(-most * (1 + 1e-12), most * (1 + 1e-12))
            if parameters.bias:
                return found
            return found * (n * (n - 1)).within(0, math.inf).root / (n - 2) if n.low > 2 else ANYTHING

        return shapes(self.name, parameters, where, joint, formula, reach, error)


def error(n: float) -> float | None:
    """Return the standard error of G1 in a sample of n of a normal law."""
    return math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3))) if n > 2 else None
