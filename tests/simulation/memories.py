"""What outlives a process in a simulation, and how a process dies in the middle of writing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from clients.jurisdiction.vault import MemoryVault, Vault
from federation.coordinator.store import Event, Store


class Killed(BaseException):
    """The power is gone, in the middle of a write. Nothing may catch it."""


class Memory(MemoryVault):
    """A vault in memory that, like the durable one, undoes a transaction that did not end."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._undo: list[Callable[[], object]] = []

    @contextmanager
    def together(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        except BaseException:
            while self._undo:
                self._undo.pop()()
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                self._undo.clear()

    def append_many(self, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        self._remember(self._streams, stream)
        return super().append_many(stream, events)

    def erase(self, stream: bytes) -> None:
        self._remember(self._streams, stream)
        super().erase(stream)

    def put(self, key: bytes, value: bytes) -> None:
        self._remember(self._records, key)
        super().put(key, value)

    def put_new(self, key: bytes, value: bytes) -> bool:
        self._remember(self._records, key)
        return super().put_new(key, value)

    def streams(self) -> list[bytes]:
        """The streams that are not erased."""
        return [name for name, events in self._streams.items() if events]

    def _remember(self, shelf: dict[bytes, object], key: bytes) -> None:
        if not self._depth:
            return
        if key not in shelf:
            self._undo.append(lambda: shelf.pop(key, None))
            return
        old = shelf[key]
        kept = list(old) if isinstance(old, list) else old
        self._undo.append(lambda: shelf.__setitem__(key, kept))


class MortalVault:
    """A vault whose process dies at a chosen write, before it is done.

    Args:
        vault: what is written to.
        wrote: called with what was added to a stream.

    Attributes:
        dies_in: at which write from now on, from 1; 0 for never.
    """

    def __init__(self, vault: Vault, wrote: Callable[[bytes, Sequence[tuple[str, bytes]]], None]) -> None:
        self.vault, self._wrote = vault, wrote
        self.dies_in = 0
        self.read, self.get, self.kept, self.close = vault.read, vault.get, vault.kept, vault.close

    def _write(self) -> None:
        if self.dies_in:
            self.dies_in -= 1
            if not self.dies_in:
                raise Killed

    def append_many(self, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        self._write()
        place = self.vault.append_many(stream, events)
        self._wrote(stream, events)
        return place

    def erase(self, stream: bytes) -> None:
        self._write()
        self.vault.erase(stream)

    def put(self, key: bytes, value: bytes) -> None:
        self._write()
        self.vault.put(key, value)

    def put_new(self, key: bytes, value: bytes) -> bool:
        self._write()
        return self.vault.put_new(key, value)

    def keep(self, name: bytes, parts: Sequence[bytes | memoryview]) -> None:
        self._write()
        self.vault.keep(name, parts)

    def discard(self, name: bytes) -> None:
        self._write()
        self.vault.discard(name)

    def together(self) -> AbstractContextManager[None]:
        return self.vault.together()


class MortalStore:
    """A store whose process dies at a chosen write, before it is done or right after.

    Attributes:
        dies_in: at which write from now on, from 1; 0 for never.
        dies_after: whether that write is on the disk.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.dies_in, self.dies_after = 0, False
        self.events, self.jobs, self.ceremonies = store.events, store.jobs, store.ceremonies
        self.document, self.spool = store.document, store.spool
        self.put_document, self.close = store.put_document, store.close
        self.keep, self.kept, self.keep_bulk = store.keep, store.kept, store.keep_bulk
        self.bulk, self.drop_bulk = store.bulk, store.drop_bulk

    def append(self, job_hash: bytes, events: Sequence[Event]) -> None:
        due = self.dies_in == 1
        self.dies_in -= self.dies_in > 0
        if due and not self.dies_after:
            raise Killed
        self.store.append(job_hash, events)
        if due:
            raise Killed
