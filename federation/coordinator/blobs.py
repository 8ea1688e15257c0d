"""Bulk bytes between their stream and their frame: kept once, handed out once, never without bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from federation.coordinator.spool import Parts
from federation.errors import ProtocolViolation
from federation.wire.bulk import BLOB_ID_BYTES

MOST_BYTES = 4 * 1024 * 1024 * 1024  # of one party, in both directions


class Blobs:
    """What waits to be fetched, or for the frame that names it; by party and id."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, bytes], Parts] = {}
        self._held: dict[str, int] = {}
        self._promised: dict[str, int] = {}  # of streams that are still arriving

    @contextmanager
    def room(self, party: str, blob: bytes, size: int) -> Iterator[None]:
        """Hold room for `size` bytes while they arrive: a stream is refused before it is read, not after.

        Raises:
            ProtocolViolation: as `keep`.
        """
        self._check(party, blob, size)
        self._promised[party] = self._promised.get(party, 0) + size
        try:
            yield
        finally:
            self._promised[party] -= size

    def keep(self, party: str, blob: bytes, parts: Parts) -> None:
        """Keep `parts` for `party` under `blob`.

        Raises:
            ProtocolViolation: the party lets more pile up than anything needs, or names an id that is none.
        """
        size = sum(map(len, parts))
        self.take(party, blob)  # the same id again takes the place of the first
        self._check(party, blob, size)
        self._parts[party, blob] = parts
        self._held[party] = self._held.get(party, 0) + size

    def take(self, party: str, blob: bytes) -> Parts | None:
        """Return the parts and forget them; None if there are none."""
        parts = self._parts.pop((party, blob), None)
        if parts is not None:
            self._held[party] -= sum(map(len, parts))
        return parts

    def _check(self, party: str, blob: bytes, size: int) -> None:
        piled_up = self._held.get(party, 0) + self._promised.get(party, 0)
        if len(blob) != BLOB_ID_BYTES or not 0 <= size <= MOST_BYTES - piled_up:
            raise ProtocolViolation(party, phase="chunk stream", expected="a blob of bounded size", got="another")

    def drop(self, party: str) -> None:
        """Forget everything of `party`, whose stream is closed."""
        for key in [key for key in self._parts if key[0] == party]:
            del self._parts[key]
        self._held.pop(party, None)
