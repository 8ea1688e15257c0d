"""A coordinator that plays with real jurisdictions: it offers, bundles, recalls and ends whatever it likes.

It signs with its own key and has everything that the parties ever sent; corrupt parties lend it their keys and sign
every list and every withdrawal. It picks at random among what a party would accept, since anything else only ends the
job there, and never opens anything where the parties see it. What it must not reach: shares that open one query over
two sets.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from clients.jurisdiction.driver import Driver as Jurisdiction
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.run import Desk, Run
from federation.domain.job import Job, State
from federation.errors import ProtocolViolation
from federation.jobs import sums
from federation.ledger import merkle
from federation.policy.rule import Settings
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.protocols.setup import Setup
from federation.protocols.withdrawal import Withdrawal
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import digest_of, signed
from tests.simulation.memories import Memory
from tests.simulation.people import COORDINATOR, PARTIES, RESEARCHER, Teller, asking, dataset, people, roster
from tests.simulation.tap import Asked, Tap

KINDS = {kind.domain: kind for kind in (Advert, Shares, Head, Consent, Unmask, Withdrawal)}
Move = tuple[object, ...]


@dataclass
class Theatre:
    """Jurisdictions, and what the coordinator has of them.

    Attributes:
        have: (job, attempt, kind) -> party -> the frames of that kind that it ever sent, oldest first.
        reached: how often what was reached.
    """

    n: int
    corrupt: int
    tap: Tap = field(default_factory=lambda: Tap(support=False))
    have: dict[tuple[bytes, int, str], dict[str, list[m.Frame]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    reached: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.names = PARTIES[: self.n]
        self.liars = self.names[self.n - self.corrupt :]
        self.tap.liars = frozenset(self.liars)
        self.vaults = {party: Memory() for party in self.names}
        self.drawn = 0
        self.jobs: list[bytes] = []
        self.offers: dict[bytes, m.Frame] = {}
        self.plans: dict[tuple[str, bytes], list[str]] = {}
        self.held: dict[bytes, bool] = {}  # attempts that it keeps from being opened
        self.drivers = {party: self.driver(party) for party in self.names}

    def driver(self, party: str) -> Jurisdiction:
        """Start a jurisdiction over its memory."""
        own = dataset(support=False)
        desk = Desk(
            me=people()[party],
            coordinator=COORDINATOR,
            roster=roster(),
            engines={"data": Teller(party, own)},
            published={"data": own},
            guard=Guard(party, Settings(), {"data": own}),
            vault=self.vaults[party],
            entropy=self._fresh,
            joint_keys=JointKeys(self.vaults[party]),
        )
        return Jurisdiction(desk, "simulated")

    def _fresh(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    # --- what it has ------------------------------------------------------------------------------------------------

    def ask(self, parties: tuple[str, ...]) -> None:
        """Let a researcher sign a job, always of the same query."""
        own = dataset(support=False)
        publications = {
            party: signed(people()[party], m.PUBLICATION, m.Publication(party=party, dataset=own)) for party in parties
        }
        job = Job(
            name=f"walk-{len(self.jobs)}",
            researcher=RESEARCHER,
            dataset="data",
            computations=(asking(1, 0),),
            parties=parties,
            publications=tuple((party, digest_of(envelope)) for party, envelope in publications.items()),
            deadline_ms=10**12,
            max_rounds=1,
            roster_hash=roster().hash,
            token=len(self.jobs).to_bytes(16, "big"),
        )
        envelope = signed(people()[RESEARCHER], m.JOB, job)
        job_hash = digest_of(envelope)
        self.jobs.append(job_hash)
        self.tap.asked[job_hash] = Asked(job, 1, 0)
        offer = m.Offer(job=envelope, publications=tuple(publications.values()))
        self.offers[job_hash] = m.Frame(signed(people()[COORDINATOR], m.OFFER, offer), job_hash=job_hash)

    def run_of(self, party: str, job_hash: bytes) -> Run | None:
        """A party's run of a job, if it has one that goes on."""
        entry = self.drivers[party]._entries.get(job_hash)
        return None if entry is None else entry.run

    def setup(self, job_hash: bytes, attempt: int) -> Setup:
        """The setup of an attempt."""
        job = self.tap.asked[job_hash].job
        return sums.setup(job, job_hash, index=0, attempt=attempt, contributors=job.parties)

    # --- what it does -----------------------------------------------------------------------------------------------

    def give(self, party: str, frame: m.Frame) -> None:
        """Give a party a frame, and keep what it answers."""
        try:
            answers = self.drivers[party].receive(frame)
        except ProtocolViolation:
            self.reached["the line was closed"] += 1
            return
        if party not in self.liars:
            self.tap.sent(party, frame, answers)
        for answer in answers:
            kind = KINDS.get(answer.signed.domain)
            if kind is None:
                self.reached[answer.signed.domain.split("/")[1]] += 1
                continue
            found = self.have[answer.job_hash, answer.attempt, kind.__name__][party]
            if answer not in found:
                found.append(answer)
                self.reached[f"{kind.__name__.lower()} {min(answer.attempt, 1)}"] += 1

    def bundle(self, job_hash: bytes, attempt: int, parts: list[tuple[m.Signed, tuple[bytes, ...]]]) -> m.Frame:
        """The bundle of these messages, with the coordinator's signature."""
        body = m.Bundle(
            job_hash=job_hash,
            round_index=0,
            attempt=attempt,
            round_digest=b"",
            total_digest=b"",
            messages=tuple(message for message, _ in parts),
            chunk_counts=tuple(len(chunks) for _, chunks in parts),
        )
        chunks = tuple(chunk for _, some in parts for chunk in some)
        return m.Frame(signed(people()[COORDINATOR], m.BUNDLE, body), chunks, job_hash, 0, attempt)

    # --- what it may do next ----------------------------------------------------------------------------------------

    def move(self, chance: random.Random) -> None:
        """Do something, most often to everybody in a job."""
        job_hash = chance.choice(self.jobs)
        parties = list(self.tap.asked[job_hash].job.parties)
        chance.shuffle(parties)
        what = chance.choices(("go on", "recall", "prove", "end", "kill"), (80, 8, 8, 1, 3))[0]
        attempt = chance.choice((0, 0, 1))
        for party in parties if chance.random() < 0.6 else parties[: chance.randint(1, 2)]:
            run = self.run_of(party, job_hash)
            match what:
                case "kill":
                    self.drivers[party] = self.driver(party)
                case "end":
                    self.end(party, job_hash)
                case _ if run is None:
                    if job_hash not in self.drivers[party]._entries or chance.random() < 0.02:
                        self.give(party, self.offers[job_hash])
                case "recall":
                    self.recall(party, job_hash, attempt)
                case "prove":
                    self.prove(party, job_hash, run)
                case _:
                    self.go_on(party, job_hash, run, chance)

    def end(self, party: str, job_hash: bytes) -> None:
        """Tell a party that a job is over."""
        ended = m.Ended(job_hash=job_hash, state=State.ABORTED)
        self.give(party, m.Frame(signed(people()[COORDINATOR], m.ENDED, ended), job_hash=job_hash))

    def recall(self, party: str, job_hash: bytes, attempt: int) -> None:
        """Ask a party to withdraw."""
        recall = m.Recall(job_hash=job_hash, round_index=0, attempt=attempt)
        self.give(party, m.Frame(signed(people()[COORDINATOR], m.RECALL, recall), (), job_hash, 0, attempt))

    def prove(self, party: str, job_hash: bytes, run: Run) -> None:
        """Show a party that its attempt was withdrawn, if so many have, or lie."""
        (open_sum, *_) = run._sums.values() or (None,)
        if open_sum is None:
            return
        setup = open_sum.setup
        said = self.have[job_hash, setup.attempt, "Withdrawal"]
        words = {party: frames[0].signed for party, frames in said.items()}
        for liar in self.liars:
            if liar in setup.parties:
                word = Withdrawal(setup_hash=setup.hash, party=liar)
                words[liar] = signed(people()[liar], Withdrawal.domain, word)
        if len(words) >= setup.withdrawals:
            self.reached["proof"] += 1
            self.give(party, self.bundle(job_hash, setup.attempt, [(words[one], ()) for one in sorted(words)]))

    def go_on(self, party: str, job_hash: bytes, run: Run, chance: random.Random) -> None:
        """Give a party a bundle that it would accept."""
        open_sum = run._sums.get(0)
        if open_sum is None:
            return
        state, setup = open_sum._state, open_sum.setup
        parts: list[tuple[m.Signed, tuple[bytes, ...]]] = []
        match open_sum.awaits.what:
            case "adverts":
                parts = self._adverts(party, setup, chance)
            case "shares":
                parts = self._shares(party, setup, state, chance)
            case "heads":
                parts = self._heads(setup, state, chance)
            case "consents" if not self.held.setdefault(setup.hash, chance.random() < 0.5):
                parts = self._consents(setup, state)
        if parts:
            self.give(party, self.bundle(job_hash, setup.attempt, parts))

    def _of(self, setup: Setup, kind: type, fits: object = None) -> dict[str, list[m.Frame]]:
        """What it has of a kind, for a setup, of those frames that fit."""
        found = self.have[setup.job_hash, setup.attempt, kind.__name__]
        chosen = {p: [f for f in found[p] if fits is None or fits(_value(f))] for p in setup.parties if p in found}
        return {party: frames for party, frames in chosen.items() if frames}

    def _some(self, among: list[str], least: int, chance: random.Random) -> list[str]:
        """At least so many of them, most often all."""
        size = len(among) if chance.random() < 0.6 else chance.randint(least, len(among))
        return sorted(chance.sample(among, size))

    def _adverts(self, party: str, setup: Setup, chance: random.Random) -> list[tuple[m.Signed, tuple[bytes, ...]]]:
        have = self._of(setup, Advert)
        key = ("adverts", setup.hash)
        if len(have) < setup.least:
            return []
        if key not in self.plans or chance.random() < 0.02:
            self.plans[key] = self._some(list(have), setup.least, chance)
        chosen = self.plans[key]
        return [(have[p][-1 if p == party or chance.random() < 0.97 else 0].signed, ()) for p in chosen if p in have]

    def _shares(
        self, party: str, setup: Setup, state: object, chance: random.Random
    ) -> list[tuple[m.Signed, tuple[bytes, ...]]]:
        adverts_hash, sides = state.adverts_hash, [side.party for side in state.sides]
        have = self._of(setup, Shares, lambda value: value.adverts_hash == adverts_hash)
        if len(have) < setup.least:
            return []
        key = ("shares", adverts_hash)
        if key not in self.plans or chance.random() < 0.05:
            self.plans[key] = self._some(list(have), setup.least, chance)
        parts = []
        for dealer in self.plans[key]:
            frame = have[dealer][-1]
            chunks: tuple[bytes, ...] = ()
            if dealer != party:
                place = [one for one in sides if one != dealer].index(party)
                leaves = [merkle.leaf_hash(box) for box in frame.parts]
                chunks = (frame.parts[place], *merkle.inclusion(leaves, place))
            parts.append((frame.signed, chunks))
        return parts

    def _heads(self, setup: Setup, state: object, chance: random.Random) -> list[tuple[m.Signed, tuple[bytes, ...]]]:
        binding = state.binding
        have = self._of(setup, Head, lambda v: (v.u2_hash, v.spec_hash) == (binding.u2_hash, binding.spec_hash))
        if len(have) < setup.least:
            return []
        key = ("heads", binding.u2_hash)
        if key not in self.plans or chance.random() < 0.2:
            size = chance.randint(setup.least, len(have))
            self.plans[key] = sorted(chance.sample(sorted(have), size))
        return [(have[one][-1].signed, ()) for one in self.plans[key]]

    def _consents(self, setup: Setup, state: object) -> list[tuple[m.Signed, tuple[bytes, ...]]]:
        known = state.known
        have = self._of(setup, Consent, lambda value: value.u3_hash == known.u3_hash)
        words = {party: frames[-1].signed for party, frames in have.items()}
        for liar in self.liars:
            if liar in known.masked.names:
                word = Consent(spec_hash=known.binding.spec_hash, u3_hash=known.u3_hash, party=liar)
                words[liar] = signed(people()[liar], Consent.domain, word)
        return [(words[one], ()) for one in sorted(words)] if len(words) >= setup.threshold else []


def _value(frame: m.Frame) -> object:
    return convert.BODIES[frame.signed.domain].decode(frame.signed.body)


def play(seed: int, moves: int, reached: Counter[str]) -> None:
    """Let the coordinator play. Raises Wrong."""
    chance = random.Random(seed)
    n = chance.choice((3, 4, 4, 4, 5))
    most = {3: 2, 4: 1, 5: 2}[n]
    theatre = Theatre(n, corrupt=chance.choice((0, most)))
    theatre.ask(theatre.names)
    for _ in range(chance.choice((1, 1, 2))):
        size = n if chance.random() < 0.7 else chance.randint(3, n)
        theatre.ask(tuple(sorted(chance.sample(theatre.names, size))))
    try:
        for _ in range(moves):
            theatre.move(chance)
    finally:
        reached.update(theatre.reached)
        reached["can be opened"] += len(theatre.tap.openings)
