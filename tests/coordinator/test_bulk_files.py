"""Long bytes in files: found whole or not at all, never written over while somebody looks, and not in memory."""

from __future__ import annotations

import errno
import os
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.coordinator import bulk_files
from federation.coordinator.bulk_files import DiskSpool, Resting
from federation.coordinator.spool import MemorySpool, Parts
from federation.crypto.blinding import blinded_sum
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import CHUNK_BYTES, Z64
from federation.errors import Unavailable
from federation.protocols.setup import root_of

JOB, OTHER = b"j" * 32, b"o" * 32
LONG = CHUNK_BYTES


class Killed(BaseException):
    """The process is gone at this very system call."""


def vector(number: int, chunks: int = 3) -> tuple[bytes, ...]:
    """A vector of whole chunks and a rest."""
    return (*(bytes([number + place]) * LONG for place in range(chunks)), bytes([number]) * 70_008)


def came(spool: DiskSpool, parts: Sequence[bytes]) -> Parts:
    """What an upload leaves."""
    arriving = spool.arriving()
    for part in parts:
        arriving.add([part])
    return arriving.whole()


def digest(number: int) -> bytes:
    return bytes([number]) * 32


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


# --- what is written is what is read ---------------------------------------------------------------------------------


SIZES = st.sampled_from([0, 1, 70, 65_535, 65_536, 100_001, LONG, 2 * LONG + 1])


@given(pieces=st.lists(st.lists(SIZES, max_size=4), max_size=4))
def test_parts_come_back_as_they_came_by_place_in_order_and_in_slices(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[int]]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bulk_files, "WINDOW_BYTES", LONG)
        patched.setattr(bulk_files, "RUN_BYTES", LONG + 4096)
        came_back(DiskSpool(tmp_path_factory.mktemp("spool")), pieces)


