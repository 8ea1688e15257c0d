"""The operators' pages are played as written, with real processes on loopback; and a page that lies is caught."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import Player, blocks, missing, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PORT = "7443"


def free_port() -> str:
    """Return a port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder in which no daemon outlives this module."""
    folder = tmp_path_factory.mktemp("page")
    yield folder
    for lock in folder.glob("*/state/sealed.lock"):
        _ended(lock.read_text())
    for log in folder.glob("relay/state/control.sock"):
        Player(log.parents[2]).run("federation coordinator stop --config coordinator.toml", "relay")


def _ended(pid: str) -> None:
    with contextlib.suppress(ValueError, OSError):
        if "clients.cli.main" in Path(f"/proc/{int(pid)}/cmdline").read_text():
            os.kill(int(pid), signal.SIGKILL)


@pytest.fixture(scope="module")
def played(ground: Path, repository: Path) -> Player:
    """Return the player after the whole page: every daemon has been stopped again."""
    player = Player(ground, {PORT: free_port()})
    player.page(repository / "docs/operator.md")
    return player


def test_the_operators_page_runs_as_written(played: Player) -> None:
    assert len(played.played) > 80
    assert any("f    450  15870" in each for each in played.played)


def test_the_page_about_joint_keys_runs_as_written_after_it(played: Player, repository: Path) -> None:
    player = Player(played.folder, played.replaced)
    player.page(repository / "docs/keys.md")
    assert len(player.played) > 25
    assert any("all holders have signed key and transcript" in each for each in player.played)


def test_after_the_page_nothing_runs(played: Player) -> None:
    for name in ("macao", "guangdong", "hongkong"):
        assert f"no daemon runs on {'state'}" in played.run(f"federation jurisdiction status {name}.toml", name).stdout
    assert "no daemon runs" in played.run("federation coordinator status", "relay").stdout


def test_the_page_says_how_long_it_takes_and_stays_one_page(repository: Path) -> None:
    text = (repository / "docs/operator.md").read_text("utf-8")
    assert "a quarter of an hour" in text
    assert len(text.splitlines()) < 420


CHANGED = "federation jurisdiction check changed.toml"
FAULTS = {  # a command in macao's folder that makes the mistake -> the row of the table that explains it
    "federation jurisdiction init first.toml; federation jurisdiction check first.toml": "keys/NAME",
    "chmod 644 keys/macao/identity.key; federation jurisdiction check macao.toml": "read or written by other",
    "federation roster init gba --after roster.json -r draft.json; "
    f"sed s/roster.json/draft.json/ macao.toml > changed.toml; {CHANGED}": "not in force",
    "sed 's/^purposes/purpose/' macao.toml > changed.toml; " + CHANGED: "unknown key",
    "sed 's/^k = 10/k = ten/' macao.toml > changed.toml; " + CHANGED: "not TOML",
    "sed 's/people.csv/peple.csv/' macao.toml > changed.toml; " + CHANGED: "no file is called",
    "sed 's/columns.age/columns.agee/' macao.toml > changed.toml; " + CHANGED: "has no column",
    "sed 's/^low = 0//' macao.toml > changed.toml; " + CHANGED: "needs low and high",
    "federation jurisdiction start macao.toml --detach": "a daemon runs on",
    "federation jurisdiction stop macao.toml; federation jurisdiction stop macao.toml": "no daemon runs on",
    "mv state newest; tar -xzf macao-backup.tar.gz state; federation jurisdiction start macao.toml; "
    "rm -r state; mv newest state": "an old copy",
    "sed 's/^state = .*/state = \"elsewhere\"/; s/127.0.0.1:[0-9]*/127.0.0.1:9/' macao.toml > changed.toml; "
    "timeout --signal INT 4 federation jurisdiction start changed.toml": "nothing listens at",
    "federation roster init gba --after roster.json -r other.json; for keys in ../*/keys/*; do "
    "federation roster sign -r other.json -k $keys -y; done; "
    "sed 's/roster.json/other.json/; s/^state = .*/state = \"elsewhere\"/' macao.toml > changed.toml; "
    "federation jurisdiction start changed.toml": "another roster than",
    'sed -i \'s/"f", "m"/"f", "m", "x"/\' macao.toml; federation jurisdiction start macao.toml --detach; '
    "cd ../alice; HOME=$PWD federation catalog show people": "different category lists",
}


def test_every_error_of_the_table_is_what_the_command_says(played: Player, repository: Path) -> None:
    rows = re.findall(
        r"^\| `(.*?)` \| ", (repository / "docs/operator.md").read_text("utf-8").split("## 13.")[1], re.MULTILINE
    )
    played.run("federation coordinator start --detach", "relay")
    for name in ("macao", "guangdong", "hongkong"):
        played.run(f"federation jurisdiction start {name}.toml --detach", name)
    explained = set()
    for command, mark in FAULTS.items():
        said = played.run(f"set +e; {command}; chmod 600 keys/*/*.key", "macao").stdout
        (row,) = [row for row in rows if mark in row]
        shown = re.sub("macao.toml", "changed.toml", row) if "changed.toml" in command else row
        assert not missing((shown.replace("first.toml", "changed.toml"),), said), f"{row}\n{said}"
        explained.add(row)
    assert explained == set(rows), "a row of the table that no mistake of this test shows"
    for name in ("macao", "guangdong", "hongkong"):
        played.run(f"federation jurisdiction stop {name}.toml", name)
    played.run("federation coordinator stop", "relay")


# --- planted lies: each must be caught, or the pages prove nothing --------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```console\n$ echo two\none\n```\n", "the page shows"),
        ("```console\n$ printf 'b\\na\\n'\na\nb\n```\n", "the page shows"),
        ("```console\n$ false\n```\n", "exit code 1"),
        ("```console\n$ echo fine\nerror: fine\n```\n", "exit code 0"),
        ("```console\n$ federation dance\n```\n", "exit code 2"),
    ],
)
def test_a_page_that_lies_is_caught(tmp_path: Path, text: str, why: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match=why):
        Player(tmp_path).page(page)


def test_a_file_that_is_not_toml_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```toml\na = one\n```\n")
    with pytest.raises(ValueError, match="Invalid value"):
        Player(tmp_path).page(page)


def test_what_differs_from_day_to_day_and_the_width_of_gaps_are_not_compared() -> None:
    got = "in 17 s\nmacao:   process 4, attends 127.0.0.1:1\n"
    assert not missing(("macao: process …, attends",), got)
    assert not missing(("in … s", "macao: process"), got)
    assert missing(("macao: process …, does not reach",), got)
    assert missing(("macao: process", "in … s"), got)


def test_the_sentence_about_the_others_repeats_what_i_typed_and_only_that(tmp_path: Path) -> None:
    for name in ("relay", "macao", "guangdong", "hongkong"):
        (tmp_path / name).mkdir()
    page = tmp_path / "page.md"
    page.write_text(
        "## One\n```toml\n# file: macao/macao.toml\nme = 'macao'\n```\n"
        "```console\nrelay$ echo once >> typed\nmacao$ echo macao >> typed\n```\n"
        "Guangdong and Hong Kong do the same.\n## Two\nGuangdong and Hong Kong do the same.\n"
    )
    Player(tmp_path).page(page)
    assert (tmp_path / "relay/typed").read_text() == "once\n"
    assert (tmp_path / "hongkong/typed").read_text() == "hongkong\n"
    assert (tmp_path / "guangdong/guangdong.toml").read_text().endswith("me = 'guangdong'\n")


def test_a_block_is_split_into_commands_and_what_follows_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console later\n$ a\n```\n```console\nx$ b\none\ntwo\n$ c\n```\n")
    first, second = blocks(page)
    assert first.word == "later"
    assert [(t.folder, t.command, t.expected) for t in typed(second.text)] == [
        ("x", "b", ("one", "two")),
        ("", "c", ()),
    ]
