"""phe (GPL: an oracle here and nowhere else) reads what we encrypt and we what it encrypts; where it errs we refuse."""

from __future__ import annotations

from typing import Any

import pytest

from federation.crypto.paillier import keys
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import BadKey, OwnerKey

phe: Any = pytest.importorskip("phe.paillier", reason="extra `interop`")
ENTROPY = bytes(range(32))


@pytest.fixture
def theirs(owner: OwnerKey) -> Any:
    return phe.PaillierPrivateKey(phe.PaillierPublicKey(owner.public.n), owner.p, owner.q)


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
