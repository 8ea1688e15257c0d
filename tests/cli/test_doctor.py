"""The doctor names each planted fault, its cause and its remedy, and blames no other check for it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli.doctor import checkup, probes, verb
from clients.cli.doctor.checkup import State, Step, Told
from clients.cli.main import main
from federation import errors
from federation.coordinator import tls
from federation.identity import keys
from federation.version import VERSION
from tests.channel import loopback
from tests.channel.loopback import members, served, signed_by_all
from tests.cli.ward import (
    LINE,
    NOW_MS,
    POLICY,
    Ward,
    blamed,
    findings,
    listening,
    made,
    refusing_port,
    status,
    warned,
    world,
)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    return made(tmp_path_factory.mktemp("ward"))


@pytest.fixture
def ward(made_once: Ward, tmp_path: Path) -> Ward:
    return made_once.copied(tmp_path / "w")


@pytest.fixture(scope="module")
def port(made_once: Ward) -> Iterator[str]:
    """The address of the roster's coordinator."""
    with served(tls.server_credentials(made_once.people()["relay"], made_once.roster), made_once.roster) as opened:
        yield opened.address


def test_where_all_is_well_nothing_is_blamed(ward: Ward, port: str) -> None:
    found = findings(ward.write(port), world())
    assert [finding.state for finding in found.values()] == [State.OK] * 16
    assert list(found)[-6:] == LINE
    assert checkup.sentence(list(found.values())) == "all is well"
    assert not (ward.folder / "state").exists()  # it only looks


# --- name, port ------------------------------------------------------------------------------------------------------


