"""Both ends are pinned: one roster, one certificate each, TLS 1.3, or no connection."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clients.channel import connect
from federation import errors
from federation.coordinator import tls
from federation.coordinator.access import SERVICE
from federation.domain.roster import Roster
from federation.identity.certificate import host_of, pem
from federation.identity.keys import Credentials
from tests.channel.loopback import Port, members, served, signed_by_all

PEOPLE = members()
ROSTER = signed_by_all(PEOPLE)


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    with served(tls.server_credentials(PEOPLE["relay"], ROSTER), ROSTER) as opened:
        yield opened


def fault_of(channel: grpc.Channel, address: str) -> errors.FederationError:
    with channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{SERVICE}/GetStatus")(b"", timeout=10)
    return connect.explained(caught.value, address)


def dialled(
    port: Port, *, key: bytes | None, chain: bytes | None, root: bytes | None = None, host: str = "relay"
) -> grpc.Channel:
    """Dial as somebody who does not use our code: with any key, chain, root and expected name."""
    root = root or PEOPLE["relay"].tls_certificate
    credentials = grpc.ssl_channel_credentials(root, key, chain)
    return grpc.secure_channel(port.address, credentials, [("grpc.ssl_target_name_override", host_of(host))])


def test_a_member_is_let_in(port: Port) -> None:
    with connect.sync_channel(port.address, PEOPLE["ana"], ROSTER) as channel:
        assert channel.unary_unary(f"/{SERVICE}/GetStatus")(b"", timeout=10) == b"ana "


def test_a_dialler_without_a_certificate_is_not_let_in(port: Port) -> None:
    assert isinstance(fault_of(dialled(port, key=None, chain=None), port.address), errors.Unreachable)


def test_a_self_made_certificate_with_a_member_s_name_is_not_let_in(port: Port) -> None:
    stranger = members()["macao"]
    fault = fault_of(dialled(port, key=stranger.tls_private_key, chain=stranger.tls_certificate), port.address)
    assert isinstance(fault, errors.Unreachable)
    assert "roster" in fault.message


def test_a_certificate_that_a_member_signed_is_not_let_in(port: Port) -> None:
    member = PEOPLE["macao"]
    issuer = x509.load_pem_x509_certificate(member.tls_certificate)
    signer = serialization.load_pem_private_key(member.tls_private_key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_of("hongkong"))]), critical=True)
    )
    chain = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + member.tls_certificate
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert isinstance(fault_of(dialled(port, key=private, chain=chain), port.address), errors.Unreachable)


def test_a_member_s_certificate_without_its_key_is_not_let_in(port: Port) -> None:
    stolen, own = PEOPLE["hongkong"].tls_certificate, members()["macao"].tls_private_key
    assert isinstance(fault_of(dialled(port, key=own, chain=stolen), port.address), errors.Unreachable)


def test_plaintext_is_not_answered(port: Port) -> None:
    assert isinstance(fault_of(grpc.insecure_channel(port.address), port.address), errors.Unreachable)


def impostor(name: str, people: dict[str, Credentials]) -> grpc.ServerCredentials:
    roots = b"".join(pem(one.member.tls_certificate) for one in PEOPLE.values())
    return grpc.ssl_server_credentials([(people[name].tls_private_key, people[name].tls_certificate)], roots, True)


def test_a_coordinator_with_another_certificate_of_the_same_name_is_not_believed() -> None:
    with served(impostor("relay", members()), ROSTER) as port:
        fault = fault_of(connect.sync_channel(port.address, PEOPLE["ana"], ROSTER), port.address)
    assert isinstance(fault, connect.WrongIdentity)
    assert "do not go on" in fault.hint


def test_a_jurisdiction_cannot_stand_in_for_the_coordinator() -> None:
    with served(impostor("macao", PEOPLE), ROSTER) as port:
        fault = fault_of(connect.sync_channel(port.address, PEOPLE["ana"], ROSTER), port.address)
        assert isinstance(fault, connect.WrongIdentity)
        # The planted fault: a client that trusts every certificate of the roster is held up by the name alone ...
        everybody = b"".join(one.tls_certificate for one in PEOPLE.values())
        ana = PEOPLE["ana"]
        keys = {"key": ana.tls_private_key, "chain": ana.tls_certificate}
        assert isinstance(fault_of(dialled(port, root=everybody, **keys), port.address), connect.WrongIdentity)
        # ... and one that does not care for the name either is fooled.
        with dialled(port, root=everybody, host="macao", **keys) as fooled:
            assert fooled.unary_unary(f"/{SERVICE}/GetStatus")(b"", timeout=10) == b"ana "


def test_the_coordinator_s_certificate_under_another_name_is_not_believed(port: Port) -> None:
    ana = PEOPLE["ana"]
    channel = dialled(port, key=ana.tls_private_key, chain=ana.tls_certificate, host="macao")
    assert isinstance(fault_of(channel, port.address), connect.WrongIdentity)


def test_a_member_of_another_federation_is_not_let_in(port: Port) -> None:
    others = members() | {"relay": PEOPLE["relay"]}
    fault = fault_of(connect.sync_channel(port.address, others["ana"], signed_by_all(others)), port.address)
    assert isinstance(fault, errors.Unreachable)
    assert "roster show" in fault.hint


@pytest.mark.parametrize(
    ("roster", "match"),
    [
        (replace(ROSTER, signatures=ROSTER.signatures[1:]), "ana"),
        (replace(ROSTER, signatures=()), "macao"),
        (replace(ROSTER, version=2), "not in force"),
        (signed_by_all(members()), "another key"),
    ],
)
def test_a_draft_or_another_roster_opens_no_channel(roster: Roster, match: str) -> None:
    with pytest.raises(errors.Refused, match=match) as caught:
        connect.sync_channel("127.0.0.1:1", PEOPLE["ana"], roster)
    assert caught.value.rule == "roster"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        "host:0",
        "host:65536",
        ":443",
        "unix:/tmp/s",
        "dns:///h:1",
        "http://h:1",
        "h:1\n",
        "h:1,g:2",
        "-h:1",
        "a b:1",
        "h:" + "1" * 9,
        "ipv4:127.0.0.1:1",
    ],
)
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(errors.Misuse, match="address"):
        connect.sync_channel(address, PEOPLE["ana"], ROSTER)


@pytest.mark.parametrize(
    "address", ["localhost:1", "coordinator.example.org:8443", "10.0.0.1:65535", "[::1]:443", "h:1"]
)
def test_usual_addresses_are_taken(address: str) -> None:
    connect.sync_channel(address, PEOPLE["ana"], ROSTER).close()


def test_nothing_listening_is_said_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        fault = fault_of(connect.sync_channel(address, PEOPLE["ana"], ROSTER), address)
    assert type(fault) is errors.Unreachable
    assert fault.message == f"nothing listens at {address}"
    assert fault.exit_code == 5


def test_an_unknown_host_is_said_so() -> None:
    fault = fault_of(connect.sync_channel("no-such-host.invalid:1", PEOPLE["ana"], ROSTER), "no-such-host.invalid:1")
    assert isinstance(fault, errors.Unreachable)
    assert "not known" in fault.message


def test_a_port_that_does_not_speak_tls_is_said_so() -> None:
    with served(None, ROSTER) as port:
        fault = fault_of(connect.sync_channel(port.address, PEOPLE["ana"], ROSTER), port.address)
    assert isinstance(fault, errors.Unreachable)
    assert fault.message == f"{port.address} does not speak TLS"


def test_a_silent_port_is_a_deadline_and_not_a_wait() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with connect.sync_channel(address, PEOPLE["ana"], ROSTER) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SERVICE}/GetStatus")(b"", timeout=0.3)
    assert isinstance(connect.explained(caught.value, address), errors.Unavailable)


class Spoken(grpc.RpcError):
    """An error as a coordinator of ill will could send it."""

    def __init__(self, code: grpc.StatusCode, details: str | None, trailer: object = None) -> None:
        super().__init__()
        self._parts = code, details, trailer

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> str | None:
        return self._parts[1]

    def trailing_metadata(self) -> object:
        return None if self._parts[2] is None else ((connect.ERROR_KEY, self._parts[2]),)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("details", [None, "", "\x1b[31mred\x1b[0m\n\nsecond line" + "x" * 5000])
def test_every_status_is_one_printable_line(code: grpc.StatusCode, details: str | None) -> None:
    fault = connect.explained(Spoken(code, details), "host:1")
    assert fault.message
    assert fault.message.isprintable()
    assert len(fault.message) < 1200
    assert fault.exit_code in (1, 2, 3, 4, 5, 70)


@pytest.mark.parametrize(
    "trailer",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"code": "no such"}',
        b"[" * 100_000,
        b'{"code": ["misuse"]}',
        "text",
        b"1" * 9999,
    ],
)
def test_a_trailer_that_cannot_be_read_leaves_the_status(trailer: object) -> None:
    fault = connect.explained(Spoken(grpc.StatusCode.ABORTED, "why", trailer), "host:1")
    assert (type(fault), fault.message) == (errors.JobFailed, "why")


def test_a_trailer_cannot_carry_terminal_control() -> None:
    trailer = json.dumps({"code": "misuse", "message": "\x1b]0;title\x07", "hint": "a\nb", "party": {"a": 1}}).encode()
    fault = connect.explained(Spoken(grpc.StatusCode.INVALID_ARGUMENT, "", trailer), "host:1")
    assert isinstance(fault, errors.Misuse)
    assert fault.message.isprintable()
    assert fault.hint == "a b"


def test_waits_double_from_a_fifth_of_a_second_to_half_a_minute() -> None:
    longest = [connect.backoff(attempt, 1.0) for attempt in range(10)]
    assert longest == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    for attempt in (-1, 0, 3, 8, 10_000):
        for jitter in (0.0, 0.3, 0.999):
            assert 0.2 <= connect.backoff(attempt, jitter) <= 30.0
    assert connect.backoff(8, 0.0) == 15.0


OLD_TLS = """
import sys
if sys.argv[1] == "late":
    import grpc  # the planted fault: gRPC has read its list of suites before we can restrict it
