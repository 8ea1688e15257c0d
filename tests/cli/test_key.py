"""`federation key` says what a key will cost before it asks for anything, and each mistake has a next step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli import key, key_view
from clients.cli.main import main
from clients.cli.stage import Stage
from federation.identity import control
from federation.protocols.key_ceremony.estimate import estimate_of
from federation.protocols.key_ceremony.terms import Ceremony

PARTIES = ("guangdong", "hongkong", "macao")
SEEN = {
    "ceremony": "3f2a" * 16,
    "proposer": "macao",
    "holders": list(PARTIES),
    "bits": 3072,
    "made_ms": 1_700_000_000_000,
    "expires_ms": 1_707_776_000_000,
    "state": "making",
    "joined": list(PARTIES),
    "step": "sieve",
    "waits_for": ["hongkong"],
    "tries": 1024,
    "mean_tries": 7247,
    "p90_tries": 16687,
    "transcript": "ab" * 32,
    "received_bytes": 34_000_000,
    "why": "",
    "key": "",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Keys, roster and files of a federation that nobody starts."""
    made = Stage(tmp_path_factory.mktemp("keys") / "stage", dict.fromkeys(PARTIES, ""))
    made.build()
    made.address = "127.0.0.1:1"
    tables = '[[dataset]]\nname = "p"\nsource = "p.csv"\n[dataset.columns.a]\nkind = "integer"\nlow = 0\nhigh = 1\n'
    made._write_jurisdiction("macao", tables)
    return made


@pytest.fixture
def file(stage: Stage) -> str:
    return str(stage.jurisdiction_file("macao"))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A daemon that answers with what a test puts here; `asked` is what it was asked."""
    answers: dict[str, Any] = {"development": False, "keys": [], "ceremonies": [], "asked": []}

    def ask(_: Path, command: str, arguments: dict[str, object] | None = None, **__: object) -> dict[str, Any]:
        answers["asked"].append((command, arguments))
        if command == "key_propose":
            return {"name": "macao", "ceremony": SEEN["ceremony"]}
        return {"name": "macao", "ceremony": SEEN["ceremony"], **answers}

    monkeypatch.setattr(control, "ask", ask)
    return answers


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["key", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_key_alone_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys)
    assert code == 0
    for verb in ("ceremony", "approve", "decline", "status", "list"):
        assert f"  {verb}" in out
    assert "federation key approve macao.toml  let our daemon take part; without it, no key" in out


@pytest.mark.parametrize(
    ("arguments", "code", "error", "hint"),
    [
        (("--holders", "macao,hongkong"), 2, "at least 3 holders", "with two"),
        (("--holders", "macao,hongkong,guandong"), 2, "no jurisdiction 'guandong'", "guangdong"),
        (("--bits", "3000"), 2, "no keys of 3000 bits", "a multiple of 128"),
        (("--bits", "8192"), 2, "no keys of 8192 bits", "512 to 4096"),
        ((), 2, "nobody is there to be asked", "--yes"),
        (("--yes",), 5, "no daemon runs", "start it first"),
        (("--deadline", "0"), 2, "", "--help"),
    ],
)
def test_what_cannot_be_made_is_said_before_a_daemon_is_asked(
    file: str, arguments: tuple[str, ...], code: int, error: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = said(capsys, "ceremony", file, *arguments)
    assert (found, out) == (code, "")
    lines = err.splitlines()
    assert error in next(line for line in lines if line.startswith("error: "))
    assert hint in next(line for line in lines if line.startswith("hint: "))


def test_a_person_is_asked_and_may_say_no(
    file: str, daemon: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, code in ((False, 130), (True, 0)):
        daemon["ceremonies"] = [{**SEEN, "state": "approved", "joined": ["macao"]}]
        monkeypatch.setattr(key.typer, "confirm", lambda *_, answer=answer, **__: answer)
        found, _, err = said(capsys, "ceremony", file, "--no-follow")
        assert found == code
        assert "852.3 MB between all" in err
    proposals = [arguments for command, arguments in daemon["asked"] if command == "key_propose"]
    assert proposals == [{"holders": list(PARTIES), "bits": 3072, "lasting_s": 86_400}]


def test_a_ceremony_is_followed_to_its_end_and_a_failure_is_a_failed_job(
    file: str, daemon: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for end, code in ({"state": "made", "key": "cd" * 32}, 0), ({"state": "failed", "why": "hongkong was away"}, 1):
        states = iter([SEEN, {**SEEN, "tries": 1536}, {**SEEN, **end}])

        def step(_: float, states: Iterator[dict[str, Any]] = states) -> None:
            daemon["ceremonies"] = [next(states)]

        monkeypatch.setattr(key.time, "sleep", step)
        daemon["ceremonies"] = [{**SEEN, "state": "approved", "joined": ["macao"]}]
        found, out, err = said(capsys, "ceremony", file, "--yes")
        assert found == code
        assert "waits for the operators of guangdong, hongkong" in err
        assert "1024 tries (mean 7247, nine in ten need fewer than 16687), 34.0 MB received; sieve, waits for" in err
        assert "1536 tries" in err
        assert ("transcript  " + "ab" * 32 in out) == (code == 0)
        assert ("error: no key: hongkong was away" in err) == (code == 1)


def test_the_right_one_of_several_proposals_is_approved(
    file: str, daemon: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    two = [{**SEEN, "state": "proposed", "ceremony": letter * 64} for letter in "ab"]
    daemon["ceremonies"] = two
    code, _, err = said(capsys, "approve", file, "--yes")
    assert (code, "2 proposals wait: aaaaaaaa, bbbbbbbb" in err) == (2, True)
    code, _, err = said(capsys, "approve", file, "b", "--yes")
    assert (code, "macao proposes:" in err) == (0, True)
    assert ("key_approve", {"ceremony": "b" * 64}) in daemon["asked"]
    assert ("key_approve", {"ceremony": "a" * 64}) not in daemon["asked"]


def test_development_keys_are_said_to_be_what_they_are_each_time(
    file: str, daemon: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon["development"] = True
    held = {"key": "ef" * 32, "holders": list(PARTIES), "made_ms": 0, "expires_ms": 2**60}
    daemon["keys"] = [{**held, "bits": 512}, {**held, "bits": 2048}, {**held, "bits": 3072, "expires_ms": 1}]
    _, out, err = said(capsys, "list", file)
    rows = [line for line in out.splitlines() if line.startswith("efef")]
    assert ["DEVELOPMENT: protects nobody" in row for row in rows] == [True, False, False]
    assert ["expired" in row for row in rows] == [False, False, True]
    assert "DEVELOPMENT KEYS ARE PERMITTED HERE" in err
    for verb in (("status", file), ("approve", file)):
        assert "DEVELOPMENT KEYS ARE PERMITTED HERE" in said(capsys, *verb)[2]
    assert "DEVELOPMENT KEY: 512 bits" in said(capsys, "ceremony", file, "--bits", "512")[2]


def test_times_are_rough_and_in_words_that_fit() -> None:
    assert [key_view.lasting(seconds) for seconds in (0.2, 41, 119, 121, 600)] == [
        "about 1 s", "about 41 s", "about 119 s", "about 2 min", "about 10 min",
    ]  # fmt: skip
    terms = Ceremony.standard(id=bytes(32), holders=PARTIES, bits=3072)
    lines = key_view.cost(estimate_of(terms), 3072, PARTIES).splitlines()
    assert len(lines) == 4
    assert all(len(line) <= 120 for line in lines)
