"""How much a model can remember."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class ModelSize(Rule):
    """A model has no more parameters than the operator permits.

    A model with more parameters than there are rows can learn rows by heart, and hand them to whoever has the model.
    Where the operator bounds only what one round opens, an update is held to that.
    """

    name = "model_size"
    clause = "a model has no more parameters, and a round of updates no more numbers, than the operator permits"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.training is None:
            return None
        if settings.most_parameters is not None:
            if request.training.parameters <= settings.most_parameters:
                return None
            return self.refused(f"train a model of at most {settings.most_parameters} parameters")
        if settings.most_numbers is None or request.training.numbers <= settings.most_numbers:
            return None
        return self.refused(f"train a model whose updates have at most {settings.most_numbers} numbers")
