"""What somebody who was not there checks of an opened sum, from what was kept of it: all that a party checked.

Each function is one link of the chain from the parties' keys to the opened total, and takes what those before it
returned. Shares come without their boxes, heads with all chunks of their vectors. A party can only judge what it was
shown; here everybody's words are side by side, so a sum that holds is the only one that could be opened: threshold many
signed one list, under seeds and keys that were fixed before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import Chunk
from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols import bundles
from federation.protocols.events import Attested, Message, Parcel, Release
from federation.protocols.masked_sum import checks, masks, opening
from federation.protocols.masked_sum.checking import Known
from federation.protocols.masked_sum.graph import Graph
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Opening
from federation.protocols.masked_sum.opening import Masked, Secrets
from federation.protocols.setup import Setup, Spec

Parcels: TypeAlias = Sequence[Parcel]  # of one step; every signature is verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertised:
    """The public keys of everybody who was dealt to, by name, and the hash of their signed words."""

    sides: Mapping[str, Side]
    adverts_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkProof:
    """One chunk of everybody's vector with its path, and where it must be found in the total: enough to check it alone.

    Attributes:
        place: from 0.
        chunks: party -> (chunk, path to the root that the party signed), in party order.
        total_path: from the chunk's sum to the root that the coordinator signed.
    """

    place: int
    chunks: Mapping[str, tuple[Chunk, tuple[bytes, ...]]] = field(repr=False)
    total_path: tuple[bytes, ...]


def advertised(setup: Setup, adverts: Parcels, relay: str) -> Advertised:
    """Return everybody's keys: sound, distinct, for this setup. Raises ProtocolViolation."""
    found = bundles.one_each(setup, adverts, relay, "adverts", setup.least)
    setup_hash = setup.hash
    keys = {party: checks.advert(setup, setup_hash, parcel, relay) for party, parcel in found.items()}
    checks.distinct(keys, relay)
    return Advertised(
        sides={p: Side(party=p, enc_pk=of.advert.enc_pk, mask_pk=of.advert.mask_pk) for p, of in keys.items()},
        adverts_hash=masks.hash_of_adverts(setup_hash, (parcel.message.digest for parcel in found.values())),
    )


def dealt(setup: Setup, keys: Advertised, shares: Parcels, relay: str) -> tuple[Masked, bytes]:
    """Return who is masked against, with what each committed itself to, and u2_hash. Raises ProtocolViolation."""
    found = bundles.one_each(setup, shares, relay, "shares", setup.least)
    setup_hash = setup.hash
    values = {p: checks.shares(setup, setup_hash, keys.adverts_hash, parcel, relay) for p, parcel in found.items()}
    _only(values, keys.sides, relay, "shares", "those who advertised")
    masked = Masked(
        sides=tuple(keys.sides[party] for party in values),
        commitments=tuple(value.commitment for value in values.values()),
        graph=Graph.of(setup, keys.adverts_hash, tuple(keys.sides)),
    )
    return masked, masks.hash_of_u2(keys.adverts_hash, (parcel.message.digest for parcel in found.values()))


def counted(spec: Spec, keys: Advertised, masked: Masked, u2_hash: bytes, heads: Parcels, relay: str) -> Known:
    """Return who is counted, bound to this spec and to their vectors. Raises ProtocolViolation."""
    binding = Binding(spec_hash=spec.hash, adverts_hash=keys.adverts_hash, u2_hash=u2_hash)
    found = bundles.one_each(spec.setup, heads, relay, "heads", spec.setup.least)
    _only(found, masked.names, relay, "heads", "those who shared")
    if few := masked.graph.thin(found):
        expected = f"contributors among any {len(few)} neighbouring places"
        raise ProtocolViolation(relay, phase="heads", expected=expected, got=f"too few from {few[0]} to {few[-1]}")
    values = {party: checks.head(spec, binding, parcel, relay) for party, parcel in found.items()}
    return Known(
        spec=spec,
        binding=binding,
        masked=masked,
        counted=tuple(values),
        heads=tuple(values.values()),
        u3_hash=masks.hash_of_u3(binding, (parcel.message.digest for parcel in found.values())),
    )


def consented(known: Known, consents: Parcels, relay: str) -> tuple[str, ...]:
    """Return who agreed to exactly this list of contributors, enough of them. Raises ProtocolViolation."""
    setup = known.spec.setup
    found = bundles.one_each(setup, consents, relay, "consents", setup.threshold)
    _only(found, known.masked.names, relay, "consents", "those who shared")
    for parcel in found.values():
        checks.consent(setup, known.binding.spec_hash, known.u3_hash, parcel, relay)
    return tuple(found)


