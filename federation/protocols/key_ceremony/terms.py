"""What a ceremony is about: who will hold the key, how long it is, how many candidates are multiplied at once.

Refused: fewer than two holders or more than ten, lengths that no key has.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.domain.job import digest
from federation.errors import Misuse

LEAST_HOLDERS, MOST_HOLDERS = 2, 10
LEAST_BITS, MOST_BITS, BITS_STEP = 512, 4096, 128
BATCH_STEP = 64  # transfers come 64 at a time
SPREAD = 1536  # candidates of a batch times holders: what a party keeps of a batch stays below some 30 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """Everything that all holders agree on before anybody draws a number; all of it is hashed into every message.

    Attributes:
        id: 32 bytes that no other ceremony has: over roster, epoch and attempt.
        holders: sorted names, 2 to 10; all of them are needed for every decryption.
        bits: length of the modulus.
        batch: candidates that are multiplied together, a multiple of 64.
    """

    id: bytes
    holders: tuple[str, ...]
    bits: int
    batch: int

    def __post_init__(self) -> None:
        if tuple(sorted(set(self.holders))) != self.holders or not LEAST_HOLDERS <= len(self.holders) <= MOST_HOLDERS:
            raise Misuse(f"{LEAST_HOLDERS} to {MOST_HOLDERS} holders of a key, sorted and named once each, are needed")
        if len(self.id) != 32 or not LEAST_BITS <= self.bits <= MOST_BITS or self.bits % BITS_STEP:
            raise Misuse(
                f"an id of 32 bytes and {LEAST_BITS} to {MOST_BITS} bits, a multiple of {BITS_STEP}, are needed"
            )
        if self.batch < BATCH_STEP or self.batch % BATCH_STEP:
            raise Misuse(f"candidates are multiplied in batches of a multiple of {BATCH_STEP}")

    @classmethod
    def standard(cls, *, id: bytes, holders: tuple[str, ...], bits: int) -> Ceremony:  # noqa: A002 - the field's name
        """Return the ceremony with the batch that suits so many bits and holders."""
        holders = tuple(sorted(holders))
        wanted = max(BATCH_STEP, min(512, bits // 4))
        fitting = SPREAD // max(1, len(holders)) // BATCH_STEP * BATCH_STEP
        return cls(id=id, holders=holders, bits=bits, batch=min(wanted, fitting))

    @property
    def hash(self) -> bytes:
        """32 bytes over all of it."""
        counts = (self.bits.to_bytes(4, "big"), self.batch.to_bytes(4, "big"))
        return digest("federation/key_ceremony/v1", self.id, *counts, *(name.encode() for name in self.holders))

    def others(self, me: str) -> tuple[str, ...]:
        """Return all holders but one, in order."""
        return tuple(name for name in self.holders if name != me)
