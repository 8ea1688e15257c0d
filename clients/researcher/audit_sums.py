"""The audit of one opened masked sum: from the parties' keys to its total, or to one chunk of it alone."""

from __future__ import annotations

from clients.researcher.audit_rounds import Rounds, counted
from clients.researcher.findings import Chunk
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import RINGS
from federation.protocols.events import Parcel
from federation.protocols.masked_sum import auditing
from federation.protocols.masked_sum.checking import Known
from federation.protocols.masked_sum.messages import Opening
from federation.protocols.masked_sum.opening import Secrets
from federation.wire.evidence import OpenedSum


class SumAudit:
    """Audits the masked sums of one job, in order.

    Args:
        rounds: the job's; they go on by what is proven.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds, self._findings = rounds, rounds.findings

    def whole(self, of: OpenedSum) -> None:
        """Prove the next sum and feed the plan its total. Raises ProtocolViolation."""
        index, relay = self._rounds.index, self._findings.relay
        known, said, secrets, heads = self._opened(index, of)
        self._findings.at(f"round {index}: vectors")
        auditing.rooted(known, heads, relay)
        chunks = counted(len(known.spec.chunks), "chunk")
        self._findings.proven(f"{chunks} each, under the roots that their owners signed", *known.counted)
        self._rounds.numbered({party: head.number for party, head in zip(known.counted, known.heads, strict=True)})
        self._findings.at(f"round {index}: total")
        release = auditing.recomputed(known, said, secrets, heads, relay)
        auditing.leaves(known, said, of.total_leaves, relay)
        self._rounds.feed(release)
        numbers, root = counted(known.spec.length, "number"), said.total_root.hex()[:12]
        self._findings.proven(f"{numbers} under root {root}: the sum of these vectors without masks", relay)

    def chunk(self, of: OpenedSum, place: int) -> Chunk:
        """Prove the next sum up to its opening, then add up one chunk of it from itself and its paths.

        Raises:
            Misuse: there is no such chunk.
            ProtocolViolation: the chain to it does not hold; that the chunk is another one is what is returned.
        """
        index, relay = self._rounds.index, self._findings.relay
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
            digest=chunk_hash(words),
            total_root=said.total_root,
            equal=equal,
        )

    def _opened(self, index: int, of: OpenedSum) -> tuple[Known, Opening, Secrets, tuple[Parcel, ...]]:
        """Follow the chain from the setup to the opened secrets; return them, and the heads with their vectors."""
        rounds, findings, relay = self._rounds, self._findings, self._findings.relay
        findings.at(f"round {index}: setup")
        spec = rounds.specified(of.attempt, of.withdrawals)
        setup = spec.setup
        findings.at(f"round {index}: keys")
        keys = auditing.advertised(setup, rounds.parcels(of.adverts), relay)
        findings.proven("sound keys of their own, for this setup", *keys.sides)
        findings.at(f"round {index}: shares")
        masked, u2_hash = auditing.dealt(setup, keys, rounds.parcels(of.shares), relay)
        findings.proven("each fixed the seed of its own mask before anything was masked", *masked.names)
        findings.at(f"round {index}: contributors")
        heads = rounds.contributions(of.contributions)
        known = auditing.counted(spec, keys, masked, u2_hash, heads, relay)
        findings.proven("masked vectors for this round of the plan, after the totals before it", *known.counted)
        if lost := [party for party in setup.parties if party not in known.counted]:
            findings.stated(f"no vector of {', '.join(lost)} came in time", relay)
        findings.at(f"round {index}: consents")
        agreeing = auditing.consented(known, rounds.parcels(of.consents), relay)
        many = f"{len(agreeing)} of {len(masked.names)}"
        findings.proven(f"{many} agree to exactly this list; {setup.threshold} make it the only one", *agreeing)
        findings.at(f"round {index}: opening")
        said, secrets = auditing.opened(known, rounds.attested(of.opening), relay)
        lost_keys = f", {counted(len(said.keys), 'key')} of those who were lost as announced" if said.keys else ""
        findings.proven(f"{counted(len(said.seeds), 'seed')} as they were fixed{lost_keys}", relay)
        return known, said, secrets, heads
