"""What both roles check of the parties' messages, and whom they blame.

The rule of blame: what a signature under our own setup proves falls on the signer. Everything else - a message that is
missing, doubled, of another setup or by a stranger, chunks that do not belong to the signed root - falls on the relay,
the member who handed us the message: it could have checked the same. For the aggregator the relay is the sender itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from federation.crypto import agreement, shamir
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Message, Parcel
from federation.protocols.masked_sum.masks import Binding
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask, Withdrawal
from federation.protocols.setup import Check, Setup, Spec

SEALED_BYTES = 2 * shamir.SHARE_BYTES + 16  # two shares and the tag of AES-GCM
BOX_BYTES = SEALED_BYTES + 2 * 32  # and a digest of each share: who gives another one than it was dealt is found out
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Keys:
    """An advert's two keys, and what is equal for aliases of them."""

    advert: Advert
    representatives: tuple[bytes, bytes]


def advert(setup: Setup, setup_hash: bytes, parcel: Parcel, relay: str) -> Keys:
    """Return the checked advert and its keys' representatives. Raises ProtocolViolation."""
    value = _spoken(Advert, setup, parcel, relay)
    if parcel.chunks:
        raise ProtocolViolation(relay, phase="advert", expected="an advert without chunks", got="chunks")
    if value.setup_hash != setup_hash:
        raise ProtocolViolation(relay, phase="advert", expected="an advert for this setup", got="one for another setup")
    try:
        return Keys(value, (agreement.representative(value.enc_pk), agreement.representative(value.mask_pk)))
    except agreement.BadPublicKey as fault:
        raise ProtocolViolation(value.party, phase="advert", expected="a sound X25519 key", got=str(fault)) from None


def shares(setup: Setup, setup_hash: bytes, adverts_hash: bytes, parcel: Parcel, relay: str) -> Shares:
    """Return the checked shares; their boxes are judged by `boxes` or `own_box`. Raises ProtocolViolation."""
    value = _spoken(Shares, setup, parcel, relay)
    if value.setup_hash != setup_hash:
        raise ProtocolViolation(relay, phase="shares", expected="shares for this setup", got="some for another setup")
    if value.adverts_hash != adverts_hash:
        raise ProtocolViolation(
            relay, phase="shares", expected="shares dealt among these adverts", got="some dealt among others"
        )
    return value


def boxes(value: Shares, chunks: Sequence[bytes], peers: int, relay: str) -> tuple[bytes, ...]:
    """Return the leaf hashes of a sender's boxes: one a peer, under the signed root. Raises ProtocolViolation."""
    if len(chunks) != peers or any(len(box) != BOX_BYTES for box in chunks):
        raise ProtocolViolation(
            relay, phase="shares", expected=f"{peers} boxes of {BOX_BYTES} bytes", got="other numbers or sizes"
        )
    leaves = tuple(merkle.leaf_hash(box) for box in chunks)
    if merkle.root(leaves) != value.boxes_root:
        raise ProtocolViolation(relay, phase="shares", expected="the boxes under the signed root", got="other bytes")
    return leaves


def own_box(value: Shares, chunks: Sequence[bytes], place: int, peers: int, relay: str) -> bytes:
    """Return the box for us, which is at `place` under the signed root. Raises ProtocolViolation."""
    box, *path = chunks or (b"",)
    if len(box) != BOX_BYTES or not merkle.included(value.boxes_root, merkle.leaf_hash(box), place, peers, path):
        raise ProtocolViolation(relay, phase="shares", expected="my box under the signed root", got="another")
    return box


def head(spec: Spec, binding: Binding, parcel: Parcel, relay: str) -> Head:
    """Return the checked head, without a look at its chunks. Raises ProtocolViolation."""
    value = _spoken(Head, spec.setup, parcel, relay)
    if value.u2_hash != binding.u2_hash:
        raise ProtocolViolation(
            relay, phase="head", expected="a head for these adverts and parties", got="one for others"
        )
    if value.spec_hash != binding.spec_hash:  # under our own u2_hash: the signer follows another plan or other totals
        raise ProtocolViolation(value.party, phase="head", expected="a head for this spec", got="one for another spec")
    if value.length != spec.length:
        raise ProtocolViolation(
            value.party, phase="head", expected=f"{spec.length} numbers", got=f"{value.length} numbers"
        )
    return value


def vector(spec: Spec, value: Head, chunks: Sequence[bytes], relay: str, *, rooted: bool = True) -> tuple[bytes, ...]:
    """Check a head's chunks; return leaf hashes, or () if the root is not looked at. Raises ProtocolViolation."""
    if tuple(map(len, chunks)) != spec.chunks:
        raise ProtocolViolation(relay, phase="head", expected=f"chunks of {spec.length} numbers", got="other sizes")
    if not rooted:
        return ()
    leaves = tuple(merkle.leaf_hash(chunk) for chunk in chunks)
    if merkle.root(leaves) != value.chunk_root:
        raise ProtocolViolation(relay, phase="head", expected="the chunks under the signed root", got="other bytes")
    return leaves


