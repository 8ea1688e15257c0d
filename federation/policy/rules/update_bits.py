"""Sums that tell their parts."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class UpdateBits(Rule):
    """An entry of an update has at least as many bits as the operator asks for.

    Sums of coarse numbers stand at an end of their range more often, and there each part is known: of three parties
    that weigh alike and send four bits, the sum 45 says that each sent 15, and 44 that two did.
    """

    name = "update_bits"
    clause = "an entry of an update has at least as many bits as the operator asks for"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.training is None or settings.least_bits is None or request.training.bits >= settings.least_bits:
            return None
        return self.refused(f"set bits to {settings.least_bits} or more")
