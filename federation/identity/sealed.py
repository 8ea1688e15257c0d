"""`SealedLog`: what a member remembers, encrypted, append-only, durable before the call returns.

Two shelves in one SQLite file: streams of events (the journal of a job, entropy included) and values under keys (the
record that says "this query was opened over that set"). A change of several is one transaction: `with log.together()`.

Refuses a second process on the same folder, a record that was changed, moved, removed, repeated or put back, and
another storage key. Does not notice when the whole file is put back to an earlier time: only the ledger can, and a
member that is behind the ledger refuses until reconciled. Neither kinds, names nor contents can be read from the
file; sizes can.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from federation.errors import FederationError, Misuse, Refused, Unavailable
from federation.identity import long_file
from federation.identity.seal import SET_HASH_BYTES, Seal, broken, place_of

LARGEST_BYTES = 256 * 1024 * 1024  # of one record; bulk chunks are files
PIECE_BYTES = 512 * 1024  # of a long record, sealed at once: what is sealed is written while a core still holds it
ONCE_BYTES = 16
_FILE = "sealed.db"
_LOCK = "sealed.lock"
_STATE = place_of(b"federation/sealed/state/v1")
# What opening a damaged file can raise besides our own: SQLite's message may not even be UTF-8, a value not be bytes.
_FOREIGN = (sqlite3.Error, OSError, TypeError, ValueError, AttributeError, OverflowError)
_SCHEMA = """
BEGIN;
CREATE TABLE stream (id BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE event (id BLOB NOT NULL, sequence INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (id, sequence))
STRICT; CREATE TABLE value (id BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT; CREATE TABLE state (only_row INTEGER
PRIMARY KEY CHECK (only_row = 0), sealed BLOB NOT NULL) STRICT; PRAGMA user_version = 1;
"""


class SealedLog:
    """Sealed storage in a state folder. Any thread may call it; calls and transactions of several threads take turns.

    Args:
        folder: made with mode 0700 if it does not exist; held by this object until `close`.
        storage_key: 32 bytes, `Credentials.storage_key`.

    Raises:
        Refused: rule "state folder": another process holds it; rule "sealed storage": the file was changed, or it
            belongs to another storage key.
        Unavailable: the system cannot open or read it.
    """

    def __init__(self, folder: Path, storage_key: bytes) -> None:
        self._seal, self._folder = Seal(storage_key), folder
        self._turn = threading.RLock()
        self._depth = 0
        self._spoilt = False  # an error inside the open transaction: it will not be committed
        self._uncertain = False  # the system failed while writing: only a restart knows what is on the disk
        self._erased = False
        self._set_hash = 0
        self._lock = _locked(folder)
        try:
            self._db = _connected(folder / _FILE)
            try:
                self._start()
            except BaseException:
                self._db.close()
                raise
        except BaseException as cause:
            os.close(self._lock)
            if isinstance(cause, _FOREIGN):
                raise _translated(cause) from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file and the folder. A second call does nothing."""
        with self._turn:
            if self._lock >= 0:
                self._db.close()
                os.close(self._lock)
                self._lock = -1

    def append(self, stream: bytes, kind: str, payload: bytes) -> int:
        """Add one event to a stream and return its place in it, from 0; when this returns, the event is on the disk.

        Raises:
            Unavailable: disk full or failing; nothing was added.
        """
        return self.append_many(stream, [(kind, payload)])

    def append_many(self, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        """Add all (kind, payload) events or none, in one transaction; return the place of the first."""
        hidden = self._seal.hidden(b"stream", stream)
        with self.together():
            (first,) = self._one("SELECT COALESCE(MAX(sequence) + 1, 0) FROM event WHERE id = ?", hidden)
            if first == 0 and events:
                place = place_of(b"stream", hidden)
                record = self._seal.sealed(place, stream)
                self._write("INSERT INTO stream VALUES (?, ?)", (hidden, record))
                self._set_hash ^= self._seal.weight(place, record)
            for sequence, (kind, payload) in enumerate(events, start=first):
                place = _event_place(hidden, sequence)
                record = self._seal.sealed(place, _content(kind, payload))
                self._write("INSERT INTO event VALUES (?, ?, ?)", (hidden, sequence, record))
                self._set_hash ^= self._seal.weight(place, record)
            return first

    def read(self, stream: bytes) -> list[tuple[str, bytes]]:
        """Return the (kind, payload) events of a stream in order; an unknown stream has none.

        Raises:
            Refused: rule "sealed storage": an event was changed, moved or removed.
        """
        hidden = self._seal.hidden(b"stream", stream)
        found = []
        with self._reading():
            rows = self._db.execute("SELECT sequence, sealed FROM event WHERE id = ? ORDER BY sequence", (hidden,))
            for expected, (sequence, record) in enumerate(rows):
                if sequence != expected:
                    raise broken("an event of a stream is missing")
                found.append(_parts(self._seal.opened(_event_place(hidden, sequence), record)))
        return found

    def streams(self) -> list[bytes]:
        """Return the names of all streams that are not erased, oldest first."""
        with self._reading():
            rows = self._db.execute("SELECT id, sealed FROM stream ORDER BY rowid").fetchall()
            return [self._seal.opened(place_of(b"stream", hidden), record) for hidden, record in rows]

    def erase(self, stream: bytes) -> None:
        """Remove a stream and overwrite its records in the file. An unknown stream is no error.

        The pages are overwritten and the journal is emptied; what the disk itself keeps of old blocks is beyond a
        program.
        """
        hidden = self._seal.hidden(b"stream", stream)
        with self.together():
            for sequence, record in self._db.execute("SELECT sequence, sealed FROM event WHERE id = ?", (hidden,)):
                self._set_hash ^= self._seal.weight(_event_place(hidden, sequence), record)
            for (record,) in self._db.execute("SELECT sealed FROM stream WHERE id = ?", (hidden,)):
                self._set_hash ^= self._seal.weight(place_of(b"stream", hidden), record)
            self._write("DELETE FROM event WHERE id = ?", (hidden,))
            self._write("DELETE FROM stream WHERE id = ?", (hidden,))
            self._erased = True

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value under a key, in place of the earlier one if there is one."""
        hidden = self._seal.hidden(b"value", key)
        place = place_of(b"value", hidden)
        with self.together():
            for (record,) in self._db.execute("SELECT sealed FROM value WHERE id = ?", (hidden,)):
                self._set_hash ^= self._seal.weight(place, record)
            record = self._seal.sealed(place, _bounded(value))
            self._write(
                "INSERT INTO value VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed", (hidden, record)
            )
            self._set_hash ^= self._seal.weight(place, record)

    def put_new(self, key: bytes, value: bytes) -> bool:
        """Store a value under a key that has none and return True; return False, and change nothing, if it has one."""
        with self.together():
            if self.get(key) is not None:
                return False
            self.put(key, value)
            return True

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, or None."""
        hidden = self._seal.hidden(b"value", key)
        with self._reading():
            row = self._db.execute("SELECT sealed FROM value WHERE id = ?", (hidden,)).fetchone()
            return None if row is None else self._seal.opened(place_of(b"value", hidden), row[0])

    def keep(self, name: bytes, parts: Sequence[bytes | memoryview]) -> None:
        """Seal long bytes into a file of their own, in the place of what was there; outside of transactions.

        A killed process loses nothing; a power cut may leave an earlier file, or none: see `long_file`.
        """
        hidden = self._seal.hidden(b"long", name)
        views = [memoryview(part).cast("B") for part in parts]
        once = secrets.token_bytes(ONCE_BYTES)  # pieces of two writes do not fit together
        head = once + b"".join(view.nbytes.to_bytes(8, "big") for view in views)
        pieces = (view[at : at + PIECE_BYTES] for view in views for at in range(0, view.nbytes, PIECE_BYTES))

        def sealed() -> Iterator[bytes]:
            yield self._seal.sealed(_long_place(hidden, b"", 0), head)
            for index, piece in enumerate(pieces, 1):
                yield self._seal.sealed(_long_place(hidden, once, index), piece)

        long_file.write(self._long(hidden), sealed())

    def kept(self, name: bytes) -> tuple[bytes, ...] | None:
        """Return the parts that were kept last, or before that where a power cut left half of those; None if none were.

        Raises:
            Refused: what is there was changed.
        """
        hidden = self._seal.hidden(b"long", name)
        fault: Refused | None = None
        for found in long_file.read_each(self._long(hidden)):
            try:
                return self._unsealed(hidden, found)
            except Refused as cause:
                fault = fault or cause
        if fault is not None:
            raise fault
        return None

    def _unsealed(self, hidden: bytes, found: Sequence[bytes]) -> tuple[bytes, ...]:
        if not found:
            raise broken("a long record lacks its head")
        head, *records = found
        told = self._seal.opened(_long_place(hidden, b"", 0), head)
        once, sizes = (
            told[:ONCE_BYTES],
            [int.from_bytes(told[i : i + 8], "big") for i in range(ONCE_BYTES, len(told), 8)],
        )
        left = iter(enumerate(records, 1))
        parts = []
        for size in sizes:
            counted = islice(left, -(-size // PIECE_BYTES))
            parts.append(b"".join(self._seal.opened(_long_place(hidden, once, at), one) for at, one in counted))
        if list(map(len, parts)) != sizes or next(left, None) is not None:
            raise broken("a long record lacks a piece, or has one too many")
        return tuple(parts)

    def discard(self, name: bytes) -> None:
        """Overwrite and remove what was kept under `name`, if anything was."""
        long_file.erase(self._long(self._seal.hidden(b"long", name)))

    def _long(self, hidden: bytes) -> Path:
        return self._folder / f"long-{hidden.hex()}"

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all writes of the `with` block one transaction: after an error in it, none of them happened.

        Blocks nest; the outermost one commits. An error that an outer block swallows still undoes everything.
        """
        with self._turn:
            outermost = self._depth == 0
            if outermost:
                self._begin()
            self._depth += 1
            try:
                yield
                if outermost:
                    self._commit()
            except BaseException as cause:
                self._spoilt = True
                if outermost:
                    self._undo()
                if isinstance(cause, sqlite3.Error):
                    raise self._failed(cause) from None
                raise
            finally:
                self._depth -= 1
            if outermost and self._erased:
                with self._reading():  # else the journal would keep what was erased until it is written over
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._turn:
            self._check_open()
            try:
                yield
            except sqlite3.Error as cause:
                raise self._failed(cause) from None

    def _begin(self) -> None:
        with self._reading():
            self._db.execute("BEGIN IMMEDIATE")
            self._spoilt = self._erased = False
            # Read again each time: after an interrupt only the file knows whether the last commit happened.
            self._set_hash = self._stored_set_hash()

    def _commit(self) -> None:
        state = self._seal.sealed(_STATE, self._set_hash.to_bytes(SET_HASH_BYTES))
        self._write("REPLACE INTO state VALUES (0, ?)", (state,))
        self._db.execute("COMMIT")

    def _undo(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                self._uncertain = True

    def _failed(self, cause: sqlite3.Error) -> FederationError:
        error = _translated(cause)
        if isinstance(error, Unavailable) and not _is_full(cause):
            self._uncertain = True
        return error

    def _check_open(self) -> None:
        if self._lock < 0:
            raise Misuse("the sealed storage is closed")
        if self._uncertain:
            raise Unavailable("the disk failed while the sealed storage was written", hint="check the disk and restart")

    def _one(self, statement: str, *values: bytes) -> tuple[int, ...]:
        return tuple(self._db.execute(statement, values).fetchone())

    def _write(self, statement: str, values: tuple[bytes | int, ...]) -> None:
        # SQLite ends the transaction by itself on some errors; what is written then would stand alone.
        if self._spoilt or not self._db.in_transaction:
            raise Misuse("an error inside a transaction was swallowed; all of the transaction is undone")
        self._db.execute(statement, values)

    def _stored_set_hash(self) -> int:
        row = self._db.execute("SELECT sealed FROM state").fetchone()
        if row is None:
            raise broken("its state is missing")
        return int.from_bytes(self._seal.opened(_STATE, row[0]))

    def _start(self) -> None:
        (layout,) = self._one("PRAGMA user_version")
        (tables,) = self._one("SELECT COUNT(*) FROM sqlite_master")
        if layout == 0 and tables == 0:
            self._db.executescript(_SCHEMA)
            self._commit()
            return
        if layout != 1:
            raise broken("it has another layout")
        # A damaged index would answer "no such key", and a query could be opened twice: compare it with its table.
        if self._db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise broken("its file is damaged")
        found = 0
        for hidden, record in self._db.execute("SELECT id, sealed FROM stream"):
            found ^= self._seal.weight(place_of(b"stream", hidden), record)
        for hidden, record in self._db.execute("SELECT id, sealed FROM value"):
            found ^= self._seal.weight(place_of(b"value", hidden), record)
        for hidden, sequence, record in self._db.execute("SELECT id, sequence, sealed FROM event"):
            found ^= self._seal.weight(_event_place(hidden, sequence), record)
        if found != self._stored_set_hash():
            raise broken("a record was changed, removed or put back")


def _event_place(hidden: bytes, sequence: int) -> bytes:
    return place_of(b"event", hidden, sequence.to_bytes(8, "big"))


def _bounded(content: bytes) -> bytes:
    if len(content) > LARGEST_BYTES:
        raise Misuse(f"a sealed record has at most {LARGEST_BYTES} bytes, this one has {len(content)}")
    return content


def _content(kind: str, payload: bytes) -> bytes:
    # The kind is sealed with the payload: a word such as "entropy" says too much in the clear.
    name = kind.encode()
    if not 1 <= len(name) <= 255:
        raise Misuse("the kind of an event is a word of 1 to 255 bytes")
    return bytes([len(name)]) + name + _bounded(payload)


def _parts(content: bytes) -> tuple[str, bytes]:
    end = 1 + content[0]
    return content[1:end].decode(), content[end:]


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as cause:
        hint = "may this user write there, and is the disk full?"
        raise Unavailable(f"the state folder {folder} cannot be used: {cause.strerror}", hint=hint) from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(opened, 20, 0).decode("ascii", "replace").strip()
        os.close(opened)
        raise Refused(
            f"the state folder {folder} is in use by process {holder or 'unknown'}",
            rule="state folder",
            hint="stop that process first; two that share one memory could open one query twice",
        ) from None
    with contextlib.suppress(OSError):  # on a full disk; the number is for people, the lock itself holds
        os.ftruncate(opened, 0)
        os.pwrite(opened, f"{os.getpid()}\n".encode(), 0)
    return opened


def _connected(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    # One thread at a time is ours to hold (`_turn`), so that any worker thread may come; transactions are written out.
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        db.close()
        raise
    return db


def _is_full(cause: Exception) -> bool:
    return getattr(cause, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL


def _translated(cause: Exception) -> FederationError:
    if _is_full(cause):
        return Unavailable("the disk is full: the sealed storage is unchanged", hint="free space and try again")
    # The low byte is the primary code; the rest says where.
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not isinstance(cause, (sqlite3.Error, OSError)):
        return broken("its file is damaged")
    what = cause.strerror if isinstance(cause, OSError) else cause
    return Unavailable(f"the sealed storage cannot be used: {what}", hint="check the disk and the folder, and restart")


def _long_place(hidden: bytes, once: bytes, index: int) -> bytes:
    return place_of(b"long", hidden, once, index.to_bytes(8, "big"))
