"""Every call is held to the table: who is proven by the connection, what by the role, and nothing by words."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import grpc
import pytest

from clients.channel import connect
from federation import errors
from federation.coordinator import access, tls
from federation.coordinator.access import ALLOWED, SERVICE, NotAMember, peer_member
from federation.domain.roster import Role
from federation.identity.certificate import pem
from federation.wire.v1 import coordinator_service_pb2
from tests.channel.loopback import FAULTS, HANDLERS, NAMES, Port, members, served, signed_by_all

PEOPLE = members()
ROSTER = signed_by_all(PEOPLE)
WITHOUT_MACAO = replace(ROSTER, version=2, members=tuple(m for m in ROSTER.members if m.name != "macao"))
STREAMS_IN, STREAMS_OUT = {"Upload", "Attend"}, {"Watch", "Download", "Attend"}


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    with served(tls.server_credentials(PEOPLE["relay"], ROSTER), ROSTER) as opened:
        yield opened


@pytest.fixture(scope="module")
def channels(port: Port) -> Iterator[dict[str, grpc.Channel]]:
    opened = {name: connect.sync_channel(port.address, one, ROSTER) for name, one in PEOPLE.items()}
    yield opened
    for channel in opened.values():
        channel.close()


def called(channel: grpc.Channel, method: str, request: bytes = b"") -> bytes:
    """Call a method of any kind with one message and return the joined answer."""
    path = f"/{SERVICE}/{method}"
    if method in STREAMS_IN and method in STREAMS_OUT:
        return b" ".join(channel.stream_stream(path)(iter([request]), timeout=10))
    if method in STREAMS_IN:
        return channel.stream_unary(path)(iter([request]), timeout=10)
    if method in STREAMS_OUT:
        return b" ".join(channel.unary_stream(path)(request, timeout=10))
    return channel.unary_unary(path)(request, timeout=10)


def test_the_table_has_exactly_the_methods_of_the_service() -> None:
    service = coordinator_service_pb2.DESCRIPTOR.services_by_name["CoordinatorService"]
    assert set(ALLOWED) == {f"/{service.full_name}/{method.name}" for method in service.methods}


@pytest.mark.parametrize(("method", "name"), list(itertools.product(HANDLERS, NAMES)))
def test_every_method_answers_exactly_the_roles_of_its_row(
    channels: dict[str, grpc.Channel], method: str, name: str
) -> None:
    if NAMES[name] in ALLOWED.get(f"/{SERVICE}/{method}", ()):
        assert called(channels[name], method, b"x")
        return
    with pytest.raises(grpc.RpcError) as caught:
        called(channels[name], method, b"x")
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    error = connect.explained(caught.value, "there")
    assert isinstance(error, errors.Refused)
    assert error.rule == "access"


def test_a_method_without_a_row_would_answer_anybody_if_the_table_were_not_asked(
    channels: dict[str, grpc.Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "check_allowed", lambda _method, _member: None)  # the planted fault
    assert called(channels["ana"], "Forgotten") == b"ana "


def test_handlers_learn_the_caller_from_the_connection_in_all_four_kinds(channels: dict[str, grpc.Channel]) -> None:
    assert called(channels["macao"], "GetStatus", b"says hongkong") == b"macao says hongkong"
    assert called(channels["macao"], "Attend", b"x") == b"macao x"
    assert called(channels["macao"], "Download") == b"macao 0 macao 1 macao 2"
    assert called(channels["macao"], "Upload", b"x") == b"x"


def test_members_in_one_process_keep_their_identities_apart(channels: dict[str, grpc.Channel]) -> None:
    calls = {
        name: [channel.unary_unary(f"/{SERVICE}/GetStatus").future(b"") for _ in range(20)]
        for name, channel in channels.items()
    }
    assert {name: {call.result() for call in own} for name, own in calls.items()} == {
        name: {name.encode() + b" "} for name in NAMES
    }


def test_an_event_loop_dials_with_the_same_identity(port: Port) -> None:
    async def asked() -> list[bytes]:
        async with connect.aio_channel(port.address, PEOPLE["macao"], ROSTER) as channel:
            stream = channel.stream_stream(f"/{SERVICE}/Attend")()
            await stream.write(b"asynchronously")
            return [await stream.read()]

    assert asyncio.run(asked()) == [b"macao asynchronously"]


@pytest.mark.parametrize("name", [name for name in FAULTS if name != b"bug"])
def test_an_error_of_the_coordinator_arrives_as_itself(channels: dict[str, grpc.Channel], name: bytes) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        called(channels["ana"], "Submit", name)
    sent, told = FAULTS[name], connect.explained(caught.value, "there")
    assert isinstance(sent, errors.FederationError)
    assert (type(told), told.message, told.hint, told.party) == (type(sent), sent.message, sent.hint, sent.party)
    assert getattr(told, "rule", "") == getattr(sent, "rule", "")


def test_the_text_of_an_unexpected_exception_stays_at_the_coordinator(
    channels: dict[str, grpc.Channel], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        called(channels["ana"], "Submit", b"bug")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "4711" not in repr(caught.value)
    assert "ValueError" not in repr(caught.value)
    assert "4711" in caplog.text
    assert type(connect.explained(caught.value, "there")) is errors.FederationError


def test_a_message_over_the_default_limit_is_refused_with_a_reason(channels: dict[str, grpc.Channel]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        called(channels["macao"], "GetStatus", bytes(5 * 2**20))
    assert isinstance(connect.explained(caught.value, "there"), errors.Unavailable)


def test_a_member_that_leaves_the_roster_loses_its_open_streams_at_once() -> None:
    with served(tls.server_credentials(PEOPLE["relay"], ROSTER), ROSTER) as port:
        leaving = connect.sync_channel(port.address, PEOPLE["macao"], ROSTER)
        staying = connect.sync_channel(port.address, PEOPLE["hongkong"], ROSTER)
        hold = threading.Event()

        def requests() -> Iterator[bytes]:
            yield b"first"
            hold.wait(30)

        try:
            streams = [channel.stream_stream(f"/{SERVICE}/Attend")(requests()) for channel in (leaving, staying)]
            assert [next(stream) for stream in streams] == [b"macao first", b"hongkong first"]
            began = time.monotonic()
            port.replace(WITHOUT_MACAO)
            with pytest.raises(grpc.RpcError) as caught:
                next(streams[0])
            assert time.monotonic() - began < 5  # the promise; it takes milliseconds
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert isinstance(connect.explained(caught.value, port.address), connect.WrongIdentity)
            with pytest.raises(grpc.RpcError) as again:
                called(leaving, "GetStatus")
            assert again.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert called(staying, "GetStatus") == b"hongkong "
            assert streams[1].is_active()
        finally:
            hold.set()
            leaving.close()
            staying.close()


def test_without_ending_open_calls_a_stream_would_outlive_its_member() -> None:
    with served(tls.server_credentials(PEOPLE["relay"], ROSTER), ROSTER) as port:
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with connect.sync_channel(port.address, PEOPLE["macao"], ROSTER) as channel:
            stream = channel.stream_stream(f"/{SERVICE}/Attend")(iter(requests.get, None))
            requests.put(b"a member")
            assert next(stream) == b"macao a member"
            port.access._roster = WITHOUT_MACAO  # the planted fault: only new calls are judged by it
            requests.put(b"still here")
            assert next(stream) == b"macao still here"
            requests.put(None)


def test_a_member_that_leaves_while_it_is_sent_to_loses_its_stream_too() -> None:
    with served(tls.server_credentials(PEOPLE["relay"], ROSTER), ROSTER) as port:
        ended = []
        for reads in (True, False):  # one that reads as fast as it can, one that has stopped reading
            port.replace(ROSTER)
            with connect.sync_channel(port.address, PEOPLE["macao"], ROSTER) as channel:
                stream = channel.unary_stream(f"/{SERVICE}/Download")(b"endless")
                assert len(next(stream)) == 2**16
                if not reads:
                    time.sleep(0.2)  # the windows fill, a write is stuck
                port.replace(WITHOUT_MACAO)
                with pytest.raises(grpc.RpcError) as caught:
                    for _ in stream:
                        pass
                ended.append(caught.value.code())
    assert ended[0] is grpc.StatusCode.UNAUTHENTICATED
    assert ended[1] in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


def faster(options: tuple[tuple[str, int], ...], *, without: str = "") -> tuple[tuple[str, int], ...]:
    """The options with keepalive twenty times faster, which is as fast as gRPC goes; or without one of them."""
    return tuple(
        (name, value // 20 if name.endswith(("keepalive_time_ms", "without_data_ms")) else value)
        for name, value in options
        if name != without
    )


def test_a_silent_line_stays_open_and_would_not_without_each_server_option(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = ("", "grpc.http2.min_ping_interval_without_data_ms", "grpc.keepalive_permit_without_calls")
    monkeypatch.setattr(connect, "_OPTIONS", faster(connect._OPTIONS))
    options = tls.OPTIONS
    with contextlib.ExitStack() as stack:
        channels = []
        for without in planted:
            monkeypatch.setattr(tls, "OPTIONS", faster(options, without=without))
            port = stack.enter_context(served(tls.server_credentials(PEOPLE["relay"], ROSTER), ROSTER))
            channels.append(stack.enter_context(connect.sync_channel(port.address, PEOPLE["macao"], ROSTER)))
        before = [called(channel, "GetStatus", b"from where") for channel in channels]
        time.sleep(5)  # four pings; the third that comes too early is one too many
        after = [called(channel, "GetStatus", b"from where") for channel in channels]
    assert all(peer.startswith(b"ipv4:127.0.0.1:") for peer in before)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False]


def proof(**changes: object) -> SimpleNamespace:
    shown = {
        "ssl_tls_version": [b"TLSv1.3"],
        "x509_pem_cert": [pem(PEOPLE["macao"].member.tls_certificate)],
        "x509_common_name": [b"macao"],
    } | changes
    return SimpleNamespace(auth_context=lambda: {name: value for name, value in shown.items() if value is not None})


def test_the_member_is_who_owns_the_certificate() -> None:
    assert peer_member(proof(), ROSTER) == PEOPLE["macao"].member
    assert peer_member(proof(x509_common_name=[b"hongkong"]), ROSTER).name == "macao"


@pytest.mark.parametrize(
    "changes",
    [
        {"x509_pem_cert": None},
        {"x509_pem_cert": []},
        {"x509_pem_cert": [b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"]},
        {"x509_pem_cert": [b"\xff\xfe"]},
        {"x509_pem_cert": [pem(PEOPLE["macao"].member.tls_certificate)] * 2},
        {"x509_pem_cert": [pem(members()["macao"].member.tls_certificate)]},
        {"ssl_tls_version": [b"TLSv1.2"]},
        {"ssl_tls_version": [b"TLSv1.3", b"TLSv1.2"]},
    ],
)
def test_a_connection_that_proves_no_member_is_nobody(changes: dict[str, object]) -> None:
    with pytest.raises(NotAMember):
        peer_member(proof(**changes), ROSTER)


def test_where_grpc_does_not_tell_the_version_the_handshake_must_have_been_restricted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls, "OLD_TLS_FAILS", True)
    assert peer_member(proof(ssl_tls_version=None), ROSTER).name == "macao"
    monkeypatch.setattr(tls, "OLD_TLS_FAILS", False)
    with pytest.raises(NotAMember, match=r"TLS 1\.3"):
        peer_member(proof(ssl_tls_version=None), ROSTER)


def test_no_port_is_opened_where_nothing_keeps_old_tls_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "OLD_TLS_FAILS", False)
    tls.server_credentials(PEOPLE["relay"], ROSTER)
    monkeypatch.setattr(grpc, "__version__", "1.84.9")
    with pytest.raises(errors.Refused) as caught:
        tls.server_credentials(PEOPLE["relay"], ROSTER)
    assert caught.value.rule == "tls"


def test_nobody_is_calling_outside_a_call() -> None:
    with pytest.raises(errors.Misuse):
        access.caller()


def test_only_the_coordinator_of_a_roster_in_force_opens_a_port() -> None:
    with pytest.raises(errors.Refused) as caught:
        tls.server_credentials(PEOPLE["macao"], ROSTER)
    assert caught.value.rule == "role"
    with pytest.raises(errors.Refused, match="not in force"):
        tls.server_credentials(PEOPLE["relay"], replace(ROSTER, signatures=ROSTER.signatures[1:]))
    with pytest.raises(errors.Refused, match="another key"):
        tls.server_credentials(members()["relay"], ROSTER)
    assert ROSTER.with_role(Role.COORDINATOR) == (PEOPLE["relay"].member,)
