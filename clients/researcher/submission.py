"""From questions to the job that a researcher signs: a pure function of what was asked and of what is published.

The publications are pinned by digest, so that a job is about these ranges, lists and data versions and no others.
Refused here, before anybody is asked: fewer than three parties, an unknown protection, a deadline in the past.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from clients.researcher.asking import Frame, written
from clients.researcher.table import Table
from federation import registry
from federation.domain.job import Computation, Job
from federation.domain.roster import Roster
from federation.errors import Misuse, did_you_mean
from federation.jobs import planner, sums

PROTOCOLS: Final = "federation.protocols"
TOKEN_BYTES: Final = 16


def job_of(
    asked: Sequence[Computation],
    *,
    data: Table,
    frame: Frame,
    roster: Roster,
    researcher: str,
    now_s: float,
    token: bytes,
) -> Job:
    """Return the job that asks `asked` over `data`.

    Args:
        asked: at least one question.
        data: the parties and their publications.
        frame: purpose, protection and limits; its `where` is the job's.
        roster: what the researcher saw.
        researcher: the member who will sign.
        now_s: Unix time in seconds.
        token: 16 random bytes; the same token is the same job.

    Raises:
        Misuse: no question, or a frame that no job can have.
        Refused: rule "secure_sum/parties": fewer than three parties.
    """
    if not asked:
        raise Misuse("a job asks at least one question", hint='for one: t.ask.mean("age")')
    if frame.deadline_s <= 0:
        raise Misuse("a deadline lies ahead: deadline_s is above 0")
    known = registry.names(PROTOCOLS)
    if frame.protection not in known:
        raise Misuse(f"there is no protection {frame.protection!r}", hint=did_you_mean(frame.protection, known))
    promised_colluders(data.parties)
    least = len(data.parties) if frame.minimum_parties is None else frame.minimum_parties
    if not 3 <= least <= len(data.parties):
        raise Misuse(
            f"minimum_parties is {least}, and {len(data.parties)} parties take part",
            hint="at least 3, at most the parties who take part",
        )
    job = Job(
        name=frame.name or _name(asked[0], token),
        researcher=researcher,
        purpose=frame.purpose,
        dataset=data.name,
        where=frame.where,
        computations=tuple(asked),
        protection=frame.protection,
        parties=data.parties,
        publications=tuple((party, digest) for party, (_, digest) in data.published.items()),
        minimum_parties=least,
        deadline_ms=round((now_s + frame.deadline_s) * 1000),
        max_rounds=1,
        roster_hash=roster.hash,
        token=token,
    )
    return replace(job, max_rounds=planner.rounds(job, data.joint))


def promised_colluders(parties: Sequence[str]) -> int:
    """Return c: the coordinator and up to c parties together learn only the opened sums.

    Raises:
        Refused: rule "secure_sum/parties": fewer than three parties.
    """
    return sums.promised(parties).colluders


def _name(first: Computation, token: bytes) -> str:
    """A name that people can say, with four digits that tell it from the last one: mean-age-by-sex-7f3c."""
    slug = re.sub(r"[^a-z0-9]+", "-", written(first).lower()).strip("-")
    return f"{slug[:40].rstrip('-')}-{token.hex()[:4]}"
