"""Who may ask."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class Researchers(Rule):
    """Only researchers whom the operator named are answered."""

    name = "researchers"
    clause = "only researchers whom the operator named are answered"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if settings.researchers is None or request.job.researcher in settings.researchers:
            return None
        return self.refused(f"{request.me}'s operator adds the researcher to the policy, or one who is named asks")
