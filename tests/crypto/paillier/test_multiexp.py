"""Products of powers: what Python's own powers give, for exponents of every kind."""

from __future__ import annotations

import math

import pytest
from gmpy2 import mpz
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import multiexp
from federation.crypto.paillier.multiexp import power_product

SQUARE = (2**127 - 1) ** 2
exponents = st.one_of(st.integers(0, 3), st.integers(0, 2**32), st.integers(2**31, 2**32), st.integers(0, 2**900))


@given(pairs=st.lists(st.tuples(st.integers(0, SQUARE - 1), exponents), max_size=30))
def test_the_product_is_that_of_single_powers(pairs: list[tuple[int, int]]) -> None:
    expected = math.prod(pow(base, exponent, SQUARE) for base, exponent in pairs) % SQUARE
    assert power_product(mpz(SQUARE), [base for base, _ in pairs], [exponent for _, exponent in pairs]) == expected


@pytest.mark.parametrize(
    "some", [[], [0], [0, 0, 0], [1], [7, 7, 7, 7], [1, 2**4000], [2**4000, 2**4000 - 1], [0, 5, 0], [2**64, 2**32, 1]]
)
def test_extreme_exponents(some: list[int]) -> None:
    bases = list(range(3, 3 + len(some)))
    expected = math.prod(pow(base, exponent, SQUARE) for base, exponent in zip(bases, some, strict=True)) % SQUARE
    assert power_product(mpz(SQUARE), bases, some) == expected


def test_it_takes_far_fewer_products_than_single_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: below six steps a term for 512 exponents of 32 bits; single powers take about 40 products."""
    steps = []
    replace = multiexp.heapq.heapreplace
    monkeypatch.setattr(multiexp.heapq, "heapreplace", lambda heap, item: (steps.append(1), replace(heap, item))[1])
    some = [pow(3, place, 2**32 - 5) for place in range(512)]
    power_product(mpz(SQUARE), range(2, 514), some)
    assert 512 <= len(steps) < 6 * 512


def test_as_many_exponents_as_bases_are_needed() -> None:
    with pytest.raises(ValueError, match="shorter"):
        power_product(mpz(SQUARE), [1, 2], [1])
