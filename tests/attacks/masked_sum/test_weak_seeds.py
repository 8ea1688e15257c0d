"""Masks whose seeds can be tried out, as a peer makes them, and why the same search finds nothing here.

Flower's SecAgg+ (1.41, `pseudo_rand_gen`) folds a seed to 32 bits by XOR and feeds numpy's generator with it; pairwise
seeds are base64 text, so that every folded byte is below 128 and 28 bits are left: all were searched in 43 s on one
core. The generator is written again here after its description; 12 of the 28 bits are searched, the others given.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.crypto import agreement
from federation.crypto.prg import Keystream
from federation.protocols.masked_sum import masks
from tests.attacks.masked_sum.malice import is_uniform
from tests.protocols.cohort import Cohort, entropy, names

SEARCHED_BITS = 12
MODULUS = 2**32
SECRET = np.array([4_211, 65_535, 0, 123_456, 7, 99_999, 31_337, 1], dtype=np.int64)  # below 2^20, as updates are
PLAUSIBLE = 2**20


def folded(seed: bytes) -> int:
    """The seed as that generator uses it: XOR of its 32-bit words."""
    number = 0
    for start in range(0, len(seed), 4):
        number ^= int.from_bytes(seed[start : start + 4], "little")
    return number


def weak_mask(number: int, length: int) -> NDArray[np.int64]:
    """The mask that a folded seed gives."""
    state = np.random.RandomState(number)
    return state.randint(0, MODULUS - 1, length, dtype=np.int64)


def text_seed(secret: bytes) -> bytes:
    """A pairwise seed as text: base64 of 32 bytes, 44 characters."""
    return base64.urlsafe_b64encode(secret)


def candidates(known: int) -> Iterator[int]:
    """Every number that has the given high bits."""
    high = known >> SEARCHED_BITS << SEARCHED_BITS
    return (high | low for low in range(1 << SEARCHED_BITS))


def searched(
    masked: NDArray[np.int64], mask: Callable[[int], NDArray[np.int64]], known: int
) -> list[NDArray[np.int64]]:
    """Every vector that a candidate's mask leaves and that is small enough to be an update."""
    found = []
    for number in candidates(known):
        left = (masked - mask(number)) % MODULUS
        if int(left.max()) < PLAUSIBLE:
            found.append(left)
    return found


# --- the peer's masks ------------------------------------------------------------------------------------------------


def test_28_bits_are_left_of_a_seed_that_is_text() -> None:
    numbers = {folded(text_seed(hashlib.sha256(bytes([i])).digest())) for i in range(200)}
    assert all(number & 0x80808080 == 0 for number in numbers)
    assert len(numbers) == 200


def test_two_seeds_that_fold_alike_give_one_mask() -> None:
    seed = hashlib.sha256(b"a seed").digest()
    other = bytes(a ^ b for a, b in zip(seed, b"\x5a\x00\x00\x00" * 2 + bytes(24), strict=True))
    assert seed != other
    assert folded(seed) == folded(other)
    assert np.array_equal(weak_mask(folded(seed), 8), weak_mask(folded(other), 8))


def test_a_vector_under_a_folded_seed_is_found_exactly() -> None:
    secret = folded(text_seed(hashlib.sha256(b"of a pair").digest()))
    masked = (SECRET + weak_mask(secret, len(SECRET))) % MODULUS
    found = searched(masked, lambda number: weak_mask(number, len(SECRET)), known=secret)
    assert len(found) == 1
    assert np.array_equal(found[0], SECRET)


# --- ours ------------------------------------------------------------------------------------------------------------


def our_masked() -> tuple[NDArray[np.int64], bytes]:
    """The low half words of a masked vector of ours, all of whose masks but one are taken off; and that one's seed.

    That is the best case for whoever searches: it knows everything but one pair's seed.
    """
    cohort = Cohort(3, len(SECRET))
    used: list[masks.Streams] = []
    with pytest.MonkeyPatch.context() as patch:
        blind = masks.masked
        patch.setattr(masks, "masked", lambda vector, ring, on: (used.append(on), blind(vector, ring, on))[1])
        cohort.shared()
        chunks = cohort.contribute("p1", SECRET.tolist()).chunks
    own, last = used[0].add
    off = masks.Streams(add=used[0].subtract, subtract=(own,))
    left, _ = masks.masked(b"".join(chunks), "z2^128", off)
    return words_of(b"".join(left)), last


