"""Four real daemons, of which one is lost: the job goes on without it where it may, and says who is counted."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.researcher.table import Table
from federation.errors import Unavailable

sys.path.insert(0, str(Path(__file__).parent))
from federations import Asked, rows_of, until, written
from gates import GatedStage

pytestmark = pytest.mark.slow

FOUR = ("guangdong", "hongkong", "macao", "zhuhai")
LOST = GatedStage.gated
OTHERS = tuple(party for party in FOUR if party != LOST)
SHORT = "away_s = 0.3\nsilent_s = 1\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatedStage]:
    """Four parties, of which three are enough; the coordinator waits a moment for those who are lost."""
    folder = tmp_path_factory.mktemp("lost")
    with GatedStage(folder / "stage", written(folder, parties=FOUR), coordinator_lines=SHORT) as running:
        yield running


@pytest.fixture
def whole(stage: GatedStage) -> Iterator[GatedStage]:
    """The stage; afterwards the lost one attends again, and a sum of all four that may lose nobody has all four."""
    yield stage
    if LOST not in stage.processes:
        stage.launch(LOST)
        stage.await_attending(LOST)
    counts(Asked(stage, Incomes()).answer(), FOUR)


class Incomes:
    """A question that nobody asked before: what was opened without a party is not opened with it later."""

    fresh = itertools.count()

    def __init__(self) -> None:
        self._where = f"income > {next(self.fresh)}"  # true of all rows

    def __call__(self, table: Table) -> Any:
        return table.where(self._where).sum("income")


def counts(found: Any, parties: tuple[str, ...]) -> None:
    """Check that a sum is over the rows of exactly these parties, and that its receipt says so."""
    assert not isinstance(found, Exception), found
    assert found.value == sum(row[0] for party in parties for row in rows_of(FOUR.index(party)))
    assert found.receipt.parties == parties
    assert found.receipt.missing == tuple(party for party in FOUR if party not in parties)


@pytest.mark.parametrize("kind", ["advert", "shares"])
def test_a_party_lost_before_its_numbers_were_out_is_not_counted(whole: GatedStage, kind: str) -> None:
    whole.gate.shut_at(kind)
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gate.await_shut()
    asked.await_step(LOST, f"sent {kind} 0")
    whole.kill(LOST)
    whole.gate.open()
    found = asked.answer()
    counts(found, OTHERS)
    assert found.receipt.signed_by == OTHERS
    assert f"3 of 4 parties (guangdong, macao, zhuhai; not counted: {LOST})" in found.summary()


def test_a_party_lost_after_its_numbers_were_out_is_counted_and_does_not_sign(whole: GatedStage) -> None:
    whole.gate.shut_at("head")
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gate.await_shut()
    asked.await_step(LOST, "sent head 0")
    whole.kill(LOST)
    whole.gate.open()
    found = asked.answer()
    counts(found, FOUR)
    assert found.receipt.signed_by == OTHERS
    assert f"signed by all but {LOST}" in found.summary()


def test_where_nobody_may_be_missing_a_lost_party_ends_the_job_by_name(whole: GatedStage) -> None:
    whole.gate.shut_at("shares")
    asked = Asked(whole, Incomes(), deadline_s=2.0)
    whole.gate.await_shut()
    whole.kill(LOST)
    whole.gate.open()
    fault = asked.answer()
    assert isinstance(fault, Unavailable)
    assert fault.party == LOST


@pytest.mark.parametrize("kind", ["shares", "head"])
def test_a_party_that_stands_still_is_waited_for_so_long_and_its_late_message_harms_nothing(
    whole: GatedStage, kind: str
) -> None:
    """Its line stays open, as that of a machine that is suspended: only its silence is noticed."""
    whole.gate.shut_at(kind, passes=False)
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gate.await_shut()
    whole.freeze(LOST)
    found = asked.answer()
    counts(found, OTHERS)
    assert {LOST: True}.items() <= {each.party: each.connected for each in asked.updates[-1].parties}.items()
    sent = len(whole.gate.seen)
    whole.gate.open()  # its message arrives now
    whole.thaw(LOST)
    counts(Asked(whole, Incomes()).answer(), FOUR)
    assert len(whole.gate.seen) > sent
    until(lambda: whole.processes[LOST].poll() is None)