def consent(setup: Setup, spec_hash: bytes, u3_hash: bytes, parcel: Parcel, relay: str) -> Consent:
    """Return the checked consent to this very list. Raises ProtocolViolation."""
    value = _spoken(Consent, setup, parcel, relay)
    if value.spec_hash != spec_hash or value.u3_hash != u3_hash or parcel.chunks:
        raise ProtocolViolation(
            relay, phase="consent", expected="a consent to this list of contributors", got="one to another list"
        )
    return value


def unmask(spec: Spec, u3_hash: bytes, counted: int, absent: Collection[str], parcel: Parcel, relay: str) -> Unmask:
    """Return the checked shares: of everybody exactly one kind, each below the prime. Raises ProtocolViolation."""
    value = _spoken(Unmask, spec.setup, parcel, relay)
    if value.spec_hash != spec.hash or value.u3_hash != u3_hash or parcel.chunks:
        raise ProtocolViolation(relay, phase="unmask", expected="shares that open this list", got="another list's")
    wanted = (counted, len(absent) - (value.party in absent))
    if (len(value.self_shares), len(value.key_shares)) != wanted:
        raise ProtocolViolation(
            value.party,
            phase="unmask",
            expected=f"{wanted[0]} shares of seeds and {wanted[1]} of keys",
            got=f"{len(value.self_shares)} and {len(value.key_shares)}",
        )
    try:
        for share in (*value.self_shares, *value.key_shares):
            shamir.check(share)
    except shamir.BadShare as fault:
        raise ProtocolViolation(value.party, phase="unmask", expected="sound shares", got=str(fault)) from None
    return value


def withdrawal(setup: Setup, parcel: Parcel, relay: str) -> None:
    """Check a party's word that it did not open this attempt. Raises ProtocolViolation."""
    value = _spoken(Withdrawal, setup, parcel, relay)
    if value.setup_hash != setup.hash or parcel.chunks:
        raise ProtocolViolation(relay, phase="withdrawal", expected="a word on this attempt", got="one on another")


def one_each(setup: Setup, parcels: Iterable[Parcel], relay: str, phase: str, least: int) -> dict[str, Parcel]:
    """Return the parcels by sender, in party order: at most one of a party, of `least` parties at least.

    Raises:
        ProtocolViolation: two of one party, one of a stranger, or too few.
    """
    found: dict[str, Parcel] = {}
    for parcel in parcels:
        sender = parcel.message.sender
        if sender in found:
            raise ProtocolViolation(relay, phase=phase, expected="one message a party", got=f"two of {sender}")
        found[sender] = parcel
    if strange := sorted(set(found) - set(setup.parties)):
        raise ProtocolViolation(
            relay, phase=phase, expected="the parties of the setup", got=f"also {', '.join(strange)}"
        )
    if len(found) < least:
        absent = [party for party in setup.parties if party not in found]
        everybody = "every party" if least == len(setup.parties) else f"at least {least} parties"
        raise ProtocolViolation(relay, phase=phase, expected=everybody, got=f"none of {', '.join(absent)}")
    return {party: found[party] for party in setup.parties if party in found}


def distinct(keys: Mapping[str, Keys], relay: str, me: str = "") -> None:
    """Refuse two keys that are equal or aliases: the later in order copied, or the relay let a copy through.

    A copy of my own key is the other party's doing, whatever the order. Raises ProtocolViolation.
    """
    owner: dict[bytes, str] = {}
    for party, of in keys.items():
        for representative in of.representatives:
            if representative not in owner:
                owner[representative] = party
                continue
            first = owner[representative]
            culprit = party if first == party else {party: first, first: party}.get(me, relay)
            whose = "two keys that are one" if first == party else f"{first} and {party} with one key"
            raise ProtocolViolation(culprit, phase="advert", expected="keys of its own from every party", got=whose)


def _spoken(kind: type[M], setup: Setup, parcel: Parcel, relay: str) -> M:
    """Return the parcel's message: of this kind, by a party of the setup, in its own name."""
    sender, value, phase = parcel.message.sender, parcel.message.value, kind.__name__.lower()
    if not isinstance(value, kind):
        raise ProtocolViolation(relay, phase=phase, expected=f"a message of kind {phase}", got="something else")
    if sender not in setup.parties:
        raise ProtocolViolation(relay, phase=phase, expected="a party of the setup", got="a stranger")
    if getattr(value, "party", "") != sender:
        raise ProtocolViolation(sender, phase=phase, expected="a message in its own name", got="another party's name")
    return value


def whole_vector(spec: Spec) -> bool:
    """Whether every party gets and checks every masked vector."""
    return spec.check is Check.ALL
