"""Ed25519 under domain tags, and what of it is refused at the edges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import signing
from federation.errors import Misuse
from tests.crypto import edwards25519 as curve
from tests.crypto.edwards25519 import BASE, NEUTRAL, ORDER, PRIME, TORSION

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


# Section 7.1, tests 1 to 3 and the one of SHA(abc): private key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
            "655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
            "b00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
            "c027beceea1ec40a"
        ),
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
            "2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17a"
            "d9bef1177331a704"
        ),
    ),
]


@pytest.mark.parametrize(("private", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_rfc_8032(
    private: str, message: str, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_tagged", lambda _domain, body: body)
    key, body, expected = map(bytes.fromhex, (private, message, signature))
    assert signing.sign(key, "d", body) == expected
    assert signing.verify(signing.public_key(key), "d", body, expected)


@given(private=st.binary(min_size=32, max_size=32), body=st.binary(max_size=300))
def test_another_library_signs_the_same(private: bytes, body: bytes) -> None:
    theirs = Ed25519PrivateKey.from_private_bytes(private)
    assert signing.public_key(private) == theirs.public_key().public_bytes_raw()
    assert signing.sign(private, "d", body) == theirs.sign(b"\x00\x00\x00\x01d" + body)


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


# --- the edges: "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020), table 5, made anew -------------------
# The secret and the nonce are small numbers here, so that everything can be made in plain integers.
SECRET, NONCE = 1234567890123456789, 9876543210123
A, R = curve.encoded(curve.times(SECRET, BASE)), curve.encoded(curve.times(NONCE, BASE))
MIXED_A = curve.encoded(curve.added(curve.times(SECRET, BASE), TORSION[1]))
MIXED_R = curve.encoded(curve.added(curve.times(NONCE, BASE), TORSION[1]))


def tagged(body: bytes) -> bytes:
    return b"\x00\x00\x00\x01d" + body


def made(a: bytes, r: bytes, body: bytes, secret: int = SECRET, nonce: int = NONCE) -> bytes:
    return curve.signed(secret, nonce, a, r, tagged(body))


def body_where(holds: Callable[[int], bool], a: bytes, r: bytes) -> bytes:
    """Return a body whose challenge under A and R is such."""
    bodies = (str(number).encode() for number in range(1000))
    return next(body for body in bodies if holds(curve.challenge(r, a, tagged(body))))


def others_take(public: bytes, body: bytes, signature: bytes) -> bool:
    """Whether OpenSSL takes it."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, tagged(body))
    except InvalidSignature:
        return False
    return True


def test_what_is_made_in_plain_integers_is_a_signature() -> None:
    assert signing.verify(A, "d", BODY, made(A, R, BODY))


def test_a_second_s_for_one_signature_is_refused() -> None:
    signature = made(A, R, BODY)
    more = int.from_bytes(signature[32:], "little") + ORDER
    while more < 2**256:
        assert not signing.verify(A, "d", BODY, R + curve.scalar(more))
        more += ORDER


@pytest.mark.parametrize("place", range(8))
def test_a_key_of_small_order_is_refused_though_its_signature_fits(place: int) -> None:
    weak = curve.encoded(TORSION[place])
    body = body_where(lambda h: curve.times(h, TORSION[place]) == NEUTRAL, weak, R)
    forged = R + curve.scalar(NONCE)  # nobody needs a secret for it
    assert others_take(weak, body, forged)  # so the refusal is ours
    assert not signing.is_proper(weak)
    assert not signing.verify(weak, "d", body, forged)


def test_the_neutral_key_with_one_signature_for_everything_is_refused() -> None:
    neutral, forged = curve.encoded(NEUTRAL), curve.encoded(NEUTRAL) + bytes(32)
    assert others_take(neutral, b"whatever", forged)
    assert not signing.verify(neutral, "d", b"whatever", forged)


def test_the_planted_fault_of_taking_any_key_leaves_a_key_of_mixed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    body = body_where(lambda h: h % 8 == 0, MIXED_A, R)
    signature = made(MIXED_A, R, body)
    assert others_take(MIXED_A, body, signature)
    assert not signing.verify(MIXED_A, "d", body, signature)
    monkeypatch.setattr(signing, "is_proper", lambda _public: True)
    assert signing.verify(MIXED_A, "d", body, signature)


@pytest.mark.parametrize("place", range(1, 8))
def test_no_key_of_mixed_order_is_proper(place: int) -> None:  # libsodium before 2026 let some pass, CVE-2025-69277
    of_prime_order = curve.times(SECRET, BASE)
    assert signing.is_proper(curve.encoded(of_prime_order))
    assert not signing.is_proper(curve.encoded(curve.added(of_prime_order, TORSION[place])))


def test_a_key_of_mixed_order_is_refused_where_only_the_cofactor_would_save_it() -> None:
    body = body_where(lambda h: h % 8 != 0, MIXED_A, R)
    assert not signing.verify(MIXED_A, "d", body, made(MIXED_A, R, body))


def test_an_r_of_mixed_order_is_refused() -> None:
    # Fits with the cofactor, and not without: a library that takes it judges otherwise than the others.
    assert not signing.verify(A, "d", BODY, made(A, MIXED_R, BODY))


@pytest.mark.parametrize("place", range(8))
def test_an_r_of_small_order_is_refused(place: int) -> None:
    r = curve.encoded(TORSION[place])
    signature = made(A, r, BODY, nonce=0)
    assert others_take(A, BODY, signature) == (place == 0)
    assert not signing.verify(A, "d", BODY, signature)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("above", range(19))
def test_bytes_that_are_not_canonical_are_refused(above: int, sign: int) -> None:
    foreign = (PRIME + above | sign << 255).to_bytes(32, "little")
    assert not signing.is_proper(foreign)
    for body in (str(number).encode() for number in range(8)):
        assert not signing.verify(foreign, "d", body, R + curve.scalar(NONCE))
        assert not signing.verify(A, "d", body, made(A, foreign, body, nonce=0))


def test_a_key_that_is_no_point_is_refused() -> None:
    y = next(y for y in range(2, 100) if curve.at(y, 0) is None)
    assert not signing.is_proper(curve.scalar(y))
