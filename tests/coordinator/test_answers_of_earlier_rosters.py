"""What a party answered under an earlier roster it has answered: an old memory is found out after members changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.jurisdiction.driver import Driver as Jurisdiction
from clients.jurisdiction.vault import MemoryVault, Vault
from federation.coordinator.driver import Driver as Coordinator
from federation.domain.job import State
from federation.domain.roster import Role, Roster
from federation.errors import Refused
from federation.identity import keys
from federation.protocols.masked_sum.messages import Head
from federation.wire import convert
from federation.wire import messages as m
from tests.coordinator.stage import COORDINATOR, Stage, people, roster

CHANGED = "macao"


def later(stage: Stage, members: Roster) -> Coordinator:
    """Start the coordinator over the same store with another roster."""
    coordinator = Coordinator(people()[COORDINATOR], members, stage.store)
    coordinator.resume()
    return coordinator


def next_year() -> Roster:
    return replace(roster(), version=2, signatures=())


def shown(stage: Stage, coordinator: Coordinator, vault: Vault | None = None) -> list[m.Frame]:
    """Let the party attend under the new roster, by default with the memory that it has; return what it is sent."""
    desk = stage.jurisdictions[CHANGED]._desk
    party = Jurisdiction(replace(desk, roster=next_year(), vault=vault or desk.vault), "test")
    frames = [item.frame for item in coordinator.attend(CHANGED, party.hello())]
    for frame in frames:
        party.receive(frame)
    return frames


def answered(stage: Stage) -> None:
    stage.attend()
    job_hash = stage.submit(stage.job())
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED


@pytest.fixture
def stage() -> Stage:
    return Stage(k=1, own_figures=True)


def test_the_last_answer_is_shown_and_a_memory_that_knows_it_goes_on(stage: Stage) -> None:
    answered(stage)
    frames = shown(stage, later(stage, next_year()))
    assert [frame.signed.domain for frame in frames] == [Head.domain]


def test_an_old_memory_is_refused_also_after_the_members_changed(stage: Stage) -> None:
    answered(stage)
    with pytest.raises(Refused) as caught:
        shown(stage, later(stage, next_year()), MemoryVault())
    assert caught.value.rule == "rollback"


def test_an_answer_of_a_job_that_did_not_end_counts_too(stage: Stage) -> None:
    stage.attend()
    stage.submit(stage.job())
    while not answers_in(stage):
        stage.deliver(*stage.pending()[0])
    assert later(stage, next_year())._answers.keys() == answers_in(stage)


def answers_in(stage: Stage) -> set[str]:
    """Whose answers the store has so far."""
    (job_hash,) = stage.store.jobs()
    frames = [convert.frame_of(payload) for kind, payload in stage.store.events(job_hash) if kind == "frame"]
    names = {member.key_id: member.name for member in roster().members}
    return {names[frame.signed.key_id] for frame in frames if frame.signed.domain == Head.domain}


def test_what_was_signed_with_a_key_that_was_replaced_is_shown_to_nobody(stage: Stage) -> None:
    """Its owner could not verify it, and would close the line over it for ever."""
    answered(stage)
    others = tuple(member for member in roster().members if member.name != CHANGED)
    new = keys.made(CHANGED, Role.JURISDICTION).member
    coordinator = later(stage, replace(next_year(), members=(*others, new)))
    assert coordinator._answers.keys() == set(stage.names) - {CHANGED}
