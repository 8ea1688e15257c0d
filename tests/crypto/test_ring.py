"""Vectors over Z_2^64 and Z_2^128: the fast path equals Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from federation.crypto import ring
from federation.errors import Misuse

EDGES = (0, 1, -1, 2**64 - 1, 2**64, -(2**64), 2**63, ring.LOWEST, ring.LOWEST + 1, ring.HIGHEST, ring.HIGHEST - 1)
elements = st.one_of(st.sampled_from(EDGES), st.integers(ring.LOWEST, ring.HIGHEST))
pairs = st.lists(st.tuples(elements, elements), max_size=20)


def wrapped(number: int) -> int:
    """The number as two's complement of 128 bits has it."""
    return (number + 2**127) % 2**128 - 2**127


@given(numbers=st.lists(elements, max_size=20))
def test_numbers_survive_the_way_there_and_back(numbers: list[int]) -> None:
    words = ring.from_ints(numbers)
    assert words.shape == (len(numbers), 2)
    assert ring.to_ints(words) == numbers
    assert ring.to_ints(ring.from_bytes(ring.to_bytes(words))) == numbers


def test_an_element_is_sixteen_little_endian_bytes() -> None:
    assert ring.to_bytes(ring.from_ints([1, -2])) == b"\x01" + bytes(15) + b"\xfe" + b"\xff" * 15


@given(drawn=pairs)
def test_addition_equals_that_of_integers(drawn: list[tuple[int, int]]) -> None:
    a, b = ring.from_ints([x for x, _ in drawn]), ring.from_ints([y for _, y in drawn])
    assert ring.to_ints(ring.add(a, b)) == [wrapped(x + y) for x, y in drawn]


@given(drawn=pairs)
def test_subtraction_equals_that_of_integers(drawn: list[tuple[int, int]]) -> None:
    a = ring.add(ring.from_ints([x for x, _ in drawn]), ring.from_ints([0] * len(drawn)))
    ring.subtract_into(a, ring.from_ints([y for _, y in drawn]))
    assert ring.to_ints(a) == [wrapped(x - y) for x, y in drawn]


def test_every_pair_of_edges_carries_and_borrows_right() -> None:
    left, right = [x for x in EDGES for _ in EDGES], [y for _ in EDGES for y in EDGES]
    a, b = ring.from_ints(left), ring.from_ints(right)
    total = ring.add(a, b)
    assert ring.to_ints(total) == [wrapped(x + y) for x, y in zip(left, right, strict=True)]
    ring.subtract_into(total, b)
    assert ring.to_ints(total) == left


def test_the_planted_fault_of_a_lost_carry_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_carry(accumulator: NDArray[np.uint64], term: NDArray[np.uint64]) -> None:
        np.add(accumulator, term, out=accumulator)

    monkeypatch.setattr(ring, "add_into", without_carry)
    with pytest.raises(AssertionError):
        test_every_pair_of_edges_carries_and_borrows_right()


# --- flat arrays of words over either ring ---------------------------------------------------------------------------

both_rings = pytest.mark.parametrize("kind", ring.RINGS.values(), ids=lambda kind: kind.name)
residues = st.one_of(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))


def residues_of(kind: ring.Ring, words: NDArray[np.uint64]) -> list[int]:
    """The elements as numbers from 0 to the ring's size, by Python's integers."""
    data, size = words.tobytes(), kind.element_bytes
    return [int.from_bytes(data[start : start + size], "little") for start in range(0, len(data), size)]


@both_rings
@given(rows=st.lists(st.tuples(residues, residues, residues, residues), max_size=12))
def test_flat_words_are_added_and_subtracted_as_integers_are(kind: ring.Ring, rows: list[tuple[int, ...]]) -> None:
    drawn = np.array(rows, dtype="<u8").reshape(-1, 4)
    a, b = drawn[:, :2].flatten(), drawn[:, 2:].flatten()
    modulus = 1 << 8 * kind.element_bytes
    left, right = residues_of(kind, a), residues_of(kind, b)
    kind.add_into(a, b)
    assert residues_of(kind, a) == [(x + y) % modulus for x, y in zip(left, right, strict=True)]
    kind.subtract_into(a, b)
    assert residues_of(kind, a) == left
    kind.subtract_into(a, b)
    assert residues_of(kind, a) == [(x - y) % modulus for x, y in zip(left, right, strict=True)]


