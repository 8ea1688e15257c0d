"""What the parties sign in a sum under a joint key; the coordinator says nothing of its own.

Ready, all of them   Cipher and chunks, all of them   Partial and chunks, all of them
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A party is there, with its share of the key that the setup names; sent ahead of the round's numbers.

    Attributes:
        setup_hash: `Setup.hash`, 32 bytes; the key is part of it.
        party: the sender's name.
    """

    domain: ClassVar[str] = "federation/ready/v1"

    setup_hash: bytes
    party: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cipher:
    """What a party says of its encrypted vector; the ciphertexts follow unsigned, as chunks.

    Attributes:
        spec_hash: `Spec.hash`, 32 bytes.
        party: the sender's name.
        header: `packing.Header` of the vector, 28 bytes: the same from everybody.
        chunk_root: root of the tree over the chunks, 32 bytes.
        number: how many answers this party has given in all, this one included: its own memory must never know fewer;
            0 where it keeps no count.
        proof: that the sender, in this sum, knows what is in all its ciphertexts.
    """

    domain: ClassVar[str] = "federation/cipher/v1"

    spec_hash: bytes
    party: str
    header: bytes
    chunk_root: bytes
    number: int = 0
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A party's part in opening the sum; its answers, one a ciphertext, follow unsigned, as chunks.

    Attributes:
        set_hash: digest of the spec and of everybody's signed `Cipher`, 32 bytes: what this opens, and nothing else.
        chunk_root: root of the tree over the chunks, 32 bytes.
        proof: that the answers were made with the sender's share of the key, from the product of these ciphertexts.
    """

    domain: ClassVar[str] = "federation/partial/v1"

    spec_hash: bytes
    set_hash: bytes
    party: str
    chunk_root: bytes
    proof: bytes = field(repr=False)