def came_back(spool: DiskSpool, pieces: list[list[int]]) -> None:
    arriving = spool.arriving()
    expected: list[bytes] = []
    for piece in pieces:
        parts = [os.urandom(min(size, 64)) * (size // 64 + 1) for size in piece]
        parts = [part[:size] for part, size in zip(parts, piece, strict=True)]
        arriving.add(parts)
        expected += parts
    found = arriving.whole()
    assert len(found) == len(expected)
    assert list(found) == expected
    assert [found[place] for place in reversed(range(len(found)))] == expected[::-1]
    assert tuple(found[1:-1]) == tuple(expected[1:-1])
    assert all(isinstance(one, bytes) == (len(one) < 65_536) for one in found)
    assert isinstance(found, Resting)
    assert found.leaves == tuple(map(chunk_hash, expected))
    assert root_of(found) == root_of(expected)
    spool.keep(JOB, "macao", digest(1), found)
    again = DiskSpool(spool._folder).found(JOB, "macao", digest(1))
    assert again is not None
    assert list(again) == expected
    assert root_of(again) == root_of(expected)
    with pytest.raises(IndexError):
        found[len(found)]


def test_what_is_short_stays_in_memory_and_so_does_everything_without_a_disk(tmp_path: Path) -> None:
    spool, parts = DiskSpool(tmp_path), vector(1, 12)
    assert spool.rested(parts[:2]) is not None
    assert spool.rested(parts[:2]) == parts[:2]
    rested = spool.rested(parts)
    assert isinstance(rested, Resting)
    assert tuple(rested) == parts
    assert spool.rested(rested) is rested, "once is enough"
    assert MemorySpool().rested(parts) is parts


def test_two_threads_of_a_sum_and_its_readers_hold_no_more_than_some_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: whoever makes a tuple of a vector first has all of it mapped."""
    monkeypatch.setattr(bulk_files, "WINDOW_BYTES", 4 * LONG)
    monkeypatch.setattr(bulk_files, "RUN_BYTES", 4 * LONG)
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0
    mapped = bulk_files._File.mapped

    def counted(self: Any, start: int, end: int) -> memoryview:
        nonlocal most
        view = mapped(self, start, end)
        alive.add(view.obj)
        most = max(most, sum(len(one) for one in alive))
        return view

    monkeypatch.setattr(bulk_files._File, "mapped", counted)
    spool = DiskSpool(tmp_path)
    vectors = [vector(number, 40)[:-1] for number in (1, 50, 100)]
    resting = [came(spool, one) for one in vectors]
    expected = blinded_sum(vectors, Z64, finish=bytes)
    assert blinded_sum(resting, Z64, finish=bytes) == expected
    assert most <= (2 * 3 + 1) * 4 * LONG
    assert blinded_sum([tuple(one) for one in resting], Z64, finish=bytes) == expected
    assert most >= 3 * 40 * LONG


# --- death at every write --------------------------------------------------------------------------------------------


def dies_at(stop: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process die at its system call number `stop`; a write that is cut short is none of that."""
    calls = 0

    def counted(real: Any, *, short: bool = False) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > stop:
                raise Killed
            if short:
                file, parts, at = arguments
                return real(file, [parts[0][:100_000]], at)
            return real(*arguments)

        return call

    patch.setattr(os, "pwritev", counted(os.pwritev, short=True))
    patch.setattr(os, "ftruncate", counted(os.ftruncate))
    patch.setattr(Path, "rename", counted(Path.rename))
    patch.setattr(Path, "unlink", lambda *_: None)  # a dead process tidies nothing up


def survivors(folder: Path) -> tuple[int, ...]:
    """The messages that the next start finds, and every one of them whole."""
    spool = DiskSpool(folder)
    found = []
    for number in range(1, 9):
        parts = spool.found(JOB, "macao", digest(number))
        if parts is not None:
            assert tuple(parts) == vector(number), "a message with other bytes"
            found.append(number)
    assert not names(folder, "spool-*")
    return tuple(found)


@pytest.mark.parametrize("before", [0, 1, 2, 3, 4])
def test_a_process_killed_at_any_write_leaves_the_earlier_messages_or_the_new_one(tmp_path: Path, before: int) -> None:
    endings: Counter[str] = Counter()
    for stop in range(60):
        folder = tmp_path / str(stop)
        folder.mkdir()
        spool = DiskSpool(folder)
        for number in range(1, before + 1):
            spool.keep(JOB, "macao", digest(number), came(spool, vector(number)))
        earlier = tuple(range(max(1, before - 1), before + 1))
        with pytest.MonkeyPatch.context() as patched:
            dies_at(stop, patched)
            try:
                spool.keep(JOB, "macao", digest(before + 1), came(spool, vector(before + 1)))
            except Killed:
                ending = "killed"
            else:
                ending = "kept"
            endings[ending] += 1
            spool._closed = True  # nothing of this process tidies up later on
        found = survivors(folder)
        # Who is killed between the last write and its return has kept it; nobody was told, and it comes again.
        assert found in (earlier, (*earlier, before + 1)[-2:])
        if ending == "kept":
            assert found == (*earlier, before + 1)[-2:]
            break
    assert endings["kept"] == 1
    assert endings["killed"] > 5


def test_a_name_before_the_trailer_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a file whose trailer is whole already when only half of its parts are there."""
    spool = DiskSpool(tmp_path)
    for number in (1, 2):
        spool.keep(JOB, "macao", digest(number), came(spool, vector(number)))
    half = came(spool, (*vector(3)[:2], bytes(LONG), vector(3)[3]))  # the third chunk is still on its way
    spool.keep(JOB, "macao", digest(3), half)
    spool._closed = True
    with pytest.raises(AssertionError, match="other bytes"):
        survivors(tmp_path)


def test_what_a_dead_process_left_of_half_a_message_is_removed(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    spool.keep(JOB, "macao", digest(1), came(spool, vector(1)))
    kept = tmp_path / names(tmp_path, "bulk-*")[0]
    whole = kept.read_bytes()
    for cut in (0, 1, 17, 65, 66, 100, LONG, len(whole) - 1):
        kept.write_bytes(whole[:cut])
        assert survivors(tmp_path) == ()
        assert not names(tmp_path)
    for other in (whole[:-1] + b"?", whole + whole[-66:], bytes(len(whole))):
        kept.write_bytes(other)
        assert survivors(tmp_path) == ()
    kept.write_bytes(whole)
    (tmp_path / "spool-left").write_bytes(whole)
    (tmp_path / f"bulk-{JOB.hex()}-macao").write_bytes(whole)  # as an earlier version named it
    assert survivors(tmp_path) == (1,)
    assert names(tmp_path) == [kept.name]


# --- written over, but not under anybody's eyes ----------------------------------------------------------------------


def rounds(spool: DiskSpool, numbers: Sequence[int], parties: Sequence[str] = ("hongkong", "macao")) -> None:
    for number in numbers:
        for party in parties:
            spool.keep(JOB, party, digest(number), came(spool, vector(number)))


def test_files_are_written_over_and_a_party_has_three(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    rounds(spool, range(1, 4))
    inodes = {path.stat().st_ino for path in tmp_path.iterdir()}
    rounds(spool, range(4, 8))
    assert {path.stat().st_ino for path in tmp_path.iterdir()} == inodes
    assert len(inodes) <= 6
    assert survivors(tmp_path) == (6, 7)


@pytest.mark.parametrize("fault", [False, True])
def test_bytes_that_somebody_looks_at_stay_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: bool
) -> None:
    """A total, or a chunk of it on its way out, outlives the messages that come after; the planted fault forgets it."""
    spool = DiskSpool(tmp_path)
    if fault:
        mapped = bulk_files._File.mapped

        def forgotten(self: Any, start: int, end: int) -> memoryview:
            view = mapped(self, start, end)
            del view.obj.file
            return view

        monkeypatch.setattr(bulk_files._File, "mapped", forgotten)
    rounds(spool, [1])
    held = spool.found(JOB, "macao", digest(1))
    assert held is not None
    sample = held[1]
    del held
    rounds(spool, range(2, 6))
    assert (bytes(sample) == vector(1)[1]) is not fault


def test_what_was_never_kept_is_removed_and_what_a_job_had_with_it(tmp_path: Path) -> None:
    """A stranger's bytes do not stay on the disk, whether all of them came or not; nor do those of a job that ended."""
    spool = DiskSpool(tmp_path)
    unfinished = spool.arriving()
    unfinished.add(vector(1))
    whole = came(spool, vector(2))
    assert len(names(tmp_path)) == 2
    del unfinished, whole
    assert names(tmp_path) == []
    rounds(spool, range(1, 5))
    held = spool.found(JOB, "macao", digest(4))
    assert held is not None
    spool.drop(JOB, ("hongkong", "macao", "nobody"))
    assert spool.found(JOB, "macao", digest(4)) is None
    assert tuple(held) == vector(4), "who still reads it may"
    del held
    assert names(tmp_path) == []


def test_a_closed_spool_leaves_what_is_kept_and_nothing_else(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path)
    rounds(spool, range(1, 5))
    total = spool.rested(vector(9, 12))
    spool.close()
    del total
    assert len(names(tmp_path)) == 4
    assert not names(tmp_path, "spool-*")
    assert survivors(tmp_path) == (3, 4)


def test_a_full_disk_is_told_and_a_total_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, parts = DiskSpool(tmp_path), vector(1, 12)
    ready = came(spool, parts)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwritev", full)
    arriving = spool.arriving()
    with pytest.raises(Unavailable, match="No space left"):
        arriving.add(parts)
    with pytest.raises(Unavailable, match="No space left"):
        spool.keep(JOB, "macao", digest(1), ready)
    assert spool.rested(parts) is parts
    assert tuple(ready) == parts
    del arriving, ready
    assert names(tmp_path) == []
