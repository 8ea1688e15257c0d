"""What the pages name is there: modules and classes, files that are linked, targets of make, verbs of the command."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from clients.cli.main import VERBS

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")
DOTTED = re.compile(r"`((?:federation|clients)(?:\.\w+)+)(?:\(\))?`")
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
TARGET = re.compile(r"(?:`|^)make ([a-z]+)\b", re.MULTILINE)
VERB = re.compile(r"(?:`|^)federation ([a-z]+)\b", re.MULTILINE)


def pages(repository: Path) -> list[Path]:
    """Return every page that people read."""
    return [page for pattern in PAGES for page in sorted(repository.glob(pattern))]


def is_there(dotted: str) -> bool:
    """Return whether a dotted name is a module, or an attribute of one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def faults(text: str, page: Path, repository: Path) -> list[str]:
    """Return what `text`, standing in `page`, names that is not there."""
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text("utf-8"), re.MULTILINE))
    template = page.name == "0000-template.md"
    return [
        *(f"no {name}" for name in DOTTED.findall(text) if not is_there(name)),
        *(f"no file {link}" for link in LINK.findall(text) if not template and not (page.parent / link).exists()),
        *(f"no target {target}" for target in TARGET.findall(text) if target not in targets),
        *(f"no verb {verb}" for verb in VERB.findall(text) if verb not in VERBS),
    ]


def test_what_the_pages_name_is_there(repository: Path) -> None:
    found = {
        str(page.relative_to(repository)): wrong
        for page in pages(repository)
        if (wrong := faults(page.read_text("utf-8"), page, repository))
    }
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "see `federation.query.rounds`",
        "see `federation.errors.Misused`",
        "`clients.worker.Worker`",
        "[here](docs/nowhere.md)",
        "`make coffee`",
        "make coffee",
        "`federation dance --keep`",
    ],
)
def test_a_name_that_is_not_there_is_seen(repository: Path, text: str) -> None:
    assert faults(text, repository / "README.md", repository)


@pytest.mark.parametrize(
    "text",
    [
        "`federation.errors.Misuse.exit_code`",
        "`clients.cli.main`",
        "[here](docs/THREAT_MODEL.md#part)",
        "[there](https://example.org/x)",
        "`make test`",
        "`federation demo --keep`",
        "the federation decides",
    ],
)
def test_a_name_that_is_there_is_not_reported(repository: Path, text: str) -> None:
    assert not faults(text, repository / "README.md", repository)
