"""From questions to the job that a researcher signs: a pure function of what was asked and of what is published.

The publications are pinned by digest, so that a job is about these ranges, lists and data versions and no others.
Refused here, before anybody is asked: fewer than three parties, an unknown protection, a deadline in the past.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from clients.researcher import asking_training
from clients.researcher.asking import Frame, written
from clients.researcher.table import Table
from federation.domain.job import Computation, Job
from federation.domain.roster import Roster
from federation.errors import Misuse
from federation.jobs import planner, sums
from federation.jobs.protection import MASKS, Choice, KnownKey, Wanted, chosen, named
from federation.policy.rule import TRAINING

TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job before it is signed, and in one sentence why it is protected as it is."""

    job: Job
    why: str


def drafted(
    asked: Sequence[Computation],
    *,
    data: Table,
    frame: Frame,
    roster: Roster,
    researcher: str,
    now_s: float,
    token: bytes,
    keys: Callable[[], Sequence[KnownKey]] = tuple,
) -> Draft:
    """Return the job that asks `asked` over `data`.

    Args:
        asked: at least one question.
        data: the parties and their publications.
        frame: purpose, protection and limits; its `where` is the job's.
        roster: what the researcher saw.
        researcher: the member who will sign.
        now_s: Unix time in seconds.
        token: 16 random bytes; the same token is the same job.
        keys: returns the federation's joint keys; called if one may be used.

    Raises:
        Misuse: no question, or a frame that no job can have.
        Refused: rule "secure_sum/parties": fewer than three parties; rule "protection/...": no joint key fits, and one
            was asked for.
    """
    if not asked:
        raise Misuse("a job asks at least one question", hint='for one: t.ask.mean("age")')
    if frame.deadline_s <= 0:
        raise Misuse("a deadline lies ahead: deadline_s is above 0")
    wanted = named(frame.protection)
    sums.promised(data.parties)
    least = len(data.parties) if frame.minimum_parties is None else frame.minimum_parties
    if not 3 <= least <= len(data.parties):
        raise Misuse(
            f"minimum_parties is {least}, and {len(data.parties)} parties take part",
            hint="at least 3, at most the parties who take part",
        )
    asked = [asking_training.completed(one, data.joint) if one.name == TRAINING else one for one in asked]
    job = Job(
        name=frame.name or _name(asked[0], token),
        researcher=researcher,
        purpose=frame.purpose,
        dataset=data.name,
        where=frame.where,
        computations=tuple(asked),
        protection=MASKS,
        parties=data.parties,
        publications=tuple((party, digest) for party, (_, digest) in data.published.items()),
        minimum_parties=least,
        deadline_ms=round((now_s + frame.deadline_s) * 1000),
        max_rounds=1,
        roster_hash=roster.hash,
        token=token,
    )
    choice = _chosen(wanted, job, data, () if wanted == MASKS else keys())
    return Draft(
        job=replace(
            job,
            max_rounds=planner.rounds(job, data.joint),
            protection=choice.protection,
            key=choice.key,
        ),
        why=choice.why,
    )


def _chosen(wanted: str, job: Job, data: Table, keys: Sequence[KnownKey]) -> Choice:
    numbers = planner.most_numbers(job, data.joint) if keys else 0
    of = Wanted(parties=job.parties, least=job.minimum_parties, numbers=numbers, deadline_ms=job.deadline_ms)
    return chosen(wanted, of, keys)


def _name(first: Computation, token: bytes) -> str:
    """A name that people can say, with four digits that tell it from the last one: mean-age-by-sex-7f3c."""
    words = written(first)
    if first.name == TRAINING:
        said = dict(first.parameters)
        words = f"train {said['target']} {said['model']}"
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return f"{slug[:40].rstrip('-')}-{token.hex()[:4]}"
