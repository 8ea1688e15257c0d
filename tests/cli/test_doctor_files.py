"""The doctor over files: a fault in configuration, policy, data, keys, roster or state is named, and it alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.channel import connect
from clients.cli.doctor import checkup, probes
from clients.cli.doctor.checkup import State
from federation import errors
from federation.coordinator import tls
from federation.identity import keys, roster_file
from federation.identity.sealed import SealedLog
from tests.channel.loopback import NAMES, members, served, signed_by_all
from tests.cli.ward import (
    DATASET,
    LINE,
    Ward,
    blamed,
    findings,
    listening,
    made,
    refusing_port,
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


# --- configuration, policy, data -------------------------------------------------------------------------------------


def test_a_typing_error_in_the_policy_does_not_hide_the_rest(ward: Ward, port: str) -> None:
    found = findings(ward.write(port, policy='purpose = ["test"]\n'), world())
    finding = blamed(found, "configuration", skipped=["policy", "data sets"], exit_code=2)
    assert "unknown key 'policy.purpose'" in finding.text
    assert finding.remedy == "did you mean 'purposes'?"
    assert [found[check].state for check in ("keys", "roster", "member", *LINE)] == [State.OK] * 9


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        ("[jurisdiction\n", "is not TOML", "correct the file"),
        ("[juristiction]\n", "neither a table [jurisdiction] nor [coordinator]", "did you mean 'jurisdiction'?"),
        ('[jurisdiction]\nroaster = "x"\n', "unknown key 'jurisdiction.roaster'", "did you mean 'roster'?"),
        ("", "key 'jurisdiction' is missing", "correct the file"),
    ],
)
def test_a_file_that_nothing_can_be_read_from(tmp_path: Path, text: str, cause: str, remedy: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    (finding,) = findings(path, world()).values()
    assert (finding.check, finding.state, finding.exit_code) == ("configuration", State.FAIL, 2)
    assert cause in finding.text
    assert finding.remedy == remedy


def test_a_policy_that_permits_what_does_not_exist_is_a_warning(ward: Ward, port: str) -> None:
    finding = warned(findings(ward.write(port, policy='statistics = ["meen"]\n'), world()), "policy")
    assert "no statistic 'meen'" in finding.text
    assert finding.remedy == "did you mean 'mean'?"


@pytest.mark.parametrize(("key", "name", "meant"), [("models", "mpl", "mlp"), ("strategies", "fedag", "fedavg")])
def test_a_policy_that_permits_a_training_that_does_not_exist_is_a_warning(
    ward: Ward, port: str, key: str, name: str, meant: str
) -> None:
    policy = 'statistics = ["mean", "train"]\nresearchers = ["ana"]\n'
    finding = warned(findings(ward.write(port, policy=f'{policy}{key} = ["{name}"]\n'), world()), "policy")
    assert f"no {'model' if key == 'models' else 'strategy'} {name!r}" in finding.text
    assert finding.remedy == f"did you mean {meant!r}?"


def test_a_policy_that_permits_nobody_of_the_roster_is_a_warning(ward: Ward, port: str) -> None:
    finding = warned(findings(ward.write(port, policy='researchers = ["anna"]\n'), world()), "policy")
    assert "no researcher 'anna'" in finding.text
    assert finding.remedy == "did you mean 'ana'?"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"age,sex\n31,f\n4711,m,surplus\n", "people.csv, line 3: not well-formed"),
        (b"age,sex\n31,f\nsecret,m\n", "people.csv, line 3: column 'age'"),
        (b"age,sex\n31,f\n32,\xff\n", "people.csv, line 3"),
        (b"", "people.csv has no header line"),
    ],
)
def test_a_data_file_that_is_malformed(ward: Ward, port: str, content: bytes, words: str) -> None:
    (ward.folder / "people.csv").write_bytes(content)
    finding = blamed(findings(ward.write(port), world()), "data people", exit_code=2)
    assert words in finding.text
    for value in ("4711", "surplus", "secret"):
        assert value not in finding.text + finding.remedy


def test_a_data_file_that_is_gone_does_not_hide_the_other(ward: Ward, port: str) -> None:
    other = DATASET.replace('"people"', '"others"').replace("people.csv", "others.csv")
    found = findings(ward.write(port, rest=DATASET + other), world())
    assert "no file is called" in blamed(found, "data others", exit_code=2).text
    assert found["data people"].state is State.OK


# --- keys, roster ----------------------------------------------------------------------------------------------------


def test_a_key_file_that_others_can_read(ward: Ward, port: str) -> None:
    (ward.folder / "keys" / "macao" / "identity.key").chmod(0o644)
    found = findings(ward.write(port), world())
    finding = blamed(found, "keys", skipped=["member", *LINE[1:]], exit_code=3)
    assert "identity.key can be read or written by other users (mode 0644)" in finding.text
    assert finding.remedy.startswith("chmod 600 ")
    assert found["port"].state is State.OK


def test_a_roster_that_lacks_a_signature(ward: Ward, port: str) -> None:
    roster = ward.roster
    kept = tuple(item for item in roster.signatures if item[0] != "hongkong")
    roster_file.save(ward.folder / "roster.json", type(roster)(**{**_fields(roster), "signatures": kept}))
    found = findings(ward.write(port), world())
    finding = blamed(found, "roster", skipped=["member", *LINE[1:]], exit_code=3)
    assert "no valid signature of hongkong" in finding.text
    assert "federation roster sign" in finding.remedy


def _fields(roster: object) -> dict[str, object]:
    return {name: getattr(roster, name) for name in ("federation", "version", "members", "signatures")}


def test_a_roster_that_has_other_keys_for_us(ward: Ward, port: str) -> None:
    people = {**ward.people(), "macao": members()["macao"]}
    roster_file.save(ward.folder / "roster.json", signed_by_all(people))
    finding = blamed(findings(ward.write(port), world()), "member", skipped=LINE[1:], exit_code=3)
    assert "another key, certificate or role for macao" in finding.text


def test_a_roster_without_us(ward: Ward, port: str) -> None:
    people = {**ward.people(), "taipa": keys.made("taipa", NAMES["macao"])}
    del people["macao"]
    roster_file.save(ward.folder / "roster.json", signed_by_all(people))
    finding = blamed(findings(ward.write(port), world()), "member", skipped=LINE[1:], exit_code=3)
    assert "has no member macao" in finding.text


def test_keys_of_another_role(ward: Ward, port: str) -> None:
    path = ward.write(port)
    path.write_text(path.read_text().replace("keys/macao", "keys/ana"))
    finding = blamed(findings(path, world()), "member", skipped=LINE[1:], exit_code=3)
    assert "those of ana, a researcher, and this needs a jurisdiction" in finding.text


# --- state, disk, address --------------------------------------------------------------------------------------------


def test_a_state_folder_that_another_process_holds(ward: Ward, port: str) -> None:
    with SealedLog(ward.folder / "state", bytes(32)):
        found = findings(ward.write(port), world())
    finding = blamed(found, "state folder", exit_code=3)
    assert f"held by process {os.getpid()}, which does not answer" in finding.text
    assert f"kill {os.getpid()}" in finding.remedy
    assert findings(ward.write(port), world())["state folder"].state is State.OK


def test_a_store_that_another_process_holds(ward: Ward) -> None:
    (ward.folder / "state").mkdir()
    code = (
        "import sys; from pathlib import Path; from federation.coordinator.store import SqliteStore;"
        "store = SqliteStore(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(ward.folder / "state" / "events.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        found = findings(ward.write_coordinator(refusing_port()), world())
        holder.communicate("")
    assert f"held by process {holder.pid}" in blamed(found, "state folder", skipped=LINE, exit_code=3).text
    assert findings(ward.write_coordinator(refusing_port()), world())["state folder"].state is State.OK


def test_a_state_folder_that_is_none(ward: Ward, port: str) -> None:
    finding = blamed(findings(ward.write(port, state="people.csv/state"), world()), "state folder", exit_code=2)
    assert "people.csv is not a folder" in finding.text


def test_a_disk_that_is_nearly_full_is_a_warning(ward: Ward, port: str) -> None:
    finding = warned(findings(ward.write(port), world(free_bytes=5 << 20)), "disk")
    assert finding.text.startswith("5 MiB are free")


def test_an_address_that_is_none(ward: Ward) -> None:
    finding = blamed(
        findings(ward.write("coordinator.example"), world()), "address", skipped=["host name", *LINE], exit_code=2
    )
    assert "'coordinator.example' is not an address" in finding.text
    assert "host:port" in finding.remedy


def test_a_proxy_that_grpc_would_take_is_a_warning(ward: Ward, port: str) -> None:
    found = findings(ward.write(port), world(environment={"https_proxy": "http://proxy.example:3128"}))
    finding = warned(found, "address")
    assert "through the proxy of https_proxy" in finding.text
    assert "no_proxy=127.0.0.1" in finding.remedy
    spared = {"https_proxy": "http://proxy.example:3128", "no_proxy": "localhost, 127.0.0.1"}
    assert findings(ward.write(port), world(environment=spared))["address"].state is State.OK


@pytest.mark.parametrize(
    "address",
    ["a.example:1", "a.example:65535", "[::1]:7443", "127.0.0.1:1", "a.example", "a:0", "a:65536", "https://a:1", ":1"],
)
def test_the_doctor_takes_the_addresses_that_are_dialled(ward: Ward, address: str) -> None:
    def refused_by(dial: object) -> str:
        try:
            dial()  # type: ignore[operator]
        except errors.Misuse as fault:
            return fault.message
        return ""

    people, roster = ward.people(), ward.roster
    ours = refused_by(lambda: probes.parsed(address))
    assert ours == refused_by(lambda: connect.sync_channel(address, people["macao"], roster).close())


# --- the coordinator's file ------------------------------------------------------------------------------------------


def test_a_coordinator_that_does_not_run_yet_is_well(ward: Ward) -> None:
    found = findings(ward.write_coordinator(refusing_port()), world())
    assert [finding.check for finding in found.values() if finding.state is State.SKIPPED] == LINE[1:]
    assert "the coordinator does not run" in found["TLS"].text
    assert checkup.exit_code(found.values()) == 0
    assert checkup.sentence(list(found.values())) == "all is well, 5 not checked"


def test_a_port_that_another_program_has(ward: Ward) -> None:
    with listening(lambda taken: None) as address:
        found = findings(ward.write_coordinator(address), world())
    finding = blamed(found, "port", skipped=LINE[1:], exit_code=4)
    assert f"another program listens on {address}" in finding.text
    assert "ss -ltnp" in finding.remedy


def test_an_address_that_this_machine_does_not_have(ward: Ward) -> None:
    found = findings(ward.write_coordinator("192.0.2.1:7443"), world())
    assert "nobody can listen on 192.0.2.1:7443" in blamed(found, "port", skipped=LINE[1:], exit_code=2).text