from federation.coordinator import tls
import json, re, socket, ssl, tempfile
from tests.channel.loopback import members, served, signed_by_all
people = members()
roster = signed_by_all(people)
me = people["macao"]
number = lambda value, size: value.to_bytes(size, "big")
frame = lambda kind, flags, stream, body: number(len(body), 3) + bytes([kind, flags]) + number(stream, 4) + body
text = lambda word: bytes([len(word)]) + word
headers = {b":method": b"POST", b":scheme": b"https", b":authority": b"relay", b"content-type": b"application/grpc",
    b":path": b"/federation.wire.v1.CoordinatorService/GetStatus", b"te": b"trailers"}
headers = dict(sorted(headers.items(), key=lambda item: not item[0].startswith(b":")))
request = (b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"")
    + frame(1, 4, 1, b"".join(b"\\0" + text(k) + text(v) for k, v in headers.items())) + frame(0, 1, 1, bytes(5)))

def spoken(address, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(cadata=people["relay"].tls_certificate.decode())
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(me.tls_private_key + me.tls_certificate)
        pair.flush()
        context.load_cert_chain(pair.name)
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), 10) as line:
            with context.wrap_socket(line, server_hostname="relay.federation.internal") as secured:
                secured.sendall(request)
                answer = b""
                while not re.search(rb"grpc-status.(\\d+)", answer, re.S) and (more := secured.recv(9999)):
                    answer += more
                found = re.search(rb"grpc-status.(\\d+)", answer, re.S)
                return [secured.version(), int(found[1]) if found else None]
    except OSError as error:
        return "refused"

with served(tls.server_credentials(people["relay"], roster), roster) as port:
    print(json.dumps({v.name: spoken(port.address, v) for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)}))
"""


def old_tls(moment: str) -> dict[str, object]:
    command = [sys.executable, "-c", OLD_TLS, moment]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if name != "GRPC_SSL_CIPHER_SUITES"},
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_tls_1_2_fails_in_the_handshake_and_tls_1_3_is_answered() -> None:
    assert old_tls("early") == {"TLSv1_2": "refused", "TLSv1_3": ["TLSv1.3", 0]}


def test_when_the_handshake_cannot_be_restricted_a_call_over_tls_1_2_is_unauthenticated() -> None:
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert old_tls("late") == {"TLSv1_2": ["TLSv1.2", unauthenticated], "TLSv1_3": ["TLSv1.3", 0]}
