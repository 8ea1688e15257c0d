"""An old copy of a state folder is put back: the daemon refuses to answer from it, and says what to do."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli import daemons
from clients.cli.main import main
from clients.cli.stage import Stage
from clients.researcher.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, Asked, all_rows, written

pytestmark = pytest.mark.slow

ROLLED_BACK = "hongkong"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("rollback")
    with Stage(folder / "stage", written(folder)) as running:
        yield running


def count_of(table: Table) -> int:
    found = table.count()
    assert found.receipt.parties == PARTIES
    return int(found.value)


@pytest.fixture(scope="module")
def old(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the state folder from before the party's first answer; the newest one lies where it belongs."""
    copy = tmp_path_factory.mktemp("copies") / "old"
    _ended(stage)
    shutil.copytree(stage.state(ROLLED_BACK), copy)
    stage.launch(ROLLED_BACK)
    stage.await_attending(ROLLED_BACK)
    assert Asked(stage, count_of).answer() == len(all_rows())
    _ended(stage)
    return copy


def _ended(stage: Stage) -> None:
    daemons.stopped(stage.state(ROLLED_BACK))
    stage.processes.pop(ROLLED_BACK).wait()


def refuses(stage: Stage) -> str:
    """Check that the daemon attends, is shown its last answer, and ends: 3, one error, one hint; return its number."""
    stage.launch(ROLLED_BACK)
    assert stage.processes.pop(ROLLED_BACK).wait(20) == 3
    error, hint = (stage.state(ROLLED_BACK) / daemons.LOG).read_text().splitlines()[-2:]
    said = rf"error: {ROLLED_BACK} has signed answer number (\d+), and its memory knows 0: an old copy"
    found = re.fullmatch(said, error)
    assert found, error
    assert hint.startswith("hint: put the newest copy of the state folder back")
    assert f"reconcile FILE --answers {found[1]}" in hint
    return found[1]


def answers(stage: Stage) -> None:
    stage.launch(ROLLED_BACK)
    stage.await_attending(ROLLED_BACK)
    assert Asked(stage, count_of).answer() == len(all_rows())


def test_a_daemon_with_an_old_memory_refuses_and_goes_on_with_the_newest(
    stage: Stage, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = stage.state(ROLLED_BACK)
    state.rename(tmp_path / "newest")
    shutil.copytree(old, state)
    refuses(stage)
    assert main(["jurisdiction", "start", str(stage.jurisdiction_file(ROLLED_BACK)), "--detach"]) == 3
    error, hint = capsys.readouterr().err.splitlines()
    assert "an old copy" in error
    assert hint.startswith("hint: put the newest copy of the state folder back")
    shutil.rmtree(state)
    (tmp_path / "newest").rename(state)
    answers(stage)
    _ended(stage)


def test_an_operator_whose_newest_memory_is_lost_says_so_and_goes_on(stage: Stage, old: Path) -> None:
    state, file = stage.state(ROLLED_BACK), str(stage.jurisdiction_file(ROLLED_BACK))
    shutil.rmtree(state)
    shutil.copytree(old, state)
    number = refuses(stage)
    assert main(["jurisdiction", "reconcile", file, "--answers", number]) == 2  # not by accident
    refuses(stage)
    assert main(["jurisdiction", "reconcile", file, "--answers", number, "--lost-for-good"]) == 0
    answers(stage)
