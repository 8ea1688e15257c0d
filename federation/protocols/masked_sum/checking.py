"""How a party checks a total before it goes on: it adds up everything itself, or what it drew by lot.

Statistics: the party gets every masked vector, each under the root that its owner signed, and adds them up. Long
vectors: it gets the total, and draws by a lot that the coordinator cannot know a few chunks of every contributor, with
paths to the signed roots. That is weaker: who alters a fraction f of the chunks stays unseen with (1 - f)^SAMPLES a
party.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.crypto import agreement
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import Chunk
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols import bundles
from federation.protocols.events import Parcel, Release
from federation.protocols.masked_sum import checks, masks, opening
from federation.protocols.masked_sum.masks import Binding
from federation.protocols.masked_sum.messages import Challenge, Head, Opening
from federation.protocols.masked_sum.opening import Masked, Secrets
from federation.protocols.setup import Spec

SAMPLES = 4  # chunks of a long total that every party draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a party knows once it has consented: all that a total is checked against.

    Attributes:
        counted: whose numbers are in the sum, in party order.
        heads: what each of them signed, in the same order.
    """

    spec: Spec
    binding: Binding
    masked: Masked
    counted: tuple[str, ...]
    heads: tuple[Head, ...]
    u3_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A long total as the coordinator claims it, and the chunks of it that are still to be checked."""

    chunks: tuple[Chunk, ...] = field(repr=False)
    root: bytes
    secrets: Secrets
    places: tuple[int, ...]


def recomputed(known: Known, parcels: tuple[Parcel, ...], relay: str) -> Release:
    """Return the total that every counted vector adds up to. Raises ProtocolViolation."""
    found, said, chunks = _parts(known, parcels, relay)
    if chunks:
        raise ProtocolViolation(relay, phase="opening", expected="an opening without chunks", got="chunks")
    secrets = opening.announced(known.spec, known.masked, known.counted, said, relay)
    vectors = []
    for party, head in zip(known.counted, known.heads, strict=True):
        checks.vector(known.spec, head, found[party].chunks, relay)
        vectors.append(found[party].chunks)
    streams = secrets.streams(known.masked, known.binding)
    total, leaves = masks.summed(vectors, known.spec.ring, streams)
    if merkle.root(leaves) != said.total_root:
        raise ProtocolViolation(
            relay, phase="opening", expected="the total that the parties' vectors add up to", got="another total"
        )
    return Release(chunks=total, parties=known.counted, root=said.total_root)


def challenged(known: Known, parcels: tuple[Parcel, ...], lot: bytes, me: str, relay: str) -> tuple[Claimed, Challenge]:
    """Return the total that the coordinator claims, and the question for the chunks drawn. Raises ProtocolViolation."""
    found, said, chunks = _parts(known, parcels, relay)
    if any(parcel.chunks for parcel in found.values()):
        raise ProtocolViolation(relay, phase="opening", expected="heads without chunks", got="chunks")
    secrets = opening.announced(known.spec, known.masked, known.counted, said, relay)
    opening.rooted_total(known.spec, said, chunks, relay)
    places = drawn(lot, said.total_root, len(known.spec.chunks))
    claimed = Claimed(chunks=chunks, root=said.total_root, secrets=secrets, places=places)
    question = Challenge(spec_hash=known.binding.spec_hash, u3_hash=known.u3_hash, party=me, places=places)
    return claimed, question


def sampled(known: Known, claimed: Claimed, parcels: tuple[Parcel, ...], relay: str) -> Release:
    """Return the claimed total after adding up the drawn chunks of everybody. Raises ProtocolViolation."""
    found = bundles.one_each(known.spec.setup, parcels, relay, "samples", len(known.counted))
    _same_heads(known, found, relay)
    sizes = known.spec.chunks
    drawn_chunks: dict[int, list[Chunk]] = {place: [] for place in claimed.places}
    for party, head in zip(known.counted, known.heads, strict=True):
        rest = list(found[party].chunks)
        for place in claimed.places:
            path_length = len(merkle.inclusion([b""] * len(sizes), place))
            chunk, path = rest[0] if rest else b"", list(map(bytes, rest[1 : 1 + path_length]))
            rest = rest[1 + path_length :]
            leaf = chunk_hash(chunk)
            if len(chunk) != sizes[place] or not merkle.included(head.chunk_root, leaf, place, len(sizes), path):
                raise ProtocolViolation(
                    relay, phase="samples", expected=f"the drawn chunks under {party}'s signed root", got="other bytes"
                )
            drawn_chunks[place].append(chunk)
        if rest:
            raise ProtocolViolation(relay, phase="samples", expected="the drawn chunks", got="more than these")
    streams = claimed.secrets.streams(known.masked, known.binding)
    for place, chunks in drawn_chunks.items():
        sum_of = masks.summed_chunk(chunks, known.spec.ring, streams, place)
        if sum_of != bytes(claimed.chunks[place]):  # a view is compared byte by byte, forty times as slowly
            raise ProtocolViolation(
                relay, phase="samples", expected="the total that the parties' vectors add up to", got="another total"
            )
    return Release(chunks=claimed.chunks, parties=known.counted, root=claimed.root)


def drawn(lot: bytes, total_root: bytes, chunks: int) -> tuple[int, ...]:
    """Return which chunks of a total are checked: SAMPLES of them, rising, or all where there are no more."""
    if chunks <= SAMPLES:
        return tuple(range(chunks))
    found: set[int] = set()
    turn = 0
    while len(found) < SAMPLES:
        number = agreement.derive(lot, b"federation/masked_sum/lot/v1" + total_root + turn.to_bytes(4, "big"), 8)
        found.add(int.from_bytes(number, "big") % chunks)
        turn += 1
    return tuple(sorted(found))


def _parts(
    known: Known, parcels: tuple[Parcel, ...], relay: str
) -> tuple[dict[str, Parcel], Opening, tuple[Chunk, ...]]:
    """Return the heads' parcels, the coordinator's opening and its chunks. Raises ProtocolViolation."""
    said = [parcel for parcel in parcels if isinstance(parcel.message.value, Opening)]
    if len(said) != 1 or said[0].message.sender != relay:
        raise ProtocolViolation(relay, phase="opening", expected="one opening, its own", got="something else")
    value = said[0].message.value
    found = bundles.one_each(
        known.spec.setup, (p for p in parcels if p is not said[0]), relay, "opening", len(known.counted)
    )
    _same_heads(known, found, relay)
    if not isinstance(value, Opening) or (value.spec_hash, value.u3_hash) != (known.binding.spec_hash, known.u3_hash):
        raise ProtocolViolation(relay, phase="opening", expected="an opening of this list", got="one of another")
    return found, value, said[0].chunks


def _same_heads(known: Known, found: Mapping[str, Parcel], relay: str) -> None:
    same = masks.hash_of_u3(known.binding, (parcel.message.digest for parcel in found.values())) == known.u3_hash
    if not same or tuple(found) != known.counted:
        raise ProtocolViolation(relay, phase="opening", expected="the heads that were agreed on", got="others")
