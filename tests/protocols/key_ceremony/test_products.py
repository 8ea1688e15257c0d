"""Products in two shares, against plain integers."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from federation.crypto import ot
from federation.crypto.ot import BadTransfer
from federation.errors import Misuse
from federation.protocols.key_ceremony.products import Layout, layout_of
from federation.protocols.key_ceremony.residues import bits_of, lifted, lowered, plan_of
from tests.protocols.key_ceremony.players import ceremony_of, trees_of

Residues = NDArray[np.uint16]
MODULI = (2, 3, 15, 251, 719, 1021, 1024, 32749, 40001, 65521, 65535)
layouts = pytest.mark.parametrize(
    "layout",
    [layout_of(MODULI, 64), layout_of(MODULI, 192), layout_of(MODULI, 1), layout_of(plan_of(512).exponent, 1)],
    ids=lambda layout: f"{len(layout.moduli)} moduli, {layout.times} times",
)


@cache
def pair() -> tuple[ot.Forest, ot.Pruned]:
    trees = trees_of(ceremony_of(2))
    return trees["p0"].forests[0], trees["p1"].pruned[0]


def drawn(layout: Layout, salt: str) -> Residues:
    """Numbers below their moduli."""
    shape = len(layout.moduli), layout.times
    raw = np.frombuffer(hashlib.shake_256(salt.encode()).digest(4 * shape[0] * shape[1]), dtype="<u4").reshape(shape)
    return (raw % np.array(layout.moduli)[:, None]).astype(np.uint16)


def multiplied(layout: Layout, x: Residues, y: Residues, use: int = 0) -> tuple[Residues, Residues, bytes]:
    """The sender's and the chooser's share, and the corrections."""
    forest, pruned = pair()
    message, pads = ot.choose(forest, use, layout.choices(y), layout.transfer_moduli)
    differences, kept = layout.prepared(*ot.answer(pruned, use, message, layout.transfer_moduli))
    corrections = layout.corrections(differences, x)
    return kept, layout.collected(y, pads.tobytes(), corrections), corrections


def agrees(layout: Layout, x: Residues, y: Residues, shares: tuple[Residues, Residues]) -> NDArray[np.bool_]:
    modulus = np.array(layout.moduli)[:, None]
    return (shares[0].astype(int) + shares[1]) % modulus == x.astype(int) * y % modulus


@layouts
def test_shares_add_up_to_the_products(layout: Layout) -> None:
    x, y = drawn(layout, "x"), drawn(layout, "y")
    kept, collected, corrections = multiplied(layout, x, y)
    assert agrees(layout, x, y, (kept, collected)).all()
    assert len(corrections) == layout.correction_bytes
    assert (kept < np.array(layout.moduli)[:, None]).all()
    assert (collected < np.array(layout.moduli)[:, None]).all()


@layouts
def test_the_ends_of_every_range_multiply(layout: Layout) -> None:
    top = np.broadcast_to(np.array(layout.moduli, dtype=np.uint16)[:, None] - 1, (len(layout.moduli), layout.times))
    zero, top = np.zeros_like(top), top.astype(np.uint16)
    for use, (x, y) in enumerate([(top, top), (zero, top), (top, zero), (zero, zero)], 5):
        assert agrees(layout, x, y, multiplied(layout, x, y, use)[:2]).all()


@settings(max_examples=10)
@given(st.integers(0, 2**250), st.integers(0, 2**250), st.integers(0, 2**31))
def test_integers_multiply_as_in_python(a: int, b: int, use: int) -> None:
    """What a share of beta and one of p + q go through."""
    moduli = plan_of(512).exponent
    layout = layout_of(moduli, 1)
    kept, collected, _ = multiplied(layout, lowered([a], moduli), lowered([b], moduli), use)
    size = int(np.multiply.reduce(np.array(moduli, dtype=object)))
    assert (lifted(kept, moduli)[0] + lifted(collected, moduli)[0]) % size == a * b


@layouts
def test_every_number_has_its_own_lane_and_every_transfer_its_own_bit(layout: Layout) -> None:
    numbers = len(layout.moduli) * layout.times
    places = np.concatenate([block.places.reshape(-1) for block in layout.blocks])
    assert sorted(places[places < numbers].tolist()) == list(range(numbers))
    words = [word for block in layout.blocks for word in range(layout.words)[block.words]]
    assert words == list(range(layout.words))
    if layout.times > 1:
        assert layout.words == sum(map(bits_of, layout.moduli)) * layout.times // 64
        assert (places < numbers).all()


def test_shares_of_equal_products_are_spread_over_their_moduli() -> None:
    """Neither share alone says anything: each is even, whatever is multiplied."""
    layout = layout_of((251,), 6400)
    for value in (0, 1, 250):
        x = np.full((1, 6400), value, dtype=np.uint16)
        kept, collected, corrections = multiplied(layout, x, x, use=value)
        unchosen = np.frombuffer(corrections, dtype="<u2")
        for share in (kept.reshape(-1), collected.reshape(-1), unchosen):
            counts = np.bincount(share, minlength=251)
            expected = len(share) / 251
            assert ((counts - expected) ** 2 / expected).sum() < 360  # chi-square, 250 degrees, 5 sigma


@pytest.mark.parametrize("fault", ["x", "y", "correction", "use", "bit order", "reduction"])
def test_a_fault_spoils_the_products_that_it_touches(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of((40001, 65521), 64)
    x, y = drawn(layout, "x"), drawn(layout, "y")
    forest, pruned = pair()
    message, pads = ot.choose(forest, 9, layout.choices(y), layout.transfer_moduli)
    use, told = 9, y
    match fault:
        case "x":
            kept, collected, _ = multiplied(layout, x + np.uint16(1), y)
            assert not agrees(layout, x, y, (kept, collected)).any()
            return
        case "y":
            told = y.copy()
            told[1, 7] ^= 1
        case "use":
            use = 10
        case "bit order":
            original = Layout.choices
            monkeypatch.setattr(Layout, "choices", lambda self, values: original(self, values)[::-1].copy())
            message, pads = ot.choose(forest, 9, layout.choices(y), layout.transfer_moduli)
        case "reduction":
            monkeypatch.setattr("federation.protocols.key_ceremony.products._below", lambda numbers, _: numbers)
    differences, kept = layout.prepared(*ot.answer(pruned, use, message, layout.transfer_moduli))
    corrections = bytearray(layout.corrections(differences, x))
    if fault == "correction":
        place = 2 * (7 * layout.words + 3)  # row 7, bit 3 of the first modulus: taken only where that bit is 1
        corrections[place : place + 2] = b"\0\0"
        told = y = y | np.uint16(8)
        y[0] = np.minimum(y[0], 40000)
    try:
        collected = layout.collected(told, pads.tobytes(), bytes(corrections))
    except BadTransfer:
        assert fault == "reduction"
        return
    wrong = int((~agrees(layout, x, y, (kept, collected))).sum())
    assert wrong == {"y": 1}.get(fault, wrong)
    assert wrong >= {"use": 120, "bit order": 100, "correction": 1, "y": 1}[fault]


def test_corrections_of_another_length_or_not_below_their_moduli_are_refused() -> None:
    layout = layout_of((40001,), 64)
    x = drawn(layout, "x")
    forest, _ = pair()
    _, pads = ot.choose(forest, 12, layout.choices(x), layout.transfer_moduli)
    _, _, corrections = multiplied(layout, x, x, 12)
    for wrong in (corrections[:-2], corrections + b"\0\0", b"", b"\xff\xff" * (len(corrections) // 2)):
        with pytest.raises(BadTransfer):
            layout.collected(x, pads.tobytes(), wrong)


def test_numbers_come_alone_or_64_at_a_time() -> None:
    with pytest.raises(Misuse):
        layout_of((3,), 63)
