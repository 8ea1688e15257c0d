"""Long bytes are replaced whole: killed anywhere, what was written before or what is written now is read back.

That pages are the right ones is judged by whoever reads: `test_sealed` and `test_store` tear files in the middle.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from federation.errors import Unavailable
from federation.identity import long_file

OLD = (b"about the old", b"o" * 5000)
NEW = (b"about the new one", b"n" * 3000, b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "course"


def files(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir())


def read(path: Path) -> tuple[bytes, ...] | None:
    return next(long_file.read_each(path), None)


def test_what_was_written_last_is_read_in_its_parts(path: Path) -> None:
    assert read(path) is None
    for turn in range(5):
        parts = (bytes([turn]) * 10_000 * (5 - turn), b"", memoryview(b"%d" % turn))
        long_file.write(path, parts)
        assert read(path) == tuple(map(bytes, parts))
    assert len(files(path)) == 2
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files(path))


def test_arrays_of_other_types_are_written_as_bytes(path: Path) -> None:
    np = pytest.importorskip("numpy")
    long_file.write(path, [np.arange(4, dtype="<f4").data])
    assert read(path) == (np.arange(4, dtype="<f4").tobytes(),)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_writer_killed_at_any_call_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Every system call of the write, and within it every short write, is once the last one."""
    endings: Counter[str] = Counter()
    pwrite, ftruncate = os.pwrite, os.ftruncate
    for stop in range(60):
        for file in files(path):
            file.unlink()
        for turn in range(before):
            long_file.write(path, (b"%d" % turn, *OLD))
        expected = read(path)
        calls = 0

        def counted(real: Any, stop: int = stop) -> Any:
            def call(*arguments: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls > stop:
                    raise Killed
                if real is pwrite:  # short writes are allowed
                    file, data, at = arguments
                    return real(file, data[:700], at)
                return real(*arguments)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", counted(pwrite))
            patched.setattr(os, "ftruncate", counted(ftruncate))
            try:
                long_file.write(path, NEW)
            except Killed:
                found = read(path)
                assert found == expected
                endings["killed"] += 1
            else:
                assert read(path) == NEW
                endings["written"] += 1
                break
    assert endings["written"] == 1
    assert endings["killed"] > 5


def test_the_last_two_are_read_the_newest_first(path: Path) -> None:
    for parts in (OLD, NEW, OLD, NEW):
        long_file.write(path, parts)
    assert list(long_file.read_each(path)) == [NEW, OLD]
    newest = max(files(path), key=long_file._number)
    newest.write_bytes(newest.read_bytes()[:-9])
    assert list(long_file.read_each(path)) == [OLD]


def test_a_head_written_first_would_be_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a writer that begins with a head that counts, and is killed after it."""
    long_file.write(path, OLD)
    long_file.write(path, NEW)
    real, calls = os.pwrite, []

    def hasty(file: int, data: bytes, at: int) -> int:
        calls.append(at)
        if len(calls) > 1:
            raise Killed
        return real(file, long_file._HEAD.pack(long_file._MARK, 99, len(OLD)), at)

    monkeypatch.setattr(os, "pwrite", hasty)
    with pytest.raises(Killed):
        long_file.write(path, (b"about the new", b"x" * 5000))
    assert list(long_file.read_each(path)) != [NEW], "what was to be written over counts as the newest"


@pytest.mark.parametrize("keep", [0, 1, 17, 40, 66, 80, 200])
def test_a_file_that_is_cut_is_none(path: Path, keep: int) -> None:
    long_file.write(path, OLD)
    path.write_bytes(path.read_bytes()[:keep])
    assert read(path) is None
    long_file.write(path, NEW)
    assert read(path) == NEW


def test_a_file_of_something_else_is_none_and_more_parts_than_allowed_are_not_read(path: Path) -> None:
    path.write_bytes(b"something else" * 100)
    assert read(path) is None
    path.write_bytes(long_file._HEAD.pack(long_file._MARK, 1, 2**40))
    assert read(path) is None


def test_what_is_erased_is_gone_and_was_overwritten(path: Path) -> None:
    long_file.write(path, OLD)
    long_file.write(path, NEW)
    kept = path.with_name("link")
    os.link(path, kept)
    long_file.erase(path)
    assert files(path) == [kept]
    assert not any(kept.read_bytes())
    long_file.erase(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    path.symlink_to(elsewhere)
    with pytest.raises(Unavailable):
        long_file.write(path, OLD)
    assert elsewhere.read_bytes() == b"mine"
