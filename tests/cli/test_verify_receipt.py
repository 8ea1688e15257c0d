"""`federation verify RECEIPT`: by a bundle and a roster, offline, or by the evidence that the coordinator has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.cli.main import main
from clients.researcher import evidence
from clients.researcher.evidence import Fetched
from federation.identity import roster_file
from tests.researcher.evidences import Story, keyed, small


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDERATION_HOME", str(tmp_path))
    return tmp_path


def written(story: Story, folder: Path) -> tuple[str, str, str]:
    """Return the files of a receipt, its bundle and the roster."""
    assert story.receipt is not None
    story.receipt.save(folder / "job.receipt")
    (folder / "job.evidence").write_bytes(story.content)
    roster_file.save(folder / "gba.roster", story.roster)
    return str(folder / "job.receipt"), str(folder / "job.evidence"), str(folder / "gba.roster")


@pytest.mark.parametrize("made", [small, keyed])
def test_a_receipt_that_follows_from_its_bundle_is_exit_0(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt, bundle, roster = written(made(), tmp_path)
    assert main(["verify", receipt, "--bundle", bundle, "--roster", roster]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "every line of it follows from this evidence" in out
    assert "holds:" in out.splitlines()[-1]


def test_a_changed_receipt_is_exit_1_and_says_which_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt, bundle, roster = written(keyed(), tmp_path)
    path = Path(receipt)
    assert path.stat().st_mode & 0o777 == 0o600, "a purpose may be personal"
    found = json.loads(path.read_text("utf-8"))
    found["rounds"] += 1
    path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    assert main(["verify", receipt, "--bundle", bundle, "--roster", roster]) == 1
    assert "receipt: expected the receipt that follows from this evidence, found another: rounds" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("tail", ["\n", " ", "{}", "\x00"])
def test_trailing_bytes_are_refused(tail: str, tmp_path: Path) -> None:
    receipt, bundle, roster = written(keyed(), tmp_path)
    with Path(receipt).open("a", encoding="utf-8") as file:
        file.write(tail)
    assert main(["verify", receipt, "--bundle", bundle, "--roster", roster]) in (1, 2)


def test_without_a_bundle_the_coordinators_evidence_is_asked_for_by_the_jobs_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = keyed()
    receipt, _, _ = written(story, tmp_path)
    asked: list[str] = []

    def fetched(job: str, **_: object) -> Fetched:
        asked.append(job)
        return Fetched(job_hash=bytes.fromhex(job), content=story.content, roster=story.roster)

    monkeypatch.setattr(evidence, "fetched", fetched)
    assert main(["verify", receipt]) == 0
    assert asked == [story.job_hash.hex()]
    assert "every line of it follows" in capsys.readouterr().out


def test_a_bundle_of_another_job_does_not_make_the_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt, _, _ = written(keyed(), tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, bundle, roster = written(small(), other)
    assert main(["verify", receipt, "--bundle", bundle, "--roster", roster]) == 1
    assert "expected the evidence of the job that was asked for" in capsys.readouterr().err


def test_what_is_no_receipt_or_goes_with_none_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt, bundle, roster = written(keyed(), tmp_path)
    for arguments, says in (
        ([bundle, "--bundle", bundle, "--roster", roster], "--bundle is the evidence that a receipt is checked by"),
        ([receipt, "--bundle", bundle, "--roster", roster, "--chunk", "0:0"], "by all of the evidence"),
        ([roster, "--bundle", bundle, "--roster", roster], "is not a document of schema"),
        ([receipt, "--bundle", receipt, "--roster", roster], "is no evidence of a job"),
    ):
        assert main(["verify", *arguments]) == 2
        assert says in capsys.readouterr().err
