"""Transfers: the chooser gets the pad of its bit and not the other one, the sender does not see which."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import gmpy2
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from federation.crypto import blinding, ot
from federation.crypto.ot import DEPTH, LEAVES, MOST_WORDS, ROWS, TREES, BadTransfer, Forest, Pruned
from federation.errors import Misuse

CONTEXT = hashlib.sha256(b"one pair").digest()
CHOOSER, SENDER = b"c" * 32, b"s" * 32
MODULI = (1, 2, 3, 255, 32749, 65521, 65535)


def seeded(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def pair_of(chooser: bytes = CHOOSER, sender: bytes = SENDER, context: bytes = CONTEXT) -> tuple[Forest, Pruned]:
    """What both keep after the three messages."""
    offered = ot.offer(chooser, context)
    replied = ot.reply(sender, context, offered)
    sums, forest = ot.grown(chooser, context, replied)
    return forest, ot.pruned(sender, context, offered, sums)


@pytest.fixture(scope="module")
def pair() -> tuple[Forest, Pruned]:
    return pair_of()


def drawn(words: int, salt: str = "", modulus: int | None = None) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Choices and moduli of so many words."""
    choices = np.frombuffer(hashlib.shake_256(f"choices {salt}".encode()).digest(8 * words), dtype="<u8")
    return choices, np.resize(np.array(modulus or MODULI, dtype=np.uint64), (1, words))


