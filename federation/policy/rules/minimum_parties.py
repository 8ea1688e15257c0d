"""How many parties hide each other."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import LEAST_PARTIES, Request, Rule, Settings


class MinimumParties(Rule):
    """At least three parties, this one among them, and never fewer than the operator asks for, are in every sum."""

    name = "minimum_parties"
    clause = "at least three parties, this one among them, and no fewer than the operator asks for, are in every sum"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        least = max(LEAST_PARTIES, settings.minimum_parties)
        job = request.job
        if request.me not in job.parties or len(set(job.parties)) != len(job.parties):
            return self.refused(f"name every party once, {request.me} among them")
        if len(job.parties) < least or job.minimum_parties < least:
            return self.refused(f"ask at least {least} parties and set minimum_parties to {least} or more")
        if job.minimum_parties > len(job.parties):
            return self.refused("set minimum_parties to at most the number of parties")
        return None
