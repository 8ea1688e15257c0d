"""The attack list on every word and box of a ceremony: one file is one attack, its name says which.

`p1` is the holder that cheats, in the step that the file names; every other holder whom it shows must name it, there
and then. The state of whoever found it stays what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gmpy2
import pytest

from federation.crypto import ot
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony.events import Send
from federation.protocols.key_ceremony.messages import What, box_digest
from federation.protocols.secure_sum import Aborted
from tests.protocols.key_ceremony.players import Table, ceremony_of, founded, remember_transfers

FOLDER = Path(__file__).parent.parent.parent / "vectors" / "key_ceremony"
VECTORS = sorted(FOLDER.glob("*_*.json"))
CEREMONY = ceremony_of(3, salt=3)  # its first batch has a modulus, so every step is in it
LIAR = "p1"
# Whom a lie shows, where it does not show everybody: boxes of the sieve go to one holder, or to those before.
SHOWN = {"choose_": ("p0",), "sieve_": ("p2",), "sieve_out": ("p2",), "choose_for": ("p2",)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_transfers(monkeypatch)


def bytes_of(change: dict[str, Any], data: bytes) -> bytes:
    """The new bytes."""
    match change:
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case {"cut": count}:
            return data[:-count]
        case {"add": digits}:
            return data + bytes.fromhex(digits)
        case {"fill": digits}:
            return bytes.fromhex(digits) * len(data)
        case {"flip": [place]} | {"flip": place}:
            return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        case {"zero": [start, count]} | {"ff": [start, count]}:
            start %= len(data)
            return data[:start] + (b"\0" if "zero" in change else b"\xff") * count + data[start + count :]
        case {"minus_one": True}:
            return element(ot._prime() - 1) + data[ot.GROUP_BYTES :]
        case {"no_square": True}:
            return element(next(n for n in range(2, 99) if gmpy2.jacobi(n, ot._prime()) == -1))
        case _:
            raise ValueError(change)


def element(number: int) -> bytes:
    return int(number).to_bytes(ot.GROUP_BYTES, "big")


def lies(change: dict[str, Any], sends: list[Send]) -> dict[str, Send]:
    """What is sent to each peer, with one word for all."""
    word, boxes = sends[0].word, {send.to: send.box for send in sends}
    if "body" in change:
        word = replace(word, body=bytes_of(change["body"], word.body))
    if "box" in change:
        boxes = {to: bytes_of(change["box"], box) if box else box for to, box in boxes.items()}
    if "later_box" in change:
        boxes["p2"] = bytes.fromhex(change["later_box"])
    if "box" in change or "later_box" in change:
        word = replace(word, boxes=tuple(box_digest(box) for box in boxes.values()))
    if "fewer_boxes" in change:
        word = replace(word, boxes=word.boxes[:-1])
    if "box_alone" in change:
        boxes = {to: bytes_of(change["box_alone"], box) for to, box in boxes.items()}
    for name, value in change.get("word", {}).items():
        match name:
            case "place":
                word = replace(word, place=word.place + value)
            case "what":
                word = replace(word, what=What(value))
            case "party":
                word = replace(word, party=value)
            case _:
                word = replace(word, **{name: bytes.fromhex(value)})
    return {to: Send(to=to, word=word, box=box) for to, box in boxes.items()}


def table_at(what: What, turn: int) -> Table:
    """Everybody honest until this step's words are on the way."""
    if what in {What.OFFER, What.REPLY, What.SUMS}:
        return Table(CEREMONY, quick=False).until(what)
    table = founded(CEREMONY).branch()
    table.move()
    table.until(what)
    for _ in range(turn - 1):
        table.move()
    return table


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_whoever_cheats_is_named_at_once(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    change, want = vector["change"], vector["want_error"]
    table = table_at(What(vector["step"]), change.get("turn", 1))
    told = lies(change, table.players[LIAR].sends)
    assert any(told[send.to] != send for send in table.players[LIAR].sends), "the file changes nothing"
    change_of: Callable[[Send], Send] = lambda send: told[send.to]  # noqa: E731
    table.collect({LIAR: change_of})
    shown = [who for prefix, who in SHOWN.items() if path.stem.startswith(prefix)]
    for me in shown[-1] if shown else ("p0", "p2"):
        before = table.players[me].state
        if want["error"] == "split":
            table.deliver(me)
            state = table.players[me].state
            assert isinstance(state, Aborted)
            assert [blame.party for blame in state.blames] == [""]
            continue
        with pytest.raises(ProtocolViolation) as caught:
            table.deliver(me)
        assert (caught.value.party, caught.value.phase) == (want["party"], want["phase"])
        assert table.players[me].state == before


def test_every_step_has_an_attack_of_its_own() -> None:
    steps = {json.loads(path.read_text("utf-8"))["step"] for path in VECTORS}
    later = {What.AGREE, What.DISPUTE}  # whatever is false there is found by opening everything: test_disputes
    assert steps == {what.value for what in What} - {what.value for what in later}


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_says_what_it_is(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    assert set(vector) == {"desc", "source", "step", "change", "want_error"}
    assert vector["desc"].endswith(".")
    assert set(vector["want_error"]) == {"error", "party", "phase"}