def opened(known: Known, message: Attested[Message], relay: str) -> tuple[Opening, Secrets]:
    """Return what the coordinator opened, each secret held against what its owner signed. Raises ProtocolViolation."""
    said = message.value
    if not isinstance(said, Opening) or message.sender != relay:
        raise ProtocolViolation(relay, phase="opening", expected="its own opening", got="something else")
    if (said.spec_hash, said.u3_hash) != (known.binding.spec_hash, known.u3_hash):
        raise ProtocolViolation(relay, phase="opening", expected="an opening of this list", got="one of another")
    return said, opening.announced(known.spec, known.masked, known.counted, said, relay)


def rooted(known: Known, heads: Parcels, relay: str) -> None:
    """Check that every chunk of everybody who is counted is under its owner's root. Raises ProtocolViolation."""
    vectors = _vectors(heads)
    for party, head in zip(known.counted, known.heads, strict=True):
        try:
            checks.vector(known.spec, head, vectors[party], relay)
        except ProtocolViolation as fault:
            got = f"{fault.got} in the vector of {party}"
            raise ProtocolViolation(relay, phase="vectors", expected=fault.expected, got=got) from None


def recomputed(known: Known, said: Opening, secrets: Secrets, heads: Parcels, relay: str) -> Release:
    """Return the total that the vectors add up to, which is the one that was signed. Raises ProtocolViolation."""
    vectors = _vectors(heads)
    streams = secrets.streams(known.masked, known.binding)
    total, leaves = masks.summed([vectors[party] for party in known.counted], known.spec.ring, streams)
    if merkle.root(leaves) != said.total_root:
        raise ProtocolViolation(
            relay, phase="total", expected="the total that the parties' vectors add up to", got="another total"
        )
    return Release(chunks=total, parties=known.counted)


def leaves(known: Known, said: Opening, total_leaves: Sequence[bytes], relay: str) -> None:
    """Check that these are the leaf hashes of the total that the coordinator signed. Raises ProtocolViolation."""
    # As many as there are chunks: an inner node would pass for a leaf of a smaller tree under the same root.
    if len(total_leaves) != len(known.spec.chunks) or merkle.root(total_leaves) != said.total_root:
        raise ProtocolViolation(
            relay, phase="total", expected="leaf hashes under the signed root of the total", got="others"
        )


def chunk_proof(known: Known, heads: Parcels, total_leaves: Sequence[bytes], place: int, relay: str) -> ChunkProof:
    """Return what proves chunk `place` of the total alone; `leaves` holds for the total's.

    Raises:
        Misuse: there is no such chunk.
        ProtocolViolation: vectors of other sizes than the spec says.
    """
    count = len(known.spec.chunks)
    if not 0 <= place < count:
        raise Misuse(f"there is no chunk {place}", hint=f"a vector of this sum has chunks 0 to {count - 1}")
    vectors = _vectors(heads)
    chunks = {}
    for party, head in zip(known.counted, known.heads, strict=True):
        checks.vector(known.spec, head, vectors[party], relay, rooted=False)
        path = merkle.inclusion([chunk_hash(chunk) for chunk in vectors[party]], place)
        chunks[party] = (vectors[party][place], path)
    return ChunkProof(place=place, chunks=chunks, total_path=merkle.inclusion(total_leaves, place))


def chunk_sum(known: Known, said: Opening, secrets: Secrets, proof: ChunkProof, relay: str) -> tuple[bytes, bool]:
    """Return one chunk of the total, added up from nothing but the proof, and whether it is the one that was signed.

    Raises:
        ProtocolViolation: a chunk is not under its owner's root.
    """
    spec, place = known.spec, proof.place
    sizes = spec.chunks
    for party, head in zip(known.counted, known.heads, strict=True):
        chunk, path = proof.chunks[party]
        leaf = chunk_hash(chunk)
        if len(chunk) != sizes[place] or not merkle.included(head.chunk_root, leaf, place, len(sizes), path):
            got = f"other bytes in the vector of {party}"
            raise ProtocolViolation(relay, phase="chunk", expected="the chunk under the signed root", got=got)
    streams = secrets.streams(known.masked, known.binding)
    found = masks.summed_chunk([proof.chunks[party][0] for party in known.counted], spec.ring, streams, place)
    return found, merkle.included(said.total_root, chunk_hash(found), place, len(sizes), proof.total_path)


def _vectors(heads: Parcels) -> dict[str, tuple[Chunk, ...]]:
    return {parcel.message.sender: parcel.chunks for parcel in heads}


def _only(
    found: Mapping[str, object], known: Mapping[str, object] | tuple[str, ...], relay: str, phase: str, of: str
) -> None:
    if strange := sorted(set(found) - set(known)):
        raise ProtocolViolation(relay, phase=phase, expected=f"{phase} of {of}", got=f"also of {', '.join(strange)}")
