"""Long bytes that came, or are to go out, in files: written piece by piece, mapped part by part while they are used.

A vector is nobody's memory but the system's, which may take its pages away at any time. A file is found again only
once it has its trailer and its name, in this order; until then it is `spool-...`, and the next start removes it: what
is half there is never taken for anything. Each party's last two messages of a job keep their files. A file that nobody
uses any more, no view of it included, is written over in its place, which costs a fifth of a new one. Nothing is
flushed: a power cut may leave a torn file, which its reader tells by the root that its party signed.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import secrets
import struct
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, cast, overload

from federation.coordinator.spool import Arriving, Parts
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import Chunk
from federation.errors import Unavailable
from federation.wire.bulk import INLINE_BYTES
from federation.wire.pieces import LEAST_VIEW

WINDOW_BYTES: Final = 2 << 20  # of a file, mapped at once where parts are asked for one by one
RUN_BYTES: Final = 4 << 20  # the same where all are, one after another; a mapping takes a file descriptor
RELIEVED_BYTES: Final = 64 << 20  # that left the memory: below, clearing fresh pages costs more than they are worth
MOST_FREE: Final = 32  # files that wait to be written over
KEPT: Final = 2  # messages of each party in a job
_TRAILER: Final = struct.Struct(">32sQQ18s")  # digest of the message, bytes of all parts, how many, mark
_MARK: Final = b"federation/bulk/v5"
_SIZE: Final = struct.Struct(">Q")
_KEPT_NAME: Final = re.compile(r"bulk-([0-9a-f]{64})-(.+)\.([0-9]{1,18})")


class _File:
    """One file, for as long as anybody uses it; then it is written over, or removed.

    Attributes:
        digest: of the message that it is kept for, b"" for none.
        number: of that message among its party's, from 1.
        lasting: whether it is worth writing over: a file that only a stranger filled is not.
    """

    def __init__(self, pool: DiskSpool, path: Path) -> None:
        self.path, self.pool = path, pool
        self.digest, self.number, self.lasting = b"", 0, False

    def __del__(self) -> None:
        self.pool.let_go(self.path, lasting=self.lasting)

    def mapped(self, start: int, end: int) -> memoryview:
        """Return these bytes; the file stays what it is until the last view of them is gone."""
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            window = _Window(file, end - start, access=mmap.ACCESS_READ, offset=start)
        finally:
            os.close(file)
        window.file = self
        return memoryview(window)


class _Window(mmap.mmap):
    file: _File


class Resting(Sequence[Chunk]):
    """The parts of a message, in a file: each is mapped when it is asked for, and let go with its last view.

    Parts below `LEAST_VIEW` are copies, as everywhere.
    """

    __slots__ = ("_ends", "_leaves", "_windows", "file")

    def __init__(self, file: _File, ends: array[int], leaves: tuple[bytes, ...] | None = None) -> None:
        self.file, self._ends, self._leaves = file, ends, leaves
        self._windows: tuple[tuple[int, memoryview], ...] = ()  # the last two: two threads add up at two places

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Chunk: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Chunk]: ...
    def __getitem__(self, place: int | slice) -> Chunk | Sequence[Chunk]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        start, end = self._within(range(len(self))[place])
        for first, window in self._windows:
            if first <= start and end <= first + len(window):
                return _part(window, start - first, end - first)
        first, window = self._window(start, end, WINDOW_BYTES)
        self._windows = ((first, window), *self._windows[:1])
        return _part(window, start - first, end - first)

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the parts in order, with a window of its own: several who read it do not wait for each other."""
        first, window = 0, memoryview(b"")
        for place in range(len(self)):
            start, end = self._within(place)
            if end > first + len(window):
                first, window = self._window(start, end, RUN_BYTES)
            yield _part(window, start - first, end - first)

    @property
    def parts(self) -> Parts:
        """This, as what frames and machines take: they ask a tuple for its length, its items and slices, no more."""
        return cast("Parts", self)

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        return self._ends[-1] if self._ends else 0

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """The hashes of the parts, made when they came, or else once now."""
        if self._leaves is None:
            self._leaves = tuple(map(chunk_hash, self))
        return self._leaves

    def trailer(self, digest: bytes) -> bytes:
        """Return what follows the parts in a file that is kept."""
        starts = (self._within(place) for place in range(len(self)))
        sizes = b"".join([_SIZE.pack(end - start) for start, end in starts])
        return sizes + _TRAILER.pack(digest, self.size_bytes, len(self), _MARK)

    def _within(self, place: int) -> tuple[int, int]:
        return (self._ends[place - 1] if place else 0), self._ends[place]

    def _window(self, start: int, end: int, size: int) -> tuple[int, memoryview]:
        """Map `size` bytes from the page of `start` on, or more, up to `end`."""
        first = start - start % mmap.ALLOCATIONGRANULARITY
        stop = max(end, min(first + size, self.size_bytes))
        if stop == first:
            return first, memoryview(b"")  # an empty part of an empty file: there is nothing to map
        return first, self.file.mapped(first, stop)


