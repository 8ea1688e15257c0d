"""Starts and stops the coordinator: roster and keys, store, driver, server, deadlines, control socket.

Refuses to start with a roster that is not in force, keys that others can read, or a state folder that another
coordinator holds. A `stop`, SIGTERM or SIGINT ends it within three seconds with the port free.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

from federation.coordinator import tls
from federation.coordinator.access import AccessInterceptor
from federation.coordinator.config import CoordinatorConfig
from federation.coordinator.driver import Driver
from federation.coordinator.services import CoordinatorService, now_ms
from federation.coordinator.store import SqliteStore
from federation.domain.roster import Role
from federation.errors import FederationError, Misuse, Unavailable
from federation.identity import control, keys, roster_file
from federation.wire.log import wire_log
from federation.wire.v1 import coordinator_service_pb2_grpc as pb_grpc

ADDRESS = "address"  # file in the state folder: where it listens, for `status` and the demo
GRACE_S = 1.0
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
    stopping = asyncio.Event()
    faults: list[FederationError] = []

    def failed(fault: FederationError) -> None:
        faults.append(fault)
        stopping.set()

    async def stop() -> control.Answer:
        stopping.set()
        return {"pid": os.getpid()}

    async def status() -> control.Answer:
        running, stored = service.driver.counts()
        parties = {name: here is not None for name, here in service.driver.attendance().items()}
        return {"pid": os.getpid(), "address": address, "running": running, "stored": stored, "parties": parties}

    config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        heard = stack.enter_context(wire_log(config.wire_log))
        service = CoordinatorService(roster, software, heard, failed)
        controlled = await control.serve(config.state, {"stop": stop, "status": status})
        stack.callback(_quietly_removed, config.state / control.SOCKET)
        stack.callback(controlled.close)
        store = SqliteStore(config.state / "events.db")
        stack.callback(store.close)
        service.driver = Driver(me, roster, store, service.changed)
        going_on = service.driver.resume()
        server = grpc.aio.server(interceptors=[AccessInterceptor(roster)])
        pb_grpc.add_CoordinatorServiceServicer_to_server(service, server)
        address = _bound(server, config.listen, tls.server_credentials(me, roster))
        await server.start()
        (config.state / ADDRESS).write_text(address)
        stack.callback(_quietly_removed, config.state / ADDRESS)
        log.info("listening", address=address, jobs_going_on=going_on)
        started(address)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopping.set)
        deadlines = asyncio.create_task(_keep_deadlines(service, failed))
        await stopping.wait()
        deadlines.cancel()
        service.hang_up()
        await server.stop(GRACE_S)
        log.info("stopped")
    if faults:
        raise faults[0]


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


def _bound(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials) -> str:
    host, _, port = listen.rpartition(":")
    try:
        taken = server.add_secure_port(listen, credentials)
    except RuntimeError:
        taken = 0
    if not taken or (port != "0" and str(taken) != port):
        raise Unavailable(
            f"cannot listen on {listen}", hint="is another program on this port? choose another in `listen`"
        )
    return f"{host}:{taken}"


def _quietly_removed(path: Path) -> None:
    path.unlink(missing_ok=True)
