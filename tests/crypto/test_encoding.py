"""Packed fixed point: sums of words are sums of numbers, bit by bit, and what is no such sum is refused."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto import blinding, encoding
from federation.crypto.encoding import BadTotal, Packing
from federation.crypto.prg import Keystream
from federation.errors import Misuse

# The bits that the design promises for so many parties: (lanes, bits, parties).
PROMISED = [(1, 31, 100), (2, 22, 1023), (2, 22, 100), (3, 17, 15), (3, 14, 127), (4, 14, 3), (4, 12, 15)]
PROMISED += [(5, 22, 8), (5, 21, 16), (7, 16, 4), (9, 12, 4)]
promised = pytest.mark.parametrize(("lanes", "bits", "parties"), PROMISED)
VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "crypto").glob("packing_*.json"))
ENTROPY = bytes(range(32))
SMALL = 8  # words of a chunk where a test wants many


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 8 words in pieces of at most 12 entries: every boundary within reach of a slow reference."""
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "CHUNK_WORDS", SMALL)
    monkeypatch.setattr(encoding, "_PIECE", 12)


def chunked(total: bytes | memoryview) -> list[bytes | memoryview]:
    size = 8 * encoding.CHUNK_WORDS
    return [total[at : at + size] for at in range(0, len(total), size)]


def packing(length: int, lanes: int = 2, bits: int = 22, parties: int = 100, **others: object) -> Packing:
    return Packing(**{"length": length, "lanes": lanes, "bits": bits, "clip": 2.0, "parties": parties, **others})


def standing_for(numbers: Sequence[int], how: Packing) -> np.ndarray:
    """The float64 entries that the lanes' numbers stand for."""
    return (np.array(numbers, dtype=np.float64) - how.top / 2) / how.scale


