"""Real processes get SIGKILL in the middle of a secure sum and are started again; the figures are those of all rows."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.stage import COORDINATOR
from clients.researcher.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, Asked, all_rows, written
from gates import GatedStage, Seen

pytestmark = pytest.mark.slow

KILLED = "hongkong"
PROTOCOL = ("advert", "shares", "head", "consent", "unmask")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatedStage]:
    """Three parties with k = 10: every question has two secure sums, the support and the sums."""
    folder = tmp_path_factory.mktemp("restarts")
    with GatedStage(folder / "stage", written(folder, k=10, own=False), KILLED) as running:
        yield running


def mean_age(table: Table) -> Any:
    return table.mean("age", by="sex")


def holds(found: Any) -> None:
    """Check an answer against the rows of all parties, and that all were counted and signed."""
    assert not isinstance(found, Exception), found
    for sex in "fm":
        ages = [age for _, age, of in all_rows() if of == sex and age >= 0]
        assert found[sex].n == len(ages)
        assert found[sex].value == pytest.approx(statistics.fmean(ages), rel=1e-12)
    assert found.receipt.parties == found.receipt.signed_by == PARTIES
    assert (found.receipt.missing, found.receipt.rounds) == ((), 2)


def said_again(seen: list[Seen]) -> dict[tuple[str, int], int]:
    """Return how often each message of a job was sent; the same message has the same bytes each time."""
    sent: dict[tuple[str, int], list[bytes]] = defaultdict(list)
    for each in seen:
        if each.job_hash == seen[-1].job_hash and each.kind in ("verdict", "attestation", *PROTOCOL):
            sent[each.kind, each.index].append(each.raw)
    assert all(len(set(raws)) == 1 for raws in sent.values()), "a message was sent again with other bytes"
    return {key: len(raws) for key, raws in sent.items()}


@pytest.mark.parametrize(("kind", "index"), [("advert", 0), ("shares", 0), ("head", 0), ("consent", 1), ("unmask", 1)])
def test_a_daemon_killed_after_what_it_sent_says_the_same_and_the_figures_stay(
    stage: GatedStage, kind: str, index: int
) -> None:
    stage.gates[KILLED].shut_at(kind, index)
    asked = Asked(stage, mean_age)
    stage.gates[KILLED].await_shut()
    asked.await_step(KILLED, f"sent {kind} {index}")
    stage.kill(KILLED)
    stage.gates[KILLED].cut()
    stage.launch(KILLED)
    holds(asked.answer())
    times = said_again(stage.gates[KILLED].seen)
    assert times[kind, index] == 2
    assert {times[each, index] for each in PROTOCOL[PROTOCOL.index(kind) + 1 :]} <= {1}


@pytest.mark.parametrize(("kind", "index"), [("head", 0), ("consent", 0), ("head", 1), ("attestation", 0)])
def test_a_daemon_killed_while_what_it_sent_is_lost_on_the_way_sends_the_same(
    stage: GatedStage, kind: str, index: int
) -> None:
    stage.gates[KILLED].shut_at(kind, index, passes=False)
    asked = Asked(stage, mean_age)
    stage.gates[KILLED].await_shut()
    stage.kill(KILLED)
    stage.gates[KILLED].cut()
    stage.launch(KILLED)
    holds(asked.answer())
    assert said_again(stage.gates[KILLED].seen)[kind, index] == 2


# Every coordinator that dies makes the daemons wait longer before they dial again, so these are few.
@pytest.mark.parametrize(
    ("kind", "index", "killed"),
    [("shares", 0, (COORDINATOR,)), ("head", 1, (COORDINATOR,)), ("unmask", 1, (COORDINATOR, KILLED))],
)
def test_a_coordinator_killed_in_a_round_costs_a_pause(
    stage: GatedStage, kind: str, index: int, killed: tuple[str, ...]
) -> None:
    stage.gates[KILLED].shut_at(kind, index)
    asked = Asked(stage, mean_age)
    stage.gates[KILLED].await_shut()
    for name in killed:
        stage.kill(name)
    stage.gates[KILLED].cut()
    stage.start_coordinator()
    for name in killed[1:]:
        stage.launch(name)
    holds(asked.answer())
    said_again(stage.gates[KILLED].seen)


def test_other_bytes_would_be_seen() -> None:
    """The planted fault: the masked numbers of one round, sent a second time with one bit changed."""
    seen = [Seen("advert", 0, b"j", b"a"), Seen("head", 0, b"j", b"\0"), Seen("head", 0, b"j", b"\1")]
    assert said_again(seen[:2]) == {("advert", 0): 1, ("head", 0): 1}
    with pytest.raises(AssertionError, match="other bytes"):
        said_again(seen)
