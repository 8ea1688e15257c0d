"""A jurisdiction without its sockets: frames of the coordinator in, frames to send out.

Synchronous and single-threaded; the daemon and `fed.local` call it. Time and entropy are arguments. It judges before
any row is touched, remembers before it sends, and answers every breach of the protocol with a signed objection that
names who did it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clients.jurisdiction.answering import Answering
from clients.jurisdiction.joint_keys import Held
from clients.jurisdiction.learning import Learning
from clients.jurisdiction.questions import Questions
from clients.jurisdiction.records import Records
from clients.jurisdiction.run import Desk, Run, attempt_of, course_of
from clients.jurisdiction.sums import secrets_of
from federation import registry
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import Blame, Job
from federation.domain.verdict import Reason, Verdict
from federation.errors import FederationError, JobFailed, Misuse, ProtocolViolation, Refused
from federation.jobs import planner, protection, questions, training
from federation.jobs.course import Course
from federation.protocols.events import Numbered
from federation.protocols.secure_sum import SecureSum
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.convert import sayable
from federation.wire.envelope import Opened, attested, digest_of, opened, signed

PROTOCOLS = "federation.protocols"
JOBS = b"open jobs"  # the vault's key for the list of jobs whose end was not seen
ENDED = b"ended job/"  # before a job's hash, the vault's key of a job that is over here
FRAMES = ("offer", "verdict", "objection")  # what of a job's stream is a frame; the rest is its run's
GRACE_MS = 60_000  # a job that nobody ended is forgotten this long after its deadline


@dataclass(slots=True)
class Entry:
    """What is remembered of a job whose end was not seen: its verdict, and its run if it was permitted and goes on."""

    verdict: m.Frame
    deadline_ms: int
    run: Run | None
    objection: m.Frame | None = None


class Driver:
    """One jurisdiction.

    Args:
        desk: keys, rows, rules and memory.
        software: version, for people at the coordinator.
        note: called with (event, job name, text) for the operator's log; texts carry no data values.
    """

    def __init__(self, desk: Desk, software: str, note: Callable[[str, str, str], None] = lambda *_: None) -> None:
        self._desk, self._software, self._note = desk, software, note
        self._entries: dict[bytes, Entry] = {}
        self._read: dict[bytes, Opened[m.Publication]] = {}  # by digest, verified once
        self._restore()

    def hello(self, ceremonies: Sequence[bytes] = ()) -> m.Frame:
        """Return the first frame of a control stream; `ceremonies` are the ids of those whose end was not seen."""
        hello = m.Hello(
            party=self._desk.name,
            roster_hash=self._desk.roster.hash,
            software=self._software,
            publications=tuple(self._publication(name) for name in sorted(self._desk.published)),
            open_jobs=(*self._entries, *ceremonies),
        )
        return m.Frame(signed(self._desk.me, m.HELLO, hello))

    def receive(self, frame: m.Frame) -> list[m.Frame]:
        """Return what to send after a frame of the coordinator.

        Raises:
            ProtocolViolation: the frame cannot be tied to a job; the connection is to be closed.
        """
        message = opened(frame.signed, self._desk.roster, relay=self._desk.coordinator)
        with self._desk.vault.together():  # one commit, before anything is sent
            match message.value:
                case m.Offer() as offer:
                    return self._offered(offer, frame)
                case m.Bundle() as bundle:
                    return self._bundled(bundle, frame)
                case Numbered(party=party, number=number) if party == self._desk.name == message.sender:
                    return self._remembered(number)
                case m.Recall() as recall:
                    return self._recalled(recall)
                case m.Ended() as ended:
                    return self._ended(ended)
        raise ProtocolViolation(  # whoever signed it: that it comes here is the coordinator's doing
            self._desk.coordinator,
            phase="attend",
            expected="an offer, a bundle, a recall or an end",
            got=type(message.value).__name__,
        )

    def let_go(self, frame: m.Frame) -> None:
        """Hold a long vector that is out no longer; whoever asks for it again gets it made again."""
        entry = self._entries.get(frame.job_hash)
        if entry is not None and entry.run is not None:
            entry.run.let_go(frame)

    def tick(self, now_ms: int) -> None:
        """Erase shares of keys whose epoch is over, and forget jobs whose deadline passed long ago without an end."""
        self._desk.joint_keys.erase_expired(now_ms)
        late = [job_hash for job_hash, entry in self._entries.items() if entry.deadline_ms + GRACE_MS < now_ms]
        if late:
            with self._desk.vault.together():
                for job_hash in late:
                    self._forget(job_hash)

    def close(self) -> None:
        """Release engines and memory; what is open goes on after the next start."""
        for engine in self._desk.engines.values():
            engine.close()
        self._desk.vault.close()

    # --- the three messages -----------------------------------------------------------------------------------------

    def _offered(self, offer: m.Offer, frame: m.Frame) -> list[m.Frame]:
        read = attested(offer.job, self._desk.roster, domain=m.JOB, kind=Job, relay=self._desk.coordinator)
        known = self._entries.get(read.digest)
        if known is not None:
            return self._resent(known)
        if self._desk.vault.get(ENDED + read.digest) is not None:
            return [self._over(read)]
        verdict, run = self._judged(read, offer)
        self._note("permitted" if verdict.permits else "refused", read.value.name, self._why(verdict))
        entry = Entry(self._verdict_frame(verdict), read.value.deadline_ms, run)
        self._entries[read.digest] = entry
        said = [("offer", convert.frame_bytes(frame)), ("verdict", convert.frame_bytes(entry.verdict))]
        self._desk.vault.append_many(read.digest, said)
        self._list_jobs()
        return [entry.verdict, *(run.begin() if run is not None else [])]

    def _bundled(self, bundle: m.Bundle, frame: m.Frame) -> list[m.Frame]:
        return self._guarded(bundle.job_hash, lambda run: run.receive(bundle, frame))

    def _recalled(self, recall: m.Recall) -> list[m.Frame]:
        return self._guarded(recall.job_hash, lambda run: run.recalled(recall))

    def _remembered(self, number: int) -> list[m.Frame]:
        """Hold our own last signed answer, which the coordinator kept, against what we remember.

        Raises:
            Refused: rule "rollback": we signed answers that this memory does not know of, so it does not know either
                over whom they were opened; nothing is answered from it.
        """
        known = Records(self._desk.vault).answers
        if number > known:
            raise Refused(
                f"{self._desk.name} has signed answer number {number}, and its memory knows {known}: an old copy",
                rule="rollback",
                hint="put the newest copy of the state folder back; if it is lost for good, "
                f"`federation jurisdiction reconcile FILE --answers {number}` says what going on from here means",
                party=self._desk.name,
            )
        return []

    def _guarded(self, job_hash: bytes, act: Callable[[Run], list[m.Frame]]) -> list[m.Frame]:
        """Let a job's run act; what goes wrong ends the job here with a signed objection."""
        entry = self._entries.get(job_hash)
        if entry is None:
            raise ProtocolViolation(
                self._desk.coordinator, phase="routing", expected="a bundle of an offered job", got="one of another job"
            )
        if entry.run is None:
            return []
        fault: FederationError
        try:
            return act(entry.run)
        except FederationError as found:
            fault = found
        except Exception as found:  # noqa: BLE001 - a defect ends this job, not the daemon, at every start again
            fault = JobFailed(
                f"{self._desk.name} failed at this job with {type(found).__name__}", party=self._desk.name
            )
        try:
            entry.run.forget()
            return [self._objected(entry, job_hash, entry.run.job.name, fault)]
        except FederationError:  # it was our memory that failed: what cannot be sealed is not said
            raise fault from None

    def _ended(self, ended: m.Ended) -> list[m.Frame]:
        if ended.job_hash in self._entries:
            entry = self._entries[ended.job_hash]
            self._note(
                ended.state.value, entry.run.job.name if entry.run else "", "; ".join(b.message for b in ended.blames)
            )
            self._forget(ended.job_hash)
        return []

    # --- inside -----------------------------------------------------------------------------------------------------

    def _judged(self, read: Opened[Job], offer: m.Offer) -> tuple[Verdict, Run | None]:
        """Verify what the job pins, build its plan and ask the guard; any failure is a refusal with a reason."""
        job, name = read.value, self._desk.name
        try:
            joint = self._joint(job, offer)
            course = planner.course(job, joint)
            if course.due is None:  # no round, no bundle, no attestation: it would only wait for its deadline
                raise Misuse("no question of the job asks anything", hint="federation plan says why each one fails")
            protocol = registry.look_up(PROTOCOLS, SecureSum, job.protection)
            held = self._held(job, joint)
            answering = self._answering(course, read.digest)
            verdict = self._desk.guard.judge(job, read.digest, joint)
        except FederationError as fault:
            rule = fault.rule if isinstance(fault, Refused) else fault.code
            reason = Reason(rule=rule, clause=sayable(fault.message), remedy=sayable(fault.hint))
            return Verdict(party=name, job_hash=read.digest, reasons=(reason,)), None
        if not verdict.permits:
            return verdict, None
        run = Run(
            self._desk, job=job, job_hash=read.digest, course=course, answering=answering, protocol=protocol, held=held
        )
        return verdict, run

    def _answering(self, course: Course, job_hash: bytes) -> Answering:
        """Return what this party adds to the sums of a job. Raises Refused where it cannot."""
        desk = self._desk
        match course:
            case questions.Questions(job=job):
                return Questions(
                    course, own=desk.published[job.dataset], guard=desk.guard, engine=desk.engines[job.dataset]
                )
            case training.Training(job=job):
                own, engine = desk.published[job.dataset], desk.engines[job.dataset]
                course.alone = desk.spares
                return Learning(
                    course, job_hash, own=own, guard=desk.guard, engine=engine, me=desk.name, bundles=desk.bundles
                )
        raise Refused(f"{self._desk.name} has no part in such a job", rule="version")

    def _held(self, job: Job, joint: Dataset) -> Held | None:
        """Return our share of the joint key that the job names, None if it names none. Raises Refused."""
        held = self._desk.joint_keys.held(job.key) if job.key else None
        protection.judged(
            job,
            None if held is None else protection.KnownKey(joint=held.joint, expires_ms=held.expires_ms),
            planner.most_numbers(job, joint) if job.key else 0,
            lenient=self._desk.development,
            me=self._desk.name,
        )
        return held

    def _joint(self, job: Job, offer: m.Offer) -> Dataset:
        if job.roster_hash != self._desk.roster.hash:
            raise Refused("the job was written for another roster", rule="roster", hint="federation roster show")
        pinned = dict(job.publications)
        datasets = {}
        for envelope in offer.publications:
            read = self._publication_in(envelope)
            if pinned.get(read.sender) != read.digest or read.value.dataset.name != job.dataset:
                raise ProtocolViolation(
                    self._desk.coordinator, phase="offer", expected="the publications that the job pins", got="another"
                )
            datasets[read.sender] = read.value.dataset
        if sorted(datasets) != list(job.parties):
            raise ProtocolViolation(
                self._desk.coordinator, phase="offer", expected="a publication of every party", got="fewer"
            )
        own = self._desk.published.get(job.dataset)
        if own is None or datasets.get(self._desk.name) != own:
            raise Refused(
                f"the job was written for another version of {job.dataset!r} than {self._desk.name} publishes now",
                rule="version",
                hint="read the catalogue again and submit a new job",
            )
        return agreed(datasets)

    def _publication_in(self, envelope: m.Signed) -> Opened[m.Publication]:
        known = self._read.get(digest_of(envelope))
        if known is None:
            relay = self._desk.coordinator
            known = attested(envelope, self._desk.roster, domain=m.PUBLICATION, kind=m.Publication, relay=relay)
            self._read[known.digest] = known
        return known

    def _objected(self, entry: Entry, job_hash: bytes, name: str, fault: FederationError) -> m.Frame:
        """Stop taking part, and say why; what is said once is said again after a restart."""
        entry.run = None
        entry.objection = self._objection(job_hash, fault)
        self._desk.vault.append_many(job_hash, [("objection", convert.frame_bytes(entry.objection))])
        self._note("objected", name, fault.message)
        return entry.objection

    def _objection(self, job_hash: bytes, fault: FederationError) -> m.Frame:
        rule = fault.rule if isinstance(fault, Refused) else ""
        party = fault.party or self._desk.name
        blame = Blame(party=party, code=fault.code, message=sayable(fault.message), hint=sayable(fault.hint), rule=rule)
        value = m.Objection(party=self._desk.name, job_hash=job_hash, blame=blame)
        return m.Frame(signed(self._desk.me, m.OBJECTION, value), job_hash=job_hash)

    def _over(self, read: Opened[Job]) -> m.Frame:
        """Object to a job that is over here: begun again, its sums would be other ones under the same names.

        What was signed of the first ones, that they were withdrawn, would free queries that the second ones opened.
        """
        fault = ProtocolViolation(
            self._desk.coordinator, phase="offer", expected="a job that has not ended", got="one that has"
        )
        self._note("objected", read.value.name, fault.message)
        return self._objection(read.digest, fault)

    def _resent(self, entry: Entry) -> list[m.Frame]:
        if entry.objection is not None:
            return [entry.verdict, entry.objection]
        return [entry.verdict, *self._guarded(entry.verdict.job_hash, lambda run: run.resend())]

    def _forget(self, job_hash: bytes) -> None:
        entry = self._entries.pop(job_hash)
        if entry.run is not None:
            entry.run.forget()
        self._desk.vault.erase(job_hash)
        if self._desk.vault.get(course_of(job_hash)):
            self._desk.vault.put(course_of(job_hash), b"")
            self._desk.vault.discard(course_of(job_hash))
        self._desk.vault.put(ENDED + job_hash, b"over")
        self._list_jobs()

    def _list_jobs(self) -> None:
        self._desk.vault.put(JOBS, b"".join(self._entries))

    def _restore(self) -> None:
        listed = self._desk.vault.get(JOBS) or b""
        with self._desk.vault.together():
            for job_hash in (listed[i : i + 32] for i in range(0, len(listed), 32)):
                self._restore_job(job_hash)
            if len(self._entries) * 32 != len(listed):
                self._list_jobs()

    def _restore_job(self, job_hash: bytes) -> None:
        """Say again what was said, and go on; object where a new version or policy no longer lets us."""
        events = self._desk.vault.read(job_hash)
        frames = {kind: convert.frame_of(payload) for kind, payload in events if kind in FRAMES}
        relay, roster = self._desk.coordinator, self._desk.roster
        try:
            offer = attested(frames["offer"].signed, roster, domain=m.OFFER, kind=m.Offer, relay=relay).value
            read = attested(offer.job, roster, domain=m.JOB, kind=Job, relay=relay)
            said = attested(frames["verdict"].signed, roster, domain=m.VERDICT, kind=Verdict, relay=relay).value
        except (KeyError, ProtocolViolation):  # of another roster, or of an older version: nobody goes on with it
            self._desk.vault.erase(job_hash)
            self._desk.vault.put(ENDED + job_hash, b"over")
            return self._erase_secrets(job_hash, events)
        entry = Entry(frames["verdict"], read.value.deadline_ms, None, frames.get("objection"))
        self._entries[job_hash] = entry
        if entry.objection is not None or not said.permits:
            return None
        verdict, entry.run = self._judged(read, offer)
        if entry.run is not None:
            try:
                return entry.run.restore()
            except FederationError as lost:
                self._objected(entry, job_hash, read.value.name, lost)
                return self._erase_secrets(job_hash, events)
        why = verdict.reasons[0]
        message = f"{self._desk.name} permitted the job and can no longer take part, by rule {why.rule}: {why.clause}"
        fault = Refused(message, rule=why.rule, hint=why.remedy, party=self._desk.name)
        self._objected(entry, job_hash, read.value.name, fault)
        return self._erase_secrets(job_hash, events)

    def _erase_secrets(self, job_hash: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        counted = self._desk.vault.get(course_of(job_hash)) or b""
        closed = int.from_bytes(counted, "big") or sum(kind == "total" for kind, _ in events)
        last = max((attempt_of(payload)[1] for kind, payload in events if kind == "attempt"), default=0)
        for index in (closed, closed + 1):
            for attempt in range(last + 2):
                self._desk.vault.erase(secrets_of(job_hash, index, attempt))

    def _verdict_frame(self, verdict: Verdict) -> m.Frame:
        return m.Frame(signed(self._desk.me, m.VERDICT, verdict), job_hash=verdict.job_hash)

    def _publication(self, name: str) -> m.Signed:
        value = m.Publication(party=self._desk.name, dataset=self._desk.published[name])
        return signed(self._desk.me, m.PUBLICATION, value)

    @staticmethod
    def _why(verdict: Verdict) -> str:
        return "; ".join(f"{reason.rule}: {reason.clause}" for reason in verdict.reasons)
