"""AES-256 keystreams in segments."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto import prg
from federation.errors import Misuse

SEED = bytes(range(32))
SEGMENT_BLOCKS = prg.SEGMENT_BYTES // 16


def counter_block(block: int) -> bytes:
    """What AES is asked for at block number `block` of a stream."""
    segment, within = divmod(block, SEGMENT_BLOCKS)
    return segment.to_bytes(12, "big") + (2 + within).to_bytes(4, "big")


def reference(seed: bytes, blocks: int, start: int = 0) -> bytes:
    """The stream by its definition, block by block."""
    encryptor = Cipher(AES(seed), ECB()).encryptor()  # noqa: S305  counter mode by its definition
    return b"".join(encryptor.update(counter_block(i)) for i in range(start, start + blocks))


@given(sizes=st.lists(st.integers(0, 40).map(lambda blocks: 16 * blocks), min_size=1, max_size=6))
def test_the_stream_is_aes_of_the_counter_blocks_however_it_is_cut(sizes: list[int]) -> None:
    stream = prg.Keystream(SEED)
    assert b"".join(stream.words(size).tobytes() for size in sizes) == reference(SEED, sum(sizes) // 16)


def test_the_first_block_under_a_zero_key_is_the_published_one() -> None:  # the GCM specification's test case 14
    assert prg.Keystream(bytes(32)).words(16).tobytes().hex() == "cea7403d4d606b6e074ec5d3baf39d18"


def test_whole_pieces_follow_each_other_over_the_end_of_a_segment() -> None:
    stream = prg.Keystream(SEED)
    pieces = b"".join(stream.words(prg.PIECE_BYTES).tobytes() for _ in range(6))
    whole = Cipher(AES(SEED), CTR(counter_block(0))).encryptor().update(bytes(prg.SEGMENT_BYTES))
    assert pieces[: prg.SEGMENT_BYTES] == whole
    assert pieces[prg.SEGMENT_BYTES :][:1600] == reference(SEED, 100, SEGMENT_BLOCKS)


@given(before=st.integers(1, 40), blocks=st.integers(2, 80), first=st.booleans())
def test_a_piece_may_lie_in_two_segments(before: int, blocks: int, first: bool) -> None:
    start = SEGMENT_BLOCKS * (1 if first else 3) - before
    stream = prg.Keystream(SEED, 16 * start)
    found = stream.words(16 * blocks).tobytes() + stream.words(8).tobytes() + stream.words(8).tobytes()
    assert found == reference(SEED, blocks + 1, start)


def test_no_counter_block_comes_twice_near_the_ends_of_segments() -> None:
    near = [SEGMENT_BLOCKS * s + i for s in range(1, 50) for i in range(-3, 3)]
    assert len({counter_block(block) for block in near}) == len(near)
    assert 2 + SEGMENT_BLOCKS < 2**32, "the counter of a segment does not run into its number"


def test_no_byte_is_given_out_twice() -> None:
    stream = prg.Keystream(SEED)
    blocks = [stream.words(16).tobytes() for _ in range(200)]
    assert len(set(blocks)) == 200


@given(start=st.integers(0, 60), blocks=st.integers(0, 40))
def test_a_stream_entered_further_on_goes_on_as_the_whole_one_does(start: int, blocks: int) -> None:
    whole = reference(SEED, start + blocks)
    assert prg.Keystream(SEED, 16 * start).words(16 * blocks).tobytes() == whole[16 * start :]


def test_a_stream_is_entered_as_far_on_as_any_vector_is_long() -> None:
    for block in (2**32 - 1, 2**32, 2**63):
        assert prg.Keystream(SEED, 16 * block).words(32).tobytes() == reference(SEED, 2, block)


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


@pytest.mark.parametrize("size", [7, 17, -16, prg.PIECE_BYTES + 16])
def test_a_piece_has_whole_words_and_fits_the_cache(size: int) -> None:
    with pytest.raises(Misuse, match="whole words"):
        prg.Keystream(SEED).words(size)


def test_a_seed_of_another_length_is_misuse() -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        prg.Keystream(SEED[:16])
