"""What other engines let pass, done to sums of ours: without the guard it works, so here it is refused, or is said."""

from __future__ import annotations

from math import isqrt
from typing import Any

import pytest

from federation.crypto.paillier import ciphertexts, proofs
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import OwnerKey
from federation.crypto.paillier.packing import Slots
from federation.errors import ProtocolViolation
from federation.protocols.paillier_sum.terms import Terms
from tests.attacks.paillier.malice import ENTROPY, contributed, numbers_of, receive, with_numbers
from tests.protocols.cohort import names
from tests.protocols.paillier_sum.holders import Holders, key_of

VECTORS = {p: [place + 1] for place, p in enumerate(names(3))}


# --- phe, and HEU: products whose bytes are the same for the same factor ---------------------------------------------


def found_by_trying(square: int, before: int, after: int) -> int | None:
    """The private factor, if the product was not blinded again."""
    return next((factor for factor in range(2000) if pow(before, factor, square) == after), None)


def test_the_planted_fault_of_a_product_that_is_not_blinded_tells_the_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    public = key_of(3)[0].public
    engine = Engine(public, ENTROPY)
    (given,) = engine.encrypt([7])
    ours = engine.scale(given, 1234)
    assert found_by_trying(public.n**2, given, ours) is None
    assert engine.scale(given, 1234) != ours
    monkeypatch.setattr(Engine, "_blinded", lambda _self, products, _rows: list(products))
    assert found_by_trying(public.n**2, given, engine.scale(given, 1234)) == 1234
    assert engine.scale(given, 1234) == engine.scale(given, 1234), "as HEU's"


# --- phe: whatever is a number passes for a ciphertext ---------------------------------------------------------------


def in_the_clear(holders: Holders) -> tuple[list[int], bytes]:
    """The cheat's numbers without a blinding, and an honest proof that it knows them."""
    public, terms = holders.joint.public, Terms.of(holders.spec, holders.joint)
    plaintexts = terms.slots.pack(VECTORS["p2"])
    bare = [1 + public.n * plaintext for plaintext in plaintexts]
    return bare, proofs.prove_plaintexts(public, plaintexts, [0] * len(bare), bare, terms.known("p2"), ENTROPY)


def test_the_planted_fault_of_numbers_that_nobody_checks_takes_a_plaintext_in_the_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holders = Holders(3)
    ciphers = contributed(holders, VECTORS)
    bare, proof = in_the_clear(holders)
    with monkeypatch.context() as patched:
        patched.setattr(ciphertexts, "check", lambda *_: None)
        forged = with_numbers(holders, ciphers["p2"], bare, proof=proof)
    receive(holders, ciphers["p0"], ciphers["p1"])
    with pytest.raises(ProtocolViolation, match="blinds nothing") as caught:
        receive(holders, forged)
    assert caught.value.party == "p2"
    monkeypatch.setattr(ciphertexts, "check", lambda *_: None)
    receive(holders, forged)
    assert holders.aggregator.state.awaits.what == "partial"


def test_the_planted_fault_of_chained_floats_ends_at_nothing() -> None:
    """phe multiplies by floats, and nothing says when the plaintext has run out of room."""
    phe: Any = pytest.importorskip("phe.paillier", reason="extra `interop`")
    theirs = phe.generate_paillier_keypair(n_length=1024)
    wrong = theirs[0].encrypt(1.0)
    for _ in range(200):
        wrong = wrong * 0.3
    try:
        opened = theirs[1].decrypt(wrong)
    except OverflowError:
        return
    assert opened != pytest.approx(0.3**200, rel=1e-6, abs=0), "silently something else"


# --- what is not promised --------------------------------------------------------------------------------------------


def test_the_planted_fault_of_a_range_that_nobody_proves_moves_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof of plaintext knowledge is none of its range: within its slot, a cheat weighs more than it may."""
    holders = Holders(3, value_bits=20)
    holders.joined()
    for p in names(3):
        with monkeypatch.context() as patched:
            if p == "p2":
                patched.setattr(Slots, "pack", lambda self, numbers: [number + 3 * self.offset for number in numbers])
            receive(holders, holders.contribute(p, VECTORS[p]))
    for p in names(3):
        answer = holders.deliver(p)
        assert answer is not None
        receive(holders, answer)
    assert holders.aggregator.released[0].numbers == [6 + (1 << 20)]


# --- what a sum gives away of the key --------------------------------------------------------------------------------


def factored(n: int, phi: int) -> bool:
    """Whether a number that may be phi gives the factors."""
    total = n + 1 - phi
    rest = total * total - 4 * n
    return rest >= 0 and isqrt(rest) ** 2 == rest


def test_all_that_a_sum_opens_and_says_does_not_factor_the_modulus() -> None:
    """Known plaintexts and all answers give the exponent modulo n: with raw shares of phi, that is the secret key."""
    owner = OwnerKey.made(512, ENTROPY)
    phi = (owner.p - 1) * (owner.q - 1)
    assert factored(owner.public.n, phi), "the planted fault: an exponent that is phi"
    holders = Holders(3)
    partials = holders.partials(VECTORS)
    n = holders.joint.public.n
    power = 1
    for parcel in partials:
        power = power * int(numbers_of(holders, parcel)[0]) % n**2
    offset = Terms.of(holders.spec, holders.joint).slots.offset
    plaintext = 6 + 3 * offset
    exponent = (power - 1) // n * pow(2 * plaintext, -1, n) % n
    assert exponent == holders.joint.theta, "which is public"
    assert not factored(n, exponent)
