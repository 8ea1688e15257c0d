"""Numbers in slots: sums in every slot, overflow refused or seen, and headers that tell nothing of the numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import packing
from federation.crypto.paillier.packing import BadPlaintext, Header, Slots
from federation.errors import Misuse

SLOTS = Slots.fitting(value_bits=64, terms=3, modulus_bits=2048)


def header(**other: int) -> Header:
    return Header(**{"scale": 1000, "value_bits": 64, "terms": 1, "count": 100, **other})


def test_slots_are_as_narrow_as_the_query_allows() -> None:
    assert (SLOTS.slot_bytes, SLOTS.per_ciphertext) == (9, 28)
    assert Slots.fitting(value_bits=128, terms=3, modulus_bits=2048).slot_bytes == 17
    assert Slots.fitting(value_bits=40, terms=256, modulus_bits=2048).slot_bytes == 6
    assert Slots.fitting(value_bits=40, terms=257, modulus_bits=2048).slot_bytes == 7
    assert Slots.fitting(value_bits=1, terms=255, modulus_bits=2048).slot_bytes == 1
    assert SLOTS.ciphertexts(1275) == 46
    assert Slots.fitting(value_bits=128, terms=3, modulus_bits=2048).ciphertexts(1275) == 85


@given(data=st.data(), value_bits=st.integers(1, 130), terms=st.integers(1, 300), bits=st.sampled_from([512, 2048]))
def test_sums_of_packed_numbers_are_sums_of_numbers(
    data: st.DataObject, value_bits: int, terms: int, bits: int
) -> None:
    slots = Slots.fitting(value_bits=value_bits, terms=terms, modulus_bits=bits)
    low, high = -slots.offset, slots.offset - 1
    numbers = st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high))
    count = data.draw(st.integers(0, 3 * slots.per_ciphertext))
    parties = data.draw(st.integers(1, min(terms, 4)))
    columns = [data.draw(st.lists(numbers, min_size=count, max_size=count)) for _ in range(parties)]
    packed = [slots.pack(column) for column in columns]
    assert {len(plaintexts) for plaintexts in packed} == {slots.ciphertexts(count)}
    assert all(plaintext < 1 << (bits - packing.SPARE_BITS) for plaintexts in packed for plaintext in plaintexts)
    total = [sum(column) for column in zip(*packed, strict=True)]
    assert slots.unpack(total, parties, count) == [sum(column) for column in zip(*columns, strict=True)]


@pytest.mark.parametrize("extreme", [-(2**63), 2**63 - 1])
def test_as_many_extremes_as_there_is_room_for_stay_in_their_slots(extreme: int) -> None:
    slots = Slots.fitting(value_bits=64, terms=256, modulus_bits=2048)
    assert slots.slot_bytes == 9
    packed = slots.pack([extreme, 5, extreme])
    assert slots.unpack([256 * each for each in packed], 256, 3) == [256 * extreme, 256 * 5, 256 * extreme]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**200])
def test_a_number_that_overflows_its_slot_is_refused(number: int) -> None:
    with pytest.raises(Misuse, match="64 bits") as caught:
        SLOTS.pack([1, number, 2])
    assert str(number) not in str(caught.value)


def test_without_the_check_an_overflow_falls_on_the_neighbour() -> None:
    """The planted fault: what does not fit goes into the next slot, where nobody can see it any more."""
    narrow = Slots.fitting(value_bits=8, terms=1, modulus_bits=512)
    spilled = sum(number + narrow.offset << 8 * place for place, number in enumerate([300, 0]))
    assert narrow.unpack([spilled], 1, 2) == [300 - 256, 1]
    with pytest.raises(Misuse):
        narrow.pack([300, 0])


@pytest.mark.parametrize("number", [1.0, 1e-9, np.float64(3), Fraction(1, 3), "1", None, 1j])
def test_what_is_no_integer_is_refused(number: object) -> None:
    with pytest.raises(Misuse, match="integers"):
        SLOTS.pack([number])  # type: ignore[list-item]


def test_integers_of_numpy_are_integers() -> None:
    numbers = np.array([-(2**63), 2**63 - 1, 0], dtype=np.int64)
    assert SLOTS.unpack(SLOTS.pack(list(numbers)), 1, 3) == numbers.tolist()


def test_more_terms_than_there_is_room_for_are_refused() -> None:
    packed = SLOTS.pack([1, 2])
    for terms in (0, -1, 4):
        with pytest.raises(Misuse):
            SLOTS.unpack(packed, terms, 2)
    with pytest.raises(Misuse):
        Slots(value_bits=64, terms=257, slot_bytes=9, per_ciphertext=28)
    Slots(value_bits=64, terms=256, slot_bytes=9, per_ciphertext=28)


@pytest.mark.parametrize("other", [{"value_bits": 0}, {"terms": 0}, {"per_ciphertext": 0}])
def test_slots_of_nothing_are_refused(other: dict[str, int]) -> None:
    with pytest.raises(Misuse):
        replace(SLOTS, **other)


@pytest.mark.parametrize("sizes", [(0, 3, 2048), (64, 0, 2048), (64, 3, 79)])
def test_slots_that_fit_nowhere_are_refused(sizes: tuple[int, int, int]) -> None:
    value_bits, terms, modulus_bits = sizes
    with pytest.raises(Misuse):
        Slots.fitting(value_bits=value_bits, terms=terms, modulus_bits=modulus_bits)


def test_a_number_beside_the_slots_is_seen() -> None:
    """Where an attacker puts a multiple of somebody's ciphertext: above all slots, or in one that nobody fills."""
    packed = SLOTS.pack(list(range(30)))
    assert SLOTS.unpack(packed, 1, 30) == list(range(30))
    slot = 8 * SLOTS.slot_bytes
    for place, shift, says in ((0, 28 * slot, "beside"), (1, 28 * slot, "beside"), (1, 2 * slot, "nobody fills")):
        spoiled = list(packed)
        spoiled[place] += 1 << shift
        with pytest.raises(BadPlaintext, match=says):
            SLOTS.unpack(spoiled, 1, 30)
    for plaintext in (-1, 1 << 2047):
        with pytest.raises(BadPlaintext, match="beside"):
            SLOTS.unpack([plaintext, packed[1]], 1, 30)


