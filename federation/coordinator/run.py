"""One job at the coordinator: verified messages in, frames to send out; no socket, no clock, no disk.

Relays and re-adds, and is trusted with nothing but that: it runs the same plan as the parties only to know which
round is due, and what it forwards are the parties' own signed bytes. Folding the stored frames again gives the same
run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from federation.coordinator.spool import Spool
from federation.coordinator.sums import Sum
from federation.domain.job import Blame, Job, PartyProgress, State, Update
from federation.domain.verdict import Verdict
from federation.errors import FederationError, JobFailed, ProtocolViolation, Refused
from federation.jobs import lifecycle, sums
from federation.jobs.course import Course
from federation.protocols.events import Release
from federation.protocols.secure_sum import SecureSum
from federation.wire import messages as m
from federation.wire.certificates import Certified
from federation.wire.convert import sayable
from federation.wire.envelope import Opened as OpenedMessage
from federation.wire.envelope import Signer, signed


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame for one jurisdiction."""

    to: str
    frame: m.Frame


def blame_of(fault: FederationError) -> Blame:
    """Return who and what an error names, as the value that travels."""
    rule = fault.rule if isinstance(fault, Refused) else ""
    return Blame(
        party=fault.party, code=fault.code, message=sayable(fault.message), hint=sayable(fault.hint), rule=rule
    )


def _as_told(accuser: str, blame: Blame) -> Blame:
    """Return an accusation as what it is, one member's word: who says it stands before what it says."""
    if blame.party == accuser:
        return replace(blame, message=sayable(blame.message), hint=sayable(blame.hint))
    return replace(blame, message=sayable(f"{accuser} says: {blame.message}"), hint=sayable(blame.hint))