def bits_of(choices: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """The choice of transfer (i, w)."""
    return (choices[None] >> np.arange(ROWS, dtype=np.uint64)[:, None] & np.uint64(1)).astype(bool)


def pad_slowly(forest: Forest, use: int, row: int, word: int, words: int, modulus: int) -> int:
    """The chooser's pad of one transfer, of at most MOST_WORDS words, in Python's integers."""
    number = 64 * word + row  # the bit of every stream that belongs to this transfer
    block = 0
    for tree in range(TREES):
        for leaf in range(LEAVES):
            seed = forest.seeds[(tree * LEAVES + leaf) * 32 : (tree * LEAVES + leaf + 1) * 32]
            stream = stream_byte(seed, use, number // 8)
            block ^= (leaf if stream >> number % 8 & 1 else 0) << DEPTH * tree
    hashed = slow_hash(forest.context, block, (row * words + word) | use << 64)
    limbs = (hashed & (1 << 64) - 1) >> 16, hashed >> 64 >> 16
    return (limbs[0] + (limbs[1] << 48)) * modulus >> 96


def stream_byte(seed: bytes, use: int, place: int) -> int:
    counter = use.to_bytes(8, "big") + (place // 16).to_bytes(8, "big")
    return Cipher(algorithms.AES(seed), modes.CTR(counter)).encryptor().update(bytes(16))[place % 16]


def slow_hash(context: bytes, block: int, tweak: int) -> int:
    framed = b"federation/ot/v1" + b"".join(len(part).to_bytes(8, "big") + part for part in (b"pi", context))
    cipher = Cipher(algorithms.AES(hashlib.sha256(framed).digest()[:16]), modes.ECB())  # noqa: S305 - the bare permutation

    def pi(x: int) -> int:
        return int.from_bytes(cipher.encryptor().update(x.to_bytes(16, "little")), "little")

    return pi(pi(block) ^ tweak) ^ pi(block)


# --- base transfers --------------------------------------------------------------------------------------------------


def test_the_group_is_the_one_of_rfc_3526() -> None:
    prime = ot._prime()
    assert prime.bit_length() == 3072
    assert gmpy2.is_prime(prime)
    assert gmpy2.is_prime((prime - 1) // 2)
    assert gmpy2.jacobi(ot.GENERATOR, prime) == 1
    assert f"{prime:x}".startswith("ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74")
    assert f"{prime:x}".endswith("43db5bfce0fd108e4b82d120a93ad2caffffffffffffffff")


def test_the_sender_has_every_leaf_but_one_of_every_tree(pair: tuple[Forest, Pruned]) -> None:
    forest, trees = pair
    for tree, missing in enumerate(ot._places(trees.delta)):
        for leaf in range(LEAVES):
            at = slice((tree * LEAVES + leaf) * 32, (tree * LEAVES + leaf + 1) * 32)
            assert (trees.seeds[at] == forest.seeds[at]) is (leaf != missing)
            assert (trees.seeds[at] == bytes(32)) is (leaf == missing)
    assert len({forest.seeds[at : at + 32] for at in range(0, len(forest.seeds), 32)}) == TREES * LEAVES


def test_equal_secrets_give_equal_bytes_and_another_context_gives_others() -> None:
    forest, trees = pair_of()
    assert (forest, trees) == pair_of()
    other, pruned = pair_of(context=seeded("another pair"))
    assert other.seeds != forest.seeds
    assert pruned.delta != trees.delta
    assert ot.offer(CHOOSER, CONTEXT) != ot.offer(SENDER, CONTEXT)


def test_powers_by_the_table_are_powers() -> None:
    prime = ot._prime()
    base = gmpy2.powmod(2, 12345, prime)
    exponents = [gmpy2.mpz(e) for e in (0, 1, 31, 32, (1 << 256) - 1, int.from_bytes(seeded("e"), "big"))]
    assert ot._powers_of(base, exponents) == [gmpy2.powmod(base, e, prime) for e in exponents]


def test_nothing_that_is_no_element_of_the_group_is_taken() -> None:
    prime, size = int(ot._prime()), ot.GROUP_BYTES
    good = ot.offer(CHOOSER, CONTEXT)
    no_square = next(number for number in range(2, 99) if gmpy2.jacobi(number, prime) == -1)
    for bad in (0, 1, prime - 1, prime, prime + 4, no_square):
        element = bad.to_bytes(size, "big")
        with pytest.raises(BadTransfer):
            ot.reply(SENDER, CONTEXT, element)
        with pytest.raises(BadTransfer):
            ot.grown(CHOOSER, CONTEXT, good * 127 + element)
        with pytest.raises(BadTransfer):
            ot.pruned(SENDER, CONTEXT, element, bytes(2 * 128 * 32))
    for length in (good[1:], good + b"\0", b""):
        with pytest.raises(BadTransfer):
            ot.reply(SENDER, CONTEXT, length)
    with pytest.raises(BadTransfer):
        ot.pruned(SENDER, CONTEXT, good, bytes(2 * 128 * 32 - 1))


def test_secrets_and_contexts_of_another_length_are_misuse() -> None:
    with pytest.raises(Misuse):
        ot.offer(b"short", CONTEXT)
    with pytest.raises(Misuse):
        ot.offer(CHOOSER, b"short")


def test_a_swapped_side_of_a_base_transfer_gives_other_trees(pair: tuple[Forest, Pruned]) -> None:
    """The fault: whoever takes the sum of the side that leads to its missing leaf decrypts noise."""
    offered = ot.offer(CHOOSER, CONTEXT)
    sums, forest = ot.grown(CHOOSER, CONTEXT, ot.reply(SENDER, CONTEXT, offered))
    swapped = b"".join(sums[at + 32 : at + 64] + sums[at : at + 32] for at in range(0, len(sums), 64))
    wrong = ot.pruned(SENDER, CONTEXT, offered, swapped)
    choices, moduli = drawn(16, modulus=65521)
    message, pads = ot.choose(forest, 0, choices, moduli)
    assert agreeing(choices, pads, *ot.answer(wrong, 0, message, moduli)) < 0.1


# --- extension -------------------------------------------------------------------------------------------------------


def agreeing(choices, pads, zeros, ones) -> float:
    """The share of transfers in which the chooser has the pad of its bit."""
    return float((pads == np.where(bits_of(choices), ones, zeros)).mean())


@pytest.mark.parametrize("words", [1, 2, 3, 16, MOST_WORDS - 1, MOST_WORDS, MOST_WORDS + 1, 2 * MOST_WORDS + 7])
def test_the_chooser_has_the_pad_of_its_bit_and_not_the_other(words: int, pair: tuple[Forest, Pruned]) -> None:
    choices, moduli = drawn(words, "pads")
    message, pads = ot.choose(pair[0], 7, choices, moduli)
    zeros, ones = ot.answer(pair[1], 7, message, moduli)
    assert len(message) == ot.message_bytes(words) == 4 * ROWS * words  # 4 bytes a transfer; IKNP takes 16
    assert agreeing(choices, pads, zeros, ones) == 1
    assert (zeros < moduli).all()
    assert (ones < moduli).all()
    wide = moduli[0] > 1000
    assert agreeing(~choices[wide], pads[:, wide], zeros[:, wide], ones[:, wide]) < 0.01 if wide.any() else True


def test_moduli_may_be_of_every_transfer(pair: tuple[Forest, Pruned]) -> None:
    choices, _ = drawn(5, "each")
    moduli = np.resize(np.array(MODULI, dtype=np.uint64), (ROWS, 5))
    message, pads = ot.choose(pair[0], 8, choices, moduli)
    zeros, ones = ot.answer(pair[1], 8, message, moduli)
    assert agreeing(choices, pads, zeros, ones) == 1
    assert (np.maximum(zeros, ones) < moduli).all()
    assert {int(row) for row in pads[moduli == 2]} == {0, 1}


def test_pads_are_what_the_formula_says(pair: tuple[Forest, Pruned]) -> None:
    choices, moduli = drawn(8, "slow")
    message, pads = ot.choose(pair[0], 3, choices, moduli)
    for row, word in ((0, 0), (63, 7), (1, 5), (31, 6)):
        assert pads[row, word] == pad_slowly(pair[0], 3, row, word, 8, int(moduli[0, word]))
    zeros, _ = ot.answer(pair[1], 3, message, moduli)
    assert (zeros == pads)[~bits_of(choices)].all()


def test_pads_spread_evenly_over_their_modulus(pair: tuple[Forest, Pruned]) -> None:
    choices, moduli = drawn(2048, "even", modulus=251)
    _, pads = ot.choose(pair[0], 9, choices, moduli)
    counts = np.bincount(pads.reshape(-1), minlength=251)
    expected = pads.size / 251
    assert len(counts) == 251
    assert ((counts - expected) ** 2 / expected).sum() < 350  # chi-square, 250 degrees: 350 is 4.5 sigma


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), st.sampled_from(MODULI))
def test_any_choices_uses_and_moduli_agree(raw: bytes, use: int, modulus: int) -> None:
    choices, moduli = np.frombuffer(raw, dtype="<u8"), np.full((1, 2), modulus, dtype=np.uint64)
    forest, trees = kept_pair()
    message, pads = ot.choose(forest, use, choices, moduli)
    assert agreeing(choices, pads, *ot.answer(trees, use, message, moduli)) == 1


@lru_cache
def kept_pair() -> tuple[Forest, Pruned]:
    return pair_of(seeded("chooser"), seeded("sender"))


def test_threads_change_nothing(pair: tuple[Forest, Pruned]) -> None:
    choices, moduli = drawn(3 * MOST_WORDS + 5, "threads")
    message, pads = ot.choose(pair[0], 11, choices, moduli)
    zeros, ones = ot.answer(pair[1], 11, message, moduli)
    with lent_threads():
        again, same = ot.choose(pair[0], 11, choices, moduli)
        both = ot.answer(pair[1], 11, message, moduli)
    assert again == message
    assert (same == pads).all()
    assert (both[0] == zeros).all()
    assert (both[1] == ones).all()


class lent_threads:  # noqa: N801 - reads as what it does
    def __enter__(self) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._back = blinding.lend(self._pool.map)

    def __exit__(self, *_: object) -> None:
        self._back()
        self._pool.shutdown()


def test_two_messages_of_one_use_show_how_their_choices_differ_and_of_two_uses_nothing(
    pair: tuple[Forest, Pruned],
) -> None:
    """The fault of a reused number, at the sender."""
    choices, moduli = drawn(4, "hidden")
    first, other = (ot.choose(pair[0], 20, words, moduli)[0] for words in (choices, np.zeros_like(choices)))
    leaked = (np.frombuffer(first, dtype="<u8") ^ np.frombuffer(other, dtype="<u8")).reshape(TREES, -1)
    assert (leaked == choices).all()
    apart, _ = ot.choose(pair[0], 21, np.zeros_like(choices), moduli)
    fresh = np.frombuffer(first, dtype=np.uint8) ^ np.frombuffer(apart, dtype=np.uint8)
    assert 0.4 < np.unpackbits(fresh).mean() < 0.6


def test_pads_of_one_use_repeat_and_of_two_uses_do_not(pair: tuple[Forest, Pruned]) -> None:
    """The fault of a reused number, at the chooser: two corrections under equal pads show how two secrets differ."""
    choices, moduli = drawn(16, "reuse", modulus=65521)
    (_, one), (_, again), (_, fresh) = (ot.choose(pair[0], use, choices, moduli) for use in (50, 50, 51))
    assert (one == again).all()
    assert (one == fresh).mean() < 0.01


# --- planted faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["tweak", "use", "choice", "delta", "context", "order"])
def test_a_fault_between_the_two_is_noise(
    fault: str, pair: tuple[Forest, Pruned], monkeypatch: pytest.MonkeyPatch
) -> None:
    forest, trees = pair
    choices, moduli = drawn(32, "faults", modulus=65521)
    message, pads = ot.choose(forest, 30, choices, moduli)
    use, told = 30, choices
    match fault:
        case "tweak":
            original = ot._Desk.lay

            def shifted(desk: ot._Desk, piece: range) -> None:
                original(desk, piece)
                desk._tweaks[0::2] += np.uint64(1)

            monkeypatch.setattr(ot._Desk, "lay", shifted)
        case "use":
            use = 31
        case "choice":
            told = ~choices
        case "delta":
            trees = replace(trees, delta=trees.delta[::-1])
        case "context":
            trees = replace(trees, context=seeded("another"))
        case "order":
            message = message[::-1]
    zeros, ones = ot.answer(trees, use, message, moduli)
    # A sender whose message alone is wrong still has the pads of whoever chose 0.
    assert agreeing(told, pads, zeros, ones) < (0.6 if fault in {"delta", "order"} else 0.05)


def test_one_swapped_choice_bit_spoils_one_pad(pair: tuple[Forest, Pruned]) -> None:
    choices, moduli = drawn(8, "bit", modulus=65521)
    message, pads = ot.choose(pair[0], 40, choices, moduli)
    words = np.frombuffer(message, dtype="<u8").reshape(TREES, -1).copy()
    words[:, 5] ^= np.uint64(1 << 17)
    zeros, ones = ot.answer(pair[1], 40, words.tobytes(), moduli)
    assert np.argwhere(pads != np.where(bits_of(choices), ones, zeros)).tolist() == [[17, 5]]


@pytest.mark.parametrize(
    ("shape", "use", "modulus"),
    [((1, 3), 0, 3), ((2, 2), 0, 3), ((1, 2), -1, 3), ((1, 2), 1 << 32, 3), ((1, 2), 0, 1 << 16), ((1, 2), 0, 0)],
)
def test_other_shapes_uses_and_moduli_are_misuse(
    shape: tuple[int, int], use: int, modulus: int, pair: tuple[Forest, Pruned]
) -> None:
    with pytest.raises(Misuse):
        ot.choose(pair[0], use, np.zeros(2, dtype=np.uint64), np.full(shape, modulus, dtype=np.uint64))


def test_a_message_of_another_length_is_refused(pair: tuple[Forest, Pruned]) -> None:
    choices, moduli = drawn(4)
    message, _ = ot.choose(pair[0], 60, choices, moduli)
    for wrong in (message[:-1], message + b"\0", b""):
        with pytest.raises(BadTransfer):
            ot.answer(pair[1], 60, wrong, moduli)


def test_no_repr_shows_a_secret(pair: tuple[Forest, Pruned]) -> None:
    forest, trees = pair
    assert repr(forest.seeds[:8])[2:-1] not in repr(forest)
    assert "delta" not in repr(trees)
    assert "seeds" not in repr(trees)


@pytest.fixture(autouse=True)
def _nothing_stays_lent() -> Iterator[None]:
    before = blinding.lent()
    yield
    assert blinding.lent() is before
