"""What every protocol checks of the messages in a bundle, and whom it blames.

The rule of blame: what a signature under our own setup proves falls on the signer. Everything else - a message that is
missing, doubled, of another setup or by a stranger, chunks that do not belong to the signed root - falls on the relay,
the member who handed us the message: it could have checked the same. For the aggregator the relay is the sender itself.
Where a signature was not verified yet, it is before its sender is blamed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from federation.errors import ProtocolViolation
from federation.protocols.events import Attested, Message, Parcel
from federation.protocols.setup import Setup

M = TypeVar("M", bound=Message)


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


def spoken(kind: type[M], setup: Setup, parcel: Parcel, relay: str) -> M:
    """Return the parcel's message: of this kind, by a party of the setup, in its own name.

    Raises:
        ProtocolViolation: of another kind, by a stranger, or in another's name.
    """
    sender, value, phase = parcel.message.sender, parcel.message.value, kind.__name__.lower()
    if not isinstance(value, kind):
        raise ProtocolViolation(relay, phase=phase, expected=f"a message of kind {phase}", got="something else")
    if sender not in setup.parties:
        raise ProtocolViolation(relay, phase=phase, expected="a party of the setup", got="a stranger")
    if getattr(value, "party", "") != sender:
        raise ProtocolViolation(
            author(parcel.message, relay), phase=phase, expected="a message in its own name", got="another party's name"
        )
    return value


def author(message: Attested[Message], relay: str) -> str:
    """Return who answers for what a message says: its sender, or the relay if the signature is not the sender's."""
    return message.sender if message.holds() else relay
