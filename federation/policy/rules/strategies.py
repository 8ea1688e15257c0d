"""How models are trained."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class Strategies(Rule):
    """Only training strategies that the operator named are run."""

    name = "strategies"
    clause = "only training strategies that the operator named are run"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.training is None or settings.strategies is None or request.training.strategy in settings.strategies:
            return None
        return self.refused(f"train by one of these: {', '.join(settings.strategies) or 'none is permitted'}")
