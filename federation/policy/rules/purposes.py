"""Purpose limitation."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class Purposes(Rule):
    """The data are used only for purposes that the operator named."""

    name = "purposes"
    clause = "the data are used only for purposes that the operator named"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if settings.purposes is None or request.job.purpose in settings.purposes:
            return None
        return self.refused(f"give one of these purposes: {', '.join(settings.purposes) or 'none is permitted'}")
