"""How far one jurisdiction moves a model."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings


class UpdateNorm(Rule):
    """A training bounds the length of every update, and no higher than the operator permits.

    The bound is applied here, by this jurisdiction's own program, before anything is quantised and masked: what its
    rows can do to a model in a round, and so what a round can tell of them, is limited. Of the others it is asked, and
    under masks nobody sees that they keep it.
    """

    name = "update_norm"
    clause = "a training bounds the L2 norm of every update, and no higher than the operator permits"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.training is None or settings.most_norm is None or 0 < request.training.norm <= settings.most_norm:
            return None
        return self.refused(f"set norm above 0 and to at most {settings.most_norm:g}")
