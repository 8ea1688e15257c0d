"""Keys: what is accepted as a modulus, who can be fooled by its base, and that the owner reads what was encrypted."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import ciphertexts, keys
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.keys import BadKey, OwnerKey, PublicKey
from federation.errors import Misuse

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "paillier"
MODULI = sorted(VECTORS.glob("modulus_*.json"))
SID, ENTROPY = b"\x07" * 32, bytes(31) + b"\x05"


def loaded(path: Path) -> dict[str, Any]:
    vector: dict[str, Any] = json.loads(path.read_text())
    return vector


def encrypted(key: PublicKey, plaintext: int, alpha: int) -> int:
    """As the formula is written."""
    square = key.n**2
    return (1 + plaintext * key.n) * pow(key.hs, alpha, square) % square


@pytest.mark.parametrize("path", MODULI, ids=lambda path: path.stem)
def test_a_modulus_is_accepted_or_refused_as_the_vector_says(path: Path) -> None:
    vector = loaded(path)
    n = int(vector["n"], 16)
    if vector["want_error"] and vector["refused_by"] == "anybody":
        with pytest.raises(BadKey, match=vector["want_error"]):
            keys.check_modulus(n)
    else:
        PublicKey.owned(n).check()
    with pytest.raises(BadKey, match=vector["want_error"] if vector["refused_by"] == "daemons" else None):
        PublicKey(n=n, hs=1).check_production()


def test_daemons_accept_a_key_that_is_long_enough_and_unknown() -> None:
    OwnerKey.made(2048, b"\x01" * 32).public.check_production()


def test_without_the_list_a_development_key_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault of the vectors `modulus_development_*`."""
    n = int(loaded(VECTORS / "modulus_development_2048.json")["n"], 16)
    monkeypatch.setattr(keys, "DEVELOPMENT", frozenset())
    PublicKey.owned(n).check_production()


@pytest.mark.parametrize("name", ["fifteen", "too_long", "negative", "zero"])
def test_no_power_is_taken_of_a_modulus_of_no_length(name: str) -> None:
    with pytest.raises(BadKey, match="bits"):
        PublicKey.owned(int(loaded(VECTORS / f"modulus_{name}.json")["n"], 16))


def test_the_same_entropy_gives_the_key_of_the_vector() -> None:
    for vector in loaded(VECTORS / "owner_keys.json")["keys"]:
        key = OwnerKey.made(vector["bits"], bytes.fromhex(vector["entropy"]))
        assert (key.p, key.q, key.public.hs) == tuple(int(vector[name], 16) for name in ("p", "q", "hs"))
        assert key.bits == key.public.bits == vector["bits"]
    assert OwnerKey.made(512, bytes(32)) != OwnerKey.made(512, ENTROPY)


@pytest.mark.parametrize("bits", [0, 256, 500, 8256])
def test_no_key_of_another_length_is_made(bits: int) -> None:
    with pytest.raises(Misuse):
        OwnerKey.made(bits, ENTROPY)


def test_a_key_does_not_show_its_factors(owner: OwnerKey) -> None:
    assert repr(owner) == str(owner) == "OwnerKey(512 bits)"


def test_factors_that_do_not_make_a_key_are_refused(owner: OwnerKey) -> None:
    p, q = owner.p, owner.q
    near = int(gmpy2.next_prime(p))
    while near % 4 != 3:
        near = int(gmpy2.next_prime(near))
    one_mod_four = int(gmpy2.next_prime(q + 2**200))
    while one_mod_four % 4 != 1:
        one_mod_four = int(gmpy2.next_prime(one_mod_four))
    sharing = next(k for k in range(q % 4 + 1, 10**6) if shares_three(p, q + 4 * k))
    for other in (p, near, q + 4, q >> 8, one_mod_four, q + 4 * sharing):
        with pytest.raises(BadKey):
            OwnerKey(p=p, q=other)
    OwnerKey(p=q, q=p)


