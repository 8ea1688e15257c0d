"""One job at a jurisdiction: judges, replays the plan, answers with masked numbers, recomputes every total.

It asks nothing that its own replay of the plan does not ask, advances only on totals that it added up itself, and
seals what it will send before it sends it. Whatever an honest member would not have done ends the job here with a
signed objection. Where the others went on without this party it keeps silent: it is not counted, and signs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Answered, Guard
from clients.jurisdiction.joint_keys import Held, JointKeys
from clients.jurisdiction.records import Records, query_ids
from clients.jurisdiction.sums import Sum
from clients.jurisdiction.vault import Vault
from federation.analytics.replay import Replay
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.roster import Roster
from federation.errors import JobFailed, ProtocolViolation, Refused
from federation.jobs import sums
from federation.protocols.events import Abort, Contribute, Intend, PartyEffect, Release, Send
from federation.protocols.secure_sum import SecureSum
from federation.protocols.setup import Setup, Spec
from federation.query.query import SumQuery
from federation.query.query import digest as query_digest
from federation.query.round import Round, encoded, round_digest
from federation.wire import messages as m
from federation.wire.envelope import Signer, signed


@dataclass(frozen=True, slots=True)
class Desk:
    """What every run of one jurisdiction shares.

    Attributes:
        me: signs for the jurisdiction.
        coordinator: the member who forwards; blamed for what only it can have done.
        engines: data set name -> the engine over its rows.
        published: data set name -> what was published of it.
        entropy: returns so many fresh secret bytes; called once a sum, and what it returned is sealed.
        joint_keys: its shares of joint keys, in the same vault.
        development: take part under development keys and short ones too: inside one process, and for tests.
    """

    me: Signer
    coordinator: str
    roster: Roster
    engines: Mapping[str, Engine]
    published: Mapping[str, Dataset]
    guard: Guard
    vault: Vault
    entropy: Callable[[int], bytes]
    joint_keys: JointKeys
    development: bool = False

    @property
    def name(self) -> str:
        """The jurisdiction's name."""
        return self.me.member.name


