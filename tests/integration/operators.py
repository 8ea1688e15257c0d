"""A clumsy operator for tests: writes files, runs a verb in this process, looks at what was said and left behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clients.cli.main import main
from clients.cli.stage import Stage

CHECKOUT = Path(__file__).parents[2]
CANARY = "70000013"  # stands in every file that is refused, and in nothing that is said about it
TABLES = """
[policy]
purposes = ["test"]

[[dataset]]
name = "people"
source = "people.csv"
k = 1

[dataset.columns.age]
kind = "integer"
low = 0
high = 120

[dataset.columns.pay]
kind = "real"
low = 0
high = 1000

[dataset.columns.sex]
kind = "category"
categories = ["f", "m"]
"""
HEADER = "age,pay,sex\n"
GOOD = HEADER + f"1,2.5,f\n2,{CANARY},m\n"


PARTIES = ("guangdong", "hongkong", "macao")


def unstarted(folder: Path) -> Stage:
    """Keys, roster and configurations of a federation that nobody starts."""
    made = Stage(folder, dict.fromkeys(PARTIES, ""))
    made.build()
    made.address = "127.0.0.1:1"
    return made


class Operator:
    """Writes a jurisdiction's file and data, runs a verb, and looks at what was said and left behind."""

    def __init__(self, stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
        self.stage, self.folder, self._capfd = stage, stage.folder, capfd
        self.file = stage.jurisdiction_file("guangdong")
        self.said = ""

    def data(self, content: str | bytes, name: str = "people.csv") -> None:
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def writes(self, tables: str) -> None:
        self.stage._write_jurisdiction("guangdong", tables)

    def edits(self, was: str, wrote: str) -> None:
        text = self.file.read_text()
        assert was in text
        self.file.write_text(text.replace(was, wrote, 1))

    def runs(self, *arguments: str) -> int:
        before = tree(self.folder)
        self._capfd.readouterr()
        code = main(arguments)
        self.said = "".join(self._capfd.readouterr())
        assert tree(self.folder) == before  # no socket, lock, store, log or temporary file; not even a folder
        return code

    def checks(self) -> int:
        return self.runs("jurisdiction", "check", str(self.file))

    def starts(self) -> int:
        return self.runs("jurisdiction", "start", str(self.file))

    def refused(self, code: int, *words: str, hint: str = "") -> None:
        """Check that both verbs say the same: one error, one hint, these words, no value, nothing unexpected."""
        for verb in (self.checks, self.starts):
            assert verb() == code, self.said
            well_said(self.said, *words, hint=hint)


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything in a folder, with its mode, its size (of files) and when it was written to."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        is_folder = path.is_dir() and not path.is_symlink()
        found[str(path)] = (status.st_mode, *((0, 0) if is_folder else (status.st_size, status.st_mtime_ns)))
    return found


def well_said(said: str, *words: str, hint: str = "") -> None:
    lines = said.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["error", "hint"], said
    for word in words:
        assert word in lines[0]
    assert hint in lines[1]
    assert CANARY not in said
    assert "went wrong" not in said
    assert len(said) < 2_000
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", said)


class Relay:
    """The coordinator's clumsy operator."""

    def __init__(self, operator: Operator) -> None:
        self._operator, self.folder = operator, operator.folder
        self.file = operator.stage.coordinator_file()

    def refused(self, code: int, *words: str, hint: str = "") -> None:
        assert self._operator.runs("coordinator", "start", "--config", str(self.file)) == code, self._operator.said
        well_said(self._operator.said, *words, hint=hint)

    def edits(self, was: str, wrote: str) -> None:
        text = self.file.read_text()
        assert was in text
        self.file.write_text(text.replace(was, wrote, 1))
