"""AES-256-GCM, one message a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import aead
from federation.errors import Misuse

KEY = bytes(range(32))


@given(key=st.binary(min_size=32, max_size=32), plaintext=st.binary(max_size=200), associated=st.binary(max_size=50))
def test_what_was_sealed_opens(key: bytes, plaintext: bytes, associated: bytes) -> None:
    sealed = aead.seal(key, plaintext, associated)
    assert len(sealed) == len(plaintext) + aead.TAG_BYTES
    assert aead.seal(key, plaintext, associated) == sealed, "a resend must be the same bytes"
    assert aead.opened(key, sealed, associated) == plaintext


def test_the_sealed_bytes_are_the_published_ones() -> None:  # GCM specification, test case 14: a nonce of zero
    assert aead.seal(bytes(32), bytes(16), b"").hex() == (
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    )


def test_every_bit_of_key_ciphertext_and_associated_data_counts() -> None:
    plaintext, associated = b"two shares", b"from a to b"
    sealed = aead.seal(KEY, plaintext, associated)
    refused = 0
    for which, right in enumerate((KEY, sealed, associated)):
        for bit in range(8 * len(right)):
            wrong = bytearray(right)
            wrong[bit // 8] ^= 1 << bit % 8
            arguments = [KEY, sealed, associated]
            arguments[which] = bytes(wrong)
            with pytest.raises(aead.BadSeal):
                aead.opened(*arguments)
            refused += 1
    assert refused == 8 * (32 + 26 + 11)


@given(sealed=st.binary(max_size=64))
def test_foreign_bytes_raise_nothing_but_a_bad_seal(sealed: bytes) -> None:
    with pytest.raises(aead.BadSeal) as caught:
        aead.opened(KEY, sealed, b"")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33])
def test_a_key_of_another_length_is_misuse(size: int) -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        aead.seal(bytes(size), b"", b"")
    with pytest.raises(Misuse, match="32 bytes"):
        aead.opened(bytes(size), bytes(16), b"")
