"""Shamir's secret sharing: any t shares give the secret, t - 1 give nothing, and the slow way agrees."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import shamir
from federation.errors import Misuse

SECRET, ENTROPY = bytes(range(100, 132)), bytes(range(32))
secrets = st.one_of(st.sampled_from([bytes(32), b"\xff" * 32]), st.binary(min_size=32, max_size=32))
entropies = st.binary(min_size=32, max_size=32)


def number(share: bytes) -> int:
    return int.from_bytes(share, "big")


def interpolated(points: Sequence[tuple[int, int]], at: int) -> int:
    """The value at `at` of the one polynomial through these points modulo p, by Lagrange's formula as it is written."""
    total = 0
    for x, y in points:
        top = bottom = 1
        for other, _ in points:
            if other != x:
                top, bottom = top * (at - other), bottom * (x - other)
        total += y * top * pow(bottom, -1, shamir.PRIME)
    return total % shamir.PRIME


@given(data=st.data(), secret=secrets, entropy=entropies, shares=st.integers(2, 12))
def test_any_threshold_of_shares_or_more_give_the_secret(
    data: st.DataObject, secret: bytes, entropy: bytes, shares: int
) -> None:
    threshold = data.draw(st.integers(2, shares))
    split = shamir.split(secret, threshold, shares, entropy)
    assert {len(share) for share in split} == {shamir.SHARE_BYTES}
    points = data.draw(st.permutations(range(shares)))[: data.draw(st.integers(threshold, shares))]
    assert shamir.combined(shamir.weights(points), [split[point] for point in points]) == secret


def test_every_subset_of_five_opens_exactly_from_the_threshold_on() -> None:
    opened = refused = 0
    for threshold in range(2, 6):
        split = shamir.split(SECRET, threshold, 5, ENTROPY)
        for size in range(1, 6):
            for points in itertools.combinations(range(5), size):
                found = shamir.combined(shamir.weights(points), [split[point] for point in points])
                assert (found == SECRET) == (size >= threshold)
                opened, refused = opened + (size >= threshold), refused + (size < threshold)
    assert (opened, refused) == (26 + 16 + 6 + 1, 5 + 15 + 25 + 30)


@given(data=st.data(), secret=secrets, other=secrets, shares=st.integers(2, 8))
def test_fewer_shares_fit_every_other_secret_just_as_well(
    data: st.DataObject, secret: bytes, other: bytes, shares: int
) -> None:
    """For t - 1 shares and any other secret there is exactly one polynomial of degree t - 1 through them all."""
    threshold = data.draw(st.integers(2, shares))
    split = shamir.split(secret, threshold, shares, ENTROPY)
    seen = data.draw(st.permutations(range(shares)))[: threshold - 1]
    through = [(0, number(other)), *((point + 1, number(split[point])) for point in seen)]
    forged = [interpolated(through, x).to_bytes(33, "big") for x in range(1, shares + 1)]
    assert all(forged[point] == split[point] for point in seen)
    for points in itertools.combinations(range(shares), threshold):
        assert shamir.combined(shamir.weights(points), [forged[point] for point in points]) == other


def test_shares_are_values_of_one_polynomial_of_exactly_the_promised_degree() -> None:
    split = shamir.split(SECRET, 40, 60, ENTROPY)  # more coefficients than are reduced in one run
    points = [(i + 1, number(share)) for i, share in enumerate(split)]
    assert interpolated(points[:40], 0) == number(SECRET)
    assert all(interpolated(points[:40], x) == y for x, y in points[40:])
    assert interpolated(points[:39], 0) != number(SECRET)


@given(points=st.lists(st.integers(0, 200), min_size=1, max_size=12, unique=True))
def test_weights_are_the_fractions_of_the_textbook(points: list[int]) -> None:
    for point, weight in zip(points, shamir.weights(points), strict=True):
        exact = Fraction(1)
        for other in points:
            if other != point:
                exact *= Fraction(other + 1, other - point)
        assert weight == exact.numerator * pow(exact.denominator, -1, shamir.PRIME) % shamir.PRIME


def test_the_same_arguments_give_the_same_shares_and_any_other_give_others() -> None:
    def coefficients(secret: bytes, threshold: int, shares: int, entropy: bytes) -> int:
        split = shamir.split(secret, threshold, shares, entropy)
        return (number(split[0]) - number(secret)) % shamir.PRIME

    assert shamir.split(SECRET, 3, 5, ENTROPY) == shamir.split(SECRET, 3, 5, ENTROPY)
    drawn = [
        coefficients(SECRET, 3, 5, ENTROPY),
        coefficients(bytes(32), 3, 5, ENTROPY),  # entropy used twice: the secrets' difference stays hidden
        coefficients(SECRET, 4, 5, ENTROPY),
        coefficients(SECRET, 3, 6, ENTROPY),
        coefficients(SECRET, 3, 5, bytes(32)),
    ]
    assert len(set(drawn)) == len(drawn)


