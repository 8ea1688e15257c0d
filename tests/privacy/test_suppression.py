"""The intervals hold every truth that the withheld rows can make, and those of sums and means are the narrowest."""

from __future__ import annotations

import statistics
from collections import Counter
from fractions import Fraction
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.privacy import suppression
from federation.privacy.suppression import closes, mean_between, most_left_out, sum_between, variance_between

ends = st.tuples(st.integers(-4, 3), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@pytest.mark.parametrize(
    ("withheld", "parties", "closed"), [(0, 3, False), (1, 3, True), (1, 4, False), (2, 4, True), (97, 100, False)]
)
def test_a_cell_with_fewer_than_three_contributors_closes(withheld: int, parties: int, closed: bool) -> None:
    assert closes(withheld, parties) is closed


def test_a_party_that_withholds_has_at_most_k_minus_one() -> None:
    assert [most_left_out(f, k) for f, k in ((0, 10), (2, 10), (2, 1), (2, 0), (3, 2))] == [0, 18, 0, 0, 3]


def truths(known: list[int], left_out: int, low: int, high: int) -> list[list[int]]:
    """Return every pool that up to `left_out` rows with whole values in [low, high] can make of the known rows."""
    further = range(low, high + 1)
    return [[*known, *more] for m in range(left_out + 1) for more in combinations_with_replacement(further, m)]


def check(known: list[int], left_out: int, low: int, high: int, seen: Counter[str]) -> None:
    """Compare the three intervals with all truths."""
    pools = truths(known, left_out, low, high)
    total, rows = Fraction(sum(known)), len(known)
    lowest, highest = Fraction(low), Fraction(high)
    sums = [sum(pool) for pool in pools]
    assert sum_between(total, left_out, lowest, highest) == (min(sums), max(sums))
    means = [Fraction(sum(pool), len(pool)) for pool in pools if pool]
    between = mean_between(total, rows, left_out, lowest, highest)
    assert between == ((min(means), max(means)) if means else None)
    variances = [statistics.variance(map(Fraction, pool)) for pool in pools if len(pool) > 1]
    mean = total / rows if rows else lowest
    deviations = sum(((x - mean) ** 2 for x in known), Fraction(0))
    spread = variance_between(deviations, mean, rows, left_out, lowest, highest)
    assert (spread is None) == (not variances)
    if spread is not None:
        assert spread[0] <= min(variances) <= max(variances) <= spread[1]
        if left_out == 0:
            assert spread == (variances[0], variances[0])
        seen["tight" if spread[1] == max(variances) else "outer"] += 1


def test_every_truth_lies_in_its_interval() -> None:
    seen: Counter[str] = Counter()

    @given(ends, st.data())
    def property_holds(between: tuple[int, int], data: st.DataObject) -> None:
        low, high = between
        known = data.draw(st.lists(st.integers(low, high), max_size=5))
        check(known, data.draw(st.integers(0, 3)), low, high, seen)

    property_holds()
    assert seen["tight"] >= 5, seen
    assert seen["outer"] >= 5, seen


@pytest.mark.parametrize("name", ["sum_between", "mean_between", "variance_between"])
def test_an_interval_that_forgets_the_withheld_rows_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check([1, 2], 2, 0, 5, Counter())
    real = getattr(suppression, name)
    places = {"sum_between": 1, "mean_between": 2, "variance_between": 3}

    def forgetful(*arguments: object) -> object:
        changed = list(arguments)
        changed[places[name]] = 0
        return real(*changed)

    monkeypatch.setitem(globals(), name, forgetful)
    with pytest.raises(AssertionError):
        check([1, 2], 2, 0, 5, Counter())


def test_withheld_units_of_many_rows_leave_only_what_the_range_says() -> None:
    low, high = Fraction(-1), Fraction(4)
    assert sum_between(Fraction(7), None, low, high) == (None, None)
    assert sum_between(Fraction(7), None, Fraction(0), high) == (7, None)
    assert sum_between(Fraction(7), None, low, Fraction(0)) == (None, 7)
    assert mean_between(Fraction(7), 3, None, low, high) == (low, high)
    assert variance_between(Fraction(1), Fraction(2), 3, None, low, high) == (0, Fraction(75, 8))
