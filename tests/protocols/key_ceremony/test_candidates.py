"""Candidates: their form, whatever is drawn, and a test that takes products of two primes and hardly anything else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from math import gcd

import gmpy2
import numpy as np
import pytest

from federation.crypto import biprime
from federation.protocols.key_ceremony import candidates
from federation.protocols.key_ceremony.residues import column_of, lowered, plan_of

SID = b"s" * 32
PLAN = plan_of(512)


def number(salt: object, bits: int) -> int:
    return int.from_bytes(hashlib.shake_256(repr(salt).encode()).digest(bits // 8), "big")


@cache
def prime(salt: object, bits: int = 256) -> int:
    """A prime that is 3 modulo 4, in [3/4, 1) of its length."""
    found = number(salt, bits) | 3 << bits - 2 | 3
    while not gmpy2.is_prime(found):
        found += 4
    return found


def split(factor: int, n: int, salt: object) -> list[int]:
    """Shares of a factor as a ceremony makes them: 3 modulo 4 for the first holder, 0 for all others."""
    others = [number((salt, i), 248) & ~3 for i in range(n - 1)]
    return [factor - sum(others), *others]


def powers(n: int, p: list[int], q: list[int], count: int, sid: bytes = SID) -> list[list[int]]:
    """Everybody's powers of the first bases, a list a base."""
    found = []
    for turn in range(count):
        base = candidates.base(n, sid, turn)
        exponents = [candidates.exponent(n, i == 0, both) for i, both in enumerate(zip(p, q, strict=True))]
        found.append(candidates.raised([base] * len(p), exponents, [n] * len(p)))
    return found


# --- shares ----------------------------------------------------------------------------------------------------------


def test_units_are_units_follow_from_the_seed_and_are_even() -> None:
    units, above = candidates.drawn(PLAN, b"s" * 32, 512)
    again, same = candidates.drawn(PLAN, b"s" * 32, 512)
    other, _ = candidates.drawn(PLAN, b"t" * 32, 512)
    assert (units == again).all()
    assert above == same
    assert (units != other).mean() > 0.9
    assert (np.gcd(units, column_of(PLAN.sieve)) == 1).all()
    assert len(set(above)) == 512
    of_three = next(row for row, members in enumerate(PLAN.members) if 3 in members)
    assert 200 < (units[of_three] % 3 == 1).sum() < 312  # half of 512, 5 sigma


@pytest.mark.parametrize("holders", [2, 3, 10])
@pytest.mark.parametrize("bits", [512, 2048])
def test_shares_make_factors_of_the_right_form(holders: int, bits: int) -> None:
    plan, count = plan_of(bits), 4
    drawn = [candidates.drawn(plan, bytes([i]) * 32, count) for i in range(holders)]
    whole = column_of(plan.sieve)
    product = np.ones((len(plan.sieve), count), dtype=np.uint64)
    for units, _ in drawn:
        product = product * units % whole
    additive = [
        np.random.default_rng(i).integers(0, whole, product.shape).astype(np.uint64) for i in range(holders - 1)
    ]
    additive.append((product + sum(whole - share for share in additive)) % whole)
    shares = [
        candidates.factor_shares(plan, i == 0, holders, share.astype(np.uint16), above)
        for i, (share, (_, above)) in enumerate(zip(additive, drawn, strict=True))
    ]
    for place in range(count):
        factor = sum(share[place] for share in shares)
        assert factor % 4 == 3
        assert factor >> plan.factor_bits - 2 == 3
        assert gcd(factor, plan.primorial) == 1
        assert (lowered([factor], plan.sieve)[:, 0] == product[:, place]).all()
        assert [share[place] % 4 for share in shares] == [3] + [0] * (holders - 1)
        assert all(0 <= share[place] < 1 << plan.factor_bits for share in shares)


def test_candidates_are_the_products_of_their_factors() -> None:
    numbers = [prime(("p", place)) * prime(("q", place)) for place in range(4)]
    units = [candidates.drawn(PLAN, bytes([i]) * 32, 4)[0] for i in range(2)]
    missing = [
        [n * pow(int(a) * int(b), -1, modulus) % modulus for n, a, b in zip(numbers, *rows, strict=True)]
        for modulus, *rows in zip(PLAN.sieve, *units, strict=True)
    ]
    units.append(np.array(missing, dtype=np.uint16))
    shares = [lowered([number((i, place), 512) for place in range(4)], PLAN.product).astype(int) for i in range(2)]
    shares.append((lowered(numbers, PLAN.product) - sum(shares)) % np.array(PLAN.product)[:, None])
    assert candidates.moduli(PLAN, units, [share.astype(np.uint16) for share in shares]) == numbers


