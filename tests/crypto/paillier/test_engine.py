"""Encryption and what is computed with ciphertexts: exact, blinded, and never one alpha for two plaintexts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.engine import SPARE_BITS, Engine
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.crypto.paillier.packing import Header, Slots
from federation.errors import Misuse

ENTROPY, OTHER = bytes(range(32)), bytes(range(1, 33))
weights = st.one_of(st.integers(-3, 3), st.integers(-(2**32), 2**32), st.integers(-(2**300), 2**300))


@pytest.fixture
def engine(public: PublicKey) -> Engine:
    return Engine(public, ENTROPY)


@pytest.mark.parametrize("bits", [512, 1024, 2048, 3072])
def test_a_ciphertext_is_what_the_formula_says(bits: int, owner_of: Callable[[int], OwnerKey]) -> None:
    key = owner_of(bits)
    n, square = key.public.n, key.public.n**2
    plaintexts = [0, 1, n - 1, 2 ** (bits - 9) - 1]
    alphas = [0, 1, 2 ** (bits // 2) - 1, 3**300 % 2 ** (bits // 2)]
    found = Engine(key.public, ENTROPY).encrypt(plaintexts, alphas)
    expected = [
        (1 + plaintext * n) * gmpy2.powmod(key.public.hs, alpha, square) % square
        for plaintext, alpha in zip(plaintexts, alphas, strict=True)
    ]
    assert found == expected
    assert key.decrypt(found[2:]) == plaintexts[2:]


@given(data=st.data())
def test_what_is_encrypted_comes_back(data: st.DataObject, owner: OwnerKey) -> None:
    engine = Engine(owner.public, data.draw(st.binary(min_size=32, max_size=32)))
    numbers = st.one_of(st.sampled_from([0, owner.public.n - 1]), st.integers(0, owner.public.n - 1))
    plaintexts = data.draw(st.lists(numbers, max_size=8))
    sent = engine.to_bytes(engine.encrypt(plaintexts))
    assert len(sent) == 128 * len(plaintexts)
    assert owner.decrypt(engine.from_bytes(sent)) == plaintexts


def test_both_cores_encrypt_decrypt_and_multiply_alike(owner: OwnerKey, two_threads: ThreadPoolExecutor) -> None:
    engine = Engine(owner.public, ENTROPY)
    plaintexts = [5**place for place in range(41)]
    factors = [place - 20 for place in range(41)]
    sent = engine.encrypt(plaintexts)
    assert owner.decrypt(sent) == plaintexts
    expected = sum(map(int.__mul__, plaintexts, factors)) % owner.public.n
    assert owner.decrypt([engine.dot(sent, factors)]) == [expected]
    assert owner.decrypt(engine.matrix([factors] * 3, sent)) == [expected] * 3


def test_the_same_plaintext_is_never_the_same_ciphertext(engine: Engine) -> None:
    found = engine.encrypt([7] * 50) + engine.encrypt([7] * 50) + engine.encrypt([7])
    assert len(set(found)) == 101


def test_entropy_that_serves_twice_does_not_relate_two_plaintexts(public: PublicKey) -> None:
    """A fork and a machine that comes back from a snapshot are such cases; the very same plaintexts look the same."""
    square = public.n**2

    def difference(one: int, other: int) -> int:
        return int(one * pow(other, -1, square) % square)

    twice = [Engine(public, ENTROPY).encrypt([plaintext])[0] for plaintext in (1000, 17, 1000)]
    assert difference(twice[0], twice[1]) % public.n != 1
    assert twice[0] == twice[2]
    with_other_entropy = Engine(public, OTHER).encrypt([1000])[0]
    assert with_other_entropy != twice[0]
    one_alpha = [Engine(public, ENTROPY).encrypt([plaintext], [99])[0] for plaintext in (1000, 17)]
    assert difference(*one_alpha) == 1 + (1000 - 17) * public.n, "the planted fault: one alpha for two plaintexts"


@pytest.mark.parametrize("plaintext", [1.5, 5.0, 1e-9, "5", None])
def test_a_float_is_not_encrypted(engine: Engine, plaintext: object) -> None:
    with pytest.raises(Misuse, match="integers"):
        engine.encrypt([1, plaintext])  # type: ignore[list-item]
    with pytest.raises(Misuse, match="integers"):
        engine.alphas([1, plaintext])  # type: ignore[list-item]


def test_a_plaintext_outside_its_range_is_refused(engine: Engine, public: PublicKey) -> None:
    for plaintext in (-1, public.n, public.n + 5):
        with pytest.raises(Misuse, match="lies in") as caught:
            engine.encrypt([plaintext])
        assert str(abs(plaintext)) not in str(caught.value).replace("[0, n)", "")


@pytest.mark.parametrize("alphas", [[], [1, 2], [2**256]])
def test_other_alphas_than_one_for_each_are_refused(engine: Engine, alphas: list[int]) -> None:
    with pytest.raises(Misuse, match="alpha"):
        engine.encrypt([5], alphas)


@pytest.mark.parametrize("value", [1e-9, 1e6, 0.0, -3.25, 2.0**40])
def test_the_wire_says_nothing_of_a_numbers_magnitude(value: float, owner: OwnerKey) -> None:
    """phe sends a public exponent: -21 for 1e-9, -9 for 1e6, 0 for integers. Here one scale holds for all."""
    slots = Slots.fitting(value_bits=64, terms=3, modulus_bits=512)
    engine = Engine(owner.public, ENTROPY)
    scale = 10**6
    packed = slots.pack([round(value * scale)])
    header = Header(scale=scale, value_bits=64, terms=1, count=1).to_bytes()
    sent = header + engine.to_bytes(engine.encrypt(packed))
    assert len(sent) == 28 + 128
    assert sent[:28].hex() == "00000000000f4240" + "00000040" + "0000000000000001" * 2


def test_ciphertexts_are_added_place_by_place(owner: OwnerKey, engine: Engine) -> None:
    one, other = engine.encrypt([1, 2, 3]), engine.encrypt([10, 20, 30])
    assert owner.decrypt(engine.add(one, other)) == [11, 22, 33]
    assert engine.product([one, other, one]) == engine.product([other, one, one])
    assert owner.decrypt(engine.product([one, other, one])) == [12, 24, 36]
    with pytest.raises(Misuse):
        engine.add(one, other[:2])


@given(plaintexts=st.lists(st.integers(0, 2**200), max_size=12), data=st.data())
def test_products_with_private_integers_are_exact(plaintexts: list[int], data: st.DataObject, owner: OwnerKey) -> None:
    engine, n = Engine(owner.public, ENTROPY), owner.public.n
    count = len(plaintexts)
    rows = [data.draw(st.lists(weights, min_size=count, max_size=count)) for _ in range(data.draw(st.integers(0, 3)))]
    sent = engine.encrypt(plaintexts)
    expected = [sum(map(int.__mul__, plaintexts, row)) % n for row in rows]
    assert owner.decrypt(engine.matrix(rows, sent)) == expected
    assert owner.decrypt([engine.dot(sent, row) for row in rows]) == expected


@pytest.mark.parametrize("factor", [0, 1, -1, 1234, -1234, 2**511 - 1])
def test_a_ciphertext_times_a_private_integer(factor: int, owner: OwnerKey, engine: Engine) -> None:
    sent = engine.encrypt([7])[0]
    assert owner.decrypt([engine.scale(sent, factor)]) == [7 * factor % owner.public.n]


def test_whatever_a_private_factor_went_into_is_blinded_again(engine: Engine, public: PublicKey) -> None:
    """phe sends c^1234 as it is: whoever has c finds 1234 by trying. `a + 0` stays a there as well."""
    square = public.n**2
    sent = engine.encrypt([7])[0]

    def found_by_trying(result: int) -> list[int]:
        return [factor for factor in range(-2000, 2000) if pow(sent, factor, square) == result]

    assert found_by_trying(pow(sent, 1234, square)) == [1234], "the planted fault: nothing blinded"
    for factor in (1234, 0, 1, -7):
        first, second = engine.scale(sent, factor), engine.scale(sent, factor)
        assert first != second
        assert found_by_trying(first) == found_by_trying(second) == []
    nothing = engine.encrypt([0])[0]
    added = engine.add([sent], [nothing])[0]
    assert added not in (sent, engine.add([sent], engine.encrypt([0]))[0])
    assert len({engine.dot([sent, nothing], [3, 4]), *engine.matrix([[3, 4], [3, 4]], [sent, nothing])}) == 3


def test_the_new_blinding_covers_what_the_factors_did_to_the_old_one(
    engine: Engine, public: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of n's factors may take logarithms: she sees sum(w_i alpha_i) plus the new exponent."""
    sent = engine.encrypt([7] * 9)
    asked: list[int] = []

    class Watched:
        def powers(self, exponents: list[int]) -> list[int]:
            asked.extend(exponents)
            return [1] * len(exponents)

    monkeypatch.setattr(engine, "_base", Watched())
    for _ in range(20):
        engine.dot(sent, [2**31] * 9)
    hidden = 9 * 2**31 * 2**public.alpha_bits
    assert max(asked).bit_length() >= hidden.bit_length() + SPARE_BITS - 1
    assert len(set(asked)) == 20


