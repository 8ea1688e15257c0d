"""Whoever computed something else is named, at the latest by opening everybody's entropy; nobody else ever is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from federation.crypto import biprime
from federation.crypto.paillier import threshold
from federation.crypto.paillier.threshold import BadPartial
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony import candidates
from federation.protocols.key_ceremony.events import Send
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.states import Disputing, Revealing
from federation.protocols.secure_sum import Aborted
from tests.protocols.key_ceremony.players import Change, Table, ceremony_of, founded, remember_transfers, saying

CEREMONY = ceremony_of(3, salt=3)  # its first batch has a modulus
LIAR, HONEST = "p1", ("p0", "p2")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_transfers(monkeypatch)


def at(what: What) -> Table:
    """Everybody honest until the words of this step are on the way."""
    table = founded(CEREMONY).branch()
    table.move()
    return table.until(what)


def lie(what: What, change: Change) -> Table:
    """One false word, and then everybody as honest as before."""
    table = at(what)
    table.move({LIAR: change})
    return table


def changed(data: bytes, start: int = 0) -> bytes:
    """Two bytes that are a residue of any modulus, and another one."""
    new = b"\1\0" if data[start : start + 2] == b"\0\0" else b"\0\0"
    return data[:start] + new + data[start + 2 :]


def spoilt(box: bytes) -> bytes:
    """Other corrections of many transfers: of those whose choice is 0, nobody takes them."""
    for start in range(0, 1024, 32):
        box = changed(box, start)
    return box


def flipped(data: bytes, places: Sequence[int] = (0,)) -> bytes:
    """One bit of some bytes."""
    return bytes(byte ^ (i in places) for i, byte in enumerate(data))


def to_end(table: Table) -> Table:
    """Move on until all have ended, or somebody raises."""
    while not table.ended:
        table.move()
    return table


def blamed(table: Table) -> set[str]:
    """Whom everybody names."""
    found = set()
    for me, player in table.players.items():
        assert isinstance(player.state, Aborted), me
        found.add(tuple(blame.party for blame in player.state.blames))
    assert len(found) == 1
    return set(found.pop())


# --- a false rejection -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [What.TEST, What.CONFIRM])
def test_a_modulus_rejected_by_a_false_power_names_whose_power_it_was(what: What) -> None:
    def every_power(send: Send) -> Send:
        body = send.word.body
        return saying(body=flipped(body, range(63, len(body), 64)))(send)

    table = lie(what, every_power).until(What.REVEAL)
    for me in HONEST:
        state = table.players[me].state
        assert isinstance(state, Revealing)
        assert state.accepted == -1  # the only modulus of the batch is turned away
    table.collect()
    for me in table.players:
        with pytest.raises(ProtocolViolation) as caught:
            table.deliver(me)
        assert (caught.value.party, caught.value.phase) == (LIAR, what)
        assert "rejected" in caught.value.got


def test_false_powers_of_candidates_that_are_none_name_nobody() -> None:
    """They would have been turned away all the same."""
    table = at(What.TEST)
    state = table.players["p0"].state
    assert type(state).__name__ == "Testing"
    accepted = to_end(at(What.TEST)).players["p0"].done.tries - 1  # type: ignore[union-attr]
    places = [63 + 64 * i for i, place in enumerate(state.tested) if place != accepted]  # type: ignore[union-attr]
    assert len(places) > 3
    table.move({LIAR: lambda send: saying(body=flipped(send.word.body, places))(send)})
    assert to_end(table).players["p0"].done is not None


def test_without_opening_a_false_rejection_would_go_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: holders who do not look at what was revealed."""
    monkeypatch.setattr(biprime, "maybe_prime", lambda _: False)
    change: Change = lambda send: saying(body=flipped(send.word.body, range(63, len(send.word.body), 64)))(send)  # noqa: E731
    table = lie(What.TEST, change).until(What.REVEAL)
    table.move()
    assert all(player.proceed is not None and player.proceed.batch == 2 for player in table.players.values())


# --- disputes --------------------------------------------------------------------------------------------------------

Lie = Callable[[Send], Send]
BOXES: dict[What, Lie] = {
    What.REPLY: lambda send: saying(box=send.box[384:768] + send.box[:384] + send.box[768:])(send),
    What.SUMS: lambda send: saying(box=flipped(send.box))(send),
    What.CHOOSE: lambda send: saying(box=flipped(send.box, range(0, 64, 8)))(send) if send.box else send,
    What.SIEVE: lambda send: saying(box=spoilt(send.box))(send) if send.box else send,
    What.MULTIPLY: lambda send: saying(box=flipped(send.box, range(0, 64, 8)))(send),
    What.CORRECT: lambda send: saying(box=spoilt(send.box))(send),
    What.BLIND: lambda send: saying(box=flipped(send.box, range(0, 64, 8)))(send),
    What.SHARE: lambda send: saying(box=spoilt(send.box))(send),
}


@pytest.mark.parametrize("what", BOXES)
def test_a_false_box_is_found_by_opening_everything(what: What) -> None:
    """The boxes of one peer are false in a way that nobody sees, and everything after is computed from them."""
    table = founding_lie(what) if what in {What.REPLY, What.SUMS} else at(what)
    if what is What.SIEVE:
        table.move()  # its own turn to correct is the second one
    if what not in {What.REPLY, What.SUMS}:
        spoilt = table.players[LIAR].sends
        assert any(BOXES[what](send) != send for send in spoilt)
        table.move({LIAR: all_boxes(BOXES[what], table)})
    assert blamed(to_end(table)) == {LIAR}
    blames = table.players["p0"].state.blames  # type: ignore[union-attr]
    assert f"in {what}" in blames[0].message


