"""What a researcher believes: nothing that it did not replay.

The coordinator hands over opened totals and the parties' signatures under a transcript. The plan is replayed here on
those totals; the result counts only if the replay ends where they end, its own transcript is the signed one, and the
parties that are counted signed it: all of them, or as many as a secure sum takes where some were lost since. Otherwise
the coordinator is named: the signatures are verified, so no party changed it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from federation.analytics.plan import Outcome
from federation.crypto import ring
from federation.domain.catalogue import Dataset
from federation.domain.job import Blame, Job, Released, State
from federation.errors import FederationError, JobFailed, Misuse, ProtocolViolation, Refused, Unavailable, Unreachable
from federation.jobs import planner, sums
from federation.jobs.course import Course
from federation.jobs.questions import Questions
from federation.protocols.events import Release

PHASE = "release"


class JobRefused(Refused):
    """At least one jurisdiction said no.

    Attributes:
        blames: one for every rule of every jurisdiction that refused: party, message, hint (what would be permitted).
    """

    def __init__(self, blames: Sequence[Blame]) -> None:
        blames = sorted(blames, key=lambda blame: blame.party)
        said: dict[tuple[str, str], list[str]] = {}
        for blame in blames:
            said.setdefault((blame.message.removeprefix(f"{blame.party} "), blame.hint), []).append(blame.party)
        hints = {hint for _, hint in said if hint}
        super().__init__(
            "; ".join(_told(what, parties) for (what, _), parties in said.items()) or "the job was refused",
            rule=", ".join(dict.fromkeys(blame.rule for blame in blames if blame.rule)),
            hint=hints.pop()
            if len(hints) == 1
            else "; ".join(f"{', '.join(parties)}: {hint}" for (_, hint), parties in said.items() if hint),
            party=blames[0].party if len({blame.party for blame in blames}) == 1 else "",
        )
        self.blames = tuple(blames)


def outcomes(job: Job, job_hash: bytes, joint: Dataset, released: Released, *, coordinator: str) -> tuple[Outcome, ...]:
    """Replay the job's plan on what was opened and return one outcome per computation. As `replay`."""
    questions = Questions(job, joint, planner.replay(job, joint))
    replay(questions, job, job_hash, released, coordinator=coordinator)
    return questions.replay.results


def replay(course: Course, job: Job, job_hash: bytes, released: Released, *, coordinator: str) -> None:
    """Feed a job's course with what was opened, to its end.

    Args:
        course: at its beginning.
        job: as it was signed.
        job_hash: what the transport returned for it, 32 bytes.
        released: totals, transcript and who signed it; the signatures are verified by the transport.
        coordinator: the member who handed it over.

    Raises:
        ProtocolViolation: naming the coordinator: another job's totals, a signature that lacks, totals that the plan
            did not ask for or that are too few, or totals other than those that all parties signed.
    """

    def lie(expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(
            coordinator, phase=PHASE, expected=expected, got=got, hint="keep the job's name and tell the jurisdictions"
        )

    if released.job_hash != job_hash:
        raise lie("the totals of this job", "those of another job")
    for index, (numbers, parties) in enumerate(zip(released.totals, released.contributors, strict=True)):
        if course.due is None:
            raise lie(f"{index} secure sums", f"{len(released.totals)}")
        try:
            total = ring.to_bytes(ring.from_ints(numbers))
        except Misuse:
            raise lie("numbers of at most 128 bits with sign", "greater ones") from None
        try:
            course.feed(Release.of(total, parties))
        except ProtocolViolation as fault:
            raise lie(fault.expected, fault.got) from fault
    if course.due is not None:
        raise lie("all secure sums that the plan asks for", f"only {len(released.totals)}")
    counted, signed = course.contributors, set(released.attested_by)
    least = sums.setup(job, job_hash, index=0, attempt=0, contributors=job.parties).least
    if len(counted) < least:
        raise lie(f"totals of at least {least} parties", f"totals of {len(counted)}")
    if not signed <= set(counted) or len(signed) < sums.promised(counted, job.key).threshold:
        unsigned = ", ".join(sorted(set(counted) - signed))
        raise lie("a transcript signed by the parties that are counted", f"none by {unsigned}")
    if not hmac.compare_digest(course.transcript, released.transcript):
        raise lie("the totals that all parties signed", "other totals")


def ending(state: State, blames: Sequence[Blame], *, coordinator: str) -> FederationError:
    """Return the error that a job without a result ends with: by its blame codes, the gravest first."""
    if state is State.REFUSED:
        return JobRefused(blames)
    violations = [blame for blame in blames if blame.code == ProtocolViolation.code]
    if violations:
        found = violations[0]
        return ProtocolViolation.told(found.message, party=found.party, hint=found.hint)
    message = "; ".join(blame.message for blame in blames) or f"{coordinator} ended the job without a reason"
    hint = "; ".join(dict.fromkeys(blame.hint for blame in blames if blame.hint))
    party = blames[0].party if len({blame.party for blame in blames}) == 1 else ""
    kinds = {kind.code: kind for kind in (Unavailable, Unreachable)}
    codes = {blame.code for blame in blames}
    kind = kinds[codes.pop()] if len(codes) == 1 and codes <= kinds.keys() else JobFailed
    return kind(message, hint=hint, party=party)


def _told(what: str, parties: Sequence[str]) -> str:
    """One sentence for all parties that refuse in the same words."""
    if len(parties) == 1:
        return f"{parties[0]} {what}" if parties[0] else what
    return f"{', '.join(parties)} {re.sub(r'^refuses', 'refuse', what)}"
