"""States that members have in every secure sum: before it begins, while a party takes part, when it has withdrawn.

What only one protocol knows is a state of its own there. Refused: an event that has no meaning in a state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from federation.domain.job import Blame, digest
from federation.errors import ProtocolViolation, Unavailable
from federation.protocols.events import Abort, AggregatorEvent, Delivered, Parcel, PartyEvent, Received, Send
from federation.protocols.machine import Transition
from federation.protocols.secure_sum import Aborted, Awaits, PartyTransition, State
from federation.protocols.setup import Setup
from federation.protocols.withdrawal import Withdrawal

COORDINATOR = "the coordinator"  # in words, where its name is not known or its own driver is meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Party: nothing is known yet."""

    ended = False

    @property
    def awaits(self) -> Awaits:
        """Begin, of nobody in particular."""
        return Awaits(what="begin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacant:
    """Aggregator: nothing is known yet."""

    ended = False

    @property
    def awaits(self) -> Awaits:
        """The event Opened."""
        return Awaits(what="begin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What a party that takes part knows in every state.

    Attributes:
        seen: the bundles that were accepted; the same one again is ignored.
    """

    setup: Setup
    me: str
    coordinator: str
    seen: tuple[bytes, ...] = ()

    what = ""  # of the bundle that the coordinator owes in this state
    ended = False

    @property
    def awaits(self) -> Awaits:
        """The next bundle, of the coordinator."""
        return Awaits(what=self.what, of=(self.coordinator,) if self.what else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Taking):
    """The total is open."""

    ended = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Taking):
    """It has signed that it never opens this attempt; it holds nothing that could."""

    ended = True


def withdrawn(now: Taking) -> PartyTransition:
    """Return where a party is that says that it did not open this attempt and never will, and its word."""
    word = Withdrawal(setup_hash=now.setup.hash, party=now.me)
    state = Withdrawn(setup=now.setup, me=now.me, coordinator=now.coordinator, seen=now.seen)
    return Transition(state, (Send(message=word),))


def identity(parcels: tuple[Parcel, ...]) -> bytes:
    """Return what names a bundle in `seen`, whatever the order of its parcels, 32 bytes.

    The same messages may come first without chunks, and again with some: that is another bundle.
    """
    said = (parcel.message.digest + len(parcel.chunks).to_bytes(4, "big") for parcel in parcels)
    return digest("federation/secure_sum/bundle/v1", *sorted(said))


def late(names: Sequence[str], what: str, to_whom: str = "") -> Transition[State, Any]:
    """Return how a sum ends that cannot go on without those who were silent, and who they are."""
    blames = tuple(
        Blame(party=name, code=Unavailable.code, message=f"{name} did not give its {what}{to_whom} before the deadline")
        for name in names
    )
    return Transition(Aborted(blames=blames), (Abort(blames=blames),))


def out_of_place(state: State, event: PartyEvent | AggregatorEvent, me: str = "this party") -> ProtocolViolation:
    """Return the violation of an event that has no meaning in this state, and whose doing it is.

    A message is its sender's, a bundle the coordinator's; all other events are made by the driver of `me`.
    """
    coordinator = COORDINATOR
    if isinstance(state, Taking):
        me, coordinator = state.me, state.coordinator
    what, culprit = type(event).__name__, me
    if isinstance(event, Received):
        what, culprit = type(event.parcel.message.value).__name__, event.parcel.message.sender
    elif isinstance(event, Delivered):
        culprit = coordinator
    where = type(state).__name__
    due = state.awaits.what or "nothing"
    return ProtocolViolation(culprit, phase=where.lower(), expected=due, got=f"{what} in state {where}")
