"""Starts and stops the coordinator: roster and keys, store, driver, server, deadlines, control socket.

Refuses to start with a roster that is not in force, keys that others can read, or a state folder that another
coordinator holds. A `stop`, SIGTERM or SIGINT ends it within three seconds with the port free.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import structlog

from federation.coordinator import tls
from federation.coordinator.access import AccessInterceptor
from federation.coordinator.config import CoordinatorConfig
from federation.coordinator.driver import Driver
from federation.coordinator.services import CoordinatorService, now_ms
from federation.coordinator.store import SqliteStore, StrictStore
from federation.crypto import blinding
from federation.domain.roster import Role, Roster
from federation.errors import FederationError, Misuse, Unavailable
from federation.identity import control, keys, roster_file
from federation.wire.log import Heard, wire_log

GRACE_S = 1.0
CORES = 2  # that long vectors are masked and added up on
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
log = structlog.get_logger()


async def serve(config: CoordinatorConfig, software: str, started: Callable[[str], None] = lambda _: None) -> None:
    """Run the coordinator until it is told to stop.

    Args:
        config: from `config.load`.
        software: version, for people.
        started: called with the address once the port is open.

    Raises:
        Refused, Misuse, Unavailable: it cannot start; or the store failed while it ran.
    """
    me = keys.load(config.keys)
    roster = roster_file.in_force(roster_file.load(config.roster))
    keys.check_joined(me, roster)
    if me.role is not Role.COORDINATOR:
        raise Misuse(
            f"{me.name} is a {me.role.value}, not the coordinator", hint="set `keys` to the coordinator's folder"
        )
    _check_address(config.listen)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(control.state_folder(config.state))
        masks = stack.enter_context(ThreadPoolExecutor(CORES, thread_name_prefix="masks"))
        stack.callback(blinding.lend(masks.map))
        app = App(config, roster, software, stack.enter_context(wire_log(config.wire_log)))
        controlled = await control.serve(config.state, {"stop": app.stop, "status": app.status})
        stack.callback((config.state / control.SOCKET).unlink, missing_ok=True)
        stack.callback(controlled.close)
        server = grpc.aio.server(interceptors=[AccessInterceptor(roster)], options=tls.OPTIONS)
        stack.push_async_callback(server.stop, None)
        address = _bound(server, config.listen, tls.server_credentials(me, roster))  # before there is a store
        store = StrictStore(SqliteStore(config.state / "events.db"), app.failed)
        stack.callback(store.close)
        app.service.spool = store.spool
        app.service.driver = Driver(me, roster, store, app.service.changed, now_ms, config.patience)
        going_on = app.service.driver.resume()
        app.service.added_to(server)
        await server.start()
        app.address = address
        log.info("listening", address=address, jobs_going_on=going_on)
        started(address)
        await app.run(server)


class App:
    """A running coordinator: its service, its deadlines, and what ends it."""

    def __init__(self, config: CoordinatorConfig, roster: Roster, software: str, heard: Heard) -> None:
        self.service = CoordinatorService(roster, software, heard, self.failed)
        self.address = ""
        self._config = config
        self._stopping = asyncio.Event()
        self._faults: list[FederationError] = []

    async def run(self, server: grpc.aio.Server) -> None:
        """Serve until told to stop. Raises Unavailable if the store failed."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stopping.set)
        deadlines = asyncio.create_task(_keep_deadlines(self.service, self.failed))
        await self._stopping.wait()
        deadlines.cancel()
        self.service.hang_up()
        await server.stop(GRACE_S)
        log.info("stopped")
        if self._faults:
            raise self._faults[0]

    def failed(self, fault: FederationError) -> None:
        """End the process: the store cannot be written, so nothing may follow; the next start folds what it holds."""
        self._faults.append(fault)
        self._stopping.set()

    async def stop(self) -> control.Answer:
        """The control command `stop`."""
        self._stopping.set()
        return {"pid": os.getpid()}

    async def status(self) -> control.Answer:
        """The control command `status`; the address is "" until the port is open."""
        if not self.address:
            return {"pid": os.getpid(), "address": "", "running": 0, "stored": 0, "parties": {}}
        running, stored = self.service.driver.counts()
        parties = {name: here is not None for name, here in self.service.driver.attendance().items()}
        return {"pid": os.getpid(), "address": self.address, "running": running, "stored": stored, "parties": parties}


async def _keep_deadlines(service: CoordinatorService, failed: Callable[[FederationError], None]) -> None:
    """Sleep until the next deadline, or until one may have moved; nothing polls."""
    while True:
        due = service.driver.next_deadline_ms()
        service.deadlines.clear()
        wait_s = None if due is None else max(0.0, (due - now_ms()) / 1000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(service.deadlines.wait(), wait_s)
        try:
            service.deliver(service.driver.tick(now_ms()))
        except Unavailable as fault:
            failed(fault)
            return


def _check_address(listen: str) -> None:
    match = _ADDRESS.fullmatch(listen)
    if match is None or int(match[1]) > 65535:
        raise Misuse(f"the coordinator cannot listen on {listen[:200]!r}", hint="write host:port, 0.0.0.0:7443 for one")


def _bound(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials) -> str:
    host, _, port = listen.rpartition(":")
    try:
        taken = server.add_secure_port(listen, credentials)
    except RuntimeError:
        taken = 0
    if not taken or (port != "0" and str(taken) != port):
        raise Unavailable(
            f"cannot listen on {listen}",
            hint="is another program on this port, and is the host this machine's? choose another in `listen`",
        )
    return f"{host}:{taken}"
