"""What comes in as a ciphertext, ciphertexts as bytes, and the product that is their sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.errors import Misuse

VECTORS = sorted((Path(__file__).parent.parent.parent / "vectors" / "paillier").glob("ciphertext_*.json"))


def loaded(path: Path) -> tuple[dict[str, Any], int, int]:
    vector = json.loads(path.read_text())
    return vector, int(vector["n"], 16), int(vector["ciphertext"], 16)


def encrypted(key: PublicKey, plaintext: int, alpha: int) -> int:
    square = key.n**2
    return (1 + plaintext * key.n) * pow(key.hs, alpha, square) % square


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_ciphertext_is_accepted_or_refused_as_the_vector_says(path: Path) -> None:
    vector, n, ciphertext = loaded(path)
    honest = loaded(next(path for path in VECTORS if path.stem == "ciphertext_honest"))[2]
    size = ciphertexts.width(n)
    if not vector["want_error"]:
        data = ciphertexts.to_bytes(n, [ciphertext, ciphertext])
        assert len(data) == 2 * size
        assert ciphertexts.from_bytes(n, data) == [ciphertext, ciphertext]
        return
    for given_in in ([ciphertext], [honest, ciphertext], [ciphertext, honest, honest]):
        with pytest.raises(BadCiphertext, match=vector["want_error"]):
            ciphertexts.check(n, given_in)
        with pytest.raises(BadCiphertext, match=vector["want_error"]):
            ciphertexts.to_bytes(n, given_in)
    if 0 <= ciphertext < 1 << 8 * size:
        data = honest.to_bytes(size, "big") + ciphertext.to_bytes(size, "big")
        with pytest.raises(BadCiphertext, match=vector["want_error"]):
            ciphertexts.from_bytes(n, data)


def test_two_factors_that_make_up_n_are_still_seen(owner: OwnerKey) -> None:
    """The greatest common divisor is taken of the product modulo n: a multiple of p times one of q is 0 there."""
    n = owner.public.n
    for pair in ([owner.p, owner.q], [owner.p, owner.p], [3 * owner.q, 5]):
        with pytest.raises(BadCiphertext, match="factor"):
            ciphertexts.check(n, pair)


@given(data=st.binary(max_size=300))
def test_half_a_ciphertext_and_odd_bytes_are_refused_or_checked(data: bytes, public: PublicKey) -> None:
    size = ciphertexts.width(public.n)
    assert size == 128
    try:
        found = ciphertexts.from_bytes(public.n, data)
    except BadCiphertext:
        return
    assert len(data) % size == 0
    assert b"".join(int(each).to_bytes(size, "big") for each in found) == data


@given(flips=st.integers(0, 8 * 256 - 1))
def test_ciphertexts_have_one_width_and_one_form(flips: int, public: PublicKey) -> None:
    pair = [encrypted(public, 1, 5), encrypted(public, public.n - 1, 2**200)]
    data = bytearray(ciphertexts.to_bytes(public.n, pair))
    assert len(data) == 256
    data[flips // 8] ^= 1 << flips % 8
    try:
        found = ciphertexts.from_bytes(public.n, bytes(data))
    except BadCiphertext:
        return
    assert found != pair


@given(plaintexts=st.lists(st.lists(st.integers(0, 2**200), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_product_of_columns_is_the_sum_whatever_the_order(plaintexts: list[list[int]], owner: OwnerKey) -> None:
    key = owner.public
    columns = [[encrypted(key, each, 9 + each % 1000) for each in party] for party in plaintexts]
    total = ciphertexts.product(key.n, columns)
    assert total == ciphertexts.product(key.n, columns[::-1])
    assert total == ciphertexts.product(key.n, [ciphertexts.product(key.n, columns[:1]), *columns[1:]])
    assert owner.decrypt(total) == [sum(column) for column in zip(*plaintexts, strict=True)]


@pytest.mark.parametrize("columns", [[], [[5], []], [[5], [5, 5]]])
def test_columns_of_different_lengths_are_misuse(columns: list[list[int]], public: PublicKey) -> None:
    with pytest.raises(Misuse):
        ciphertexts.product(public.n, columns)


def test_no_message_quotes_a_number(owner: OwnerKey) -> None:
    with pytest.raises(BadCiphertext) as caught:
        ciphertexts.check(owner.public.n, [owner.p])
    assert str(owner.p) not in str(caught.value)
    assert hex(owner.p) not in str(caught.value)
