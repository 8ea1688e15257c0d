"""A jurisdiction's answer to a job, given before any row is touched: permit, or refuse with reasons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a rule refuses.

    Attributes:
        rule: the rule's name (`federation/policy/rules/`).
        clause: the operator's clause, in words, without data values.
        remedy: what would be permitted instead.
    """

    rule: str
    clause: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one jurisdiction decided about one job; no reasons means permitted."""

    party: str
    job_hash: bytes
    reasons: tuple[Reason, ...] = ()

    @property
    def permits(self) -> bool:
        """True when no rule refuses."""
        return not self.reasons
