"""Channels to the coordinator: mutual TLS 1.3, both ends pinned by a roster in force.

Trusts one certificate, the coordinator's own, and no authority. Refuses a draft roster, keys that the roster does not
have, and an address that is not host:port; there is no way to open a plaintext channel. `explained` turns what gRPC
says into one line and the next step.
"""

from __future__ import annotations

import json
import re
from typing import Any

from federation.identity import tls

tls.restricted()  # before gRPC is loaded

import grpc  # noqa: E402
import grpc.aio  # noqa: E402

from federation import errors  # noqa: E402
from federation.domain.roster import Role, Roster  # noqa: E402
from federation.identity.certificate import host_of, pem  # noqa: E402
from federation.identity.keys import Credentials, check_joined  # noqa: E402
from federation.identity.roster_file import in_force  # noqa: E402

ERROR_KEY = "federation-error-bin"  # as federation.coordinator.access has it, which clients may not import
SHORTEST_WAIT_S = 0.2
LONGEST_WAIT_S = 30.0
_ADDRESS = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_OPTIONS = (
    # A line that died without a word is noticed within 30 seconds, also when nobody has anything to say.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", int(SHORTEST_WAIT_S * 1000)),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", int(LONGEST_WAIT_S * 1000)),
    # Two members in one process must never share a connection: it carries the identity of one of them.
    ("grpc.use_local_subchannel_pool", 1),
)


class WrongIdentity(errors.Unreachable):
    """One end is not who the other end's roster says; waiting and trying again does not help."""


def sync_channel(address: str, credentials: Credentials, roster: Roster) -> grpc.Channel:
    """Return a channel to the coordinator at `address` ("host:port"), for threads.

    Raises:
        Misuse: the address has another form.
        Refused: rule "roster": it is not in force, or has other keys for us.
    """
    return grpc.secure_channel(*_line(address, credentials, roster))


def aio_channel(address: str, credentials: Credentials, roster: Roster) -> grpc.aio.Channel:
    """As `sync_channel`, for the event loop that runs now."""
    return grpc.aio.secure_channel(*_line(address, credentials, roster))


def backoff(attempt: int, jitter: float) -> float:
    """Return how many seconds to wait before the next attempt: doubling from 0.2 s, never over 30 s.

    Args:
        attempt: failures so far, from 0.
        jitter: drawn evenly from [0, 1); spreads parties that lost the coordinator at the same moment over half the
        wait.
    """
    longest = min(LONGEST_WAIT_S, SHORTEST_WAIT_S * 2.0 ** min(max(attempt, 0), 16))
    return max(SHORTEST_WAIT_S, longest * (0.5 + 0.5 * jitter))


def explained(error: grpc.RpcError, address: str) -> errors.FederationError:
    """Return our error for what a call ended with; the coordinator's own errors come back as themselves.

    What the other end wrote is cut and made printable: it is not trusted with our terminal.
    """
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    details = _printable(error.details()) if hasattr(error, "details") else ""
    told = _told(error)
    match code:
        case _ if told is not None:
            return told
        case grpc.StatusCode.UNAVAILABLE:
            return _unreachable(details, address)
        case grpc.StatusCode.UNAUTHENTICATED:
            return WrongIdentity(
                f"the coordinator at {address} does not accept our identity: {details}", hint=_ROSTER_HINT
            )
        case grpc.StatusCode.PERMISSION_DENIED:
            return errors.Refused(f"the coordinator refuses the call: {details}", rule="access")
        case grpc.StatusCode.UNIMPLEMENTED:
            return errors.Refused(
                "the coordinator does not know this call", rule="version", hint="compare versions: `federation version`"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            return errors.Unavailable(f"the coordinator at {address} did not answer in time", hint="try again")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return errors.Unavailable(f"a message or the load is over the coordinator's limits: {details}")
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.NOT_FOUND | grpc.StatusCode.ALREADY_EXISTS:
            return errors.Misuse(details or "the coordinator cannot make sense of the request")
        case grpc.StatusCode.FAILED_PRECONDITION:
            return errors.Refused(details or "the coordinator refuses", rule="coordinator")
        case grpc.StatusCode.ABORTED:
            return errors.JobFailed(details or "the coordinator aborted the call")
        case _:
            return errors.FederationError(
                f"the call to {address} failed: {details or 'no reason given'}", hint="see the coordinator's log"
            )


_ROSTER_HINT = "compare roster and fingerprints with the other members: `federation roster show`"


def _line(address: str, credentials: Credentials, roster: Roster) -> tuple[str, grpc.ChannelCredentials, list[Any]]:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[1]) < 65536:
        raise errors.Misuse(
            f"{address[:200]!r} is not an address", hint="write host:port, coordinator.example.org:8443 for one"
        )
    check_joined(credentials, in_force(roster))
    (coordinator,) = roster.with_role(Role.COORDINATOR)
    channel = grpc.ssl_channel_credentials(
        root_certificates=pem(coordinator.tls_certificate),
        private_key=credentials.tls_private_key,
        certificate_chain=credentials.tls_certificate,
    )
    return address, channel, [*_OPTIONS, ("grpc.ssl_target_name_override", host_of(coordinator.name))]


