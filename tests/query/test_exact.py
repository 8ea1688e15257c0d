"""What decides a later query is the same on every processor, to the last bit."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from federation.errors import JobFailed, Misuse
from federation.query import exact

SOLVED = ["0x1.3eae9273fda82p-4", "0x1.16d8c0257df32p-1", "0x1.710fd122901c2p+0"]  # plain Cholesky in written order
RNG = np.random.default_rng(7)


def spd(size: int) -> npt.NDArray[np.float64]:
    basis = RNG.normal(size=(size + 3, size))
    return np.asarray(basis.T @ basis + np.eye(size))


@pytest.mark.parametrize("size", [1, 2, 3, 11, 25])
def test_solve_agrees_with_lapack(size: int) -> None:
    matrix, right = spd(size), RNG.normal(size=size)
    found = exact.solve_spd(matrix.tolist(), right.tolist())
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(exact.inverse_spd(matrix.tolist()), np.linalg.inv(matrix), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(exact.cholesky(matrix.tolist()), np.linalg.cholesky(matrix), rtol=1e-12, atol=1e-13)


def test_solve_has_the_same_bits_everywhere() -> None:
    matrix = [[4.0, 1.0, 0.1], [1.0, 3.0, 0.2], [0.1, 0.2, 2.0]]
    assert [x.hex() for x in exact.solve_spd(matrix, [1.0, 2.0, 3.0])] == SOLVED
    assert exact.dot([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]).hex() == (0.1 * 0.4 + 0.2 * 0.5 + 0.3 * 0.6).hex()
    assert exact.dot([1e16, 1.0, -1e16], [1.0, 1.0, 1.0]) == 0.0  # the written order, not a clever one
    assert exact.dot([], []) == 0.0


def test_a_matrix_that_is_not_positive_definite_is_named_by_its_column() -> None:
    for matrix, pivot in (
        ([[0.0]], 0),
        ([[1.0, 1.0], [1.0, 1.0]], 1),
        ([[1.0, 2.0], [2.0, 1.0]], 1),
        ([[math.nan]], 0),
        ([[math.inf]], 0),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 2.0]], 2),
    ):
        with pytest.raises(exact.NotPositiveDefinite) as caught:
            exact.solve_spd(matrix, [0.0] * len(matrix))
        assert caught.value.pivot == pivot
        assert isinstance(caught.value, JobFailed)


def test_sizes_that_do_not_fit_are_refused() -> None:
    for attempt in (
        lambda: exact.dot([1.0], []),
        lambda: exact.cholesky([[1.0, 2.0]]),
        lambda: exact.solve_spd([[1.0]], [1.0, 2.0]),
    ):
        with pytest.raises(Misuse):
            attempt()


@pytest.mark.parametrize(
    ("function", "x", "bits"),
    [
        ("exp", 1.0, "0x1.5bf0a8b145769p+1"),
        ("exp", -0.5, "0x1.368b2fc6f960ap-1"),
        ("exp", 700.0, None),
        ("exp", 1e-300, "0x1.0000000000000p+0"),
        ("ln", 2.0, "0x1.62e42fefa39efp-1"),
        ("ln", 10.0, "0x1.26bb1bbb55516p+1"),
        ("ln", 5e-324, "-0x1.74385446d71c3p+9"),
        ("ln", 1.0, "0x0.0p+0"),
        ("lgamma", 0.5, "0x1.250d048e7a1bdp-1"),
        ("lgamma", 3.0, "0x1.62e42fefa39efp-1"),
        ("softplus", 0.0, "0x1.62e42fefa39efp-1"),
    ],
)
def test_functions_have_the_bits_of_the_true_value(function: str, x: float, bits: str | None) -> None:
    found = getattr(exact, function)(x)
    if bits is None:
        bits = float(Context(prec=60).exp(Decimal(x))).hex()
    assert found.hex() == bits


def test_functions_agree_with_libraries_over_their_whole_range() -> None:
    endings: Counter[str] = Counter()

    @settings(max_examples=300, derandomize=True)
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def check(x: float) -> None:
        known: dict[str, Any] = {"exp": np.exp, "softplus": lambda v: np.logaddexp(0, v)}
        if x > 0:
            known["ln"] = np.log
        if x > 1e-300:  # scipy says inf below
            known["lgamma"] = special.gammaln
        for name, library in known.items():
            with np.errstate(over="ignore"):
                wanted = float(library(x))
            found = getattr(exact, name)(x)
            endings[f"{name} {'finite' if math.isfinite(found) else 'infinite'}"] += 1
            # The library's gammaln loses digits beside its zeros at 1 and 2 (1.5e-12 relative at 0.99999, where a
            # series with 60 digits has ours); there the error is measured against the slope, not against the zero.
            near = 1e-14 if name == "lgamma" and 0.5 < x < 2.5 else 1e-36
            assert found == wanted or math.isclose(found, wanted, rel_tol=1e-12, abs_tol=near), (name, x)

    check()
    assert endings["exp finite"] >= 100
    assert endings["exp infinite"] >= 20
    assert endings["ln finite"] >= 50
    assert endings["lgamma finite"] >= 50


def test_ends_of_the_range_are_what_binary64_says() -> None:
    assert exact.exp(709.782712893384) < math.inf
    assert exact.exp(709.782712893385) == math.inf
    assert exact.exp(-745.2) == 0.0
    assert exact.exp(-745.1) == 5e-324
    assert exact.exp(-math.inf) == 0.0
    assert exact.exp(math.inf) == math.inf
    assert math.isnan(exact.exp(math.nan))
    assert math.isnan(exact.softplus(math.nan))
    assert exact.softplus(math.inf) == math.inf
    assert exact.softplus(-math.inf) == 0.0
    for x in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(Misuse):
            exact.ln(x)
        with pytest.raises(Misuse):
            exact.lgamma(x)


@settings(max_examples=200, derandomize=True)
@given(st.integers(-(2**130), 2**130), st.integers(-(2**130), 2**130).filter(bool), st.integers(-900, 60))
def test_ratios_are_correctly_rounded(numerator: int, denominator: int, scale: int) -> None:
    assert exact.ratio(numerator, denominator) == float(Fraction(numerator, denominator))
    try:
        wanted = float(Fraction(numerator) / Fraction(2) ** scale)
    except OverflowError:
        wanted = math.inf
    if math.isfinite(wanted):
        assert exact.unscaled(numerator, scale) == wanted


def test_a_planted_double_rounding_is_seen() -> None:
    numerator, denominator = 2**53 + 1, 2**53 + 3  # neither fits binary64
    assert exact.ratio(numerator, denominator) == float(Fraction(numerator, denominator))
    assert float(numerator) / float(denominator) != exact.ratio(numerator, denominator)


def test_a_ratio_without_a_value_is_refused() -> None:
    for attempt in (lambda: exact.ratio(1, 0), lambda: exact.ratio(10**400, 1), lambda: exact.unscaled(1, -1100)):
        with pytest.raises(Misuse):
            attempt()


def test_nothing_here_asks_libm(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> float:
        raise AssertionError("libm was asked")

    before = [exact.exp(0.3), exact.ln(0.3), exact.lgamma(0.3), exact.softplus(0.3)]
    for name in ("exp", "log", "log1p", "expm1", "lgamma", "gamma", "pow", "log2", "fsum", "hypot"):
        monkeypatch.setattr(math, name, forbidden)
    assert [exact.exp(0.3), exact.ln(0.3), exact.lgamma(0.3), exact.softplus(0.3)] == before
    exact.solve_spd([[2.0]], [1.0])
