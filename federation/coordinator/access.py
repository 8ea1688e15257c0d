"""Who may call what: the table of RPC and role, and the interceptor that holds every call to it.

Denies by default: a method without a row is nobody's. Who calls is read from the certificate of the connection,
compared byte for byte with the roster; names in messages, metadata and host names count for nothing. When the roster
changes, calls of members that left it end at once, also open streams. Errors travel by type, message and
hint; the text of an unexpected exception stays here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Never

from federation.coordinator import tls

import grpc  # isort: skip  # after `tls`, which restricts it
import grpc.aio  # isort: skip

from federation.domain.roster import Member, Role, Roster
from federation.errors import FederationError, Misuse, Refused, Unavailable
from federation.wire.v1 import coordinator_service_pb2 as pb

SERVICE: Final[str] = pb.DESCRIPTOR.services_by_name["CoordinatorService"].full_name
_EVERYBODY = frozenset(Role)
ALLOWED: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        f"/{SERVICE}/Attend": frozenset({Role.JURISDICTION}),
        f"/{SERVICE}/Upload": frozenset({Role.JURISDICTION}),
        f"/{SERVICE}/Download": frozenset({Role.JURISDICTION}),
        f"/{SERVICE}/Submit": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/Watch": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/Fetch": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/ListJobs": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/Cancel": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/ReadLog": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/Follow": frozenset({Role.RESEARCHER}),
        f"/{SERVICE}/ReadModel": frozenset({Role.RESEARCHER}),
        # Whose job it is, or who is a party of it: the driver judges.
        f"/{SERVICE}/ReadEvidence": frozenset({Role.RESEARCHER, Role.JURISDICTION}),
        f"/{SERVICE}/ListPublications": frozenset({Role.RESEARCHER, Role.JURISDICTION}),
        f"/{SERVICE}/ListKeys": _EVERYBODY,
        f"/{SERVICE}/GetStatus": _EVERYBODY,
    }
)
# Trailing metadata: the typed error as JSON, which clients.channel.connect.explained reads. Metadata ends at 8 KiB.
ERROR_KEY = "federation-error-bin"
_LONGEST = 300
LAST_WRITE_S = 1.0  # how long a member that leaves may take to read what was being sent
_log = logging.getLogger(__name__)
_caller: contextvars.ContextVar[Member] = contextvars.ContextVar("federation_caller")


class NotAMember(Refused):
    """The connection does not prove a member of the roster."""


class NotAllowed(Refused):
    """The member's role has no right to this method."""


def caller() -> Member:
    """Return the member whose call is being served. Raises Misuse outside a call that `AccessInterceptor` let in."""
    member = _caller.get(None)
    if member is None:
        raise Misuse("nobody is calling: this code runs outside an intercepted call")
    return member


def peer_member(context: grpc.aio.ServicerContext, roster: Roster) -> Member:
    """Return the member at the other end of a call.

    Args:
        context: a servicer context, sync or aio, of a server with `tls.server_credentials`.
        roster: the roster in force now.

    Raises:
        NotAMember: no TLS 1.3, no certificate, or one that is not, byte for byte, in the roster.
    """
    proof: Mapping[str, Any] = context.auth_context()
    version = list(proof.get("ssl_tls_version", ()))
    # grpcio tells the version from 1.85 on; before that the restriction of the handshake has to be in force.
    if version != [b"TLSv1.3"] and (version or not tls.OLD_TLS_FAILS):
        raise NotAMember("the connection is not TLS 1.3", rule="identity", hint="update the client")
    try:
        (shown,) = proof.get("x509_pem_cert", ())
        certificate = ssl.PEM_cert_to_DER_cert(shown.decode("ascii"))
    except ValueError:
        raise NotAMember("the connection shows no certificate", rule="identity") from None
    for member in roster.members:
        if member.tls_certificate == certificate:
            return member
    raise NotAMember(
        "the certificate is not in the roster", rule="identity", hint="compare the rosters: `federation roster show`"
    )


