"""Gets the evidence file of a job from the coordinator, by a profile: as its researcher, or as a party of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clients.researcher import job_record, profile_config
from clients.researcher.remote import RemoteTransport
from clients.researcher.session import Session
from clients.researcher.transport import Transport
from federation.domain.roster import Role, Roster
from federation.errors import Misuse
from federation.identity import keys, roster_file

HASH_DIGITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An evidence file as it was handed over, which job was asked for, and the roster to hold it against."""

    job_hash: bytes
    content: bytes = field(repr=False)
    roster: Roster


def fetched(job: str, *, profile: str = "", home: Path | None = None, told: Callable[[int], None]) -> Fetched:
    """Return the evidence of a job.

    Args:
        job: its name or hash, or how one begins; a jurisdiction, which has no list of jobs, names it by its whole hash.
        profile: of `profiles.toml`, "" for the default one; with a researcher's keys or a jurisdiction's.
        home: where profiles are; FEDERATION_HOME or `~/.federation` by default.
        told: called with the bytes that have come.

    Raises:
        Misuse: no such profile or job, or it has not ended.
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
        content = bytearray()
        for piece in transport.evidence(job_hash):
            content += piece
            told(len(content))
    return Fetched(job_hash=job_hash, content=bytes(content), roster=roster)


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
