"""Pieces of long vectors are protobuf's messages, byte for byte, and nothing else is taken for one."""

from __future__ import annotations

from collections import Counter

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.wire import pieces
from federation.wire.fields import Malformed
from federation.wire.v1 import coordinator_service_pb2 as pb

PARTS = st.lists(st.binary(max_size=300), max_size=6)


@given(parts=PARTS, blob=st.binary(max_size=200), size=st.integers(0, 2**64 - 1))
def test_an_upload_has_the_bytes_that_protobuf_gives_it(parts: list[bytes], blob: bytes, size: int) -> None:
    theirs = pb.UploadRequest(blob=blob, blob_bytes=size, parts=parts).SerializeToString()
    assert pieces.upload_bytes(parts, blob, size) == theirs
    assert pieces.upload_of(theirs) == pieces.Piece(tuple(parts), blob, size)


@given(parts=PARTS)
def test_a_download_has_the_bytes_that_protobuf_gives_it(parts: list[bytes]) -> None:
    theirs = pb.DownloadResponse(parts=parts).SerializeToString()
    assert pieces.download_bytes(parts) == theirs
    assert pieces.download_of(theirs) == pieces.Piece(tuple(parts))


ENDINGS: Counter[str] = Counter()


@settings(max_examples=1500)
@given(
    data=st.one_of(
        st.binary(max_size=30),
        st.tuples(PARTS, st.binary(max_size=40), st.integers(0, 300), st.integers(0, 255)).map(
            lambda drawn: (
                (whole := pb.UploadRequest(blob=drawn[1], blob_bytes=drawn[2], parts=drawn[0]).SerializeToString())[
                    : drawn[2] % (len(whole) + 1)
                ]
                + bytes((drawn[3],))
                + whole[drawn[2] % (len(whole) + 1) + 1 :]
            )
        ),
    )
)
def test_whatever_is_read_is_what_protobuf_reads(data: bytes) -> None:
    """Ours reads less than protobuf does, and never something else."""
    try:
        found = pieces.upload_of(data)
    except Malformed as fault:
        ENDINGS[str(fault)[:40]] += 1
        return
    ENDINGS["read"] += 1
    theirs = pb.UploadRequest.FromString(data)
    assert found == pieces.Piece(tuple(theirs.parts), theirs.blob, theirs.blob_bytes)


def test_every_ending_was_reached() -> None:
    test_whatever_is_read_is_what_protobuf_reads()
    assert len(ENDINGS) >= 4, ENDINGS
    assert ENDINGS["read"] > 50


PART = b"\x1a\x03abc"


@pytest.mark.parametrize(
    "data",
    [
        b"\x1a",  # no length
        b"\x1a\x04abc",  # one byte short
        b"\x1a" + b"\xff" * 10 + b"\x01",  # a length that does not end
        b"\x1a" + b"\xff" * 9 + b"\x7f",  # more than 64 bits
        b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # 2^64 - 1 bytes
        PART + b"\x0a\x01b",  # an id after a part
        PART + b"\x10\x05",  # a size after a part
        b"\x0a\x01a\x0a\x01b",  # two ids
        b"\x10\x05\x10\x06",  # two sizes
        b"\x10\x05\x0a\x01b",  # the size before the id
        b"\x22\x01a",  # another field
        b"\x1b\x1c",  # a group
        b"\x0a\x05ab",  # an id that ends too early
    ],
)
def test_what_is_not_such_a_message_is_refused_without_a_byte_of_it(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        pieces.upload_of(data)
    assert "abc" not in str(caught.value)


def test_a_download_has_no_id() -> None:
    assert pieces.download_of(b"\x0a\x01a").parts == (b"a",)
    with pytest.raises(Malformed):
        pieces.download_of(b"\x12\x01a")
    with pytest.raises(DecodeError):
        pb.DownloadResponse.FromString(b"\x0a\x05a")
