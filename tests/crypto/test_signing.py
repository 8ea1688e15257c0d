"""Ed25519 under domain tags."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import signing
from federation.errors import Misuse

KEY = bytes(range(32))
BODY = b"what was sent"


def test_a_signature_verifies_under_its_own_domain_only() -> None:
    signature = signing.sign(KEY, "federation/advert/v1", BODY)
    public = signing.public_key(KEY)
    assert signing.verify(public, "federation/advert/v1", BODY, signature)
    assert not signing.verify(public, "federation/head/v1", BODY, signature)


@given(at=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_flipped_bit_of_a_signature_is_seen(at: int, bit: int) -> None:
    signature = bytearray(signing.sign(KEY, "d", BODY))
    signature[at] ^= 1 << bit
    assert not signing.verify(signing.public_key(KEY), "d", BODY, bytes(signature))


@given(at=st.integers(0, len(BODY) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_of_a_body_is_seen(at: int, bit: int) -> None:
    body = bytearray(BODY)
    body[at] ^= 1 << bit
    assert not signing.verify(signing.public_key(KEY), "d", bytes(body), signing.sign(KEY, "d", BODY))


def test_a_byte_cannot_move_between_tag_and_body() -> None:
    public = signing.public_key(KEY)
    assert not signing.verify(public, "tag1", b"23", signing.sign(KEY, "tag", b"123"))


def test_the_planted_fault_of_an_unprefixed_tag_lets_it_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_tagged", lambda domain, body: domain.encode() + body)
    assert signing.verify(signing.public_key(KEY), "tag1", b"23", signing.sign(KEY, "tag", b"123"))


def test_equal_bodies_have_equal_signatures() -> None:
    assert signing.sign(KEY, "d", BODY) == signing.sign(KEY, "d", BODY)


def test_the_key_pair_is_the_one_of_rfc_8032() -> None:  # section 7.1, test 1
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert signing.public_key(private).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_the_signed_bytes_are_length_tag_and_body() -> None:
    expected = Ed25519PrivateKey.from_private_bytes(KEY).sign(b"\x00\x00\x00\x01d" + BODY)
    assert signing.sign(KEY, "d", BODY) == expected


@given(public=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_foreign_bytes_are_false_and_never_raise(public: bytes, signature: bytes) -> None:
    assert not signing.verify(public, "d", BODY, signature)


@pytest.mark.parametrize("domain", ["", "é", "x" * 256])
def test_a_domain_tag_is_short_ascii(domain: str) -> None:
    with pytest.raises(Misuse, match="domain tag"):
        signing.sign(KEY, domain, BODY)


def test_a_private_key_of_another_length_is_misuse() -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        signing.public_key(KEY[:31])
