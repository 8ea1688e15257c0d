"""Runs every rule of the family over a job, and over each of its rounds. A rule that fails to judge refuses.

Three times: over the job before any row is touched, over each round before its queries run, and over what the guard
saw of its own rows before a number leaves. All rules are run, so that a researcher learns every reason at once.
"""

from __future__ import annotations

from collections.abc import Callable

from federation import registry
from federation.domain.verdict import Reason, Verdict
from federation.errors import FederationError
from federation.policy.rule import Cell, Look, Request, Rule, Settings
from federation.query.query import SumQuery
from federation.query.round import Round

FAMILY = "federation.policy.rules"


def judge(request: Request, settings: Settings) -> Verdict:
    """Return the jurisdiction's verdict on the job: no reasons means permitted."""
    reasons = _reasons(lambda rule: rule.judge(request, settings))
    return Verdict(party=request.me, job_hash=request.job_hash, reasons=reasons)


def judge_round(request: Request, settings: Settings, asked: Round) -> tuple[Reason, ...]:
    """Return why the round is refused, () if it is permitted; for the guard, before every round."""
    return _reasons(lambda rule: rule.judge_round(request, settings, asked))


def judge_look(request: Request, settings: Settings, asked: Round, look: Look) -> tuple[Reason, ...]:
    """Return why the round is refused after a look at own rows, () if it is permitted."""
    return _reasons(lambda rule: rule.judge_look(request, settings, asked, look))


def withholds(request: Request, query: SumQuery, cell: Cell) -> bool:
    """Return whether a rule withholds the jurisdiction's part of a cell; a rule that fails to judge withholds it."""
    for member in registry.discover(FAMILY, Rule).values():
        try:
            if member().withholds(request, query, cell):
                return True
        except Exception:  # noqa: BLE001 - a defect in a rule must not become a permission
            return True
    return False


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