def slowly(numbers: Sequence[int], how: Packing, weight: int, clipped: int) -> bytes:
    """The layout by its definition, in Python's integers; numbers may be sums."""
    width = 64 if how.lanes < 5 else 128
    runs = [numbers[start : start + how.lanes] for start in range(0, how.length, how.lanes)]
    payload = [(sum(q << width // how.lanes * lane for lane, q in enumerate(run)), sum(run)) for run in runs]
    payload += [(weight, weight), (clipped, clipped)]
    chunk = encoding.CHUNK_WORDS * 64 // width - 1
    elements: list[int] = []
    for start in range(0, len(payload), chunk):
        part = payload[start : start + chunk]
        elements += [element for element, _ in part] + [sum(held for _, held in part) % 2**width]
    return b"".join(element.to_bytes(width // 8, "little") for element in elements)


def added(vectors: Sequence[bytes], how: Packing) -> bytes:
    """The sum as the protocol forms it."""
    total = np.frombuffer(vectors[0], dtype="<u8").copy()
    for vector in vectors[1:]:
        how.ring.add_into(total, np.frombuffer(vector, dtype="<u8"))
    return total.tobytes()


def nearly(lanes: int) -> list[int]:
    """Numbers of entries around the ends of chunks, of elements and of the vector's trailing elements."""
    payload = SMALL // (1 if lanes < 5 else 2) - 1
    ends = [lanes * words for chunk in (1, 2) for words in range(chunk * payload - 3, chunk * payload + 2)]
    return sorted(length for length in {1, 2, *(end + off for end in ends for off in (-1, 0, 1))} if length > 0)


# --- one vector ------------------------------------------------------------------------------------------------------


@promised
def test_every_length_has_the_layout_of_the_definition(lanes: int, bits: int, parties: int, small_chunks: None) -> None:
    for length in nearly(lanes):
        how = packing(length, lanes, bits, parties, weight_most=9)
        numbers = [(number * 2654435761) % (how.top + 1) for number in range(1, length + 1)]
        encoded = how.encode(standing_for(numbers, how) * 9 / 9, weight=9)
        assert encoded.words == slowly(numbers, how, 9, 0)
        assert len(encoded.words) == how.size_bytes == how.elements * how.ring.element_bytes
        assert how.sums(chunked(encoded.words), 1).tolist() == numbers
        assert how.decode(chunked(encoded.words), 1).weight == 9


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 7, 9])
@pytest.mark.parametrize("words", [-3, -2, -1, 0, 1])
def test_the_layout_holds_around_the_end_of_a_whole_chunk(lanes: int, words: int) -> None:
    for odd in (0, 1):
        how = packing(lanes * (encoding.CHUNK_WORDS // (1 + (lanes > 4)) - 1 + words) - odd, lanes, 12, 4)
        numbers = [number * 77 % 4096 for number in range(how.length)]
        encoded = how.encode(standing_for(numbers, how))
        assert encoded.words == slowly(numbers, how, 1, 0)
        assert how.sums(chunked(encoded.words), 1).tolist() == numbers


@promised
@given(data=st.data())
@settings(max_examples=30)
def test_an_entry_is_rounded_by_at_most_half_a_step(data: st.DataObject, lanes: int, bits: int, parties: int) -> None:
    width = data.draw(st.sampled_from([32, 64]))
    drawn = data.draw(st.lists(st.floats(-2, 2, width=width), min_size=1, max_size=30))
    how = packing(len(drawn), lanes, bits, parties)
    values = np.array(drawn, dtype=f"f{width // 8}")
    found = how.decode(chunked(how.encode(values).words), 1)
    assert (found.clipped, found.weight) == (0, 1)
    # and to float32, which is some 2^-24 of it
    assert np.abs(found.values - values).max() <= 0.5 / how.scale * (1 + 1e-6) + 2 * 2**-24


@promised
def test_rounding_is_that_of_float64_to_the_last_number(lanes: int, bits: int, parties: int) -> None:
    how = packing(20_000, lanes, bits, parties)
    for kind in (np.float32, np.float64):
        values = (np.sin(np.arange(20_000) ** 1.5) * 2).astype(kind)
        expected = [round(float(x) * how.scale + how.top / 2) for x in values]
        assert how.sums(chunked(how.encode(values).words), 1).tolist() == expected
    middle = packing(4, clip=(2**22 - 1) / 2)  # steps of one: the whole numbers are ties, and go to the even neighbour
    assert middle.scale == 1
    assert middle.sums(chunked(middle.encode(np.array([0.0, 1.0, 2.0, -1.0])).words), 1).tolist() == [
        2**21,
        2**21,
        2**21 + 2,
        2**21 - 2,
    ]


# --- sums ------------------------------------------------------------------------------------------------------------


@promised
@given(data=st.data())
@settings(max_examples=15)
def test_sums_are_those_of_python_integers(data: st.DataObject, lanes: int, bits: int, parties: int) -> None:
    contributors = data.draw(st.integers(min(3, parties), min(parties, 100)))
    length = data.draw(st.integers(1, 25))
    weight_most = data.draw(st.integers(1, 10**9))
    how = packing(length, lanes, bits, parties, weight_most=weight_most)
    number = st.one_of(st.sampled_from([0, 1, how.top - 1, how.top]), st.integers(0, how.top))
    seed = data.draw(st.lists(number, min_size=length, max_size=length))
    drawn = [
        [(q * (turn + 1) if turn % 3 else how.top - q) % (how.top + 1) for q in seed] for turn in range(contributors)
    ]
    # A full weight leaves the numbers as they are; what smaller weights do to entries is another test.
    total = added([how.encode(standing_for(numbers, how), weight=weight_most).words for numbers in drawn], how)
    columns = [sum(column) for column in zip(*drawn, strict=True)]
    assert how.sums(chunked(total), contributors).tolist() == columns
    assert total == slowly(columns, how, contributors * weight_most, 0)
    found = how.decode(chunked(total), contributors)
    assert (found.weight, found.clipped) == (contributors * weight_most, 0)
    exact = [(2 * q - contributors * how.top) / (2 * how.scale * contributors) for q in columns]
    assert found.mean.tolist() == np.array(exact).astype(np.float32).tolist()
    assert np.allclose(found.values, np.multiply(exact, contributors), rtol=2**-23, atol=1e-12)


@pytest.mark.parametrize(("lanes", "bits", "parties"), [*PROMISED, (2, 22, 1024), (3, 17, 16), (4, 14, 4), (4, 12, 16)])
def test_a_lane_full_of_all_parties_carries_nothing(lanes: int, bits: int, parties: int, small_chunks: None) -> None:
    length = 3 * SMALL * lanes
    how = packing(length, lanes, bits, parties)
    for pattern in ([how.top], [0], [how.top, 0], [0, 0, how.top]):
        numbers = [pattern[place % len(pattern)] for place in range(length)]
        one = np.frombuffer(how.encode(standing_for(numbers, how)).words, dtype="<u8")
        total = added([one.tobytes()] * parties, how)
        assert how.sums(chunked(total), parties).tolist() == [parties * number for number in numbers]
        assert how.decode(chunked(total), parties).weight == parties


def test_one_party_more_than_fits_is_refused() -> None:
    for lanes, bits, parties in [(2, 22, 1025), (3, 17, 17), (3, 14, 129), (4, 14, 5), (4, 12, 17), (5, 22, 9)]:
        assert parties * (2**bits - 1) >= 2 ** ((64 if lanes < 5 else 128) // lanes)
        with pytest.raises(Misuse, match="do not fit"):
            packing(5, lanes, bits, parties)


@pytest.mark.parametrize("length", [1, 2, 97])
def test_the_mean_is_weighted_by_what_everybody_said(length: int) -> None:
    how = packing(length, weight_most=1000)
    weights = [1, 10, 500, 1000]
    vectors = [np.cos(np.arange(length) * (turn + 1)) for turn in range(len(weights))]
    total = added(
        [how.encode(v.astype(np.float32), weight=w).words for v, w in zip(vectors, weights, strict=True)], how
    )
    found = how.decode(chunked(total), 4)
    assert found.weight == sum(weights)
    exact = np.average(vectors, axis=0, weights=weights)
    half_steps = 4 * 0.5 / how.scale * 1000 / sum(weights)
    assert np.abs(found.mean - exact).max() <= half_steps + 1e-7
    unweighted = packing(length)
    found = unweighted.decode(chunked(added([unweighted.encode(v).words for v in vectors], unweighted)), 4)
    assert np.abs(found.mean - np.mean(vectors, axis=0)).max() <= 0.5 / unweighted.scale * (1 + 1e-6)


# --- clipping --------------------------------------------------------------------------------------------------------


def test_what_is_clipped_is_counted_and_only_the_joint_count_is_in_the_sum() -> None:
    how = packing(5)
    one = how.encode(np.array([3.0, -2.5, 2.0, -2.0, 0.0]))
    two = how.encode(np.array([0, 0, 9e9, 0, 0], dtype=np.float32))
    assert (one.clipped, two.clipped, one.norm_clipped) == (2, 1, False)
    found = how.decode(chunked(added([one.words, two.words], how)), 2)
    assert found.clipped == 3
    assert np.abs(found.values - [2, -2, 4, -2, 0]).max() <= 1 / how.scale


def test_entries_are_clipped_before_the_weight_counts_them() -> None:
    how = packing(2, weight_most=10)
    encoded = how.encode(np.array([8.0, 1.0]), weight=1)
    assert encoded.clipped == 1
    assert np.abs(how.decode(chunked(encoded.words), 1).mean - [2, 1]).max() <= 10 * 0.5 / how.scale * (1 + 1e-6)


@given(drawn=st.lists(st.floats(-100, 100), min_size=1, max_size=20), norm=st.floats(0.1, 50))
def test_a_vector_is_shortened_to_the_norm_and_keeps_its_direction(drawn: list[float], norm: float) -> None:
    how = packing(len(drawn), 1, 31, clip=100.0)
    values = np.array(drawn)
    encoded = how.encode(values, norm=norm)
    length = math.hypot(*drawn)
    expected = values * (norm / length) if length > norm else values
    assert encoded.norm_clipped == (length > norm) or abs(length - norm) < 1e-9
    assert np.abs(how.decode(chunked(encoded.words), 1).values - expected).max() <= 1 / how.scale + 100 * 2**-24
    assert encoded.clipped == 0


def test_the_norm_comes_first_and_then_the_clip() -> None:
    how = packing(3, clip=2.0)
    encoded = how.encode(np.array([30.0, 4.0, 0.0]), norm=math.hypot(30, 4) / 10)
    assert (encoded.norm_clipped, encoded.clipped) == (True, 1)
    assert np.abs(how.decode(chunked(encoded.words), 1).values - [2, 0.4, 0]).max() <= 1 / how.scale


@pytest.mark.parametrize("size", [1e300, 1e-300, 5e-324, 0.0])
def test_numbers_of_any_size_have_a_norm(size: float) -> None:
    encoded = packing(2).encode(np.array([size, size]), norm=1.0)
    assert encoded.norm_clipped == (size > 1)
    assert np.abs(packing(2).decode(chunked(encoded.words), 1).values - (0.5**0.5 if size > 1 else 0)).max() < 1e-6
    assert encoded.clipped == 0


# --- stochastic rounding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lanes", "bits"), [(1, 8), (2, 8), (3, 8), (4, 8), (4, 12), (5, 12)])
def test_stochastic_rounding_has_no_bias(lanes: int, bits: int) -> None:
    length = 140_000  # more than a piece of any packing
    how = packing(length, lanes, bits, 15, stochastic=True)
    shares = []
    for fraction in (0.0, 0.1, 0.5, 0.9):
        values = np.full(length, (100 + fraction - how.top / 2) / how.scale)
        numbers = how.sums(chunked(how.encode(values, entropy=ENTROPY).words), 1).astype(np.int64) - 100
        assert set(np.unique(numbers)) <= {0, 1}
        shares.append(numbers.mean() - fraction)
        assert abs(shares[-1]) <= 5 * math.sqrt(fraction * (1 - fraction) / length) + 1e-9
    assert any(shares), "nothing was drawn"


def test_rounding_to_the_nearest_has_a_bias_that_the_test_above_would_see() -> None:
    how = packing(1000, 4, 8, 15)
    values = np.full(1000, (100.1 - how.top / 2) / how.scale)
    assert how.sums(chunked(how.encode(values).words), 1).mean() == 100, "0.1 of a step is lost in every entry"


@given(drawn=st.lists(st.floats(-3, 3), min_size=1, max_size=20), entropy=st.binary(min_size=32, max_size=32))
def test_stochastic_rounding_never_leaves_the_range_and_errs_by_less_than_a_step(
    drawn: list[float], entropy: bytes
) -> None:
    how = packing(len(drawn), 4, 12, 15, stochastic=True)
    values = np.array([*drawn[:-1], 2.0])
    encoded = how.encode(values, entropy=entropy)
    assert encoded == how.encode(values, entropy=entropy), "a resend is the same bytes"
    found = how.decode(chunked(encoded.words), 1)
    assert np.abs(found.values - np.clip(values, -2, 2)).max() <= 1 / how.scale * (1 + 1e-9)


def test_other_entropy_and_other_places_round_otherwise() -> None:
    how = packing(70_000, 4, 8, 15, stochastic=True)
    values = np.zeros(70_000)
    one, two = (how.sums(chunked(how.encode(values, entropy=e).words), 1) for e in (ENTROPY, bytes(32)))
    assert 0.4 < (one != two).mean() < 0.6
    assert 0.4 < (one[1:] != one[:-1]).mean() < 0.6
    half = len(one) // 2
    assert 0.4 < (one[:half] != one[half : 2 * half]).mean() < 0.6


# --- totals that are none --------------------------------------------------------------------------------------------


def test_two_threads_encode_and_decode_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trailing words and the last check word fall into another run than most entries; every length around a chunk."""
    shrink(monkeypatch)
    monkeypatch.setattr(encoding, "LEAST_WORTH_SPREADING", 2)
    with ThreadPoolExecutor(2) as threads:
        for lanes, bits, parties in PROMISED:
            for length in range(1, 9 * SMALL * lanes):
                how = Packing(length=length, lanes=lanes, bits=bits, clip=1.0, parties=parties)
                values = np.linspace(-1.2, 1.2, length)
                alone = how.encode(values)
                monkeypatch.setattr(blinding, "lent", lambda: threads.map)
                assert how.encode(values) == alone
                together = how.decode(chunked(alone.words), 1)
                monkeypatch.setattr(blinding, "lent", lambda: None)
                assert together.clipped == alone.clipped
                assert np.array_equal(how.decode(chunked(alone.words), 1).mean, together.mean)


@promised
def test_every_flipped_bit_of_a_total_is_caught(lanes: int, bits: int, parties: int, small_chunks: None) -> None:
    how = packing(2 * SMALL * lanes - 1, lanes, bits, parties, weight_most=50)
    vectors = [np.sin(np.arange(how.length) + turn) * 2 for turn in range(3)]
    total = added([how.encode(v, weight=50 - turn).words for turn, v in enumerate(vectors)], how)
    how.decode(chunked(total), 3)
    caught: collections.Counter[str] = collections.Counter()
    for bit in range(8 * len(total)):
        wrong = bytearray(total)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadTotal) as found:
            how.decode(chunked(bytes(wrong)), 3)
        caught[str(found.value)] += 1
    packed = -(-how.length // lanes)
    no_lane = packed * {3: 1, 5: 3, 7: 2, 9: 2}.get(lanes, 0)
    assert caught == collections.Counter(
        {
            "a check element that differs from the sum of its chunk": 8 * how.size_bytes - no_lane,
            **({"a bit that belongs to no lane": no_lane} if no_lane else {}),
        }
    )


def test_a_flipped_bit_anywhere_in_chunks_of_full_size_is_caught() -> None:
    how = packing(150_000, 3, 14, 100)
    total = how.encode(np.sin(np.arange(150_000))).words
    for bit in range(0, 8 * len(total), 8 * len(total) // 300 + 1):
        wrong = bytearray(total)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadTotal):
            how.decode(chunked(bytes(wrong)), 1)


@promised
def test_a_party_that_sends_too_much_with_a_fitting_check_word_is_caught_by_the_range(
    lanes: int, bits: int, parties: int
) -> None:
    how = packing(5, lanes, bits, parties)
    high = [how.top] * 5
    fair = slowly(high, how, 1, 0)
    caught = 0
    for place in range(5):
        lying = slowly([number + (at == place) for at, number in enumerate(high)], how, 1, 0)
        with pytest.raises(BadTotal, match="larger than all contributors"):
            how.decode(chunked(added([fair, fair, lying], how)), 3)
        caught += 1
    assert caught == 5
    how.decode(chunked(added([fair, fair, fair], how)), 3)


def test_weights_and_counts_that_nobody_can_have_are_caught() -> None:
    how = packing(5, weight_most=10)
    for weight, clipped, text in [
        (31, 0, "sum of weights"),
        (2, 0, "sum of weights"),
        (2**64 - 1, 0, "sum of weights"),
        (3, 16, "more clipped"),
    ]:
        with pytest.raises(BadTotal, match=text):
            how.decode(chunked(slowly([7] * 5, how, weight, clipped)), 3)
    assert how.decode(chunked(slowly([7] * 5, how, 30, 15)), 3).clipped == 15


@pytest.mark.parametrize("lanes", [2, 3, 4, 5, 7, 9])
def test_a_number_in_a_lane_that_holds_none_is_caught(lanes: int) -> None:
    how = packing(lanes + 1, lanes, 12, 4)
    longer = dataclasses.replace(how, length=2 * lanes)
    with pytest.raises(BadTotal, match="holds none"):
        how.decode(chunked(slowly([1] * (2 * lanes), longer, 1, 0)), 1)


def test_noise_is_never_a_total() -> None:
    """What is left where masks do not cancel: uniform words."""
    refused = 0
    for number, (lanes, bits, parties) in enumerate(PROMISED * 30):
        how = packing(50, lanes, bits, parties)
        noise = Keystream(number.to_bytes(32, "big")).words(how.size_bytes).tobytes()
        with pytest.raises(BadTotal):
            how.decode(chunked(noise), 3)
        refused += 1
    assert refused == 30 * len(PROMISED)


@pytest.mark.parametrize("change", [-8, -1, 1, 8])
def test_a_total_of_another_length_is_refused(change: int) -> None:
    how = packing(5)
    words = how.encode(np.zeros(5)).words
    with pytest.raises(BadTotal, match="bytes"):
        how.decode(chunked((bytes(words) + bytes(8))[: len(words) + change]), 1)


@pytest.mark.parametrize("contributors", [0, -1, 101])
def test_the_contributors_are_some_and_not_too_many(contributors: int) -> None:
    with pytest.raises(Misuse, match="contributors"):
        packing(5).decode(chunked(packing(5).encode(np.zeros(5)).words), contributors)


@pytest.mark.parametrize("unchecked", ["check word", "bit of no lane"])
def test_the_planted_fault_of_a_decoder_that_checks_less_is_caught(
    unchecked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch)
    honest = Packing._read

    def lax(self: Packing, block: np.ndarray, place: int, *rest: object) -> object:
        block = block.copy()
        _, data = self._within(block, place)
        if unchecked == "check word":
            held = int(encoding.unpack(block[:data], self.lanes).sum(dtype=np.uint64))
            block[-1] = (held + sum(map(int, block[data:-1]))) % 2**64
        else:
            block[:data] &= np.uint64(2**63 - 1)
        return honest(self, block, place, *rest)

    monkeypatch.setattr(Packing, "_read", lax)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_every_flipped_bit_of_a_total_is_caught(3, 14, 127, None)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 3, 65_000, 69_999])
@pytest.mark.parametrize("norm", [None, 1.0])
def test_a_number_that_is_not_finite_is_misuse_and_never_quoted(
    kind: type, bad: float, place: int, norm: float | None
) -> None:
    values = np.zeros(70_000, dtype=kind)
    values[place] = bad
    with pytest.raises(Misuse, match="not finite") as caught:
        packing(70_000).encode(values, norm=norm)
    assert "nan" not in str(caught.value)
    assert "inf " not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [np.zeros(4), np.zeros((5, 1)), np.zeros(5, dtype=np.float16), np.zeros(5, dtype=np.int64), np.zeros(5, ">f4")],
    ids=["shorter", "a column", "float16", "integers", "big-endian"],
)
def test_values_of_another_form_are_misuse(values: np.ndarray) -> None:
    with pytest.raises(Misuse, match="expected"):
        packing(5).encode(values)


def test_weights_norms_and_entropy_of_another_form_are_misuse() -> None:
    how, zeros = packing(5, weight_most=3), np.zeros(5)
    for weight in (0, -1, 4):
        with pytest.raises(Misuse, match="weight"):
            how.encode(zeros, weight=weight)
    for norm in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(Misuse, match="norm"):
            how.encode(zeros, norm=norm)
    with pytest.raises(Misuse, match="entropy"):
        how.encode(zeros, entropy=ENTROPY)
    for entropy in (b"", bytes(31)):
        with pytest.raises(Misuse, match="entropy"):
            packing(5, stochastic=True).encode(zeros, entropy=entropy)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"lanes": 0},
        {"lanes": 6},
        {"lanes": 10},
        {"bits": 1},
        {"bits": 32, "lanes": 1},
        {"clip": 0.0},
        {"clip": -1.0},
        {"clip": math.inf},
        {"clip": math.nan},
        {"clip": 5e-324},
        {"clip": 1.7e308},
        {"parties": 0},
        {"weight_most": 0},
        {"weight_most": 2**62},
    ],
    ids=str,
)
def test_a_packing_without_meaning_is_misuse(change: dict[str, object]) -> None:
    with pytest.raises(Misuse):
        packing(**{"length": 5, **change})


@pytest.mark.parametrize(
    ("parties", "bits", "lanes"),
    [
        (1023, 22, 2),
        (100, 22, 2),
        (15, 17, 3),
        (127, 14, 3),
        (3, 22, 5),
        (8, 22, 5),
        (9, 22, 2),
        (16, 21, 5),
        (3, 14, 4),
        (3, 16, 7),
        (4, 12, 9),
        (5, 12, 4),
        (15, 12, 4),
        (16, 12, 4),
        (17, 12, 7),
        (65, 12, 3),
        (5000, 31, 1),
    ],
)
def test_the_standard_packing_takes_the_fewest_bytes(parties: int, bits: int, lanes: int) -> None:
    how = Packing.standard(10, parties, bits, clip=1.0, weight_most=7, stochastic=True)
    assert how == Packing(length=10, lanes=lanes, bits=bits, clip=1.0, parties=parties, weight_most=7, stochastic=True)
    denser = 0
    for other in {1, 2, 3, 4, 5, 7, 9} - {lanes}:
        if other / (1 if other < 5 else 2) > lanes / (1 if lanes < 5 else 2):
            denser += 1
            with pytest.raises(Misuse):
                dataclasses.replace(how, lanes=other)
    assert denser == [9, 4, 7, 3, 5, 2, 1].index(lanes)


def test_the_digest_says_every_parameter() -> None:
    how = packing(5)
    others = [
        {"length": 6},
        {"lanes": 1},
        {"bits": 21},
        {"clip": 2.5},
        {"parties": 99},
        {"weight_most": 2},
        {"stochastic": True},
    ]
    digests = {how.digest, *(dataclasses.replace(how, **other).digest for other in others)}
    assert len(digests) == len(others) + 1 == len(dataclasses.fields(how)) + 1
    assert {len(digest) for digest in digests} == {32}
    assert packing(5).digest == how.digest


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_words_and_digest_are_those_of_the_vector(path: Path) -> None:
    """What was encoded by one release is decoded by the next: another layout is another label."""
    vector = json.loads(path.read_text())
    how, weights = Packing(**vector["packing"]), vector["weights"]
    words = [
        how.encode(np.array(values), weight=weight, norm=vector["norm"], entropy=bytes.fromhex(vector["entropy"])).words
        for values, weight in zip(vector["values"], weights, strict=True)
    ]
    assert [one.hex() for one in words] == vector["words"]
    assert how.digest.hex() == vector["digest"]
    found = how.decode(chunked(added(words, how)), len(words))
    assert (found.weight, found.clipped) == (sum(weights), vector["clipped"])
    assert how.sums(chunked(added(words, how)), len(words)).tolist() == vector["sums"]
