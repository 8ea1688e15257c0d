"""How much one round may open."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings
from federation.query.round import Round, length

# Numbers per round: what encryption carries in seconds (DESIGN section 8), and what one query may ask under masks.
MOST_NUMBERS = {"masked_sum": 1_000_000, "paillier_sum": 4_096, "plain_sum": 1_000_000}
MOST_OTHERWISE = 4_096  # of a protection that this file does not know


class Cells(Rule):
    """One round opens no more numbers than its protection carries and the operator permits."""

    name = "cells"
    clause = "one round opens no more numbers than its protection carries and the operator permits"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - judged per round
        return None

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:
        most = MOST_NUMBERS.get(request.job.protection, MOST_OTHERWISE)
        if settings.most_numbers is not None:
            most = min(most, settings.most_numbers)
        if length(asked, request.joint) <= most:
            return None
        return self.refused(f"ask for at most {most} numbers a round: fewer groups, bins or statistics in one job")
