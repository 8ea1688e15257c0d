"""Which statistics an operator permits."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class Statistics(Rule):
    """Only statistics that the operator named are computed."""

    name = "statistics"
    clause = "only statistics that the operator named are computed"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if settings.statistics is None:
            return None
        if all(computation.name in settings.statistics for computation in request.job.computations):
            return None
        return self.refused(f"ask only these: {', '.join(settings.statistics) or 'none is permitted'}")
