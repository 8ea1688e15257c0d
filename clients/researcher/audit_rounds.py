"""What the audits of all secure sums share: which round the plan asks, between whom, and that messages are signed.

It follows the plan on what was proven: an audit feeds it the totals that it made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clients.researcher.findings import Findings
from federation.analytics.replay import Replay
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.roster import Roster
from federation.errors import JobFailed, ProtocolViolation
from federation.jobs import sums
from federation.protocols import bundles
from federation.protocols.events import Attested, Message, Parcel, Release
from federation.protocols.secure_sum import SecureSum
from federation.protocols.setup import Setup, Spec
from federation.wire import messages as m
from federation.wire.envelope import opened
from federation.wire.evidence import Contribution


class Rounds:
    """The rounds of one job, in order.

    Args:
        findings: where the lines go.
        roster: whose signatures count.
        replay: the job's plan.
        joint: what all parties publish.
        protocol: the job's secure sum.
    """

    def __init__(
        self,
        findings: Findings,
        roster: Roster,
        job: Job,
        job_hash: bytes,
        *,
        replay: Replay,
        joint: Dataset,
        protocol: type[SecureSum],
    ) -> None:
        self.findings = findings
        self._roster, self._job, self._job_hash = roster, job, job_hash
        self._replay, self._joint, self._protocol = replay, joint, protocol
        self._before: Setup | None = None

    @property
    def index(self) -> int:
        """Number of the sum that is due."""
        return self._replay.rounds_fed

    def specified(self, attempt: int, withdrawals: Iterable[m.Signed]) -> Spec:
        """Return what is summed in the attempt that was opened, after seeing that no earlier one ever can be.

        Raises:
            ProtocolViolation: the plan asks no further sum, or another attempt was due.
        """
        due = self._replay.round
        if due is None:
            raise self.findings.lie(f"{self.index} secure sums, as the plan asks", "one more")
        setup = self._setup(attempt, list(self.parcels(withdrawals)))
        spec = sums.spec(setup, due, self._joint, self._replay.transcript)
        queries, numbers = counted(len(due.queries), "query", "queries"), counted(spec.length, "number")
        self.findings.proven(f"the plan asks {queries} ({due.phase}), {numbers}; spec {spec.hash.hex()[:12]}")
        return spec

    def feed(self, release: Release) -> None:
        """Go on to the next round by a total that was proven. Raises ProtocolViolation for one that nobody can have."""
        try:
            self._replay.feed(release.numbers, release.parties)
        except ProtocolViolation as fault:
            whose = f"one of {', '.join(release.parties)}"  # a sum does not tell whose number was wrong
            raise self.findings.broken_by(whose, fault.expected, fault.got) from None
        except JobFailed as fault:
            raise self.findings.lie("no more sums than the job allows", fault.message) from None

    def numbered(self, numbers: Mapping[str, int]) -> None:
        """Tell how many answers each party says that it has given: what a rolled back memory is found by."""
        if any(numbers.values()):
            said = ", ".join(f"{party} {number}" for party, number in numbers.items())
            self.findings.stated(f"how many sums they have answered in all: {said}", *numbers)

    def _setup(self, attempt: int, words: list[Parcel]) -> Setup:
        findings, contributors = self.findings, self._replay.contributors
        first = 0 if self._before is None else sums.first_attempt(self._before.parties, contributors)
        if not first <= attempt <= first + len(words):  # also bounds the loop below
            raise findings.lie("an attempt that follows on withdrawn ones", "another number")

        def setup_of(attempt: int) -> Setup:
            return sums.setup(self._job, self._job_hash, index=self.index, attempt=attempt, contributors=contributors)

        for before in range(first, attempt):
            earlier = setup_of(before)
            mine = [parcel for parcel in words if getattr(parcel.message.value, "setup_hash", b"") == earlier.hash]
            words = [parcel for parcel in words if parcel not in mine]
            found = bundles.one_each(earlier, mine, findings.relay, "withdrawals", earlier.withdrawals)
            for parcel in mine:
                self._protocol.check_withdrawal(earlier, parcel, findings.relay)
            findings.proven(f"attempt {before} can never be opened: enough parties withdrew it", *found)
        if words:
            raise findings.lie("withdrawals of the attempts before this one", "others")
        self._before = setup = setup_of(attempt)
        n, t, c = len(setup.parties), setup.threshold, setup.colluders
        findings.proven(
            f"attempt {attempt} of {n} parties, at least {setup.least} of them counted; {t} shares open; c = {c}; "
            f"setup {setup.hash.hex()[:12]}"
        )
        return setup

    # --- messages ---------------------------------------------------------------------------------------------------

    def parcels(self, envelopes: Iterable[m.Signed]) -> tuple[Parcel, ...]:
        """Return messages of the protocol, every signature verified. Raises ProtocolViolation."""
        return tuple(Parcel(message=self.attested(envelope)) for envelope in envelopes)

    def contributions(self, given: Iterable[Contribution]) -> tuple[Parcel, ...]:
        """Return messages with their chunks, likewise."""
        return tuple(Parcel(message=self.attested(one.head), chunks=one.chunks) for one in given)

    def attested(self, envelope: m.Signed) -> Attested[Message]:
        """Return one message, likewise."""
        read = opened(envelope, self._roster, relay=self.findings.relay)
        if not isinstance(read.value, self._protocol.messages):
            raise self.findings.lie("messages of the job's protocol", "another message")
        return Attested(sender=read.sender, value=read.value, digest=read.digest)


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number and its word: 1 query, 2 queries."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
