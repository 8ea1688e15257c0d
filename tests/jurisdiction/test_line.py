"""A daemon's line to the coordinator: whatever breaks it, it is dialled again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from clients.jurisdiction import daemon
from clients.jurisdiction.daemon import Line, Ready
from federation.coordinator import services, tls
from federation.coordinator.services import CoordinatorService
from federation.errors import FederationError, Misuse, Refused, Unavailable
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.v1 import coordinator_service_pb2 as pb
from tests.channel.loopback import HANDLERS, members, served, signed_by_all

import grpc  # isort: skip  # after `daemon`, which restricts TLS

FRAME = m.Frame(m.Signed(b"body", bytes(16), bytes(64), m.HELLO))
NOBODY: Any = None  # no key is looked at: the channel is none


class Driver:
    """Says hello, and nothing else."""

    def hello(self, ceremonies: tuple[bytes, ...]) -> m.Frame:
        assert ceremonies == ()
        return FRAME


class Ceremonies:
    """Has none."""

    open: tuple[bytes, ...] = ()

    def takes(self, *_: object) -> bool:
        return False

    def greeting(self) -> list[m.Frame]:
        return []


class Coordinator:
    """Ends every call before it is written to, as gRPC tells it; refuses the third."""

    def __init__(self, *_: object) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        assert name == "Attend"
        return self._attend

    def _attend(self) -> Coordinator:
        self.calls += 1
        if self.calls == 3:
            raise Refused("enough", rule="test")
        return self

    async def write(self, _: object) -> None:
        raise asyncio.InvalidStateError("RPC already finished.")


@contextlib.asynccontextmanager
async def no_channel(*_: object) -> AsyncIterator[Mock]:
    yield Mock()


def test_a_line_that_broke_while_the_daemon_wrote_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator, attends = Coordinator(), list[bool]()
    monkeypatch.setattr(daemon.connect, "aio_channel", no_channel)
    monkeypatch.setattr(daemon.connect, "backoff", lambda *_: 0.0)
    monkeypatch.setattr(daemon.pb_grpc, "CoordinatorServiceStub", lambda _: coordinator)
    speakers: tuple[Any, Any] = Driver(), Ceremonies()
    with ThreadPoolExecutor(1) as worker:
        threads = worker, worker
        ready = Ready(NOBODY, NOBODY, {}, {})
        line = Line(ready, "127.0.0.1:1", *speakers, *threads, lambda *_: None, attends.append)
        with capture_logs() as told, pytest.raises(Refused, match="enough"):  # a test before may have closed the log
            asyncio.run(line.attend())
    assert coordinator.calls == 3
    assert [line["event"] for line in told] == ["not connected"] * 2
    assert not any(attends)


def forgetful(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], FederationError]:
    """Serve a coordinator that names bytes which it no longer has; return the lines' log and what ended them."""
    people = members()
    roster = signed_by_all(people)
    real = CoordinatorService(roster, "test", lambda *_: None, lambda _: None)
    hellos: list[bytes] = []

    async def attend(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        hellos.append(await anext(requests))
        if len(hellos) == 3:
            raise Refused("enough", rule="test")
        await context.send_initial_metadata(())
        frame = convert.frame_to(FRAME, blob=bytes(32))
        frame.blob_bytes = 1_000_000
        await context.write(pb.AttendResponse(frame=frame).SerializeToString())
        await anext(requests, None)

    async def download(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for some in real.Download(pb.DownloadRequest.FromString(request), context):
            yield some

    monkeypatch.setattr(daemon.connect, "backoff", lambda *_: 0.0)
    monkeypatch.setitem(HANDLERS, "Attend", grpc.stream_stream_rpc_method_handler(attend))
    monkeypatch.setitem(HANDLERS, "Download", grpc.unary_stream_rpc_method_handler(download))
    credentials = tls.server_credentials(people["relay"], roster)
    with ThreadPoolExecutor(1) as rows, ThreadPoolExecutor(1) as keys, served(credentials, roster) as port:
        ready = Ready(people["macao"], roster, {}, {})
        speakers: tuple[Any, Any] = Driver(), Ceremonies()
        line = Line(ready, port.address, *speakers, rows, keys, lambda *_: None, lambda _: None)
        with capture_logs() as told, pytest.raises((Misuse, Refused)) as ended:
            asyncio.run(line.attend())
    return [line["why"] for line in told if line["event"] == "not connected"], ended.value


def test_a_daemon_whose_bytes_a_new_coordinator_does_not_have_dials_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons, ended = forgetful(monkeypatch)
    assert reasons == ["there are no such bytes for this party (dial again: all is said again)"] * 2
    assert isinstance(ended, Refused)


def test_if_that_were_called_our_misuse_the_daemon_would_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what the coordinator said until now."""
    monkeypatch.setattr(services, "Unavailable", Misuse)
    reasons, ended = forgetful(monkeypatch)
    assert reasons == []
    assert isinstance(ended, Misuse)


def test_a_steady_line_keeps_time_so_that_shares_are_erased_when_their_epoch_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody says anything, and the clock goes on; after a failure of the memory the daemon ends."""
    ticks: list[int] = []

    class Keys:
        def tick(self) -> list[m.Frame]:
            ticks.append(1)
            if len(ticks) == 3:
                raise Unavailable("the disk is full")
            return []

    monkeypatch.setattr(daemon, "TICK_S", 0.0)
    ceremonies: Any = Keys()
    with ThreadPoolExecutor(1) as worker:
        ready = Ready(NOBODY, NOBODY, {}, {})
        line = Line(ready, "127.0.0.1:1", NOBODY, ceremonies, worker, worker, lambda *_: None, lambda _: None)
        with pytest.raises(Unavailable):
            asyncio.run(line.keep_time())
    assert len(ticks) == 3
