"""Which cells stay closed, and what the withheld ones leave unknown.

A party withholds a cell in which it has fewer than k units. If fewer than three parties are left, the cell stays
closed: two contributors could subtract their own share and read the other's. Around an opened cell that f parties
withheld, the truth of all rows lies in an interval: each of the f holds 0 to k - 1 units, each with values in the
declared range. Empty and small look alike, so the lower end is always "none".

Everything is exact (ints and Fractions): the intervals are proved, not estimated. Nothing here sees a row.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

Size: TypeAlias = int | Fraction  # rows, or the sum of their weights

LEAST_CONTRIBUTORS = 3  # with two, each knows the other's share by subtraction (DESIGN section 2)


def closes(withheld: int, parties: int) -> bool:
    """Return whether a cell that `withheld` of `parties` parties withhold has too few contributors to open."""
    return parties - withheld < LEAST_CONTRIBUTORS


def most_left_out(withheld: int, k: int) -> int:
    """Return the most units that `withheld` parties can hold in a cell which they withhold below `k`; 0 for k <= 1."""
    return withheld * max(k - 1, 0)


def sum_between(
    total: Fraction, left_out: Size | None, low: Fraction, high: Fraction
) -> tuple[Fraction | None, Fraction | None]:
    """Return the least and the greatest sum when up to `left_out` further rows have values in [low, high].

    A count is the sum of ones: `low = high = 1`. `left_out` None means that the number of further rows has no bound;
    an end that has none is None. With weights, rows and left_out are sums of weights, here and below.
    """
    if left_out is None:
        return (total if low >= 0 else None), (total if high <= 0 else None)
    return total + left_out * min(low, Fraction(0)), total + left_out * max(high, Fraction(0))


def mean_between(
    total: Fraction, rows: Size, left_out: Size | None, low: Fraction, high: Fraction
) -> tuple[Fraction, Fraction] | None:
    """Return the least and the greatest mean when up to `left_out` rows in [low, high] join `rows` rows of sum `total`.

    The extremes are reached with all of them at one end of the range. None when there can be no row at all.
    """
    if rows == 0 or left_out is None:
        return None if rows == left_out == 0 else (low, high)
    return (total + left_out * low) / (rows + left_out), (total + left_out * high) / (rows + left_out)


def variance_between(
    deviations: Fraction,
    mean: Fraction,
    rows: Size,
    left_out: Size | None,
    low: Fraction,
    high: Fraction,
    *,
    whole: bool = True,
) -> tuple[Fraction, Fraction | None] | None:
    """Return an interval that holds the sample variance when up to `left_out` rows in [low, high] join `rows` rows.

    `deviations` is the sum of (x - mean)^2 over the `rows`. The lower end is reached with all further rows at the
    mean. The upper end is a bound, not always reached: deviations about the joint mean are at most those about the
    old one, and no sample of N values in a range of width w has a variance above w^2/4 * N/(N-1) (Popoviciu). None
    when there can be no two rows. Weights that are no whole numbers (`whole` False) may come to little more than one
    row, and then the variance has no upper end.
    """
    if left_out is not None and (rows + left_out < 2 if whole else rows + left_out <= 1):
        return None
    if not whole and rows <= 1:
        return Fraction(0), None
    fewest = Fraction(max(rows, 2) if whole else rows)
    widest = (high - low) ** 2 / 4 * fewest / (fewest - 1)
    if rows < (2 if whole else fewest) or left_out is None:
        return Fraction(0), widest
    farthest = max(high - mean, mean - low) ** 2
    least = deviations / (rows + left_out - 1)
    greatest = max(deviations / (rows - 1), (deviations + left_out * farthest) / (rows + left_out - 1))
    return least, max(least, min(greatest, widest))
