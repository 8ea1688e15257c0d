"""Small cells stay home."""

from __future__ import annotations

from federation.domain.catalogue import Kind
from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings
from federation.query.round import Round


class MinimumUnits(Rule):
    """A cell of fewer than k units of this jurisdiction's own is withheld, and looks like an empty one.

    k = 1 withholds nothing, also no empty cell, so that nobody could count the contributors of a cell: it is for data
    that are public already, together with the clause `publish_own_figures` of every party. Where the data set says
    who is counted, k counts those, not their rows.
    """

    name = "minimum_units"
    clause = (
        "a cell of fewer than k units of this jurisdiction's own is withheld; below k = 2 own figures are published"
    )

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - k belongs to the data set
        if request.own.k < 1 or request.joint.k < request.own.k:
            return self.refused("publish the data set with k of at least 1, and take the greatest k of all parties")
        if request.own.k < 2 and not request.joint.own_figures:
            return self.refused("publish the data set with k of at least 2, or all operators set publish_own_figures")
        return None

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:  # noqa: ARG002
        says_who = any(column.kind is Kind.IDENTIFIER for column in request.own.columns)
        if request.own.k > 1 and says_who and any(query.per is None for query in asked.queries):
            return self.refused("count the units that the identifier names, not their rows")
        return None
