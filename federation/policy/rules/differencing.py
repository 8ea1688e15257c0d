"""What was opened before is not forgotten."""

from __future__ import annotations

from federation.domain.verdict import Reason
from federation.policy.rule import Look, Request, Rule, Settings
from federation.privacy.differencing import Finding
from federation.query.round import Round


class Differencing(Rule):
    """Sums of one project over rows that differ by a few units are not opened beside each other.

    Every set of own rows that a project has opened is remembered, across versions of the data. A further one may not
    differ from them, or from what can be made of them by adding and subtracting, by fewer than k units, and no
    combination of all may contain fewer than three (`federation.privacy.differencing`). Another condition that selects
    the very same units is refused in the same words, so that a refusal does not tell none from few.
    """

    name = "differencing"
    clause = (
        "what a project opens differs by at least k of our units from what it opened before, and no combination of it "
        "singles out one"
    )

    def judge(self, request: Request, settings: Settings) -> Reason | None:  # noqa: ARG002 - judged per round
        return None

    def judge_look(self, request: Request, settings: Settings, asked: Round, look: Look) -> Reason | None:  # noqa: ARG002
        if look.difference is Finding.NOTHING or not settings.differencing:
            return None
        return self.refused("ask over the rows of an earlier question, or over rows that differ by many more units")
