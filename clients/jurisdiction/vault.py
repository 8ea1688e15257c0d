"""What a jurisdiction remembers: sealed events by stream, and opening records that are written once.

`federation.identity.sealed.SealedLog` is the durable one; `MemoryVault` ends with its process and serves `fed.local`
and tests. Both pass the same contract test.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Vault(Protocol):
    """What the driver needs; a stream is named by 32 bytes."""

    def append_many(self, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        """Add events at the end of the stream, all or none, durable when it returns; return the place of the first."""

    def read(self, stream: bytes) -> list[tuple[str, bytes]]:
        """Return the stream's events in order; [] for an unknown one."""

    def erase(self, stream: bytes) -> None:
        """Forget a stream for ever."""

    def get(self, key: bytes) -> bytes | None:
        """Return what was put under `key`, or None."""

    def put(self, key: bytes, value: bytes) -> None:
        """Keep `value` under `key`, durable when it returns."""

    def put_new(self, key: bytes, value: bytes) -> bool:
        """Keep `value` and return True; return False, and change nothing, if something is there."""

    def keep(self, name: bytes, parts: Sequence[bytes | memoryview]) -> None:
        """Keep long bytes under `name`, in the place of what was there; a killed process loses nothing.

        Not part of a transaction, and after a power cut an earlier one or none may be there: see `long_file`.
        """

    def kept(self, name: bytes) -> tuple[bytes, ...] | None:
        """Return the parts that were kept last, or None."""

    def discard(self, name: bytes) -> None:
        """Forget what was kept for ever."""

    def together(self) -> AbstractContextManager[None]:
        """Make all writes of the `with` block one transaction, durable when the block ends."""

    def close(self) -> None:
        """Release what the vault holds."""


class MemoryVault:
    """A vault that ends with the process."""

    def __init__(self) -> None:
        self._streams: dict[bytes, list[tuple[str, bytes]]] = {}
        self._records: dict[bytes, bytes] = {}
        self._long: dict[bytes, tuple[bytes, ...]] = {}

    def append_many(self, stream: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        self._streams.setdefault(stream, []).extend(events)
        return len(self._streams[stream]) - len(events)

    def read(self, stream: bytes) -> list[tuple[str, bytes]]:
        return list(self._streams.get(stream, ()))

    def erase(self, stream: bytes) -> None:
        self._streams.pop(stream, None)

    def get(self, key: bytes) -> bytes | None:
        return self._records.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._records[key] = value

    def put_new(self, key: bytes, value: bytes) -> bool:
        if key in self._records:
            return False
        self._records[key] = value
        return True

    def keep(self, name: bytes, parts: Sequence[bytes | memoryview]) -> None:
        self._long[name] = tuple(map(bytes, parts))

    def kept(self, name: bytes) -> tuple[bytes, ...] | None:
        return self._long.get(name)

    def discard(self, name: bytes) -> None:
        self._long.pop(name, None)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        return
