"""Nobody is singled out."""

from __future__ import annotations

from federation.domain.catalogue import Dataset, Kind
from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings
from federation.query.expression import columns
from federation.query.query import Categories, SumQuery, roots
from federation.query.round import Round


class Identifiers(Rule):
    """A column that says who is counted is counted, and stands in no grouping, no term and no condition."""

    name = "identifiers"
    clause = "a column that says who is counted stands in no grouping, no sum and no condition"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - judged per round
        return None

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:  # noqa: ARG002
        if any(_names(query) & _identifiers(request.own) for query in asked.queries):
            return self.refused("group by a category, and sum columns that describe, not columns that identify")
        return None


def _names(query: SumQuery) -> set[str]:
    where = () if query.where is None else (query.where,)
    grouped = {axis.column for axis in query.group_by if isinstance(axis, Categories)}
    return {*columns((*where, *roots(query))), *grouped}


def _identifiers(dataset: Dataset) -> set[str]:
    return {column.name for column in dataset.columns if column.kind is Kind.IDENTIFIER}
