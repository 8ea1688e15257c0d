"""What stdout and stderr carry: one envelope for programs, plain lines in pipes, and no control characters ever."""

from __future__ import annotations

import json
import math

import pytest
from rich.text import Text

from clients.cli.output import Format, answer, event, failed, on_terminal, say
from federation.errors import Misuse


def test_a_table_is_text_on_stdout_and_its_code_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer({"n": 1}, text="n\n1", output=Format.TABLE, exit_code=1) == 1
    assert capsys.readouterr() == ("n\n1\n", "")


def test_json_is_exactly_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    answer({"n": 1, "hash": b"\xff", "se": math.nan, "rows": ((1, math.inf),)}, text="", output=Format.JSON)
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "status": "ok",
        "exit_code": 0,
        "data": {"n": 1, "hash": "ff", "se": None, "rows": [[1, None]]},
    }


def test_jsonl_is_one_object_a_line_and_the_last_is_the_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    event({"state": "running"}, output=Format.JSONL)
    event({"state": "hidden"}, output=Format.JSON)
    answer([1, 2], text="", output=Format.JSONL, exit_code=1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"schema_version": 1, "event": {"state": "running"}},
        {"schema_version": 1, "status": "failed", "exit_code": 1, "data": [1, 2]},
    ]


def test_what_others_wrote_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("macao says \x1b]0;owned\x07")
    failed("refused", "no\x1b[2J", exit_code=3, output=Format.JSON, hint="x\x9b1m")
    answer({}, text="\x1b[31mred", output=Format.TABLE)
    out, err = capsys.readouterr()
    assert not {"\x1b", "\x07", "\x9b"} & set(out + err)


def test_a_hint_keeps_its_lines_because_a_caret_points_at_one(capsys: pytest.CaptureFixture[str]) -> None:
    failed("misuse", "a\nb", exit_code=2, output=Format.TABLE, hint="    age nad\n        ^")
    assert capsys.readouterr().err == "error: a b\nhint:     age nad\n        ^\n"


def test_a_terminal_gets_the_rich_form_and_a_pipe_the_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer({}, text="plain", output=Format.TABLE, shown=lambda: Text("rich"))
    assert capsys.readouterr().out == "plain\n"
    monkeypatch.setattr("clients.cli.output.on_terminal", lambda _: True)
    answer({}, text="plain", output=Format.TABLE, shown=lambda: Text("rich [red]markup[/red]"))
    assert capsys.readouterr().out == "rich [red]markup[/red]\n"


def test_a_dumb_terminal_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert on_terminal(Stream())  # type: ignore[arg-type]
    monkeypatch.setenv("TERM", "dumb")
    assert not on_terminal(Stream())  # type: ignore[arg-type]


def test_only_plain_values_become_json() -> None:
    with pytest.raises((TypeError, Misuse)):
        answer(object(), text="", output=Format.JSON)  # type: ignore[arg-type]
