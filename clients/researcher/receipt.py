"""What a job leaves behind besides numbers: who took part, under which protection, and what they signed.

Everything in a receipt was checked when it was made. To check it again, or to let others, there is the job's evidence:
`federation verify RECEIPT`. A receipt is digests and names; as a file it has one serialisation, and every line of it
follows from the evidence.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from clients.researcher import rendering
from federation.domain.job import Job
from federation.identity import document
from federation.jobs import sums

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA: Final = "federation/receipt/v1"
LARGEST_BYTES: Final = 1024 * 1024
_HASH: Final = re.compile("[0-9a-f]{64}")
Plain: TypeAlias = "int | float | str | Sequence[Plain] | Mapping[str, Plain] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Who took part in a job, and what they signed.

    Attributes:
        job_hash: what the researcher signed, 32 bytes.
        parties: who is counted, in every total alike.
        missing: who was asked and is not counted, because it was lost when that was settled.
        least: fewest of those asked whose sum would have opened.
        protection: the secure sum.
        key: digest of the joint key that was summed under, b"" for masks.
        trust: whom a sum under this key has to trust, in words; "" for masks.
        colluders: c: the coordinator together with up to c of the parties learns only the opened sums.
        publications: (party, SHA-256 of the publication): which ranges, lists and data versions were read.
        roster_hash: the members that the researcher saw.
        transcript: chain over every opened total, 32 bytes; replayed here, and signed by `signed_by`.
        rounds: secure sums that were opened.
        figures: digest of all answers, 32 bytes.
    """

    job_hash: bytes
    job: str
    dataset: str
    where: str
    purpose: str
    parties: tuple[str, ...]
    missing: tuple[str, ...] = ()
    least: int
    protection: str
    key: bytes = b""
    trust: str = ""
    colluders: int
    publications: tuple[tuple[str, bytes], ...]
    roster_hash: bytes
    transcript: bytes
    signed_by: tuple[str, ...]
    rounds: int
    figures: bytes = b""

    @classmethod
    def of(
        cls,
        job: Job,
        job_hash: bytes,
        *,
        counted: Sequence[str],
        transcript: bytes,
        signed_by: Iterable[str],
        rounds: int,
        trust: str,
        figures: bytes,
    ) -> Receipt:
        """Return the receipt of a job that was released, from what somebody replayed himself."""
        first = sums.setup(job, job_hash, index=0, attempt=0, contributors=job.parties)
        return cls(
            job_hash=job_hash,
            job=job.name,
            dataset=job.dataset,
            where=job.where,
            purpose=job.purpose,
            parties=tuple(counted),
            missing=tuple(party for party in job.parties if party not in counted),
            least=first.least,
            protection=job.protection,
            key=job.key,
            trust=trust,
            colluders=first.colluders,
            publications=job.publications,
            roster_hash=job.roster_hash,
            transcript=transcript,
            signed_by=tuple(sorted(signed_by)),
            rounds=rounds,
            figures=figures,
        )

    @property
    def losable(self) -> str:
        """What the job could bear, in words."""
        return losses(len(self.parties) + len(self.missing), self.least)

    def summary(self) -> str:
        """Return the receipt as text, hashes in full."""
        return rendering.text(("", ""), _rows(self), title=f"receipt of job {self.job}")

    def to_dict(self) -> dict[str, Plain]:
        """Return the receipt as plain values, hashes as hexadecimal."""
        return as_mapping(self)

    def to_bytes(self) -> bytes:
        """Return the receipt as its file: the one way to write it."""
        return document.encoded({"schema": SCHEMA, **self.to_dict()})

    def save(self, path: str | Path) -> None:
        """Write the receipt to a file, for its owner only: a purpose may be personal. Raises Unavailable."""
        document.write(Path(path), self.to_bytes(), mode=0o600)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return rendering.as_html(("", ""), _rows(self), title=f"receipt of job {self.job}")


def job_in(content: bytes) -> bytes:
    """Return the hash of the job that a receipt's file is of. Raises Misuse for bytes that are no such file."""
    top = document.decoded(content, what="the receipt", schema=SCHEMA, limit_bytes=LARGEST_BYTES)
    found = document.fields(top, "the receipt", ("schema", *(field.name for field in dataclasses.fields(Receipt))))
    return bytes.fromhex(document.text(found["job_hash"], "the job's hash", _HASH))


def differing(content: bytes, receipt: Receipt) -> tuple[str, ...]:
    """Return which lines of a receipt's file are not those of `receipt`; () if only its form is another, or none."""
    due = receipt.to_dict()
    try:
        given = json.loads(content)
    except ValueError:
        return ()
    return tuple(name for name in due if given.get(name) != due[name]) if isinstance(given, dict) else ()


def losses(parties: int, least: int) -> str:
    """Return what a sum among `parties` can bear that opens over `least` or more: 5, 4 -> up to 1 lost party."""
    if least == parties:
        return f"all {parties} parties must answer"
    lost = parties - least
    return f"goes on without up to {lost} lost {'party' if lost == 1 else 'parties'}"


def as_mapping(value: DataclassInstance) -> dict[str, Plain]:
    """Return the fields of a frozen dataclass as plain values."""
    return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def plain(value: object) -> Plain:
    """Return `value` as what JSON can hold, bytes as hexadecimal. Raises TypeError for what is not a value."""
    match value:
        case Enum():
            return plain(value.value)
        case bytes():
            return value.hex()
        case None | int() | float() | str():
            return value
        case tuple() | list():
            return [plain(item) for item in value]
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return as_mapping(value)
        case _:
            raise TypeError(f"a result holds plain values, this one a {type(value).__name__}")


def _rows(receipt: Receipt) -> list[tuple[str, str]]:
    rows = []
    for field in dataclasses.fields(receipt):
        value = getattr(receipt, field.name)
        if field.name in ("key", "trust") and not value:
            continue
        match value:
            case bytes():
                shown = value.hex()
            case ():
                shown = "nobody"
            case tuple():
                shown = ", ".join(f"{item[0]} {item[1].hex()}" if isinstance(item, tuple) else item for item in value)
            case _:
                shown = str(value)
        rows.append((field.name.replace("_", " "), f"{shown}: {receipt.losable}" if field.name == "least" else shown))
    # By its hash, since a name may be given twice; a roster and `--save` make it anybody's to check.
    return [*rows, ("to verify", f"federation verify {receipt.job_hash.hex()[:12]}")]
