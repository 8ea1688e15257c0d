"""The audit of opened sets: what combinations can reach is measured, and agrees with exact linear algebra."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.privacy.differencing import MOST_LEVERAGE, Finding, Labels, Name, Openings, Sets

K = 10


def name(cell: str, where: str = "") -> Name:
    return Name(where.encode(), cell.encode())


def one(rows: int, members: object, cell: str, where: str | None = None) -> Sets:
    labels = np.full(rows, -1, dtype=np.int64)
    labels[np.asarray(members, dtype=np.int64)] = 0
    return Sets(labels, (name(cell, cell if where is None else where),))


def plain(rows: int) -> Openings:
    return Openings(np.arange(rows))


def inner(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def exact_leverage(rows: int, sets: list[list[int]]) -> Fraction:
    """Return the greatest leverage of a row, by Gram-Schmidt in Fractions."""
    basis: list[list[Fraction]] = []
    found = [Fraction(0)] * rows
    for members in sets:
        left = [Fraction(int(i in members)) for i in range(rows)]
        for vector in basis:
            share = inner(left, vector) / inner(vector, vector)
            left = [a - share * b for a, b in zip(left, vector, strict=True)]
        length = inner(left, left)
        if length:
            basis.append(left)
            found = [h + a * a / length for h, a in zip(found, left, strict=True)]
    return max(found)


def test_a_set_that_lacks_few_units_of_an_open_one_is_found_and_one_that_lacks_k_opens() -> None:
    audit = plain(100)
    assert audit.opened([one(100, range(100), "all")], K) is Finding.NOTHING
    assert audit.opened([one(100, range(99), "but one")], K) is Finding.FEW
    assert audit.opened([one(100, range(91), "but nine")], K) is Finding.FEW
    assert audit.opened([one(100, range(90), "but ten")], K) is Finding.NOTHING
    assert audit.rank == 2


def test_a_total_minus_its_cells_is_found_whatever_comes_first() -> None:
    cells = np.where(np.arange(100) < 3, -1, np.arange(100) % 4)  # three units stand in no cell
    parts = Sets(cells, tuple(name(str(i)) for i in range(4)))
    total = one(100, range(100), "all", "")
    for order in ([total, parts], [parts, total]):
        assert plain(100).opened(order, K) is Finding.FEW
    assert plain(100).opened([parts], K) is Finding.NOTHING


def test_inclusion_and_exclusion_is_found() -> None:
    """Three sets of 51, 51 and 100 rows: A + B - C is one row, twice."""
    a, b = [0, *range(1, 51)], [0, *range(51, 101)]
    audit = plain(200)
    assert audit.opened([one(200, a, "a"), one(200, b, "b")], K) is Finding.NOTHING
    assert audit.opened([one(200, range(1, 101), "c")], K) is Finding.FEW
    assert audit.opened([one(200, range(101), "a or b")], K) is Finding.FEW


def test_another_condition_that_selects_the_same_units_looks_like_one_that_selects_few_others() -> None:
    audit = plain(100)
    audit.opened([one(100, range(100), "all", "")], K)
    assert audit.opened([one(100, range(100), "age > 0")], K) is Finding.ALIKE
    assert audit.opened([one(100, range(100), "age > 0")], K, alike=False) is Finding.NOTHING
    assert audit.opened([one(100, range(100), "the only group", "")], K) is Finding.NOTHING


def test_what_was_refused_leaves_no_trace() -> None:
    audit = plain(60)
    audit.opened([one(60, range(60), "all")], K)
    before = (audit.rank, audit.leverage)
    assert audit.opened([one(60, range(30), "half"), one(60, range(29), "half but one")], K) is Finding.FEW
    assert (audit.rank, audit.leverage) == before
    assert audit.opened([one(60, range(29), "half but one")], K) is Finding.NOTHING


def test_weighing_designs_are_refused_although_no_two_sets_are_near_each_other() -> None:
    """The sets of an S-matrix of order 63 differ by 32 rows, and recover each of 63 rows, if all of them open."""
    size = 63
    rows = [[j - 1 for j in range(1, 64) if (i & j).bit_count() % 2] for i in range(1, 64)]
    design = np.zeros((size, size))
    for i, members in enumerate(rows):
        design[i, members] = 1
    assert np.linalg.matrix_rank(design) == size  # a rule of sizes and pairs would open them all
    audit = plain(size)
    found = [audit.opened([one(size, members, str(i))], K) for i, members in enumerate(rows)]
    assert Finding.LEVERAGE in found
    assert audit.rank <= size * MOST_LEVERAGE


@given(st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_leverages_are_those_of_exact_arithmetic(sets: list[list[int]]) -> None:
    """Twelve blocks of rows, so that differences are wide enough to be opened; what opened is measured in Fractions."""
    size = 20
    audit, opened = plain(12 * size), []
    for index, blocks in enumerate(sets):
        members = [block * size + i for block in blocks for i in range(size)]
        if audit.opened([one(12 * size, members, str(index))], K, alike=False) is Finding.NOTHING:
            opened.append(blocks)
    want = exact_leverage(12, opened) / size if opened else Fraction(0)
    assert audit.leverage == pytest.approx(float(want), abs=1e-9)
    assert opened == sets  # blocks of 20 rows are no secret


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_no_combination_of_random_sets_has_fewer_than_three_units(seed: int) -> None:
    """Every row and every pair of rows is outside of what combinations reach: the rank rises by them."""
    random = np.random.default_rng(seed)
    audit, opened = plain(24), []
    for index in range(60):
        members = np.flatnonzero(random.random(24) < 0.5)
        if len(members) > 1 and audit.opened([one(24, members, str(index))], 2) is Finding.NOTHING:
            opened.append(np.isin(np.arange(24), members).astype(float))
    matrix = np.array(opened)
    rank = np.linalg.matrix_rank(matrix)
    assert rank <= 8
    for i in range(24):
        for j in range(i):
            pair = np.zeros((2, 24))
            pair[0, i] = pair[1, j] = 1
            assert np.linalg.matrix_rank(np.vstack([matrix, pair])) == rank + 2


def test_units_with_several_rows_are_counted_once() -> None:
    units: Labels = np.repeat(np.arange(40), 5)
    audit = Openings(units)
    assert audit.opened([one(200, range(200), "all")], K) is Finding.NOTHING
    assert audit.opened([one(200, range(155), "but nine units")], K) is Finding.FEW
    assert audit.opened([one(200, range(150), "but ten units")], K) is Finding.NOTHING
    assert audit.opened([one(200, [i for i in range(200) if i % 5], "but the first row of each")], K) is Finding.NOTHING


def test_rows_that_come_later_are_compared_with_what_was_opened_before() -> None:
    audit = plain(50)
    audit.opened([one(50, range(50), "all", "")], K)
    audit.grow(np.arange(50, 53))
    assert audit.opened([one(53, range(53), "all", "")], K) is Finding.FEW
    audit.grow(np.arange(53, 60))
    assert audit.opened([one(60, range(60), "all", "")], K) is Finding.NOTHING


def test_an_audit_may_begin_before_there_are_rows() -> None:
    audit = Openings(np.zeros(0, dtype=np.int64))
    audit.grow(np.arange(100))
    assert audit.opened([one(100, range(100), "all")], K) is Finding.NOTHING
    assert audit.opened([one(100, range(60), "sixty")], K) is Finding.NOTHING
    assert audit.opened([one(100, range(95), "but five")], K) is Finding.FEW


def test_a_thousand_cells_of_one_grouping_open_together() -> None:
    labels = np.arange(40_000) % 1_000
    audit = plain(40_000)
    assert audit.opened([Sets(labels, tuple(name(str(i)) for i in range(1_000)))], K) is Finding.NOTHING
    assert audit.leverage == pytest.approx(1 / 40)
    assert audit.opened([one(40_000, range(40_000), "all", "")], K) is Finding.NOTHING
    assert audit.rank == 1_000