def shares_three(p: int, other: int) -> bool:
    return bool(gmpy2.is_prime(other)) and gmpy2.gcd(p - 1, other - 1) > 2


def test_everybody_computes_the_same_base_and_a_session_has_its_own(public: PublicKey) -> None:
    again = PublicKey.owned(public.n)
    assert again == public
    assert (again.digest, again.fingerprint) == (public.digest, public.fingerprint)
    joint = PublicKey.joint(public.n, SID)
    joint.check(SID)
    assert joint.fingerprint == public.fingerprint
    assert joint.digest != public.digest
    with pytest.raises(BadKey, match="base"):
        joint.check()
    with pytest.raises(BadKey, match="base"):
        public.check(SID)


@pytest.mark.parametrize("bits", [512, 1024])
def test_the_base_is_a_residue_whose_powers_hide(bits: int, owner_of: Callable[[int], OwnerKey]) -> None:
    key = owner_of(bits)
    p, q, hs = key.p, key.q, key.public.hs
    phi = (p - 1) * (q - 1)
    assert pow(hs, phi, key.public.n**2) == 1, "an n-th residue has no part that shows a plaintext"
    assert gmpy2.jacobi(hs, p * q) == 1
    assert gmpy2.jacobi(hs, p) == -1
    assert pow(hs, (p - 1) * (q - 1) // 4, p * q) != 1


def test_a_base_that_is_no_residue_is_refused_and_would_have_changed_plaintexts(owner: OwnerKey) -> None:
    """A malicious owner's hs = hs * (1 + n)^x shows him alpha in every plaintext that he decrypts."""
    honest = owner.public
    planted = replace(honest, hs=honest.hs * (1 + 3 * honest.n) % honest.n**2)
    assert owner.decrypt([encrypted(planted, 5, 1000)]) == [5 + 3 * 1000]
    with pytest.raises(BadKey, match="base"):
        planted.check()
    for hs in (0, 1, honest.n, honest.n**2 - 1, honest.hs + honest.n**2, -honest.hs):
        with pytest.raises(BadKey, match="base"):
            replace(honest, hs=hs).check()


@given(data=st.data(), bits=st.sampled_from([512, 512, 1024]))
def test_the_owner_reads_what_was_encrypted(
    data: st.DataObject, bits: int, owner_of: Callable[[int], OwnerKey]
) -> None:
    key = owner_of(bits)
    n = key.public.n
    edges = st.sampled_from([0, 1, n - 1, n - 2, key.p, key.q, key.p * (key.q - 1)])
    plaintexts = data.draw(st.lists(st.one_of(edges, st.integers(0, n - 1)), max_size=4))
    alphas = data.draw(st.lists(st.integers(1, 2**256), min_size=len(plaintexts), max_size=len(plaintexts)))
    given_to = [encrypted(key.public, *pair) for pair in zip(plaintexts, alphas, strict=True)]
    assert key.decrypt(given_to) == plaintexts


def test_both_cores_read_the_same(owner: OwnerKey, two_threads: ThreadPoolExecutor) -> None:
    for count in range(6):
        plaintexts = [7**place for place in range(count)]
        assert owner.decrypt([encrypted(owner.public, each, 3 + each) for each in plaintexts]) == plaintexts


def test_the_owner_refuses_what_is_no_ciphertext_and_would_have_read_garbage(
    owner: OwnerKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [loaded(path) for path in sorted(VECTORS.glob("ciphertext_*.json"))]
    strangers = [int(vector["ciphertext"], 16) for vector in refused if vector["want_error"]]
    honest = encrypted(owner.public, 5, 77)
    assert len(strangers) >= 10
    for stranger in strangers:
        with pytest.raises(BadCiphertext):
            owner.decrypt([honest, stranger, honest])
    monkeypatch.setattr(ciphertexts, "check", lambda n, given: None)
    assert len(owner.decrypt([honest, *strangers])) == 1 + len(strangers), "the planted fault: nobody looks"