@pytest.mark.parametrize("row", [[], [1], [1, 2, 3], [1, 2.0], [1, 0.5], [1, 2**512], [1, "2"]])
def test_weights_that_are_not_one_integer_for_each_are_refused(row: list[object], engine: Engine) -> None:
    sent = engine.encrypt([1, 2])
    with pytest.raises(Misuse):
        engine.dot(sent, row)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        engine.matrix([[1, 2], row], sent)  # type: ignore[list-item]


def test_three_parties_sum_packed_numbers(owner_of: Callable[[int], OwnerKey]) -> None:
    key = owner_of(2048)
    slots = Slots.fitting(value_bits=64, terms=3, modulus_bits=2048)
    numbers = [[(-1) ** place * 3 ** (place % 39) * party for place in range(60)] for party in (1, 2, 3)]
    engines = [Engine(key.public, bytes([party]) * 32) for party in range(3)]
    sent = [engine.to_bytes(engine.encrypt(slots.pack(own))) for engine, own in zip(engines, numbers, strict=True)]
    assert {len(each) for each in sent} == {3 * 512}
    total = engines[0].product([engines[0].from_bytes(each) for each in sent])
    assert slots.unpack(key.decrypt(total), 3, 60) == [sum(column) for column in zip(*numbers, strict=True)]
    with pytest.raises(ciphertexts.BadCiphertext):
        engines[0].from_bytes(sent[0][:-1])


def test_eighteen_bytes_a_number_on_the_wire() -> None:
    slots = Slots.fitting(value_bits=64, terms=3, modulus_bits=2048)
    assert 512 * slots.ciphertexts(100_000) / 100_000 < 18.3
