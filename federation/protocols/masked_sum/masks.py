"""What a mask is derived from, and how it hides a vector.

Everything that two parties must agree on enters the seed of their mask: whoever was shown another spec, roster, list of
parties or key gets a mask that does not cancel, and the sum is noise instead of somebody's figure. The names make the
seed of (i, j) another one than that of (i, k) even where k's key is a copy or an alias of j's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from federation.crypto import agreement, ring
from federation.crypto.prg import Keystream
from federation.domain.job import digest
from federation.protocols.secure_sum import CHUNK_BYTES, Setup

PAIR_LABEL = b"federation/masked_sum/pair/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What the masks of one sum are bound to, 32 bytes each.

    Attributes:
        adverts_hash: over the digests of all signed adverts ("roster_hash" in the message table of masked sums).
        u2_hash: over the setup, the adverts and the parties that are masked against.
    """

    spec_hash: bytes
    adverts_hash: bytes
    u2_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One party of a pair: its name and its public key."""

    party: str
    mask_pk: bytes


def mask_keys(entropy: bytes, setup: Setup) -> tuple[bytes, bytes]:
    """Return (private, public) of the X25519 key of this setup; the same entropy gives another setup another key."""
    info = b"federation/masked_sum/mask_key/v1" + setup.hash
    return agreement.key_pair(agreement.derive(entropy, info))


def hash_of_adverts(digests: Mapping[str, bytes]) -> bytes:
    """Return adverts_hash over the body digests of all adverts, sorted."""
    return digest("federation/masked_sum/adverts/v1", *sorted(digests.values()))


def hash_of_u2(setup: Setup, adverts_hash: bytes) -> bytes:
    """Return u2_hash: who is masked against whom; here all parties of the setup."""
    return digest("federation/masked_sum/u2/v1", setup.hash, adverts_hash, *(p.encode() for p in setup.parties))


def pair_info(binding: Binding, low: Side, high: Side) -> bytes:
    """Return the HKDF info of the pair's mask, each part length-prefixed; `low` is the party whose name sorts first."""
    parts = (
        PAIR_LABEL,
        binding.spec_hash,
        binding.adverts_hash,
        binding.u2_hash,
        low.party.encode(),
        high.party.encode(),
        low.mask_pk,
        high.mask_pk,
    )
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def pair_seed(private: bytes, me: Side, peer: Side, binding: Binding) -> bytes:
    """Return the 32-byte seed of the mask between `me` and `peer`, the same on both sides.

    Raises:
        BadPublicKey: the peer's key is one that no honest party announces.
    """
    low, high = sorted((me, peer), key=lambda side: side.party)
    return agreement.derive(agreement.shared(private, peer.mask_pk), pair_info(binding, low, high))


def masked(vector: bytes, seeds: Mapping[str, bytes], me: str) -> Iterator[bytes]:
    """Yield the masked vector in chunks: plus the mask of every peer whose name sorts after mine, minus the others.

    A chunk at a time goes through all masks, so that it stays in the processor's cache and no vector is copied.

    Args:
        vector: ring elements, 16 bytes each.
        seeds: peer -> seed of the pair's mask; each is used here once and never again.
        me: the masking party's name.
    """
    streams = [(Keystream(seed), me < peer) for peer, seed in sorted(seeds.items())]
    plain = ring.from_bytes(vector)
    most = CHUNK_BYTES // ring.ELEMENT_BYTES
    scratch = np.empty((min(most, len(plain)), 2), dtype="<u8")
    for start in range(0, len(plain), most):
        words = scratch[: len(plain) - start]
        words[:] = plain[start : start + most]
        for stream, adds in streams:
            piece = stream.piece(words.nbytes)
            if adds:
                ring.add_into(words, piece)
            else:
                ring.subtract_into(words, piece)
        yield ring.to_bytes(words)


def summed(vectors: Mapping[str, tuple[bytes, ...]]) -> bytes:
    """Return the sum in Z_2^128 of vectors in chunks of equal sizes; over all parties the masks cancel."""
    pieces = []
    scratch = np.empty((CHUNK_BYTES // ring.ELEMENT_BYTES, 2), dtype="<u8")
    for first, *others in zip(*vectors.values(), strict=True):
        total = scratch[: len(first) // ring.ELEMENT_BYTES]
        total[:] = ring.from_bytes(first)
        for chunk in others:
            ring.add_into(total, ring.from_bytes(chunk))
        pieces.append(ring.to_bytes(total))
    return b"".join(pieces)
