"""Tail probabilities and quantiles of the laws that tests refer to: normal, t, chi-square, F, beta, binomial.

Everything is computed in decimals of 40 digits and rounded to binary64 once, so a p-value has the same bits on every
machine and is right to the last digit but for ties, also where it is 1e-300; scipy is not needed. The incomplete gamma
and beta functions are the series and continued fractions of DLMF 8.11.4, 8.9.2 and 8.17.22, which take about sqrt(df)
steps: some 2 ms at a million degrees of freedom. Probabilities below 5e-324 are 0.0.

Refused: arguments that are not numbers (infinity is one), degrees of freedom that are not above zero, and
probabilities outside [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Final, TypeAlias

from federation.errors import Misuse
from federation.query.exact import ln_gamma

_DIGITS: Final = Context(prec=40, Emin=-999_999_999, Emax=999_999_999, traps=[])
_ENOUGH: Final = Decimal("1e-32")  # relative size of a term, or of a step, that no longer matters
_MOST_STEPS: Final = 3_000_000  # of a series or fraction: df of 10^12 and more
_CLOSE: Final = Decimal("1e-25")  # of the logarithm of a probability to what was asked
_MOST_TURNS: Final = 300  # of a search for a quantile; it takes about ten
_TINY: Final = Decimal("1e-100000")  # stands for zero in Lentz's method
_HALF: Final = Decimal("0.5")

Tails: TypeAlias = tuple[Decimal, Decimal]  # the probabilities of at most x, and of more


def normal_sf(z: float) -> float:
    """Return the probability that a standard normal exceeds `z`."""
    with localcontext(_DIGITS):
        beyond = _gamma(_HALF, Decimal(_number(z)) ** 2 / 2)[1] / 2
        return float(beyond if z > 0 else 1 - beyond)


def normal_cdf(z: float) -> float:
    """Return the probability that a standard normal is at most `z`."""
    return normal_sf(-z)


def normal_two_sided(z: float) -> float:
    """Return the probability that a standard normal exceeds |z| in magnitude."""
    with localcontext(_DIGITS):
        return float(_gamma(_HALF, Decimal(_number(z)) ** 2 / 2)[1])


def chi2_sf(x: float, df: float) -> float:
    """Return the probability that a chi-square variable with `df` degrees of freedom exceeds `x`."""
    with localcontext(_DIGITS):
        return float(_gamma(Decimal(_above_zero(df)) / 2, Decimal(max(_number(x), 0)) / 2)[1])


def t_sf(t: float, df: float) -> float:
    """Return the probability that Student's t with `df` degrees of freedom exceeds `t`; inf `df` is the normal."""
    with localcontext(_DIGITS):
        beyond = _t(Decimal(_number(t)), _above_zero(df))
        return float(beyond / 2 if t > 0 else 1 - beyond / 2)


def t_two_sided(t: float, df: float) -> float:
    """Return the probability that Student's t with `df` degrees of freedom exceeds |t|; inf `df` is the normal."""
    with localcontext(_DIGITS):
        return float(_t(Decimal(_number(t)), _above_zero(df)))