def _unreachable(details: str, address: str) -> errors.Unreachable:
    """Say why there is no connection; the words are gRPC's, which has no codes for it, so the last answer fits any."""
    words = details.lower()
    if "certificate_verify_failed" in words or "hostname verification" in words:
        return WrongIdentity(
            f"{address} shows a certificate that is not the coordinator's in the roster",
            hint=f"check the address; if it is right, do not go on: {_ROSTER_HINT}",
        )
    if "wrong_version_number" in words:
        return errors.Unreachable(f"{address} does not speak TLS", hint="check host and port")
    if "handshake failed" in words:
        return errors.Unreachable(f"{address} does not agree on TLS 1.3", hint="check the address and its version")
    if "connection refused" in words:
        return errors.Unreachable(f"nothing listens at {address}", hint="check the address, and that it was started")
    if "dns resolution" in words or "domain name" in words or "name resolution" in words:
        return errors.Unreachable(f"the host of {address} is not known", hint="check the address and the name server")
    if "failed to connect" in words and ("socket closed" in words or "connection reset" in words):
        return errors.Unreachable(
            f"{address} closed the connection at once: our certificate is not in its roster, or it is no coordinator",
            hint=_ROSTER_HINT,
        )
    if "failed to connect" in words:
        return errors.Unreachable(f"no answer from {address}", hint="check address, network and firewall")
    return errors.Unreachable(f"the line to {address} broke", hint="it is tried again; ask the operator if it stays so")


def _told(error: grpc.RpcError) -> errors.FederationError | None:
    """Return the typed error that the coordinator attached, or None if there is none that we can read."""
    metadata = error.trailing_metadata() if hasattr(error, "trailing_metadata") else None
    content = dict(metadata or ()).get(ERROR_KEY)
    if not isinstance(content, bytes):
        return None
    try:
        fields = json.loads(content)
        word = {name: _printable(str(fields.get(name, ""))) for name in _FIELDS}
    except (ValueError, AttributeError, RecursionError):
        return None
    message, hint, party = word["message"], word["hint"], word["party"]
    match word["code"]:
        case "misuse":
            return errors.Misuse(message, hint=hint, party=party)
        case "refused" if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return WrongIdentity(message, hint=hint, party=party)
        case "refused":
            return errors.Refused(message, rule=word["rule"], hint=hint, party=party)
        case "unavailable" | "unreachable":
            return errors.Unavailable(message, hint=hint, party=party)
        case "job_failed":
            return errors.JobFailed(message, hint=hint, party=party)
        case "protocol_violation":
            return errors.ProtocolViolation.told(message, party=party, hint=hint)
        case _:
            return None


_FIELDS = ("code", "message", "hint", "party", "rule")


def _printable(text: str | None) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in (text or "")[:1000])
