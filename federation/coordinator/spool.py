"""Where long bytes rest while they are used: what a frame carries, what came on a stream, a total on its way out.

The contract, and the spool that leaves everything in memory; `bulk_files` has the coordinator's. Knows no protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from federation.crypto.ring import Chunk

Parts: TypeAlias = tuple[Chunk, ...]  # or what is read by place as one is: see `bulk_files.Resting.parts`


class Arriving(Protocol):
    """Bulk bytes that are under way."""

    def add(self, parts: Sequence[Chunk]) -> None:
        """Take the next parts. Raises Unavailable: the system will not; all of it is forgotten."""

    def whole(self) -> Parts:
        """Return all parts, now that the last one is there. Raises Unavailable."""

    def forget(self) -> None:
        """Let go of what came, at once; whoever has the whole keeps it."""


class Spool(Protocol):
    """Where long bytes rest while they are used."""

    def arriving(self) -> Arriving:
        """Return what takes the parts of one message. Raises Unavailable: the system will not."""

    def rested(self, parts: Parts) -> Parts:
        """Return the same parts, out of memory if they are long and the system will."""

    def relieve(self, size_bytes: int) -> None:
        """Give pages back to the system, now that so many bytes left the memory."""


class Gathered:
    """Parts that stay in memory."""

    def __init__(self) -> None:
        self._parts: list[Chunk] = []

    def add(self, parts: Sequence[Chunk]) -> None:
        self._parts += parts

    def whole(self) -> Parts:
        return tuple(self._parts)

    def forget(self) -> None:
        self._parts = []


class MemorySpool:
    """Leaves everything in memory: `fed.local` and tests."""

    def arriving(self) -> Arriving:
        return Gathered()

    def rested(self, parts: Parts) -> Parts:
        return parts

    def relieve(self, size_bytes: int) -> None:
        del size_bytes  # what is freed serves whatever comes next
