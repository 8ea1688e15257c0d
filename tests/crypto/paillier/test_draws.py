"""Integers from entropy and from hashes: in their range, the same for the same parts, others for any other."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import draws
from federation.crypto.paillier.draws import Draws
from federation.errors import Misuse

ENTROPY, LABEL = bytes(range(32)), b"a label"


def first(entropy: bytes, label: bytes, *bound: bytes) -> int:
    return int(Draws(entropy, label, *bound).bits(256))


@given(bits=st.integers(1, 5000), bound=st.integers(1, 2**3000))
def test_numbers_lie_in_their_range(bits: int, bound: int) -> None:
    drawn = Draws(ENTROPY, LABEL)
    assert 0 <= drawn.bits(bits) < 1 << bits
    assert 0 <= drawn.below(bound) < bound


def test_every_value_of_a_small_range_comes_about_as_often() -> None:
    drawn = Draws(ENTROPY, LABEL)
    counts = Counter(int(drawn.below(7)) for _ in range(7000))
    assert sorted(counts) == list(range(7))
    assert all(850 < count < 1150 for count in counts.values())


def test_the_same_parts_give_the_same_numbers_and_any_other_give_others() -> None:
    assert first(ENTROPY, LABEL, b"x", b"y") == first(ENTROPY, LABEL, b"x", b"y")
    others = [
        first(ENTROPY, LABEL, b"x", b"y"),
        first(ENTROPY, LABEL, b"xy"),
        first(ENTROPY, LABEL, b"", b"xy"),
        first(ENTROPY, LABEL, b"y", b"x"),
        first(ENTROPY, b"a labe", b"lx", b"y"),
        first(bytes(32), LABEL, b"x", b"y"),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_entropy_of_another_length_is_misuse(size: int) -> None:
    with pytest.raises(Misuse):
        Draws(bytes(size), LABEL)


def test_public_numbers_are_the_same_for_everybody_and_bind_every_part() -> None:
    assert draws.public_numbers(3, 128, LABEL, b"x") == draws.public_numbers(5, 128, LABEL, b"x")[:3]
    found = {draws.public_numbers(1, 128, *parts)[0] for parts in [(b"a", b"b"), (b"ab",), (b"a", b"b", b"")]}
    assert len(found) == 3
    assert all(0 <= number < 1 << 128 for number in draws.public_numbers(50, 128, LABEL))


@given(modulus=st.integers(2, 2**600))
def test_a_public_residue_lies_below_its_modulus(modulus: int) -> None:
    assert 0 <= draws.public_residue(modulus, LABEL) < modulus
