"""One job at the coordinator: verified messages in, frames to send out; no socket, no clock, no disk.

Relays and re-adds, and is trusted with nothing but that: it runs the same plan as the parties only to know which
round is due, and what it forwards are the parties' own signed bytes. Folding the stored frames again gives the same
run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from federation.analytics.replay import Replay
from federation.domain.catalogue import Dataset
from federation.domain.job import Blame, Job, PartyProgress, State, Update
from federation.domain.verdict import Verdict
from federation.errors import FederationError, JobFailed, ProtocolViolation, Refused
from federation.jobs import lifecycle
from federation.protocols.secure_sum import (
    Attested,
    Broadcast,
    Opened,
    Parcel,
    Received,
    Release,
    SecureSum,
    Setup,
    Spec,
    SpecKnown,
)
from federation.protocols.secure_sum import State as SumState
from federation.query.round import length, round_digest
from federation.wire import messages as m
from federation.wire.convert import sayable
from federation.wire.envelope import Opened as OpenedMessage
from federation.wire.envelope import Signer, signed

MOST_EARLY = 4  # of one party: what it sends in a round, and its key for the next


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
    """The state of one job: its life, its replay, the secure sum that is open.

    Args:
        job: the verified job.
        offer: what the parties are asked; signed once, resent as it is.
        joint: what all parties' publications agree on.
        replay: the plan, from `jobs.planner`.
        protocol: the job's secure sum.
        me: the coordinator.
    """

    def __init__(
        self,
        *,
        job: Job,
        job_hash: bytes,
        offer: m.Offer,
        joint: Dataset,
        replay: Replay,
        protocol: type[SecureSum],
        me: Signer,
    ) -> None:
        self.job, self.job_hash = job, job_hash
        self.life = lifecycle.step(lifecycle.Life(parties=job.parties), lifecycle.Offered())
        self.totals: list[bytes] = []
        self.attestations: list[m.Signed] = []
        self.signed_job = offer.job
        self._offer = m.Frame(signed(me, m.OFFER, offer), job_hash=job_hash)
        self._joint, self._replay, self._protocol, self._me = joint, replay, protocol, me
        self._sum: SumState | None = None
        self._known: set[tuple[str, bytes]] = set()
        self._early: list[tuple[OpenedMessage[object], m.Frame]] = []
        self._envelopes: dict[bytes, m.Signed] = {}
        self._bundles: list[m.Frame] = []  # of this round and the one before: what a party that comes back may lack
        self._steps = dict.fromkeys(job.parties, "offered")
        self._bytes = dict.fromkeys(job.parties, 0)

    # --- what a party that attends has to get -----------------------------------------------------------------------

    def outstanding(self, party: str) -> list[Outgoing]:
        """Return what `party` may not have: the offer, then the bundles that it may not have answered."""
        if self.life.state.ended:
            return [self._ended(party)]
        return [Outgoing(party, frame) for frame in (self._offer, *self._bundles)]

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
        try:
            match message.value:
                case Verdict() as verdict:
                    out = self._judged(verdict)
                case m.Attestation(party=party, transcript=transcript):
                    out = self._attested(party, transcript, frame.signed)
                case m.Objection(party=party, blame=blame):
                    self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=_as_told(party, blame)))
                    out = []
                case _:
                    out = self._summed(message, frame)
        except FederationError as fault:
            self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=blame_of(fault)))
            out = []
        except Exception as fault:  # noqa: BLE001 - a defect of ours ends this job, not the coordinator at every start
            ours = JobFailed(f"the coordinator failed at this job with {type(fault).__name__}")
            self.life = lifecycle.step(self.life, lifecycle.Stopped(blame=blame_of(ours)))
            out = []
        return out + self._farewell()

    def close_review(self, connected: frozenset[str]) -> list[Outgoing]:
        """Refuse on the verdicts that are there once nobody who can be reached still owes one."""
        if self.life.state is not State.UNDER_REVIEW or not connected & frozenset(self.job.parties) <= self.life.judged:
            return []
        self.life = lifecycle.step(self.life, lifecycle.ReviewClosed())
        return self._farewell()

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
        """End the job because its deadline passed, naming who did not do what was due."""
        if self.life.state.ended:
            return []
        self.life = lifecycle.step(self.life, lifecycle.Expired(missing=self.owing()))
        return self._farewell()

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
        if self._sum is not None:
            return self._sum.awaits.of
        return tuple(sorted(set(self.job.parties) - set(self.life.attested)))

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
        if self.life.state is State.RUNNING and self._sum is None and not self.totals:
            return self._open_round()
        return []

    def _attested(self, party: str, transcript: bytes, envelope: m.Signed) -> list[Outgoing]:
        before = self.life.attested
        self.life = lifecycle.step(self.life, lifecycle.Attested(party=party, transcript=transcript))
        self._steps[party] = "attested"
        if self.life.attested != before:
            self.attestations.append(envelope)
        return []

    def _open_round(self) -> list[Outgoing]:
        """Begin the secure sum that the plan asks now; what parties sent early for it is taken up."""
        due = self._replay.round
        if due is None:
            self._sum = None
            self.life = lifecycle.with_transcript(self.life, self._replay.transcript)
            return []
        setup = Setup.standard(
            job_hash=self.job_hash,
            round_index=len(self.totals),
            roster_hash=self.job.roster_hash,
            parties=self.job.parties,
        )
        spec = Spec(
            setup=setup,
            round_digest=round_digest(due),
            transcript_hash=self._replay.transcript,
            length=length(due, self._joint),
        )
        opened = self._protocol.aggregator_step(
            self._protocol.aggregator(), Opened(setup=setup, coordinator=self._me.member.name)
        )
        self._sum = self._protocol.aggregator_step(opened.state, SpecKnown(spec=spec)).state
        early, self._early = self._early, []
        out = []
        for message, frame in early:
            out += self._summed(message, frame)
        return out

    def _summed(self, message: OpenedMessage[object], frame: m.Frame) -> list[Outgoing]:
        """Feed a protocol message to the open sum, or keep it if it is for the next one."""
        index = len(self.totals)
        if frame.round_index < index:
            return []  # a resend of what is closed
        if frame.round_index > index or self._sum is None:
            self._keep(message, frame)
            return []
        if not isinstance(message.value, self._protocol.messages):
            raise ProtocolViolation(
                message.sender, phase="secure sum", expected="a message of the job's protocol", got="another message"
            )
        attested = Attested(sender=message.sender, value=message.value, digest=message.digest)
        parcel = Parcel(message=attested, chunks=frame.parts)
        transition = self._protocol.aggregator_step(self._sum, Received(parcel=parcel))
        self._sum = transition.state
        self._envelopes[message.digest] = frame.signed
        self._steps[message.sender] = f"sent {type(message.value).__name__.lower()} {index}"
        total = next((effect for effect in transition.effects if isinstance(effect, Release)), None)
        out: list[Outgoing] = []
        for effect in transition.effects:
            if isinstance(effect, Broadcast):
                out += self._forward(effect.parcels, total)
        if total is not None:
            out += self._closed(total)
        return out

    def _keep(self, message: OpenedMessage[object], frame: m.Frame) -> None:
        kept = sum(early.sender == message.sender for early, _ in self._early)
        if frame.round_index > len(self.totals) + 1 or kept >= MOST_EARLY:
            raise ProtocolViolation(
                message.sender,
                phase="secure sum",
                expected="a message of this round or the next",
                got="one of a later round",
            )
        self._early.append((message, frame))

    def _forward(self, parcels: Sequence[Parcel], total: Release | None) -> list[Outgoing]:
        due = self._replay.round
        if due is None:
            raise ProtocolViolation("", phase="secure sum", expected="a round of the plan", got="none")
        bundle = m.Bundle(
            job_hash=self.job_hash,
            round_index=len(self.totals),
            round_digest=round_digest(due),
            total_digest=b"" if total is None else hashlib.sha256(total.total).digest(),
            messages=tuple(self._envelopes[parcel.message.digest] for parcel in parcels),
            chunk_counts=tuple(len(parcel.chunks) for parcel in parcels),
        )
        frame = m.Frame(
            signed(self._me, m.BUNDLE, bundle),
            tuple(chunk for parcel in parcels for chunk in parcel.chunks),
            self.job_hash,
            bundle.round_index,
        )
        oldest = bundle.round_index - 1
        self._bundles = [f for f in self._bundles if f.round_index >= oldest] + [frame]
        return [Outgoing(party, frame) for party in self.job.parties]

    def _closed(self, total: Release) -> list[Outgoing]:
        self.life = lifecycle.step(self.life, lifecycle.RoundClosed(round_index=len(self.totals)))
        self.totals.append(total.total)
        self._envelopes.clear()
        self._replay.feed(total.numbers)
        return self._open_round()

    def _farewell(self) -> list[Outgoing]:
        if not self.life.state.ended:
            return []
        self._let_go()
        return [self._ended(party) for party in self.job.parties]

    def _let_go(self) -> None:
        """Forget the vectors of a job that ended; what stays are totals, signatures and how it ended."""
        self._sum = None
        for kept in (self._bundles, self._early, self._envelopes, self._known):
            kept.clear()

    def _ended(self, party: str) -> Outgoing:
        ended = self.ended()
        return Outgoing(party, m.Frame(signed(self._me, m.ENDED, ended), job_hash=self.job_hash))
