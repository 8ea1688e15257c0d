"""What is read."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings
from federation.query.round import Round


class Datasets(Rule):
    """A job reads the one data set that it names and that this jurisdiction publishes."""

    name = "datasets"
    clause = "a job reads the one data set that it names and that this jurisdiction publishes"

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - no setting changes it
        if request.job.dataset == request.own.name == request.joint.name:
            return None
        return self.refused(f"name data set {request.own.name!r}")

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:  # noqa: ARG002
        if all(query.dataset == request.own.name for query in asked.queries):
            return None
        return self.refused(f"query only data set {request.own.name!r}")
