"""Bulk bytes between their stream and their frame: counted before they are held, kept once, handed out once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.channel import streams
from federation.coordinator import access, blobs, services
from federation.coordinator.blobs import Blobs
from federation.coordinator.bulk_files import DiskSpool
from federation.coordinator.services import CoordinatorService
from federation.domain.job import State
from federation.errors import FederationError, ProtocolViolation, Unavailable
from federation.wire import bulk, convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from federation.wire.v1 import coordinator_service_pb2 as pb
from tests.coordinator.stage import Stage, people, roster

ONE, TWO = b"1" * 32, b"2" * 32


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit that a test can reach."""
    monkeypatch.setattr(blobs, "MOST_BYTES", 100)
    return 100


# --- the heap --------------------------------------------------------------------------------------------------------


def test_a_blob_is_handed_out_once_and_only_to_its_party() -> None:
    held = Blobs()
    held.keep("macao", ONE, (b"a", b"bc"))
    assert held.take("hongkong", ONE) is None
    assert held.take("macao", TWO) is None
    assert held.take("macao", ONE) == (b"a", b"bc")
    assert held.take("macao", ONE) is None


def test_a_party_cannot_let_more_pile_up_than_the_bound_and_others_have_their_own(small: int) -> None:
    held = Blobs()
    held.keep("macao", ONE, (bytes(60),))
    with pytest.raises(ProtocolViolation, match="a blob of bounded size") as caught:
        held.keep("macao", TWO, (bytes(41),))
    assert caught.value.party == "macao"
    held.keep("macao", TWO, (bytes(40),))
    held.keep("hongkong", ONE, (bytes(small),))
    assert held.take("macao", ONE) == (bytes(60),)
    held.keep("macao", b"3" * 32, (bytes(60),))


def test_the_same_id_again_takes_the_place_of_the_first_and_counts_once(small: int) -> None:
    held = Blobs()
    for _ in range(5):
        held.keep("macao", ONE, (bytes(60),))
    assert held.take("macao", ONE) == (bytes(60),)
    held.keep("macao", TWO, (bytes(small),))


def test_a_closed_line_frees_everything_of_its_party(small: int) -> None:
    held = Blobs()
    held.keep("macao", ONE, (bytes(60),))
    held.keep("hongkong", ONE, (bytes(60),))
    held.drop("macao")
    assert held.take("macao", ONE) is None
    held.keep("macao", TWO, (bytes(small),))
    assert held.take("hongkong", ONE) == (bytes(60),)
    held.drop("nobody")


