"""Arithmetic that has the same bits on every machine, for whatever decides a later query (DESIGN section 5).

Only Python integers, binary64 + - * / sqrt in written order, and exp, ln, lgamma through `decimal`, rounded once. No
BLAS, no LAPACK, no numpy reduction and no libm: those differ in the last bits between processors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final

from federation.errors import JobFailed, Misuse

_DIGITS: Final = Context(prec=40, Emin=-999_999, Emax=999_999, traps=[])
_WIDE: Final = Context(prec=80, Emin=-999_999, Emax=999_999, traps=[])  # where 1 + exp(x) would lose half its digits
_LEAST_EXP: Final = -746.0  # exp of less is 0 in binary64
_GREATEST_EXP: Final = 710.0  # exp of more overflows binary64

# B_2k / (2k (2k-1)) for k = 1..12 as (numerator, denominator): Stirling's series of ln gamma, DLMF 5.11.1.
_STIRLING: Final = (
    (1, 12),
    (-1, 360),
    (1, 1260),
    (-1, 1680),
    (1, 1188),
    (-691, 360360),
    (1, 156),
    (-3617, 122400),
    (43867, 244188),
    (-174611, 125400),
    (77683, 5796),
    (-236364091, 1506960),
)
_STIRLING_FROM: Final = 40  # with 12 terms the remainder at 40 is below 1e-36
_LN_ROOT_TAU: Final = Decimal("0.91893853320467274178032973640561763986139747363778341281715154")  # ln(2 pi) / 2


class NotPositiveDefinite(JobFailed):
    """A matrix that should have been symmetric positive definite is not, in binary64.

    Attributes:
        pivot: index of the column that depends on the columns before it.
    """

    code = "not_positive_definite"

    def __init__(self, pivot: int) -> None:
        super().__init__(
            f"the matrix is not positive definite: column {pivot} depends on the columns before it",
            hint="drop a column, or a category that does not occur",
        )
        self.pivot = pivot


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the sum of products, added from the first to the last. Raises Misuse if the lengths differ."""
    if len(left) != len(right):
        raise Misuse(f"dot needs equal lengths, got {len(left)} and {len(right)}")
    found = 0.0
    for a, b in zip(left, right, strict=True):
        found += a * b
    return found


def cholesky(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the lower triangle L with L L' = matrix, reading only the lower triangle of `matrix`.

    Args:
        matrix: n x n, symmetric.

    Raises:
        Misuse: not square.
        NotPositiveDefinite: a pivot is not above zero, or not finite.
    """
    size = len(matrix)
    if any(len(row) != size for row in matrix):
        raise Misuse("a matrix to factor is square")
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = float(matrix[i][j])
            for k in range(j):
                rest -= lower[i][k] * lower[j][k]
            if j < i:
                lower[i][j] = rest / lower[j][j]
            elif 0.0 < rest < math.inf:
                lower[i][i] = math.sqrt(rest)
            else:
                raise NotPositiveDefinite(i)
    return lower


def solve_spd(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return x with matrix x = right for a symmetric positive definite matrix, by plain Cholesky in written order.

    Args:
        matrix: n x n, symmetric; only the lower triangle is read.
        right: n numbers.

    Raises:
        Misuse: the sizes do not fit.
        NotPositiveDefinite: the factorisation breaks down.
    """
    if len(right) != len(matrix):
        raise Misuse(f"solve_spd needs as many numbers as rows, got {len(right)} and {len(matrix)}")
    return substituted(cholesky(matrix), right)


def substituted(lower: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return x with L L' x = right: forward, then backward substitution; for several right sides of one factor."""
    size = len(lower)
    forward = [0.0] * size
    for i in range(size):
        rest = float(right[i])
        for k in range(i):
            rest -= lower[i][k] * forward[k]
        forward[i] = rest / lower[i][i]
    back = [0.0] * size
    for i in reversed(range(size)):
        rest = forward[i]
        for k in range(i + 1, size):
            rest -= lower[k][i] * back[k]
        back[i] = rest / lower[i][i]
    return back


def inverse_spd(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the inverse of a symmetric positive definite matrix, column by column. Raises as `solve_spd`."""
    lower = cholesky(matrix)
    size = len(lower)
    units = [[float(i == j) for i in range(size)] for j in range(size)]
    return [list(row) for row in zip(*(substituted(lower, unit) for unit in units), strict=True)]


def exp(x: float) -> float:
    """Return e to the power x, correctly rounded but for ties at 40 digits; inf above 709.78, 0.0 far below."""
    if math.isnan(x):
        return math.nan
    if x > _GREATEST_EXP:
        return math.inf
    return 0.0 if x < _LEAST_EXP else float(_DIGITS.exp(Decimal(x)))


def ln(x: float) -> float:
    """Return the natural logarithm of a finite x > 0. Raises Misuse for any other x."""
    if not 0.0 < x < math.inf:
        raise Misuse("ln needs a finite number above zero")
    return float(_DIGITS.ln(Decimal(x)))


def softplus(x: float) -> float:
    """Return ln(1 + exp(x)) without cancellation; its asymptotes exp(x) and x beyond 80, equal to 34 digits there."""
    if math.isnan(x) or x == math.inf:
        return x
    if x < -80:
        return exp(x)
    if x > 80:
        return x
    return float(_WIDE.ln(_WIDE.add(Decimal(1), _WIDE.exp(Decimal(x)))))


def lgamma(x: float) -> float:
    """Return ln gamma(x) for a finite x > 0, by Stirling's series after a shift. Raises Misuse for any other x."""
    if not 0.0 < x < math.inf:
        raise Misuse("lgamma needs a finite number above zero")
    return float(ln_gamma(Decimal(x)))


def ln_gamma(x: Decimal) -> Decimal:
    """Return ln gamma(x) to about 36 digits, for a finite x > 0."""
    shifted, product = x, Decimal(1)
    while shifted < _STIRLING_FROM:
        product = _DIGITS.multiply(product, shifted)
        shifted = _DIGITS.add(shifted, 1)
    found = _DIGITS.multiply(_DIGITS.subtract(shifted, Decimal("0.5")), _DIGITS.ln(shifted))
    found = _DIGITS.add(_DIGITS.subtract(found, shifted), _LN_ROOT_TAU)
    power, square = shifted, _DIGITS.multiply(shifted, shifted)
    for numerator, denominator in _STIRLING:
        found = _DIGITS.add(found, _DIGITS.divide(Decimal(numerator), _DIGITS.multiply(Decimal(denominator), power)))
        power = _DIGITS.multiply(power, square)
    return _DIGITS.subtract(found, _DIGITS.ln(product))


def ratio(numerator: int, denominator: int) -> float:
    """Return numerator / denominator, correctly rounded. Raises Misuse if the denominator is 0 or it overflows."""
    if denominator == 0:
        raise Misuse("a ratio needs a denominator that is not zero")
    try:
        return numerator / denominator  # of two Python integers: correctly rounded on every platform
    except OverflowError:
        raise Misuse("a ratio is too large for a real number") from None


def unscaled(total: int, scale: int) -> float:
    """Return total / 2^scale, correctly rounded: the real sum that an opened integer stands for; any sign of scale."""
    return ratio(total, 1 << scale) if scale >= 0 else ratio(total << -scale, 1)