def test_a_name_that_does_not_exist(ward: Ward) -> None:
    def resolver(host: str, port: int) -> list[tuple[int, object]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found = findings(ward.write("coordinator.invalid:7443"), world(resolver=resolver))
    finding = blamed(found, "host name", skipped=LINE, exit_code=5)
    assert finding.text == "there is no host called coordinator.invalid"
    assert "typing error" in finding.remedy


def test_a_resolver_that_says_that_it_cannot_ask(ward: Ward) -> None:
    def resolver(host: str, port: int) -> list[tuple[int, object]]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    found = findings(ward.write("coordinator.invalid:7443"), world(resolver=resolver))
    finding = blamed(found, "host name", skipped=LINE, exit_code=5)
    assert "the resolver does not answer" in finding.text
    assert "name server" in finding.remedy


def test_a_resolver_that_is_silent(ward: Ward) -> None:
    over = threading.Event()

    def resolver(host: str, port: int) -> list[tuple[int, object]]:
        over.wait(30)
        return []

    began = time.monotonic()
    found = findings(ward.write("coordinator.invalid:7443"), world(resolver=resolver, wait_s=0.2))
    over.set()
    assert time.monotonic() - began < 10
    assert "does not answer within 0.2 s" in blamed(found, "host name", skipped=LINE, exit_code=5).text


def test_a_port_where_nothing_listens(ward: Ward) -> None:
    found = findings(ward.write(refusing_port()), world())
    finding = blamed(found, "port", skipped=LINE[1:], exit_code=5)
    assert "nothing listens" in finding.text
    assert "refused" in finding.text
    assert "federation coordinator status" in finding.remedy


def test_a_port_whose_packets_are_dropped(ward: Ward) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        where = server.getsockname()
        waiting = []
        for _ in range(4):  # fill the queue: the system drops what comes after, as a firewall does
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(where)
        found = findings(ward.write(f"127.0.0.1:{where[1]}"), world(wait_s=0.3))
        for one in waiting:
            one.close()
    finding = blamed(found, "port", skipped=LINE[1:], exit_code=5)
    assert "no answer within 0.3 s" in finding.text
    assert "firewall" in finding.text
    assert f"let TCP to port {where[1]} out" in finding.remedy


def test_of_two_addresses_the_one_that_answers_is_taken(port: str) -> None:
    there = (socket.AF_INET, ("127.0.0.1", int(port.rpartition(":")[2])))
    nowhere = (socket.AF_INET, ("127.0.0.1", int(refusing_port().rpartition(":")[2])))
    assert probes.connected([nowhere, there], port) == there


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_a_port_that_takes_the_connection_and_says_nothing(ward: Ward) -> None:
    with listening(lambda taken: time.sleep(1)) as address:
        found = findings(ward.write(address), world(wait_s=0.3))
    finding = blamed(found, "TLS", skipped=LINE[2:], exit_code=5)
    assert "accepts the connection and then says nothing for 0.3 s" in finding.text
    assert "proxy" in finding.remedy


def test_a_port_that_speaks_plain_text(ward: Ward) -> None:
    def answer(taken: socket.socket) -> None:
        taken.recv(2000)
        taken.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with listening(answer) as address:
        found = findings(ward.write(address), world())
    finding = blamed(found, "TLS", skipped=LINE[2:], exit_code=5)
    assert "something else than TLS answers" in finding.text
    assert "check host and port" in finding.remedy


def test_a_port_that_hangs_up_at_the_first_word(ward: Ward) -> None:
    with listening(lambda taken: None) as address:
        found = findings(ward.write(address), world())
    assert "closes the connection" in blamed(found, "TLS", skipped=LINE[2:], exit_code=5).text


def test_somebody_else_s_certificate_under_the_coordinator_s_name(ward: Ward) -> None:
    others = members()
    roster = signed_by_all(others)
    with served(tls.server_credentials(others["relay"], roster), roster) as opened:
        found = findings(ward.write(opened.address), world())
    finding = blamed(found, "TLS", skipped=LINE[2:], exit_code=5)
    assert "another certificate than the roster has for relay" in finding.text
    assert "do not go on" in finding.remedy
    assert "federation roster show" in finding.remedy


def test_another_member_s_certificate(ward: Ward) -> None:
    people = ward.people()
    moved = {**people, "relay": people["macao"]}
    del moved["macao"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, people["hongkong"])
    with listening(lambda taken: _greeted(context, taken)) as address:
        found = findings(ward.write(address), world())
    assert "another certificate" in blamed(found, "TLS", skipped=LINE[2:], exit_code=5).text


def test_a_coordinator_that_has_other_keys_for_us(ward: Ward) -> None:
    theirs = {**members(), "relay": ward.people()["relay"]}
    roster = signed_by_all(theirs)
    with served(tls.server_credentials(theirs["relay"], roster), roster) as opened:
        found = findings(ward.write(opened.address), world())
    finding = blamed(found, "TLS", skipped=LINE[2:], exit_code=5)
    assert "does not accept our certificate" in finding.text
    assert "keys for macao" in finding.remedy


def test_tls_that_is_too_old(ward: Ward) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _load(context, ward.people()["relay"])
    with listening(lambda taken: _greeted(context, taken)) as address:
        found = findings(ward.write(address), world())
    assert "TLS older than 1.3" in blamed(found, "TLS", skipped=LINE[2:], exit_code=5).text


def _load(context: ssl.SSLContext, who: keys.Credentials) -> None:
    with probes._in_memory(who.tls_private_key + who.tls_certificate) as path:
        context.load_cert_chain(path)


def _greeted(context: ssl.SSLContext, taken: socket.socket) -> None:
    with context.wrap_socket(taken, server_side=True) as secure:
        secure.sendall(b"\0")
        secure.recv(1)


# --- what the coordinator says ---------------------------------------------------------------------------------------


def test_a_coordinator_that_does_not_answer_the_question(
    ward: Ward, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    import grpc

    async def asleep(request: bytes, context: object) -> bytes:
        await asyncio.sleep(30)
        return b""

    monkeypatch.setitem(loopback.HANDLERS, "GetStatus", grpc.unary_unary_rpc_method_handler(asleep))
    people = ward.people()
    with served(tls.server_credentials(people["relay"], ward.roster), ward.roster) as opened:
        began = time.monotonic()
        with pytest.raises(errors.Unavailable, match="did not answer in time"):
            probes.asked(opened.address, people["macao"], ward.roster, 0.5)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("ahead_s", "words"), [(3600, "60 min ahead of"), (-86_400, "24 h behind"), (61.5, "61.5 s ahead of")]
)
def test_a_clock_that_is_wrong(ward: Ward, port: str, ahead_s: float, words: str) -> None:
    said = status(now_ms=NOW_MS - int(ahead_s * 1000))
    finding = blamed(findings(ward.write(port), world(said=said)), "clock", exit_code=5)
    assert finding.text == f"this machine's clock is {words} the coordinator's"
    assert "NTP" in finding.remedy


def test_a_clock_that_is_a_little_wrong_is_a_warning(ward: Ward, port: str) -> None:
    found = findings(ward.write(port), world(said=status(now_ms=NOW_MS + 20_000)))
    assert "20.0 s behind" in warned(found, "clock").text
    assert checkup.exit_code(found.values()) == 0
    assert checkup.sentence(list(found.values())) == "all is well, with 1 warning"


def test_a_slow_answer_is_no_skew() -> None:
    """Planted fault: judged against the time before the question alone, a way of ten seconds would be a skew."""
    assert checkup.clock(NOW_MS + 9_000, NOW_MS, NOW_MS + 10_000).remedy == ""
    assert checkup.clock(NOW_MS + 9_000, NOW_MS, NOW_MS).remedy


@pytest.mark.parametrize(
    ("theirs", "macao", "words"),
    [
        ("0.0.9", "", "the coordinator runs 0.0.9"),
        ("", "", "one that it does not say"),
        (VERSION, "9.9", "macao 9.9"),
    ],
)
def test_another_version_is_a_warning(ward: Ward, port: str, theirs: str, macao: str, words: str) -> None:
    finding = warned(findings(ward.write(port), world(said=status(software=theirs, macao=macao))), "version")
    assert words in finding.text
    assert VERSION in finding.text
    assert "one version" in finding.remedy


def test_we_do_not_attend(ward: Ward, port: str) -> None:
    said = status(attend=["guangdong", "hongkong"])
    finding = warned(findings(ward.write(port), world(said=said)), "attendance")
    assert finding.text == "guangdong, hongkong attend; not macao"
    assert "federation jurisdiction start" in finding.remedy


def test_too_few_attend(ward: Ward, port: str) -> None:
    finding = warned(findings(ward.write(port), world(said=status(attend=["macao"]))), "attendance")
    assert "not guangdong, hongkong" in finding.text
    assert "fewer than 3" in finding.remedy


# --- the run and the verb --------------------------------------------------------------------------------------------


def test_independent_faults_are_all_named_and_the_gravest_decides(ward: Ward) -> None:
    (ward.folder / "keys" / "macao" / "tls.key").chmod(0o640)
    (ward.folder / "people.csv").unlink()
    found = findings(ward.write(refusing_port()), world())
    faults = [finding.check for finding in found.values() if finding.state is State.FAIL]
    assert faults == ["keys", "data people", "port"]
    assert checkup.exit_code(found.values()) == 5
    assert checkup.sentence(list(found.values())).startswith("3 things to mend, the first: keys: ")


def test_a_step_that_falls_over_takes_no_other_with_it_and_shows_no_value() -> None:
    def falls() -> Told:
        raise KeyError("the value 4711 of a row")

    first, second, third = checkup.examined(
        [Step("a", falls), Step("b", lambda: Told("well")), Step("c", lambda: Told("well"), ("b", "a"))]
    )
    assert (first.state, first.exit_code) == (State.FAIL, 70)
    assert "4711" not in first.text + first.remedy
    assert second.state is State.OK
    assert (third.state, third.text) == (State.SKIPPED, "not checked: it needs a")


def test_people_read_aligned_lines_and_one_last_sentence(
    ward: Ward, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "WORLD", world(said=status(software="\x1b[2J9.9")))
    (ward.folder / "people.csv").write_text("age,sex\nx,f\n")
    assert main(["doctor", str(ward.write(port))]) == 2
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("ok    configuration  macao.toml")
    fault = next(i for i, line in enumerate(lines) if line.startswith("FAIL"))
    assert lines[fault].startswith("FAIL  data people    people.csv, line 2")
    assert lines[fault + 1].startswith(" " * 21 + "-> ")
    assert lines[-1].startswith("1 thing to mend, the first: data people: people.csv, line 2")
    assert "\x1b" not in out
    assert err == ""


def test_programs_read_one_object(
    ward: Ward, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "WORLD", world())
    assert main(["doctor", str(ward.write(port, policy=POLICY)), "-o", "json"]) == 0
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["status"], envelope["exit_code"], envelope["data"]["to_mend"]) == ("ok", 0, 0)
    assert {finding["state"] for finding in envelope["data"]["findings"]} == {"ok"}
    assert main(["doctor", str(ward.write(refusing_port())), "-o", "jsonl"]) == 5
    *events, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"]["check"] for each in events] == [each["check"] for each in last["data"]["findings"]]
    assert (last["status"], last["exit_code"], last["data"]["to_mend"]) == ("failed", 5, 1)


def test_without_a_file_the_profile_is_examined(
    ward: Ward, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "WORLD", world())
    monkeypatch.setenv("FEDERATION_HOME", str(ward.folder))
    assert main(["doctor"]) == 2
    assert "list of profiles" in capsys.readouterr().out
    profile = f'[gba]\ncoordinator = "{port}"\nkeys = "keys/ana"\nroster = "roster.json"\n'
    (ward.folder / "profiles.toml").write_text(profile)
    assert main(["doctor", "--profile", "gba"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all is well"
    (ward.folder / "profiles.toml").write_text(profile + 'rooster = "x"\n')
    assert main(["doctor"]) == 2
    assert "did you mean 'roster'?" in capsys.readouterr().out


def test_on_a_terminal_the_lines_have_columns(
    ward: Ward, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "WORLD", world(said=status(software="[red]\x1b]0;x\x07")))
    monkeypatch.setattr(verb, "on_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["doctor", str(ward.write(port))]) == 0
    out = capsys.readouterr().out
    assert "\x1b]0" not in out
    assert "[red]" in out  # what others write is no markup
    assert max(map(len, out.splitlines())) <= 60
