"""The coordinator's memory: one append-only list of events a job or key ceremony, and documents by digest.

It holds no party's value. `append` returns only after the events are on disk (WAL, synchronous FULL); a restart folds
them again. Two stores, one contract test. Event payloads are the received signed bytes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from federation.coordinator.bulk_files import DiskSpool
from federation.coordinator.spool import MemorySpool, Parts, Spool
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import Chunk
from federation.errors import Unavailable
from federation.identity import long_file

Event = tuple[str, bytes]  # kind, payload
CEREMONY = "proposal"  # the kind of event that a key ceremony begins with
WAIT_S = 1.0  # for a coordinator that is just ending; one that goes on holds its store for as long as it lives


class Store(Protocol):
    """What the driver needs; jobs and ceremonies are named by their 32-byte hash."""

    spool: Spool  # where long bytes rest while they are used; what `keep_bulk` gets from there is not copied

    def append(self, job_hash: bytes, events: Sequence[Event]) -> None:
        """Add events at the end of the job's list, all or none, durable when it returns."""

    def events(self, job_hash: bytes) -> list[Event]:
        """Return the job's events in order; [] for an unknown job."""

    def jobs(self) -> list[bytes]:
        """Return the hashes of all jobs in the order of their first event."""

    def ceremonies(self) -> list[bytes]:
        """Return the ids of all key ceremonies in the order of their first event."""

    def keep(self, job_hash: bytes, parts: Sequence[Chunk]) -> None:
        """Keep where a job's course stands, in the place of what was there before the last; kill -9 loses nothing.

        After a power cut an earlier one or none may be there: see `long_file`.
        """

    def kept(self, job_hash: bytes) -> list[tuple[bytes, ...]]:
        """Return the parts that were kept last, and those that were kept before them: two at most."""

    def keep_bulk(self, job_hash: bytes, party: str, digest: bytes, parts: Sequence[Chunk]) -> None:
        """Keep the long bytes of a party's message, in the place of those before its last; as lasting as `keep`."""

    def bulk(self, job_hash: bytes, party: str, digest: bytes) -> Parts | None:
        """Return the long bytes of that message, if they are among its party's last two.

        After a power cut they may be others: whoever asks compares them with what was signed.
        """

    def drop_bulk(self, job_hash: bytes, parties: Sequence[str]) -> None:
        """Forget the long bytes of a job that ended."""

    def put_document(self, digest: bytes, body: bytes) -> None:
        """Keep `body` under `digest`; the first body under a digest stays."""

    def document(self, digest: bytes) -> bytes | None:
        """Return the document, or None."""

    def close(self) -> None:
        """Release what the store holds."""


class MemoryStore:
    """A store that ends with the process: `fed.local` and tests."""

    def __init__(self) -> None:
        self.spool: Spool = MemorySpool()
        self._events: dict[bytes, list[Event]] = {}
        self._documents: dict[bytes, bytes] = {}
        self._kept: dict[bytes, list[tuple[bytes, ...]]] = {}
        self._bulk: dict[tuple[bytes, str], list[tuple[Chunk, ...]]] = {}

    def append(self, job_hash: bytes, events: Sequence[Event]) -> None:
        if events:
            self._events.setdefault(job_hash, []).extend(events)

    def events(self, job_hash: bytes) -> list[Event]:
        return list(self._events.get(job_hash, ()))

    def jobs(self) -> list[bytes]:
        return [job for job, events in self._events.items() if events[0][0] != CEREMONY]

    def ceremonies(self) -> list[bytes]:
        return [one for one, events in self._events.items() if events[0][0] == CEREMONY]

    def keep(self, job_hash: bytes, parts: Sequence[Chunk]) -> None:
        self._kept[job_hash] = [tuple(map(bytes, parts)), *self._kept.get(job_hash, ())][:2]

    def kept(self, job_hash: bytes) -> list[tuple[bytes, ...]]:
        return self._kept.get(job_hash, [])

    def keep_bulk(self, job_hash: bytes, party: str, digest: bytes, parts: Sequence[Chunk]) -> None:
        self._bulk[job_hash, party] = [(digest, *parts), *self._bulk.get((job_hash, party), ())][:2]

    def bulk(self, job_hash: bytes, party: str, digest: bytes) -> tuple[Chunk, ...] | None:
        return next((one[1:] for one in self._bulk.get((job_hash, party), ()) if one[0] == digest), None)

    def drop_bulk(self, job_hash: bytes, parties: Sequence[str]) -> None:
        for party in parties:
            self._bulk.pop((job_hash, party), None)

    def put_document(self, digest: bytes, body: bytes) -> None:
        self._documents.setdefault(digest, body)

    def document(self, digest: bytes) -> bytes | None:
        return self._documents.get(digest)

    def close(self) -> None:
        return


