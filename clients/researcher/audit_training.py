"""Says what stands for a training: what the parties signed, made again from what was opened, and what nobody can prove.

Of updates no evidence is kept, since they are too long: what was opened of each is a digest, in a chain with every
evaluation and the model's hash, and the parties' signatures stand under its end. So the model file is held against
their word and not against their vectors, which is weaker than the audit of statistics, and is said line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from clients.researcher import verified
from clients.researcher.asking import written
from clients.researcher.figures import Figure
from clients.researcher.findings import Findings, Report
from clients.researcher.receipt import Receipt, differing
from clients.researcher.received import coordinator_of
from clients.researcher.verified_training import checked, followed, receipt_of
from federation.analytics.statistic import Table
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import Job, Released
from federation.domain.roster import Roster
from federation.errors import ProtocolViolation, Refused
from federation.jobs.training import Followed
from federation.training import checkpoint

WHOSE: Final = "whoever had the receipt"
COLUMNS: Final = ("round", "loss", "accuracy", "auc", "parties", "weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the coordinator holds of a training that was released, for its researcher.

    Attributes:
        job: as the researcher signed it.
        published: party -> the publication that the job pins.
        released: what was opened, in digests, and who signed; the signatures are verified.
        models: the best model's file and the last one's; nothing in them is verified.
        roster: whose signatures count.
    """

    job_hash: bytes
    job: Job
    published: dict[str, Dataset]
    released: Released
    models: tuple[bytes, bytes] = field(repr=False)
    roster: Roster


def audited(held: Held, *, receipt: bytes | None = None, told: Callable[[str], None] = lambda _: None) -> Report:
    """Return what stands for a training.

    Args:
        receipt: a receipt's file: hold every line of it against what follows.
        told: called with the name of each step.

    Raises:
        Refused: rule "roster": the job was written for another roster.
    """
    if held.job.roster_hash != held.roster.hash:
        raise Refused(
            f"job {held.job.name} was written for another roster than the one given",
            rule="roster",
            hint="verify it with the roster that was in force then",
        )
    findings = Findings(coordinator_of(held.roster), told)
    course = followed(held.job, agreed(held.published))
    found: Receipt | None = None
    try:
        found = _proven(held, course, findings)
        if receipt is not None:
            _receipted(receipt, found, findings)
    except ProtocolViolation as fault:
        findings.broken(fault)
    return Report(
        job=held.job.name,
        job_hash=held.job_hash,
        lines=tuple(findings.lines),
        figures=() if findings.is_broken else (_rounds(course),),
        receipt=None if findings.is_broken else found,
    )


def _proven(held: Held, course: Followed, findings: Findings) -> Receipt:
    """Add every line up to the limits. Raises ProtocolViolation for what does not hold."""
    job, released, relay = held.job, held.released, findings.relay
    findings.at("job")
    where = f" where {job.where}" if job.where else ""
    purpose = f"purpose {job.purpose}" if job.purpose else "no purpose given"
    asks = "; ".join(written(asked) for asked in job.computations)
    findings.proven(f"asks {asks} of {job.dataset}{where}; {purpose}", job.researcher)
    findings.at("publications")
    findings.proven(f"what {job.dataset} is: columns, ranges, categories, k, versions", *held.published)
    findings.at("transcript")
    verified.replay(course, job, held.job_hash, released, coordinator=relay)
    sums, signers = len(released.totals), tuple(sorted(released.attested_by))
    findings.proven(f"{released.transcript.hex()} over {sums} secure sums and who is in them")
    findings.at("attestations")
    findings.proven("signed this transcript, in which stand all digests, evaluations and model hashes", *signers)
    if unsigned := sorted(set(course.contributors) - set(signers)):
        findings.stated(f"no attestation of {', '.join(unsigned)} came in time", relay)
    findings.at("rounds")
    measured = sum(one.figures is not None for one in course.history)
    findings.proven(f"{len(course.history)} rounds of updates, {measured} evaluations, as told below")
    findings.stated("each merged the opened sums by itself, and came to these models", *signers)
    findings.at("model")
    best, last = held.models
    indices = course.round_index if course.best is None else course.best[0], course.round_index
    for what, index, data in (("best", indices[0], best), ("last", indices[1], last)):
        hashed = checkpoint.digest(checked(data, course, index, coordinator=relay)).hex()
        findings.proven(f"the file of the {what} model, of round {index + 1}, has the hash that they signed: {hashed}")
    findings.at("limits")
    findings.open("that a sum of updates is that of the updates sent: each party checked it then, no vector is kept")
    findings.open("that a party's numbers are those of its rows, or within the norm bound: what it sent, it signed")
    if set(course.contributors) != set(job.parties):
        findings.open("that whoever is not counted was silent, and was not left out")
    return receipt_of(job, held.job_hash, released, course)


def _receipted(content: bytes, due: Receipt, findings: Findings) -> None:
    findings.at("receipt")
    if content != due.to_bytes():
        lines = ", ".join(differing(content, due)) or "in another form"
        raise findings.broken_by(WHOSE, "the receipt that follows from what was signed", f"another: {lines}")
    findings.proven("every line of it follows from what was signed")


def _rounds(course: Followed) -> Figure:
    rows = tuple(
        (
            one.round_index + 1,
            None if one.figures is None else one.figures.loss,
            None if one.figures is None else one.figures.accuracy,
            None if one.figures is None else one.figures.auc,
            len(one.parties),
            one.weight,
        )
        for one in course.history
    )
    return Figure(question="rounds", table=Table(columns=COLUMNS, rows=rows))
