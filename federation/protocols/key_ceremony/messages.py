"""What is signed in a ceremony: one `Word` a holder and step, the same for all others; boxes go to one of them each.

A word says what its sender has seen, as a digest over all words before it, so a holder who tells two peers two things
is found out one step later; and it has the digest of every box, so whoever opens its entropy can be judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from federation.domain.job import digest


class What(StrEnum):
    """The steps, in their order. Of those with a box for a peer, the box; else the body, which all get."""

    OFFER = "offer"  # box: the first message of transfers; body: the commitment to the entropy
    REPLY = "reply"  # box: the second
    SUMS = "sums"  # box: the third
    CHOOSE = "choose"  # box: choices by the units of this holder, to all before it
    SIEVE = "sieve"  # box: corrections, to the one holder whose turn it is, from all before it
    MULTIPLY = "multiply"  # box: choices by its shares of the second factors
    CORRECT = "correct"  # box: corrections by its shares of the first factors
    OPEN = "open"  # body: shares of the candidates, and a commitment to the shares of their factors
    TEST = "test"  # body: one power for each candidate without a small factor
    CONFIRM = "confirm"  # body: the powers of all other bases, for one candidate that passed
    REVEAL = "reveal"  # body: the shares of the factors of every rejected candidate
    BLIND = "blind"  # box: choices by its shares of p + q
    SHARE = "share"  # box: corrections by its share of beta
    KEY = "key"  # body: its shares of theta and of the verification keys, and a test ciphertext
    DECRYPT = "decrypt"  # body: partial decryptions of all test ciphertexts, with their proof
    AGREE = "agree"  # body: the digest of the key
    DISPUTE = "dispute"  # body: the entropy: something does not add up, and nothing will come of this ceremony


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a holder says in one step.

    Attributes:
        ceremony: `Ceremony.hash`, 32 bytes.
        party: the sender.
        place: number of the step since the beginning, in all batches.
        what: which step it is.
        seen: digest over everybody's words of all steps before this one, 32 bytes.
        boxes: digests of the boxes for all other holders in order, b"" where there is none; () if there are none.
        body: what everybody gets.
    """

    domain: ClassVar[str] = "federation/key_ceremony/v1"

    ceremony: bytes
    party: str
    place: int
    what: What
    seen: bytes
    boxes: tuple[bytes, ...] = ()
    body: bytes = field(default=b"", repr=False)

    @property
    def digest(self) -> bytes:
        """32 bytes over all of it."""
        head = (self.ceremony, self.party.encode(), self.place.to_bytes(8, "big"), self.what.encode(), self.seen)
        return digest(
            "federation/key_ceremony/word/v1", *head, len(self.boxes).to_bytes(2, "big"), *self.boxes, self.body
        )


def box_digest(box: bytes) -> bytes:
    """Return what a word says of a box, b"" for none."""
    return digest("federation/key_ceremony/box/v1", box) if box else b""
