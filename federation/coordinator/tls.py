"""The coordinator's end of TLS: its pinned certificate, and nobody without a certificate of the roster gets further.

Trusts exactly the self-made certificates of the members, none of which may sign another, so that a handshake proves a
member's TLS key. Which member, and whether it may call, is decided call by call in `access`.
"""

from __future__ import annotations

from federation.identity import tls

OLD_TLS_FAILS = tls.restricted()  # before gRPC is loaded

import grpc  # noqa: E402

from federation.domain.roster import Role, Roster  # noqa: E402
from federation.errors import Refused  # noqa: E402
from federation.identity.certificate import pem  # noqa: E402
from federation.identity.keys import Credentials, check_joined  # noqa: E402
from federation.identity.roster_file import in_force  # noqa: E402

TELLS_TLS_VERSION = (1, 85)  # grpcio: from here on a call's context says "ssl_tls_version"
OPTIONS = (
    # A line that died without a word is noticed within 30 seconds; clients may ask as often as `connect` does.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),  # a second coordinator on the same port is an error, not every other connection
)


def server_credentials(credentials: Credentials, roster: Roster) -> grpc.ServerCredentials:
    """Return what a server port is opened with; mutual TLS with the members of a roster in force.

    Raises:
        Refused: rule "roster": it is not in force, or has other keys for us; rule "role": we are not its coordinator;
            rule "tls": nothing would keep old TLS out.
    """
    if not OLD_TLS_FAILS and _version(grpc.__version__) < TELLS_TLS_VERSION:
        raise Refused(
            f"grpcio {grpc.__version__} can neither refuse TLS 1.2 nor tell which TLS a call came over",
            rule="tls",
            hint="install grpcio 1.85 or newer",
        )
    check_joined(credentials, in_force(roster))
    if credentials.role is not Role.COORDINATOR:
        raise Refused(
            f"{credentials.name} is a {credentials.role} and cannot run the coordinator",
            rule="role",
            hint="start it with the key folder of the roster's coordinator",
        )
    roots = b"".join(pem(member.tls_certificate) for member in roster.members)
    return grpc.ssl_server_credentials(
        [(credentials.tls_private_key, credentials.tls_certificate)],
        root_certificates=roots,
        require_client_auth=True,
    )


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