def check_allowed(method: str, member: Member) -> None:
    """Check the table. Raises NotAllowed, also for a method without a row."""
    if member.role not in ALLOWED.get(method, frozenset()):
        raise NotAllowed(
            f"a {member.role} may not call {method.rsplit('/', 1)[-1][:80]}", rule="access", party=member.name
        )


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call in if the connection's member has a row for it; handlers ask `caller` who it is.

    Handlers are coroutines or async generators. A `FederationError` that one raises reaches the other end as itself.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._open: dict[asyncio.Task[Any], Member] = {}
        self._revoked: set[asyncio.Task[Any]] = set()

    def replace(self, roster: Roster) -> None:
        """Judge by another roster from now on, and end the open calls of members that are not in it as they were.

        Call it from the server's event loop. Members that are new connect after a restart: TLS reads its roots at
        start.
        """
        self._roster = roster
        for task, member in self._open.items():
            if member not in roster.members:
                self._revoked.add(task)
                task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Wrap the handler: only there is the connection in hand, and no message has been read yet."""
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method: gRPC answers UNIMPLEMENTED, and there is nothing to guard
            return None
        method = handler_call_details.method
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[bool(handler.request_streaming), bool(handler.response_streaming)]
        return make(
            self._guarded(method, behaviour),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _guarded(self, method: str, behaviour: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        if not inspect.iscoroutinefunction(behaviour) and not inspect.isasyncgenfunction(behaviour):
            raise Misuse(f"the handler of {method} must be a coroutine or an async generator")

        async def served(request: object, context: grpc.aio.ServicerContext) -> object:
            line = _Line(context)
            try:
                with self._admitted(method, context):
                    answer = behaviour(request, line)
                    if inspect.isawaitable(answer):
                        return await answer
                    async with contextlib.aclosing(answer) as responses:
                        async for response in responses:
                            await line.write(response)
                    return None
            except grpc.aio.AbortError:
                raise
            except Exception as cause:  # noqa: BLE001
                if not await line.idle():
                    raise asyncio.CancelledError from None  # the peer does not read: it gets no reason, only the end
                await _end(context, method, cause)

        return served

    @contextlib.contextmanager
    def _admitted(self, method: str, context: grpc.aio.ServicerContext) -> Iterator[None]:
        member = peer_member(context, self._roster)
        check_allowed(method, member)
        task = asyncio.current_task()
        if task is None:
            raise Misuse("calls are served in tasks")
        _caller.set(member)
        self._open[task] = member
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._revoked:
                raise
            task.uncancel()
            raise NotAMember("the certificate was taken out of the roster", rule="identity") from None
        finally:
            self._revoked.discard(task)
            del self._open[task]


class _Line:
    """A servicer context whose write is never torn: gRPC cannot send a status while a message is half on its way."""

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self._context = context
        self._sending: asyncio.Task[None] | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)

    async def write(self, message: object) -> None:
        """Send one message; when the caller is cancelled meanwhile, the message still goes out whole."""
        self._sending = asyncio.ensure_future(self._context.write(message))
        self._sending.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio complains
        await asyncio.shield(self._sending)

    async def idle(self) -> bool:
        """Wait until no message is on its way; False if that takes longer than LAST_WRITE_S."""
        if self._sending is None:
            return True
        return bool((await asyncio.wait([self._sending], timeout=LAST_WRITE_S))[0])


async def _end(context: grpc.aio.ServicerContext, method: str, cause: Exception) -> Never:
    if isinstance(cause, FederationError):
        trailer = ((ERROR_KEY, _portable(cause)),)
        await context.abort(_status(cause), cause.message[:_LONGEST], trailer)
    _log.error("call to %s failed", method, exc_info=cause)
    await context.abort(grpc.StatusCode.INTERNAL, "the coordinator failed; its log says why")
    raise cause  # not reached: `abort` raises


def _status(error: FederationError) -> grpc.StatusCode:
    match error:
        case NotAMember():
            return grpc.StatusCode.UNAUTHENTICATED
        case NotAllowed():
            return grpc.StatusCode.PERMISSION_DENIED
        case Misuse():
            return grpc.StatusCode.INVALID_ARGUMENT
        case Refused():
            return grpc.StatusCode.FAILED_PRECONDITION
        case Unavailable():
            return grpc.StatusCode.UNAVAILABLE
        case _:
            return grpc.StatusCode.ABORTED


def _portable(error: FederationError) -> bytes:
    fields = {"code": error.code, "message": error.message, "hint": error.hint, "party": error.party}
    if isinstance(error, Refused):
        fields["rule"] = error.rule
    return json.dumps({name: text[:_LONGEST] for name, text in fields.items()}, ensure_ascii=False).encode()
