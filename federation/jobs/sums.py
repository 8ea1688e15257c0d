"""Which secure sums a job has: who is in each, how many of them must be, and over what; the same at every member.

The first sum is between all parties of the job, and is opened over those who delivered if the job permits that some are
missing. Everything after it is between exactly those who were counted. Where the course is strict nobody may be missing
there, a party that is lost is waited for until the deadline; a training goes on with those who are left, if the job
permits that. Under a joint key nobody may be missing in any sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.protocols.setup import Setup, Spec
from federation.query.round import Round, length, round_digest
from federation.query.widths import value_bits


def setup(
    job: Job, job_hash: bytes, *, index: int, attempt: int, contributors: Sequence[str], strict: bool | None = None
) -> Setup:
    """Return the setup of secure sum `index`.

    Args:
        index: from 0.
        attempt: from 0; each has keys of its own.
        contributors: who was counted in the sums before; everybody for the first.
        strict: whether all of them have to be counted, as the course says; by default in all sums but the first.

    Raises:
        Refused: rule "secure_sum/parties": fewer than three parties.
    """
    if job.key:
        return Setup.keyed(
            job_hash=job_hash,
            round_index=index,
            attempt=attempt,
            roster_hash=job.roster_hash,
            parties=job.parties,
            key=job.key,
        )
    parties = job.parties if index == 0 else contributors
    least = min(len(parties), job.minimum_parties)
    return Setup.standard(
        job_hash=job_hash,
        round_index=index,
        attempt=attempt,
        roster_hash=job.roster_hash,
        parties=parties,
        colluders=promised(job.parties).colluders,
        least=len(contributors) if (index > 0 if strict is None else strict) else least,
    )


def spec(setup: Setup, due: Round, joint: Dataset, transcript: bytes) -> Spec:
    """Return what is summed in `setup`: the round that the plan asks after the totals in `transcript`.

    Raises:
        Misuse: a query without a meaning over `joint`.
    """
    whole = Spec(setup=setup, round_digest=round_digest(due), transcript_hash=transcript, length=length(due, joint))
    # Masks fill their ring whatever the numbers are; a ciphertext holds the more numbers the shorter they are.
    return replace(whole, value_bits=value_bits(due, joint)) if setup.key else whole


def promised(parties: Sequence[str], key: bytes = b"") -> Setup:
    """Return a setup between these parties for what it promises: threshold, colluders, and how many may be lost.

    Args:
        key: digest of their joint key, b"" for sums without one.

    Raises:
        Refused: rule "secure_sum/parties": fewer than three parties.
    """
    if key:
        return Setup.keyed(job_hash=bytes(32), round_index=0, roster_hash=bytes(32), parties=parties, key=key)
    return Setup.standard(job_hash=bytes(32), round_index=0, roster_hash=bytes(32), parties=parties)


def first_attempt(before: Sequence[str], counted: Sequence[str]) -> int:
    """Return the number of the first attempt at the sum after one over `counted`, whose setup named `before`.

    Keys for it may be out already, dealt among `before`; if somebody is missing since, they are not used.
    """
    return 0 if tuple(before) == tuple(counted) else 1
