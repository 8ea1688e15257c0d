"""Whether the coordinator may see this jurisdiction's numbers alone."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Request, Rule, Settings

PLAIN = "plain_sum"


class PlainSums(Rule):
    """No vector of this jurisdiction leaves unprotected, unless its operator says that the data set is public."""

    name = "plain_sums"
    clause = "no vector leaves unprotected: the coordinator would see this jurisdiction's numbers alone"

    def judge(self, request: Request, settings: Settings) -> Reason | None:
        if request.job.protection != PLAIN or settings.plain_sums:
            return None
        return self.refused('ask with protection "masks"; an operator of public data may set plain_sums = true')
