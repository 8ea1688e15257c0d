"""Errors across the wire: one table from the code of an error to a gRPC status, and the whole error in the trailer.

A caller gets back the type that was raised, with message, hint and party; a traceback never leaves its process.
"""

from __future__ import annotations

import grpc

from federation.domain.job import Blame
from federation.errors import (
    FederationError,
    JobFailed,
    Misuse,
    ProtocolViolation,
    Refused,
    Unavailable,
    Unreachable,
)
from federation.wire import convert
from federation.wire.v1 import job_pb2

TRAILER = "federation-error-bin"

STATUS: dict[str, grpc.StatusCode] = {
    Misuse.code: grpc.StatusCode.INVALID_ARGUMENT,
    Refused.code: grpc.StatusCode.FAILED_PRECONDITION,
    Unavailable.code: grpc.StatusCode.UNAVAILABLE,
    Unreachable.code: grpc.StatusCode.UNAVAILABLE,
    ProtocolViolation.code: grpc.StatusCode.ABORTED,
    JobFailed.code: grpc.StatusCode.ABORTED,
    FederationError.code: grpc.StatusCode.INTERNAL,
}


def trailer_of(fault: FederationError) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries `fault`."""
    rule = fault.rule if isinstance(fault, Refused) else ""
    blame = Blame(party=fault.party, code=fault.code, message=fault.message, hint=fault.hint, rule=rule)
    return ((TRAILER, convert.blame_to(blame).SerializeToString(deterministic=True)),)


def error_in(fault: grpc.RpcError) -> FederationError | None:
    """Return the error that a member raised at the other end, or None if the line broke or it sent none."""
    trailing = fault.trailing_metadata() if hasattr(fault, "trailing_metadata") else None
    for key, value in trailing or ():
        if key == TRAILER:
            message = job_pb2.Blame()
            try:
                message.ParseFromString(value)
                return error_of(convert.blame_from(message))
            except ValueError:
                return None
    return None


def error_of(blame: Blame) -> FederationError:
    """Return the error that `blame` says, as the type that its code names."""
    match blame.code:
        case Misuse.code:
            return Misuse(blame.message, hint=blame.hint, party=blame.party)
        case Refused.code:
            return Refused(blame.message, rule=blame.rule or "unknown", hint=blame.hint, party=blame.party)
        case Unavailable.code:
            return Unavailable(blame.message, hint=blame.hint, party=blame.party)
        case Unreachable.code:
            return Unreachable(blame.message, hint=blame.hint, party=blame.party)
        case ProtocolViolation.code:
            return ProtocolViolation.told(blame.message, party=blame.party, hint=blame.hint)
        case _:
            return JobFailed(blame.message, hint=blame.hint, party=blame.party)
