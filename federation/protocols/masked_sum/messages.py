"""What parties sign in a masked sum. The coordinator signs nothing: it only forwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Advert:
    """A party's key for this sum.

    Attributes:
        setup_hash: `Setup.hash`, 32 bytes.
        party: the sender's name.
        mask_pk: X25519 public key, 32 bytes, canonical, used for this setup only.
    """

    domain: ClassVar[str] = "federation/advert/v1"

    setup_hash: bytes
    party: str
    mask_pk: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a party says of its masked vector, whose chunks follow unsigned.

    Attributes:
        spec_hash: `Spec.hash`, 32 bytes.
        u2_hash: digest of setup, adverts and parties that the masks are made for, 32 bytes.
        party: the sender's name.
        chunk_root: RFC 6962 root over the chunks, 32 bytes.
        length: numbers in the vector.
    """

    domain: ClassVar[str] = "federation/head/v1"

    spec_hash: bytes
    u2_hash: bytes
    party: str
    chunk_root: bytes
    length: int
