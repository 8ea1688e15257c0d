"""What names a chunk of a long vector, and so is a leaf of the tree whose root a party signs.

BLAKE3 in key-derivation mode (section 2.3 of its paper, 2020) under a context of its own: collision resistant as
SHA-256 is, no leaf can pass as an inner node of the tree (RFC 6962 section 2.1, SHA-256), and four times faster where
a round hashes every vector at its sender, at the coordinator and at every party that checks. Short things, the ledger
and all that is signed keep SHA-256.
"""

from __future__ import annotations

from typing import Final

from blake3 import blake3

CONTEXT: Final = "federation 2026-11 leaf of a chunk v1"


def chunk_hash(data: bytes | memoryview, *, threads: int = 1) -> bytes:
    """Return the hash of a chunk, 32 bytes; other threads run meanwhile. More of them hash what is long sooner."""
    return blake3(data, derive_key_context=CONTEXT, max_threads=threads).digest()
