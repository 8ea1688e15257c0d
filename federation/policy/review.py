"""Runs every rule of the family over a job, and over each of its rounds. A rule that fails to judge refuses.

All rules are run, so that a researcher learns every reason at once.
"""

from __future__ import annotations

from collections.abc import Callable

from federation import registry
from federation.domain.verdict import Reason, Verdict
from federation.errors import FederationError
from federation.policy.rule import Request, Rule, Settings
from federation.query.round import Round

FAMILY = "federation.policy.rules"


def judge(request: Request, settings: Settings) -> Verdict:
    """Return the jurisdiction's verdict on the job: no reasons means permitted."""
    reasons = _reasons(lambda rule: rule.judge(request, settings))
    return Verdict(party=request.me, job_hash=request.job_hash, reasons=reasons)


def judge_round(request: Request, settings: Settings, asked: Round) -> tuple[Reason, ...]:
    """Return why the round is refused, () if it is permitted; for the guard, before every round."""
    return _reasons(lambda rule: rule.judge_round(request, settings, asked))


def _reasons(judged: Callable[[Rule], Reason | None]) -> tuple[Reason, ...]:
    found = []
    for name, member in registry.discover(FAMILY, Rule).items():
        try:
            reason = judged(member())
        except FederationError as error:
            reason = Reason(rule=name, clause=f"what cannot be judged is refused: {error.message}", remedy=error.hint)
        except Exception as error:  # noqa: BLE001 - a defect in a rule must not become a permission
            reason = Reason(rule=name, clause=f"what cannot be judged is refused: {type(error).__name__}")
        if reason is not None:
            found.append(reason)
    return tuple(found)
