"""Where Newton steps begin: each step that is saved is a round over all rows.

A family says which working response is fitted by least squares first. For a logit that fit is of the wrong size: if eta
is about normal over the rows, as a sum of many terms is, least squares find the direction, and two numbers fix the
rest: its centre a and its standard deviation t solve E expit(a + tZ) = mean of y and t E expit'(a + tZ) = standard
deviation of the fitted y (Stein's lemma; Brillinger, A Generalized Linear Model with Gaussian Regressor Variables,
1983). They are found by Newton steps from the closed form of MacKay (Neural Computation 4, 1992).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from federation.analytics.families import Binomial, Family
from federation.analytics.linear import Dependent
from federation.analytics.regression import Start, solved
from federation.analytics.standard import applied
from federation.query import exact

WIDEST: Final = 6.0  # standard deviation of eta to begin with
TURNS: Final = 4
_NODES: Final = tuple((i - 16) / 2 for i in range(33))  # of the normal integral by the trapezoid rule


def beginning(start: Start, family: Family, mean: Fraction) -> list[Fraction]:
    """Return coefficients of the design to begin with; `mean` is that of the response."""
    factor = solved(start)
    raw = [Fraction(0)] * len(start.columns)
    if isinstance(factor, Dependent):  # perhaps only in these standards: the first step will tell
        return _plus(start, raw, Fraction(family.mean_eta(mean)))
    step = [Fraction(value) for value in factor.quick([float(value) for value in start.right])]
    found = applied(start.rows, step)
    if not isinstance(family, Binomial) or start.constant is None or start.read.offset is not None:
        return found
    # The working response is 4 y - 2, so a quarter of its fit, and a half, is the fitted y.
    weights = start.total("weights")
    explained = sum((x * r for x, r in zip(step, start.right, strict=True)), Fraction(0)) / weights
    centre = 4 * mean - 2
    spread = math.sqrt(max(float(explained - centre * centre), 0.0)) / 4
    if not spread:
        return found
    middle, width = normal_logit(float(mean), spread)
    size = Fraction(width / spread)
    return _plus(start, [size / 4 * value for value in found], Fraction(middle) - size * mean + size / 2)


def normal_logit(mean: float, spread: float) -> tuple[float, float]:
    """Return (a, t) with E expit(a + tZ) = mean and t E expit'(a + tZ) = spread, t at most WIDEST; exactly alike."""
    level = exact.ln(mean / (1.0 - mean))
    variance = mean * (1.0 - mean)
    left = variance * variance - spread * spread * (math.pi / 8.0)
    t = WIDEST if left <= 0.0 else min(spread / math.sqrt(left), WIDEST)
    a = level * math.sqrt(1.0 + t * t * (math.pi / 8.0))
    for _ in range(TURNS):
        p, w, zw, v, zv = _moments(a, t)
        if t >= WIDEST:
            a -= (p - mean) / w
            continue
        # of (E p - mean, t E w - spread): derivatives by a and t, where w = p' and v = w'
        first, second = p - mean, t * w - spread
        by_a, by_t = t * v, w + t * zv
        determinant = w * by_t - zw * by_a
        if not abs(determinant) > 1e-12:
            break
        a -= (first * by_t - second * zw) / determinant
        t = min(max(t - (second * w - first * by_a) / determinant, t / 2.0), WIDEST)
    return a, t


def _moments(a: float, t: float) -> tuple[float, float, float, float, float]:
    """Return E p, E w, E Zw, E v and E Zv at a + tZ, for p = expit, w = p' and v = w'."""
    p = w = zw = v = zv = weight = 0.0
    for z in _NODES:
        density = exact.exp(-z * z / 2.0)
        chance = 1.0 / (1.0 + exact.exp(-(a + t * z)))
        slope = chance * (1.0 - chance)
        bend = slope * (1.0 - 2.0 * chance)
        weight += density
        p += density * chance
        w += density * slope
        zw += density * z * slope
        v += density * bend
        zv += density * z * bend
    return p / weight, w / weight, zw / weight, v / weight, zv / weight


def _plus(start: Start, coefficients: list[Fraction], constant: Fraction) -> list[Fraction]:
    """Add a constant to eta, if the model has one."""
    found = list(coefficients)
    for column, factor in (start.constant or {}).items():
        found[column] += factor * constant
    return found
