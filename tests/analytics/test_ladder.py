"""What bins prove about ranks: numpy's rank, and brackets equal to what every filling of withheld bins gives."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.analytics import ladder
from federation.analytics.ladder import NOTHING, Rows, joined, partition, proved, rank, shares, told

QS = (0.0, 0.07, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0, 1 / 3)


def ranks_are_numpys() -> None:
    for n in range(1, 400):
        places = np.arange(1, n + 1)
        for q in QS:
            assert rank(n, q) == np.quantile(places, q, method="inverted_cdf"), (n, q)


def test_a_rank_is_numpys_also_where_the_share_has_no_binary_fraction() -> None:
    ranks_are_numpys()


@pytest.mark.parametrize("fault", [lambda n, q: max(int(n * q), 1), lambda n, q: min(int(n * q) + 1, n)])
def test_a_rank_that_is_rounded_otherwise_would_be_seen(fault: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "rank", fault)
    with pytest.raises(AssertionError):
        ranks_are_numpys()


cell = st.tuples(st.integers(0, 4), st.integers(0, 2)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))


def hull(cells: list[Rows], q: float) -> tuple[int, int] | None:
    """The bins that the quantile reaches over every filling of the bins, None if there may be no row at all."""
    reached: list[int] = []
    for filling in itertools.product(*(range(least, (most or 0) + 1) for least, most in cells)):
        if not sum(filling):
            return None
        rows = np.repeat(np.arange(len(cells)), filling)
        reached.append(int(np.quantile(rows, q, method="inverted_cdf")))
    return min(reached), max(reached)


def check(cells: list[Rows], q: float, seen: Counter[str]) -> None:
    wanted = hull(cells, q)
    found = partition(range(len(cells) + 1), cells)
    left, right = proved(joined(found, found), q)
    if wanted is None:
        seen["perhaps nobody"] += 1
        return
    assert (left, right) == (wanted[0], wanted[1] + 1), "neither too narrow nor too wide"
    at = told(joined(found, found), q)
    if at is not None:
        assert left <= at[0] < at[1] <= right
        assert 1 <= at[2] <= at[3]
    seen["one bin" if right - left == 1 else "several bins"] += 1


def test_a_bracket_is_what_every_filling_of_the_withheld_bins_gives() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(st.lists(cell, min_size=1, max_size=5), st.sampled_from(QS))
    def holds(cells: list[Rows], q: float) -> None:
        check(cells, q, seen)

    holds()
    for ending in ("one bin", "several bins", "perhaps nobody"):
        assert seen[ending] >= 5, seen


def test_withheld_bins_that_are_ignored_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    cells: list[Rows] = [(3, 3), (2, 6), (3, 3)]
    check(cells, 0.7, Counter())
    real = ladder._cumulated
    monkeypatch.setattr(ladder, "_cumulated", lambda cells: real([(least, least) for least, _ in cells]))
    with pytest.raises(AssertionError):
        check(cells, 0.7, Counter())


@given(st.lists(cell, min_size=2, max_size=4), st.integers(1, 3), st.sampled_from(QS))
def test_a_second_partition_of_the_same_rows_only_narrows(cells: list[Rows], cut: int, q: float) -> None:
    """A coarser partition that withholds nothing bounds the bins of the finer one; every true filling stays inside."""
    cut = min(cut, len(cells) - 1)
    filling = [least for least, _ in cells]
    if not sum(filling):
        return
    fine = partition(range(len(cells) + 1), cells)
    left, right = sum(filling[:cut]), sum(filling[cut:])
    coarse = partition((0, cut, len(cells)), [(left, left), (right, right)])
    alone, both = proved(joined(fine, fine), q), proved(joined(fine, coarse), q)
    truth = int(np.quantile(np.repeat(np.arange(len(cells)), filling), q, method="inverted_cdf"))
    assert alone[0] <= both[0] <= truth < both[1] <= alone[1]
    assert both[1] - both[0] == 1, "the coarse one told that nobody is withheld"


def test_a_closed_bin_has_no_bound_unless_another_partition_gives_one() -> None:
    fine = partition((0, 1, 2), [(5, 5), (0, None)])
    assert proved(joined(fine, fine), 0.5) == (0, 2)
    assert shares(fine[1]) == (1.0, 0.0, 1.0)
    whole = partition((0, 2), [(7, 7)])
    assert proved(joined(fine, whole), 0.5) == (0, 1)
    assert shares(joined(fine, whole)[1]) == (5 / 7, 5 / 7, 5 / 7)


def test_where_nobody_is_there_is_no_rank() -> None:
    empty = partition((0, 1, 2), [NOTHING, NOTHING])
    assert told(joined(empty, empty), 0.5) is None
    assert shares(empty[1])[0] is None
