"""What is signed in a plain sum: by the parties `Present` and `Vector`, by the coordinator `Total`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A party is there; sent ahead of the round's numbers.

    Attributes:
        setup_hash: `Setup.hash`, 32 bytes.
        party: the sender's name.
    """

    domain: ClassVar[str] = "federation/plain-present/v1"

    setup_hash: bytes
    party: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """What a party says of its vector, whose chunks follow unsigned and unmasked.

    Attributes:
        spec_hash: `Spec.hash`, 32 bytes.
        party: the sender's name.
        chunk_root: root of the tree over the chunks, 32 bytes.
        number: how many answers this party has given in all, this one included; 0 where it keeps no count.
    """

    domain: ClassVar[str] = "federation/plain-vector/v1"

    spec_hash: bytes
    party: str
    chunk_root: bytes
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What the coordinator says of the sum, whose chunks follow unsigned.

    Attributes:
        spec_hash: `Spec.hash`, 32 bytes.
        list_hash: over the signed vectors that it adds up, in party order, 32 bytes.
        total_root: root of the tree over the chunks of the sum, 32 bytes.
    """

    domain: ClassVar[str] = "federation/plain-total/v1"

    spec_hash: bytes
    list_hash: bytes
    total_root: bytes
