"""No grouping in disguise."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings
from federation.query.expression import Indicator, ordered
from federation.query.query import SumQuery, roots
from federation.query.round import Round


class Indicators(Rule):
    """A sum over the rows that fulfil a condition is a cell, and is asked as one, so that its units are counted.

    An indicator inside a sum would open a cell without the count of units that the least number k is compared with.
    Where all operators publish their own figures nothing is compared, and it may stand. Queries come from reviewed
    plans, never from a researcher, so a step that is built of other functions is a matter of review, not of this rule.
    """

    name = "indicators"
    clause = "a sum over the rows that fulfil a condition is a cell, and its units are counted"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - judged per round
        return None

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:  # noqa: ARG002
        if request.joint.own_figures or not any(map(_has_indicator, asked.queries)):
            return None
        return self.refused("group by the condition's column, or put the condition into `where`")


def _has_indicator(query: SumQuery) -> bool:
    return any(isinstance(node, Indicator) for node in ordered(roots(query)))
