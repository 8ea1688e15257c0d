"""Masks put on in chunks, by runs, in threads: always what one stream at a time gives in Python's integers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from federation.crypto import blinding, ring
from federation.crypto.blinding import CHUNK_WORDS, blind, blinded_sum
from federation.crypto.prg import Keystream
from federation.crypto.ring import CHUNK_BYTES, Ring
from federation.errors import Misuse

SEEDS = [bytes([number]) * 32 for number in range(6)]
both_rings = pytest.mark.parametrize("kind", ring.RINGS.values(), ids=lambda kind: kind.name)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    """Threads that are lent to every vector, however short."""
    monkeypatch.setattr(blinding, "LEAST_WORTH_SPREADING", 0)
    with ThreadPoolExecutor(4) as threads:
        yield threads


def filled(length: int) -> NDArray[np.uint64]:
    """Words that carry into each other as soon as something is added."""
    words = np.full(length, 2**64 - 1, dtype="<u8")
    words[::3] = np.arange(len(words[::3]), dtype="<u8")
    return words


def slowly(words: NDArray[np.uint64], kind: Ring, add: list[bytes], subtract: list[bytes]) -> bytes:
    """One stream at a time from its first byte, element by element in Python's integers."""
    size, data = kind.element_bytes, words.tobytes()
    total = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    for sign, seeds in ((1, add), (-1, subtract)):
        for seed in seeds:
            stream = Keystream(seed)
            whole = b"".join(
                stream.words(min(CHUNK_BYTES, len(data) - at)).tobytes() for at in range(0, len(data), CHUNK_BYTES)
            )
            for place in range(len(total)):
                total[place] += sign * int.from_bytes(whole[place * size : (place + 1) * size], "little")
    return b"".join((number % (1 << 8 * size)).to_bytes(size, "little") for number in total)


def same(words: NDArray[np.uint64], data: bytes) -> bool:
    """Compared out of an assert's sight: pytest would take minutes to print how megabytes differ."""
    return words.tobytes() == data


def lengths(kind: Ring) -> list[int]:
    """Numbers of words around every boundary."""
    one = kind.element_bytes // 8
    return [0, one, CHUNK_WORDS - one, CHUNK_WORDS, CHUNK_WORDS + one, 3 * CHUNK_WORDS - one, 3 * CHUNK_WORDS + one]


@both_rings
@pytest.mark.parametrize("boundary", range(7))
def test_any_cut_and_any_number_of_threads_equal_the_slow_path(
    kind: Ring, boundary: int, pool: ThreadPoolExecutor
) -> None:
    length = lengths(kind)[boundary]
    expected = slowly(filled(length), kind, SEEDS[:2], SEEDS[2:4])
    leaves = [hashlib.sha256(expected[at : at + CHUNK_BYTES]).digest() for at in range(0, len(expected), CHUNK_BYTES)]
    for threads in (None, 1, 2, 3, 4, 7):
        for spread in (None, map, pool.map):
            words = filled(length)
            found = blind(
                words,
                kind,
                add=SEEDS[:2],
                subtract=SEEDS[2:4],
                finish=lambda chunk: hashlib.sha256(chunk).digest(),
                threads=threads,
                spread=spread,
            )
            assert same(words, expected)
            assert found == leaves


@both_rings
@given(added=st.lists(st.sampled_from(SEEDS), max_size=5), subtracted=st.lists(st.sampled_from(SEEDS), max_size=5))
def test_any_seeds_equal_the_slow_path(kind: Ring, added: list[bytes], subtracted: list[bytes]) -> None:
    words = filled(10)
    expected = slowly(words, kind, added, subtracted)
    assert blind(words, kind, add=added, subtract=subtracted) == []
    assert same(words, expected)


@both_rings
def test_three_hundred_masks_cancel(kind: Ring) -> None:
    seeds = [number.to_bytes(32, "big") for number in range(300)]
    words = filled(CHUNK_WORDS + 2)
    blind(words, kind, add=seeds)
    assert not same(words, filled(len(words)).tobytes())
    blind(words, kind, subtract=seeds[::-1])
    assert same(words, filled(len(words)).tobytes())


def test_the_runs_follow_each_other_and_are_of_nearly_equal_length() -> None:
    for chunks in range(20):
        for most in range(1, 9):
            runs = blinding._cut(range(chunks), most)
            assert [place for run in runs for place in run] == list(range(chunks))
            assert len(runs) == min(chunks, most)
            assert not runs or max(map(len, runs)) - min(map(len, runs)) <= 1


def test_a_short_vector_is_never_handed_over() -> None:
    asked = []

    def recorded(work: object, runs: object) -> list[None]:
        asked.append(runs)
        return list(map(work, runs))  # type: ignore[call-overload]

    blind(filled(2 * CHUNK_WORDS), ring.Z64, add=SEEDS[:2], spread=recorded)
    blind(filled(8 * CHUNK_WORDS), ring.Z64, add=SEEDS[:2], spread=recorded)
    assert asked == [[], [range(4, 8)]], "the first run is the caller's"


def test_threads_work_at_the_same_time(pool: ThreadPoolExecutor) -> None:
    """The first chunk of each run waits for that of the other: were they done in turn, the barrier would break."""
    together = threading.Barrier(2, timeout=30)
    seen = blind(
        filled(2 * CHUNK_WORDS), ring.Z64, add=SEEDS[:1], finish=lambda _: together.wait(), threads=2, spread=pool.map
    )
    assert sorted(seen) == [0, 1]