def f_sf(x: float, between: float, within: float) -> float:
    """Return the probability that an F variable with (`between`, `within`) degrees of freedom exceeds `x`."""
    with localcontext(_DIGITS):
        odds = Decimal(max(_number(x), 0)) * Decimal(_above_zero(between)) / Decimal(_above_zero(within))
        return float(_beta(odds, Decimal(between) / 2, Decimal(within) / 2)[1])


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) for x in [0, 1] and a, b > 0."""
    with localcontext(_DIGITS):
        share = Decimal(_probability(x))
        odds = share / (1 - share) if x < 1 else Decimal("Infinity")
        return float(_beta(odds, Decimal(_above_zero(a)), Decimal(_above_zero(b)))[0])


def binomial_sf(successes: int, trials: int, p: float) -> float:
    """Return the probability of more than `successes` successes in `trials` trials of probability `p`."""
    if not 0 <= successes < trials:
        return 1.0 if successes < 0 else 0.0
    return beta_cdf(p, successes + 1, trials - successes)


def binomial_cdf(successes: int, trials: int, p: float) -> float:
    """Return the probability of at most `successes` successes in `trials` trials of probability `p`."""
    if not 0 <= successes < trials:
        return 0.0 if successes < 0 else 1.0
    with localcontext(_DIGITS):
        share = Decimal(_probability(p))
        odds = share / (1 - share) if p < 1 else Decimal("Infinity")
        return float(_beta(odds, Decimal(successes + 1), Decimal(trials - successes))[1])


@lru_cache(maxsize=1_024)
def normal_ppf(p: float) -> float:
    """Return z such that a standard normal is at most z with probability `p`."""
    return _symmetric(p, lambda z: _gamma(_HALF, z**2 / 2)[1] / 2)


@lru_cache(maxsize=1_024)
def t_ppf(p: float, df: float) -> float:
    """Return t such that Student's t with `df` degrees of freedom is at most t with probability `p`."""
    _above_zero(df)
    return _symmetric(p, lambda t: _t(t, df) / 2)


@lru_cache(maxsize=1_024)
def chi2_ppf(p: float, df: float) -> float:
    """Return x such that a chi-square variable with `df` degrees of freedom is at most x with probability `p`."""
    half = Decimal(_above_zero(df)) / 2
    return float(_found(p, lambda x: _gamma(half, x / 2), Decimal(df)))


@lru_cache(maxsize=1_024)
def f_ppf(p: float, between: float, within: float) -> float:
    """Return x that an F variable of (`between`, `within`) degrees of freedom does not exceed with probability `p`."""
    above, below = Decimal(_above_zero(between)), Decimal(_above_zero(within))
    return float(_found(p, lambda x: _beta(x * above / below, above / 2, below / 2), Decimal(1)))


@lru_cache(maxsize=1_024)
def beta_ppf(p: float, a: float, b: float) -> float:
    """Return x in [0, 1] such that I_x(a, b) = `p`: the ends of Clopper and Pearson's interval for a share."""
    first, second = Decimal(_above_zero(a)), Decimal(_above_zero(b))
    with localcontext(_DIGITS):
        odds = _found(p, lambda odds: _beta(odds, first, second), first / second)
        return float(1 - 1 / (1 + odds))


def _t(t: Decimal, df: float) -> Decimal:
    """The probability of |T| > |t|."""
    if math.isinf(df):
        return _gamma(_HALF, t**2 / 2)[1]
    return _beta(t**2 / Decimal(df), _HALF, Decimal(df) / 2)[1]


def _gamma(a: Decimal, x: Decimal) -> Tails:
    """The regularised incomplete gamma functions P(a, x) and Q(a, x) of a > 0 and x >= 0."""
    if x.is_infinite() or not x:
        return (Decimal(1), Decimal(0)) if x else (Decimal(0), Decimal(1))
    front = (a * x.ln() - x - ln_gamma(a)).exp()
    if x > a + 1:
        over = front * _fraction(lambda i: (-i * (i - a), x + 2 * i + 1 - a), x + 1 - a)
        return 1 - over, over
    term = found = 1 / a
    for i in range(1, _MOST_STEPS):
        term *= x / (a + i)
        found += term
        if term <= found * _ENOUGH:
            break
    under = front * found
    return under, 1 - under


