"""Looks at the way to the coordinator, one step at a time: name, port, TLS, one question. Each ends in bounded time.

Every ending is an error of ours that names the cause, so that nobody has to guess between a typing error, a firewall,
a stopped daemon and somebody else's certificate. What the other end writes is judged and never shown.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from clients.cli.doctor.checkup import Attendant, Status
from federation.domain.roster import Member, Roster
from federation.errors import FederationError, Misuse, Unavailable, Unreachable
from federation.identity.certificate import host_of
from federation.identity.keys import Credentials

Place: TypeAlias = tuple[int, Any]  # address family, and an address as sockets of that family have it
Resolver: TypeAlias = Callable[[str, int], Sequence[Place]]

WAIT_S: Final = 5.0
# What `clients.channel.connect` takes; a test compares the two.
_ADDRESS: Final = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_NO_SUCH_NAME: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
_OLD_TLS: Final = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"})
_OUT_OF_DATE: Final = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_ROSTER: Final = "compare roster and fingerprints with the other members: `federation roster show`"


def parsed(address: str) -> tuple[str, int]:
    """Return (host, port) of "host:port". Raises Misuse."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise Misuse(
            f"{address[:200]!r} is not an address", hint="write host:port, coordinator.example.org:8443 for one"
        )
    return match[1].strip("[]"), int(match[2])


def proxy(host: str, environment: Mapping[str, str]) -> str:
    """Return the variable by which gRPC sends connections to this host through a proxy, "" for none.

    gRPC obeys these, in lower case and in this order; the probes here do not.
    """
    name = next((name for name in ("grpc_proxy", "https_proxy", "http_proxy") if environment.get(name)), "")
    spared = environment.get("no_grpc_proxy") or environment.get("no_proxy") or ""
    suffixes = [suffix.strip() for suffix in spared.split(",")]
    return "" if any(suffix and host.endswith(suffix) for suffix in suffixes) else name


