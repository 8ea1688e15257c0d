"""What both roles check of the parties' messages; whom they blame is the rule of `bundles`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from federation.crypto import agreement, shamir
from federation.crypto.ring import Chunk
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.bundles import author, spoken
from federation.protocols.events import Attested, Message, Parcel
from federation.protocols.masked_sum.masks import Binding
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.protocols.setup import Check, Setup, Spec, leaves_of

SEALED_BYTES = 2 * shamir.SHARE_BYTES + 16  # two shares and the tag of AES-GCM
BOX_BYTES = SEALED_BYTES + 2 * 32  # and a digest of each share: who gives another one than it was dealt is found out


@dataclass(frozen=True, slots=True)
class Keys:
    """An advert's two keys, what is equal for aliases of them, and the message that they came in."""

    advert: Advert
    representatives: tuple[bytes, bytes]
    message: Attested[Message]


def advert(setup: Setup, setup_hash: bytes, parcel: Parcel, relay: str) -> Keys:
    """Return the checked advert and its keys' representatives. Raises ProtocolViolation."""
    value = spoken(Advert, setup, parcel, relay)
    if parcel.chunks:
        raise ProtocolViolation(relay, phase="advert", expected="an advert without chunks", got="chunks")
    if value.setup_hash != setup_hash:
        raise ProtocolViolation(relay, phase="advert", expected="an advert for this setup", got="one for another setup")
    try:
        representatives = (agreement.representative(value.enc_pk), agreement.representative(value.mask_pk))
    except agreement.BadPublicKey as fault:
        raise ProtocolViolation(
            author(parcel.message, relay), phase="advert", expected="a sound X25519 key", got=str(fault)
        ) from None
    return Keys(value, representatives, parcel.message)


def shares(setup: Setup, setup_hash: bytes, adverts_hash: bytes, parcel: Parcel, relay: str) -> Shares:
    """Return the checked shares; their boxes are judged by `boxes` or `own_box`. Raises ProtocolViolation."""
    value = spoken(Shares, setup, parcel, relay)
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
    value = spoken(Head, spec.setup, parcel, relay)
    if value.u2_hash != binding.u2_hash:
        raise ProtocolViolation(
            relay, phase="head", expected="a head for these adverts and parties", got="one for others"
        )
    if value.spec_hash != binding.spec_hash:  # under our own u2_hash: the signer follows another plan or other totals
        who = author(parcel.message, relay)
        raise ProtocolViolation(who, phase="head", expected="a head for this spec", got="one for another spec")
    if value.length != spec.length:
        who = author(parcel.message, relay)
        raise ProtocolViolation(who, phase="head", expected=f"{spec.length} numbers", got=f"{value.length} numbers")
    return value


def vector(spec: Spec, value: Head, chunks: Sequence[Chunk], relay: str, *, rooted: bool = True) -> tuple[bytes, ...]:
    """Check a head's chunks; return leaf hashes, or () if the root is not looked at. Raises ProtocolViolation."""
    if tuple(map(len, chunks)) != spec.chunks:
        raise ProtocolViolation(relay, phase="head", expected=f"chunks of {spec.length} numbers", got="other sizes")
    if not rooted:
        return ()
    leaves = leaves_of(chunks)
    if merkle.root(leaves) != value.chunk_root:
        raise ProtocolViolation(relay, phase="head", expected="the chunks under the signed root", got="other bytes")
    return leaves


def consent(setup: Setup, spec_hash: bytes, u3_hash: bytes, parcel: Parcel, relay: str) -> Consent:
    """Return the checked consent to this very list. Raises ProtocolViolation."""
    value = spoken(Consent, setup, parcel, relay)
    if value.spec_hash != spec_hash or value.u3_hash != u3_hash or parcel.chunks:
        raise ProtocolViolation(
            relay, phase="consent", expected="a consent to this list of contributors", got="one to another list"
        )
    return value


def unmask(spec: Spec, u3_hash: bytes, wanted: tuple[int, int], parcel: Parcel, relay: str) -> Unmask:
    """Return the checked shares, so many of seeds and of keys, each below the prime. Raises ProtocolViolation."""
    value = spoken(Unmask, spec.setup, parcel, relay)
    if value.spec_hash != spec.hash or value.u3_hash != u3_hash or parcel.chunks:
        raise ProtocolViolation(relay, phase="unmask", expected="shares that open this list", got="another list's")
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
            if culprit != relay:
                culprit = author(keys[culprit].message, relay)
            whose = "two keys that are one" if first == party else f"{first} and {party} with one key"
            raise ProtocolViolation(culprit, phase="advert", expected="keys of its own from every party", got=whose)


def prove(messages: Iterable[Attested[Message]], relay: str) -> None:
    """Verify those signatures that were not yet. Raises ProtocolViolation, naming `relay`."""
    for message in messages:
        if not message.holds():
            raise ProtocolViolation(
                relay,
                phase=type(message.value).__name__.lower(),
                expected=f"a signature by {message.sender}",
                got="a signature that does not verify",
            )


def whole_vector(spec: Spec) -> bool:
    """Whether every party gets and checks every masked vector."""
    return spec.check is Check.ALL
