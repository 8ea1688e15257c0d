"""A gate in the line of one jurisdiction: passes frames on, both ways, and shuts where a test says.

It speaks TLS with the coordinator's keys to the daemon and with the daemon's keys to the coordinator; only a test has
both.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from clients.channel import connect
from clients.cli.stage import COORDINATOR, Stage
from federation.coordinator import tls
from federation.domain.roster import Roster
from federation.identity import keys, roster_file
from federation.wire.v1 import coordinator_service_pb2 as pb

import grpc  # isort: skip  # after `connect`, which restricts TLS

SERVICE = "/federation.wire.v1.CoordinatorService/"
LIMIT_S = 20.0


@dataclass(frozen=True)
class Seen:
    """A frame that a daemon sent: "advert" for one, its round, its job, and its bytes as they were sent."""

    kind: str
    index: int
    job_hash: bytes
    raw: bytes


class Cut(Exception):
    """This line is cut."""


class Gate:
    """The gate of one jurisdiction; a context manager that opens and closes its port.

    Attributes:
        seen: every frame that the daemon sent, in order, also those that were held back.
    """

    def __init__(self, stage: Stage, party: str) -> None:
        roster = roster_file.load(stage.folder / "roster.json")
        self._me = keys.load(stage.folder / "keys" / party)
        self._server_credentials = tls.server_credentials(keys.load(stage.folder / "keys" / COORDINATOR), roster)
        self._roster: Roster = roster
        self._upstream = stage.address
        self.address = ""
        self.seen: list[Seen] = []
        self._shut_at: tuple[str, int] | None = None
        self._passes = True
        self._line = 0  # which line, counted by those that were cut
        self._reached = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"gate of {party}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._server.stop(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    # --- what a test says -------------------------------------------------------------------------------------------

    def shut_at(self, kind: str, index: int = 0, *, passes: bool = True) -> None:
        """Shut, both ways, when the daemon sends its first such frame of this round; let that frame pass, or not."""
        self._reached.clear()
        self._shut_at, self._passes = (kind, index), passes

    def await_shut(self) -> None:
        """Wait until that frame has come."""
        assert self._reached.wait(LIMIT_S), f"the frame {self._shut_at} never came; there came {self.kinds()}"

    def open(self) -> None:
        """Pass everything again, first what was held back."""
        self._shut_at = None
        self._loop.call_soon_threadsafe(self._open.set)

    def cut(self) -> None:
        """Break the line, so that what was held back is lost; the next one passes everything."""
        self._line += 1
        self.open()

    def kinds(self) -> list[str]:
        """What the daemon sent, in words."""
        return [f"{each.kind} {each.index}" for each in self.seen]

    # --- what it does -----------------------------------------------------------------------------------------------

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT_S)

    async def _start(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = grpc.aio.server(options=tls.OPTIONS)
        handlers = {
            "Attend": grpc.stream_stream_rpc_method_handler(self._attend),
            "Upload": grpc.stream_unary_rpc_method_handler(self._upload),
            "Download": grpc.unary_stream_rpc_method_handler(self._download),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.strip("/"), handlers),))
        self.address = f"127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', self._server_credentials)}"
        await self._server.start()

    def _channel(self) -> Any:
        return connect.aio_channel(self._upstream, self._me, self._roster)

    async def _attend(self, requests: AsyncIterator[bytes], context: Any) -> None:
        line = self._line
        async with self._channel() as channel:
            call = channel.stream_stream(SERVICE + "Attend")()
            outward = asyncio.create_task(self._outward(requests, call, line))
            try:
                await call.initial_metadata()
                if not call.done():  # it took the hello
                    await context.send_initial_metadata(())
                async for raw in call:
                    await self._passable(line)
                    await context.write(raw)
            except Cut:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the line is cut")
            except grpc.aio.AioRpcError as fault:
                await context.abort(fault.code(), fault.details() or "", fault.trailing_metadata() or ())
            finally:
                outward.cancel()
                call.cancel()

    async def _passable(self, line: int) -> None:
        await self._open.wait()
        if line != self._line:
            raise Cut

    async def _outward(self, requests: AsyncIterator[bytes], call: Any, line: int) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, Cut):
            async for raw in requests:
                frame = pb.AttendRequest.FromString(raw).frame
                kind = frame.signed.domain.split("/")[1]
                self.seen.append(Seen(kind, frame.round_index, frame.job_hash, raw))
                shuts = self._shut_at == (kind, frame.round_index) and not self._reached.is_set()
                await self._passable(line)
                if shuts:
                    self._open.clear()
                    self._reached.set()
                if shuts and not self._passes:
                    await self._passable(line)
                await call.write(raw)
            await call.done_writing()

    async def _upload(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        async with self._channel() as channel:
            return bytes(await channel.stream_unary(SERVICE + "Upload")(requests))

    async def _download(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        async with self._channel() as channel:
            async for raw in channel.unary_stream(SERVICE + "Download")(request):
                yield raw


class GatedStage(Stage):
    """A stage with gates in the lines of some jurisdictions.

    Attributes:
        gates: by party.
    """

    def __init__(self, folder: Path, jurisdictions: Mapping[str, str], *gated: str, **further: Any) -> None:
        super().__init__(folder, jurisdictions, **further)
        self._gated = gated
        self.gates: dict[str, Gate] = {}

    def start_coordinator(self) -> None:
        super().start_coordinator()
        for party in self._gated:
            if party not in self.gates:
                self.gates[party] = Gate(self, party).__enter__()

    def stop(self) -> None:
        super().stop()
        for gate in self.gates.values():
            gate.__exit__()
        self.gates.clear()

    def _write_jurisdiction(self, name: str, rest: str) -> None:
        super()._write_jurisdiction(name, rest)
        if name in self.gates:
            file = self.jurisdiction_file(name)
            file.write_text(file.read_text().replace(self.address, self.gates[name].address, 1))