def system_resolver(host: str, port: int) -> Sequence[Place]:
    """Ask this machine's resolver, which may take as long as it likes."""
    return [(found[0], found[4]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def resolved(host: str, port: int, resolver: Resolver = system_resolver, wait_s: float = WAIT_S) -> tuple[Place, ...]:
    """Return the addresses of a host.

    Raises:
        Unreachable: there is no such name; or the resolver does not answer, and whether there is one is not known.
    """
    answers: queue.SimpleQueue[Sequence[Place] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except (OSError, UnicodeError) as fault:
            answers.put(fault)

    # A thread that is left behind: the system's resolver cannot be told to stop.
    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=wait_s)
    except queue.Empty:
        raise _no_resolver(host, f"within {wait_s:g} s") from None
    if isinstance(answer, UnicodeError) or (isinstance(answer, socket.gaierror) and answer.errno in _NO_SUCH_NAME):
        raise Unreachable(f"there is no host called {host}", hint="check `coordinator` for a typing error")
    if isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN:
        raise _no_resolver(host, "and says so")
    if isinstance(answer, Exception):
        raise _no_resolver(host, f"as it should: {getattr(answer, 'strerror', '') or 'it failed'}")
    if not answer:
        raise Unreachable(f"the host {host} has no address", hint="check `coordinator`, or ask its operator")
    return tuple(answer)


def connected(places: Sequence[Place], address: str, wait_s: float = WAIT_S) -> Place:
    """Return the first of the places that takes a TCP connection.

    Raises:
        Unreachable: refused (nothing listens), silence (a firewall), or no way there, as the last place had it.
    """
    until = time.monotonic() + wait_s
    last: OSError = TimeoutError()
    for left, place in zip(range(len(places), 0, -1), places, strict=True):
        try:  # an equal part of the time that is left for each place
            _dialled(place, max(0.05, (until - time.monotonic()) / left)).close()
        except OSError as fault:
            last = fault
        else:
            return place
    port = address.rpartition(":")[2]
    if isinstance(last, ConnectionRefusedError):
        raise Unreachable(
            f"nothing listens at {address}: the connection is refused",
            hint="check the port; is the coordinator started? its operator runs `federation coordinator status`",
        )
    if isinstance(last, TimeoutError) or last.errno == errno.ETIMEDOUT:
        raise Unreachable(
            f"{address} gives no answer within {wait_s:g} s, neither yes nor no, as when a firewall drops the packets",
            hint=f"let TCP to port {port} out of this network, and into the coordinator's",
        )
    raise Unreachable(
        f"there is no way to {address}: {last.strerror or 'the system refuses'}",
        hint="check this machine's network, its routes and its own firewall",
    )


def shaken(place: Place, address: str, me: Credentials, coordinator: Member, wait_s: float = WAIT_S) -> str:
    """Make a TLS handshake as a member does, wait for the first byte after it, and return the version of TLS.

    Raises:
        Unreachable: no TLS, old TLS, another certificate than the roster's, ours not accepted, or silence.
    """
    try:
        with _dialled(place, wait_s) as plain, _handshake(plain, address, me, coordinator, wait_s) as secure:
            version = secure.version() or ""
            if version != "TLSv1.3":
                raise _old_tls(address)
            if secure.getpeercert(binary_form=True) != coordinator.tls_certificate:
                raise _another_certificate(address, coordinator)
            # TLS 1.3 ends for us before the other end has judged our certificate; its first word tells.
            if not _first_byte(secure, address, wait_s):
                raise Unreachable(
                    f"{address} is the coordinator of our roster, but does not accept our certificate",
                    hint=f"its roster has no, or other, keys for {me.name}: {_ROSTER}",
                )
    except TimeoutError:
        raise _silent(address, wait_s) from None
    except OSError:  # it took a connection a moment ago
        raise Unreachable(f"{address} closed the connection", hint="try again; see the coordinator's log") from None
    return version


def asked(address: str, me: Credentials, roster: Roster, wait_s: float = WAIT_S) -> Status:
    """Ask the coordinator for its status, as any member may.

    Raises:
        FederationError: what the call ended with.
    """
    from clients.channel.calls import Calls

    calls = Calls(address, me, roster)
    hang_up = threading.Timer(wait_s, calls.close)  # ends a call that waits
    hang_up.start()
    try:
        said = calls.status()
    except ValueError:  # hung up before the call began
        raise Unavailable(f"the coordinator at {address} did not answer in time", hint="try again") from None
    finally:
        hang_up.cancel()
        hang_up.join()
        calls.close()
    return Status(
        software=said.software,
        now_ms=said.now_ms,
        parties=tuple(Attendant(name=p.party, connected=p.connected, software=p.software) for p in said.parties),
    )


def free_to_listen(place: Place, listen: str) -> None:
    """Check that a coordinator could listen there.

    Raises:
        Misuse: this machine has no such address, or this user may not.
        Unavailable: another program listens there.
    """
    family, where = place
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
            trial.listen(1)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"another program listens on {listen}",
                hint="choose another port in `listen`, or stop that program: `ss -ltnp` names it",
            ) from None
        raise Misuse(
            f"nobody can listen on {listen}: {fault.strerror}",
            hint="an address of this machine, 0.0.0.0 for all of them, and a port above 1023",
        ) from None


def _dialled(place: Place, wait_s: float) -> socket.socket:
    family, where = place
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(wait_s)
        opened.connect(where)
    except BaseException:
        opened.close()
        raise
    return opened


def _handshake(
    plain: socket.socket, address: str, me: Credentials, coordinator: Member, wait_s: float
) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    # Lower than what we accept, so that an old version can be told by name; nothing is sent over it.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=coordinator.tls_certificate)
    context.set_alpn_protocols(["h2"])
    with _in_memory(me.tls_private_key + me.tls_certificate) as path:
        context.load_cert_chain(path)
    plain.settimeout(wait_s)
    try:
        return context.wrap_socket(plain, server_hostname=host_of(coordinator.name))
    except ssl.SSLCertVerificationError as fault:
        if fault.verify_code in _OUT_OF_DATE:
            raise Unreachable(
                f"the certificate at {address} is not valid at the time of this machine's clock",
                hint="set the clock: our certificates hold from 2020 on",
            ) from None
        raise _another_certificate(address, coordinator) from None
    except TimeoutError:
        raise _silent(address, wait_s) from None
    except ssl.SSLError as fault:
        raise _no_handshake(address, fault.reason or "") from None
    except OSError:
        raise _no_handshake(address, "") from None


def _no_handshake(address: str, reason: str) -> FederationError:
    if reason in _OLD_TLS:
        return _old_tls(address)
    if reason in _NO_TLS:
        return Unreachable(
            f"something else than TLS answers at {address}: it is no coordinator", hint="check host and port"
        )
    if "ALERT" in reason:
        return Unreachable(f"{address} breaks the TLS handshake off ({reason[:60]})", hint=_ROSTER)
    return Unreachable(
        f"{address} closes the connection at the first word of TLS: it is no coordinator, or a proxy stands between",
        hint="check host and port, and whether this network lets only its proxy through",
    )


def _first_byte(secure: ssl.SSLSocket, address: str, wait_s: float) -> bool:
    """Return whether the other end goes on after the handshake, which a gRPC server does at once by its settings."""
    try:
        return bool(secure.recv(1))
    except TimeoutError:
        raise _silent(address, wait_s) from None
    except OSError:
        return False


def _silent(address: str, wait_s: float) -> Unreachable:
    return Unreachable(
        f"{address} accepts the connection and then says nothing for {wait_s:g} s",
        hint="another program, a proxy or a tunnel stands there, or the coordinator hangs: ask its operator",
    )


def _old_tls(address: str) -> Unreachable:
    return Unreachable(
        f"{address} speaks TLS older than 1.3", hint="a coordinator speaks 1.3: check the address, or what is between"
    )


def _another_certificate(address: str, coordinator: Member) -> Unreachable:
    return Unreachable(
        f"{address} shows another certificate than the roster has for {coordinator.name}",
        hint=f"check the address; if it is right, do not go on: {_ROSTER}",
    )


def _no_resolver(host: str, how: str) -> Unreachable:
    return Unreachable(
        f"the resolver does not answer {how}: whether there is a host called {host} is not known",
        hint="check this machine's network and its name server: `resolvectl status`, /etc/resolv.conf",
    )


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Yield a path that holds `content` and lies on no disk: `ssl` takes keys from files only."""
    handle = os.memfd_create("credentials", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
