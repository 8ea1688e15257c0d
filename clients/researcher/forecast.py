"""What a job would open, to whom, and under which promise, for people: the planner's preview in words.

Plans are pure, so this is known before anybody is asked and without any data. Only the queries of the first round can
be told: later ones depend on what is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients.researcher import rendering
from clients.researcher.asking import written
from clients.researcher.receipt import Plain, as_mapping, losses
from clients.researcher.results import error_of
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.verdict import Verdict
from federation.jobs import judging, planner, sums
from federation.jobs.protection import PLAIN
from federation.policy import review
from federation.policy.rule import Settings

if TYPE_CHECKING:
    from rich.console import Group

LOOKED_AT = "indicators, saturation, dominance and differencing"  # rules that need a look at own rows
COLUMNS = ("in every cell", "cells are", "cells", "numbers", "flags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a job would do; `preview` has the figures, `why` says in one sentence why it is protected so.

    `verdicts` are those that every party's rules come to on what is published: the job and its first round.
    """

    job: Job
    preview: planner.Preview
    why: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def failures(self) -> tuple[tuple[str, str, str], ...]:
        """(question, why it would fail before anything is asked, the next step)."""
        found = self.preview.failures
        return tuple((written(self.job.computations[i]), failure.message, failure.hint) for i, failure in found)

    @property
    def least(self) -> int:
        """Fewest of the parties whose sum opens."""
        return sums.setup(self.job, bytes(32), index=0, attempt=0, contributors=self.job.parties).least

    def rows(self) -> list[tuple[rendering.Cell, ...]]:
        """Return one row per query, as `columns` names the fields."""
        return [("; ".join(o.opens), o.per, o.cells, o.numbers, o.flags) for o in self.preview.openings]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the fields of a row are."""
        return COLUMNS

    def title(self) -> str:
        """Return the line above the table."""
        where = f" where {self.job.where}" if self.job.where else ""
        return f"job {self.job.name} would open, over {self.job.dataset}{where}:"

    def notes(self) -> list[str]:
        """Return the promises, and what they do not cover, one sentence each."""
        seen = self.preview
        n, c = len(seen.parties), seen.colluders
        lines = [
            f"{question} would fail: {why}" + (f" ({hint})" if hint else "") for question, why, hint in self.failures
        ]
        lines += [
            f"questions: {'; '.join(written(each) for each in self.job.computations)}",
            f"purpose: {self.job.purpose or 'none given'}",
            f"{n} parties take part{', all of them' if self.least == n else ''}: {', '.join(seen.parties)}",
            self._bears(),
            f"seen by: {', '.join(seen.seen_by)}",
            *([f"protection: {self.why}"] if self.why else []),
            f"{self.job.protection}: the coordinator with up to {c} of the parties learns only what opens (c = {c})"
            if self.job.protection != PLAIN
            else f"{self.job.protection}: the coordinator sees every party's numbers, not only what opens",
            *self._later(),
            f"a party withholds what counts fewer than {seen.k}: empty and small look alike; flags say how many do"
            if seen.k > 1
            else "k = 1: no party withholds small cells",
            own_releases(seen),
            *self._judged(),
        ]
        if n == 3:
            lines.append("with 3 parties, two who collude can subtract their own figures and read the third's")
        return lines

    def _later(self) -> list[str]:
        """Return what the table does not show."""
        most = self.preview.most_rounds
        return [f"at most {most} secure sums; the table shows the first, later ones depend on what it opens"]

    def _judged(self) -> list[str]:
        """Return what is known of the parties' verdicts: one sentence for each rule that says no, or for all."""
        said: dict[tuple[str, str, str], list[str]] = {}
        for verdict in self.verdicts:
            for reason in verdict.reasons:
                said.setdefault((reason.rule, reason.clause, reason.remedy), []).append(verdict.party)
        lines = [
            f"{', '.join(parties)} would refuse by rule {rule}: {clause}" + (f" ({remedy})" if remedy else "")
            for (rule, clause, remedy), parties in said.items()
        ]
        if self.verdicts and not lines:
            lines.append(f"verdicts: by what is published, none of the {len(self.verdicts)} parties would refuse")
        if self.preview.k > 1:
            lines.append(f"rules {LOOKED_AT} are judged by each party with a look at its own rows, when it is asked")
        return lines

    def _bears(self) -> str:
        """Return one sentence: who may be lost, and when."""
        n = len(self.preview.parties)
        said = losses(n, self.least)
        if self.least == n:
            return f"{said}: one that is lost is waited for until the deadline"
        later = "; whoever is counted in the first sum is waited for in the later ones"
        once = f", once all {n} have permitted it; the same question over another set of parties is refused afterwards"
        return said + once + (later if self.preview.most_rounds > 1 else "")

    def summary(self) -> str:
        """Return the forecast as text."""
        return rendering.text(self.columns, self.rows(), title=self.title(), notes=self.notes())

    def to_dict(self) -> dict[str, Plain]:
        """Return the forecast as plain values."""
        job = self.job
        return {
            "job": job.name,
            "dataset": job.dataset,
            "where": job.where,
            "purpose": job.purpose,
            "protection": job.protection,
            "key": job.key.hex(),
            "why": self.why,
            "questions": [written(each) for each in job.computations],
            **as_mapping(self.preview),
            "least": self.least,
            "verdicts": [as_mapping(verdict) for verdict in self.verdicts],
            "failures": [{"question": q, "message": why, "hint": hint} for q, why, hint in self.failures],
        }

    def for_terminal(self) -> Group:
        """Return what a terminal shows."""
        return rendering.for_terminal(self.columns, self.rows(), title=self.title(), notes=self.notes())

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return rendering.as_html(self.columns, self.rows(), title=self.title(), notes=self.notes())


def own_releases(seen: planner.Preview) -> str:
    """Return one sentence: which cells may be one party's own figure, and by which clause they open."""
    if not seen.own_figures:
        return (
            f"own figures: none; k = {seen.k}, and cells to which fewer than three parties contribute stay closed, as "
            "not all operators publish own figures"
        )
    cells = ", ".join(f"{o.own_releases} of {o.per}" for o in seen.openings)
    return (
        f"own figures: {seen.own_releases} cells may be one party's own figure ({cells}); k = {seen.k}, all operators "
        "publish own figures"
    )


def verdicts(job: Job, published: Mapping[str, Dataset], joint: Dataset) -> tuple[Verdict, ...]:
    """Return what the rules of every party come to on what is published; an operator's own clauses are not."""
    found = []
    first = planner.first_round(job, joint)
    for party in job.parties:
        request = judging.request(job, published[party], joint, party)
        reasons = review.judge(request, Settings()).reasons
        if first is not None:
            known = {reason.rule for reason in reasons}
            later = review.judge_round(request, Settings(), first)
            reasons += tuple(reason for reason in later if reason.rule not in known)
        found.append(Verdict(party=party, job_hash=b"", reasons=reasons))
    return tuple(found)


def check(job: Job, joint: Dataset) -> None:
    """Check that every question of the job gets as far as a query, so that nobody is asked in vain.

    Raises:
        Misuse, Refused: why the first one that does not would fail.
    """
    for place, failure in planner.preview(job, joint).failures:
        raise error_of(failure, job.computations[place])
