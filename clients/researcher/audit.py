"""Audits the evidence of a job, offline, from nothing but a roster: who asked, permitted, contributed and opened what.

It verifies every signature, makes every hash again, replays the plan to know what had to be summed, adds up the masked
vectors, takes the opened masks off, and follows the chain from there to the figures. The rule of blame is the
protocols': what a signature proves falls on the signer, everything else on the coordinator, whose evidence it is (or on
whoever had the file in between: no signature tells these apart).

What it cannot tell, it says: whether a party's numbers are those of its rows, and whether somebody who is not counted
was silent or was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from clients.researcher.asking import written
from clients.researcher.audit_keyed import KeyedAudit
from clients.researcher.audit_rounds import Rounds
from clients.researcher.audit_sums import SumAudit
from clients.researcher.figures import Figure, digest_of, figures_of
from clients.researcher.findings import Chunk, Findings, Report
from clients.researcher.receipt import Receipt, differing
from clients.researcher.received import coordinator_of
from federation import registry
from federation.analytics.replay import Replay
from federation.crypto.paillier.threshold import JointKey
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import Job, State
from federation.domain.roster import Roster
from federation.domain.verdict import Verdict
from federation.errors import JobFailed, Misuse, ProtocolViolation, Refused
from federation.jobs import planner, sums
from federation.jobs.protection import MADE, MASKS, PAILLIER, trust
from federation.protocols.secure_sum import SecureSum
from federation.wire import evidence as kept
from federation.wire import messages as m
from federation.wire.certificates import certified
from federation.wire.convert import Malformed
from federation.wire.envelope import Opened, attested
from federation.wire.evidence import Evidence, KeyedSum, OpenedSum

PROTOCOLS: Final = "federation.protocols"
T = TypeVar("T")


def audited(
    content: bytes,
    roster: Roster,
    *,
    job_hash: bytes | None = None,
    chunk: tuple[int, int] | None = None,
    receipt: bytes | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Return what the evidence in `content` proves, states, and leaves open.

    Args:
        content: an evidence file.
        roster: whose signatures count; in force.
        job_hash: of the job that was asked for; any job if None.
        chunk: (secure sum, chunk of it): add up this one alone, and look at nothing after it.
        receipt: a receipt's file: hold every line of it against what follows from the evidence.
        told: called with the name of each step, for those who wait.

    Raises:
        Misuse: the evidence has no such chunk.
        Refused: rule "roster": the job was written for another roster; rule "version": this software cannot replay it.
    """
    audit = _Audit(roster, told)
    try:
        audit.run(content, job_hash, chunk)
        if receipt is not None:
            audit.receipted(receipt)
    except ProtocolViolation as fault:
        audit.findings.broken(fault)
    return audit.report()


