"""A jurisdiction's own figure is its own to publish."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings
from federation.query.round import Phase, Round


class OwnFigures(Rule):
    """A cell with fewer than three contributors opens only by the clause `publish_own_figures` of every party."""

    name = "own_figures"
    clause = "a cell with fewer than three contributors opens only by the clause publish_own_figures of every party"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - the clause is the data set's
        if request.joint.own_figures and not request.own.own_figures:
            return self.refused("count the contributors of every cell before its sums open")
        return None

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:
        # Without the clause of all, secure sums take turns: 0 counts contributors, 1 opens sums, 2 counts again.
        uncounted = asked.phase is Phase.SUMS and asked.index % 2 == 0
        if uncounted and not request.joint.own_figures:
            return self.refused("count the contributors of every cell before its sums open")
        return self.judge(request, settings)
