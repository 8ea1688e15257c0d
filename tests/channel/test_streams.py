"""Bulk parts arrive in order and within the declared size, or are refused before memory is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.channel.streams import downloaded, uploads
from federation.errors import Refused
from federation.wire import bulk
from federation.wire.v1 import coordinator_service_pb2 as pb

BLOB = b"b" * 32


async def answered(messages: Sequence[Sequence[bytes]]) -> AsyncIterator[bytes]:
    for parts in messages:
        yield pb.DownloadResponse(parts=parts).SerializeToString()


def gathered(messages: Sequence[Sequence[bytes]], size_bytes: int, limit_bytes: int = 2**20) -> tuple[bytes, ...]:
    return asyncio.run(downloaded(answered(messages), size_bytes, limit_bytes))


@given(parts=st.lists(st.binary(min_size=1, max_size=50), max_size=20))
def test_parts_arrive_in_order_and_unchanged(parts: list[bytes]) -> None:
    pieces = bulk.pieces_of(parts)
    assert gathered(pieces, sum(map(len, parts))) == tuple(parts)


def test_a_message_holds_a_mebibyte_at_most() -> None:
    parts = [bytes(256 * 1024)] * 9 + [b"end"]

    async def sent() -> list[pb.UploadRequest]:
        return [pb.UploadRequest.FromString(request) async for request in uploads(BLOB, parts)]

    requests = asyncio.run(sent())
    assert [sum(map(len, request.parts)) for request in requests] == [
        bulk.PIECE_BYTES,
        bulk.PIECE_BYTES,
        256 * 1024 + 3,
    ]
    assert (requests[0].blob, requests[0].blob_bytes) == (BLOB, 9 * 256 * 1024 + 3)
    assert not requests[1].blob


@pytest.mark.parametrize(
    ("messages", "size_bytes"),
    [
        ([[b"ab", b"cd", b"e"]], 4),
        ([[b"abcde"]], 4),
        ([[b"ab"]], 4),
        ([], 4),
        ([[b"ab"], [], [b"cd"]], 4),
        ([[b"ab", b""]], 2),
    ],
)
def test_more_or_fewer_bytes_than_declared_are_refused(messages: list[list[bytes]], size_bytes: int) -> None:
    with pytest.raises(Refused) as caught:
        gathered(messages, size_bytes)
    assert caught.value.rule == "stream size"


@pytest.mark.parametrize("size_bytes", [-1, 2**40, 2**63])
def test_a_declaration_over_the_limit_is_refused_before_anything_is_read(size_bytes: int) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield

    with pytest.raises(Refused, match="declared"):
        asyncio.run(downloaded(never(), size_bytes, 2**20))