def words_of(data: bytes) -> NDArray[np.int64]:
    """The lowest 32 bits of every element."""
    return np.frombuffer(data, dtype="<u4")[::4].astype(np.int64)


def our_mask(seed: bytes) -> NDArray[np.int64]:
    return words_of(Keystream(seed).words(16 * len(SECRET)).tobytes())


def expanded(number: int) -> bytes:
    """A seed of ours that has only the bits of a folded one."""
    return number.to_bytes(32, "big")


def test_the_same_search_against_our_mask_finds_nothing() -> None:
    masked, seed = our_masked()
    for mask in (
        lambda number: weak_mask(number, len(SECRET)),
        lambda number: our_mask(expanded(number)),
        lambda number: our_mask(hashlib.sha256(expanded(number)).digest()),
    ):
        assert searched(masked, mask, known=folded(seed)) == []
    assert np.array_equal((masked - our_mask(seed)) % MODULUS, SECRET), "it is under that seed and nothing else"


def test_the_planted_fault_of_a_folded_seed_of_ours_is_found_by_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    real = masks.pair_seed
    monkeypatch.setattr(masks, "pair_seed", lambda *arguments: expanded(folded(real(*arguments)) & 0x7F7F7F7F))
    masked, seed = our_masked()
    found = searched(masked, lambda number: our_mask(expanded(number)), known=int.from_bytes(seed, "big"))
    assert len(found) == 1
    assert np.array_equal(found[0], SECRET)


def test_every_bit_of_a_seed_changes_the_whole_stream() -> None:
    seed = hashlib.sha256(b"any seed").digest()
    base = Keystream(seed).words(512).tobytes()
    for bit in range(256):
        other = (int.from_bytes(seed, "big") ^ 1 << bit).to_bytes(32, "big")
        stream = Keystream(other).words(512).tobytes()
        differing = sum((a ^ b).bit_count() for a, b in zip(base, stream, strict=True))
        assert 1_800 < differing < 2_300, "half of 4,096 bits"


def test_seeds_that_fold_alike_give_unrelated_streams() -> None:
    """What kills the peer: k and k XOR a pattern that folds to nothing."""
    seed = hashlib.sha256(b"any seed").digest()
    for pattern in (b"\x5a\x00\x00\x00" * 2, b"\xff" * 8, b"\x01\x00\x00\x00" * 2):
        for start in range(0, 28, 4):
            other = bytearray(seed)
            for place, byte in enumerate(pattern):
                other[start + place] ^= byte
            assert folded(bytes(other)) == folded(seed)
            streams = [np.frombuffer(Keystream(bytes(k)).words(1 << 17).tobytes(), dtype="u1") for k in (seed, other)]
            assert is_uniform((streams[0] - streams[1]).tobytes())


def test_seeds_of_real_sums_have_32_bytes_that_look_like_256_bits() -> None:
    """Of many pairs and parties: every bit is one about as often as not, and no two are equal."""
    seen: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        blind = masks.masked
        patch.setattr(
            masks, "masked", lambda vector, ring, on: (seen.extend((*on.add, *on.subtract)), blind(vector, ring, on))[1]
        )
        for index in range(20):
            cohort = Cohort(7, round_index=index)
            cohort.shared()
            for name in names(7):
                cohort.contribute(name, [0])
    seeds = sorted(set(seen))
    assert {len(seed) for seed in seeds} == {32}
    assert len(seeds) == 20 * (7 + 21)
    bits = np.unpackbits(np.frombuffer(b"".join(seeds), dtype=np.uint8).reshape(-1, 32), axis=1)
    ones = bits.sum(axis=0)
    assert len(ones) == 256
    spread = 6 * (len(seeds) / 4) ** 0.5
    assert all(abs(int(count) - len(seeds) / 2) < spread for count in ones)


def test_a_secret_of_a_party_depends_on_every_bit_of_its_entropy() -> None:
    setup = Cohort(3).setup
    base = masks.secrets_of(entropy("p0"), setup)
    for bit in range(256):
        other = (int.from_bytes(entropy("p0"), "big") ^ 1 << bit).to_bytes(32, "big")
        changed = masks.secrets_of(other, setup)
        assert changed.seed != base.seed
        assert changed.mask_private != base.mask_private


def test_the_planted_fault_of_entropy_that_is_cut_short_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = agreement.derive
    monkeypatch.setattr(agreement, "derive", lambda secret, info, *rest, **more: real(secret[:4], info, *rest, **more))
    with pytest.raises(AssertionError):
        test_a_secret_of_a_party_depends_on_every_bit_of_its_entropy()
