"""The moduli of a ceremony, and numbers taken apart and put together by them."""

from __future__ import annotations

from math import gcd, log2, prod

import pytest
from gmpy2 import is_prime, next_prime, primorial
from hypothesis import given
from hypothesis import strategies as st

from federation.protocols.key_ceremony.residues import (
    HIDING_BITS,
    SLACK_BITS,
    bits_of,
    lifted,
    lowered,
    plan_of,
    weights,
)

LENGTHS = (512, 1024, 2048, 3072, 4096)
every_length = pytest.mark.parametrize("bits", LENGTHS)


@every_length
def test_the_sieve_is_the_largest_primorial_that_leaves_the_slack(bits: int) -> None:
    plan = plan_of(bits)
    assert plan.primorial == primorial(plan.largest_sieved) // 2
    assert plan.primorial.bit_length() <= bits // 2 - SLACK_BITS
    assert (plan.primorial * next_prime(plan.largest_sieved)).bit_length() > bits // 2 - SLACK_BITS
    assert [prod(members) for members in plan.members] == list(plan.sieve)
    assert sorted(prime for members in plan.members for prime in members) == list(plan.sieve_primes)


@every_length
def test_moduli_have_16_bits_share_nothing_and_are_enough(bits: int) -> None:
    plan = plan_of(bits)
    together = plan.sieve + plan.product
    assert max(together + plan.exponent) < 1 << 16
    assert all(gcd(a, b) == 1 for i, a in enumerate(together) for b in together[:i])
    assert all(is_prime(prime) for prime in plan.product + plan.exponent)
    assert prod(together) > 1 << bits
    assert prod(together[:-1]) < 1 << bits  # one fewer would not do
    # beta is below the modulus and a share of p + q below twice a factor
    assert prod(plan.exponent) >> HIDING_BITS >= (1 << bits) * (1 << bits // 2 + 1)


@every_length
def test_hardly_a_bit_of_a_transfer_is_wasted(bits: int) -> None:
    plan = plan_of(bits)
    assert sum(map(bits_of, plan.sieve)) < 1.04 * log2(plan.primorial)
    assert {bits_of(prime) for prime in plan.product + plan.exponent} == {16}


@every_length
def test_whatever_is_drawn_a_factor_has_its_length(bits: int) -> None:
    plan = plan_of(bits)
    size, (first, room) = plan.primorial, plan.quotients
    top = 1 << plan.factor_bits
    for holders in (2, 3, 10):
        least = 4 * size * first
        most = holders * (size - 1) + holders * 3 * size + 4 * size * (first + holders * (room // holders - 1))
        assert 4 * least >= 3 * top
        assert most < top
        assert room // holders > 1 << 16  # so much of a factor is drawn above M, by each holder


@given(st.sampled_from(LENGTHS), st.lists(st.integers(min_value=0), max_size=3))
def test_numbers_come_back_from_their_residues(bits: int, numbers: list[int]) -> None:
    for moduli in (plan_of(bits).sieve, plan_of(bits).product, plan_of(bits).exponent):
        size = prod(moduli)
        below = [number % size for number in [*numbers, 0, 1, size - 1]]
        assert lifted(lowered(below, moduli), moduli) == below


def test_weights_are_one_by_one_modulus_and_zero_by_the_others() -> None:
    moduli = (3, 10, 7)
    assert [[weight % modulus for modulus in moduli] for weight in weights(moduli)] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
