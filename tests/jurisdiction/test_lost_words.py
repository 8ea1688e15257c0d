"""No order in which holders of a key ceremony come back leaves anybody waiting for a word that nobody will repeat.

The relay forgets what it carried. Whoever comes back asks; who is not there yet does not hear it, so it asks too when
it comes, and whoever is asked asks back for whatever it may lack.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import permutations

import pytest

from clients.jurisdiction import ceremonies, making
from federation.protocols.key_ceremony.messages import What, Word
from federation.wire import convert
from federation.wire import messages as m
from tests.jurisdiction.circle import HOLDERS, Circle, seeded

Scene = Callable[[Circle], None]


@pytest.fixture(scope="module", name="circle_of")
def _circle_of() -> Iterator[Callable[[], Circle]]:
    with seeded() as circle:
        yield circle


def place(circle: Circle, name: str) -> int:
    return circle.last(name).standing.place


# --- scenes -----------------------------------------------------------------------------------------------------------


def further(circle: Circle) -> None:
    """One holder has a second one's word of its step and lacks a third one's; the second one is a step further.

    The first attends before the second, so its ask is lost; and the second lacks nothing of the first.
    """

    def found() -> tuple[str, ...]:
        for behind, ahead, silent in permutations(HOLDERS):
            at = circle.last(behind).standing
            if at.place >= 4 and at.waits_for == (silent,) and place(circle, ahead) == at.place + 1:
                return behind, ahead, silent
        return ()

    circle.run(found)
    circle.kill_relay(*found())


def begun_alone(circle: Circle) -> None:
    """One holder alone has heard that all have joined; the two others hear it when they attend, after its words."""
    circle.run(lambda: any(circle.last(name).state == "making" for name in HOLDERS))
    circle.kill_relay(*sorted(HOLDERS, key=lambda name: circle.last(name).state != "making"))


def made_alone(circle: Circle) -> None:
    """One holder alone has the key and lacks nothing; the two others attend before it, and lack its last word."""
    circle.run(lambda: any(circle.last(name).state == "signing" for name in HOLDERS))
    circle.kill_relay(*sorted(HOLDERS, key=lambda name: circle.last(name).state == "signing"))


def between_batches(circle: Circle) -> None:
    """A holder begins the next batch and is killed; its last word of the batch before never came to another one."""

    def lost(name: str, frame: m.Frame) -> m.Frame | None:
        word = convert.BODIES[frame.signed.domain].decode(frame.signed.body)
        told = isinstance(word, Word) and word.what is What.REVEAL
        return None if told and (name, frame.to) == ("hongkong", "guangdong") else frame

    circle.change = lost
    circle.run(lambda: circle.last("hongkong").standing.batch == 1)
    circle.change = lambda _, frame: frame
    assert circle.last("guangdong").standing.waits_for == ("hongkong",)
    assert circle.last("guangdong").standing.what == What.REVEAL
    circle.start("hongkong")
    circle.kill_relay(*HOLDERS)


@pytest.mark.parametrize("scene", [further, begun_alone, made_alone, between_batches])
def test_what_was_lost_is_said_again(scene: Scene, circle_of: Callable[[], Circle]) -> None:
    circle = circle_of()
    circle.begun()
    scene(circle)
    circle.run()
    assert circle.states == ["made"] * 3


# --- planted faults ---------------------------------------------------------------------------------------------------


def asks_back_for_its_own_step_alone(patch: pytest.MonkeyPatch) -> None:
    asked = making.Making.asked

    def fewer(self: making.Making, ask: m.KeyAsk) -> list[m.Frame]:
        has = ask.party in self._heard_now
        return [frame for frame in asked(self, ask) if not has or frame.signed.domain != m.KEY_ASK]

    patch.setattr(making.Making, "asked", fewer)


def begins_without_a_question(patch: pytest.MonkeyPatch) -> None:
    greeting = ceremonies.Ceremonies.greeting

    def forgetful(self: ceremonies.Ceremonies) -> list[m.Frame]:
        out = greeting(self)
        for entry in self._entries.values():
            entry.unheard = False
        return out

    patch.setattr(ceremonies.Ceremonies, "greeting", forgetful)


def asks_nothing_once_it_is_done(patch: pytest.MonkeyPatch) -> None:
    ask = making.Making.ask
    patch.setattr(making.Making, "ask", lambda self, *to, **how: [] if self.made is not None else ask(self, *to, **how))


def forgets_its_last_word(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(making.Making, "_said", lambda *_: None)


@pytest.mark.parametrize(
    ("scene", "fault"),
    [
        (further, asks_back_for_its_own_step_alone),
        (begun_alone, begins_without_a_question),
        (made_alone, asks_nothing_once_it_is_done),
        (between_batches, forgets_its_last_word),
    ],
)
def test_with_the_fault_they_would_wait_for_one_another_until_the_deadline(
    scene: Scene,
    fault: Callable[[pytest.MonkeyPatch], None],
    circle_of: Callable[[], Circle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    circle = circle_of()
    fault(monkeypatch)
    circle.begun()
    scene(circle)
    circle.run()
    waiting = [name for name in HOLDERS if circle.last(name).state == "making"]
    assert waiting
    assert all(circle.last(name).standing.waits_for for name in waiting)


# --- any weather ------------------------------------------------------------------------------------------------------


def hop(circle: Circle, chance: random.Random) -> None:
    """Carry the next frame of some line: lines have an order, and none among one another."""
    line = chance.choice(sorted({item[:2] for item in circle.queue}))
    item = next(item for item in circle.queue if item[:2] == line)
    circle.queue.remove(item)
    circle.queue.appendleft(item)
    circle.move()


def lived(circle: Circle, chance: random.Random) -> None:
    """Let a ceremony go on while holders and the relay die and come back, one by one."""
    circle.begun()
    away: set[str] = set()
    deaths, calm = chance.randrange(1, 7), chance.choice((10, 25, 60))
    while circle.queue or away or deaths:
        if circle.queue and chance.randrange(calm):
            hop(circle, chance)
        elif away and (not circle.queue or chance.randrange(2)):
            name = chance.choice(sorted(away))
            away.discard(name)
            (circle.start if chance.randrange(2) else circle.attend)(name)
        elif deaths:
            deaths -= 1
            gone = HOLDERS if chance.randrange(2) else (chance.choice(HOLDERS),)
            if gone == HOLDERS:
                circle.kill_relay_alone()
            for name in set(gone) - away:
                circle.leave(name)
            away |= set(gone)


@pytest.mark.parametrize("seed", range(15))
def test_in_any_weather_there_is_a_key_once_everybody_is_back(seed: int, circle_of: Callable[[], Circle]) -> None:
    circle = circle_of()
    lived(circle, random.Random(seed))
    assert circle.states == ["made"] * 3
