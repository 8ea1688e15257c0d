"""A model with as many parameters as rows is a list of rows."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Cell, Request, Rule, Settings
from federation.query.query import SumQuery
from federation.query.round import least_units


class Saturation(Rule):
    """A model takes part here only with at least three of our units for each of its parameters.

    Cross products of p columns are p(p+1)/2 numbers over the same rows: with p near their number they can be solved for
    the rows. So a party with fewer than 3 p units of its own withholds the cell, which then looks like an empty one.
    Where k is 1 nobody is hidden.
    """

    name = "saturation"
    clause = "cross products of p columns open only over at least 3 p of our own units"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - judged per cell
        return None

    def withholds(self, request: Request, query: SumQuery, cell: Cell) -> bool:
        return cell.units < least_units(query, request.own.k)
