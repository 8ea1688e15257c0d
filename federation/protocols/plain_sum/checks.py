"""What both roles check of a plain sum's messages; whom they blame is the rule of `bundles`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from federation.crypto.ring import Chunk
from federation.domain.job import digest
from federation.errors import ProtocolViolation
from federation.protocols.bundles import spoken
from federation.protocols.events import Parcel
from federation.protocols.plain_sum.messages import Present, Vector
from federation.protocols.setup import Setup, Spec, root_of


def present(setup: Setup, parcel: Parcel, relay: str) -> None:
    """Check a party's word that it is there. Raises ProtocolViolation."""
    value = spoken(Present, setup, parcel, relay)
    if value.setup_hash != setup.hash or parcel.chunks:
        raise ProtocolViolation(relay, phase="present", expected="a word for this setup", got="one for another setup")


def vector(spec: Spec, spec_hash: bytes, parcel: Parcel, relay: str) -> Vector:
    """Return a party's word on its vector, without a look at the chunks. Raises ProtocolViolation."""
    value = spoken(Vector, spec.setup, parcel, relay)
    if value.spec_hash != spec_hash:
        raise ProtocolViolation(
            value.party, phase="vector", expected="a vector for this spec", got="one for another: another model or step"
        )
    return value


def rooted(spec: Spec, root: bytes, chunks: Sequence[Chunk], relay: str, phase: str) -> None:
    """Check that chunks have the spec's sizes and lie under a root. Raises ProtocolViolation."""
    if tuple(map(len, chunks)) != spec.chunks:
        raise ProtocolViolation(relay, phase=phase, expected=f"chunks of {spec.length} numbers", got="other sizes")
    if root_of(chunks) != root:
        raise ProtocolViolation(relay, phase=phase, expected="the chunks under the signed root", got="other bytes")


def list_hash(spec_hash: bytes, vectors: Iterable[Parcel]) -> bytes:
    """Return what binds whose signed vectors are added up, in party order, 32 bytes."""
    return digest("federation/plain_sum/list/v1", spec_hash, *(parcel.message.digest for parcel in vectors))
