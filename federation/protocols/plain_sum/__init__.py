"""A sum that protects nobody from the coordinator, which sees every vector: for public data, tests and comparisons.

messages    Present, Vector, Total: what is signed here
party       Idle, Waiting, Ready, Sent, Done; Aside, Withdrawn
aggregator  Vacant, Gathering, Collecting, Finished

Signed, counted and bound to its sum as every other; a jurisdiction refuses it unless its operator permits plain sums.
"""

from __future__ import annotations

from typing import ClassVar

from federation.protocols import states, withdrawal
from federation.protocols.events import AggregatorEvent, Message, Parcel, PartyEvent
from federation.protocols.plain_sum import aggregator, party
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.protocols.secure_sum import AggregatorTransition, PartyTransition, SecureSum, State
from federation.protocols.setup import Setup
from federation.protocols.withdrawal import Withdrawal


class PlainSum(SecureSum):
    """The sum of those who delivered, if they are enough."""

    name: ClassVar[str] = "plain_sum"
    messages: ClassVar[tuple[type[Message], ...]] = (Present, Vector, Total, Withdrawal)
    withdrawal: ClassVar[type[Message]] = Withdrawal

    @classmethod
    def party(cls) -> State:
        return states.Idle()

    @classmethod
    def party_step(cls, state: State, event: PartyEvent) -> PartyTransition:
        return party.step(state, event)

    @classmethod
    def aggregator(cls) -> State:
        return states.Vacant()

    @classmethod
    def aggregator_step(cls, state: State, event: AggregatorEvent) -> AggregatorTransition:
        return aggregator.step(state, event)

    @classmethod
    def check_withdrawal(cls, setup: Setup, parcel: Parcel, relay: str) -> None:
        withdrawal.check(setup, parcel, relay)