class _Audit:
    """One audit on its way: the lines so far, and what is known from them."""

    def __init__(self, roster: Roster, told: Callable[[str], None]) -> None:
        self.findings = Findings(coordinator_of(roster), told)
        self._roster = roster
        self._job: Job | None = None
        self._job_hash = b""
        self._joint: JointKey | None = None  # that the job names
        self._figures: tuple[Figure, ...] = ()
        self._chunk: Chunk | None = None
        self._receipt: Receipt | None = None

    def report(self) -> Report:
        """Return what was found."""
        return Report(
            job=self._job.name if self._job else "",
            job_hash=self._job_hash,
            lines=tuple(self.findings.lines),
            figures=self._figures,
            chunk=self._chunk,
            receipt=None if self.findings.is_broken else self._receipt,
        )

    def run(self, content: bytes, job_hash: bytes | None, chunk: tuple[int, int] | None) -> None:
        """Look at everything, or up to one chunk. Raises as `audited`, and ProtocolViolation for what is broken."""
        self.findings.at("file")
        try:
            evidence = kept.decoded(content)
        except Malformed as fault:
            raise self.findings.lie("evidence of version 1, whole and unchanged", str(fault)) from None
        self.findings.proven(f"{len(content):,} bytes in the one form that evidence has")
        job = self._asked(evidence.job, job_hash)
        self._certified(job, evidence)
        published = self._published(job, evidence)
        replay, joint = self._replay(job, published)
        self.findings.at("end")
        ended = self._read(evidence.ended, m.ENDED, m.Ended).value
        if ended.job_hash != self._job_hash:
            raise self.findings.lie("the end of this job", "that of another")
        self._judged(job, evidence, ended)
        rounds = Rounds(
            self.findings,
            self._roster,
            job,
            self._job_hash,
            replay=replay,
            joint=joint,
            protocol=registry.look_up(PROTOCOLS, SecureSum, job.protection),
        )
        if chunk is not None:
            self._wanted(job, evidence, chunk)
        for index, of in enumerate(evidence.sums):
            if chunk is not None and chunk[0] == index and isinstance(of, OpenedSum):
                self._alone(SumAudit(rounds).chunk(of, chunk[1]))
                return
            self._whole(rounds, of)
        signers = self._attested(job, replay, evidence, ended)
        self._objected(evidence)
        self._concluded(job, replay, ended, signers)

    def receipted(self, content: bytes) -> None:
        """Hold a receipt's file against what was proven. Raises ProtocolViolation."""
        self.findings.at("receipt")
        whose = "whoever had the receipt"
        if self._receipt is None:
            raise self.findings.broken_by(whose, "a receipt of a job that was released", "one of another")
        if content != self._receipt.to_bytes():
            lines = ", ".join(differing(content, self._receipt)) or "in another form"
            raise self.findings.broken_by(whose, "the receipt that follows from this evidence", f"another: {lines}")
        self.findings.proven("every line of it follows from this evidence")

    # --- the job ----------------------------------------------------------------------------------------------------

    def _asked(self, envelope: m.Signed, job_hash: bytes | None) -> Job:
        self.findings.at("job")
        read = self._read(envelope, m.JOB, Job)
        job = read.value
        if job_hash is not None and read.digest != job_hash:
            raise self.findings.lie("the evidence of the job that was asked for", "that of another job")
        if job.roster_hash != self._roster.hash:
            raise Refused(
                f"job {job.name} was written for another roster than the one given",
                rule="roster",
                hint="verify it with the roster that was in force then: --roster FILE",
            )
        if job.protection not in (MASKS, PAILLIER):
            raise Refused(f"there is no audit of protection {job.protection!r} here", rule="version")
        if (job.protection == PAILLIER) is not bool(job.key):
            raise self.findings.broken_by(job.researcher, "a joint key for a sum under one, and for no other", "a job")
        self._job, self._job_hash = job, read.digest
        questions = "; ".join(written(asked) for asked in job.computations)
        where = f" where {job.where}" if job.where else ""
        purpose = f"purpose {job.purpose}" if job.purpose else "no purpose given"
        self.findings.proven(f"asks {questions} of {job.dataset}{where}; {purpose}", job.researcher)
        return job

    def _certified(self, job: Job, evidence: Evidence) -> None:
        """Read the certificate of the joint key that the job names, signed by everybody who holds it."""
        if not job.key:
            if evidence.certificate:
                raise self.findings.lie("no key, as the job is summed with masks", "the certificate of one")
            return
        self.findings.at("key")
        found = certified(evidence.certificate, self._roster, relay=self.findings.relay)
        if found.digest != job.key:
            raise self.findings.lie("the certificate of the key that the job names", "that of another")
        if found.joint.holders != job.parties or found.expires_ms < job.deadline_ms:
            raise self.findings.broken_by(job.researcher, "a key of exactly these parties that outlasts the job", "not")
        self._joint = found.joint
        bits = found.joint.public.bits
        self.findings.proven(f"each signed joint key {found.digest.hex()[:12]} of {bits} bits", *found.joint.holders)
        if trust(found.joint) != MADE:
            self.findings.open(f"that nobody reads single numbers: {trust(found.joint)}")
        else:
            days = " to ".join(_day(at_ms) for at_ms in (found.made_ms, found.expires_ms))
            self.findings.stated(f"they made it together, and nobody holds it alone; for {days}", *found.joint.holders)

    def _wanted(self, job: Job, evidence: Evidence, chunk: tuple[int, int]) -> None:
        """Refuse a chunk that cannot be added up alone. Raises Misuse."""
        if job.key:
            raise Misuse("a sum under a joint key is checked whole", hint="leave --chunk out")
        if chunk[0] >= len(evidence.sums):
            opened = f"rounds 0 to {len(evidence.sums) - 1}" if evidence.sums else "no round"
            raise Misuse(f"there is no round {chunk[0]}", hint=f"the job opened {opened}")

    def _whole(self, rounds: Rounds, of: OpenedSum | KeyedSum) -> None:
        """Prove the next sum, of the kind that the job asks for."""
        match of, self._joint:
            case OpenedSum(), None:
                SumAudit(rounds).whole(of)
            case KeyedSum(), JointKey() as joint:
                KeyedAudit(rounds, joint).whole(of)
            case _:
                self.findings.at(f"round {rounds.index}: setup")
                raise self.findings.lie("a sum as the job is protected", "one of another protection")

    def _published(self, job: Job, evidence: Evidence) -> Mapping[str, Dataset]:
        self.findings.at("publications")
        read = {one.digest: one for one in self._all(evidence.publications, m.PUBLICATION, m.Publication)}
        found: dict[str, Dataset] = {}
        for party, digest in job.publications:
            if digest not in read:
                raise self.findings.lie(f"the publication of {party} that the job names", "none")
            one = read.pop(digest)
            if one.sender != party or one.value.dataset.name != job.dataset:
                raise self.findings.broken_by(job.researcher, f"a publication of {job.dataset} by {party}", "another")
            found[party] = one.value.dataset
        if read:
            raise self.findings.lie("the publications that the job names", "more")
        self.findings.proven(f"what {job.dataset} is: columns, ranges, categories, k, versions", *found)
        return found

    def _replay(self, job: Job, published: Mapping[str, Dataset]) -> tuple[Replay, Dataset]:
        """Return the plan at its start, and what all parties publish; no honest coordinator runs what has no plan."""
        try:
            joint = agreed(published)
            sums.promised(job.parties, job.key)
            return planner.replay(job, joint), joint
        except (Refused, Misuse, JobFailed) as fault:
            if isinstance(fault, Refused) and fault.rule == "version":
                raise
            raise self.findings.broken_by(job.researcher, "a job that can be run", fault.message) from None

    def _judged(self, job: Job, evidence: Evidence, ended: m.Ended) -> None:
        self.findings.at("verdicts")
        verdicts: dict[str, Verdict] = {}
        for read in self._all(evidence.verdicts, m.VERDICT, Verdict):
            if read.value.job_hash != self._job_hash or read.sender not in job.parties:
                raise self.findings.lie("verdicts of the job's parties on this job", "another")
            if read.sender in verdicts:
                raise self.findings.broken_by(read.sender, "one verdict", "two different ones")
            verdicts[read.sender] = read.value
        permits = tuple(party for party in job.parties if party in verdicts and verdicts[party].permits)
        if permits:
            self.findings.proven("permitted this job", *permits)
        for party in sorted(verdicts):
            for reason in verdicts[party].reasons:
                self.findings.proven(f"refused it by rule {reason.rule}: {reason.clause}", party)
        if silent := [party for party in job.parties if party not in verdicts]:
            self.findings.stated(f"no verdict of {', '.join(silent)} came", self.findings.relay)
        if permits != job.parties and (evidence.sums or ended.state is State.RELEASED):
            raise self.findings.lie("nothing opened unless every party permits it", "a job that went on without")

    # --- what follows from the sums ---------------------------------------------------------------------------------

    def _alone(self, chunk: Chunk) -> None:
        self._chunk = chunk
        if not chunk.equal:
            raise self.findings.lie("the chunk that the contributors' chunks add up to", "another one")
        parties = tuple(party for party, _ in chunk.roots)
        self.findings.proven(f"{chunk.digest.hex()[:12]} is the sum of these chunks without masks", *parties)

    def _attested(self, job: Job, replay: Replay, evidence: Evidence, ended: m.Ended) -> list[str]:
        """Hold the parties' signatures against the transcript that was made again here; return who signed."""
        self.findings.at("transcript")
        transcript, counted, complete = replay.transcript, replay.contributors, replay.round is None
        if evidence.sums:
            self.findings.proven(f"{transcript.hex()} over {len(evidence.sums)} secure sums and who is in them")
        self.findings.at("attestations")
        signers = []
        for read in self._all(evidence.attestations, m.ATTESTATION, m.Attestation):
            if read.value.job_hash != self._job_hash or not complete or read.sender not in counted:
                raise self.findings.lie("attestations of this job by those who are counted", "another")
            if read.value.transcript != transcript:
                raise self.findings.broken_by(read.sender, "its signature under this transcript", "one under another")
            signers.append(read.sender)
        if len(set(signers)) != len(signers):
            raise self.findings.lie("one attestation a party", "two")
        if signers:
            self.findings.proven("signed this very transcript", *sorted(signers))
        if ended.state is not State.RELEASED:
            return signers
        if not complete or ended.rounds != len(evidence.sums):
            raise self.findings.lie("every secure sum that the plan asks for", f"{len(evidence.sums)} of them")
        least = sums.promised(counted, job.key).threshold
        if len(signers) < least:
            raise self.findings.lie(f"attestations of at least {least} parties", f"{len(signers)}")
        if unsigned := [party for party in counted if party not in signers]:
            self.findings.stated(f"no attestation of {', '.join(unsigned)} came in time", self.findings.relay)
        return signers

    def _objected(self, evidence: Evidence) -> None:
        self.findings.at("objections")
        for read in self._all(evidence.objections, m.OBJECTION, m.Objection):
            if read.value.job_hash != self._job_hash:
                raise self.findings.lie("objections to this job", "one to another")
            self.findings.stated(f"stopped the job: {read.value.blame.message}", read.sender)

    def _concluded(self, job: Job, replay: Replay, ended: m.Ended, signers: Iterable[str]) -> None:
        """Make the figures again, say how the job ended, and what nobody can prove with this."""
        if ended.state is State.RELEASED:
            self.findings.at("figures")
            try:
                outcomes = replay.results
            except JobFailed as fault:
                raise self.findings.lie("no more sums than the job allows", fault.message) from None
            self._figures = figures_of(job.computations, outcomes)
            many = f"{len(self._figures)} {'answer follows' if len(self._figures) == 1 else 'answers follow'}"
            self.findings.proven(f"{many} from these totals by the plan, replayed here")
            self._receipt = Receipt.of(
                job,
                self._job_hash,
                counted=replay.contributors,
                transcript=replay.transcript,
                signed_by=signers,
                rounds=ended.rounds,
                trust="" if self._joint is None else trust(self._joint),
                figures=digest_of(self._figures),
            )
        self.findings.at("end")
        self.findings.stated(f"the job ended: {ended.state.value}", self.findings.relay)
        for blame in ended.blames:
            self.findings.stated(blame.message, self.findings.relay)
        self.findings.at("limits")
        if ended.rounds:
            self.findings.open("that a party's numbers are those of its rows: what it sent, it signed")
        if set(replay.contributors) != set(job.parties):
            self.findings.open("that whoever is not counted was silent, and was not left out")
        self.findings.open("when anything happened, and what else the coordinator was sent")

    # --- messages ---------------------------------------------------------------------------------------------------

    def _read(self, envelope: m.Signed, domain: str, kind: type[T]) -> Opened[T]:
        return attested(envelope, self._roster, domain=domain, kind=kind, relay=self.findings.relay)

    def _all(self, envelopes: Iterable[m.Signed], domain: str, kind: type[T]) -> list[Opened[T]]:
        return [self._read(envelope, domain, kind) for envelope in envelopes]


def _day(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):  # its holders may sign what they like
        return "a day that no calendar has"
