"""Bulk bytes of a frame: inline while they are small, else as runs of parts on a stream of their own.

A message may have 4 MiB (gRPC's default, which is kept); streams of about 1 MiB a message are 4 to 6 times faster
than large unary calls (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from federation.crypto.ring import Chunk

INLINE_BYTES = 2 * 1024 * 1024  # above this the parts of a frame travel on a stream
PIECE_BYTES = 1024 * 1024
BLOB_ID_BYTES = 32
LONG_BYTES = 1 << 17  # of a vector, bundle or frame, above which a disk takes longer to flush it than a line to send it


def pieces_of(parts: Sequence[Chunk]) -> list[list[Chunk]]:
    """Return `parts` in runs of at most PIECE_BYTES, without copying; a part is never larger than that."""
    pieces: list[list[Chunk]] = []
    room = 0
    for part in parts:
        if len(part) > room or not pieces:
            pieces.append([])
            room = PIECE_BYTES
        pieces[-1].append(part)
        room -= len(part)
    return pieces


def is_inline(parts: Sequence[Chunk]) -> bool:
    """Return whether the parts travel in the frame itself."""
    return sum(map(len, parts)) <= INLINE_BYTES