def test_a_sum_that_its_terms_cannot_make_is_seen() -> None:
    two = [2 * each for each in SLOTS.pack([2**63 - 1, 0])]
    assert SLOTS.unpack(two, 2, 2) == [2**64 - 2, 0]
    with pytest.raises(BadPlaintext, match="larger"):
        SLOTS.unpack(two, 1, 2)


@pytest.mark.parametrize("plaintexts", [[], [1], [1, 2, 3]])
def test_another_number_of_plaintexts_than_the_count_needs_is_misuse(plaintexts: list[int]) -> None:
    with pytest.raises(Misuse):
        SLOTS.unpack(plaintexts, 1, 30)


@given(number=st.sampled_from([0, 1, -1, 10**15, -(2**63), 2**63 - 1]))
def test_a_header_says_nothing_of_the_numbers(number: int) -> None:
    packed = SLOTS.pack([number] * 100)
    assert header().to_bytes() == header(count=100).to_bytes()
    assert len(header().to_bytes()) == 28
    assert len(packed) == 4


def test_headers_add_up_their_terms_and_refuse_what_does_not_fit() -> None:
    total = header().plus([header(), header()], SLOTS)
    assert total == header(terms=3)
    with pytest.raises(Misuse, match="3 terms"):
        total.plus([header()], SLOTS)
    for other in ({"scale": 1}, {"value_bits": 63}, {"count": 99}):
        with pytest.raises(Misuse, match="added"):
            header().plus([header(**other)], SLOTS)
    with pytest.raises(Misuse):
        header(value_bits=63).plus([], SLOTS)


def test_a_factor_counts_as_terms_and_a_negative_one_is_refused() -> None:
    slots = Slots.fitting(value_bits=16, terms=200, modulus_bits=512)
    numbers = [-5, 7, -(2**15)]
    small = header(value_bits=16, count=3)
    scaled = small.times(100, slots)
    assert scaled.terms == 100
    product = [100 * each for each in slots.pack(numbers)]
    assert slots.unpack(product, scaled.terms, 3) == [100 * number for number in numbers]
    for factor in (0, -1, 201):
        with pytest.raises(Misuse):
            small.times(factor, slots)
    with pytest.raises(Misuse):
        scaled.plus([scaled, small], slots)


def test_without_the_refusal_a_negative_factor_breaks_every_slot() -> None:
    """The planted fault: the offset changes its sign with the number, and slots borrow from each other."""
    n = 2**512 - 569
    slots = Slots.fitting(value_bits=16, terms=2, modulus_bits=512)
    negated = [-each % n for each in slots.pack([3, 4])]
    with pytest.raises(BadPlaintext):
        slots.unpack(negated, 1, 2)


@given(scale=st.integers(1, 2**64 - 1), bits=st.integers(1, 2**32 - 1), terms=st.integers(1, 2**64 - 1))
def test_a_header_comes_back_from_its_bytes(scale: int, bits: int, terms: int) -> None:
    made = Header(scale=scale, value_bits=bits, terms=terms, count=terms // 2)
    assert Header.of(made.to_bytes()) == made


@pytest.mark.parametrize("data", [b"", bytes(28), bytes(27), b"\x01" * 29, bytes(12) + b"\x01" * 16])
def test_bytes_that_are_no_header_are_refused(data: bytes) -> None:
    with pytest.raises(BadPlaintext, match="header"):
        Header.of(data)


@pytest.mark.parametrize("other", [{"scale": 0}, {"scale": 2**64}, {"value_bits": 0}, {"terms": 0}, {"count": -1}])
def test_a_header_of_impossible_numbers_is_misuse(other: dict[str, int]) -> None:
    with pytest.raises(Misuse):
        header(**other)
