"""What a daemon does with long bytes that it needs no more: their memory is freed while others still name them.

What came off a line, or went out on it, is named by frames, parcels and effects up and down the stack. Where those
names are views, releasing the views frees what they show; whoever looks at one later gets a ValueError, no other bytes.
Only for bytes that are nobody else's: in one process members hand each other the same ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from federation.crypto.ring import Chunk


def views(chunks: Iterable[Chunk]) -> tuple[memoryview, ...]:
    """Return views of chunks, of their own: releasing one leaves the chunk to others who hold it."""
    return tuple(memoryview(chunk) for chunk in chunks)


def let_go(chunks: Iterable[Chunk]) -> None:
    """Release the chunks that are views; those of which an array is in use stay until it is gone."""
    for chunk in chunks:
        if isinstance(chunk, memoryview):
            with contextlib.suppress(BufferError):
                chunk.release()
