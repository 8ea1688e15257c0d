"""One job at a jurisdiction: judges, replays the course, answers with masked numbers, recomputes every total.

It answers nothing that its own replay of the course does not ask, advances only on totals that it added up itself, and
seals what it will send before it sends it. Whatever an honest member would not have done ends the job here with a
signed objection. Where the others went on without this party it keeps silent: it is not counted, and signs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from clients.jurisdiction.answering import Answering
from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.joint_keys import Held, JointKeys
from clients.jurisdiction.letting_go import let_go
from clients.jurisdiction.records import Records
from clients.jurisdiction.sums import Sum, secrets_of
from clients.jurisdiction.vault import Vault
from federation.crypto.ring import Chunk
from federation.domain.catalogue import Dataset
from federation.domain.job import Job, digest
from federation.domain.roster import Roster
from federation.errors import JobFailed, ProtocolViolation, Refused
from federation.jobs import sums
from federation.jobs.course import Course
from federation.protocols.events import Abort, Contribute, Intend, PartyEffect, Release, Send
from federation.protocols.secure_sum import SecureSum
from federation.protocols.setup import Setup
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
        bundles: model bundles that the operator approved; None where no code is run, as in one process.
        spares: frames come off a line and go out on one, and are nobody else's: long bytes of them, and of models, are
            held no longer than they are needed.
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
    bundles: Bundles | None = None
    development: bool = False
    spares: bool = False

    @property
    def name(self) -> str:
        """The jurisdiction's name."""
        return self.me.member.name