def test_only_numbers_that_could_be_moduli_are_tested() -> None:
    good = prime("p") * prime("q")
    assert good % 4 == 1
    last = next(n for n in range(candidates.SIFTED_TO, 0, -1) if gmpy2.is_prime(n))
    divided = next(n for n in (last * ((1 << 511) // last + k) for k in range(1, 99)) if n % 4 == 1)
    for bad in (good + 2, good - 1, good >> 1 | 1, good << 2 | 1, divided, 0):
        assert candidates.worth_testing(PLAN, [bad, good, bad]) == (1,)
    assert candidates.worth_testing(PLAN, []) == ()


# --- the test of products of two primes ------------------------------------------------------------------------------


def test_bases_are_public_have_the_symbol_one_and_follow_from_the_session() -> None:
    n = prime("p") * prime("q")
    found = [candidates.base(n, SID, turn) for turn in range(20)]
    assert found == [candidates.base(n, SID, turn) for turn in range(20)]
    assert len({*found, candidates.base(n, b"t" * 32, 0)}) == 21
    assert all(gmpy2.jacobi(base, n) == 1 and 0 < base < n for base in found)
    squares = sum(gmpy2.jacobi(base, prime("p")) == 1 for base in found)
    assert 3 < squares < 17  # half of the bases are squares: not all are taken from one half


@pytest.mark.parametrize("holders", [2, 3, 7])
def test_every_base_lets_a_product_of_two_primes_pass(holders: int) -> None:
    p, q = prime(("p", holders)), prime(("q", holders))
    shares = split(p, holders, "p"), split(q, holders, "q")
    assert all(candidates.passes(p * q, of_all) for of_all in powers(p * q, *shares, candidates.BASES))


@pytest.mark.parametrize(
    ("desc", "p"),
    [
        ("three primes", lambda salt: prime((salt, "a"), 96) * prime((salt, "b"), 80) * prime((salt, "c"), 72)),
        ("the square of a prime, and another one", lambda salt: prime((salt, "a"), 96) ** 2 * prime((salt, "b"), 64)),
        ("anything", lambda salt: number((salt, "c"), 256) | 3 << 254 | 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hardly_a_base_lets_anything_else_pass(desc: str, p: Callable[[object], int]) -> None:
    for salt in range(3):
        factor = next(n for n in (p((salt, i)) for i in range(99)) if n % 4 == 3 and not gmpy2.is_prime(n))
        n, shares = factor * prime("q"), (split(factor, 2, "p"), split(prime("q"), 2, "q"))
        assert not any(candidates.passes(n, of_all) for of_all in powers(n, *shares, 20)), desc


def test_one_changed_share_fails_a_product_of_two_primes() -> None:
    """The fault of a holder who raises to another exponent."""
    p, q = prime("p"), prime("q")
    shares_p, shares_q = split(p, 3, "p"), split(q, 3, "q")
    shares_p[2] += 4
    assert not any(candidates.passes(p * q, of_all) for of_all in powers(p * q, shares_p, shares_q, 10))


def test_a_first_base_turns_nearly_all_others_away() -> None:
    found = 0
    for salt in range(200):
        p, q = number(("p", salt), 256) | 3 << 254 | 3, number(("q", salt), 256) | 3 << 254 | 3
        prime_both = gmpy2.is_prime(p) and gmpy2.is_prime(q)
        found += candidates.passes(p * q, powers(p * q, split(p, 2, salt), split(q, 2, salt), 1)[0]) != prime_both
    assert found == 0


def test_sifting_goes_as_far_as_it_says() -> None:
    primes = [n for n in range(candidates.SIFTED_TO - 40, candidates.SIFTED_TO + 40) if gmpy2.is_prime(n)]
    other = prime("other")
    assert biprime.sifted([n * other for n in primes], PLAN.largest_sieved, candidates.SIFTED_TO) == [
        n < candidates.SIFTED_TO for n in primes
    ]
