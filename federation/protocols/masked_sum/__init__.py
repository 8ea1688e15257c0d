"""Secure sum by masks: one for each pair of parties and one of each party's own, recoverable from Shamir shares.

messages    M0 to M9: Advert, Shares, Head, Consent, Unmask, Opening, Challenge
graph       who is masked against whom: everybody to 64 parties, the nearest on a circle above
masks       what secrets and masks are derived from, and how they are put on and taken off
checks      what both roles check of a message, and whom they blame; opening, checking: of secrets and totals
party       Idle, Advertised, Dealt, Shared, Masked, Consented, Unmasked, Sampling, Done; Aside, Withdrawn
aggregator  Vacant, Gathering, Dealing, Collecting, Consenting, Unmasking, Finished
"""

from __future__ import annotations

from typing import ClassVar

from federation.protocols import states, withdrawal
from federation.protocols.events import AggregatorEvent, Message, Parcel, PartyEvent
from federation.protocols.masked_sum import aggregator, party
from federation.protocols.masked_sum.messages import (
    Advert,
    Challenge,
    Consent,
    Head,
    Opening,
    Shares,
    Unmask,
)
from federation.protocols.secure_sum import AggregatorTransition, PartyTransition, SecureSum, State
from federation.protocols.setup import Setup
from federation.protocols.withdrawal import Withdrawal


class MaskedSum(SecureSum):
    """The sum of those who delivered, if they are enough; the others' shares take a lost party's masks off."""

    name: ClassVar[str] = "masked_sum"
    messages: ClassVar[tuple[type[Message], ...]] = (
        Advert,
        Shares,
        Head,
        Consent,
        Unmask,
        Opening,
        Challenge,
        Withdrawal,
    )
    withdrawal: ClassVar[type[Message]] = Withdrawal
    deferred: ClassVar[tuple[type[Message], ...]] = (Advert, Head)

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
