"""What a job leaves behind besides numbers: who took part, under which protection, and what they signed.

Everything in a receipt was checked when it was made. To check it again, or to let others, there is the job's evidence:
`federation verify JOB`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from clients.researcher import rendering

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
        colluders: c: the coordinator together with up to c of the parties learns only the opened sums.
        publications: (party, SHA-256 of the publication): which ranges, lists and data versions were read.
        roster_hash: the members that the researcher saw.
        transcript: chain over every opened total, 32 bytes; replayed here, and signed by `signed_by`.
        rounds: secure sums that were opened.
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
    colluders: int
    publications: tuple[tuple[str, bytes], ...]
    roster_hash: bytes
    transcript: bytes
    signed_by: tuple[str, ...]
    rounds: int

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

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return rendering.as_html(("", ""), _rows(self), title=f"receipt of job {self.job}")


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
