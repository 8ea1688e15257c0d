"""A sum that one or two units make up is their own figure."""

from __future__ import annotations

from typing import Final

from federation.domain.verdict import Reason
from federation.policy.rule import Cell, Request, Rule, Settings
from federation.query.query import SumQuery

LARGEST: Final = 2  # how many units are looked at together
PERCENT: Final = 100


class Dominance(Rule):
    """A cell in which two of this jurisdiction's units hold more than the published share of a sum is withheld.

    For units of very different size, firms for one: the second largest would know the largest by subtraction. What
    holds for every party's own cells holds for their sum, also where one firm is in all of them: two units that have
    at most 85 % of each part have at most 85 % of the whole. A data set says its share in `dominance`, 0 for none.
    """

    name = "dominance"
    clause = "a cell in which two of our units hold more than the published share of a sum is withheld"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - the share is the data set's
        own, joint = request.own.dominance, request.joint.dominance
        if own and not 0 < joint <= own:
            return self.refused("take the least share that a party publishes")
        return None

    def withholds(self, request: Request, query: SumQuery, cell: Cell) -> bool:  # noqa: ARG002 - shares say it all
        return request.own.dominance > 0 and cell.share * PERCENT > request.own.dominance
