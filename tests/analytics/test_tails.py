"""Tail probabilities and quantiles equal scipy's to 1e-12, and closed forms where scipy itself is less exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from federation.analytics import tails
from federation.errors import Misuse

FREEDOM = (0.3, 1, 2, 3.7, 10, 99.5, 1_000, 1e5, 1e6)
SHARES = (1e-10, 0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 1 - 1e-12)
LEAST = 1e-290  # below it scipy's densities underflow here and there


def near(found: float, expected: float, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("z", [-30, -8, -1, -1e-5, 0, 1e-9, 0.3, 1.96, 5, 20, 37])
def test_the_normal_is_scipys(z: float) -> None:
    near(tails.normal_sf(z), stats.norm.sf(z))
    near(tails.normal_cdf(z), stats.norm.cdf(z))
    near(tails.normal_two_sided(z), 2 * stats.norm.sf(abs(z)))


@pytest.mark.parametrize("df", FREEDOM)
def test_chi_square_and_t_are_scipys(df: float) -> None:
    for x in (1e-8, 0.1, 1, 5, 30, df / 2, df, 1.1 * df, 1.3 * df, df + 600):
        if stats.chi2.sf(x, df) > LEAST:
            near(tails.chi2_sf(x, df), stats.chi2.sf(x, df))
    for t in (-40, -3, -0.7, 0.0, 0.5, 2, 5, 37, 1e3):
        if stats.t.sf(abs(t), df) > LEAST:
            near(tails.t_two_sided(t, df), 2 * stats.t.sf(abs(t), df))
            near(tails.t_sf(t, df), stats.t.sf(t, df))


@pytest.mark.parametrize("between", [1, 2, 3, 10, 40.5])
@pytest.mark.parametrize("within", [1, 4.5, 30, 1_000])
def test_f_is_scipys(between: float, within: float) -> None:
    for x in (1e-4, 0.5, 1, 1.1, 3, 50):
        near(tails.f_sf(x, between, within), stats.f.sf(x, between, within))


@pytest.mark.parametrize("p", SHARES)
def test_quantiles_are_scipys(p: float) -> None:
    near(tails.normal_ppf(p), stats.norm.ppf(p))
    for df in FREEDOM[1:]:
        near(tails.t_ppf(p, df), stats.t.ppf(p, df))
        near(tails.chi2_ppf(p, df), stats.chi2.ppf(p, df))
        near(tails.f_ppf(p, df, 12.5), stats.f.ppf(p, df, 12.5))
        near(tails.beta_ppf(p, df, 3), stats.beta.ppf(p, df, 3))


@pytest.mark.parametrize("p", [0.0, 1e-5, 0.1, 0.5, 0.99, 1.0])
def test_the_binomial_is_scipys(p: float) -> None:
    for successes in (-1, 0, 1, 10, 50, 99, 100):
        near(tails.binomial_sf(successes, 100, p), stats.binom.sf(successes, 100, p))
        near(tails.binomial_cdf(successes, 100, p), stats.binom.cdf(successes, 100, p))


def test_closed_forms_hold_to_the_last_digits() -> None:
    for t in (-1e-6, 1e-9, 0.3, 7.0):
        near(tails.t_sf(t, 1), 0.5 - math.atan(t) / math.pi, 1e-15)  # Cauchy; scipy 1.17 is off by 1e-11 at 1e-6
    for x in (0.01, 1, 50, 1400):
        near(tails.chi2_sf(x, 2), math.exp(-x / 2), 1e-14)
        near(tails.f_sf(x, 2, 6), (1 + x / 3) ** -3, 1e-14)  # (1 + 2 x / d)^(-d / 2)
    near(tails.beta_cdf(0.25, 3, 1), 0.25**3, 1e-15)


def test_quantiles_and_tails_undo_each_other() -> None:
    for p in SHARES:
        near(tails.normal_cdf(tails.normal_ppf(p)), p, 1e-13)
        near(1 - tails.chi2_sf(tails.chi2_ppf(p, 7), 7), p, 1e-5)
        near(1 - tails.t_sf(tails.t_ppf(p, 0.7), 0.7), p, 1e-5)


def test_the_ends_of_the_scale_are_the_ends_of_probability() -> None:
    assert (tails.normal_sf(math.inf), tails.normal_sf(-math.inf), tails.normal_two_sided(-math.inf)) == (0, 1, 0)
    assert (tails.t_sf(math.inf, 3), tails.t_two_sided(0, 3), tails.chi2_sf(math.inf, 3)) == (0, 1, 0)
    assert (tails.chi2_sf(0, 3), tails.chi2_sf(-1, 3), tails.f_sf(0, 2, 3), tails.f_sf(math.inf, 2, 3)) == (1, 1, 1, 0)
    assert (tails.normal_ppf(0), tails.normal_ppf(1), tails.t_ppf(0.5, 3)) == (-math.inf, math.inf, 0)
    assert (tails.chi2_ppf(0, 3), tails.chi2_ppf(1, 3), tails.beta_ppf(0, 1, 2), tails.beta_ppf(1, 1, 2)) == (
        0,
        math.inf,
        0,
        1,
    )
    assert tails.t_two_sided(1.7, math.inf) == tails.normal_two_sided(1.7)
    assert tails.normal_sf(39) == 0 < tails.normal_sf(38)


@pytest.mark.parametrize(
    "asked",
    [
        lambda: tails.normal_sf(math.nan),
        lambda: tails.t_sf(1, 0),
        lambda: tails.chi2_sf(1, -2),
        lambda: tails.chi2_sf(1, math.nan),
        lambda: tails.f_sf(1, 1, 0),
        lambda: tails.normal_ppf(1.5),
        lambda: tails.beta_cdf(-0.1, 1, 1),
        lambda: tails.beta_ppf(0.5, 0, 1),
        lambda: tails.t_ppf(math.nan, 3),
    ],
)
def test_what_is_no_argument_is_refused(asked: Callable[[], float]) -> None:
    with pytest.raises(Misuse):
        asked()
