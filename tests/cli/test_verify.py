"""`federation verify`: a file by a roster, or a job by a profile; what does not hold is exit 1 and names a culprit."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.cli import verify
from clients.cli.main import main
from clients.local.federation import COORDINATOR, RESEARCHER, local
from clients.researcher import audit, evidence, job_record
from federation.domain.catalogue import Dataset
from federation.errors import Unreachable
from federation.identity import keys, roster_file
from federation.wire.evidence import encoded
from tests.researcher.evidences import PARTIES, Story, bereft, frames, large, refused, small, value_of, walked


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("FEDERATION_HOME", str(folder))
    return folder


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A small job's evidence, and the roster."""
    return written(small(), tmp_path)


def written(story: Story, folder: Path, content: bytes | None = None) -> tuple[str, str]:
    roster_file.save(folder / "gba.roster", story.roster)
    (folder / "job.evidence").write_bytes(story.content if content is None else content)
    return str(folder / "job.evidence"), str(folder / "gba.roster")


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main(["verify", *arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


# --- a file ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_a_file_that_holds_is_exit_0_and_tells_line_by_line(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    file, roster = files
    assert main(["verify", file, "--roster", roster]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("evidence of job count-")
    assert "proven             round 0: total" in out
    assert "not provable here  limits" in out
    assert out.endswith("holds: 16 lines are proven, the others say whose word they are\n")


@pytest.mark.usefixtures("home")
def test_json_is_one_envelope_with_every_line_and_the_figures(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    file, roster = files
    found = answered(capsys, file, "--roster", roster)
    assert (found["status"], found["exit_code"]) == ("ok", 0)
    data = found["data"]
    assert data["holds"] is True
    assert data["job_hash"] == small().job_hash.hex()
    assert data["evidence_bytes"] == len(small().content)
    assert {"standing": "proven", "step": "verdicts"}.items() <= data["lines"][3].items()
    assert data["figures"][0]["question"] == "count()"
    assert data["figures"][0]["table"]["rows"][0][0] == 120


@pytest.mark.usefixtures("home")
def test_jsonl_tells_the_steps_and_ends_with_the_envelope(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    file, roster = files
    assert main(["verify", file, "--roster", roster, "-o", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"]["step"] for line in lines[:2]] == ["file", "job"]
    assert lines[-1]["data"]["holds"] is True


@pytest.mark.usefixtures("home")
def test_a_file_that_was_altered_is_exit_1_and_names_the_step_and_the_culprit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = small()
    of = story.evidence.sums[0]
    first = replace(of.contributions[0], chunks=(bytes(len(of.contributions[0].chunks[0])),))
    altered = encoded(story.with_sum(0, contributions=(first, *of.contributions[1:])))
    file, roster = written(story, tmp_path, altered)
    assert main(["verify", file, "--roster", roster]) == 1
    out, err = capsys.readouterr()
    said, hint = err.splitlines()
    assert said.startswith("error: the evidence does NOT hold: round 0: vectors: expected the chunks under the signed")
    assert said.endswith(f"to blame: {COORDINATOR}")
    assert hint.startswith("hint: no signature tells the coordinator from whoever had the file in between")
    assert "broken" in out.splitlines()[-3]
    found = answered(capsys, file, "--roster", roster, code=1)
    assert (found["status"], found["exit_code"], found["data"]["holds"]) == ("failed", 1, False)
    assert found["data"]["lines"][-1]["standing"] == "broken"
    assert found["data"]["lines"][-1]["by"] == [COORDINATOR]


@pytest.mark.usefixtures("home")
def test_a_file_that_was_cut_is_exit_1_and_one_that_is_none_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, roster = written(small(), tmp_path, small().content[:-1])
    assert main(["verify", file, "--roster", roster]) == 1
    assert "evidence that was cut off" in capsys.readouterr().err
    other = tmp_path / "rows.csv"
    other.write_text("income\n4711\n")
    assert main(["verify", str(other), "--roster", roster]) == 2
    err = capsys.readouterr().err
    assert "is no evidence of a job" in err
    assert "4711" not in err
    assert main(["verify", str(tmp_path / "nowhere"), "--roster", roster]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_another_roster_or_a_draft_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = small()
    file, roster = written(story, tmp_path)
    later = roster_file.convened(story.roster.federation, story.roster.members, after=story.roster)
    roster_file.save(Path(roster), later)
    assert main(["verify", file, "--roster", roster]) == 3
    assert "is not in force" in capsys.readouterr().err
    for one in story.signers.values():
        later = roster_file.signed(later, one)  # type: ignore[arg-type]
    roster_file.save(Path(roster), later)
    assert main(["verify", file, "--roster", roster]) == 3
    err = capsys.readouterr().err
    assert "was written for another roster" in err
    assert "--roster FILE" in err


@pytest.mark.usefixtures("home")
def test_a_chunk_alone_is_shown_with_its_contributors_roots_and_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, roster = written(large(), tmp_path)
    assert main(["verify", file, "--roster", roster, "--chunk", "0:1"]) == 0
    out = capsys.readouterr().out
    assert "round 0, chunk 1 of 2, added up alone" in out
    assert "equal                yes" in out
    chunk = answered(capsys, file, "--roster", roster, "--chunk", "0:1")["data"]["chunk"]
    assert [party for party, _ in chunk["roots"]] == ["guangdong", "hongkong", "macao"]
    assert chunk["equal"] is True
    assert bytes.fromhex(chunk["digest"]) == large().evidence.sums[0].total_leaves[1]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("chunk", ["0", "0:", ":0", "a:b", "-1:0", "0:0:0", "1e3:0", "0:1", "7:0", "٣:0"])
def test_a_chunk_that_is_none_is_a_usage_error(
    chunk: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    file, roster = files
    assert main(["verify", file, "--roster", roster, f"--chunk={chunk}"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("home")
def test_a_refused_job_holds_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, roster = written(refused(), tmp_path)
    assert main(["verify", file, "--roster", roster]) == 0
    assert "refused it by rule purposes" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
def test_what_takes_longer_than_a_moment_is_told_beside_the_result(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    heard = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        heard.set()

    def slowly(*arguments: Any, told: Any, **more: Any) -> Any:
        told("round 0: total")
        assert heard.wait(20)
        return honest(*arguments, told=told, **more)

    honest = audit.audited
    monkeypatch.setattr(verify, "PATIENCE_S", 0.001)
    monkeypatch.setattr(verify, "say", say)
    monkeypatch.setattr(audit, "audited", slowly)
    file, roster = files
    before = threading.active_count()
    assert main(["verify", file, "--roster", roster]) == 0
    assert said[0].startswith("verify, 0 s: ")
    assert "holds" in capsys.readouterr().out
    assert threading.active_count() == before


# --- a job by a profile ----------------------------------------------------------------------------------------------


class Line:
    """A transport that hands over a story's evidence, and has a list of jobs."""

    def __init__(self, story: Story, other: Story | None = None) -> None:
        self.story, self.other = story, other or story
        self.me, self.roster = RESEARCHER, story.roster
        self.asked: list[bytes] = []
        self.closed = False

    def jobs(self) -> Any:
        return self.story.transport.jobs()

    def evidence(self, job_hash: bytes) -> Iterator[bytes]:
        self.asked.append(job_hash)
        yield self.other.content[:100]
        yield self.other.content[100:]

    def close(self) -> None:
        self.closed = True


def profiled(
    home: Path, monkeypatch: pytest.MonkeyPatch, story: Story, *, other: Story | None = None, name: str = RESEARCHER
) -> Line:
    """A profile whose keys are a member's, and whose coordinator hands over the evidence of `other`."""
    roster_file.save(home / "gba.roster", story.roster)
    (home / "profiles.toml").write_text('[gba]\ncoordinator = "relay:7443"\nkeys = "keys"\nroster = "gba.roster"\n')
    line = Line(story, other)
    monkeypatch.setattr(keys, "load", lambda _: story.signers[name])
    monkeypatch.setattr(evidence, "RemoteTransport", lambda *_: line)
    return line


def test_a_job_is_found_by_its_name_or_hash_in_the_coordinators_list(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = small()
    line = profiled(home, monkeypatch, story)
    job = value_of(story.evidence.job)
    for name in (job.name, "count", story.job_hash.hex(), story.job_hash.hex()[:8]):
        assert answered(capsys, name)["data"]["holds"] is True
    assert line.asked == [story.job_hash] * 4
    assert line.closed
    assert main(["verify", "sum-x"]) == 2
    assert "you have no job 'sum-x'" in capsys.readouterr().err


def test_our_own_record_of_a_job_says_which_one_is_meant(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story, other = small(), walked()
    published: dict[str, Dataset] = {}
    job_record.save(job_record.record_of(value_of(story.evidence.job), published), home)
    line = profiled(home, monkeypatch, story, other=other)  # it hands over another job's evidence
    found = answered(capsys, "count", code=1)
    assert line.asked == [story.job_hash]
    assert found["data"]["lines"][-1]["by"] == [COORDINATOR]


def test_evidence_is_kept_for_its_owner_and_can_be_checked_without_the_coordinator(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = bereft()
    profiled(home, monkeypatch, story)
    kept = tmp_path / "mean.evidence"
    assert main(["verify", "mean", "--save", str(kept)]) == 0
    assert capsys.readouterr().err == f"evidence: {kept}, 13.4 kB\n"
    assert kept.read_bytes() == story.content
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    monkeypatch.delattr(evidence, "RemoteTransport")
    assert main(["verify", str(kept)]) == 0, "the profile's roster, when none is named"
    capsys.readouterr()


def test_evidence_that_does_not_hold_is_kept_all_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = small()
    profiled(home, monkeypatch, story, other=walked())
    assert main(["verify", "count"]) == 1
    assert "hint: --save FILE keeps the evidence" in capsys.readouterr().err
    kept = tmp_path / "kept"
    assert main(["verify", "count", "--save", str(kept)]) == 1
    assert "hint: show the file to the other members" in capsys.readouterr().err
    assert kept.read_bytes() == walked().content


def test_a_jurisdiction_names_a_job_by_its_whole_hash(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = small()
    profiled(home, monkeypatch, story, name="macao")
    assert main(["verify", "count"]) == 2
    assert "a jurisdiction names a job by its hash" in capsys.readouterr().err
    assert answered(capsys, story.job_hash.hex())["data"]["holds"] is True


def test_a_coordinator_that_is_away_is_exit_5(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = profiled(home, monkeypatch, small())

    def away(_: bytes) -> Iterator[bytes]:
        raise Unreachable("nothing listens at relay:7443")
        yield b""

    monkeypatch.setattr(line, "evidence", away)
    assert main(["verify", "count"]) == 5
    assert "nothing listens" in capsys.readouterr().err
    assert line.closed


@pytest.mark.usefixtures("home")
def test_without_a_profile_a_job_cannot_be_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "count"]) == 2
    assert "profile" in capsys.readouterr().err


def test_the_help_teaches_by_example_and_has_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.count("$ federation verify") + out.count("  federation verify") >= 4
    assert "Exit code: 0 everything holds   1 something is broken" in out


def test_a_receipt_says_how_to_verify_it() -> None:
    receipt = local(frames(PARTIES[:3])).table("data").count().receipt
    assert f"federation verify {receipt.job_hash.hex()[:12]}" in receipt.summary()
    assert "federation verify" in receipt._repr_html_()
