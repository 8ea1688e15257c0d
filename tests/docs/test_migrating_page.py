"""The page for those who come from elsewhere runs as one session, and what it names of ours is there."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import federation as fed
from clients.researcher.session import Session
from clients.researcher.table import Table
from federation import registry

sys.path.insert(0, str(Path(__file__).parent))
from pages import Player, blocks

PAGE = "docs/migrating.md"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs_as_written(repository: Path, here: Path) -> None:
    player = Player(here)
    player.page(repository / PAGE)
    assert len(player.played) == 5
    assert (here / "clinics.safetensors").stat().st_size > 4 * 4


def test_with_the_usual_cut_the_listing_would_lose_what_the_page_says(repository: Path, here: Path) -> None:
    player = Player(here)
    for block in [block for block in blocks(repository / PAGE) if block.kind == "python" and not block.word][:2]:
        player.printed = player.python(block.text.replace("clip=2.0", "clip=1.0"))
    (share,) = re.findall(r"it would be (\S+%)", (repository / PAGE).read_text("utf-8"))
    assert f"cut {share}" in player.printed.splitlines()[0]


def test_listings_of_other_systems_are_at_least_python(repository: Path) -> None:
    theirs = [block for block in blocks(repository / PAGE) if block.kind == "python" and block.word]
    assert {block.word for block in theirs} == {"flower", "vantage6"}
    for block in theirs:
        ast.parse(block.text)


def test_every_call_of_ours_that_the_page_names_is_there(repository: Path) -> None:
    text = (repository / PAGE).read_text("utf-8")
    statistics = set(registry.names("federation.analytics.statistics"))
    for name in set(re.findall(r"\bt\.(\w+)", text)):
        assert hasattr(Table, name) or name in statistics, name
    for name in set(re.findall(r"\bgba\.(\w+)", text)) | set(re.findall(r"\bsession\.(\w+)", text)):
        assert hasattr(Session, name), name
    for name in set(re.findall(r"\bfed\.(\w+)", text)):
        assert getattr(fed, name) is not None


def test_links_to_headings_lead_somewhere(repository: Path) -> None:
    page = repository / PAGE
    for target, heading in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
        text = (page.parent / target if target else page).read_text("utf-8")
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        known = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert heading in known, heading


def test_a_listing_that_lies_is_caught(repository: Path, here: Path) -> None:
    """The planted fault: the page shows another number of examples."""
    text = (repository / PAGE).read_text("utf-8")
    wrong = here / "page.md"
    wrong.write_text(text.replace("examples 900", "examples 901"), "utf-8")
    with pytest.raises(AssertionError, match="the page shows"):
        Player(here).page(wrong)
