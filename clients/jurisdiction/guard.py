"""The jurisdiction's own judgement: its settings over the shared rules, asked before a job and before every round.

It never touches a row, and what it cannot judge it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping

from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.verdict import Verdict
from federation.errors import Refused
from federation.policy import review
from federation.policy.rule import Request, Settings
from federation.query.round import Round


class Guard:
    """What one jurisdiction permits.

    Args:
        me: the jurisdiction's name.
        settings: what its operator set.
        published: data set name -> its own publication.
    """

    def __init__(self, me: str, settings: Settings, published: Mapping[str, Dataset]) -> None:
        self._me, self._settings, self._published = me, settings, published

    def judge(self, job: Job, job_hash: bytes, joint: Dataset) -> Verdict:
        """Return the verdict on a job; no row was touched for it."""
        return review.judge(self._request(job, joint, job_hash), self._settings)

    def judge_round(self, job: Job, asked: Round, joint: Dataset) -> None:
        """Judge a round before its query runs.

        Raises:
            Refused: naming the first rule that says no.
        """
        for reason in review.judge_round(self._request(job, joint), self._settings, asked):
            raise Refused(
                f"{self._me} refuses round {asked.index} by rule {reason.rule}: {reason.clause}",
                rule=reason.rule,
                hint=reason.remedy,
                party=self._me,
            )

    def other_set(self, job: Job) -> Refused:
        """Return the refusal of a query that was opened over another set of parties (DESIGN section 7, ids)."""
        return Refused(
            f"{self._me} has answered this query over {job.dataset!r} before, together with other parties; "
            "a second set would show the difference between the two",
            rule="one set per query",
            hint="ask again with the parties of the first time",
            party=self._me,
        )

    def _request(self, job: Job, joint: Dataset, job_hash: bytes = b"") -> Request:
        return Request(job=job, own=self._published[job.dataset], joint=joint, me=self._me, job_hash=job_hash)
