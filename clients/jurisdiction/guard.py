"""The jurisdiction's own judgement: its settings over the shared rules, asked before a job and before every round.

It judges without a row what can be judged without one. Then it looks at its own rows, through the engine: who fills a
cell, whom a condition inside a sum is about, and what the sums of a round would add to what the project has opened.
What it saw decides, and never leaves; what it cannot judge it refuses. The same query over the same data has the same
answer, from memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clients.jurisdiction.engine import Engine, Share
from clients.jurisdiction.history import History
from clients.jurisdiction.opened_sets import opening
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.verdict import Reason, Verdict
from federation.errors import Refused
from federation.jobs import judging
from federation.policy import review
from federation.policy.rule import Cell, Look, Request, Settings
from federation.query.query import Answer, SumQuery
from federation.query.query import digest as query_digest
from federation.query.round import Phase, Round

REMEMBERED: Final = 200_000  # numbers of answers, of all queries together


@dataclass(frozen=True, slots=True)
class Answered:
    """One query's answer at this party, and the cells that a rule withholds whatever their size; () for none."""

    answer: Answer
    withheld: tuple[bool, ...]


class Guard:
    """What one jurisdiction permits.

    Args:
        me: the jurisdiction's name.
        settings: what its operator set.
        published: data set name -> its own publication.
        history: what was opened before; without it nothing is compared with anything, as in tests of sums.
    """

    def __init__(
        self, me: str, settings: Settings, published: Mapping[str, Dataset], history: History | None = None
    ) -> None:
        self._me, self._settings, self._published, self._history = me, settings, published, history
        self._answers: OrderedDict[tuple[bytes, Dataset], Answered] = OrderedDict()
        self._held = 0

    def remember(self) -> None:
        """Read the history of every project again, which the first question of each would wait for otherwise."""
        if self._history is not None:
            self._history.read_again()

    def judge(self, job: Job, job_hash: bytes, joint: Dataset) -> Verdict:
        """Return the verdict on a job; no row was touched for it."""
        return review.judge(self._request(job, joint, job_hash), self._settings)

    def judge_round(self, job: Job, asked: Round, joint: Dataset) -> None:
        """Judge a round before its query runs.

        Raises:
            Refused: naming the first rule that says no.
        """
        self._refuse(review.judge_round(self._request(job, joint), self._settings, asked), asked)

    def answered(self, job: Job, queries: Sequence[SumQuery], joint: Dataset, engine: Engine) -> tuple[Answered, ...]:
        """Return this party's answers, from memory where the same was asked before, and what its rules withhold."""
        keys = [(query_digest(query), joint) for query in queries]
        if not all(key in self._answers for key in keys):
            found = self._looked(job, queries, joint, engine, engine.sums(queries, joint))
            for key, one in zip(keys, found, strict=True):
                self._remember(key, one)
            return found
        return tuple(self._answers[key] for key in keys)

    def judge_answers(
        self, job: Job, asked: Round, joint: Dataset, answers: Sequence[Answered], engine: Engine
    ) -> None:
        """Judge what a round of sums would open of own rows, and remember it; the last step before a number leaves.

        Raises:
            Refused: naming the first rule that says no; nothing was remembered.
        """
        own = self._published[job.dataset]
        if asked.phase is not Phase.SUMS or own.k < 2 or self._history is None:
            return
        if not joint.own_figures and not self._history.together(job.project, own, asked.queries, job.parties):
            raise self._fewer(job)
        openings = [
            opening(query, one.answer, _shown(one, closed, own.k), joint)
            for query, one, closed in zip(asked.queries, answers, asked.closed, strict=True)
        ]
        seen = self._history.seen(
            job.project, engine, own, joint, openings, keep=self._settings.differencing, nested=asked.index > 1
        )
        look = Look(indicated=seen.fewest, difference=seen.finding)
        self._refuse(review.judge_look(self._request(job, joint), self._settings, asked, look), asked)

    def other_set(self, job: Job) -> Refused:
        """Return the refusal of a query that was opened over another set of parties (DESIGN section 7, ids)."""
        return Refused(
            f"{self._me} has answered this query over {job.dataset!r} before, together with other parties; "
            "a second set would show the difference between the two",
            rule="one set per query",
            hint="ask again with the parties of the first time",
            party=self._me,
        )

    def _fewer(self, job: Job) -> Refused:
        """Return the refusal of rows that were asked of almost the same parties (security.md, S21)."""
        return Refused(
            f"{self._me} has answered over these rows of {job.dataset!r} before, with all but one or two of the same "
            "parties; the difference would be their own figures",
            rule="one set per query",
            hint="ask again with the parties of the first time",
            party=self._me,
        )

    def _looked(
        self, job: Job, queries: Sequence[SumQuery], joint: Dataset, engine: Engine, answers: Sequence[Answer]
    ) -> tuple[Answered, ...]:
        """Return the answers with the cells that rules withhold, after a look at who fills them."""
        request = self._request(job, joint)
        if request.own.k < 2 and not request.own.dominance:
            return tuple(Answered(answer, ()) for answer in answers)
        shares: Sequence[Sequence[Sequence[Share]]] = [[()] * len(answer.table) for answer in answers]
        if request.own.dominance:
            shares = engine.largest(queries, joint)
        found = []
        for query, answer, of_cells in zip(queries, answers, shares, strict=True):
            cells = [
                Cell(units=row[0], share=max((one.largest / one.whole for one in of if one.whole), default=0.0))
                for row, of in zip(answer.table, of_cells, strict=True)
            ]
            found.append(Answered(answer, tuple(review.withholds(request, query, cell) for cell in cells)))
        return tuple(found)

    def _remember(self, key: tuple[bytes, Dataset], one: Answered) -> None:
        if self._history is None or key in self._answers or _numbers(one) > REMEMBERED:
            return
        self._answers[key] = one
        self._held += _numbers(one)
        while self._held > REMEMBERED:
            _, oldest = self._answers.popitem(last=False)
            self._held -= _numbers(oldest)

    def _refuse(self, reasons: Sequence[Reason], asked: Round) -> None:
        for reason in reasons:
            raise Refused(
                f"{self._me} refuses round {asked.index} by rule {reason.rule}: {reason.clause}",
                rule=reason.rule,
                hint=reason.remedy,
                party=self._me,
            )

    def _request(self, job: Job, joint: Dataset, job_hash: bytes = b"") -> Request:
        return judging.request(job, self._published[job.dataset], joint, self._me, job_hash)


def _shown(one: Answered, closed: Sequence[bool], k: int) -> list[bool]:
    """Return, per cell, whether this party's part of it is in the sum that opens."""
    withheld = one.withheld or (False,) * len(one.answer.table)
    rows = zip(one.answer.table, withheld, closed, strict=False)  # `closed` goes on with the counts
    return [row[0] >= k and not hidden and not shut for row, hidden, shut in rows]


def _numbers(one: Answered) -> int:
    return sum(map(len, one.answer.table)) + len(one.answer.counts)