def _part(window: memoryview, start: int, end: int) -> Chunk:
    part = window[start:end]
    return part if end - start >= LEAST_VIEW else bytes(part)


class _Writing:
    """Parts that go into a file as they come, and are hashed while they are in the processor's cache."""

    def __init__(self, file: _File, *, hashed: bool) -> None:
        self._file, self._ends = file, array("Q")
        self._leaves: list[bytes] | None = [] if hashed else None
        self._at, self._open = 0, -1
        with _unavailable(file.path):  # O_TRUNC would give the pages back, which is what costs
            self._open = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def __del__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.__dict__.pop("_file", None)  # its last user, unless somebody has the whole
        if self._open >= 0:
            os.close(self._open)
            self._open = -1

    def add(self, parts: Sequence[Chunk]) -> None:
        with _unavailable(self._file.path):
            _put(self._open, parts, self._at)
        for part in parts:
            self._at += len(part)
            self._ends.append(self._at)
        if self._leaves is not None:
            self._leaves += map(chunk_hash, parts)

    def whole(self) -> Parts:
        return self.resting().parts

    def resting(self) -> Resting:
        """Return the file with all parts in it."""
        with _unavailable(self._file.path):
            os.ftruncate(self._open, self._at)
        os.close(self._open)
        self._open = -1
        return Resting(self._file, self._ends, None if self._leaves is None else tuple(self._leaves))


