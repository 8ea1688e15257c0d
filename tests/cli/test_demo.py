"""The demo: both stories whole, the pictures, the next commands as they are printed, and nothing left behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clients.cli import demo
from clients.cli.main import main
from clients.cli.output import Format
from federation.errors import JobFailed
from federation.wire import messages
from federation.wire.log import frames_in
from federation_examples.report import Drawing, Line, Report

ENDS = ("demo --keep", "jurisdiction init gd.toml", "--help")


def report(federated: int = 1) -> Report:
    return Report(
        name="story",
        title="A story",
        lines=(Line(figure="rows", federated=federated, pooled=1, exact=True),),
        drawing=Drawing(name="d", title="", x_label="", y_label="", curves=(), note=""),
        k=1,
        parties=("a", "b", "c"),
        jobs=1,
        seconds=0.1,
        receipt="signed",
    )


def federation(*arguments: str, cwd: Path, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder that every process of the demo is then started in."""
    environment = {**os.environ, "TMPDIR": str(cwd)} | ({"FEDERATION_HOME": str(home)} if home else {})
    return subprocess.run(
        [sys.executable, "-m", "clients.cli.main", *arguments],
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(Path(demo.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def running(folder: Path) -> list[int]:
    """Return the processes that were started in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found


def lives(log: Path) -> list[list[str]]:
    """Return what a daemon said of each job in each of its lives, in order."""
    said: dict[tuple[int, bytes], list[str]] = {}
    life = 0
    for _, way, _, frame in frames_in(log):
        life += frame.signed.domain == messages.HELLO
        if way == "out" and frame.job_hash:
            said.setdefault((life, frame.job_hash), []).append(frame.signed.domain.split("/")[1])
    return list(said.values())


@pytest.mark.slow
def test_the_demo_tells_both_stories_draws_both_pictures_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = federation("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in (
        "flights that arrived",
        "p90 of delay",
        "cases, Macao SAR",
        "rate per 100,000, all three",
        "difference",
    ):
        assert told in done.stdout
    pid = re.findall(r"hongkong's daemon is killed \(kill -9 (\d+)\)", done.stderr)
    assert len(pid) == 1
    assert "hongkong starts again and sends the same 4 messages, byte for byte" in done.stderr
    assert "killed (SIGKILL) in the middle of the joint sum and started again: it sent the same 4" in done.stdout
    after = done.stdout.rpartition("Next:\n")[2].splitlines()
    assert all(end in line for end, line in zip(ENDS, after, strict=True))
    assert sorted(path.name for path in (tmp_path / demo.PICTURES).iterdir()) == [
        "flights-ecdf.png",
        "tuberculosis-rates.png",
    ]
    assert not running(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [str(demo.PICTURES)]


@pytest.mark.slow
def test_what_keep_leaves_running_answers_the_next_commands_until_stop(tmp_path: Path) -> None:
    kept = tmp_path / "federation-demo"
    try:
        done = federation("demo", "--keep", "--json", cwd=tmp_path)
        envelope = json.loads(done.stdout)
        assert (envelope["status"], envelope["data"]["agrees"]) == ("ok", True)
        stories = {story["story"]: story for story in envelope["data"]["stories"]}
        assert stories.keys() == {"flights", "tuberculosis"}
        for story in stories.values():
            assert len(story["parties"]) == 3
            assert all(figure["agrees"] for figure in story["figures"])
        assert len(running(tmp_path)) == 7
        told = lives(kept / "wire" / "hongkong.log")
        killed = [life for life in told if "head" in life and "consent" not in life]
        assert killed == [["verdict", "advert", "shares", "head"]]  # where it was killed; the next life says them again
        assert told[told.index(killed[0]) + 1] == [*killed[0], "consent", "unmask", "attestation"]
        shown = federation("catalog", "show", "tuberculosis", cwd=tmp_path, home=kept)
        assert "annual report" in shown.stdout, shown.stderr
        for job in demo.JOBS:
            ran = federation("run", str(kept / "jobs" / job), cwd=tmp_path, home=kept)
            assert ran.returncode == 0, ran.stderr
    finally:
        ended = federation("demo", "--stop", cwd=tmp_path)
    assert ended.stdout.count(",") == 6
    assert not running(tmp_path)


@pytest.mark.slow
def test_under_joint_keys_that_the_daemons_made_both_stories_are_the_same_and_can_be_verified(tmp_path: Path) -> None:
    kept = tmp_path / "federation-demo"
    try:
        done = federation("demo", "--keep", "--json", "--protection", "paillier", "--bits", "512", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(re.findall(r"key of .*: 512 bits after \d+ tries", done.stderr)) == 2
        assert "its encrypted numbers are out, nothing is opened" in done.stderr
        stories = {story["story"]: story for story in json.loads(done.stdout)["data"]["stories"]}
        assert all(figure["agrees"] for story in stories.values() for figure in story["figures"])
        assert all("paillier_sum" in story["receipt"] for story in stories.values())
        digests = set()
        for protection in ("masks", "paillier"):
            receipt, bundle = tmp_path / f"{protection}.receipt", tmp_path / f"{protection}.evidence"
            given = ("--protection", protection, "--receipt", str(receipt))
            ran = federation("run", str(kept / "jobs" / "tuberculosis.toml"), *given, cwd=tmp_path, home=kept)
            assert ran.returncode == 0, ran.stderr
            said = json.loads(receipt.read_text("utf-8"))
            assert said["protection"] == {"masks": "masked_sum", "paillier": "paillier_sum"}[protection]
            digests.add((said["figures"], said["transcript"]))
            saved = federation("verify", said["job_hash"], "--save", str(bundle), cwd=tmp_path, home=kept)
            assert saved.returncode == 0, saved.stderr
            offline = ("--bundle", str(bundle), "--roster", str(kept / "roster.json"))
            checked = federation("verify", str(receipt), *offline, cwd=tmp_path)
            assert checked.returncode == 0, checked.stderr
            assert "every line of it follows from this evidence" in checked.stdout
        assert len(digests) == 1, "the same figures bit for bit, whatever protects them"
    finally:
        federation("demo", "--stop", cwd=tmp_path)
    assert not running(tmp_path)


def test_without_matplotlib_the_figures_come_all_the_same_and_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    drawn = demo._drawn([report()], tmp_path)
    assert demo._answered([report()], drawn, 1.0, None, Format.TABLE) == 0
    shown = capsys.readouterr().out
    assert "rows" in shown
    assert "no pictures: drawing needs matplotlib; install the extra: pip install 'pearl-federation[plot]'" in shown


def test_a_folder_that_cannot_be_written_costs_the_pictures_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files, why = demo._drawn([report()], tmp_path / "file" / "below")
    assert not files
    assert "cannot be written" in why


def test_a_figure_that_differs_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JobFailed):
        demo._answered([report(), report(federated=2)], ([], ""), 1.0, None, Format.JSON)
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["status"], envelope["exit_code"], envelope["data"]["agrees"]) == ("failed", 1, False)


def test_without_the_examples_it_is_one_line_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "federation_examples.flights", None)
    assert main(["demo"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: the demo needs")
    assert "pearl-federation[examples]" in hint


def test_without_a_data_package_it_is_one_line_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("federation_examples.packages.importlib.util.find_spec", lambda _: None)
    assert main(["demo"]) == 2
    *_, error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: this example needs the package ")
    assert "pearl-federation[examples]" in hint


def test_a_story_that_fails_ends_what_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    class Staged:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None:
            ended.append("stage")

        def session(self, **_: object) -> object:
            raise JobFailed("planted")

    story = SimpleNamespace(name="story", split=lambda _: {}, tables=lambda _: {})
    monkeypatch.setattr(demo, "Stage", Staged)
    monkeypatch.setattr(demo, "_stories", lambda: (story,))
    with pytest.raises(JobFailed, match="planted"):
        demo._played(tmp_path / "demo", tmp_path / "pictures", keep=True, output=Format.TABLE)
    assert ended == ["stage"]
    assert not (tmp_path / "pictures").exists()


def test_a_terminal_gets_the_same_figures() -> None:
    from rich.console import Console

    console = Console(width=120, record=True, file=io.StringIO())
    console.print(demo._shown([report()], ["after"]))
    shown = console.export_text()
    assert all(word in shown for word in ("A story", "rows", "federated", "signed", "after"))
