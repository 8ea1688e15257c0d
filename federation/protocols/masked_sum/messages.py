"""What is signed in a masked sum: by the parties all but `Opening`, which the coordinator says. M0 to M9 of the design.

M0 Advert   M1 all adverts   M2 Shares   M3 shares for one party   M4 Head and chunks   M5 heads of those counted
M6 Consent  M7 consents      M8 Unmask   M9 Opening with heads and chunks   and, for long vectors, Challenge
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Advert:
    """M0: a party's keys for this sum, used for this setup only.

    Attributes:
        setup_hash: `Setup.hash`, 32 bytes.
        party: the sender's name.
        enc_pk: X25519 public key that shares are sealed to, 32 bytes, canonical.
        mask_pk: X25519 public key that masks are made from, 32 bytes, canonical.
    """

    domain: ClassVar[str] = "federation/advert/v2"

    setup_hash: bytes
    party: str
    enc_pk: bytes
    mask_pk: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """M2: a party deals shares of its two secrets; the boxes, one a neighbour in party order, are the chunks.

    A box is two sealed shares and a digest of each, so that whoever gives another share later is found out.

    Attributes:
        adverts_hash: over all adverts that the shares are dealt among, 32 bytes.
        commitment: digest of the self-mask's seed, 32 bytes: a wrongly opened seed is found out.
        boxes_root: RFC 6962 root over the boxes, 32 bytes; each neighbour gets its own box and the path to it.
    """

    domain: ClassVar[str] = "federation/shares/v1"

    setup_hash: bytes
    adverts_hash: bytes
    party: str
    commitment: bytes
    boxes_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """M4: what a party says of its masked vector, whose chunks follow unsigned.

    Attributes:
        spec_hash: `Spec.hash`, 32 bytes.
        u2_hash: digest of setup, adverts and shares of all who are masked against, 32 bytes.
        party: the sender's name.
        chunk_root: root of the tree over the chunks, 32 bytes.
        length: elements in the vector.
        number: how many answers this party has given in all, this one included: its own memory must never know fewer;
            0 where it keeps no count.
    """

    domain: ClassVar[str] = "federation/head/v2"

    spec_hash: bytes
    u2_hash: bytes
    party: str
    chunk_root: bytes
    length: int
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """M6: a party agrees that the sum is opened over one list of contributors, and over no other.

    Attributes:
        u3_hash: digest of the spec and of the heads of all who are counted, 32 bytes.
    """

    domain: ClassVar[str] = "federation/consent/v1"

    spec_hash: bytes
    u3_hash: bytes
    party: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmask:
    """M8: the shares that open the sum: of every neighbour exactly one kind.

    Attributes:
        self_shares: 33 bytes for each neighbour who is counted, and for itself if it is, in party order: of the seed of
            its self-mask.
        key_shares: 33 bytes for each neighbour who was masked against and is not counted, in party order: of its mask
            key.
    """

    domain: ClassVar[str] = "federation/unmask/v1"

    spec_hash: bytes
    u3_hash: bytes
    party: str
    self_shares: tuple[bytes, ...] = field(repr=False)
    key_shares: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """M9: what the coordinator opened; everybody checks it against commitments and keys.

    Attributes:
        seeds: 32 bytes for everybody who is counted, in party order.
        keys: 32 bytes for everybody who was masked against and is not counted, in party order.
        total_root: root of the tree over the chunks of the total, 32 bytes.
    """

    domain: ClassVar[str] = "federation/opening/v1"

    spec_hash: bytes
    u3_hash: bytes
    seeds: tuple[bytes, ...] = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    total_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A party asks for these chunks of every contributor, to add them up itself.

    Attributes:
        places: chunk numbers, rising.
    """

    domain: ClassVar[str] = "federation/challenge/v1"

    spec_hash: bytes
    u3_hash: bytes
    party: str
    places: tuple[int, ...]
