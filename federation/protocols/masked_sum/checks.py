"""What both roles check of adverts and heads, and whom they blame.

The rule of blame: what a signature under our own setup proves falls on the signer. Everything else - a message that is
missing, doubled, of another setup or by a stranger, chunks that do not belong to the signed root - falls on the relay,
the member who handed us the message: it could have checked the same. For the aggregator the relay is the sender itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from federation.crypto import agreement
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.masked_sum.masks import Binding
from federation.protocols.masked_sum.messages import Advert, Head
from federation.protocols.secure_sum import Parcel, Setup, Spec, chunk_sizes


def advert(setup: Setup, setup_hash: bytes, parcel: Parcel, relay: str) -> tuple[Advert, bytes]:
    """Return the checked advert and its key's representative. Raises ProtocolViolation."""
    sender, value = parcel.message.sender, parcel.message.value
    if not isinstance(value, Advert) or parcel.chunks:
        raise ProtocolViolation(relay, phase="advert", expected="an advert without chunks", got="something else")
    _speaker(setup, sender, value.party, relay, "advert")
    if value.setup_hash != setup_hash:
        raise ProtocolViolation(relay, phase="advert", expected="an advert for this setup", got="one for another setup")
    try:
        return value, agreement.representative(value.mask_pk)
    except agreement.BadPublicKey as fault:
        raise ProtocolViolation(sender, phase="advert", expected="a sound X25519 key", got=str(fault)) from None


def head(spec: Spec, binding: Binding, parcel: Parcel, relay: str) -> Head:
    """Return the checked head; its chunks have the sizes and the root that it states. Raises ProtocolViolation."""
    sender, value = parcel.message.sender, parcel.message.value
    if not isinstance(value, Head):
        raise ProtocolViolation(relay, phase="head", expected="a head", got="something else")
    _speaker(spec.setup, sender, value.party, relay, "head")
    if value.u2_hash != binding.u2_hash:
        raise ProtocolViolation(
            relay, phase="head", expected="a head for these adverts and parties", got="one for others"
        )
    if value.spec_hash != binding.spec_hash:  # under our own u2_hash: the signer follows another plan or other totals
        raise ProtocolViolation(sender, phase="head", expected="a head for this spec", got="one for another spec")
    if value.length != spec.length:
        raise ProtocolViolation(sender, phase="head", expected=f"{spec.length} numbers", got=f"{value.length} numbers")
    if tuple(map(len, parcel.chunks)) != chunk_sizes(spec.length):
        raise ProtocolViolation(relay, phase="head", expected=f"chunks of {spec.length} numbers", got="other sizes")
    if merkle.root([merkle.leaf_hash(chunk) for chunk in parcel.chunks]) != value.chunk_root:
        raise ProtocolViolation(relay, phase="head", expected="the chunks under the signed root", got="other bytes")
    return value


def one_each(setup: Setup, parcels: Iterable[Parcel], relay: str, phase: str) -> dict[str, Parcel]:
    """Return the parcels by sender, in party order: exactly one of every party. Raises ProtocolViolation."""
    found: dict[str, Parcel] = {}
    for parcel in parcels:
        sender = parcel.message.sender
        if sender in found:
            raise ProtocolViolation(relay, phase=phase, expected="one message a party", got=f"two of {sender}")
        found[sender] = parcel
    strange, absent = sorted(set(found) - set(setup.parties)), sorted(set(setup.parties) - set(found))
    if strange:
        raise ProtocolViolation(
            relay, phase=phase, expected="the parties of the setup", got=f"also {', '.join(strange)}"
        )
    if absent:
        raise ProtocolViolation(relay, phase=phase, expected="every party", got=f"none of {', '.join(absent)}")
    return {party: found[party] for party in setup.parties}


def distinct(representatives: Mapping[str, bytes], relay: str, me: str = "") -> None:
    """Refuse two keys that are equal or aliases: the later in order copied, or the relay let a copy through.

    A copy of my own key is the other party's doing, whatever the order. Raises ProtocolViolation.
    """
    owner: dict[bytes, str] = {}
    for party, representative in representatives.items():
        first = owner.setdefault(representative, party)
        if first == party:
            continue
        culprit = {party: first, first: party}.get(me, relay)
        got = f"{first} and {party} with one key"
        raise ProtocolViolation(culprit, phase="advert", expected="a key of its own from every party", got=got)


def _speaker(setup: Setup, sender: str, named: str, relay: str, phase: str) -> None:
    if sender not in setup.parties:
        raise ProtocolViolation(relay, phase=phase, expected="a party of the setup", got="a stranger")
    if named != sender:
        raise ProtocolViolation(sender, phase=phase, expected="a message in its own name", got="another party's name")