def all_boxes(change: Lie, table: Table) -> Change:
    """The change of every box of the liar, with one word for all that names all the false boxes."""
    told = {send.to: change(send) for send in table.players[LIAR].sends}
    boxes = [
        next((t for t in told[to].word.boxes if t not in s.word.boxes), b"")
        for to, s in zip(told, table.players[LIAR].sends, strict=True)
    ]
    word = replace(
        next(iter(told.values())).word,
        boxes=tuple(new or old for new, old in zip(boxes, table.players[LIAR].sends[0].word.boxes, strict=True)),
    )
    return lambda send: replace(told[send.to], word=word)


def founding_lie(what: What) -> Table:
    table = Table(CEREMONY, quick=False).until(what)
    table.move({LIAR: all_boxes(BOXES[what], table)})
    return table


def every(start: int) -> Callable[[bytes], bytes]:
    return lambda body: changed(body, start)


SAID: dict[str, tuple[What, Callable[[bytes], bytes]]] = {
    "a false share of a candidate": (What.OPEN, lambda body: changed(body, len(body) - 34)),
    "a false product of units": (What.OPEN, lambda body: flipped(body, (1,)) if body[0] == 1 else b"\1\0" + body[2:]),
    "a false part of theta": (What.KEY, lambda body: flipped(body, (63,))),
    "a false verification key": (What.KEY, lambda body: flipped(body, (64 + 127,))),
    "a false answer": (What.DECRYPT, lambda body: flipped(body, (127,))),
    "another key": (What.AGREE, flipped),
    "another test number": (What.AGREE, lambda body: flipped(body, (60,))),
}


@pytest.mark.parametrize("said", SAID)
def test_a_false_word_is_found_by_opening_everything(said: str) -> None:
    what, change = SAID[said]
    table = lie(what, lambda send: saying(body=change(send.word.body))(send))
    assert blamed(to_end(table)) == {LIAR}
    assert f"in {what}" in table.players["p0"].state.blames[0].message  # type: ignore[union-attr]


def test_whoever_binds_itself_to_other_shares_and_reveals_those_is_named() -> None:
    table = at(What.OPEN)
    state = table.players[LIAR].state
    from federation.protocols.key_ceremony.multiplying import enumerated, factors_leaf, factors_root

    other = replace(state.factors, p=tuple(p + 4 for p in state.factors.p))  # type: ignore[union-attr]
    place = state.at  # type: ignore[union-attr]
    root = factors_root(place, LIAR, [factors_leaf(place, LIAR, *both) for both in enumerated(other)])
    table.move({LIAR: lambda send: saying(body=send.word.body[:-32] + root)(send)})
    table.until(What.REVEAL)
    now = table.players[LIAR].state
    assert isinstance(now, Revealing)
    body = b"".join(
        factors_leaf(now.at, LIAR, i, p, q) if i == now.accepted else p.to_bytes(32, "big") + q.to_bytes(32, "big")
        for i, p, q in enumerated(other)
    )
    table.move({LIAR: saying(body=body)})
    assert isinstance(table.players["p0"].state, Disputing)
    assert blamed(to_end(table)) == {LIAR}


def test_whoever_opens_another_entropy_is_named_as_well() -> None:
    table = lie(What.DECRYPT, lambda send: saying(body=flipped(send.word.body, (127,)))(send)).until(What.DISPUTE)
    table.move({LIAR: saying(body=b"o" * 32)})
    assert blamed(table) == {LIAR}
    assert "entropy" in table.players["p0"].state.blames[0].message  # type: ignore[union-attr]


def test_a_dispute_about_nothing_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody computed as it should, and still the three could not read their tests, once."""
    table, combine, failed = at(What.DECRYPT), threshold.combine, []

    def fails_three_times(*arguments: Any) -> list[int]:
        if len(failed) < 3:
            failed.append(1)
            raise BadPartial("planted")
        return combine(*arguments)

    monkeypatch.setattr(threshold, "combine", fails_three_times)
    assert blamed(to_end(table)) == {""}
    assert {blame.code for player in table.players.values() for blame in player.state.blames} == {"job_failed"}  # type: ignore[union-attr]


# --- two words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [What.OFFER, What.OPEN, What.TEST, What.REVEAL, What.KEY])
def test_two_words_of_one_step_are_found_one_step_later(what: What) -> None:
    """Whoever is told the other one cannot know who said two; the signatures do."""
    table = Table(CEREMONY, quick=False).until(what) if what is What.OFFER else at(what)

    def two(send: Send) -> Send:
        body = send.word.body
        place = 5 if what is What.OFFER else len(body) - 34 if what is What.OPEN else 63
        told = changed(body, place) if what is What.OPEN else flipped(body, (place,))
        return saying(body=told)(send) if send.to == "p2" else send

    table.collect({LIAR: two})
    for me in table.players:
        try:
            table.deliver(me)
        except ProtocolViolation as caught:  # a false reveal is seen at once by whoever got it
            assert (me, caught.party, what) == ("p2", LIAR, What.REVEAL)
            return
    table.collect()
    table.deliver(*HONEST)
    for me in HONEST:
        state = table.players[me].state
        assert isinstance(state, Aborted)
        assert [blame.party for blame in state.blames] == [""]
        assert "said two things" in state.blames[0].message


def test_no_base_is_left_to_chance_in_these_tests() -> None:
    """The ceremony has exactly one modulus in its first batch, so each lie above is about that one."""
    table = at(What.CONFIRM)
    state = table.players["p0"].state
    assert len(state.passed) == 1  # type: ignore[union-attr]
    n = state.numbers[state.passed[0]]  # type: ignore[union-attr]
    assert candidates.base(n, state.pairs.sid, 0) != candidates.base(n, state.pairs.sid, 1)  # type: ignore[union-attr]
