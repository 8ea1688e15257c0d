"""phe (GPL: an oracle here and nowhere else) reads what we encrypt and we what it encrypts; where it errs we refuse."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto.paillier import keys
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.interop import from_phe, to_phe
from federation.crypto.paillier.keys import BadKey, OwnerKey, PublicKey
from federation.crypto.paillier.threshold import JointKey, KeyShare, combine, partials
from federation.errors import Misuse

phe: Any = pytest.importorskip("phe.paillier", reason="extra `interop`")
ENTROPY = bytes(range(32))


@pytest.fixture
def theirs(owner: OwnerKey) -> Any:
    return to_phe(owner)


signed = st.integers(-(2**63), 2**63 - 1)


def test_each_reads_the_others_ciphertexts_and_sums(owner: OwnerKey, theirs: Any) -> None:
    engine, n = Engine(owner.public, ENTROPY), owner.public.n
    plaintexts = [0, 1, 12345, n - 1, n // 2]
    ours = engine.encrypt(plaintexts)
    assert [theirs.raw_decrypt(int(each)) for each in ours] == plaintexts
    sent = [theirs.public_key.raw_encrypt(each) for each in plaintexts]
    assert owner.decrypt(sent) == plaintexts
    mixed = engine.add(ours, sent)
    assert owner.decrypt(mixed) == [theirs.raw_decrypt(int(each)) for each in mixed] == [2 * m % n for m in plaintexts]
    product = engine.dot(sent, [3, -1, 7, 0, 2])
    assert owner.decrypt([product]) == [theirs.raw_decrypt(int(product))]


@pytest.mark.parametrize("n", [15, 2**1024])
def test_a_modulus_that_phe_takes_is_refused(n: int) -> None:
    assert phe.PaillierPublicKey(n).n == n
    with pytest.raises(BadKey):
        keys.check_modulus(n)


def test_ciphertexts_that_phe_reads_are_refused(owner: OwnerKey, theirs: Any) -> None:
    n = owner.public.n
    for stranger in (1, n**2 - 1, n**2 + 5):
        assert isinstance(int(theirs.raw_decrypt(stranger)), int)
        with pytest.raises(BadCiphertext):
            owner.decrypt([stranger])


def test_the_exponent_that_phe_sends_tells_a_numbers_magnitude(theirs: Any) -> None:
    sent = [theirs.public_key.encrypt(number).exponent for number in (1e-9, 0.5, 1e6, 7)]
    assert len(set(sent)) == 4


def test_a_key_goes_to_phe_and_comes_back(owner: OwnerKey, public: PublicKey, theirs: Any) -> None:
    assert isinstance(theirs, phe.PaillierPrivateKey)
    assert isinstance(to_phe(public), phe.PaillierPublicKey)
    assert to_phe(public) == theirs.public_key
    back = from_phe(theirs)
    assert {back.p, back.q} == {owner.p, owner.q}
    assert back.public == from_phe(theirs.public_key) == public


@settings(max_examples=20)
@given(numbers=st.lists(signed, min_size=1, max_size=4), others=st.data())
def test_integers_go_to_phe_and_come_back(numbers: list[int], others: st.DataObject, owner: OwnerKey) -> None:
    added = others.draw(st.lists(signed, min_size=len(numbers), max_size=len(numbers)))
    public, theirs = owner.public, to_phe(owner)
    sent = to_phe(public, Engine(public, ENTROPY).encrypt([number % public.n for number in numbers]))
    assert [theirs.decrypt(each) for each in sent] == numbers
    sums = [one + theirs.public_key.encrypt(other) * -3 for one, other in zip(sent, added, strict=True)]
    back = from_phe(sums, public)
    expected = [one - 3 * other for one, other in zip(numbers, added, strict=True)]
    assert owner.decrypt(back) == [each % public.n for each in expected]
    assert [theirs.decrypt(each) for each in sums] == expected


def made_by_phe(bits: int) -> Iterator[Any]:
    while True:
        yield phe.generate_paillier_keypair(n_length=bits)[1]


def test_a_key_that_phe_made_is_taken_or_refused_for_its_form() -> None:
    taken = refused = 0
    for theirs in made_by_phe(512):
        fits = theirs.p % 4 == theirs.q % 4 == 3
        try:
            ours = from_phe(theirs)
        except BadKey:
            refused += 1
        else:
            assert fits
            taken += 1
            assert ours.decrypt(from_phe([theirs.public_key.encrypt(-7)], ours.public)) == [ours.public.n - 7]
        if taken and refused:
            break


def test_what_phe_computed_comes_blinded(owner: OwnerKey, theirs: Any) -> None:
    """phe multiplies without blinding; whoever has E(7) and its product finds the factor by trying."""
    public, seven = owner.public, theirs.public_key.encrypt(7)
    product = seven * 1234
    plainly = product.ciphertext(be_secure=False)
    assert plainly == pow(seven.ciphertext(), 1234, public.n**2), "the planted fault: a factor that anybody finds"
    assert from_phe([product], public) != [plainly]


def test_phe_adds_under_a_joint_key_and_the_holders_open(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    public = joint.public
    sent = Engine(public, ENTROPY).encrypt([5, 6])
    sums = from_phe([one + 1000 for one in to_phe(public, sent)], public)
    assert combine(joint, sums, {name: partials(joint, share, sums) for name, share in shares.items()}) == [1005, 1006]


def test_what_we_refuse_is_refused_from_phe_too(owner: OwnerKey, public: PublicKey, theirs: Any) -> None:
    number = theirs.public_key.encrypt(5)
    for stranger in (15, 2**1024):
        with pytest.raises(BadKey):
            from_phe(phe.PaillierPublicKey(stranger))
    with pytest.raises(Misuse, match="float"):
        from_phe([theirs.public_key.encrypt(0.5)], public)
    with pytest.raises(Misuse, match="another key"):
        from_phe([next(made_by_phe(512)).public_key.encrypt(5)], public)
    with pytest.raises(Misuse, match="the key that they are under"):
        from_phe([number])  # type: ignore[call-overload]
    with pytest.raises(Misuse, match="public key"):
        to_phe(owner, [number.ciphertext()])  # type: ignore[call-overload]
    for stranger in (0, 1, public.n**2 - 1, public.n**2 + 5, 3 * owner.p):
        with pytest.raises(BadCiphertext):
            to_phe(public, [stranger])


def test_without_the_extra_there_is_a_hint(public: PublicKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phe", None)
    with pytest.raises(Misuse, match="interop"):
        to_phe(public)


def test_nothing_of_ours_goes_through_the_gate(repository: Path) -> None:
    gate = "federation.crypto.paillier.interop"
    found = [
        path
        for wing in ("federation", "clients")
        for path in (repository / wing).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name == gate for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == gate)
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == gate.rpartition(".")[0]
            and any(alias.name == "interop" for alias in node.names)
        )
    ]
    assert not found
