"""One job at a jurisdiction: judges, replays the plan, answers with masked numbers, recomputes every total.

It asks nothing that its own replay of the plan does not ask, advances only on totals that it added up itself, and
seals what it will send before it sends it. Whatever an honest member would not have done ends the job here with a
signed objection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.vault import Vault
from federation.analytics.replay import Replay
from federation.domain.catalogue import Dataset
from federation.domain.job import Job, digest
from federation.domain.roster import Roster
from federation.errors import ProtocolViolation
from federation.protocols.secure_sum import (
    Attested,
    Begin,
    Contribute,
    Delivered,
    Parcel,
    PartyEvent,
    Release,
    SecureSum,
    Send,
    Setup,
    Spec,
    State,
)
from federation.query.query import Answer, SumQuery
from federation.query.query import digest as query_digest
from federation.query.round import Round, encoded, length, round_digest
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import Opened, Signer, opened, signed


@dataclass(frozen=True, slots=True)
class Desk:
    """What every run of one jurisdiction shares.

    Attributes:
        me: signs for the jurisdiction.
        coordinator: the member who forwards; blamed for what only it can have done.
        engines: data set name -> the engine over its rows.
        published: data set name -> what was published of it.
        entropy: returns so many fresh secret bytes; called once a round, and what it returned is sealed.
    """

    me: Signer
    coordinator: str
    roster: Roster
    engines: Mapping[str, Engine]
    published: Mapping[str, Dataset]
    guard: Guard
    vault: Vault
    entropy: Callable[[int], bytes]

    @property
    def name(self) -> str:
        """The jurisdiction's name."""
        return self.me.member.name


def secrets_of(job_hash: bytes, index: int) -> bytes:
    """Return the vault's stream of one secure sum: entropy, bundles, the encoded vector; erased when it is closed."""
    return digest("federation/round-secrets/v1", job_hash, index.to_bytes(8, "big"))


