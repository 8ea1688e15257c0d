"""Which secure sums a job has: who is in each, and how many of them must be; the same at every member.

The first sum is between all parties of the job, and is opened over those who delivered if the job permits that some are
missing. Everything after it is between exactly those who were counted: nobody may be missing there, a party that is
lost is waited for until the deadline.
"""

from __future__ import annotations

from collections.abc import Sequence

from federation.domain.job import Job
from federation.protocols.setup import Setup


def setup(job: Job, job_hash: bytes, *, index: int, attempt: int, contributors: Sequence[str]) -> Setup:
    """Return the setup of secure sum `index`.

    Args:
        index: from 0.
        attempt: from 0; each has keys of its own.
        contributors: who was counted in the sums before; everybody for the first.

    Raises:
        Refused: rule "secure_sum/parties": fewer than three parties.
    """
    return Setup.standard(
        job_hash=job_hash,
        round_index=index,
        attempt=attempt,
        roster_hash=job.roster_hash,
        parties=job.parties if index == 0 else contributors,
        colluders=promised(job.parties).colluders,
        least=min(len(job.parties), job.minimum_parties) if index == 0 else len(contributors),
    )


def promised(parties: Sequence[str]) -> Setup:
    """Return a setup between these parties for what it promises: threshold, colluders, and how many may be lost.

    Raises:
        Refused: rule "secure_sum/parties": fewer than three parties.
    """
    return Setup.standard(job_hash=bytes(32), round_index=0, roster_hash=bytes(32), parties=parties)


def first_attempt(before: Sequence[str], counted: Sequence[str]) -> int:
    """Return the number of the first attempt at the sum after one over `counted`, whose setup named `before`.

    Keys for it may be out already, dealt among `before`; if somebody is missing since, they are not used.
    """
    return 0 if tuple(before) == tuple(counted) else 1
