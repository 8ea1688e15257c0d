"""The front door: it knows every verb, imports none that was not asked for, and every ending is a line and a code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from clients.cli import main as front
from clients.cli.main import VERBS, Verb, help_text, main
from federation.errors import (
    FederationError,
    JobFailed,
    Misuse,
    ProtocolViolation,
    Refused,
    Unavailable,
    Unreachable,
)

SNAPSHOT = Path(__file__).with_name("help.txt")


def started(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `federation` in a process of its own."""
    command = [sys.executable, "-m", "clients.cli.main", *arguments]
    whole = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=whole, timeout=60)


def loaded(*arguments: str) -> set[str]:
    """Return the modules that `federation` with these arguments has imported when it ends."""
    code = f"import sys; from clients.cli.main import main; main({list(arguments)!r}); print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines())


# --- help ------------------------------------------------------------------------------------------------------------


def test_the_help_is_the_one_that_was_reviewed() -> None:
    """Change help.txt by hand when the help changes: it is what people read first."""
    assert help_text() + "\n" == SNAPSHOT.read_text("utf-8")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_on_stdout_and_no_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr() == (help_text() + "\n", "")


def test_every_verb_has_a_line_an_example_that_starts_with_it_and_fits_the_screen() -> None:
    for name, verb in VERBS.items():
        assert verb.example.split()[0] == name
        assert verb.summary in help_text()
    assert max(map(len, help_text().splitlines())) <= 120


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"federation {verb}" in capsys.readouterr().out
    assert main(["help", verb]) == 0


# --- start-up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["--version", "-V", "--help"])
def test_version_and_help_import_no_verb_and_nothing_heavy(argument: str) -> None:
    found = loaded(argument)
    assert "clients.cli.main" in found
    assert not {"typer", "rich", "numpy", "pydantic", "grpc", "duckdb", "cryptography", "nacl"} & found
    assert not {verb.target.split(":")[0] for verb in VERBS.values()} & found


def test_help_of_a_verb_imports_neither_numpy_nor_grpc_nor_another_verb() -> None:
    found = loaded("run", "--help")
    assert "clients.cli.run" in found
    assert not {"numpy", "grpc", "duckdb", "pydantic", "clients.cli.catalog", "clients.researcher.session"} & found


def test_the_version_is_said() -> None:
    done = started("--version")
    assert done.returncode == 0
    assert done.stdout == f"federation {front.installed_version()}\n"


# --- endings ---------------------------------------------------------------------------------------------------------


def test_an_unknown_verb_says_which_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu", "job.toml"]) == 2
    assert capsys.readouterr() == ("", "error: there is no verb 'rnu'\nhint: did you mean 'run'?\n")
    assert main(["-o", "json", "run"]) == 2
    assert "options come after the verb" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--loud"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "error: No such option: --loud"
    assert err.splitlines()[1] == "hint: `federation version --help` lists the options"


def test_a_group_alone_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog"]) == 0
    out, err = capsys.readouterr()
    assert "show" in out
    assert err == ""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | int | None], None]:
    """Make a verb `end` whose body raises, or returns, what the test gives it."""
    endings: list[BaseException | int | None] = []
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def end(output: str = typer.Option("table", "-o", "--output")) -> int | None:
        (ending,) = endings
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr(front, "ends", app, raising=False)
    monkeypatch.setitem(VERBS, "end", Verb("clients.cli.main:ends", front.RESEARCH, "ends", "end"))
    return endings.append


ENDINGS: list[tuple[FederationError, int]] = [
    (JobFailed("it failed"), 1),
    (ProtocolViolation("macao", phase="heads", expected="one", got="two"), 1),
    (Misuse("it means nothing"), 2),
    (Refused("no", rule="purposes", hint="another purpose", party="macao"), 3),
    (Unavailable("late", party="macao"), 4),
    (Unreachable("nobody there"), 5),
    (FederationError("odd"), 70),
]


@pytest.mark.parametrize(("error", "code"), ENDINGS, ids=[type(error).__name__ for error, _ in ENDINGS])
def test_an_error_is_one_line_a_hint_and_the_code_of_the_table(
    error: FederationError, code: int, ends: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    ends(error)
    assert main(["end"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")


@pytest.mark.parametrize("option", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]])
def test_an_error_in_json_is_one_object_with_code_message_hint_and_party(
    option: list[str], ends: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    ends(Refused("macao says\nno", rule="purposes", hint="another purpose", party="macao"))
    assert main(["end", *option]) == 3
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1,
        "status": "error",
        "exit_code": 3,
        "error": {"code": "refused", "message": "macao says no", "hint": "another purpose", "party": "macao"},
    }


def test_a_usage_error_in_json_is_an_envelope_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--loud", "-o", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "misuse"


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_130(
    ending: BaseException, ends: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    ends(ending)
    assert main(["end"]) == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_a_defect_shows_its_type_and_neither_its_text_nor_a_traceback(
    ends: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    ends(ZeroDivisionError("patient 17"))
    assert main(["end"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "error: this software went wrong: builtins.ZeroDivisionError"
    assert "patient" not in err
    assert "Traceback" not in err
    assert "FEDERATION_DEBUG=1" in err


def test_a_traceback_is_shown_to_who_asks_for_it(
    ends: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEDERATION_DEBUG", "1")
    ends(ZeroDivisionError("patient 17"))
    assert main(["end"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_package_that_lacks_is_named(
    ends: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    ends(ModuleNotFoundError("No module named 'pandas'", name="pandas"))
    assert main(["end"]) == 2
    assert "needs the package 'pandas'" in capsys.readouterr().err


@pytest.mark.parametrize(("ending", "code"), [(None, 0), (0, 0), (1, 1), (typer.Exit(4), 4)])
def test_what_a_verb_returns_is_the_exit_code(
    ending: BaseException | int | None, code: int, ends: Callable[[BaseException | int | None], None]
) -> None:
    ends(ending)
    assert main(["end"]) == code


@pytest.mark.parametrize(("arguments", "code"), [(["version"], 0), (["nothing"], 2), (["result", "gone"], 2)])
def test_the_process_ends_with_the_code(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = started(*arguments, environment={"FEDERATION_HOME": str(tmp_path)})
    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)
    assert "Traceback" not in done.stderr


def test_a_reader_that_went_away_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "clients.cli.main", "version", "-o", "json"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
