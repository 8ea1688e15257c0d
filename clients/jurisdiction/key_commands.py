"""What an operator may say to a running daemon about joint keys, over its control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from clients.jurisdiction.ceremonies import Ceremonies
from clients.jurisdiction.joint_keys import Held
from clients.jurisdiction.outcomes import Shown
from clients.jurisdiction.run import Desk
from federation.identity.control import Answer, Command
from federation.protocols.key_ceremony.estimate import estimate_of
from federation.protocols.key_ceremony.terms import Ceremony
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS

T = TypeVar("T")


class WithKeys(Protocol):
    """Does something in the ceremonies' thread, and sends what follows from it."""

    def __call__(self, act: Callable[[], tuple[T, list[m.Frame]]], /) -> Awaitable[T]: ...


class KeyCommands:
    """The commands `keys`, `key_propose`, `key_approve` and `key_decline`.

    Args:
        with_keys: `Line.with_keys`.
    """

    def __init__(self, ceremonies: Ceremonies, desk: Desk, with_keys: WithKeys) -> None:
        self._ceremonies, self._desk, self._with_keys = ceremonies, desk, with_keys

    def named(self) -> Mapping[str, Command]:
        """Return them by name."""
        return {
            "keys": self.keys,
            "key_propose": self.propose,
            "key_approve": self.approve,
            "key_decline": self.decline,
        }

    async def keys(self) -> Answer:
        """Return the keys of which a share is held here, and the ceremonies; nothing secret."""
        held = await asyncio.to_thread(self._desk.joint_keys.all)
        return {
            "name": self._desk.name,
            "development": self._desk.development,
            "keys": [_key(one) for one in held],
            "ceremonies": [_ceremony(one) for one in self._ceremonies.shown()],
        }

    async def propose(self, holders: list[str], bits: int, lasting_s: float) -> Answer:
        """Propose a key; whoever proposes approves."""
        ceremony = await self._with_keys(lambda: self._ceremonies.propose(holders, int(bits), round(lasting_s * 1000)))
        return {"name": self._desk.name, "ceremony": ceremony.hex()}

    async def approve(self, ceremony: str = "") -> Answer:
        """Let a proposed key be made."""
        return {"ceremony": (await self._with_keys(lambda: self._ceremonies.approve(str(ceremony)))).hex()}

    async def decline(self, ceremony: str = "") -> Answer:
        """End a ceremony."""
        return {"ceremony": (await self._with_keys(lambda: self._ceremonies.decline(str(ceremony)))).hex()}


def _key(held: Held) -> Answer:
    return {
        "key": held.joint.digest.hex(),
        "holders": list(held.joint.holders),
        "bits": held.joint.public.bits,
        "made_ms": held.expires_ms - EPOCH_MS,
        "expires_ms": held.expires_ms,
    }


def _ceremony(shown: Shown) -> Answer:
    proposal, standing = shown.proposal, shown.standing
    expected = estimate_of(Ceremony.standard(id=shown.id, holders=proposal.holders, bits=proposal.bits))
    return {
        "ceremony": shown.id.hex(),
        "proposer": proposal.proposer,
        "holders": list(proposal.holders),
        "bits": proposal.bits,
        "made_ms": proposal.made_ms,
        "expires_ms": proposal.made_ms + EPOCH_MS,
        "deadline_ms": proposal.deadline_ms,
        "state": shown.state,
        "joined": list(shown.joined),
        "step": standing.what,
        "place": standing.place,
        "waits_for": list(standing.waits_for),
        "batches": standing.batch,
        "tries": shown.tries or standing.tries,
        "mean_tries": round(expected.mean),
        "p90_tries": expected.tries(0.9),
        "transcript": (shown.transcript or standing.transcript).hex(),
        "received_bytes": standing.received_bytes,
        "begun_ms": shown.begun_ms,
        "ended_ms": shown.ended_ms,
        "why": shown.why,
        "key": shown.key.hex(),
    }
