"""One party's answers to the questions of a job: judged by its guard, counted by its engine, encoded as asked."""

from __future__ import annotations

from collections.abc import Sequence

from clients.jurisdiction.answering import Answering
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Answered, Guard
from clients.jurisdiction.records import query_ids
from federation.crypto import ring
from federation.domain.catalogue import Dataset
from federation.errors import Refused
from federation.jobs import questions
from federation.query.query import SumQuery
from federation.query.query import digest as query_digest
from federation.query.round import encoded


class Questions(Answering):
    """The answers of one job.

    Args:
        course: what is asked.
        own: the party's own publication of the job's data set.
    """

    def __init__(self, course: questions.Questions, *, own: Dataset, guard: Guard, engine: Engine) -> None:
        self._course, self._own, self._guard, self._engine = course, own, guard, engine
        self._answers: dict[bytes, Answered] = {}

    def ids(self) -> list[bytes]:
        return list(query_ids(self._course.round, self._own.version))

    def judge(self) -> None:
        self._guard.judge_round(self._course.job, self._course.round, self._course.joint)

    def vector(self) -> bytes:
        job, due, joint = self._course.job, self._course.round, self._course.joint
        answered = self._answered(due.queries)
        self._guard.judge_answers(job, due, joint, answered, self._engine)
        withheld = [one.withheld for one in answered] if any(one.withheld for one in answered) else ()
        numbers = encoded(due, joint, [one.answer for one in answered], self._own.k, withheld)
        return ring.to_bytes(ring.from_ints(numbers))

    def other_set(self) -> Refused:
        return self._guard.other_set(self._course.job)

    def forget(self) -> None:
        self._answers.clear()

    def _answered(self, queries: Sequence[SumQuery]) -> tuple[Answered, ...]:
        """Return the answers; those that a round of support was asked for are there when their sums are."""
        ids = [query_digest(query) for query in queries]
        if any(query_id not in self._answers for query_id in ids):
            answers = self._guard.answered(self._course.job, queries, self._course.joint, self._engine)
            self._answers = dict(zip(ids, answers, strict=True))
        return tuple(self._answers[query_id] for query_id in ids)