class DiskSpool:
    """The spool of a coordinator, in its state folder, which nobody else may use.

    Args:
        folder: is searched for what is kept; what is left there of half a message is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session, self._numbers = secrets.token_hex(8), count()
        self._free: list[Path] = []
        self._lock = threading.Lock()  # a file's last user may be a thread that adds up
        self._kept: dict[tuple[bytes, str], list[_File]] = {}  # newest first
        self._closed = False
        self._found()

    def arriving(self) -> Arriving:
        return _Writing(self._file(), hashed=True)

    def rested(self, parts: Parts) -> Parts:
        if isinstance(parts, Resting) or sum(map(len, parts)) <= INLINE_BYTES:
            return parts
        with contextlib.suppress(Unavailable):  # it stays where it is
            return self._written(parts).parts
        return parts

    def relieve(self, size_bytes: int) -> None:
        if size_bytes >= RELIEVED_BYTES:
            with contextlib.suppress(OSError, AttributeError):  # another C library than glibc does so by itself
                ctypes.CDLL(None).malloc_trim(0)

    def keep(self, job_hash: bytes, party: str, digest: bytes, parts: Sequence[Chunk]) -> None:
        """Keep the parts of a party's message, in the place of those before its last. Raises Unavailable."""
        kept = self._kept.setdefault((job_hash, party), [])
        fresh = isinstance(parts, Resting) and parts.file.pool is self and not parts.file.number
        resting = parts if fresh and isinstance(parts, Resting) else self._written(parts)
        file, number = resting.file, kept[0].number + 1 if kept else 1
        path = self._folder / f"bulk-{job_hash.hex()}-{party}.{number}"
        with _unavailable(path):
            with file.path.open("r+b", 0) as writing:
                _put(writing.fileno(), [resting.trailer(digest)], resting.size_bytes)
            file.path.rename(path)
        file.path, file.digest, file.number, file.lasting = path, digest, number, True
        kept.insert(0, file)
        del kept[KEPT:]

    def found(self, job_hash: bytes, party: str, digest: bytes) -> Parts | None:
        """Return the parts of that message, if it is among its party's last two."""
        for file in self._kept.get((job_hash, party), ()):
            ends = _ends(file.path) if file.digest == digest else None
            if ends is not None:
                return Resting(file, ends[1]).parts
        return None

    def drop(self, job_hash: bytes, parties: Sequence[str]) -> None:
        """Forget what is kept of a job that ended, and give the disk back what waits to be written over."""
        for party in parties:
            for file in self._kept.pop((job_hash, party), ()):
                file.lasting = False
        with self._lock:
            free, self._free = self._free, []
        for path in free:
            _remove(path)

    def let_go(self, path: Path, *, lasting: bool) -> None:
        """Take back a file that nobody uses any more."""
        with self._lock:
            if self._closed:
                if not path.name.startswith("spool-"):
                    return
            elif lasting and len(self._free) < MOST_FREE:
                self._free.append(path)
                return
        _remove(path)

    def close(self) -> None:
        """Remove what is not kept; what still rests in a file is removed with its last user."""
        with self._lock:
            self._closed, free, self._free = True, self._free, []
        for path in free:
            _remove(path)
        self._kept.clear()

    def _written(self, parts: Sequence[Chunk]) -> Resting:
        writing = _Writing(self._file(), hashed=False)
        run: list[Chunk] = []
        for part in parts:
            run.append(part)
            if len(run) == 4:
                writing.add(run)
                run = []
        writing.add(run)
        resting = writing.resting()
        resting.file.lasting = True
        return resting

    def _file(self) -> _File:
        path = self._folder / f"spool-{self._session}-{next(self._numbers)}"
        with self._lock:
            free = self._free.pop() if self._free else None
        if free is not None:
            with contextlib.suppress(OSError):
                free.rename(path)
        return _File(self, path)

    def _found(self) -> None:
        for path in self._folder.glob("spool-*"):
            _remove(path)
        for path in self._folder.glob("bulk-*"):
            name, trailer = _KEPT_NAME.fullmatch(path.name), _ends(path)
            if name is None or trailer is None:
                _remove(path)
                continue
            file = _File(self, path)
            file.digest, file.number, file.lasting = trailer[0], int(name[3]), True
            kept = self._kept.setdefault((bytes.fromhex(name[1]), name[2]), [])
            kept.insert(bisect_left(kept, -file.number, key=lambda one: -one.number), file)
            del kept[KEPT:]


def _ends(path: Path) -> tuple[bytes, array[int]] | None:
    """Return (digest of the message, where its parts end) of a file that is kept; None if it is none."""
    try:
        with path.open("rb", 0) as file:
            size = file.seek(0, os.SEEK_END)
            at = file.seek(max(0, size - _TRAILER.size))
            digest, data, parts, mark = _TRAILER.unpack(file.read(_TRAILER.size))
            if mark != _MARK or data + parts * _SIZE.size != at:
                return None
            file.seek(data)
            sizes = [one for (one,) in _SIZE.iter_unpack(file.read(parts * _SIZE.size))]
    except (OSError, struct.error):
        return None
    ends, end = array("Q"), 0
    for one in sizes:
        end += one
        if end > data:
            return None
        ends.append(end)
    return (digest, ends) if end == data else None


def _put(file: int, parts: Sequence[Chunk], at: int) -> None:
    """Write all parts one after another from a place on."""
    left = [memoryview(part).cast("B") for part in parts if len(part)]
    while left:
        written = os.pwritev(file, left[:_MOST_VECTORS], at)
        at += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


_MOST_VECTORS: Final = 64


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def _unavailable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise Unavailable(
            f"{path.name} cannot be written: {fault.strerror}", hint="is the disk full, may this user write there?"
        ) from None
