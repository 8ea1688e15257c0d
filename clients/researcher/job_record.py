"""Remembers jobs that were handed in, so that a result can be fetched after the program or the machine has stopped.

A record holds the job and the publications that it pins, in the bytes that were signed; no result and no secret. It is
for its owner only (0600): a purpose may be personal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.errors import Misuse, did_you_mean
from federation.identity import document
from federation.wire import convert, messages

FOLDER: Final = "jobs"
SCHEMA: Final = "federation/job-record/v1"
LARGEST_BYTES: Final = 16 * 1024 * 1024
_MOST_PARTIES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job that was handed in, and party -> publication as it was then."""

    job_hash: bytes
    job: Job
    published: Mapping[str, Dataset]


def record_of(job: Job, published: Mapping[str, Dataset]) -> JobRecord:
    """Return the record of a job that was not handed in yet: its hash is that of the bytes that will be signed."""
    body = convert.BODIES[messages.JOB].encode(job)
    return JobRecord(job_hash=hashlib.sha256(body).digest(), job=job, published=published)


def save(record: JobRecord, home: Path) -> Path:
    """Write the record under `home` and return its file. Raises Unavailable if the system refuses."""
    folder = home / FOLDER
    path = folder / f"{record.job_hash.hex()}.json"
    publications = [
        convert.BODIES[messages.PUBLICATION].encode(messages.Publication(party=party, dataset=dataset))
        for party, dataset in sorted(record.published.items())
    ]
    content = document.encoded(
        {
            "schema": SCHEMA,
            "job": document.base64_text(convert.BODIES[messages.JOB].encode(record.job)),
            "publications": [document.base64_text(each) for each in publications],
        }
    )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise Misuse(
            f"cannot make the folder {folder}: {fault.strerror}", hint="FEDERATION_HOME names another"
        ) from None
    document.write(path, content, mode=0o600)
    return path


def token_of(text: str) -> bytes:
    """Return the 16-byte token that a text stands for."""
    return hashlib.sha256(b"federation/token/v1" + text.encode()).digest()[:16]


def with_token(text: str, home: Path) -> JobRecord | None:
    """Return the record of the job that was made with this text as its token, or None."""
    token = token_of(text)
    return next((each for each in records(home) if each.job.token == token), None)


def records(home: Path) -> tuple[JobRecord, ...]:
    """Return all records under `home`, the newest file last."""
    paths = sorted((home / FOLDER).glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return tuple(_loaded(path) for path in paths)


def record(name: str, home: Path) -> JobRecord:
    """Return the record of the job whose name is `name`, or whose name or hash begins so.

    Raises:
        Misuse: no such job, or several.
    """
    known = records(home)
    found = [each for each in known if each.job.name == name]
    found = found or [each for each in known if each.job.name.startswith(name) or each.job_hash.hex().startswith(name)]
    if not found:
        hint = did_you_mean(name, [each.job.name for each in known]) or "`federation run --no-wait` records jobs"
        raise Misuse(f"there is no job {name!r} on this machine", hint=hint)
    if len(found) > 1:
        hashes = ", ".join(f"{each.job.name} {each.job_hash.hex()[:12]}" for each in found)
        raise Misuse(f"{len(found)} jobs are called {name!r}", hint=f"say which by its hash: {hashes}")
    return found[0]


def _loaded(path: Path) -> JobRecord:
    what = f"the job record {path}"
    content = document.read(path, what=what, limit_bytes=LARGEST_BYTES)
    top = document.decoded(content, what=what, schema=SCHEMA, limit_bytes=LARGEST_BYTES)
    fields = document.fields(top, what, ("schema", "job", "publications"))
    try:
        job_hash = bytes.fromhex(path.stem)
        job = convert.BODIES[messages.JOB].decode(_body(fields["job"], what))
        found = [
            convert.BODIES[messages.PUBLICATION].decode(_body(each, what))
            for each in document.items(fields["publications"], what, _MOST_PARTIES)
        ]
    except ValueError:
        raise Misuse(f"{what} does not hold a job", hint="delete it; the job itself is with the coordinator") from None
    if not isinstance(job, Job):
        raise TypeError("a job's body decodes to a job")
    published = {each.party: each.dataset for each in found if isinstance(each, messages.Publication)}
    return JobRecord(job_hash=job_hash, job=job, published=published)


def _body(value: object, what: str) -> bytes:
    return document.binary(value, what, 1, LARGEST_BYTES)
