"""X25519 with the keys that it refuses, and HKDF. The vectors' file names are the list of what is tried with a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import agreement
from federation.errors import Misuse

VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "crypto").glob("x25519_*.json"))
entropies = st.binary(min_size=32, max_size=32)


def loaded(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    vector = json.loads(path.read_text())
    return vector, [bytes.fromhex(key) for key in vector["public_keys"]]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_public_key_is_accepted_or_refused_as_the_vector_says(path: Path) -> None:
    vector, keys = loaded(path)
    private, _ = agreement.key_pair(b"\x07" * 32)
    for key in keys:
        if vector["want_error"]:
            with pytest.raises(agreement.BadPublicKey, match=vector["want_error"]):
                agreement.check_public(key)
            with pytest.raises(agreement.BadPublicKey, match=vector["want_error"]):
                agreement.shared(private, key)
        else:
            agreement.check_public(key)
            assert len(agreement.shared(private, key)) == 32


@pytest.mark.parametrize("path", [p for p in VECTORS if "aliases" in p.stem], ids=lambda path: path.stem)
def test_aliases_agree_on_one_secret_and_have_one_representative(path: Path) -> None:
    _, keys = loaded(path)
    private, _ = agreement.key_pair(b"\x07" * 32)
    assert len(set(keys)) == len(keys)
    assert len({agreement.shared(private, key) for key in keys}) == 1
    assert len({agreement.representative(key) for key in keys}) == 1


@given(a=entropies, b=entropies)
def test_representatives_are_equal_exactly_where_secrets_are(a: bytes, b: bytes) -> None:
    one, other = agreement.key_pair(a)[1], agreement.key_pair(b)[1]
    private, _ = agreement.key_pair(b"\x07" * 32)
    same_secret = agreement.shared(private, one) == agreement.shared(private, other)
    assert same_secret == (agreement.representative(one) == agreement.representative(other))


def by_exchange(public: bytes) -> bytes | None:
    """The slow way to clear the cofactor: an X25519 exchange with the scalar 2^254; None for a key of low order."""
    try:
        return agreement.shared(bytes(31) + b"\x40", public)
    except agreement.BadPublicKey:
        return None


def by_doubling(public: bytes) -> bytes | None:
    try:
        return agreement.representative(public)
    except agreement.BadPublicKey:
        return None


def test_doubling_sorts_all_keys_of_the_vectors_into_the_classes_of_the_slow_way() -> None:
    keys = [key for path in VECTORS for key in loaded(path)[1]]
    refused = 0
    for one in keys:
        assert (by_doubling(one) is None) == (by_exchange(one) is None)
        refused += by_doubling(one) is None
        for other in keys:
            assert (by_doubling(one) == by_doubling(other)) == (by_exchange(one) == by_exchange(other))
    assert 0 < refused < len(keys)


@given(numbers=st.lists(st.integers(0, agreement.PRIME - 1), min_size=2, max_size=4))
def test_doubling_sorts_points_of_curve_and_twist_as_the_slow_way_does(numbers: list[int]) -> None:
    """Half of all u lie on the twist. 1/u is u(P + T) for T of order 2: another key, the same secrets."""
    for number in numbers:
        key = number.to_bytes(32, "little")
        alias = pow(number, -1, agreement.PRIME).to_bytes(32, "little") if number else key
        assert by_doubling(key) == by_doubling(alias)
        assert by_exchange(key) == by_exchange(alias)
    found = [(by_doubling(key), by_exchange(key)) for key in (number.to_bytes(32, "little") for number in numbers)]
    for one_doubled, one_exchanged in found:
        for other_doubled, other_exchanged in found:
            assert (one_doubled == other_doubled) == (one_exchanged == other_exchanged)


@given(entropy=entropies, private=entropies)
def test_the_representative_is_eight_times_the_point(entropy: bytes, private: bytes) -> None:
    """8(sP) = s(8P) for every private key s: X25519's own arithmetic vouches for the doublings."""
    public = agreement.key_pair(entropy)[1]
    eight = agreement.representative(public)
    assert agreement.representative(agreement.shared(private, public)) == agreement.shared(private, eight)


def test_the_planted_fault_of_one_doubling_too_few_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_DOUBLINGS", 2)
    with pytest.raises(AssertionError):
        test_doubling_sorts_all_keys_of_the_vectors_into_the_classes_of_the_slow_way()


@given(a=entropies, b=entropies)
def test_both_sides_agree(a: bytes, b: bytes) -> None:
    (private_a, public_a), (private_b, public_b) = agreement.key_pair(a), agreement.key_pair(b)
    assert agreement.shared(private_a, public_b) == agreement.shared(private_b, public_a)


@given(key=st.binary(max_size=40))
def test_foreign_bytes_raise_nothing_but_a_bad_public_key(key: bytes) -> None:
    try:
        agreement.check_public(key)
    except agreement.BadPublicKey:
        return
    assert agreement.canonical_point(key)


def test_an_error_never_quotes_the_key() -> None:
    key = b"\xee" + b"\xff" * 30 + b"\x7f"
    with pytest.raises(agreement.BadPublicKey) as caught:
        agreement.check_public(key)
    assert "ff" not in str(caught.value)
    assert str(key) not in str(caught.value)


def test_the_secret_is_the_one_of_rfc_7748() -> None:  # section 6.1
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    assert agreement.key_pair(bob)[1].hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert agreement.shared(bob, alice).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


def test_derived_bytes_are_those_of_rfc_5869() -> None:  # appendix A, tests 1 and 3
    secret = b"\x0b" * 22
    one = agreement.derive(secret, bytes(range(0xF0, 0xFA)), length=42, salt=bytes(range(13)))
    assert one.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    three = agreement.derive(secret, b"", length=42)
    assert three.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"


def test_a_private_key_of_another_length_is_misuse() -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        agreement.key_pair(b"short")
