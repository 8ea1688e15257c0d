"""No grouping in disguise."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Look, Request, Rule, Settings
from federation.query.round import Round


class Indicators(Rule):
    """A condition inside a sum is a cell in disguise: at least k units fulfil it, and at least k do not.

    So do the two conditions of a product, as in the cross products of a model with two factors. An empty cell is
    refused like a small one, which also keeps a sum from being one party's own. Where all operators publish their own
    figures nothing is compared, and it may stand. Queries come from reviewed plans, never from a researcher, so a step
    that is built of other functions is a matter of review, not of this rule.
    """

    name = "indicators"
    clause = "a condition inside a sum is a cell: at least k of our units fulfil it, and at least k do not"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - judged with a look
        return None

    def judge_look(self, request: Request, settings: Settings, asked: Round, look: Look) -> Reason | None:  # noqa: ARG002
        if request.joint.own_figures:
            return None
        if all(units is None or units >= request.own.k for units in look.indicated):
            return None
        return self.refused("join levels with `collapse=`, leave the condition out, or group by it")
