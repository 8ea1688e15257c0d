"""Small factors, powers and symbols are those of Python's own numbers."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import gmpy2

from federation.crypto import biprime


def seeded(i: int) -> int:
    return int.from_bytes(hashlib.shake_256(b"number" + bytes([i >> 8, i & 255])).digest(64), "big")


def test_sifting_finds_exactly_the_numbers_with_a_small_factor() -> None:
    numbers = [seeded(i) | 1 for i in range(2 * biprime.SIFTED_TOGETHER + 3)]
    expected = [any(number % prime == 0 for prime in primes(100, 2000)) for number in numbers]
    assert 0.1 < sum(expected) / len(expected) < 0.9
    for count in (0, 1, 2, 3, 7, biprime.SIFTED_TOGETHER, len(numbers)):
        assert biprime.sifted(numbers[:count], 100, 2000) == expected[:count]


def primes(above: int, limit: int) -> list[int]:
    return [number for number in range(above + 1, limit + 1) if gmpy2.is_prime(number)]


def test_powers_symbols_and_primes_are_those_of_python() -> None:
    assert biprime.power(3, 70, 101) == pow(3, 70, 101)
    assert [biprime.jacobi(a, 15) for a in range(5)] == [0, 1, 1, 0, 1]
    assert [n for n in range(3, 60, 2) if biprime.maybe_prime(n)] == primes(2, 59)
    assert all(a < b for a, b in pairwise(primes(2, 59)))