@pytest.mark.parametrize("blob", [b"", b"1" * 31, b"1" * 33])
def test_an_id_that_is_none_is_refused(blob: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Blobs().keep("macao", blob, (b"",))


def test_room_is_held_while_bytes_arrive_and_freed_however_that_ends(small: int) -> None:
    held = Blobs()
    with held.room("macao", ONE, 60):
        with pytest.raises(ProtocolViolation), held.room("macao", TWO, 41):
            pass
        with held.room("macao", TWO, 40):
            pass
    with pytest.raises(KeyboardInterrupt), held.room("macao", ONE, small):
        raise KeyboardInterrupt
    with held.room("macao", ONE, small):
        held.drop("macao")  # the line breaks while its stream still runs
    with held.room("macao", ONE, small):
        pass


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["keep", "take", "drop"]), st.sampled_from([ONE, TWO]), st.integers(0, 80)),
        max_size=20,
    )
)
def test_what_is_held_is_never_more_than_the_bound(steps: list[tuple[str, bytes, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blobs, "MOST_BYTES", 100)
        held, model = Blobs(), dict[bytes, int]()
        for what, blob, size in steps:
            if what == "drop":
                held.drop("macao")
                model.clear()
            elif what == "take":
                found = held.take("macao", blob)
                assert (found is None) == (blob not in model)
                model.pop(blob, None)
            else:
                fits = sum(s for b, s in model.items() if b != blob) + size <= 100
                model.pop(blob, None)
                try:
                    held.keep("macao", blob, (bytes(size),))
                    model[blob] = size
                except ProtocolViolation:
                    assert not fits
                else:
                    assert fits
            assert sum(map(len, [p for parts in held._parts.values() for p in parts])) == sum(model.values()) <= 100


# --- the service -----------------------------------------------------------------------------------------------------


def service(stage: Stage | None = None) -> CoordinatorService:
    made = CoordinatorService(roster(), "test", lambda *_: None, lambda _: None)
    if stage is not None:
        made.driver = stage.coordinator
    return made


async def given_(requests: Sequence[pb.UploadRequest]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request.SerializeToString()


def called_by(party: str, call: Any) -> Any:
    """Run a coroutine as the interceptor would, for a member."""

    async def inside() -> Any:
        access._caller.set(people()[party].member)
        return await call

    return asyncio.run(inside())


def uploaded(to: CoordinatorService, requests: Sequence[pb.UploadRequest], party: str = "macao") -> None:
    called_by(party, to.Upload(given_(requests), None))  # type: ignore[arg-type]


async def all_of(stream: Any) -> list[Any]:
    return [item async for item in stream]


def test_what_a_party_uploads_waits_for_its_frame() -> None:
    at = service()
    parts = [bytes([i]) * 300_000 for i in range(9)]
    requests = [pb.UploadRequest.FromString(one) for one in asyncio.run(all_of(streams.uploads(ONE, parts)))]
    assert len(requests) > 2, "more than one piece"
    uploaded(at, requests)
    assert at._blobs.take("macao", ONE) == tuple(parts)


BAD: dict[str, list[pb.UploadRequest]] = {
    "nothing": [],
    "fewer": [pb.UploadRequest(blob=ONE, blob_bytes=5, parts=[b"four"])],
    "more": [pb.UploadRequest(blob=ONE, blob_bytes=3, parts=[b"four"])],
    "more_later": [pb.UploadRequest(blob=ONE, blob_bytes=5, parts=[b"four"]), pb.UploadRequest(parts=[b"four"])],
    "no_id": [pb.UploadRequest(blob=b"", blob_bytes=4, parts=[b"four"])],
    "an_id_later": [
        pb.UploadRequest(blob=b"", blob_bytes=4, parts=[b"four"]),
        pb.UploadRequest(blob=ONE, blob_bytes=4, parts=[b"four"]),
    ],
    "a_short_id": [pb.UploadRequest(blob=b"1", blob_bytes=4, parts=[b"four"])],
    "more_than_the_bound": [pb.UploadRequest(blob=ONE, blob_bytes=101, parts=[bytes(101)])],
    "a_size_of_64_bits": [pb.UploadRequest(blob=ONE, blob_bytes=2**64 - 1, parts=[b"four"])],
}


@pytest.mark.parametrize("cut", [1, 3, 40])
@pytest.mark.parametrize("later", [False, True])
def test_a_piece_that_ends_too_early_is_its_senders_doing(cut: int, later: bool) -> None:
    whole = pb.UploadRequest(blob=ONE, blob_bytes=12, parts=[b"four"] * (1 if later else 3)).SerializeToString()

    async def sent() -> AsyncIterator[bytes]:
        if later:
            yield whole
            yield pb.UploadRequest(parts=[b"four", b"and forty more bytes that fill the piece"]).SerializeToString()[
                :-cut
            ]
        else:
            yield whole[:-cut]

    at = service()
    with pytest.raises(ProtocolViolation) as caught:
        called_by("macao", at.Upload(sent(), None))  # type: ignore[arg-type]
    assert caught.value.party == "macao"
    assert at._blobs.take("macao", ONE) is None


@pytest.mark.parametrize("requests", BAD.values(), ids=BAD)
def test_a_stream_that_lies_about_its_size_is_refused_and_nothing_of_it_is_held(
    requests: list[pb.UploadRequest], small: int
) -> None:
    at = service()
    with pytest.raises(ProtocolViolation) as caught:
        uploaded(at, requests)
    assert caught.value.party == "macao"
    assert at._blobs.take("macao", ONE) is None
    uploaded(at, [pb.UploadRequest(blob=ONE, blob_bytes=small, parts=[bytes(small)])])


@pytest.mark.parametrize("requests", BAD.values(), ids=BAD)
def test_a_stream_that_ends_otherwise_leaves_nothing_on_the_disk(
    requests: list[pb.UploadRequest], small: int, tmp_path: Path
) -> None:
    at = service()
    at.spool = DiskSpool(tmp_path)
    with pytest.raises(ProtocolViolation):
        uploaded(at, requests)
    assert not list(tmp_path.iterdir())
    uploaded(at, [pb.UploadRequest(blob=ONE, blob_bytes=small, parts=[bytes(60), bytes(40)])])
    assert len(list(tmp_path.iterdir())) == 1
    assert tuple(at._blobs.take("macao", ONE) or ()) == (bytes(60), bytes(40))
    assert not list(tmp_path.iterdir()), "who took it is done with it"


def test_a_line_that_breaks_within_an_upload_or_before_its_frame_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    at = service()
    at.spool = DiskSpool(tmp_path)
    seen: list[int] = []

    def look() -> None:
        seen.append(len(list(tmp_path.iterdir())))

    async def broken() -> AsyncIterator[bytes]:
        yield pb.UploadRequest(blob=ONE, blob_bytes=10, parts=[b"four"]).SerializeToString()
        look()
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        called_by("macao", at.Upload(broken(), None))  # type: ignore[arg-type]
    assert seen == [1]
    assert not list(tmp_path.iterdir())
    uploaded(at, [pb.UploadRequest(blob=ONE, blob_bytes=4, parts=[b"four"])])
    assert len(list(tmp_path.iterdir())) == 1
    at._blobs.drop("macao")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", [0, 3, 5])
def test_parts_without_number_are_refused(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_PARTS", 4)
    at = service()
    parts = [b"p"] * 5
    requests = [
        pb.UploadRequest(blob=ONE, blob_bytes=5, parts=parts[:first]),
        *([pb.UploadRequest(parts=parts[first:])] if first < 5 else []),
    ]
    with pytest.raises(ProtocolViolation):
        uploaded(at, requests)
    monkeypatch.setattr(services, "MOST_PARTS", 5)
    uploaded(at, requests)
    assert at._blobs.take("macao", ONE) == tuple(parts)


def test_a_declaration_over_the_bound_is_refused_before_the_second_message_is_read(small: int) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 1000:
            read += 1
            yield pb.UploadRequest(blob=ONE, blob_bytes=small + 1, parts=[b"x"]).SerializeToString()

    with pytest.raises(ProtocolViolation):
        called_by("macao", service().Upload(endless(), None))  # type: ignore[arg-type]
    assert read == 1


def test_a_stream_of_empty_messages_ends() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield pb.UploadRequest(blob=ONE, blob_bytes=10, parts=[b"x"]).SerializeToString()
        while read < 1000:
            read += 1
            yield pb.UploadRequest(parts=[b""] if read % 2 else []).SerializeToString()

    with pytest.raises(ProtocolViolation):
        called_by("macao", service().Upload(endless(), None))  # type: ignore[arg-type]
    assert read == 1


def test_without_the_check_before_reading_a_party_would_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """The planted fault: the bound is looked at when everything is here."""
    monkeypatch.setattr(Blobs, "room", lambda *_: nullcontext())
    with pytest.raises(AssertionError):
        test_a_declaration_over_the_bound_is_refused_before_the_second_message_is_read(small)


def test_a_large_frame_travels_as_a_blob_and_a_small_one_does_not() -> None:
    at = service()
    message = signed(people()["relay"], m.ENDED, m.Ended(job_hash=b"j" * 32, state=State.ABORTED))
    small_frame = m.Frame(message, (b"x",), b"j" * 32, 1)
    large = m.Frame(message, (bytes(bulk.INLINE_BYTES), b"x"), b"j" * 32, 1)
    assert convert.frame_from(at._outgoing("macao", small_frame)) == small_frame
    told = at._outgoing("macao", large)
    assert (told.blob, told.blob_bytes) == (hashlib.sha256(message.body).digest(), bulk.INLINE_BYTES + 1)
    assert not told.parts
    responses = called_by("macao", all_of(at.Download(pb.DownloadRequest(blob=told.blob), None)))  # type: ignore[arg-type]
    found = (pb.DownloadResponse.FromString(response) for response in responses)
    assert tuple(part for response in found for part in response.parts) == large.parts
    with pytest.raises(Unavailable, match="no such bytes"):
        called_by("macao", all_of(at.Download(pb.DownloadRequest(blob=told.blob), None)))  # type: ignore[arg-type]


def test_another_party_gets_none_of_it() -> None:
    at = service()
    at._blobs.keep("macao", ONE, (b"masked",))
    with pytest.raises(FederationError):
        called_by("hongkong", all_of(at.Download(pb.DownloadRequest(blob=ONE), None)))  # type: ignore[arg-type]
    assert at._blobs.take("macao", ONE) == (b"masked",)


def test_a_frame_that_names_bytes_that_did_not_come_closes_the_line() -> None:
    at = service()
    frame = convert.frame_to(m.Frame(m.Signed(b"body", b"k" * 16, b"s" * 64, m.VERDICT)), blob=ONE)
    with pytest.raises(ProtocolViolation, match="the bytes before the frame") as caught:
        at._incoming("macao", pb.AttendRequest(frame=frame))
    assert caught.value.party == "macao"


def test_a_request_without_a_frame_closes_the_line() -> None:
    with pytest.raises(ProtocolViolation, match="a frame without a message"):
        service()._incoming("macao", pb.AttendRequest())
