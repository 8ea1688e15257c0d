"""The verbs that look after jobs, over real daemons; a token makes one job of two runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.main import main
from clients.cli.stage import Stage

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, written

pytestmark = pytest.mark.slow

JOB = 'purpose = "test"\ndata = "people"\nname = "{name}"\ndeadline_s = {deadline}\n\n[[statistic]]\nname = "count"\n'


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("verbs")
    with Stage(folder / "stage", written(folder)) as running:
        yield running


@pytest.fixture(autouse=True)
def home(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDERATION_HOME", str(stage.folder))


def job_file(folder: Path, name: str, deadline: float = 30.0) -> str:
    path = folder / f"{name}.toml"
    path.write_text(JOB.format(name=name, deadline=deadline))
    return str(path)


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main([*arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_job_is_listed_described_and_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered(capsys, "run", job_file(tmp_path, "walk"))
    (listed,) = [each for each in answered(capsys, "get", "jobs")["data"] if each["job"] == "walk"]
    assert (listed["state"], listed["data set"], listed["sums"]) == ("released", "people", "1/1")
    described = answered(capsys, "describe", "walk")["data"]
    assert described["questions"] == ["count()"]
    assert {party["party"] for party in described["parties"]} == set(PARTIES)
    lines = answered(capsys, "logs", "-f", "walk")["data"]
    assert lines[0]["text"] == "submitted walk"
    assert lines[-1]["text"] == "released"
    assert {line["party"] for line in lines} >= set(PARTIES)
    assert all(line["at_ms"] > 1_600_000_000_000 for line in lines)
    only = answered(capsys, "logs", "walk", "--party", "macao")["data"]
    assert {line["party"] for line in only} == {"macao"}
    attends = answered(capsys, "get", "parties")["data"]
    assert {each["jurisdiction"]: each["attends"] for each in attends} == dict.fromkeys(PARTIES, "yes")


def test_the_same_token_is_the_same_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = job_file(tmp_path, "once")
    first = answered(capsys, "run", file, "--token", "monday")["data"]
    again = answered(capsys, "run", file, "--token", "monday")["data"]
    other = answered(capsys, "run", file, "--token", "tuesday")["data"]
    assert first["job_hash"] == again["job_hash"] != other["job_hash"]
    assert len([each for each in answered(capsys, "get", "jobs")["data"] if each["job"] == "once"]) == 2


def test_a_job_that_waits_is_cancelled_and_everybody_hears(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.processes["macao"].send_signal(signal.SIGSTOP)
    try:
        handed_in = answered(capsys, "run", job_file(tmp_path, "waits", 60.0), "--no-wait")["data"]
        command = [sys.executable, "-m", "clients.cli.main", "logs", "-f", "waits"]
        following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert following.stdout is not None
        first = following.stdout.readline()
        cancelled = answered(capsys, "cancel", "waits")["data"]
        assert (cancelled["job_hash"], cancelled["state"]) == (handed_in["job_hash"], "aborted")
        rest = following.communicate(timeout=30)[0]
        assert following.returncode == 0
        assert "submitted waits" in first
        assert rest.splitlines()[-1].endswith("cancelled the job")
    finally:
        stage.processes["macao"].send_signal(signal.SIGCONT)
    described = answered(capsys, "describe", "waits")["data"]
    assert "cancelled" in described["blames"][0]["message"]
    assert answered(capsys, "result", "waits", code=1)["error"]["code"] == "job_failed"


def test_an_unknown_job_is_named_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    error = answered(capsys, "describe", "wolk", code=2)["error"]
    assert "wolk" in error["message"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_every_verb(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(verb in script for verb in ("run", "demo", "jurisdiction", "logs"))