def test_a_wrong_share_gives_another_secret_and_never_the_right_one() -> None:
    split = shamir.split(SECRET, 3, 5, ENTROPY)
    weights = shamir.weights([0, 2, 4])
    for bit in range(256):
        wrong = (number(split[2]) ^ 1 << bit) % shamir.PRIME
        assert shamir.combined(weights, [split[0], wrong.to_bytes(33, "big"), split[4]]) != SECRET
    assert shamir.combined(weights, [split[2], split[0], split[4]]) != SECRET, "shares in another order"
    assert shamir.combined(weights, [split[0], split[1], split[4]]) != SECRET, "a share under another number"


def test_what_is_no_secret_of_32_bytes_is_none() -> None:
    for value in (1 << 256, shamir.PRIME - 1):
        assert shamir.combined([1], [value.to_bytes(33, "big")]) is None
    assert shamir.combined([1], [((1 << 256) - 1).to_bytes(33, "big")]) == b"\xff" * 32
    assert shamir.combined([1], [bytes(33)]) == bytes(32)


@pytest.mark.parametrize("share", [b"", bytes(32), bytes(34), shamir.PRIME.to_bytes(33, "big"), b"\xff" * 33])
def test_bytes_that_are_no_share_are_refused_and_never_quoted(share: bytes) -> None:
    good = shamir.split(SECRET, 2, 2, ENTROPY)[0]
    for refuse in (lambda: shamir.check(share), lambda: shamir.combined(shamir.weights([0, 1]), [good, share])):
        with pytest.raises(shamir.BadShare) as caught:
            refuse()
        assert "ff" not in str(caught.value)
        assert str(shamir.PRIME) not in str(caught.value)
    shamir.check(good)
    shamir.check((shamir.PRIME - 1).to_bytes(33, "big"))


@pytest.mark.parametrize("points", [[], [1, 1], [0, 3, 0], [-1, 2], [shamir.MOST_SHARES]])
def test_numbers_that_no_shares_have_are_misuse(points: list[int]) -> None:
    with pytest.raises(Misuse, match="distinct"):
        shamir.weights(points)


@pytest.mark.parametrize(("threshold", "shares"), [(1, 3), (0, 3), (-1, 3), (4, 3), (2, shamir.MOST_SHARES + 1)])
def test_thresholds_that_share_nothing_are_misuse(threshold: int, shares: int) -> None:
    with pytest.raises(Misuse, match="threshold"):
        shamir.split(SECRET, threshold, shares, ENTROPY)


@pytest.mark.parametrize(("secret", "entropy"), [(b"", ENTROPY), (bytes(33), ENTROPY), (SECRET, bytes(16))])
def test_lengths_other_than_32_are_misuse(secret: bytes, entropy: bytes) -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        shamir.split(secret, 2, 3, entropy)


def test_one_share_for_each_weight() -> None:
    split = shamir.split(SECRET, 2, 3, ENTROPY)
    for weights, shares in (((), ()), (shamir.weights([0, 1]), split)):
        with pytest.raises(Misuse, match="shares expected"):
            shamir.combined(weights, shares)


def test_the_prime_is_one_and_x_is_never_zero() -> None:
    """Share i is f(i + 1): were it f(i), share 0 would be the secret. Fermat to many bases stands in for a proof."""
    assert all(pow(base, shamir.PRIME - 1, shamir.PRIME) == 1 for base in range(2, 60))
    for threshold in (2, 3):
        assert SECRET not in {share[1:] for share in shamir.split(SECRET, threshold, 8, ENTROPY)}


def test_the_planted_fault_of_counting_from_zero_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = shamir._value
    monkeypatch.setattr(shamir, "_value", lambda runs, x: honest(runs, x - 1))
    with pytest.raises(AssertionError):
        test_the_prime_is_one_and_x_is_never_zero()
    with pytest.raises(AssertionError):
        test_every_subset_of_five_opens_exactly_from_the_threshold_on()


def test_the_planted_fault_of_a_polynomial_of_a_smaller_degree_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = shamir._value
    monkeypatch.setattr(shamir, "_value", lambda runs, x: honest([runs[0][1:], *runs[1:]], x))
    with pytest.raises(AssertionError):
        test_every_subset_of_five_opens_exactly_from_the_threshold_on()
