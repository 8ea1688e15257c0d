"""What no single sum can see: the same query in another job, an old copy of a memory, other rows, a cell of one party.

Played with whole jurisdictions and a coordinator, real signatures and memories that can be put back.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clients.jurisdiction.driver import Driver
from clients.jurisdiction.records import Records, query_ids
from clients.jurisdiction.vault import MemoryVault
from federation.analytics import replay
from federation.crypto import ring
from federation.domain.job import Computation, State
from federation.protocols.events import Contribute
from federation.protocols.setup import Setup
from federation.query.expression import Col
from federation.query.query import SumQuery
from federation.query.round import Phase, Round
from tests.coordinator.stage import PARTIES, Stage, counted, rows
from tests.protocols.cohort import Cohort, names, sent, setup_of

FOUR, THREE = PARTIES[:4], PARTIES[:3]
ROUND = Round(index=0, phase=Phase.SUPPORT, queries=(SumQuery(dataset="data", terms=(Col("x"),)),))


def four(**changes: Any) -> Stage:
    stage = Stage(names=FOUR, k=1, own_figures=True, **changes)
    stage.attend()
    stage.settle()
    return stage


def asked(stage: Stage, parties: tuple[str, ...], token: bytes) -> bytes:
    """The sum of x over these parties, in a job of its own."""
    job_hash = stage.submit(stage.job(parties=parties, token=token * 16))
    stage.settle()
    return job_hash


# --- an old copy of a memory -----------------------------------------------------------------------------------------


def put_back(stage: Stage, parties: tuple[str, ...], copies: dict[str, Any]) -> None:
    """Stop these daemons, put an old copy of their memory back and start them again."""
    for party in parties:
        stage.hang_up(party)
        stage.vaults[party] = deepcopy(copies[party])
        stage.jurisdictions[party] = stage.driver(party)
    stage.attend(*parties)
    stage.settle()


def test_a_memory_that_was_put_back_is_refused_by_its_own_last_signature() -> None:
    stage = four()
    copies = deepcopy(stage.vaults)
    asked(stage, FOUR, b"1")
    put_back(stage, ("hongkong",), copies)
    refused = stage.stopped["hongkong"]
    assert (refused.rule, refused.party) == ("rollback", "hongkong")
    assert "hongkong" not in stage.lines, "it answers nothing from an old copy"


def test_the_newest_memory_attends_as_ever() -> None:
    stage = four()
    asked(stage, FOUR, b"1")
    put_back(stage, FOUR, deepcopy(stage.vaults))
    assert not stage.stopped
    assert stage.state(asked(stage, FOUR, b"2")) is State.RELEASED


def test_the_planted_fault_of_old_copies_that_answer_reads_the_fourth_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three go back to before the first job, so nobody knows that the query was opened over four."""
    stage = four()
    copies = deepcopy(stage.vaults)
    first = asked(stage, FOUR, b"1")
    put_back(stage, THREE, copies)
    assert set(stage.stopped) == set(THREE)
    monkeypatch.setattr(Driver, "_remembered", lambda *_: [])
    stage.stopped.clear()
    put_back(stage, THREE, copies)
    second = asked(stage, THREE, b"2")
    difference = stage.totals(first)[0][1] - stage.totals(second)[0][1]
    assert counted(difference) == dict.fromkeys(PARTIES, 0) | {"shenzhen": 1}


