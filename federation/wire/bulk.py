"""Bulk bytes of a frame: inline while they are small, else as runs of parts on a stream of their own.

A message may have 4 MiB (gRPC's default, which is kept); streams of about 1 MiB a message are 4 to 6 times faster
than large unary calls (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from federation.crypto.ring import Chunk

INLINE_BYTES = 2 * 1024 * 1024  # above this the parts of a frame travel on a stream
PIECE_BYTES = 1024 * 1024
BLOB_ID_BYTES = 32
LONG_BYTES = 1 << 17  # of a vector, bundle or frame, above which a disk takes longer to flush it than a line to send it


def pieces_of(parts: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Yield `parts` in runs of at most PIECE_BYTES, without copying; a part is never larger than that.

    A part is taken when its run is asked for: those that rest elsewhere are not held.
    """
    piece: list[Chunk] = []
    room = PIECE_BYTES
    for part in parts:
        if piece and len(part) > room:
            yield piece
            piece, room = [], PIECE_BYTES
        piece.append(part)
        room -= len(part)
    if piece:
        yield piece


def is_inline(parts: Sequence[Chunk]) -> bool:
    """Return whether the parts travel in the frame itself."""
    return sum(map(len, parts)) <= INLINE_BYTES
