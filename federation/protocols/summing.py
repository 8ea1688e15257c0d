"""Adding up long vectors in chunks, with mask streams or without: the sum's chunks and their leaves in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from federation.crypto.blinding import blinded_sum
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import RINGS, Chunk


def summed(
    vectors: Sequence[Sequence[Chunk]],
    ring: str,
    *,
    add: Sequence[bytes] = (),
    subtract: Sequence[bytes] = (),
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the chunks of the sum of vectors, given in chunks of equal sizes, and of streams; and leaf hashes."""
    done = blinded_sum(vectors, RINGS[ring], add=add, subtract=subtract, finish=_finished)
    return tuple(chunk for chunk, _ in done), tuple(leaf for _, leaf in done)


def _finished(chunk: memoryview) -> tuple[bytes, bytes]:
    data = bytes(chunk)
    return data, chunk_hash(data)
