"""Secure sum by pairwise masks over Z_2^128: each pair of parties has a mask that one adds and the other subtracts.

messages    Advert and Head, what parties sign
masks       what a mask is derived from, and the masking of a vector in pieces
checks      what both roles check of a bundle, and whom they blame
party       Idle, Advertised, Rostered, Masked, Done
aggregator  Vacant, Gathering, Collecting, Finished
"""

from __future__ import annotations

from typing import ClassVar

from federation.protocols.masked_sum import aggregator, party
from federation.protocols.masked_sum.messages import Advert, Head
from federation.protocols.secure_sum import (
    AggregatorEvent,
    AggregatorTransition,
    Message,
    PartyEvent,
    PartyTransition,
    SecureSum,
    State,
)


class MaskedSum(SecureSum):
    """The sum of all parties of the setup; if one of them does not deliver, the sum is aborted and names it."""

    name: ClassVar[str] = "masked_sum"
    messages: ClassVar[tuple[type[Message], ...]] = (Advert, Head)

    @classmethod
    def party(cls) -> State:
        return party.Idle()

    @classmethod
    def party_step(cls, state: State, event: PartyEvent) -> PartyTransition:
        return party.step(state, event)

    @classmethod
    def aggregator(cls) -> State:
        return aggregator.Vacant()

    @classmethod
    def aggregator_step(cls, state: State, event: AggregatorEvent) -> AggregatorTransition:
        return aggregator.step(state, event)
