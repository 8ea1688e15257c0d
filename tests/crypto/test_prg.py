"""AES-256-CTR keystreams."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import prg, ring
from federation.errors import Misuse

SEED = bytes(range(32))


def reference(seed: bytes, blocks: int) -> bytes:
    """AES-256 of the big-endian block numbers 0, 1, 2, ..."""
    encryptor = Cipher(AES(seed), ECB()).encryptor()  # noqa: S305  counter mode by its definition, block by block
    return b"".join(encryptor.update(i.to_bytes(16, "big")) for i in range(blocks))


@given(sizes=st.lists(st.integers(0, 40).map(lambda blocks: 16 * blocks), min_size=1, max_size=6))
def test_the_stream_is_aes_of_the_block_numbers_however_it_is_cut(sizes: list[int]) -> None:
    stream = prg.Keystream(SEED)
    pieces = b"".join(ring.to_bytes(stream.piece(size)) for size in sizes)
    assert pieces == reference(SEED, sum(sizes) // 16)


def test_the_first_block_under_a_zero_key_is_the_published_one() -> None:  # AES-256 of zero, GCM specification test 13
    assert ring.to_bytes(prg.Keystream(bytes(32)).piece(16)).hex() == "dc95c078a2408989ad48a21492842087"


def test_whole_pieces_follow_each_other() -> None:
    stream = prg.Keystream(SEED)
    both = ring.to_bytes(stream.piece(prg.PIECE_BYTES)) + ring.to_bytes(stream.piece(prg.PIECE_BYTES))
    assert both == reference(SEED, 2 * prg.PIECE_BYTES // 16)


def test_no_byte_is_given_out_twice() -> None:
    stream = prg.Keystream(SEED)
    blocks = [ring.to_bytes(stream.piece(16)) for _ in range(200)]
    assert len(set(blocks)) == 200


@given(start=st.integers(0, 60), blocks=st.integers(0, 40))
def test_a_stream_entered_further_on_goes_on_as_the_whole_one_does(start: int, blocks: int) -> None:
    whole = reference(SEED, start + blocks)
    assert prg.Keystream(SEED, 16 * start).words(16 * blocks).tobytes() == whole[16 * start :]


def test_a_stream_is_entered_as_far_on_as_any_vector_is_long() -> None:
    encryptor = Cipher(AES(SEED), ECB()).encryptor()  # noqa: S305  counter mode by its definition
    for block in (2**32 - 1, 2**32, 2**63):
        found = prg.Keystream(SEED, 16 * block).words(32).tobytes()
        assert found == encryptor.update(block.to_bytes(16, "big")) + encryptor.update((block + 1).to_bytes(16, "big"))


@pytest.mark.parametrize("start", [-16, 8, 15, 17, 2**68])
def test_a_stream_is_entered_at_whole_blocks(start: int) -> None:
    with pytest.raises(Misuse, match="entered at a multiple of 16"):
        prg.Keystream(SEED, start)


@given(sizes=st.lists(st.integers(0, 50).map(lambda words: 8 * words), max_size=6))
def test_words_may_end_within_a_block(sizes: list[int]) -> None:
    stream = prg.Keystream(SEED)
    found = b"".join(stream.words(size).tobytes() for size in sizes)
    assert found == reference(SEED, len(found) // 16 + 1)[: len(found)]


def test_streams_that_share_a_buffer_give_the_same_bytes_one_after_another() -> None:
    buffer = prg.room(64)
    one, two = prg.Keystream(SEED, buffer=buffer), prg.Keystream(bytes(32), buffer=buffer)
    found = [stream.words(64).tobytes() for stream in (one, two, one)]
    assert found == [reference(SEED, 4), reference(bytes(32), 4), reference(SEED, 8)[64:]]
    assert one.words(prg.PIECE_BYTES).tobytes() == reference(SEED, 8 + prg.PIECE_BYTES // 16)[128:], "a longer one"


@pytest.mark.parametrize("size", [8, 17, -16, prg.PIECE_BYTES + 16])
def test_a_piece_has_whole_blocks_and_fits_the_cache(size: int) -> None:
    with pytest.raises(Misuse, match="whole blocks"):
        prg.Keystream(SEED).piece(size)


def test_a_seed_of_another_length_is_misuse() -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        prg.Keystream(SEED[:16])