def _beta(odds: Decimal, a: Decimal, b: Decimal) -> Tails:
    """The regularised incomplete beta functions I_x(a, b) and I_{1-x}(b, a), x = odds / (1 + odds)."""
    if odds.is_infinite() or not odds:
        return (Decimal(1), Decimal(0)) if odds else (Decimal(0), Decimal(1))
    x, y = odds / (1 + odds), 1 / (1 + odds)
    front = (a * x.ln() + b * y.ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp()
    if x * (a + b + 2) <= a + 1:
        under = front * _beta_fraction(x, a, b) / a
        return under, 1 - under
    over = front * _beta_fraction(y, b, a) / b
    return 1 - over, over


def _beta_fraction(x: Decimal, a: Decimal, b: Decimal) -> Decimal:
    def step(i: int) -> tuple[Decimal, Decimal]:
        half = i // 2
        if i % 2:
            return -(a + half) * (a + b + half) * x / ((a + i - 1) * (a + i)), Decimal(1)
        return half * (b - half) * x / ((a + i - 1) * (a + i)), Decimal(1)

    return _fraction(step, Decimal(1))


def _fraction(step: Callable[[int], tuple[Decimal, Decimal]], first: Decimal) -> Decimal:
    """1 / (first + n1 / (d1 + n2 / (d2 + ...))) with (n, d) = step(i), by Lentz's method."""
    found = c = first
    d = Decimal(0)
    for i in range(1, _MOST_STEPS):
        above, below = step(i)
        d = 1 / (below + above * d or _TINY)
        c = below + above / c or _TINY
        change = c * d
        found *= change
        if abs(change - 1) <= _ENOUGH:
            break
    return 1 / found


def _symmetric(p: float, beyond: Callable[[Decimal], Decimal]) -> float:
    """The p-quantile of a law that is symmetric about 0, from the probability beyond a point above 0."""
    if _probability(p) == 0.5:
        return 0.0
    with localcontext(_DIGITS):
        share = Decimal(p) if p < 0.5 else 1 - Decimal(p)
        found = float(_root(beyond, share, Decimal(1), rises=False)) if share else math.inf
    return found if p > 0.5 else -found


def _found(p: float, tails: Callable[[Decimal], Tails], start: Decimal) -> Decimal:
    """The p-quantile of a law on [0, inf), from the tail that is the smaller one, whose digits are all known."""
    if _probability(p) in {0, 1}:
        return Decimal("Infinity") if p else Decimal(0)
    with localcontext(_DIGITS):
        if p <= 0.5:
            return _root(lambda x: tails(x)[0], Decimal(p), start, rises=True)
        return _root(lambda x: tails(x)[1], 1 - Decimal(p), start, rises=False)


def _root(tail: Callable[[Decimal], Decimal], share: Decimal, start: Decimal, *, rises: bool) -> Decimal:
    """Solve tail(x) = share for x > 0: a bracket by doubling, then false position (Illinois) on logarithms."""

    def over(at: Decimal) -> Decimal:
        found = tail(at.exp())
        gap = (found / share).ln() if found > 0 else Decimal(-1_000_000)
        return gap if rises else -gap

    low = high = start.ln()
    below = above = over(low)
    step = Decimal(1)
    while below > 0:
        high, above, low, step = low, below, low - step, 2 * step
        below = over(low)
    while above < 0:
        low, below, high, step = high, above, high + step, 2 * step
        above = over(high)
    side = 0
    for _ in range(_MOST_TURNS):
        if below == above:
            break
        at = low - below * (high - low) / (above - below)
        gap = over(at)
        if gap > 0:
            high, above, below, side = at, gap, below / 2 if side > 0 else below, 1
        else:
            low, below, above, side = at, gap, above / 2 if side < 0 else above, -1
        if abs(gap) <= _CLOSE:
            break
    return (high if abs(above) < abs(below) else low).exp()


def _number(value: float) -> float:
    if math.isnan(value):
        raise Misuse("a tail probability needs a number")
    return value


def _above_zero(value: float) -> float:
    if not value > 0:
        raise Misuse("degrees of freedom, and the shapes of a law, lie above zero")
    return value


def _probability(value: float) -> float:
    if not 0 <= value <= 1:
        raise Misuse("a probability lies between 0 and 1")
    return value
