"""kill -9 at any moment: what was stored says where a holder stands and which bytes it sends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from federation.errors import Misuse
from federation.protocols.key_ceremony.events import Boundary, Effect, Event, Proceed
from federation.protocols.key_ceremony.party import step
from federation.protocols.key_ceremony.states import Choosing, Idle, Ready, State
from federation.protocols.machine import Transition, fold
from tests.protocols.key_ceremony.players import Player, Table, ceremony_of, ended, founded, remember_transfers

LATE = ceremony_of(2, salt=0)  # takes three batches


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_transfers(monkeypatch)


@dataclass
class Store:
    """What a driver keeps of one holder: every event, but of finished batches only what begins the next one."""

    start: State
    founding: list[Event] = field(default_factory=list)
    batch: list[Event] = field(default_factory=list)

    def keep(self, player: Player) -> None:
        """Store what the holder was given last."""
        event = player.events[-1]
        if isinstance(event, Proceed):
            self.batch = [event]
        elif self.batch:
            self.batch.append(event)
        else:
            self.founding.append(event)

    def read(self) -> Transition[State, Effect]:
        """Start again from what is stored; the effects are those of the last event."""
        *before, last = [*self.founding, *self.batch]
        return step(fold(step, self.start, before).state, last)


def test_every_moment_of_a_ceremony_comes_back_from_what_was_stored() -> None:
    table, places = Table(LATE), 0
    stores = {me: Store(player.state) for me, player in table.players.items()}
    for me, player in table.players.items():
        assert isinstance(player.state, Ready), me
    while not table.ended:
        table.move()
        for me, player in table.players.items():
            stores[me].keep(player)
            again = stores[me].read()
            assert again.state == player.state
            assert again.effects == player.effects
            places += 1
    assert places > 40
    assert max(len(store.batch) for store in stores.values()) < 20  # two batches are forgotten


def test_a_ceremony_goes_on_when_everybody_was_killed_between_two_batches() -> None:
    starts = {me: player.state for me, player in Table(LATE).players.items()}
    table, restarts = Table(LATE), 0
    while not table.ended:
        table.move()
        proceeds = {me: player.proceed for me, player in table.players.items()}
        if all(proceeds.values()):
            restarts += 1
            for me, proceed in proceeds.items():
                transition = step(starts[me], proceed)
                table.players[me] = Player(transition.state, [proceed], transition.effects)
    assert restarts == 2
    assert {me: player.done for me, player in table.players.items()} == {
        me: player.done for me, player in ended(LATE).players.items()
    }


def test_the_first_word_of_a_later_batch_is_the_same_after_a_restart() -> None:
    """From `Begin` on, with real base transfers."""
    table = founded(LATE).branch()
    founding = {me: list(player.events) for me, player in table.players.items()}
    table.move()
    while not all(player.proceed for player in table.players.values()):
        table.move()
    for me, player in table.players.items():
        before, proceed = player.state, player.proceed
        assert isinstance(before, Ready)
        assert proceed is not None
        assert proceed.batch == 2
        player.give(proceed)
        again = fold(step, Idle(), [*founding[me], proceed])
        assert isinstance(again.state, Choosing)
        assert again.state == player.state
        assert again.effects[-1] == player.effects[-1]
        assert [one.proceed.batch for one in again.effects if isinstance(one, Boundary)] == [1]


def test_a_batch_is_not_begun_twice_and_none_is_begun_in_one() -> None:
    """Another message under the same number of transfers would show how two choices differ."""
    player = Table(LATE).players["p0"]
    proceed = player.proceed
    assert proceed is not None
    player.give(proceed)
    for wrong in (proceed, replace(proceed, batch=2, place=proceed.place + 8)):
        with pytest.raises(Misuse):
            player.give(wrong)


def test_whoever_starts_with_other_entropy_draws_other_factors() -> None:
    """The fault that would make this file pass by chance: words that do not depend on what was stored."""
    player = Table(LATE).players["p1"]
    assert isinstance(player.state, Ready)
    assert player.proceed is not None
    other = Player(replace(player.state, at=replace(player.state.at, entropy=b"o" * 32)))
    for one in (player, other):
        one.give(player.proceed if one is player else Table(LATE).players["p1"].proceed)  # type: ignore[arg-type]
    assert isinstance(player.state, Choosing)
    assert isinstance(other.state, Choosing)
    assert player.state.units != other.state.units
    assert player.sends[0].word != other.sends[0].word
