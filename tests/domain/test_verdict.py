"""A verdict permits exactly when no rule refuses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from federation.domain.verdict import Reason, Verdict


def test_no_reason_is_a_permission_and_one_reason_is_none() -> None:
    permitted = Verdict(party="macao", job_hash=bytes(32))
    refused = Verdict(party="macao", job_hash=bytes(32), reasons=(Reason(rule="purposes", clause="only health"),))
    assert permitted.permits
    assert not refused.permits


def test_a_verdict_cannot_be_turned() -> None:
    verdict = Verdict(party="macao", job_hash=bytes(32), reasons=(Reason(rule="purposes", clause="only health"),))
    with pytest.raises(FrozenInstanceError):
        verdict.reasons = ()  # type: ignore[misc]
