"""The audit of one opened secure sum: from the parties' keys to its total, or to one chunk of it alone."""

from __future__ import annotations

from collections.abc import Iterable

from clients.researcher.findings import Chunk, Findings
from federation.analytics.replay import Replay
from federation.crypto.ring import RINGS
from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.roster import Roster
from federation.errors import JobFailed, ProtocolViolation
from federation.jobs import sums
from federation.ledger import merkle
from federation.protocols import bundles
from federation.protocols.events import Attested, Message, Parcel, Release
from federation.protocols.masked_sum import MaskedSum, auditing
from federation.protocols.masked_sum.checking import Known
from federation.protocols.masked_sum.messages import Opening
from federation.protocols.masked_sum.opening import Secrets
from federation.protocols.setup import Setup, Spec
from federation.query.round import Round
from federation.wire import messages as m
from federation.wire.envelope import opened
from federation.wire.evidence import OpenedSum


class SumAudit:
    """Audits the sums of one job, in order.

    Args:
        findings: where the lines go.
        roster: whose signatures count.
        replay: the job's plan; it is fed what is proven.
        joint: what all parties publish.
    """

    def __init__(
        self, findings: Findings, roster: Roster, job: Job, job_hash: bytes, replay: Replay, joint: Dataset
    ) -> None:
        self._findings, self._roster = findings, roster
        self._job, self._job_hash, self._replay, self._joint = job, job_hash, replay, joint
        self._before: Setup | None = None

    def whole(self, of: OpenedSum) -> None:
        """Prove the next sum and feed the plan its total. Raises ProtocolViolation."""
        index, relay = self._replay.rounds_fed, self._findings.relay
        known, said, secrets, heads = self._opened(index, of)
        self._findings.at(f"round {index}: vectors")
        auditing.rooted(known, heads, relay)
        chunks = _count(len(known.spec.chunks), "chunk")
        self._findings.proven(f"{chunks} each, under the roots that their owners signed", *known.counted)
        self._numbered(known)
        self._findings.at(f"round {index}: total")
        release = auditing.recomputed(known, said, secrets, heads, relay)
        auditing.leaves(known, said, of.total_leaves, relay)
        self._fed(release)
        numbers, root = _count(known.spec.length, "number"), said.total_root.hex()[:12]
        self._findings.proven(f"{numbers} under root {root}: the sum of these vectors without masks", relay)

    def chunk(self, of: OpenedSum, place: int) -> Chunk:
        """Prove the next sum up to its opening, then add up one chunk of it from itself and its paths.

        Raises:
            Misuse: there is no such chunk.
            ProtocolViolation: the chain to it does not hold; that the chunk is another one is what is returned.
        """
        index, relay = self._replay.rounds_fed, self._findings.relay
        known, said, secrets, heads = self._opened(index, of)
        self._findings.at(f"round {index}: chunk {place}")
        auditing.leaves(known, said, of.total_leaves, relay)
        proof = auditing.chunk_proof(known, heads, of.total_leaves, place, relay)
        words, equal = auditing.chunk_sum(known, said, secrets, proof, relay)
        return Chunk(
            round_index=index,
            place=place,
            count=len(known.spec.chunks),
            numbers=len(words) // RINGS[known.spec.ring].element_bytes,
            roots=tuple((party, head.chunk_root) for party, head in zip(known.counted, known.heads, strict=True)),
            digest=merkle.leaf_hash(words),
            total_root=said.total_root,
            equal=equal,
        )

    def _opened(self, index: int, of: OpenedSum) -> tuple[Known, Opening, Secrets, tuple[Parcel, ...]]:
        """Follow the chain from the setup to the opened secrets; return them, and the heads with their vectors."""
        findings, relay = self._findings, self._findings.relay
        findings.at(f"round {index}: setup")
        due = self._replay.round
        if due is None:
            raise findings.lie(f"{index} secure sums, as the plan asks", "one more")
        setup = self._setup(index, of)
        spec = self._spec(setup, due)
        findings.at(f"round {index}: keys")
        keys = auditing.advertised(setup, self._parcels(of.adverts), relay)
        findings.proven("sound keys of their own, for this setup", *keys.sides)
        findings.at(f"round {index}: shares")
        masked, u2_hash = auditing.dealt(setup, keys, self._parcels(of.shares), relay)
        findings.proven("each fixed the seed of its own mask before anything was masked", *masked.names)
        findings.at(f"round {index}: contributors")
        heads = tuple(Parcel(message=self._attested(one.head), chunks=one.chunks) for one in of.contributions)
        known = auditing.counted(spec, keys, masked, u2_hash, heads, relay)
        findings.proven("masked vectors for this round of the plan, after the totals before it", *known.counted)
        if lost := [party for party in setup.parties if party not in known.counted]:
            findings.stated(f"no vector of {', '.join(lost)} came in time", relay)
        findings.at(f"round {index}: consents")
        agreeing = auditing.consented(known, self._parcels(of.consents), relay)
        many = f"{len(agreeing)} of {len(masked.names)}"
        findings.proven(f"{many} agree to exactly this list; {setup.threshold} make it the only one", *agreeing)
        findings.at(f"round {index}: opening")
        said, secrets = auditing.opened(known, self._attested(of.opening), relay)
        lost_keys = f", {_count(len(said.keys), 'key')} of those who were lost as announced" if said.keys else ""
        findings.proven(f"{_count(len(said.seeds), 'seed')} as they were fixed{lost_keys}", relay)
        return known, said, secrets, heads

    def _setup(self, index: int, of: OpenedSum) -> Setup:
        """Return the setup of the attempt that was opened, after seeing that no earlier one ever can be."""
        findings, contributors = self._findings, self._replay.contributors
        first = 0 if self._before is None else sums.first_attempt(self._before.parties, contributors)
        if not first <= of.attempt <= first + len(of.withdrawals):  # also bounds the loop below
            raise findings.lie("an attempt that follows on withdrawn ones", "another number")

        def setup_of(attempt: int) -> Setup:
            return sums.setup(self._job, self._job_hash, index=index, attempt=attempt, contributors=contributors)

        words = list(self._parcels(of.withdrawals))
        for attempt in range(first, of.attempt):
            earlier = setup_of(attempt)
            mine = [parcel for parcel in words if getattr(parcel.message.value, "setup_hash", b"") == earlier.hash]
            words = [parcel for parcel in words if parcel not in mine]
            found = bundles.one_each(earlier, mine, findings.relay, "withdrawals", earlier.withdrawals)
            for parcel in mine:
                MaskedSum.check_withdrawal(earlier, parcel, findings.relay)
            findings.proven(f"attempt {attempt} can never be opened: enough parties withdrew it", *found)
        if words:
            raise findings.lie("withdrawals of the attempts before this one", "others")
        self._before = setup = setup_of(of.attempt)
        n, t, c = len(setup.parties), setup.threshold, setup.colluders
        findings.proven(
            f"attempt {of.attempt} of {n} parties, at least {setup.least} of them counted; {t} shares open; c = {c}; "
            f"setup {setup.hash.hex()[:12]}"
        )
        return setup

    def _spec(self, setup: Setup, due: Round) -> Spec:
        spec = sums.spec(setup, due, self._joint, self._replay.transcript)
        queries, numbers = _count(len(due.queries), "query", "queries"), _count(spec.length, "number")
        self._findings.proven(f"the plan asks {queries} ({due.phase}), {numbers}; spec {spec.hash.hex()[:12]}")
        return spec

    def _fed(self, release: Release) -> None:
        try:
            self._replay.feed(release.numbers, release.parties)
        except ProtocolViolation as fault:
            whose = f"one of {', '.join(release.parties)}"  # a sum does not tell whose number was wrong
            raise self._findings.broken_by(whose, fault.expected, fault.got) from None
        except JobFailed as fault:
            raise self._findings.lie("no more sums than the job allows", fault.message) from None

    def _numbered(self, known: Known) -> None:
        """Tell how many answers each party says that it has given: what a rolled back memory is found by."""
        numbers = {party: head.number for party, head in zip(known.counted, known.heads, strict=True)}
        if any(numbers.values()):
            said = ", ".join(f"{party} {number}" for party, number in numbers.items())
            self._findings.stated(f"how many sums they have answered in all: {said}", *known.counted)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _parcels(self, envelopes: Iterable[m.Signed]) -> tuple[Parcel, ...]:
        """Return messages of the protocol, every signature verified. Raises ProtocolViolation."""
        return tuple(Parcel(message=self._attested(envelope)) for envelope in envelopes)

    def _attested(self, envelope: m.Signed) -> Attested[Message]:
        read = opened(envelope, self._roster, relay=self._findings.relay)
        if not isinstance(read.value, MaskedSum.messages):
            raise self._findings.lie("messages of the job's protocol", "another message")
        return Attested(sender=read.sender, value=read.value, digest=read.digest)


def _count(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