class StrictStore:
    """A store that takes nothing more once a write has failed: from then on memory is ahead of the disk.

    Without it a smaller write could succeed after one that failed, and the next start would fold a list with a gap.

    Args:
        store: what is written to.
        failed: called with the first failure; the process has to end.
    """

    def __init__(self, store: Store, failed: Callable[[Unavailable], None]) -> None:
        self._store, self._failed = store, failed
        self.spool = store.spool
        self._fault: Unavailable | None = None
        self.events, self.jobs, self.ceremonies = store.events, store.jobs, store.ceremonies
        self.document, self.close, self.kept = store.document, store.close, store.kept
        self.bulk, self.drop_bulk = store.bulk, store.drop_bulk

    def append(self, job_hash: bytes, events: Sequence[Event]) -> None:
        with self._once():
            self._store.append(job_hash, events)

    def keep(self, job_hash: bytes, parts: Sequence[Chunk]) -> None:
        with self._once():
            self._store.keep(job_hash, parts)

    def keep_bulk(self, job_hash: bytes, party: str, digest: bytes, parts: Sequence[Chunk]) -> None:
        with self._once():
            self._store.keep_bulk(job_hash, party, digest, parts)

    def put_document(self, digest: bytes, body: bytes) -> None:
        with self._once():
            self._store.put_document(digest, body)

    @contextlib.contextmanager
    def _once(self) -> Iterator[None]:
        if self._fault is not None:
            raise Unavailable(self._fault.message, hint=self._fault.hint)
        try:
            yield
        except Unavailable as fault:
            self._fault = fault
            self._failed(fault)
            raise


class SqliteStore:
    """A store in one SQLite file (WAL, FULL).

    Raises:
        Unavailable: the disk is full, the file is locked by another process or is not a store; nothing is half written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as fault:
            raise self._unavailable(fault, path) from None
        try:
            # Exclusive before the first access and a transaction at once: the lock is held from here until `close`,
            # also while nothing is written, so that two coordinators never fold one store.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS event"
                " (job BLOB, position INTEGER, kind TEXT, payload BLOB, PRIMARY KEY (job, position))"
            )
            self._db.execute("CREATE TABLE IF NOT EXISTS document (digest BLOB PRIMARY KEY, body BLOB)")
            self._db.execute("COMMIT")
        except sqlite3.Error as fault:
            self._db.close()
            raise self._unavailable(fault, path) from None
        self._path, self._spooled = path, DiskSpool(path.parent)  # after the lock: it removes what nobody uses
        self.spool: Spool = self._spooled

    def append(self, job_hash: bytes, events: Sequence[Event]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            find = "SELECT COALESCE(MAX(position), -1) FROM event WHERE job = ?"
            (last,) = self._db.execute(find, (job_hash,)).fetchone()
            rows = [(job_hash, last + 1 + i, kind, payload) for i, (kind, payload) in enumerate(events)]
            self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as fault:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # a disk that fails: what was not committed is not there
                    self._db.execute("ROLLBACK")
            raise self._unavailable(fault, self._path) from None

    def events(self, job_hash: bytes) -> list[Event]:
        rows = self._found("SELECT kind, payload FROM event WHERE job = ? ORDER BY position", job_hash)
        return [(kind, payload) for kind, payload in rows]

    def jobs(self) -> list[bytes]:
        return self._begun("kind != ?")

    def ceremonies(self) -> list[bytes]:
        return self._begun("kind = ?")

    def _begun(self, how: str) -> list[bytes]:
        found = self._found(f"SELECT job FROM event WHERE position = 0 AND {how} ORDER BY rowid", CEREMONY)  # noqa: S608
        return [job for (job,) in found]

    def keep(self, job_hash: bytes, parts: Sequence[Chunk]) -> None:
        long_file.write(self._course(job_hash), (*parts, _named(parts)))

    def kept(self, job_hash: bytes) -> list[tuple[bytes, ...]]:
        found = long_file.read_each(self._course(job_hash))
        return [one[:-1] for one in found if one and one[-1] == _named(one[:-1])]

    def keep_bulk(self, job_hash: bytes, party: str, digest: bytes, parts: Sequence[Chunk]) -> None:
        self._spooled.keep(job_hash, party, digest, parts)

    def bulk(self, job_hash: bytes, party: str, digest: bytes) -> Parts | None:
        return self._spooled.found(job_hash, party, digest)

    def drop_bulk(self, job_hash: bytes, parties: Sequence[str]) -> None:
        self._spooled.drop(job_hash, parties)

    def _course(self, job_hash: bytes) -> Path:
        return self._path.with_name(f"course-{job_hash.hex()}")

    def put_document(self, digest: bytes, body: bytes) -> None:
        try:
            self._db.execute("INSERT OR IGNORE INTO document VALUES (?, ?)", (digest, body))
        except sqlite3.Error as fault:
            raise self._unavailable(fault, self._path) from None

    def document(self, digest: bytes) -> bytes | None:
        rows = self._found("SELECT body FROM document WHERE digest = ?", digest)
        return bytes(rows[0][0]) if rows else None

    def _found(self, statement: str, *values: bytes | str) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as fault:
            raise self._unavailable(fault, self._path) from None

    def close(self) -> None:
        self._spooled.close()
        self._db.close()

    @staticmethod
    def _unavailable(fault: Exception, path: Path) -> Unavailable:
        return Unavailable(
            f"the coordinator's store {path.name} cannot be used: {fault}",
            hint="is another coordinator running on it, is the disk full, may this user write there?",
        )


def _named(parts: Iterable[Chunk]) -> bytes:
    return chunk_hash(
        b"".join([word for part in parts for word in (len(part).to_bytes(8, "big"), chunk_hash(part, threads=2))])
    )
