"""A box opens for one holder and one word; whoever carries it neither reads nor exchanges it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from federation.crypto import agreement
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony.boxes import Boxes
from federation.protocols.key_ceremony.messages import What, Word
from tests.protocols.key_ceremony.players import ceremony_of, names

CEREMONY = ceremony_of(3)
PRIVATE = {name: sha256(name.encode()).digest() for name in names(3)}
PUBLIC = {name: agreement.key_pair(private)[1] for name, private in PRIVATE.items()}
BOX = b"corrections" * 1000
WORD = Word(ceremony=CEREMONY.hash, party="p0", place=4, what=What.SIEVE, seen=b"s" * 32, boxes=(b"d" * 32, b""))


def boxes(name: str, **further: object) -> Boxes:
    return Boxes.of(further.get("ceremony", CEREMONY), name, PRIVATE[name], PUBLIC)  # type: ignore[arg-type]


def test_a_box_opens_for_the_holder_that_it_was_sealed_to() -> None:
    sealed = boxes("p0").sealed("p1", WORD, BOX)
    assert boxes("p1").opened(WORD, sealed) == BOX
    assert BOX[:16] not in sealed
    assert len(sealed) == len(BOX) + 16
    assert boxes("p0").sealed("p1", WORD, BOX) == sealed, "what is sent again is the same bytes"


def test_no_box_stays_no_box() -> None:
    assert boxes("p0").sealed("p1", WORD, b"") == b""
    assert boxes("p1").opened(WORD, b"") == b""


@pytest.mark.parametrize(
    "changes",
    [
        {"place": 5},
        {"what": What.CORRECT},
        {"seen": b"t" * 32},
        {"boxes": (b"e" * 32, b"")},
        {"body": b"more"},
        {"party": "p2"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_box_opens_with_its_word_alone(changes: dict[str, object]) -> None:
    sealed = boxes("p0").sealed("p1", WORD, BOX)
    with pytest.raises(ProtocolViolation, match="sealed box"):
        boxes("p1").opened(replace(WORD, **changes), sealed)  # type: ignore[arg-type]


def test_a_box_opens_for_nobody_else_in_no_other_ceremony_and_not_backwards() -> None:
    sealed = boxes("p0").sealed("p1", WORD, BOX)
    backwards = replace(WORD, party="p1")
    for reader, word in (
        (boxes("p2"), WORD),
        (boxes("p1", ceremony=ceremony_of(3, salt="other")), WORD),
        (boxes("p0"), backwards),
    ):
        with pytest.raises(ProtocolViolation):
            reader.opened(word, sealed)
    for flipped in (0, len(sealed) // 2, len(sealed) - 1):
        spoilt = sealed[:flipped] + bytes([sealed[flipped] ^ 1]) + sealed[flipped + 1 :]
        with pytest.raises(ProtocolViolation):
            boxes("p1").opened(WORD, spoilt)


def test_keys_that_are_none_or_another_holders_are_refused() -> None:
    """P plus a point of low order agrees with everybody on the same secrets as P: another encoding, the same key."""
    low = bytes(32)
    for bad in (low, PUBLIC["p0"], PUBLIC["p2"][:31] + bytes([PUBLIC["p2"][31] | 0x80]), b"short"):
        with pytest.raises(ProtocolViolation) as caught:
            Boxes.of(CEREMONY, "p1", PRIVATE["p1"], {**PUBLIC, "p2": bad})
        assert caught.value.party == "p2"


def test_no_repr_shows_a_secret() -> None:
    found = boxes("p0")
    assert all(repr(secret)[2:-1] not in repr(found) for secret in found.secrets.values())
