"""Evidence over real processes: fetched, kept, checked offline, and the same after the coordinator's restart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.main import main
from clients.cli.stage import COORDINATOR, Stage
from federation.wire import bulk

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, all_rows, written

pytestmark = pytest.mark.slow

JOB = """
purpose = "test"
data = "people"
name = "{name}"

[[statistic]]
name = "count"

[[statistic]]
name = "histogram"
column = "income"
bins = {bins}
by = "sex"
"""
BYTES = "evidence_bytes"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("evidence")
    with Stage(folder / "stage", written(folder, k=3, own=False)) as running:
        yield running


@pytest.fixture(autouse=True)
def home(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDERATION_HOME", str(stage.folder))


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main([*arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


def run(capsys: pytest.CaptureFixture[str], folder: Path, name: str, bins: int, *, code: int = 0) -> Any:
    path = folder / f"{name}.toml"
    path.write_text(JOB.format(name=name, bins=bins))
    return answered(capsys, "run", str(path), code=code)["data"]


def figures_of(data: Any) -> list[Any]:
    return [each["table"]["rows"] for each in data.get("figures") or data["results"]]


def test_a_job_is_verified_by_its_name_and_the_figures_are_those_of_the_result(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(capsys, tmp_path, "walk", 20)
    kept = tmp_path / "walk.evidence"
    found = answered(capsys, "verify", "walk", "--save", str(kept))["data"]
    assert found["holds"] is True
    assert found["job_hash"] == result["job_hash"]
    assert figures_of(found) == figures_of(result)
    assert found["figures"][0]["table"]["rows"][0][0] == len(all_rows())
    by = {line["step"]: line["by"] for line in found["lines"] if line["standing"] == "proven"}
    for step in ("verdicts", "round 0: consents", "round 1: vectors", "attestations"):
        assert by[step] == list(PARTIES)
    assert found[BYTES] == kept.stat().st_size

    # Another machine, which has the file and the roster, and no way to anybody.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(kept, elsewhere)
    shutil.copy(stage.folder / "roster.json", elsewhere)
    command = [sys.executable, "-m", "clients.cli.main", "verify", kept.name, "--roster", "roster.json", "-o", "json"]
    environment = {"FEDERATION_HOME": str(elsewhere), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["lines"] == found["lines"]
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    (elsewhere / kept.name).write_bytes(content)
    assert subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, check=False).returncode == 1


def test_evidence_longer_than_a_message_comes_in_pieces_and_any_chunk_of_it_can_be_added_up_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, tmp_path, "wide", 4096, code=1)  # no bin holds k rows of three parties: the histogram has no figure
    found = answered(capsys, "verify", "wide")["data"]
    assert found["holds"] is True
    assert found["figures"][1]["failure"]
    assert found[BYTES] > bulk.PIECE_BYTES
    chunk = answered(capsys, "verify", "wide", "--chunk", "1:1")["data"]["chunk"]
    assert (chunk["place"], chunk["count"], chunk["equal"]) == (1, 2, True)
    assert [party for party, _ in chunk["roots"]] == list(PARTIES)
    assert main(["verify", "wide", "--chunk", "1:2"]) == 2
    assert "chunks 0 to 1" in capsys.readouterr().err


def test_a_job_that_nobody_knows_and_one_that_was_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(capsys, "verify", "00" * 32, code=2)["error"]["message"] == "there is no such job of yours"
    path = tmp_path / "no.toml"
    path.write_text(JOB.format(name="no", bins=5).replace('"test"', '"curiosity"'))
    answered(capsys, "run", str(path), code=3)
    found = answered(capsys, "verify", "no")["data"]
    assert found["holds"] is True
    assert not found["figures"]
    reasons = [line for line in found["lines"] if line["step"] == "verdicts"]
    assert {line["by"][0] for line in reasons} == set(PARTIES)
    assert all("rule purposes" in line["claim"] for line in reasons)


def test_a_party_gets_the_same_evidence_and_so_does_everybody_after_a_restart(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(capsys, tmp_path, "again", 5)
    files = {name: tmp_path / f"{name}.evidence" for name in ("researcher", "macao", "later")}
    answered(capsys, "verify", "again", "--save", str(files["researcher"]))
    profiles = stage.folder / "profiles.toml"
    before = profiles.read_text()
    profiles.write_text(
        f'default = "demo"\n{before}\n[macao]\ncoordinator = "{stage.address}"\nkeys = "keys/macao"\n'
        'roster = "roster.json"\n'
    )
    try:
        answered(capsys, "verify", result["job_hash"], "-p", "macao", "--save", str(files["macao"]))
        assert main(["verify", "again", "-p", "macao"]) == 2
        assert "64 hexadecimal digits" in capsys.readouterr().err
    finally:
        profiles.write_text(before)
    stage.processes[COORDINATOR].kill()
    stage.processes[COORDINATOR].wait()
    assert main(["verify", "again"]) == 5
    capsys.readouterr()
    stage.start_coordinator()
    answered(capsys, "verify", "again", "--save", str(files["later"]))
    assert len({file.read_bytes() for file in files.values()}) == 1