@both_rings
@pytest.mark.parametrize("terms", [0, 1, 126, 127, 128, 129, 600])
@pytest.mark.parametrize("signs", ["added", "subtracted", "in turn"])
def test_a_tally_of_any_number_of_terms_settles_to_the_sum(kind: ring.Ring, terms: int, signs: str) -> None:
    """Every low word carries and borrows at nearly every term: the byte that counts would overflow if it could."""
    term = np.array([2**64 - 1, 5, 2**64 - 2, 2**64 - 1, 1, 0], dtype="<u8")
    words = np.array([3, 2**64 - 1, 2**64 - 1, 7, 0, 0], dtype="<u8")
    total, each = residues_of(kind, words), residues_of(kind, term)
    tally = ring.Tally(kind, words)
    for turn in range(terms):
        adds = signs == "added" or (signs == "in turn" and turn % 3 != 2)
        (tally.add if adds else tally.subtract)(term)
        total = [x + y if adds else x - y for x, y in zip(total, each, strict=True)]
    tally.settle()
    assert residues_of(kind, words) == [x % (1 << 8 * kind.element_bytes) for x in total]


def test_the_planted_fault_of_a_tally_that_settles_too_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring.Tally, "MOST_UNCOUNTED", 128)
    with pytest.raises(AssertionError):
        test_a_tally_of_any_number_of_terms_settles_to_the_sum(ring.Z128, 600, "added")


def test_a_ring_is_known_by_its_name_and_there_are_two() -> None:
    assert dict(ring.RINGS) == {"z2^64": ring.Z64, "z2^128": ring.Z128}
    assert (ring.Z64.element_bytes, ring.Z128.element_bytes) == (8, 16)
    assert all(ring.CHUNK_BYTES % kind.element_bytes == 0 for kind in ring.RINGS.values())
    with pytest.raises(Misuse, match="the rings are"):
        ring.Ring(name="z2^64", element_bytes=16)


@both_rings
@pytest.mark.parametrize(
    "term",
    [
        np.zeros(2, dtype="<u8"),
        np.zeros(1, dtype="<u8"),
        np.zeros((4, 1), dtype="<u8"),
        np.zeros(4, dtype=">u8"),
        np.zeros(4, dtype="<i8"),
        np.zeros(8, dtype="<u8")[::2],
    ],
    ids=["shorter", "one for all", "a column", "big-endian", "signed", "with gaps"],
)
def test_words_of_another_form_are_misuse(kind: ring.Ring, term: NDArray[np.uint64]) -> None:
    for operation in (kind.add_into, kind.subtract_into):
        with pytest.raises(Misuse, match="flat contiguous"):
            operation(np.zeros(4, dtype="<u8"), term)


def test_half_an_element_is_misuse() -> None:
    with pytest.raises(Misuse, match="24 bytes are not a whole number"):
        ring.Tally(ring.Z128, np.zeros(3, dtype="<u8"))


@pytest.mark.parametrize("number", [ring.HIGHEST + 1, ring.LOWEST - 1, 2**200])
def test_a_number_that_does_not_fit_is_named_by_place_and_never_quoted(number: int) -> None:
    with pytest.raises(Misuse, match="number 1 of the vector") as caught:
        ring.from_ints([0, number])
    assert str(number) not in str(caught.value)


def test_bytes_that_are_no_whole_elements_are_misuse() -> None:
    with pytest.raises(Misuse, match="16 bytes an element"):
        ring.from_bytes(bytes(17))


def test_vectors_of_unequal_length_are_never_broadcast() -> None:
    a = ring.add(ring.from_ints([1, 2]), ring.from_ints([0, 0]))
    for operation in (ring.add_into, ring.subtract_into):
        with pytest.raises(Misuse, match="equal length"):
            operation(a, ring.from_ints([1]))


@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 2, 2)])
def test_arrays_that_are_no_vectors_are_misuse(shape: tuple[int, ...]) -> None:
    with pytest.raises(Misuse, match="shape"):
        ring.add_into(np.zeros(shape, dtype="<u8"), np.zeros(shape, dtype="<u8"))


def test_a_view_of_bytes_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ring.from_ints([1])[0, 0] = 2
