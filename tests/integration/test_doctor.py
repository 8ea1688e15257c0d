"""The doctor over a federation of real processes: well where it is well, and a stopped or hanging daemon is named."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.doctor import verb
from clients.cli.doctor.examination import World
from clients.cli.main import main
from clients.cli.stage import COORDINATOR, Stage
from federation.version import VERSION

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("doctor")
    with Stage(folder / "stage", written(folder)) as running:
        yield running


def examined(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Run the verb; return its exit code, and check -> finding."""
    capsys.readouterr()
    code = main(["doctor", *map(str, arguments), "-o", "json"])
    data = json.loads(capsys.readouterr().out)["data"]
    return code, {finding["check"]: finding for finding in data["findings"]}


def test_all_is_well_for_everybody_while_all_run(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDERATION_HOME", str(stage.folder))
    for arguments in [(stage.jurisdiction_file(name),) for name in PARTIES] + [(stage.coordinator_file(),), ()]:
        code, found = examined(capsys, *arguments)
        assert code == 0
        assert {finding["state"] for finding in found.values()} == {"ok"}, found
        assert found["version"]["text"] == f"{VERSION}, here and there"
        assert found["attendance"]["text"] == "guangdong, hongkong, macao attend"
    _, found = examined(capsys, stage.jurisdiction_file("macao"))
    assert found["state folder"]["text"].endswith(f"process {stage.processes['macao'].pid}")


def test_the_process_prints_plain_lines_into_a_pipe(stage: Stage) -> None:
    command = [sys.executable, "-m", "clients.cli.main", "doctor", str(stage.jurisdiction_file("macao"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith("ok    ") for line in done.stdout.splitlines()[:-1])
    assert done.stdout.endswith("\nall is well\n")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "WORLD", World(wait_s=2.0))


@pytest.mark.usefixtures("impatient")
def test_a_daemon_that_hangs_and_one_that_was_killed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    process = stage.processes["macao"]
    process.send_signal(signal.SIGSTOP)
    code, found = examined(capsys, stage.jurisdiction_file("macao"))
    assert code == 3
    assert [name for name, finding in found.items() if finding["state"] != "ok"] == ["state folder"]
    assert f"held by process {process.pid}, which does not answer" in found["state folder"]["text"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(50):  # until the coordinator has noticed
        code, found = examined(capsys, stage.jurisdiction_file("macao"))
        if found["attendance"]["state"] == "warn":
            break
    assert code == 0
    assert found["state folder"]["text"] == "free, and can be written"
    assert found["attendance"]["text"] == "guangdong, hongkong attend; not macao"
    assert "federation jurisdiction start" in found["attendance"]["remedy"]


@pytest.mark.usefixtures("impatient")
def test_a_coordinator_that_hangs_is_told_from_a_firewall(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    process = stage.processes[COORDINATOR]
    process.send_signal(signal.SIGSTOP)
    try:
        code, found = examined(capsys, stage.jurisdiction_file("guangdong"))
        assert code == 5
        assert found["port"]["state"] == "ok"  # the system takes the connection for it
        assert found["TLS"]["state"] == "fail"
        assert "then says nothing" in found["TLS"]["text"]
        code, found = examined(capsys, stage.coordinator_file())
        assert code == 3
        assert f"held by process {process.pid}" in found["state folder"]["text"]
        assert found["port"]["state"] == "skipped"
    finally:
        process.send_signal(signal.SIGCONT)
