"""A party's word, the same in every protocol, that it did not open an attempt at a sum and never will."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.errors import ProtocolViolation
from federation.protocols.bundles import spoken
from federation.protocols.events import Parcel
from federation.protocols.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A party's word that it did not open this attempt and never will; it takes back its consent as well."""

    domain: ClassVar[str] = "federation/withdrawal/v1"

    setup_hash: bytes
    party: str


def check(setup: Setup, parcel: Parcel, relay: str) -> None:
    """Check a party's word that it did not open this attempt. Raises ProtocolViolation."""
    value = spoken(Withdrawal, setup, parcel, relay)
    if value.setup_hash != setup.hash or parcel.chunks:
        raise ProtocolViolation(relay, phase="withdrawal", expected="a word on this attempt", got="one on another")
