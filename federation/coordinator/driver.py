"""Runs the effects of the coordinator's machines: routes frames to jobs, stores before it sends, keeps deadlines.

Synchronous and single-threaded; the server and `fed.local` call it and deliver what it returns. Time is an argument.
Every event is on disk before anything that follows from it is sent; `resume` folds the store after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from federation import registry
from federation.coordinator import folding
from federation.coordinator.ceremonies import Ceremonies
from federation.coordinator.evidence import gathered
from federation.coordinator.folding import Closed, Halted
from federation.coordinator.joint_keys import JointKeys
from federation.coordinator.patience import Patience
from federation.coordinator.run import Outgoing, Run
from federation.coordinator.spool import Spool
from federation.coordinator.store import Store
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import Blame, Job, LogLine, State, Summary, Update
from federation.domain.roster import Role, Roster
from federation.errors import Misuse, ProtocolViolation, Refused
from federation.jobs import planner
from federation.jobs.protection import PAILLIER, PLAIN
from federation.jobs.training import Training, is_training
from federation.protocols.events import Numbered, Release
from federation.protocols.secure_sum import SecureSum
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import Certified
from federation.wire.envelope import Opened, Signer, attested, opened, signed
from federation.wire.evidence import Evidence

PROTOCOLS = "federation.protocols"
MOST_LINES = 500  # of one job's log: a line that breaks often must not fill the memory
LONGEST_JOB_MS = 30 * 24 * 3600 * 1000  # a deadline further away is a mistake in a unit


@dataclass(frozen=True, slots=True)
class Attendance:
    """A jurisdiction with an open control stream: the software that it said, and its publications by data set."""

    software: str
    publications: dict[str, m.Signed]


class Driver:
    """The coordinator without its sockets.

    Args:
        me: the coordinator's credentials.
        roster: who is a member.
        store: the event log.
        changed: called with a job's hash whenever its life changed, for those who watch.
        clock: Unix time in milliseconds.
        patience: how long those who are lost are waited for.

    Attributes:
        joint_keys: what the jurisdictions made together, and all members may read.
    """

    def __init__(
        self,
        me: Signer,
        roster: Roster,
        store: Store,
        changed: Callable[[bytes], None] = lambda _: None,
        clock: Callable[[], int] = lambda: 0,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        self._me, self._roster, self._store, self._changed, self._clock = me, roster, store, changed, clock
        self._patience = patience
        self._answers: dict[str, tuple[int, m.Signed]] = {}  # of each party, the last numbered answer that it signed
        self._away: dict[str, int] = {}  # since when a control stream is closed
        self._phases: dict[bytes, tuple[tuple[int, int, str], int]] = {}  # where an open job waits, and since when
        self._logs: dict[bytes, list[LogLine]] = {}
        self._runs: dict[bytes, Run] = {}
        self._closed: dict[bytes, Closed] = {}  # ended before the last start: folded only if somebody asks
        self._order: list[bytes] = []  # all jobs, oldest first
        self._open: dict[bytes, Run] = {}  # those that have not ended
        self._halted: dict[bytes, Halted] = {}  # those whose stored events wait for bulk bytes
        self._stored: dict[bytes, int] = {}  # how many events each job has
        self._kept_sums: dict[bytes, int] = {}  # how many opened sums of a course that is saved are stored
        self._unstored: dict[bytes, list[tuple[str, bytes]]] = {}
        self._tokens: dict[tuple[str, bytes], bytes] = {}
        self._read: dict[bytes, tuple[str, Dataset, m.Signed]] = {}  # publications by digest, verified once
        self._attending: dict[str, Attendance] = {}
        self._heard: dict[str, int] = {}  # when each party last sent anything
        self.joint_keys = JointKeys(store, roster)
        self._ceremonies = Ceremonies(me, roster, store, self.joint_keys, clock)

    # --- jurisdictions ----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> frozenset[str]:
        """The jurisdictions whose control stream is open."""
        return frozenset(self._attending)

    def attend(self, party: str, frame: m.Frame) -> list[Outgoing]:
        """Take a jurisdiction's hello and return what it has to get.

        Raises:
            ProtocolViolation: the hello or a publication is not its own, or it has another roster.
        """
        hello = attested(frame.signed, self._roster, domain=m.HELLO, kind=m.Hello, relay=party)
        self._speaks_for_itself(party, hello.sender)
        if hello.value.roster_hash != self._roster.hash:
            raise Refused(
                f"{party} has another roster than the coordinator",
                rule="roster",
                hint="all members use the same signed roster file: federation roster show",
                party=party,
            )
        publications = {}
        for publication in hello.value.publications:
            read = attested(publication, self._roster, domain=m.PUBLICATION, kind=m.Publication, relay=party)
            self._speaks_for_itself(party, read.sender)
            self._store.put_document(read.digest, convert.signed_bytes(publication))
            publications[read.value.dataset.name] = publication
        self._heard[party] = self._clock()
        self._away.pop(party, None)
        self._attending[party] = Attendance(hello.value.software, publications)
        jobs = [one for one in hello.value.open_jobs if not self._ceremonies.knows(one)]
        asked = {job_hash: self._run(job_hash) for job_hash in jobs}
        out = [Outgoing(party, m.Frame(self._answers[party][1]))] if party in self._answers else []
        out += self._ceremonies.attend(party, hello.value.open_jobs)
        out += [self._unknown(party, job_hash) for job_hash, run in asked.items() if run is None]
        for job_hash, run in (self._open | asked).items():
            if run is not None and party in run.job.parties:
                out += run.outstanding(party)
                self._note(run, party, "attends again", lasting=False)
                self._changed(job_hash)
        return out

    def leave(self, party: str) -> list[Outgoing]:
        """Note that a control stream is closed; a refused job that only waited for this party's verdict ends."""
        self._attending.pop(party, None)
        self._away[party] = self._clock()
        out: list[Outgoing] = []
        for job_hash, run in list(self._open.items()):
            if party in run.job.parties:
                self._note(run, party, "is away", lasting=False)
                told = run.close_review(self.connected)
                if told:
                    self._keep(run)
                out += told
                self._changed(job_hash)
        return out

    def receive(self, party: str, frame: m.Frame) -> list[Outgoing]:
        """Return what to send after a frame of `party`.

        Raises:
            ProtocolViolation: the frame cannot be tied to a job of this party; the connection is to be closed.
        """
        message = opened(frame.signed, self._roster, relay=party)
        self._heard[party] = self._clock()
        self._speaks_for_itself(party, message.sender)
        if self._ceremonies.takes(message.value):
            self._changed(frame.job_hash)  # the next deadline may have moved
            return self._ceremonies.receive(party, message, frame)
        self._count(message.value, frame.signed)
        job_hash = getattr(message.value, "job_hash", frame.job_hash)
        run = self._run(job_hash)
        if run is None or party not in run.job.parties:
            raise ProtocolViolation(party, phase="routing", expected="a message of one of its jobs", got="another job")
        return self._folded(run, message, frame)

    def _count(self, value: object, envelope: m.Signed) -> None:
        """Keep a party's last numbered answer: when it attends again it sees what it has signed."""
        if isinstance(value, Numbered) and value.number > self._answers.get(value.party, (0,))[0]:
            self._answers[value.party] = (value.number, envelope)

    def _count_again(self, envelopes: Iterable[m.Signed]) -> None:
        """Count stored answers of those who still have the key that they signed with: they will verify it."""
        keys = {member.key_id: member.name for member in self._roster.members}
        for envelope in envelopes:
            value = convert.BODIES[envelope.domain].decode(envelope.body) if envelope.domain in convert.BODIES else None
            if isinstance(value, Numbered) and keys.get(envelope.key_id) == value.party:
                self._count(value, envelope)

    def _folded(self, run: Run, message: Opened[object], frame: m.Frame) -> list[Outgoing]:
        if run.life.state.ended:
            return run.receive(message, frame)
        if run.job_hash in self._halted:
            return self._goes_on(self._halted[run.job_hash], message, frame)
        again = run.knows(message, frame)  # not stored twice: a line that breaks often must not fill the disk
        out = run.receive(message, frame) + run.close_review(self.connected)
        events = self._unstored.setdefault(run.job_hash, [])
        if not again:
            events.append(folding.stored(run, frame))
            if folding.keeps_bulk(run, events[-1], frame):
                self._store.keep_bulk(run.job_hash, message.sender, message.digest, frame.parts)
            self._note(run, message.sender, f"{run.step_of(message.sender)}, {frame.size_bytes} bytes")
        if out:  # what nothing follows from yet is written with what comes next: a crash loses it, the party resends
            self._keep(run)
        self._changed(run.job_hash)
        return out

    # --- researchers ------------------------------------------------------------------------------------------------

    def submit(self, envelope: m.Signed, now_ms: int, relay: str) -> tuple[bytes, list[Outgoing]]:
        """Store a signed job and put it before its parties; the same token again returns the same job.

        Raises:
            ProtocolViolation, Misuse, Refused: the job is not well-formed, names what is not there, or cannot be run.
        """
        read = attested(envelope, self._roster, domain=m.JOB, kind=Job, relay=relay)
        if read.sender != relay:
            raise ProtocolViolation(relay, phase="submit", expected="its own signature", got="another researcher's")
        job = read.value
        known = self._tokens.get((job.researcher, job.token))
        if known is not None:
            if known != read.digest:
                raise Misuse("this token was used for another job", hint="make a new 16-byte token for a new job")
            return known, []
        if not now_ms < job.deadline_ms <= now_ms + LONGEST_JOB_MS:
            raise Misuse(
                "the job's deadline has passed or is more than 30 days away", hint="deadline_s counts from now"
            )
        run = self._admitted(job, read.digest, envelope, self._store.spool)
        self._store.append(read.digest, [("job", convert.signed_bytes(envelope))])
        self._stored[read.digest] = 1
        self._take(run)
        self._order.append(run.job_hash)
        self._note(run, job.researcher, f"submitted {job.name}")
        out = [x for party in job.parties if party in self._attending for x in run.outstanding(party)]
        self._changed(run.job_hash)
        return run.job_hash, out

    def cancel(self, job_hash: bytes, researcher: str) -> list[Outgoing]:
        """End the researcher's own job. Raises Misuse if there is no such job of this researcher."""
        run = self._own(job_hash, researcher)
        if run.life.state.ended:
            return []
        out = run.stop(Blame(party=researcher, code="job_failed", message=f"{researcher} cancelled the job"))
        self._keep(run)
        self._changed(job_hash)
        return out

    def update(self, job_hash: bytes, researcher: str) -> Update:
        """Return where the researcher's own job stands. Raises Misuse if there is no such job of this researcher."""
        return self._own(job_hash, researcher).update(self.connected, self._heard)

    def released(self, job_hash: bytes, researcher: str) -> tuple[tuple[Release, ...], tuple[m.Signed, ...]]:
        """Return what every secure sum opened and the parties' attestations; empty until the job is released."""
        run = self._own(job_hash, researcher)
        if run.life.state is not State.RELEASED:
            return (), ()
        return tuple(run.totals), tuple(run.attestations)

    def opened(self, job_hash: bytes, researcher: str) -> tuple[Release, ...]:
        """Return what the researcher's own training has opened so far. Raises Misuse if there is no such training."""
        run = self._own(job_hash, researcher)
        _training_of(run)
        return tuple(run.totals)

    def model(self, job_hash: bytes, researcher: str, *, best: bool) -> Callable[[], bytes]:
        """Return what makes the file of a released training's model; a thread may call it.

        Raises:
            Misuse: there is no such training of this researcher's, or it is not released.
        """
        run = self._own(job_hash, researcher)
        training = _training_of(run)
        if run.life.state is not State.RELEASED:
            raise Misuse(f"job {run.job.name} is {run.life.state.value}: there is no model to give out")
        if training.public is not None:
            self._store.spool.relieve(training.public.model.nbytes)  # what the last merge left; a file is long, too
        return partial(training.file, best=best)

    def summaries(self, researcher: str) -> list[tuple[Summary, m.Signed]]:
        """Return the researcher's jobs, oldest first, each with its signed bytes."""
        found = []
        for job_hash in self._order:
            closed, run = self._closed.get(job_hash), self._runs.get(job_hash)
            if closed is not None and closed.job.researcher == researcher:
                found.append((closed.summary(job_hash), closed.envelope))
            elif run is not None and run.job.researcher == researcher:
                lines = self._logs[job_hash]
                summary = Summary(
                    job_hash=job_hash,
                    job=run.job,
                    state=run.life.state,
                    round_index=run.life.rounds,
                    submitted_ms=lines[0].at_ms if lines else 0,
                    blames=run.life.blames,
                )
                found.append((summary, run.signed_job))
        return found

    def log(self, job_hash: bytes, researcher: str) -> list[LogLine]:
        """Return what happened to the researcher's own job so far. Raises Misuse if there is no such job."""
        return list(self._logs[self._own(job_hash, researcher).job_hash])

    def evidence(self, job_hash: bytes, member: str) -> Callable[[], Evidence]:
        """Return what makes the evidence of an ended job, for its researcher and its parties; a thread may call it.

        Raises:
            Misuse: there is no such job of this member's, or it has not ended.
        """
        events = self._store.events(job_hash) if job_hash in self._order else []
        envelope = convert.signed_of(events[0][1]) if events else None
        job = None if envelope is None else convert.job_of(envelope.body)
        if envelope is None or job is None or member not in (job.researcher, *job.parties):
            raise Misuse("there is no such job of yours", hint="federation get jobs lists a researcher's")
        if job.protection == PLAIN:
            raise Misuse(f"job {job.name} was summed in the clear: what the coordinator says is not evidence")
        if is_training(job):
            raise Misuse(
                f"job {job.name} trained a model: what stands for it is the receipt",
                hint=f"federation result {job.name}",
            )
        if job_hash in self._open:
            raise Misuse(f"job {job.name} has not ended", hint=f"federation result {job.name} waits for its end")
        return partial(gathered, self._admitted(job, job_hash, envelope), events, self._roster)

    # --- everybody --------------------------------------------------------------------------------------------------

    def publications(self) -> list[m.Signed]:
        """Return what the attending jurisdictions publish."""
        return [envelope for _, a in sorted(self._attending.items()) for _, envelope in sorted(a.publications.items())]

    def attendance(self) -> dict[str, Attendance | None]:
        """Return, for every jurisdiction of the roster, its attendance or None."""
        return {member.name: self._attending.get(member.name) for member in self._roster.with_role(Role.JURISDICTION)}

    def counts(self) -> tuple[int, int]:
        """Return how many jobs run and how many are stored."""
        return len(self._open), len(self._order)

    # --- time -------------------------------------------------------------------------------------------------------

    def next_deadline_ms(self) -> int | None:
        """Return when `tick` has to be called next, or None."""
        due = [run.job.deadline_ms for run in self._open.values()]
        due += [found for run in self._open.values() if (found := self._patient_until(run)) is not None]
        due += [] if (ceremony := self._ceremonies.next_deadline_ms()) is None else [ceremony]
        return min(due, default=None)

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Go on without those who were waited for long enough; end jobs and ceremonies whose deadline has passed."""
        out = self._ceremonies.tick(now_ms)
        for run in list(self._open.values()):
            until = self._patient_until(run)
            if until is not None and until <= now_ms:
                out += self._gone_on(run)
            elif run.job.deadline_ms <= now_ms:
                out += run.expire()
                self._keep(run)
                self._changed(run.job_hash)
        return out

    def _gone_on(self, run: Run) -> list[Outgoing]:
        missing, recalls = ", ".join(run.owing()), run.phase[2] == "consent"
        told = run.go_on()
        self._unstored.setdefault(run.job_hash, []).append(("late", b""))
        doing = "asks everybody to try the sum again: no consent of" if recalls else "waits no longer for"
        self._note(run, self._me.member.name, f"{doing} {missing}")
        self._keep(run)
        self._changed(run.job_hash)
        return told

    def _patient_until(self, run: Run) -> int | None:
        """Return until when the job waits for those who owe it something; None where it cannot go on without them."""
        if run.job_hash in self._halted or not run.spares(self.connected):
            return None
        phase, since = self._phases.get(run.job_hash, (None, 0))
        if phase != run.phase:
            since = self._clock()
            self._phases[run.job_hash] = (run.phase, since)
        missing = run.owing()
        if any(party in self._attending for party in missing):
            return since + self._patience.silent_ms
        return max(since, *(self._away.get(party, since) for party in missing)) + self._patience.away_ms

    def resume(self) -> int:
        """Take up the store: every job stands where it stood; return how many have not ended.

        Jobs that go on are folded now, those that ended when somebody asks for them. Jobs of an earlier roster stay in
        the store and are not taken up: their members' keys may be gone. What was answered in them was answered.
        """
        self._ceremonies.resume()
        for job_hash in self._store.jobs():
            events = self._store.events(job_hash)
            envelope = convert.signed_of(events[0][1])
            job = convert.job_of(envelope.body)
            ended = events[-1][0] == "ended"
            if ended:
                self._store.drop_bulk(job_hash, job.parties)  # where it was killed before it did
                self._count_again(convert.signed_of(p) for k, p in events if k == "answer")
            if job.roster_hash != self._roster.hash:
                if not ended:
                    self._count_again(convert.frame_of(p).signed for k, p in events if k == "frame")
                continue
            self._order.append(job_hash)
            self._tokens[(job.researcher, job.token)] = job_hash
            if ended:
                self._closed[job_hash] = Closed.of(job, envelope, events)
            else:
                self._fold(job_hash, events)
        return self.counts()[0]

    def _run(self, job_hash: bytes) -> Run | None:
        """Return a job's run, folding one that ended before the last start; None for an unknown job."""
        if self._closed.pop(job_hash, None) is not None:
            self._fold(job_hash, self._store.events(job_hash))
        return self._runs.get(job_hash)

    def _fold(self, job_hash: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        envelope = convert.signed_of(events[0][1])
        job = attested(envelope, self._roster, domain=m.JOB, kind=Job, relay="the store").value
        run = self._admitted(job, job_hash, envelope, self._store.spool)
        self._take(run)
        self._stored[job_hash] = len(events)
        self._kept_sums[job_hash] = sum(kind == "opened" for kind, _ in events)
        halted = folding.folded(run, events, self._store, self._roster, self._log, self._count)
        if halted is not None:
            self._halted[job_hash] = halted
        if run.life.state.ended:
            del self._open[job_hash]

    def _log(self, job_hash: bytes, line: LogLine) -> None:
        self._logs[job_hash].append(line)

    def _goes_on(self, halted: Halted, message: Opened[object], frame: m.Frame) -> list[Outgoing]:
        """Take a frame of a job whose stored events wait for bulk bytes; once they are there, everybody is told."""
        run = halted.run
        if not halted.take(message, frame):
            return []
        del self._halted[run.job_hash]
        out = [item for party in run.job.parties if party in self._attending for item in run.outstanding(party)]
        for later in halted.fresh:
            out += self._folded(run, *later)
        return out

    # --- inside -----------------------------------------------------------------------------------------------------

    def _admitted(self, job: Job, job_hash: bytes, envelope: m.Signed, spool: Spool | None = None) -> Run:
        if job.roster_hash != self._roster.hash:
            raise Refused("the job was written for another roster", rule="roster", hint="federation roster show")
        pins = {}
        documents = []
        for party, digest in job.publications:
            owner, dataset, publication = self._publication(party, digest, job.researcher)
            if owner != party or dataset.name != job.dataset:
                raise Misuse(f"the job pins a publication that is not {party}'s of data set {job.dataset!r}")
            pins[party] = dataset
            documents.append(publication)
        joint = agreed(pins)
        course = planner.course(job, joint)
        if course.due is None:
            raise Misuse("no question of the job asks anything", hint="federation plan says why each one fails")
        protocol = registry.look_up(PROTOCOLS, SecureSum, job.protection)
        offer = m.Offer(job=envelope, publications=tuple(documents))
        return Run(
            job=job,
            job_hash=job_hash,
            offer=offer,
            course=course,
            protocol=protocol,
            me=self._me,
            key=self._key(job),
            spool=spool,
        )

    def _key(self, job: Job) -> Certified | None:
        """Return the joint key that the job names, None if it names none; its parties judge it."""
        found = self.joint_keys.of(job.key) if job.key else None
        if job.key and found is None:
            raise Misuse(
                "the job names a joint key that the coordinator does not have",
                hint='federation key ceremony makes one; or ask with protection "masks"',
            )
        if found is not None and (job.protection, found.joint.holders) != (PAILLIER, job.parties):
            raise Refused(
                "the holders of the joint key that the job names are not its parties, or it sums without a key",
                rule="protection/holders",
                hint="write the job with this version of the software, and ask all holders and nobody else",
            )
        return found

    def _publication(self, party: str, digest: bytes, relay: str) -> tuple[str, Dataset, m.Signed]:
        """Return whose publication has this digest, what it says, and its signed bytes."""
        if digest not in self._read:
            document = self._store.document(digest)
            if document is None:
                raise Misuse(
                    f"the job pins a publication of {party} that the coordinator does not have",
                    hint="the data set changed or the party never attended: read the catalogue again",
                )
            envelope = convert.signed_of(document)
            found = attested(envelope, self._roster, domain=m.PUBLICATION, kind=m.Publication, relay=relay)
            self._read[digest] = (found.sender, found.value.dataset, envelope)
        return self._read[digest]

    def _take(self, run: Run) -> None:
        self._logs[run.job_hash] = []
        self._runs[run.job_hash] = self._open[run.job_hash] = run
        self._tokens[(run.job.researcher, run.job.token)] = run.job_hash

    def _note(self, run: Run, party: str, text: str, *, lasting: bool = True) -> None:
        """Add a line to a job's log; what lasts is stored with what is written next, comings and goings are not."""
        lines = self._logs[run.job_hash]
        if run.job_hash not in self._open or (not lasting and len(lines) >= MOST_LINES):
            return
        line = LogLine(at_ms=self._clock(), party=party, text=convert.sayable(text))
        lines.append(line)
        if lasting:
            self._unstored.setdefault(run.job_hash, []).append(("log", convert.log_line_bytes(line)))

    def _keep(self, run: Run) -> None:
        """Write what the store does not have yet, before anything that follows from it is sent."""
        if run.life.state.ended and run.job_hash in self._open:
            why = "; ".join(blame.message for blame in run.life.blames)
            self._note(run, self._me.member.name, f"{run.life.state.value}{': ' if why else ''}{why}")
        fresh = list(enumerate(run.totals))[self._known(run) :]
        sums_opened = [folding.opened_event(index, one) for index, one in fresh]
        events = [*self._unstored.pop(run.job_hash, ()), *self._end_of(run)]
        saved = run.course.saved() if sums_opened else None
        if saved is None:
            self._store.append(run.job_hash, events)
        else:
            # The end is the last event, and what was opened belongs to what was saved.
            self._store.append(run.job_hash, [*sums_opened, *events])
            self._stored[run.job_hash] += len(sums_opened)
            self._kept_sums[run.job_hash] = len(run.totals)
            position = self._stored[run.job_hash] + len(events)
            self._store.keep(run.job_hash, folding.kept(position, saved))
            self._store.spool.relieve(sum(map(len, saved)))  # or the next total would find no room between two models
        self._stored[run.job_hash] += len(events)
        if run.life.state.ended:
            self._open.pop(run.job_hash, None)
            self._halted.pop(run.job_hash, None)
            self._phases.pop(run.job_hash, None)
            self._store.drop_bulk(run.job_hash, run.job.parties)

    def _known(self, run: Run) -> int:
        """How many opened sums of the job are stored as such: all of a course that is not saved."""
        saves = isinstance(run.course, Training)
        return self._kept_sums.get(run.job_hash, 0) if saves else len(run.totals)

    def _end_of(self, run: Run) -> list[tuple[str, bytes]]:
        """Return the event that says how the job ended, the last of its list, after its parties' last answers."""
        if not run.life.state.ended:
            return []
        answers = [self._answers[party][1] for party in run.job.parties if party in self._answers]
        ended = convert.BODIES[m.ENDED].encode(run.ended())
        return [*(("answer", convert.signed_bytes(answer)) for answer in answers), ("ended", ended)]

    def _own(self, job_hash: bytes, researcher: str) -> Run:
        run = self._run(job_hash)
        if run is None or run.job.researcher != researcher:
            raise Misuse("there is no such job of yours", hint="federation run prints the job's id")
        return run

    def _unknown(self, party: str, job_hash: bytes) -> Outgoing:
        blame = Blame(party=self._me.member.name, code="job_failed", message="the coordinator does not know this job")
        ended = m.Ended(job_hash=job_hash, state=State.ABORTED, blames=(blame,))
        return Outgoing(party, m.Frame(signed(self._me, m.ENDED, ended), job_hash=job_hash))

    @staticmethod
    def _speaks_for_itself(party: str, sender: str) -> None:
        if sender != party:
            raise ProtocolViolation(party, phase="attend", expected="its own messages", got="another member's")


def _training_of(run: Run) -> Training:
    if not isinstance(run.course, Training):
        raise Misuse(f"job {run.job.name} asks statistics and trains nothing", hint="federation result reads them")
    return run.course
