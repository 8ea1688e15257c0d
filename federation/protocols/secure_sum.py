"""The contract of every secure sum. Drivers know this file, `setup` and `events`, and no protocol.

Every protocol is a few steps of one shape: each party sends one signed message (with bulk chunks where it is long), the
aggregator forwards what each party needs of them as a bundle, each party checks the bundle. What a machine must not
accept is raised as `ProtocolViolation`, naming who broke which step; the state is then unchanged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from federation.domain.job import Blame
from federation.protocols.events import AggregatorEffect, AggregatorEvent, Message, Parcel, PartyEffect, PartyEvent
from federation.protocols.machine import Transition
from federation.protocols.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaits:
    """What a machine waits for and who owes it.

    Attributes:
        what: "begin", "contribution" or "spec" for what the driver gives; a message class in lower case ("advert",
            "head") for what a party owes; what the coordinator owes in a party's state; "" at the end.
        of: the members who owe it.
        enough: aggregator: whether it can go on without them, on `DeadlinePassed`.
    """

    what: str = ""
    of: tuple[str, ...] = ()
    enough: bool = False


class State(Protocol):
    """What drivers may know of a state; states are frozen and equal when all their fields are."""

    @property
    def awaits(self) -> Awaits: ...

    @property
    def ended(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """Both: how every sum ends that opens nothing. It holds no secret, and nothing leaves it."""

    blames: tuple[Blame, ...]

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()

    @property
    def ended(self) -> bool:
        """True."""
        return True


PartyTransition: TypeAlias = Transition[State, PartyEffect]
AggregatorTransition: TypeAlias = Transition[State, AggregatorEffect]


class SecureSum(ABC):
    """One protocol: two machines and the messages that they exchange; found by `registry.look_up`."""

    name: ClassVar[str]
    messages: ClassVar[tuple[type[Message], ...]]
    withdrawal: ClassVar[type[Message]]  # of `messages`: "not opened by me, and never will be"
    deferred: ClassVar[tuple[type[Message], ...]] = ()  # of `messages`: whose signatures the party's machine judges

    @classmethod
    @abstractmethod
    def party(cls) -> State:
        """Return the party's first state; it awaits `Begin`."""

    @classmethod
    @abstractmethod
    def party_step(cls, state: State, event: PartyEvent) -> PartyTransition:
        """Return where `event` leads a party.

        Raises:
            ProtocolViolation: the event is not what an honest member would have sent; the state stays.
        """

    @classmethod
    @abstractmethod
    def aggregator(cls) -> State:
        """Return the aggregator's first state; it awaits `Opened`."""

    @classmethod
    @abstractmethod
    def aggregator_step(cls, state: State, event: AggregatorEvent) -> AggregatorTransition:
        """Return where `event` leads the aggregator.

        Raises:
            ProtocolViolation: a party's message is not what an honest party would have sent; the state stays.
        """

    @classmethod
    @abstractmethod
    def check_withdrawal(cls, setup: Setup, parcel: Parcel, relay: str) -> None:
        """Check a party's word that it did not open this attempt and never will.

        `setup.withdrawals` of them, of different parties, prove that nobody can.

        Raises:
            ProtocolViolation: it is no such word, or of another attempt.
        """