class Run:
    """The state of one job: its life, its course, the secure sum that is open.

    Args:
        job: the verified job.
        offer: what the parties are asked; signed once, resent as it is.
        course: the job's sums, from `jobs.planner`.
        protocol: the job's secure sum.
        me: the coordinator.
        key: the joint key that the job names, None if it names none.
        spool: where its long totals rest.
    """

    def __init__(
        self,
        *,
        job: Job,
        job_hash: bytes,
        offer: m.Offer,
        course: Course,
        protocol: type[SecureSum],
        me: Signer,
        key: Certified | None = None,
        spool: Spool | None = None,
    ) -> None:
        self.key, self._spool = key, spool
        self.job, self.job_hash = job, job_hash
        self.life = lifecycle.step(lifecycle.Life(parties=job.parties), lifecycle.Offered())
        self.totals: list[Release] = []
        self.attestations: list[m.Signed] = []
        self.signed_job = offer.job
        self._offer = m.Frame(signed(me, m.OFFER, offer), job_hash=job_hash)
        self.course, self._protocol, self._me = course, protocol, me
        self._sums: dict[int, Sum] = {}  # this round's, the next one's, and the last one's: somebody may lack bundles
        self._known: set[tuple[str, bytes]] = set()
        self._started = False
        self._steps = dict.fromkeys(job.parties, "offered")
        self._bytes = dict.fromkeys(job.parties, 0)
        for index in range(min(2, job.max_rounds)):  # a party that permits sends its keys before the others have judged
            self._sum(index, 0)

    # --- what a party that attends has to get -----------------------------------------------------------------------

    def outstanding(self, party: str) -> list[Outgoing]:
        """Return what `party` may not have: the offer, then the bundles that it may not have answered."""
        if self.life.state.ended:
            return [self._ended(party)]
        return [Outgoing(party, self._offer), *self._bundles(party)]

    def _bundles(self, party: str) -> list[Outgoing]:
        """Return the bundles of all sums that are not closed for long; none while somebody may still refuse."""
        if self.life.state is not State.RUNNING:
            return []
        return [Outgoing(party, frame) for index in sorted(self._sums) for frame in self._sums[index].frames(party)]

    # --- what arrives -----------------------------------------------------------------------------------------------

    def knows(self, message: OpenedMessage[object], frame: m.Frame) -> bool:
        """Return whether this very message came before: a party that attends again sends everything again."""
        return (frame.signed.domain, message.digest) in self._known

    def receive(self, message: OpenedMessage[object], frame: m.Frame) -> list[Outgoing]:
        """Return what to send after a party's message; a party that breaks the protocol ends the job by its name."""
        sender = message.sender
        if self.life.state.ended:
            return [self._ended(sender)]
        if self.knows(message, frame):
            return []
        self._known.add((frame.signed.domain, message.digest))
        self._bytes[sender] += frame.size_bytes
        return self._guarded(lambda: self._taken(message, frame))

    def go_on(self) -> list[Outgoing]:
        """Wait no longer for those who owe something: go on without them, or recall an attempt that is stuck."""
        return self._guarded(self._without_the_missing)

    def _guarded(self, act: Callable[[], list[Outgoing]]) -> list[Outgoing]:
        """Do it; what goes wrong ends the job with a reason."""
        try:
            out = act()
        except FederationError as fault:
            self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=blame_of(fault)))
            out = []
        except Exception as fault:  # noqa: BLE001 - a defect of ours ends this job, not the coordinator at every start
            ours = JobFailed(f"the coordinator failed at this job with {type(fault).__name__}")
            self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=blame_of(ours)))
            out = []
        return out + self._farewell()

    def _taken(self, message: OpenedMessage[object], frame: m.Frame) -> list[Outgoing]:
        match message.value:
            case Verdict() as verdict:
                return self._judged(verdict)
            case m.Attestation(party=party, transcript=transcript):
                return self._attested(party, transcript, frame.signed)
            case m.Objection(party=party, blame=blame):
                self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=_as_told(party, blame)))
                return []
            case _:
                return self._summed(message, frame)

    def close_review(self, connected: frozenset[str]) -> list[Outgoing]:
        """Refuse on the verdicts that are there once nobody who can be reached still owes one."""
        if self.life.state is not State.UNDER_REVIEW or not connected & frozenset(self.job.parties) <= self.life.judged:
            return []
        self.life = lifecycle.step(self.life, lifecycle.ReviewClosed())
        return self._farewell()

    def take_up(self, saved: Sequence[bytes], opened: Sequence[Release]) -> None:
        """Stand where a course that was saved stood; the parties' verdicts are there already.

        Args:
            saved: what `Course.saved` returned.
            opened: what is kept of every sum before, in order.
        """
        before = sums.first_attempt(opened[-2].parties, opened[-1].parties) if len(opened) > 1 else 0
        if len(opened) == 1:
            before = sums.first_attempt(self.job.parties, opened[-1].parties)
        self.course.restore(saved)
        self.totals = list(opened)
        self.life = replace(self.life, rounds=len(opened))
        self._sums.clear()
        index = len(opened)
        if index < self.job.max_rounds:
            self._sum(index, before)
        self._open_round()

    def end(self, ended: m.Ended) -> None:
        """Take an end from the store."""
        self.life = replace(self.life, state=ended.state, blames=ended.blames)
        self._let_go()

    def stop(self, blame: Blame) -> list[Outgoing]:
        """End the job for a reason that came from outside: the researcher cancelled, the coordinator gives up."""
        if self.life.state.ended:
            return []
        self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=blame))
        return self._farewell()

    def expire(self) -> list[Outgoing]:
        """End the job because its deadline passed, naming who lied, or else who did not do what was due."""
        return [] if self.life.state.ended else self._guarded(self._expired)

    def _expired(self) -> list[Outgoing]:
        missing, remedy = self.owing(), ""
        if self.life.state is State.RUNNING and self.course.due is not None:
            open_sum = self._sums[len(self.totals)]
            open_sum.give_up()
            remedy = next((blame.hint for blame in open_sum.aborted), "")
        self.life = lifecycle.step(self.life, lifecycle.Expired(missing=missing, remedy=remedy))
        return []

    def ended(self) -> m.Ended:
        """Return how the job ended, as parties are told and as the store keeps it."""
        life = self.life
        return m.Ended(job_hash=self.job_hash, state=life.state, blames=life.blames, rounds=life.rounds)

    def step_of(self, party: str) -> str:
        """Return in words what `party` did last."""
        return self._steps[party]

    def owing(self) -> tuple[str, ...]:
        """Return the parties that the job waits for now."""
        if self.life.state is State.UNDER_REVIEW:
            return tuple(sorted(set(self.job.parties) - self.life.judged))
        if self.life.state is not State.RUNNING:
            return ()
        if self.course.due is not None:
            return self._sums[len(self.totals)].awaits.of
        return tuple(sorted(set(self.course.contributors) - set(self.life.attested)))

    @property
    def vector_bytes(self) -> int:
        """Bytes of the longest vector that a party may send now; 0 once the job has ended."""
        return max((open_sum.vector_bytes for open_sum in self._sums.values()), default=0)

    @property
    def phase(self) -> tuple[int, int, str]:
        """Where the job waits: (secure sum, attempt, what is owed); who waits too long for one of them goes on."""
        open_sum = self._sums.get(len(self.totals))
        if self.life.state is not State.RUNNING or open_sum is None:
            return len(self.totals), 0, "attestation" if self.life.state is State.RUNNING else self.life.state.value
        return len(self.totals), open_sum.setup.attempt, open_sum.awaits.what

    def spares(self, connected: frozenset[str]) -> bool:
        """Return whether the job can go on without those who owe, `connected` being there."""
        if self.life.state is not State.RUNNING:
            return False
        if self.course.due is None:
            return self.life.enough
        open_sum = self._sums[len(self.totals)]
        if open_sum.awaits.what == "consent":  # nobody has given shares yet; who was lost before may be back
            there = connected & frozenset(open_sum.setup.parties)
            return len(there) >= max(open_sum.setup.least, open_sum.setup.withdrawals) and not open_sum.recalled
        return open_sum.awaits.enough

    def update(self, connected: frozenset[str], heard: Mapping[str, int]) -> Update:
        """Return where the job stands, for people who watch; `heard` is when each party last sent anything."""
        return Update(
            job_hash=self.job_hash,
            state=self.life.state,
            round_index=self.life.rounds,
            parties=tuple(
                PartyProgress(
                    party=p,
                    step=self._steps[p],
                    connected=p in connected,
                    sent_bytes=self._bytes[p],
                    heard_ms=heard.get(p, 0),
                )
                for p in self.job.parties
            ),
            blames=self.life.blames,
        )

    # --- the steps --------------------------------------------------------------------------------------------------

    def _judged(self, verdict: Verdict) -> list[Outgoing]:
        self.life = lifecycle.step(self.life, lifecycle.Judged(verdict=verdict))
        if self._steps[verdict.party] == "offered":
            self._steps[verdict.party] = "permitted" if verdict.permits else "refused"
        if self.life.state is State.RUNNING and not self._started:
            self._started = True
            self._open_round()
            return [outgoing for party in self.job.parties for outgoing in self._bundles(party)]
        return []

    def _attested(self, party: str, transcript: bytes, envelope: m.Signed) -> list[Outgoing]:
        before = self.life.attested
        self.life = lifecycle.step(self.life, lifecycle.Attested(party=party, transcript=transcript))
        self._steps[party] = "attested"
        if self.life.attested != before:
            self.attestations.append(envelope)
        return []

    def _open_round(self) -> None:
        """Begin the secure sum that the plan asks now; keys for it may have been exchanged before."""
        index = len(self.totals)
        if self.course.due is None:
            counted = self.course.contributors
            threshold = sums.promised(counted, self.job.key).threshold
            self.life = lifecycle.with_transcript(self.life, self.course.transcript, counted, threshold)
            self._sums.pop(index, None)  # keys for a round that the plan turned out not to have
            return
        self._specify(self._sums[index])
        if index and index + 1 < self.job.max_rounds:
            self._sum(index + 1, 0)

    def _specify(self, open_sum: Sum) -> None:
        open_sum.specified(self.course.spec(open_sum.setup))

    def _sum(self, index: int, attempt: int) -> Sum:
        """Return a new attempt at secure sum `index`, in the place of an earlier one."""
        setup = sums.setup(
            self.job,
            self.job_hash,
            index=index,
            attempt=attempt,
            contributors=self.course.contributors,
            strict=self.course.strict(index),
        )
        joint = b"" if self.key is None else self.key.joint.to_bytes()
        self._sums[index] = Sum(self._protocol, setup, self._me, joint, self._spool)
        return self._sums[index]

    def _summed(self, message: OpenedMessage[object], frame: m.Frame) -> list[Outgoing]:
        """Feed a protocol message to the sum that it is for."""
        index = len(self.totals)
        open_sum = self._sums.get(frame.round_index)
        if frame.round_index < index and (open_sum is None or frame.attempt != open_sum.setup.attempt):
            return []  # a resend of what is closed
        if frame.round_index == index and self.course.due is None:
            return []  # keys for a round that the plan turned out not to have
        if open_sum is None or frame.attempt > open_sum.setup.attempt:
            raise ProtocolViolation(
                message.sender,
                phase="secure sum",
                expected="a message of this round or the next",
                got="one of a later round",
            )
        if frame.attempt < open_sum.setup.attempt:
            return []
        told = open_sum.receive(message, frame)
        self._steps[message.sender] = f"sent {type(message.value).__name__.lower()} {frame.round_index}"
        return self._followed(frame.round_index, open_sum, told)

    def _without_the_missing(self) -> list[Outgoing]:
        index = len(self.totals)
        if self.course.due is None:
            self.life = lifecycle.step(self.life, lifecycle.AttestationsClosed())
            return []
        open_sum = self._sums[index]
        told = open_sum.recall() if open_sum.awaits.what == "consent" else open_sum.go_on()
        return self._followed(index, open_sum, told)

    def _followed(self, index: int, open_sum: Sum, told: Mapping[str, list[m.Frame]]) -> list[Outgoing]:
        """Return what to send, and take up what follows: the round is closed, or a new attempt begins."""
        if self.life.state is not State.RUNNING:
            return []  # keys that overtook a verdict: their bundle goes out with the last one
        out = [Outgoing(party, frame) for party, frames in told.items() for frame in frames]
        if index != len(self.totals):
            return out
        if open_sum.aborted:  # all said what was due, and it came to no total
            self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=open_sum.aborted[0]))
            return out
        if open_sum.total is not None:
            self._closed(open_sum, open_sum.total)
            return out
        if open_sum.withdrawn and self.course.due is not None:
            again = self._sum(index, open_sum.setup.attempt + 1)
            again.adopt(open_sum)
            self._specify(again)
        return out

    def _closed(self, open_sum: Sum, total: Release) -> None:
        self.life = lifecycle.step(self.life, lifecycle.RoundClosed(round_index=len(self.totals)))
        self.totals.append(self.course.feed(total))
        index = len(self.totals)
        self._sums.pop(index - 2, None)
        if sums.first_attempt(open_sum.setup.parties, total.parties) and index < self.job.max_rounds:
            self._sum(index, 1)  # keys that were dealt among more parties are not used
        self._open_round()

    def _farewell(self) -> list[Outgoing]:
        if not self.life.state.ended:
            return []
        self._let_go()
        return [self._ended(party) for party in self.job.parties]

    def _let_go(self) -> None:
        """Forget the vectors of a job that ended; what stays are totals, signatures and how it ended."""
        self._sums.clear()
        self._known.clear()

    def _ended(self, party: str) -> Outgoing:
        ended = self.ended()
        return Outgoing(party, m.Frame(signed(self._me, m.ENDED, ended), job_hash=self.job_hash))