class Run:
    """A permitted job: its course, the secure sum that is open and the one whose keys are already out.

    Args:
        desk: the jurisdiction.
        job: the verified job.
        course: the job's sums, from `jobs.planner`.
        answering: what this party adds to them.
        protocol: the job's secure sum.
        held: the joint key that the job names, and this party's share of it.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        job: Job,
        job_hash: bytes,
        course: Course,
        answering: Answering,
        protocol: type[SecureSum],
        held: Held | None = None,
    ) -> None:
        self.job, self.job_hash = job, job_hash
        self._desk, self._course, self._answering, self._protocol = desk, course, answering, protocol
        self._held = held
        self._records = Records(desk.vault)
        self._rounds = 0
        self._sums: dict[int, Sum] = {}

    # --- what the driver calls --------------------------------------------------------------------------------------

    def begin(self) -> list[m.Frame]:
        """Exchange keys for the first secure sum; return what to send."""
        return self._announce(0, 0)

    def resend(self) -> list[m.Frame]:
        """Return what was sent for the rounds that are not closed: identical bytes.

        Raises:
            JobFailed: a long vector cannot be made again. What making it raises.
        """
        for index, spent in [pair for pair in self._sums.items() if pair[1].spent]:
            again = self._sum(index, spent.setup.attempt)
            again.restore(partial(self._contributed, again.setup))
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
        if self._course.due is None:  # keys for a round that the course turned out not to have
            self._expect(not bundle.round_digest, "no query after the last round", "one")
            return []
        self._expect(open_sum is not None, "a bundle of the round that is open or the next", "one of a later round")
        if open_sum is None or bundle.attempt != open_sum.setup.attempt:
            raise self._broken("a bundle of the attempt that is open", "one of a later attempt")
        if open_sum.withdrawn(bundle, frame):
            return self._attempted_again(index, open_sum)
        if bundle.round_digest and not self._is_sampling(index - 1):
            known = index == self._rounds and bundle.round_digest == self._course.due
            self._expect(known, "the query that the plan asks", "another query")
        return self._followed(index, open_sum, open_sum.deliver(bundle, frame), bundle)

    def let_go(self, frame: m.Frame) -> None:
        """Hold a long vector that is out no longer."""
        open_sum = self._sums.get(frame.round_index)
        if open_sum is not None:
            open_sum.let_go(frame)

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
        self._answering.forget()

    def restore(self) -> None:
        """Fold what was sealed: the same states, and the same bytes to send."""
        attempts: dict[int, int] = {}
        taken_up = self._take_up(attempts)
        for kind, payload in self._desk.vault.read(self.job_hash):
            if kind == "total" and not taken_up:
                setup = self._setup(self._rounds, 0)
                self._course.feed(total := _release_of(payload))
                self._rounds += 1
                attempts[self._rounds] = sums.first_attempt(setup.parties, total.parties)
            elif kind == "attempt":
                index, attempt = attempt_of(payload)
                attempts[index] = attempt
        if self._aside or self._course.due is None:
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
        return self._desk.name not in self._course.contributors

    def _is_sampling(self, index: int) -> bool:
        """Whether this party still draws chunks of that sum, which is open to the others: keys of the next one come."""
        before = self._sums.get(index)
        return index == self._rounds and before is not None and before.awaits.what == "samples"

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
            spares=desk.spares,
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
                    told = bundle is None or bundle.total_digest == release.digest
                    self._expect(told, "the total that the parties' vectors add up to", "another total")
                    out += self._closed(open_sum, release)
                case Abort(blames=blames):  # all said what was due, and it came to no total
                    raise JobFailed(blames[0].message, hint=blames[0].hint, party=blames[0].party)
        if index == self._rounds and open_sum.awaits.what == "contribution":
            out += self._contribute(open_sum)
        return out

    def _contribute(self, open_sum: Sum) -> list[m.Frame]:
        self._answering.judge()
        ids = self._answering.ids()
        if not self._records.bind(ids, open_sum.setup):
            raise self._answering.other_set()
        try:
            vector = self._answering.vector()
        except Refused:
            self._records.withdrawn(ids, open_sum.setup)  # nobody has a number of it
            raise
        number = self._records.next_answer()
        effects = open_sum.contribute(self._contributed(open_sum.setup, number, vector))
        # Keys of the next round travel with this vector, so that they are there when its numbers are.
        return self._followed(self._rounds, open_sum, effects) + self._announce(self._rounds + 1, 0)

    def _agree(self, setup: Setup, contributors: Sequence[str]) -> None:
        """Write down over whom this round's queries are opened, before this party says that it agrees."""
        if not self._records.agree(self._answering.ids(), setup, contributors):
            raise self._answering.other_set()

    def _closed(self, open_sum: Sum, release: Release) -> list[m.Frame]:
        index = self._rounds
        self._records.opened(self._answering.ids(), open_sum.setup, release.parties)
        if self._desk.name in release.parties:
            self._answering.closed()
        self._course.feed(release)
        self._drop(index)
        self._rounds += 1
        attempt = sums.first_attempt(open_sum.setup.parties, release.parties)
        self._remember(release, attempt)
        if self._desk.spares:
            let_go(release.chunks)
        if self._aside:
            self.forget()
            return []
        if attempt or self._course.due is None:  # keys that were dealt among more parties, or for no round
            self._drop(index + 1)
        if self._course.due is None:
            self._answering.forget()
            return self._attested()
        if attempt:
            self._note_attempt(index + 1, attempt)
        out = self._announce(index + 1, attempt)
        following = self._sums[index + 1]
        return out + (self._contribute(following) if following.awaits.what == "contribution" else [])

    def _remember(self, release: Release, attempt: int) -> None:
        """Seal what was opened; or where the course stands, if that is shorter than all that it was fed.

        Beside it stands the first attempt at the next sum: the event that says so may be lost with its transaction.
        """
        saved, vault = self._course.saved(), self._desk.vault
        if saved is None:
            vault.append_many(self.job_hash, [("total", _release_bytes(release))])
            return
        name, counted = course_of(self.job_hash), self._rounds.to_bytes(8, "big")
        vault.keep(
            name,
            (counted + attempt.to_bytes(8, "big"), len(saved).to_bytes(8, "big"), *saved, *self._answering.saved()),
        )
        vault.put(name, counted)

    def _take_up(self, attempts: dict[int, int]) -> bool:
        """Take up a course that was saved; return whether one was.

        It may be one sum ahead of what is durable: the process died between the two.

        Args:
            attempts: the first attempt at the sum that is due is added.

        Raises:
            JobFailed: what was saved is gone, or older than it was.
        """
        name = course_of(self.job_hash)
        durable = int.from_bytes(self._desk.vault.get(name) or b"", "big")
        found = self._desk.vault.kept(name)
        if not durable and found is None:
            return False
        rounds = int.from_bytes(found[0][:8], "big") if found else 0
        if found is None or (durable and rounds - durable not in (0, 1)):
            raise JobFailed(
                f"{self._desk.name} does not know any more where the job stands: its state was lost",
                hint="a power cut may do that; hand the job in again",
                party=self._desk.name,
            )
        counted = 2 + int.from_bytes(found[1], "big")
        self._course.restore(found[2:counted])
        self._answering.restore(found[counted:])
        for index in range(durable, rounds):
            self._desk.vault.erase(secrets_of(self.job_hash, index, 0))
        self._rounds = rounds
        attempts[rounds] = int.from_bytes(found[0][8:], "big")
        if durable < rounds and attempts[rounds]:  # keys that were dealt among more parties
            self._desk.vault.erase(secrets_of(self.job_hash, rounds, 0))
        return True

    def _note_attempt(self, index: int, attempt: int) -> None:
        payload = attempt.to_bytes(4, "big") + index.to_bytes(8, "big")
        self._desk.vault.append_many(self.job_hash, [("attempt", payload)])

    def _attempted_again(self, index: int, open_sum: Sum) -> list[m.Frame]:
        """Begin anew: nobody can open the attempt that was withdrawn, so its queries are free again."""
        self._expect(index == self._rounds, "withdrawals of the round that is open", "some of another round")
        attempt = open_sum.setup.attempt + 1
        self._records.withdrawn(self._answering.ids(), open_sum.setup)
        self._note_attempt(index, attempt)
        self._drop(index)
        return self._announce(index, attempt)

    def _drop(self, index: int) -> None:
        dropped = self._sums.pop(index, None)
        if dropped is not None:
            dropped.erase()

    # --- values -----------------------------------------------------------------------------------------------------

    def _setup(self, index: int, attempt: int) -> Setup:
        return sums.setup(
            self.job,
            self.job_hash,
            index=index,
            attempt=attempt,
            contributors=self._course.contributors,
            strict=self._course.strict(index),
        )

    def _contributed(self, setup: Setup, number: int, vector: Chunk | None) -> Contribute:
        made = self._answering.vector() if vector is None else vector
        return Contribute(spec=self._course.spec(setup), vector=made, number=number)

    def _attested(self) -> list[m.Frame]:
        if self._course.due is not None or self._aside:
            return []
        value = m.Attestation(party=self._desk.name, job_hash=self.job_hash, transcript=self._course.transcript)
        return [m.Frame(signed(self._desk.me, m.ATTESTATION, value), job_hash=self.job_hash)]

    def _expect(self, holds: bool, expected: str, got: str) -> None:
        if not holds:
            raise self._broken(expected, got)

    def _broken(self, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(self._desk.coordinator, phase=f"round {self._rounds}", expected=expected, got=got)


def course_of(job_hash: bytes) -> bytes:
    """Return what a course that saves itself is kept under, with what the party adds to it; and how far it is."""
    return digest("federation/course/v1", job_hash)


def attempt_of(payload: bytes) -> tuple[int, int]:
    """Return (index of the sum, attempt at it) of a sealed event "attempt"."""
    return int.from_bytes(payload[4:], "big"), int.from_bytes(payload[:4], "big")


def _release_bytes(release: Release) -> bytes:
    names = "\n".join(release.parties).encode()
    return len(names).to_bytes(4, "big") + names + release.total


def _release_of(payload: bytes) -> Release:
    end = 4 + int.from_bytes(payload[:4], "big")
    return Release.of(payload[end:], tuple(payload[4:end].decode().split("\n")))
