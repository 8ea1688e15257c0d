"""Which models are trained."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class Architectures(Rule):
    """Only models of an architecture that the operator named are trained.

    The name says how a model computes; how large it may be is another clause. A reviewed bundle is named in full, by
    its hash.
    """

    name = "architectures"
    clause = "only models of an architecture that the operator named are trained"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.training is None or settings.models is None or request.training.model in settings.models:
            return None
        return self.refused(f"train one of these: {', '.join(settings.models) or 'none is permitted'}")
