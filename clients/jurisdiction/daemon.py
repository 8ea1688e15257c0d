"""The jurisdiction's daemon: dials the coordinator, keeps one stream open, lets the driver answer.

It only dials out, nothing polls, and it comes back by itself: a line that breaks is dialled again with backoff, and
what was outstanding is answered with the same bytes. Queries run in one worker thread, so the line stays alive while
they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from clients.channel import connect, streams
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.ceremonies import Ceremonies
from clients.jurisdiction.config import JurisdictionConfig, described
from clients.jurisdiction.driver import Driver
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.history import History
from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.key_commands import KeyCommands
from clients.jurisdiction.run import Desk
from clients.jurisdiction.vault import Vault
from federation import registry
from federation.crypto import blinding
from federation.domain.catalogue import Dataset
from federation.domain.roster import Role, Roster
from federation.errors import Misuse, ProtocolViolation, Refused
from federation.identity import control, keys, roster_file
from federation.identity.keys import Credentials
from federation.identity.sealed import SealedLog
from federation.wire import bulk, convert
from federation.wire import messages as m
from federation.wire.log import Heard, wire_log
from federation.wire.v1 import coordinator_service_pb2 as pb
from federation.wire.v1 import coordinator_service_pb2_grpc as pb_grpc

import grpc  # isort: skip  # after `connect`, which restricts TLS

COORDINATOR = "coordinator"  # in the wire log
ENGINES = "clients.jurisdiction.engines"
CORES = 2  # that long vectors are masked on
TICK_S = 60.0  # how late a deadline of a ceremony, or the end of a key's epoch, may be noticed
STEADY_S = 60.0  # a line that held this long is dialled again at once
log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ready:
    """What `check` and `serve` have made sure of."""

    me: Credentials
    roster: Roster
    engines: dict[str, Engine]
    published: dict[str, Dataset]

    def close(self) -> None:
        """Close the engines."""
        for engine in self.engines.values():
            engine.close()


def prepared(config: JurisdictionConfig) -> Ready:
    """Load keys and roster and open every data set: everything that can be wrong without a network.

    Raises:
        Refused, Misuse, Unavailable: what is wrong, in one line with the next step.
    """
    mine = config.jurisdiction
    me = keys.load(mine.keys)
    roster = roster_file.in_force(roster_file.load(mine.roster))
    keys.check_joined(me, roster)
    if me.role is not Role.JURISDICTION:
        raise Misuse(
            f"{me.name} is a {me.role.value}, not a jurisdiction", hint="set `keys` to a jurisdiction's folder"
        )
    connect.sync_channel(mine.coordinator, me, roster).close()  # dials nobody: it checks the address
    engines: dict[str, Engine] = {}
    published: dict[str, Dataset] = {}
    for dataset_config in config.dataset:
        dataset = described(dataset_config)
        kind = registry.look_up(ENGINES, Engine, dataset_config.engine)
        engine = kind.open(dataset, dataset_config.rows, threads=mine.threads or None)
        engines[dataset.name] = engine
        published[dataset.name] = replace(dataset, version=engine.version)
    return Ready(me, roster, engines, published)


def remember(vault: Vault, roster: Roster) -> None:
    """Note the roster's version, and refuse one that is older than what this daemon has worked with.

    An older roster is still validly signed; who left it since could come back with it.

    Raises:
        Refused: rule "roster".
    """
    key = b"federation/roster/" + roster.federation.encode()
    known = int.from_bytes(vault.get(key) or b"", "big")
    if roster.version < known:
        raise Refused(
            f"the roster is version {roster.version}, and this daemon has worked with version {known}",
            rule="roster",
            hint="ask the other members for the newest roster file: federation roster show",
        )
    if roster.version > known:
        vault.put(key, roster.version.to_bytes(8, "big"))


async def serve(config: JurisdictionConfig, software: str, started: Callable[[str], None] = lambda _: None) -> None:
    """Run the daemon until it is told to stop.

    Args:
        config: from `config.load`.
        software: version, for people.
        started: called with the jurisdiction's name whenever the coordinator has taken its hello.

    Raises:
        Refused, Misuse, Unavailable: it cannot start, or the coordinator will not have it.
    """
    ready = prepared(config)
    mine = config.jurisdiction
    with contextlib.ExitStack() as stack:
        stack.callback(ready.close)
        stack.enter_context(control.state_folder(mine.state))
        heard = stack.enter_context(wire_log(mine.wire_log))
        vault = stack.enter_context(SealedLog(mine.state, ready.me.storage_key))
        remember(vault, ready.roster)
        rows = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="rows"))
        keys_ = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="keys"))
        masks = stack.enter_context(ThreadPoolExecutor(CORES, thread_name_prefix="masks"))
        stack.callback(blinding.lend(masks.map))
        desk = Desk(
            me=ready.me,
            coordinator=ready.roster.with_role(Role.COORDINATOR)[0].name,
            roster=ready.roster,
            engines=ready.engines,
            published=ready.published,
            guard=Guard(ready.me.name, config.settings(), ready.published, History(vault)),
            vault=vault,
            entropy=secrets.token_bytes,
            joint_keys=JointKeys(vault),
            bundles=Bundles(mine.state, ready.me, ready.roster),
            development=mine.development_keys,
            spares=True,
        )
        rows.submit(desk.guard.remember)  # before any question, which comes through the same thread
        driver = Driver(desk, software, lambda event, job, text: log.info(event, job=job, why=text))
        ceremonies = _ceremonies(desk)
        app = App(ready, mine.coordinator, started)
        line = Line(ready, mine.coordinator, driver, ceremonies, rows, keys_, heard, app.joined)
        commands = KeyCommands(ceremonies, desk, line.with_keys)
        named = {"stop": app.stop, "status": app.status, **commands.named()}
        controlled = await control.serve(mine.state, named)
        stack.callback((mine.state / control.SOCKET).unlink, missing_ok=True)
        stack.callback(controlled.close)
        await app.run(line)


def now_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def _ceremonies(desk: Desk) -> Ceremonies:
    if desk.development:
        log.warning("development keys are permitted here: sums under them are protected from nobody", name=desk.name)
    return Ceremonies(
        me=desk.me,
        coordinator=desk.coordinator,
        roster=desk.roster,
        vault=desk.vault,
        keys=desk.joint_keys,
        entropy=desk.entropy,
        clock=now_ms,
        development=desk.development,
        note=lambda event, ceremony, text: log.info(event, ceremony=ceremony, why=text),
    )


class App:
    """A running daemon: whether it attends, and what ends it."""

    def __init__(self, ready: Ready, address: str, started: Callable[[str], None]) -> None:
        self._ready, self._address, self._started = ready, address, started
        self._stopping = asyncio.Event()
        self._connected = False

    async def run(self, line: Line) -> None:
        """Attend until told to stop, or until dialling again cannot mend what is wrong; then raise that."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stopping.set)
        lasting = {asyncio.create_task(line.attend()), asyncio.create_task(line.keep_time())}
        stopped = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({*lasting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*lasting, stopped):
            task.cancel()
        await asyncio.gather(*lasting, return_exceptions=True)
        for ended in lasting & done:
            ended.result()  # raises why
        log.info("stopped", name=self._ready.me.name)

    def joined(self, connected: bool) -> None:
        """Note whether the coordinator has us."""
        self._connected = connected
        if connected:
            self._started(self._ready.me.name)

    async def stop(self) -> control.Answer:
        """The control command `stop`."""
        self._stopping.set()
        return {"pid": os.getpid()}

    async def status(self) -> control.Answer:
        """The control command `status`."""
        return {
            "pid": os.getpid(),
            "name": self._ready.me.name,
            "coordinator": self._address,
            "connected": self._connected,
            "datasets": sorted(self._ready.published),
        }


class Line:
    """The one connection to the coordinator, dialled again for as long as the daemon runs."""

    def __init__(
        self,
        ready: Ready,
        address: str,
        driver: Driver,
        ceremonies: Ceremonies,
        rows: ThreadPoolExecutor,
        keys_: ThreadPoolExecutor,
        heard: Heard,
        joined: Callable[[bool], None],
    ) -> None:
        self._ready, self._address, self._driver, self._ceremonies = ready, address, driver, ceremonies
        self._rows, self._keys, self._heard, self._joined = rows, keys_, heard, joined
        self._writing = asyncio.Lock()  # one frame at a time; the two threads' answers take turns
        self._open: tuple[Any, Any] | None = None  # the stub and the call of the line, while there is one

    async def attend(self) -> None:
        """Dial until cancelled; return only with an error that dialling again cannot mend.

        Raises:
            Refused: the coordinator does not have us in its roster, or has another roster.
            Unavailable: our own memory cannot be written.
        """
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                async with connect.aio_channel(self._address, self._ready.me, self._ready.roster) as channel:
                    stub = pb_grpc.CoordinatorServiceStub(channel)
                    stub.Upload, stub.Download = streams.calls(channel)  # vectors are copied once, not thrice
                    await self._session(stub)
                reason = "the coordinator closed the line"
            except grpc.RpcError as fault:
                error = connect.explained(fault, self._address)
                if isinstance(error, Refused | Misuse | connect.WrongIdentity):
                    raise error from None
                reason = str(error)
            except ProtocolViolation as fault:
                reason = str(fault)
            except asyncio.InvalidStateError:  # gRPC's word for a line that broke while we wrote; dialling tells why
                reason = f"the line to {self._address} broke"
            finally:
                self._joined(False)
            attempt = 0 if time.monotonic() - began > STEADY_S else attempt + 1
            wait_s = connect.backoff(attempt, secrets.randbelow(1000) / 1000)
            log.warning("not connected", why=reason, again_in_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def with_keys(self, act: Callable[[], tuple[T, list[m.Frame]]]) -> T:
        """Let the ceremonies' thread do something, send what follows from it if there is a line, return the rest."""
        found, frames = await asyncio.get_running_loop().run_in_executor(self._keys, act)
        if self._open is not None:  # else it is said again on the next line
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                await self._send(*self._open, frames)
        return found

    async def keep_time(self) -> None:
        """Let ceremonies and keys end in time, also while nobody says anything."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.with_keys(lambda: (None, self._ceremonies.tick()))

    async def _session(self, stub: Any) -> None:
        loop = asyncio.get_running_loop()
        call = stub.Attend()
        hello = self._driver.hello(await loop.run_in_executor(self._keys, lambda: self._ceremonies.open))
        self._heard("out", COORDINATOR, hello)
        await call.write(pb.AttendRequest(frame=convert.frame_to(hello)))
        await call.initial_metadata()
        self._open = stub, call
        self._joined(True)
        log.info("connected", name=self._ready.me.name, coordinator=self._address)
        waiting: asyncio.Queue[pb.AttendResponse] = asyncio.Queue()
        tasks = {
            asyncio.create_task(self._answer_jobs(stub, call, waiting)),
            asyncio.create_task(self._answer_keys(stub, call, waiting)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # raises what ended the line

    async def _answer_jobs(self, stub: Any, call: Any, waiting: asyncio.Queue[pb.AttendResponse]) -> None:
        """Answer what comes, and put what is about a ceremony aside for the other thread."""
        loop = asyncio.get_running_loop()
        async for response in call:
            if self._ceremonies.takes(response.frame.signed.domain, response.frame.job_hash):
                waiting.put_nowait(response)
                continue
            frame = await self._incoming(stub, response)
            self._heard("in", COORDINATOR, frame)
            await self._send(stub, call, await loop.run_in_executor(self._rows, self._handled, frame))

    async def _answer_keys(self, stub: Any, call: Any, waiting: asyncio.Queue[pb.AttendResponse]) -> None:
        loop = asyncio.get_running_loop()
        await self._send(stub, call, await loop.run_in_executor(self._keys, self._ceremonies.greeting))
        while True:
            frame = await self._incoming(stub, await waiting.get())
            self._heard("in", COORDINATOR, frame)
            await self._send(stub, call, await loop.run_in_executor(self._keys, self._ceremonies.receive, frame))

    async def _send(self, stub: Any, call: Any, frames: Sequence[m.Frame]) -> None:
        for frame in frames:
            self._heard("out", COORDINATOR, frame)
            message = await self._outgoing(stub, frame)
            async with self._writing:
                await call.write(pb.AttendRequest(frame=message))
            if message.blob and not frame.to:  # of a job, whose frames only its own thread touches
                await asyncio.get_running_loop().run_in_executor(self._rows, self._driver.let_go, frame)

    def _handled(self, frame: m.Frame) -> list[m.Frame]:
        """In the worker: forget what nobody ended, then answer."""
        self._driver.tick(now_ms())
        return self._driver.receive(frame)

    async def _incoming(self, stub: Any, response: pb.AttendResponse) -> m.Frame:
        message = response.frame
        parts = None
        try:
            if message.blob:
                call = stub.Download(pb.DownloadRequest(blob=message.blob))
                parts = await streams.downloaded(call, message.blob_bytes)
            return convert.frame_from(message, parts)
        except convert.Malformed as fault:
            raise ProtocolViolation(
                "coordinator", phase="frame", expected="a well-formed frame", got=str(fault)
            ) from None

    async def _outgoing(self, stub: Any, frame: m.Frame) -> Any:
        if bulk.is_inline(frame.parts):
            return convert.frame_to(frame)
        blob = secrets.token_bytes(bulk.BLOB_ID_BYTES) if frame.to else hashlib.sha256(frame.signed.body).digest()
        await stub.Upload(streams.uploads(blob, frame.parts))
        return convert.frame_to(frame, blob=blob)
