"""Gets the evidence file of a job from the coordinator, by a profile: as its researcher, or as a party of it.

Of a training there is no such file: its researcher gets what was signed of it instead, and the models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clients.researcher import job_record, profile_config
from clients.researcher.audit_training import Held
from clients.researcher.job_record import JobRecord
from clients.researcher.remote import RemoteTransport
from clients.researcher.session import Session
from clients.researcher.transport import Transport
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.roster import Role, Roster
from federation.errors import Misuse
from federation.identity import keys, roster_file
from federation.jobs.training import is_training

HASH_DIGITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An evidence file as it was handed over, which job was asked for, and the roster to hold it against."""

    job_hash: bytes
    content: bytes = field(repr=False)
    roster: Roster


def fetched(job: str, *, profile: str = "", home: Path | None = None, told: Callable[[int], None]) -> Fetched | Held:
    """Return the evidence of a job, or of a training what the coordinator holds of it.

    Args:
        job: its name or hash, or how one begins; a jurisdiction, which has no list of jobs, names it by its whole hash.
        profile: of `profiles.toml`, "" for the default one; with a researcher's keys or a jurisdiction's.
        home: where profiles are; FEDERATION_HOME or `~/.federation` by default.
        told: called with the bytes that have come.

    Raises:
        Misuse: no such profile or job, or it has not ended; a training that is not the caller's own.
        Refused: keys that others can read, or a roster that is not in force or does not know these keys.
        Unavailable, Unreachable: the coordinator does not answer.
    """
    folder = profile_config.home() if home is None else home
    chosen = profile_config.profile(profile, folder=folder)
    credentials = keys.load(chosen.keys)
    roster = roster_file.in_force(roster_file.load(chosen.roster))
    keys.check_joined(credentials, roster)
    with contextlib.closing(RemoteTransport(chosen.coordinator, credentials, roster)) as transport:
        job_hash = _hash_of(job, credentials.role, transport, folder)
        training = _training(job_hash, credentials.role, transport, folder)
        if training is not None:
            return _held(training, transport, roster)
        content = bytearray()
        for piece in transport.evidence(job_hash):
            content += piece
            told(len(content))
    return Fetched(job_hash=job_hash, content=bytes(content), roster=roster)


def _training(job_hash: bytes, role: Role, transport: Transport, home: Path) -> JobRecord | None:
    """Return the researcher's own training of this hash, by our record or by the coordinator's; None for other jobs."""
    for record in job_record.records(home):
        if record.job_hash == job_hash:
            return record if is_training(record.job) else None
    if role is not Role.RESEARCHER:
        return None
    for known in transport.jobs():
        if known.job_hash == job_hash and is_training(known.job):
            return JobRecord(job_hash=job_hash, job=known.job, published=_published(known.job, transport))
    return None


def _published(job: Job, transport: Transport) -> dict[str, Dataset]:
    """Return the publications that a job pins. Raises Misuse where one was replaced since."""
    now = transport.publications().get(job.dataset, {})
    found = {party: now[party][0] for party, digest in job.publications if party in now and now[party][1] == digest}
    if missing := [party for party, _ in job.publications if party not in found]:
        raise Misuse(
            f"{', '.join(missing)} publishes another version of {job.dataset!r} than job {job.name} was written for",
            hint="verify it on the machine that it was handed in from",
        )
    return found


def _held(record: JobRecord, transport: Transport, roster: Roster) -> Held:
    job_hash = record.job_hash
    return Held(
        job_hash=job_hash,
        job=record.job,
        published=dict(record.published),
        released=transport.released(job_hash),
        models=(transport.model(job_hash, best=True), transport.model(job_hash, best=False)),
        roster=roster,
    )


def _hash_of(job: str, role: Role, transport: Transport, home: Path) -> bytes:
    """Return the hash of the job that is meant: by our own record of it first, which no coordinator wrote."""
    if len(job) == HASH_DIGITS:
        with contextlib.suppress(ValueError):
            return bytes.fromhex(job)
    if role is not Role.RESEARCHER:
        raise Misuse(
            f"a {role.value} names a job by its hash, 64 hexadecimal digits", hint="the researcher's receipt has it"
        )
    known = job_record.records(home)
    if any(each.job.name.startswith(job) or each.job_hash.hex().startswith(job) for each in known):
        return job_record.record(job, home).job_hash
    return Session(transport).job(job).job_hash