class Run:
    """A permitted job: its replay, the secure sum that is open and the one whose keys are already out.

    Args:
        desk: the jurisdiction.
        job: the verified job.
        joint: what all parties' publications agree on.
        replay: the plan, from `jobs.planner`.
        protocol: the job's secure sum.
        held: the joint key that the job names, and this party's share of it.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        job: Job,
        job_hash: bytes,
        joint: Dataset,
        replay: Replay,
        protocol: type[SecureSum],
        held: Held | None = None,
    ) -> None:
        self.job, self.job_hash = job, job_hash
        self._desk, self._joint, self._replay, self._protocol = desk, joint, replay, protocol
        self._held = held
        self._records = Records(desk.vault)
        self._rounds = 0
        self._sums: dict[int, Sum] = {}
        self._answers: dict[bytes, Answered] = {}

    # --- what the driver calls --------------------------------------------------------------------------------------

    def begin(self) -> list[m.Frame]:
        """Exchange keys for the first secure sum; return what to send."""
        return self._announce(0, 0)

    def resend(self) -> list[m.Frame]:
        """Return what was sent for the rounds that are not closed: identical bytes."""
        return [frame for index in sorted(self._sums) for frame in self._sums[index].sent] + self._attested()

    def receive(self, bundle: m.Bundle, frame: m.Frame) -> list[m.Frame]:
        """Return what to send after a bundle.

        Raises:
            ProtocolViolation: the coordinator or a party did what an honest one would not.
            Refused: a rule of this jurisdiction says no to the round.
        """
        index = bundle.round_index
        open_sum = self._sums.get(index)
        if self._aside or index < self._rounds or (open_sum and bundle.attempt < open_sum.setup.attempt):
            return []  # a resend of what is closed
        if self._replay.round is None:  # keys for a round that the plan turned out not to have
            self._expect(not bundle.round_digest, "no query after the last round", "one")
            return []
        self._expect(open_sum is not None, "a bundle of the round that is open or the next", "one of a later round")
        if open_sum is None or bundle.attempt != open_sum.setup.attempt:
            raise self._broken("a bundle of the attempt that is open", "one of a later attempt")
        if open_sum.withdrawn(bundle, frame):
            return self._attempted_again(index, open_sum)
        if bundle.round_digest:
            known = index == self._rounds and bundle.round_digest == round_digest(self._due())
            self._expect(known, "the query that the plan asks", "another query")
        return self._followed(index, open_sum, open_sum.deliver(bundle, frame), bundle)

    def recalled(self, recall: m.Recall) -> list[m.Frame]:
        """Withdraw the attempt that is open, if this party has not helped to open it; return what to send."""
        open_sum = self._sums.get(recall.round_index)
        if recall.round_index != self._rounds or open_sum is None or open_sum.setup.attempt != recall.attempt:
            return []
        before = len(open_sum.sent)
        open_sum.withdraw()
        return open_sum.sent[before:]

    def forget(self) -> None:
        """Erase the secrets of every round that is open or prepared."""
        for open_sum in self._sums.values():
            open_sum.erase()
        self._sums.clear()
        self._answers.clear()

    def restore(self) -> None:
        """Fold what was sealed: the same states, and the same bytes to send."""
        attempts: dict[int, int] = {}
        for kind, payload in self._desk.vault.read(self.job_hash):
            if kind == "total":
                setup = self._setup(self._rounds, 0)
                self._replay.feed(*_fed(total := _release_of(payload)))
                self._rounds += 1
                attempts[self._rounds] = sums.first_attempt(setup.parties, total.parties)
            elif kind == "attempt":
                attempts[self._rounds] = int.from_bytes(payload, "big")
        if self._aside or self._replay.round is None:
            return
        for index in (self._rounds, self._rounds + 1):
            open_sum = self._sum(index, attempts.get(index, 0))
            if not open_sum.restore(partial(self._contributed, open_sum.setup)):
                del self._sums[index]
        if self._rounds not in self._sums:
            self._begin(self._rounds, attempts.get(self._rounds, 0))  # it was cut off between a total and the next keys

    # --- the steps --------------------------------------------------------------------------------------------------

    @property
    def _aside(self) -> bool:
        """Whether the totals are of others only: this party was lost when it was settled who is counted."""
        return self._desk.name not in self._replay.contributors

    def _announce(self, index: int, attempt: int) -> list[m.Frame]:
        """Begin an attempt at a secure sum: fresh entropy, sealed before its keys leave."""
        if index in self._sums or index >= self.job.max_rounds:
            return []
        return list(self._begin(index, attempt).sent)

    def _begin(self, index: int, attempt: int) -> Sum:
        open_sum = self._sum(index, attempt)
        open_sum.begin(self._desk.entropy(32))
        return open_sum

    def _sum(self, index: int, attempt: int) -> Sum:
        desk = self._desk
        self._sums[index] = Sum(
            self._protocol,
            self._setup(index, attempt),
            me=desk.me,
            roster=desk.roster,
            coordinator=desk.coordinator,
            vault=desk.vault,
            held=self._held,
        )
        return self._sums[index]

    def _followed(
        self, index: int, open_sum: Sum, effects: Sequence[PartyEffect], bundle: m.Bundle | None = None
    ) -> list[m.Frame]:
        """Carry out what follows from a step, in order."""
        out: list[m.Frame] = []
        sent = open_sum.sent[len(open_sum.sent) - sum(isinstance(effect, Send) for effect in effects) :]
        for effect in effects:
            match effect:
                case Intend(parties=parties):
                    self._agree(open_sum.setup, parties)
                case Send():
                    out.append(sent.pop(0))
                case Release() as release:
                    told = bundle is None or bundle.total_digest == hashlib.sha256(release.total).digest()
                    self._expect(told, "the total that the parties' vectors add up to", "another total")
                    out += self._closed(open_sum, release)
                case Abort(blames=blames):  # all said what was due, and it came to no total
                    raise JobFailed(blames[0].message, hint=blames[0].hint, party=blames[0].party)
        if index == self._rounds and open_sum.awaits.what == "contribution":
            out += self._contribute(open_sum)
        return out

    def _contribute(self, open_sum: Sum) -> list[m.Frame]:
        due = self._due()
        self._desk.guard.judge_round(self.job, due, self._joint)
        own = self._desk.published[self.job.dataset]
        if not self._records.bind(query_ids(due, own.version), open_sum.setup):
            raise self._desk.guard.other_set(self.job)
        answered = self._answered(due.queries)
        try:
            self._desk.guard.judge_answers(self.job, due, self._joint, answered, self._desk.engines[self.job.dataset])
        except Refused:
            self._records.withdrawn(query_ids(due, own.version), open_sum.setup)  # nobody has a number of it
            raise
        withheld = [one.withheld for one in answered] if any(one.withheld for one in answered) else ()
        vector = encoded(due, self._joint, [one.answer for one in answered], own.k, withheld)
        number = self._records.next_answer()
        effects = open_sum.contribute(Contribute.of(self._spec(open_sum.setup), vector, number))
        # Keys of the next round travel with this vector, so that they are there when its numbers are.
        return self._followed(self._rounds, open_sum, effects) + self._announce(self._rounds + 1, 0)

    def _agree(self, setup: Setup, contributors: Sequence[str]) -> None:
        """Write down over whom this round's queries are opened, before this party says that it agrees."""
        own = self._desk.published[self.job.dataset]
        if not self._records.agree(query_ids(self._due(), own.version), setup, contributors):
            raise self._desk.guard.other_set(self.job)

    def _closed(self, open_sum: Sum, release: Release) -> list[m.Frame]:
        index, own = self._rounds, self._desk.published[self.job.dataset]
        self._records.opened(query_ids(self._due(), own.version), open_sum.setup, release.parties)
        self._desk.vault.append_many(self.job_hash, [("total", _release_bytes(release))])
        self._drop(index)
        self._rounds += 1
        self._replay.feed(*_fed(release))
        if self._aside:
            self.forget()
            return []
        attempt = sums.first_attempt(open_sum.setup.parties, release.parties)
        if attempt or self._replay.round is None:  # keys that were dealt among more parties, or for no round
            self._drop(index + 1)
        if self._replay.round is None:
            return self._attested()
        out = self._announce(index + 1, attempt)
        following = self._sums[index + 1]
        return out + (self._contribute(following) if following.awaits.what == "contribution" else [])

    def _attempted_again(self, index: int, open_sum: Sum) -> list[m.Frame]:
        """Begin anew: nobody can open the attempt that was withdrawn, so its queries are free again."""
        self._expect(index == self._rounds, "withdrawals of the round that is open", "some of another round")
        attempt = open_sum.setup.attempt + 1
        own = self._desk.published[self.job.dataset]
        self._records.withdrawn(query_ids(self._due(), own.version), open_sum.setup)
        self._desk.vault.append_many(self.job_hash, [("attempt", attempt.to_bytes(4, "big"))])
        self._drop(index)
        return self._announce(index, attempt)

    def _drop(self, index: int) -> None:
        dropped = self._sums.pop(index, None)
        if dropped is not None:
            dropped.erase()

    def _answered(self, queries: Sequence[SumQuery]) -> tuple[Answered, ...]:
        ids = [query_digest(query) for query in queries]
        if any(query_id not in self._answers for query_id in ids):
            engine = self._desk.engines[self.job.dataset]
            answers = self._desk.guard.answered(self.job, queries, self._joint, engine)
            self._answers = dict(zip(ids, answers, strict=True))
        return tuple(self._answers[query_id] for query_id in ids)

    # --- values -----------------------------------------------------------------------------------------------------

    def _setup(self, index: int, attempt: int) -> Setup:
        contributors = self._replay.contributors
        return sums.setup(self.job, self.job_hash, index=index, attempt=attempt, contributors=contributors)

    def _contributed(self, setup: Setup, number: int, vector: bytes) -> Contribute:
        return Contribute(spec=self._spec(setup), vector=vector, number=number)

    def _spec(self, setup: Setup) -> Spec:
        return sums.spec(setup, self._due(), self._joint, self._replay.transcript)

    def _due(self) -> Round:
        due = self._replay.round
        if due is None:
            raise self._broken("no bundle after the last round", "one")
        return due

    def _attested(self) -> list[m.Frame]:
        if self._replay.round is not None or self._aside:
            return []
        value = m.Attestation(party=self._desk.name, job_hash=self.job_hash, transcript=self._replay.transcript)
        return [m.Frame(signed(self._desk.me, m.ATTESTATION, value), job_hash=self.job_hash)]

    def _expect(self, holds: bool, expected: str, got: str) -> None:
        if not holds:
            raise self._broken(expected, got)

    def _broken(self, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(self._desk.coordinator, phase=f"round {self._rounds}", expected=expected, got=got)


def _fed(release: Release) -> tuple[list[int], tuple[str, ...]]:
    return release.numbers, release.parties


def _release_bytes(release: Release) -> bytes:
    names = "\n".join(release.parties).encode()
    return len(names).to_bytes(4, "big") + names + release.total


def _release_of(payload: bytes) -> Release:
    end = 4 + int.from_bytes(payload[:4], "big")
    return Release(total=payload[end:], parties=tuple(payload[4:end].decode().split("\n")))
