"""The researcher's page runs as one session, first in this process, then against real daemons on loopback."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli.stage import RESEARCHER, Stage

sys.path.insert(0, str(Path(__file__).parent))
from pages import FILE, Player, blocks, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PARTIES = ("guangdong", "hongkong", "macao")
PORT = "127.0.0.1:7443"


def published(operators_page: Path, folder: Path) -> dict[str, str]:
    """Make the people of the operator's page, and return party -> the tables from `[policy]` on that it shows."""
    player = Player(folder)
    tables = ""
    for block in blocks(operators_page):
        if block.kind == "console":
            for each in typed(block.text):
                if each.command.startswith("awk"):
                    player.run(each.command)
        elif (name := FILE.match(block.text)) and name[1] == "macao/macao.toml":
            tables = block.text[block.text.index("[policy]") :]
    tables = tables.replace('"alice"', f'"{RESEARCHER}"').replace('"people.csv"', f'"{folder / "people.csv"}"')
    return dict.fromkeys(PARTIES, tables)


@pytest.fixture
def stage(tmp_path: Path, repository: Path) -> Iterator[Stage]:
    """A federation as the operator's page makes it."""
    with Stage(tmp_path / "gba", published(repository / "docs/operator.md", tmp_path)) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A researcher's home with keys and roster, where we stand."""
    folder = tmp_path / "alice"
    shutil.copytree(stage.folder / "keys" / RESEARCHER, folder / ".federation/keys/alice")
    shutil.copy(stage.folder / "roster.json", folder / ".federation/gba.roster.json")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.delenv("FEDERATION_HOME", raising=False)
    return folder


def test_the_researchers_page_runs_as_written(repository: Path, stage: Stage, home: Path) -> None:
    player = Player(home, {PORT: stage.address})
    player.page(repository / "docs/researcher.md")
    assert len(player.played) > 15
    assert (home / "ages.png").stat().st_size > 5_000


# --- planted lies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "```python\n1 + 1\n```\n```text\n3\n```\n",
        "```python\nprint('b')\n'a'\n```\n```text\na\nb\n```\n",
        "```python\nx = 1\n```\n```python\nx\n```\n```text\n2\n```\n",
    ],
)
def test_a_notebook_that_shows_something_else_is_caught(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match="the page shows"):
        Player(tmp_path).page(page)


def test_a_notebook_that_fails_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nnot_there\n```\n")
    with pytest.raises(NameError):
        Player(tmp_path).page(page)