class Run:
    """A permitted job: its replay, the secure sum that is open and the one whose keys are already out.

    Args:
        desk: the jurisdiction.
        job: the verified job.
        joint: what all parties' publications agree on.
        replay: the plan, from `jobs.planner`.
        protocol: the job's secure sum.
    """

    def __init__(
        self, desk: Desk, *, job: Job, job_hash: bytes, joint: Dataset, replay: Replay, protocol: type[SecureSum]
    ) -> None:
        self.job, self.job_hash = job, job_hash
        self._desk, self._joint, self._replay, self._protocol = desk, joint, replay, protocol
        self._rounds = 0
        self._states: dict[int, State] = {}
        self._sent: dict[int, list[m.Frame]] = {}
        self._seen: set[bytes] = set()
        self._answers: dict[bytes, Answer] = {}

    # --- what the driver calls --------------------------------------------------------------------------------------

    def begin(self) -> list[m.Frame]:
        """Exchange keys for the first secure sum; return what to send."""
        return self._announce(0)

    def resend(self) -> list[m.Frame]:
        """Return what was sent for the rounds that are not closed: identical bytes."""
        frames = [frame for index in sorted(self._sent) for frame in self._sent[index]]
        return frames + ([self._attestation()] if self._replay.round is None else [])

    def receive(self, bundle: m.Bundle, frame: m.Frame) -> list[m.Frame]:
        """Return what to send after a bundle.

        Raises:
            ProtocolViolation: the coordinator or a party did what an honest one would not.
            Refused: a rule of this jurisdiction says no to the round.
        """
        seen = hashlib.sha256(frame.signed.body).digest()
        if bundle.round_index < self._rounds:
            return []  # a resend of what is closed
        due = self._due()
        self._expect(bundle.round_index == self._rounds, "a bundle of the round that is open", "one of a later round")
        if seen in self._seen:  # a resend; what was cut off between the bundle and the answer goes on
            return self._contribute(due) if self._states[self._rounds].awaits.what == "contribution" else []
        self._expect(bundle.round_digest == round_digest(due), "the query that the plan asks", "another query")
        parcels = self._parcels(bundle, frame)
        effects = self._stepped(self._rounds, Delivered(parcels=parcels), "delivered", convert.frame_bytes(frame))
        self._seen.add(seen)
        out = self._frames(self._rounds, effects)
        release = next((effect for effect in effects if isinstance(effect, Release)), None)
        if release is not None:
            told = bundle.total_digest == hashlib.sha256(release.total).digest()
            self._expect(told, "the total that the parties' vectors add up to", "another total")
            return out + self._closed(release.total)
        if self._states[self._rounds].awaits.what == "contribution":
            return out + self._contribute(due)
        return out

    def forget(self) -> None:
        """Erase the secrets of every round that is open or prepared."""
        for index in self._states:
            self._desk.vault.erase(secrets_of(self.job_hash, index))
        self._states.clear()
        self._sent.clear()
        self._answers.clear()

    def restore(self) -> None:
        """Fold what was sealed: the same states, and the same bytes to send."""
        for kind, payload in self._desk.vault.read(self.job_hash):
            if kind == "total":
                self._replay.feed(Release(total=payload, parties=self.job.parties).numbers)
                self._rounds += 1
        for index in (self._rounds, self._rounds + 1):
            for kind, payload in self._desk.vault.read(secrets_of(self.job_hash, index)):
                self._refold(index, kind, payload)

    # --- the steps --------------------------------------------------------------------------------------------------

    def _announce(self, index: int) -> list[m.Frame]:
        """Begin the secure sum `index`: fresh entropy, sealed before its key leaves."""
        if index in self._states or index >= self.job.max_rounds:
            return []
        entropy = self._desk.entropy(32)
        return self._frames(index, self._stepped(index, self._begin_event(index, entropy), "begin", entropy))

    def _contribute(self, due: Round) -> list[m.Frame]:
        self._desk.guard.judge_round(self.job, due, self._joint)
        self._record(due)
        answers = self._answered(due.queries)
        own = self._desk.published[self.job.dataset]
        vector = Contribute.of(self._spec(due), encoded(due, self._joint, answers, own.k))
        effects = self._stepped(self._rounds, vector, "vector", vector.vector)
        # Keys of the next round travel with this vector, so that a round costs one exchange.
        return self._frames(self._rounds, effects) + self._announce(self._rounds + 1)

    def _closed(self, total: bytes) -> list[m.Frame]:
        index = self._rounds
        self._desk.vault.append_many(self.job_hash, [("total", total)])
        self._desk.vault.erase(secrets_of(self.job_hash, index))
        self._states.pop(index, None)
        self._sent.pop(index, None)
        self._rounds += 1
        self._replay.feed(Release(total=total, parties=self.job.parties).numbers)
        return [self._attestation()] if self._replay.round is None else []

    def _record(self, due: Round) -> None:
        """Write down, before anything is sent, which query opens over whom; another set is refused for ever."""
        own = self._desk.published[self.job.dataset]
        parties = digest("federation/parties/v1", *(party.encode() for party in self.job.parties))
        for query in due.queries:
            query_id = digest(
                "federation/query-id/v1", query_digest(query), own.version.encode(), due.phase.value.encode()
            )
            if not self._desk.vault.put_new(query_id, parties) and self._desk.vault.get(query_id) != parties:
                raise self._desk.guard.other_set(self.job)

    def _answered(self, queries: Sequence[SumQuery]) -> tuple[Answer, ...]:
        ids = [query_digest(query) for query in queries]
        if any(query_id not in self._answers for query_id in ids):
            answers = self._desk.engines[self.job.dataset].sums(queries, self._joint)
            self._answers = dict(zip(ids, answers, strict=True))
        return tuple(self._answers[query_id] for query_id in ids)

    # --- machines and frames ----------------------------------------------------------------------------------------

    def _stepped(self, index: int, event: PartyEvent, kind: str, payload: bytes) -> Sequence[object]:
        """Step the machine of round `index`, and seal the event before its effects are carried out.

        What opens the total is not sealed: in the same transaction the total is, and everything of the round is erased.
        All parties' vectors would be more than one record may hold.
        """
        state = self._states.get(index)
        transition = self._protocol.party_step(self._protocol.party() if state is None else state, event)
        if not any(isinstance(effect, Release) for effect in transition.effects):
            self._desk.vault.append_many(secrets_of(self.job_hash, index), [(kind, payload)])
        self._states[index] = transition.state
        return transition.effects

    def _refold(self, index: int, kind: str, payload: bytes) -> None:
        state = self._states.get(index, self._protocol.party())
        if kind == "begin":
            event: PartyEvent = self._begin_event(index, payload)
        elif kind == "vector":
            event = Contribute(spec=self._spec(self._due()), vector=payload)
        else:
            frame = convert.frame_of(payload)
            bundle = convert.bundle_of(frame.signed.body)
            event = Delivered(parcels=self._parcels(bundle, frame))
            self._seen.add(hashlib.sha256(frame.signed.body).digest())
        transition = self._protocol.party_step(state, event)
        self._states[index] = transition.state
        self._frames(index, transition.effects)

    def _frames(self, index: int, effects: Sequence[object]) -> list[m.Frame]:
        frames = [
            m.Frame(signed(self._desk.me, effect.message.domain, effect.message), effect.chunks, self.job_hash, index)
            for effect in effects
            if isinstance(effect, Send)
        ]
        if frames:
            self._sent.setdefault(index, []).extend(frames)
        return frames

    def _parcels(self, bundle: m.Bundle, frame: m.Frame) -> tuple[Parcel, ...]:
        self._expect(
            sum(bundle.chunk_counts) == len(frame.parts), "as many chunks as the bundle counts", "another number"
        )
        parcels, start = [], 0
        for envelope, count in zip(bundle.messages, bundle.chunk_counts, strict=True):
            message: Opened[object] = opened(envelope, self._desk.roster, relay=self._desk.coordinator)
            value = message.value
            if not isinstance(value, self._protocol.messages):
                raise self._broken("messages of the job's protocol", "another message")
            attested = Attested(sender=message.sender, value=value, digest=message.digest)
            parcels.append(Parcel(message=attested, chunks=frame.parts[start : start + count]))
            start += count
        return tuple(parcels)

    def _begin_event(self, index: int, entropy: bytes) -> Begin:
        return Begin(setup=self._setup(index), me=self._desk.name, coordinator=self._desk.coordinator, entropy=entropy)

    def _setup(self, index: int) -> Setup:
        return Setup.standard(
            job_hash=self.job_hash,
            round_index=index,
            roster_hash=self._desk.roster.hash,
            parties=self.job.parties,
        )

    def _spec(self, due: Round) -> Spec:
        return Spec(
            setup=self._setup(self._rounds),
            round_digest=round_digest(due),
            transcript_hash=self._replay.transcript,
            length=length(due, self._joint),
        )

    def _due(self) -> Round:
        due = self._replay.round
        if due is None:
            raise self._broken("no bundle after the last round", "one")
        return due

    def _attestation(self) -> m.Frame:
        value = m.Attestation(party=self._desk.name, job_hash=self.job_hash, transcript=self._replay.transcript)
        return m.Frame(signed(self._desk.me, m.ATTESTATION, value), job_hash=self.job_hash)

    def _expect(self, holds: bool, expected: str, got: str) -> None:
        if not holds:
            raise self._broken(expected, got)

    def _broken(self, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(self._desk.coordinator, phase=f"round {self._rounds}", expected=expected, got=got)
