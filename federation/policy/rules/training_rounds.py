"""How often a model is learned from the same rows."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class TrainingRounds(Rule):
    """One training has no more rounds than the operator permits.

    Every round opens one more sum of updates over the same rows, so what a model can remember of them grows with it.
    """

    name = "training_rounds"
    clause = "one training has no more rounds than the operator permits"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.training is None or settings.most_rounds is None:
            return None
        if request.training.rounds <= settings.most_rounds:
            return None
        return self.refused(f"ask for at most {settings.most_rounds} rounds")
