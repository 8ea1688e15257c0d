"""Setups, secrets and signed messages for machines that are stepped without drivers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

from federation.protocols.events import Attested, Message, Parcel, PartyEffect, Send
from federation.protocols.setup import Setup, Spec

COORDINATOR = "relay"
BASE = 100  # party i's number is BASE**i


def names(n: int) -> tuple[str, ...]:
    """`p0` .. : sorted."""
    return tuple(f"p{i}" for i in range(n))


def setup_of(n: int, *, attempt: int = 0, least: int = 3) -> Setup:
    """The setup of n parties with the smallest safe threshold."""
    return Setup.standard(
        job_hash=b"j" * 32, round_index=0, attempt=attempt, roster_hash=b"r" * 32, parties=names(n), least=least
    )


def spec_of(setup: Setup) -> Spec:
    """The spec of one number."""
    return Spec(setup=setup, round_digest=b"q" * 32, transcript_hash=b"t" * 32, length=1)


def entropy(party: str, salt: str = "") -> bytes:
    """Fixed entropy of one party."""
    return hashlib.sha256(f"entropy of {party} {salt}".encode()).digest()


def attested(message: Message, sender: str = "") -> Attested[Message]:
    """The message as wire hands it on: a digest over all of its fields."""
    assert dataclasses.is_dataclass(message)
    body = repr((message.domain, dataclasses.astuple(message))).encode()
    sender = sender or getattr(message, "party", COORDINATOR)
    return Attested(sender=sender, value=message, digest=hashlib.sha256(body).digest())


def parcel(send: Send) -> Parcel:
    """What is received of what was sent."""
    return Parcel(message=attested(send.message), chunks=send.chunks)


def parcels(effects: Iterable[PartyEffect]) -> list[Parcel]:
    """What is received of a party's effects."""
    return [parcel(effect) for effect in effects if isinstance(effect, Send)]
