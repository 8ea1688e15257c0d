"""Secure sum by ciphertexts under a key that nobody holds alone: what is opened, anybody can audit.

messages    Ready, Cipher, Partial: what is signed here
terms       what is fixed before any number: key, slots, header; and what proofs and secrets are bound to
checks      what is checked of one message, and whom it names; checking: of a whole step; auditing: of a sum, afterwards
party       Idle, Announced, Joined, Encrypted, Answered, Done; Withdrawn
aggregator  Vacant, Gathering, Collecting, Decrypting, Finished
"""

from __future__ import annotations

from typing import ClassVar

from federation.protocols import states, withdrawal
from federation.protocols.events import AggregatorEvent, Message, Parcel, PartyEvent
from federation.protocols.paillier_sum import aggregator, party
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.secure_sum import AggregatorTransition, PartyTransition, SecureSum, State
from federation.protocols.setup import Setup
from federation.protocols.withdrawal import Withdrawal


class PaillierSum(SecureSum):
    """The sum of all holders of a joint key, none of whom may be missing."""

    name: ClassVar[str] = "paillier_sum"
    messages: ClassVar[tuple[type[Message], ...]] = (Ready, Cipher, Partial, Withdrawal)
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