def test_a_coordinator_that_keeps_the_signature_back_finds_the_other_parties_memories(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One party's old copy would answer, and the two whose memory is whole refuse: nothing is opened."""
    monkeypatch.setattr(Driver, "_remembered", lambda *_: [])
    stage = four()
    copies = deepcopy(stage.vaults)
    asked(stage, FOUR, b"1")
    put_back(stage, ("hongkong",), copies)
    second = asked(stage, THREE, b"2")
    assert stage.state(second) is State.REFUSED
    assert {o.blame.rule for o in stage.objections().values() if o.job_hash == second} == {"one set per query"}


# --- the same query again --------------------------------------------------------------------------------------------


def test_the_name_of_a_query_knows_neither_job_nor_protocol_and_is_made_by_the_party() -> None:
    """The ids are of the query and the party's own data: no message, job or protection enters them."""
    same = query_ids(ROUND, "v1")
    assert same == query_ids(replace(ROUND, index=7), "v1"), "asked later, in another round or job"
    assert same != query_ids(ROUND, "v2")
    assert same != query_ids(replace(ROUND, queries=(SumQuery(dataset="data", terms=(Col("y"),)),)), "v1")


def held(setup: Setup) -> tuple[Records, tuple[bytes, ...]]:
    """A memory in which one query is bound to the sum of `setup`."""
    records, ids = Records(MemoryVault()), query_ids(ROUND, "v1")
    assert records.bind(ids, setup)
    return records, ids


def test_a_query_is_opened_over_one_set_only_within_one_job_and_across_jobs() -> None:
    one, other = setup_of(4), setup_of(4, job_hash=b"k" * 32)
    records, ids = held(one)
    assert records.agree(ids, one, names(4))
    assert not records.agree(ids, one, names(4)[:3]), "another list of the same sum"
    assert records.bind(ids, other), "the same parties may ask again"
    assert not records.agree(ids, other, names(4)[:3])
    assert records.agree(ids, other, names(4))
    records.opened(ids, one, names(4))
    records.withdrawn(ids, one)
    records.withdrawn(ids, other)
    for setup, parties in ((one, names(4)[:3]), (other, names(4)[:3]), (setup_of(3, job_hash=b"l" * 32), names(3))):
        assert not (records.bind(ids, setup) and records.agree(ids, setup, parties)), "nothing undoes an opening"


def test_a_rerun_with_one_party_less_waits_until_nobody_can_open_the_first_attempt() -> None:
    first, second = setup_of(4), setup_of(3, attempt=1, colluders=1)
    records, ids = held(first)
    assert records.agree(ids, first, names(4))
    assert not records.bind(ids, second), "the first attempt may still be opened, over four"
    records.withdrawn(ids, first)  # the driver does so on n - t + 1 + c signed words: see withdrawals
    assert records.bind(ids, second)
    assert records.agree(ids, second, names(3))


def test_the_planted_fault_of_a_memory_that_forgets_at_once_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryVault, "put", lambda *_: None)
    with pytest.raises(AssertionError):
        test_a_rerun_with_one_party_less_waits_until_nobody_can_open_the_first_attempt()


# --- other rows under the same masks ---------------------------------------------------------------------------------


def test_two_vectors_under_one_mask_would_show_how_they_differ() -> None:
    """Why a vector is sealed before it is sent: a party that masks again, from changed rows, shows the change."""
    cohort = Cohort(3)
    cohort.shared()
    before, after = cohort.branch(), cohort.branch()  # the same keys: a restart that asked its rows again
    one = before.contribute("p0", [1_000])
    other = after.contribute("p0", [1_007])
    difference = ring.from_bytes(one.chunks[0]).copy()
    ring.subtract_into(difference, ring.from_bytes(other.chunks[0]))
    assert ring.to_ints(difference) == [-7]


def test_a_restart_sends_the_sealed_vector_whatever_the_rows_say_now() -> None:
    """The fold takes the vector from the sealed event; the machine has no way to ask for another."""
    cohort = Cohort(3)
    cohort.shared()
    machine = cohort.parties["p0"]
    first = sent(machine.give(Contribute.of(cohort.spec, [1_000])))
    restarted = machine.branch()
    restarted.state, restarted.effects = restarted.start, []
    for event in machine.events:
        last = restarted.step(restarted.state, event)
        restarted.state = last.state
    assert sent(last.effects) == first
    assert restarted.state == machine.state


# --- a cell of one party ---------------------------------------------------------------------------------------------

BY = Computation(name="mean", version=1, parameters=(("by", "s"), ("column", "x")))


def only_guangdong_has_b(*, own_figures: bool) -> tuple[Stage, list[list[int]]]:
    """Three parties, of whom one alone has rows of category b; the totals of a mean by category."""
    stage = Stage(k=2, own_figures=own_figures)
    for party in THREE:
        columns = rows(party)
        columns["s"] = np.array(["a", "b", "a", "b"] if party == "guangdong" else ["a"] * 4)
        stage.engines[party].columns = columns
    stage.attend()
    stage.settle()
    job_hash = stage.submit(stage.job(BY))
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED, stage.blames(job_hash)
    return stage, stage.totals(job_hash)


def figures_of_b(totals: list[list[int]]) -> list[int]:
    """What the last sum opened of cell b, its second row: units, and two sums for mean and variance."""
    return totals[-1][3:6]


def test_a_cell_that_one_party_fills_is_not_opened() -> None:
    _, totals = only_guangdong_has_b(own_figures=False)
    assert len(totals) == 2, "first how many contribute to a cell, then the cells that enough do"
    assert totals[0][1] == 2, "two of three parties have too few"
    assert figures_of_b(totals) == [0, 0, 0]


def test_it_opens_only_by_the_clause_of_every_party() -> None:
    _, totals = only_guangdong_has_b(own_figures=True)
    assert figures_of_b(totals)[0] == 2


def test_the_planted_fault_of_cells_that_nobody_closes_opens_one_party_s_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "closes", lambda *_: False)
    _, totals = only_guangdong_has_b(own_figures=False)
    assert figures_of_b(totals)[0] == 2
    assert figures_of_b(totals)[1] != 0
