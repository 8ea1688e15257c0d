"""A coordinator's port with handlers of all four kinds, in a thread of its own, and the members that may dial it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import grpc
import grpc.aio

from federation import errors
from federation.coordinator import tls
from federation.coordinator.access import SERVICE, AccessInterceptor, caller
from federation.domain.roster import Role, Roster
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials

NAMES = {
    "relay": Role.COORDINATOR,
    "guangdong": Role.JURISDICTION,
    "hongkong": Role.JURISDICTION,
    "macao": Role.JURISDICTION,
    "ana": Role.RESEARCHER,
}


def members() -> dict[str, Credentials]:
    return {name: keys.made(name, role) for name, role in NAMES.items()}


def signed_by_all(people: dict[str, Credentials], *, federation: str = "gba") -> Roster:
    roster = roster_file.convened(federation, [one.member for one in people.values()])
    for one in people.values():
        roster = roster_file.signed(roster, one)
    return roster


async def who(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    if request == b"from where":
        return str(context.peer()).encode()
    return caller().name.encode() + b" " + request


async def joined(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
    return b"".join([request async for request in requests])


async def counted(request: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
    while request == b"endless":
        yield bytes(2**16)
    for index in range(3):
        yield caller().name.encode() + b" %d" % index


async def echoed(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
    async for request in requests:  # writes by itself, as the coordinator's control stream does
        await context.write(caller().name.encode() + b" " + request)


FAULTS = {
    b"misuse": errors.Misuse("no such data set", hint="see the catalogue"),
    b"refused": errors.Refused("fewer than ten people", rule="minimum_units", hint="a wider group", party="macao"),
    b"unavailable": errors.Unavailable("hongkong does not attend", party="hongkong"),
    b"violation": errors.ProtocolViolation("macao", phase="masking", expected="one vector", got="two"),
    b"failed": errors.JobFailed("the curve does not converge"),
    b"bug": ValueError("the value 4711 of a row"),
}


async def faulty(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    if request in FAULTS:
        raise FAULTS[request]
    return b"handed in"


HANDLERS = {
    "GetStatus": grpc.unary_unary_rpc_method_handler(who),
    "Submit": grpc.unary_unary_rpc_method_handler(faulty),
    "Fetch": grpc.unary_unary_rpc_method_handler(who),
    "ListPublications": grpc.unary_unary_rpc_method_handler(who),
    "Watch": grpc.unary_stream_rpc_method_handler(counted),
    "Download": grpc.unary_stream_rpc_method_handler(counted),
    "Upload": grpc.stream_unary_rpc_method_handler(joined),
    "Attend": grpc.stream_stream_rpc_method_handler(echoed),
    "Forgotten": grpc.unary_unary_rpc_method_handler(who),  # has no row in the table
}


class Port:
    """An open port: its address, its interceptor, and the event loop that serves it."""

    def __init__(self, address: str, access: AccessInterceptor, loop: asyncio.AbstractEventLoop) -> None:
        self.address, self.access, self.loop = address, access, loop

    def replace(self, roster: Roster) -> None:
        self.loop.call_soon_threadsafe(self.access.replace, roster)


@contextmanager
def served(credentials: grpc.ServerCredentials | None, roster: Roster) -> Iterator[Port]:
    """Serve HANDLERS on a free port of the loopback; no credentials: plaintext, which only a test can open."""
    ready: threading.Event = threading.Event()
    opened: list[Port] = []
    stop: list[asyncio.Event] = []

    async def serve() -> None:
        access = AccessInterceptor(roster)
        server = grpc.aio.server(interceptors=[access], options=tls.OPTIONS)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, HANDLERS)])
        port = (
            server.add_insecure_port("127.0.0.1:0")
            if credentials is None
            else server.add_secure_port("127.0.0.1:0", credentials)
        )
        await server.start()
        stop.append(asyncio.Event())
        opened.append(Port(f"127.0.0.1:{port}", access, asyncio.get_running_loop()))
        ready.set()
        await stop[0].wait()
        await server.stop(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield opened[0]
    finally:
        opened[0].loop.call_soon_threadsafe(stop[0].set)
        thread.join()