@pytest.mark.parametrize("failing", [0, 3])
def test_what_fails_in_a_thread_surfaces_after_all_runs_have_ended(pool: ThreadPoolExecutor, failing: int) -> None:
    first, ended = filled(1).tobytes(), []
    words = filled(4 * CHUNK_WORDS)
    words[failing * CHUNK_WORDS] = 77

    def finish(chunk: memoryview) -> None:
        ended.append(len(chunk))
        if int.from_bytes(chunk[:8], "little") == 77:
            raise OSError("planted")

    with pytest.raises(OSError, match="planted"):
        blind(words, ring.Z64, finish=finish, threads=4, spread=pool.map)
    assert len(ended) == 4
    assert list(pool.map(abs, [-1, -2])) == [1, 2], "the pool is as good as before"
    assert first == filled(1).tobytes()


def test_what_finish_gets_cannot_be_written() -> None:
    flags = blind(filled(2), ring.Z64, add=SEEDS[:1], finish=lambda chunk: (chunk.readonly, chunk.format, len(chunk)))
    assert flags == [(True, "B", 16)]


@both_rings
def test_a_sum_is_that_of_its_terms_and_streams(kind: Ring, pool: ThreadPoolExecutor) -> None:
    length = 3 * CHUNK_WORDS + 6
    data = filled(length)[::-1].tobytes()
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    total = np.zeros(length, dtype="<u8")
    for _ in range(3):
        kind.add_into(total, np.frombuffer(data, dtype="<u8"))
    expected = slowly(total, kind, SEEDS[3:4], SEEDS[:2])
    for threads in (1, 2, 3, 4):
        chunks = blinded_sum(
            [pieces] * 3, kind, add=SEEDS[3:4], subtract=SEEDS[:2], finish=bytes, threads=threads, spread=pool.map
        )
        assert same(np.frombuffer(b"".join(chunks), "<u8"), expected)
    assert b"".join(pieces) == data, "no term was written into"


def test_terms_of_another_length_are_never_spread_over_a_chunk() -> None:
    whole = filled(CHUNK_WORDS + 4).tobytes()
    right = [whole[:CHUNK_BYTES], whole[CHUNK_BYTES:]]
    for pieces in (
        [],
        [whole],
        [whole[:CHUNK_BYTES]],
        [whole[:CHUNK_BYTES], whole[:8]],
        [whole[:8], whole[CHUNK_BYTES:]],
        [whole[:CHUNK_BYTES], whole[CHUNK_BYTES:], b""],
    ):
        with pytest.raises(Misuse, match="terms"):
            blinded_sum([right, pieces], ring.Z64, finish=bytes)
    with pytest.raises(Misuse, match="terms"):
        blinded_sum([], ring.Z64, finish=bytes)
    with pytest.raises(Misuse, match="whole number"):
        blinded_sum([[bytes(24)]], ring.Z128, finish=bytes)


def test_what_is_lent_is_used_until_it_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members in one process: the second leaves and closes its pool, the first one's is used again."""
    monkeypatch.setattr(blinding, "_LENT", [])
    monkeypatch.setattr(blinding, "LEAST_WORTH_SPREADING", 0)

    def masked() -> tuple[bytes, list[str]]:
        words = filled(2 * CHUNK_WORDS)
        where = blind(words, ring.Z64, add=SEEDS[:1], finish=lambda _: threading.current_thread().name)
        return words.tobytes(), where

    alone, here = masked()
    with ThreadPoolExecutor(2, thread_name_prefix="first") as first:
        back = blinding.lend(first.map)
        with ThreadPoolExecutor(2, thread_name_prefix="second") as second:
            blinding.lend(second.map)()
            again = blinding.lend(second.map)
            lent, there = masked()
            again()
        still, elsewhere = masked()
        back()
        back()
    assert alone == lent == still == masked()[0]
    assert {name.split("_")[0] for name in here} == {threading.current_thread().name}
    assert {name.split("_")[0] for name in there} == {threading.current_thread().name, "second"}
    assert {name.split("_")[0] for name in elsewhere} == {threading.current_thread().name, "first"}
    assert blinding.lent() is None


def test_words_that_cannot_be_written_and_seeds_of_another_length_are_misuse() -> None:
    with pytest.raises(Misuse, match="can be written"):
        blind(np.frombuffer(bytes(16), dtype="<u8"), ring.Z64, add=SEEDS[:1])
    with pytest.raises(Misuse, match="at least one thread"):
        blind(filled(2), ring.Z64, threads=0)
    with pytest.raises(Misuse, match="flat"):
        blind(filled(4).reshape(2, 2), ring.Z128)
    with pytest.raises(Misuse, match="whole number"):
        blind(filled(3), ring.Z128)
    words = filled(4)
    for name in ("add", "subtract"):
        with pytest.raises(Misuse, match="32 bytes"):
            blind(words, ring.Z64, **{name: [SEEDS[0], b"short"]})
    assert same(words, filled(4).tobytes()), "refused before anything is written"


def test_the_planted_fault_of_entering_a_stream_at_the_wrong_chunk_is_caught(
    monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    monkeypatch.setattr(blinding, "Keystream", lambda seed, _start, buffer: Keystream(seed, 0, buffer=buffer))
    with pytest.raises(AssertionError):
        test_any_cut_and_any_number_of_threads_equal_the_slow_path(ring.Z64, 5, pool)
