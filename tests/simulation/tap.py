"""Who sees every line, and every total: what it knows must never be more than one honest opening of each query.

It judges what honest parties sent, whether or not it arrived: a frame that was lost may have been kept by somebody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from federation.domain.job import Job
from federation.jobs import sums
from federation.protocols.events import Release
from federation.protocols.masked_sum.messages import Consent, Head, Unmask
from federation.protocols.withdrawal import Withdrawal
from federation.query.round import Phase
from federation.wire import convert
from federation.wire import messages as m
from tests.simulation.people import digits, expected, people, query_of

Attempt = tuple[bytes, int, int]  # job, secure sum, attempt


class Wrong(AssertionError):
    """What must never be."""


@dataclass(frozen=True)
class Asked:
    """A job that was handed in."""

    job: Job
    rounds: int
    first: int


@dataclass
class Tap:
    """Everything that was ever sent or released.

    Attributes:
        asked: the jobs, by hash.
        openings: query -> the sets over which so many gave their shares that anybody could open it.
        released: (job, secure sum) -> member -> what it released.
        liars: who gives every share that it has to whoever asks.
    """

    support: bool
    liars: frozenset[str] = frozenset()
    asked: dict[bytes, Asked] = field(default_factory=dict)
    said: dict[tuple[str, str, Attempt], m.Frame] = field(default_factory=dict)
    lists: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    unmasked: dict[tuple[Attempt, bytes], set[str]] = field(default_factory=lambda: defaultdict(set))
    withdrawn: dict[Attempt, set[str]] = field(default_factory=lambda: defaultdict(set))
    openings: dict[tuple[int, Phase], set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    released: dict[tuple[bytes, int], dict[str, Release]] = field(default_factory=lambda: defaultdict(dict))

    def sent(self, party: str, cause: m.Frame, frames: Sequence[m.Frame]) -> None:
        """Judge what an honest party answered to `cause`. Raises Wrong."""
        for frame in frames:
            at = (frame.job_hash, frame.round_index, frame.attempt)
            domain = frame.signed.domain
            earlier = self.said.get((party, domain, at))
            if earlier is None:
                self.said[party, domain, at] = frame
                self._first(party, domain, at, cause, frame)
            elif earlier != frame and domain != m.OBJECTION:  # a job that is over may be offered again
                raise Wrong(f"{party} told two stories: two different {domain} of one attempt, {at[1:]}")

    def _first(self, party: str, domain: str, at: Attempt, cause: m.Frame, frame: m.Frame) -> None:
        if domain == Consent.domain:
            value = convert.BODIES[domain].decode(frame.signed.body)
            assert isinstance(value, Consent)
            self.lists.setdefault(value.u3_hash, _senders(cause))
        elif domain == Unmask.domain:
            share = convert.BODIES[domain].decode(frame.signed.body)
            assert isinstance(share, Unmask)
            if party in self.withdrawn.get(at, ()):
                raise Wrong(f"{party} withdrew attempt {at[1:]} and then gave shares that open it")
            self._opened(party, at, share.u3_hash)
        elif domain == Withdrawal.domain:
            self.withdrawn[at].add(party)
            if any(party in givers for (where, _), givers in self.unmasked.items() if where == at):
                raise Wrong(f"{party} gave shares that open attempt {at[1:]} and then withdrew it")

    def _opened(self, party: str, at: Attempt, u3_hash: bytes) -> None:
        job_hash, index, attempt = at
        asked, counted = self.asked[job_hash], self.lists[u3_hash]
        givers = self.unmasked[at, u3_hash]
        givers.add(party)
        setup = sums.setup(asked.job, job_hash, index=index, attempt=attempt, contributors=counted)
        if len(givers | self.liars.intersection(setup.parties)) < setup.threshold:
            return
        if len(counted) < max(setup.threshold, setup.least):
            raise Wrong(f"a sum of {len(counted)} can be opened, {setup.least} are the least")
        found = self.openings[query_of(asked.first, index, support=self.support)]
        found.add(counted)
        if len(found) > 1:
            sets = " and ".join(sorted(" ".join(one) for one in found))
            raise Wrong(f"one query can be opened over two sets: {sets}")

    def opened(self, member: str, job_hash: bytes, index: int, release: Release) -> None:
        """Judge a total that a member released. Raises Wrong."""
        asked = self.asked[job_hash]
        others = self.released[job_hash, index]
        if any((other.total, other.parties) != (release.total, release.parties) for other in others.values()):
            raise Wrong(f"{member} released another total of sum {index} than the others")
        if member in others:
            return
        others[member] = release
        counted = release.parties
        least = sums.setup(asked.job, job_hash, index=index, attempt=0, contributors=counted)
        if not set(counted) <= set(asked.job.parties) or len(counted) < max(least.threshold, least.least):
            raise Wrong(f"{member} released a sum of {' '.join(counted)}")
        numbers = release.numbers
        _, phase = query_of(asked.first, index, support=self.support)
        often = digits(numbers[1]) if phase is Phase.SUMS else {}
        if any(often[party] != int(party in counted) for party in often):
            raise Wrong(f"{member} released a sum of {' '.join(counted)} in which {often} are counted")
        if tuple(numbers) != expected(counted, asked.rounds, asked.first, support=self.support)[index]:
            raise Wrong(f"{member} released a wrong total of sum {index}")
        if index and self.released[job_hash, 0] and counted != next(iter(self.released[job_hash, 0].values())).parties:
            raise Wrong(f"{member} released sum {index} over another set than the first one")


def _senders(frame: m.Frame) -> tuple[str, ...]:
    """Whose heads a bundle carries."""
    bundle = convert.bundle_of(frame.signed.body)
    assert {message.domain for message in bundle.messages} == {Head.domain}
    names = {one.member.key_id: name for name, one in people().items()}
    return tuple(names[message.key_id] for message in bundle.messages)
