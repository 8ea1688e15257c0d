"""Pieces of a vector arrive as one buffer of the declared size, or are refused before memory is taken."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.channel.streams import PIECE_BYTES, Gathering, gathered, gathered_async, pieces
from federation.errors import Misuse, Refused


@given(content=st.binary(max_size=200), size_bytes=st.integers(1, 64))
def test_pieces_gather_to_what_was_cut(content: bytes, size_bytes: int) -> None:
    cut = list(pieces(content, size_bytes=size_bytes))
    assert all(len(piece) == size_bytes for piece in cut[:-1])
    assert gathered(cut, len(content), 200) == content


def test_an_array_is_cut_into_half_mebibytes() -> None:
    vector = np.arange(200_000, dtype="<u8").reshape(-1, 2)
    cut = list(pieces(vector))
    assert [len(piece) for piece in cut] == [PIECE_BYTES] * 3 + [vector.nbytes - 3 * PIECE_BYTES]
    assert np.array_equal(np.frombuffer(gathered(cut, vector.nbytes, vector.nbytes), "<u8").reshape(-1, 2), vector)


def test_an_empty_array_has_no_pieces() -> None:
    assert list(pieces(np.zeros((0, 2), "<u8"))) == []
    assert gathered([], 0, 10) == b""


def test_an_array_with_gaps_is_refused() -> None:
    with pytest.raises(Misuse, match="contiguous"):
        list(pieces(np.zeros((4, 4))[:, ::2]))


@pytest.mark.parametrize(
    ("stream", "size_bytes"),
    [([b"ab", b"cd", b"e"], 4), ([b"abcde"], 4), ([b"ab"], 4), ([], 4), ([b"ab", b"", b"cd"], 4), ([b""], 0)],
)
def test_more_or_fewer_bytes_than_declared_are_refused(stream: list[bytes], size_bytes: int) -> None:
    with pytest.raises(Refused) as caught:
        gathered(stream, size_bytes, 100)
    assert caught.value.rule == "stream size"


@pytest.mark.parametrize("size_bytes", [-1, 2**40, 2**63])
def test_a_declaration_over_the_limit_is_refused_before_memory_is_taken(size_bytes: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="declared"):
            Gathering(size_bytes, 2**20)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_stream_that_goes_on_is_left_at_the_first_byte_too_many() -> None:
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 10

    with pytest.raises(Refused):
        gathered(endless(), 35, 100)
    assert taken == 4


def test_an_asynchronous_stream_is_gathered_alike() -> None:
    async def stream() -> AsyncIterator[bytes]:
        for piece in (b"ab", b"c"):
            yield piece

    assert asyncio.run(gathered_async(stream(), 3, 3)) == b"abc"
    with pytest.raises(Refused):
        asyncio.run(gathered_async(stream(), 4, 4))
