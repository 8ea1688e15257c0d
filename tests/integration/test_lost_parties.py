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
LOST, NEXT = "hongkong", "macao"
OTHERS = tuple(party for party in FOUR if party != LOST)
SHORT = "away_s = 0.3\nsilent_s = 1\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatedStage]:
    """Four parties, of which three are enough; the coordinator waits a moment for those who are lost."""
    folder = tmp_path_factory.mktemp("lost")
    tables = written(folder, parties=FOUR)
    with GatedStage(folder / "stage", tables, LOST, NEXT, coordinator_lines=SHORT) as running:
        yield running


@pytest.fixture
def whole(stage: GatedStage) -> Iterator[GatedStage]:
    """The stage; afterwards the lost one attends again, and a sum of all four that may lose nobody has all four."""
    yield stage
    for name in FOUR:
        if name not in stage.processes:
            stage.launch(name)
            stage.await_attending(name)
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
    whole.gates[LOST].shut_at(kind)
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gates[LOST].await_shut()
    asked.await_step(LOST, f"sent {kind} 0")
    whole.kill(LOST)
    whole.gates[LOST].cut()
    found = asked.answer()
    counts(found, OTHERS)
    assert found.receipt.signed_by == OTHERS
    assert f"3 of 4 parties (guangdong, macao, zhuhai; not counted: {LOST})" in found.summary()


def test_a_party_lost_after_its_numbers_were_out_is_counted_and_does_not_sign(whole: GatedStage) -> None:
    whole.gates[LOST].shut_at("head")
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gates[LOST].await_shut()
    asked.await_step(LOST, "sent head 0")
    whole.kill(LOST)
    whole.gates[LOST].cut()
    found = asked.answer()
    counts(found, FOUR)
    assert found.receipt.signed_by == OTHERS
    assert f"signed by all but {LOST}" in found.summary()


def test_where_nobody_may_be_missing_a_lost_party_ends_the_job_by_name(whole: GatedStage) -> None:
    whole.gates[LOST].shut_at("shares")
    asked = Asked(whole, Incomes(), deadline_s=2.0)
    whole.gates[LOST].await_shut()
    whole.kill(LOST)
    whole.gates[LOST].cut()
    fault = asked.answer()
    assert isinstance(fault, Unavailable)
    assert fault.party == LOST


@pytest.mark.parametrize("kind", ["shares", "head"])
def test_a_party_that_stands_still_is_waited_for_so_long_and_its_late_message_harms_nothing(
    whole: GatedStage, kind: str
) -> None:
    """Its line stays open, as that of a machine that is suspended: only its silence is noticed."""
    whole.gates[LOST].shut_at(kind, passes=False)
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gates[LOST].await_shut()
    whole.freeze(LOST)
    found = asked.answer()
    counts(found, OTHERS)
    assert {LOST: True}.items() <= {each.party: each.connected for each in asked.updates[-1].parties}.items()
    sent = len(whole.gates[LOST].seen)
    whole.gates[LOST].open()  # its message arrives now
    whole.thaw(LOST)
    counts(Asked(whole, Incomes()).answer(), FOUR)
    assert len(whole.gates[LOST].seen) > sent
    until(lambda: whole.processes[LOST].poll() is None)


def test_a_sum_that_too_few_agreed_on_is_withdrawn_and_tried_again_with_one_who_is_back(whole: GatedStage) -> None:
    """Hong Kong is lost before it dealt its shares, Macao after its numbers: two are left, and three must agree."""
    whole.gates[LOST].shut_at("shares", passes=False)
    whole.gates[NEXT].shut_at("consent", passes=False)
    asked = Asked(whole, Incomes(), minimum_parties=3)
    whole.gates[LOST].await_shut()
    whole.kill(LOST)
    whole.gates[NEXT].await_shut()
    whole.kill(NEXT)
    whole.gates[LOST].cut()
    whole.gates[NEXT].cut()
    whole.launch(LOST)
    found = asked.answer()
    counts(found, tuple(party for party in FOUR if party != NEXT))
    assert "withdrawal 0" in whole.gates[LOST].kinds()
