"""The audit of one opened sum under a joint key: from everybody's ciphertexts to the figures, all computed again.

Nothing is taken on anybody's word: each proof shows that a party made its ciphertexts for this very sum, and that a
holder answered with its share of the key; the product and the total follow from them.
"""

from __future__ import annotations

from clients.researcher.audit_rounds import Rounds, counted
from federation.crypto.paillier.threshold import JointKey
from federation.protocols import bundles
from federation.protocols.events import Parcel
from federation.protocols.paillier_sum import auditing, checks
from federation.protocols.paillier_sum.messages import Cipher
from federation.protocols.setup import Setup
from federation.wire.evidence import KeyedSum


class KeyedAudit:
    """Audits the sums of one job under its joint key, in order.

    Args:
        rounds: the job's; they go on by what is proven.
        joint: the key that the job names.
    """

    def __init__(self, rounds: Rounds, joint: JointKey) -> None:
        self._rounds, self._findings = rounds, rounds.findings
        self._joint = joint.to_bytes()

    def whole(self, of: KeyedSum) -> None:
        """Prove the next sum and feed the plan its total. Raises ProtocolViolation."""
        rounds, findings, relay = self._rounds, self._findings, self._findings.relay
        index = rounds.index
        findings.at(f"round {index}: setup")
        spec = rounds.specified(of.attempt, of.withdrawals)
        parties = spec.setup.parties
        findings.at(f"round {index}: readies")
        self._present(spec.setup, rounds.parcels(of.readies))
        findings.proven("took part with their shares of this key", *parties)
        findings.at(f"round {index}: ciphertexts")
        ciphers = rounds.contributions(of.ciphers)
        sums = auditing.collected(spec, self._joint, ciphers, relay)
        each = counted(len(sums.product), "ciphertext")
        findings.proven(f"{each} each, and a proof that its sender knows what is in it, for this sum alone", *parties)
        values = [parcel.message.value for parcel in ciphers]
        rounds.numbered({value.party: value.number for value in values if isinstance(value, Cipher)})
        findings.at(f"round {index}: product")
        findings.proven(f"set {sums.set_hash.hex()[:12]}: everybody's ciphertexts, multiplied here")
        findings.at(f"round {index}: answers")
        release = auditing.opened(sums, rounds.contributions(of.partials), relay)
        findings.proven("each answered for this product, with a proof that it used its share", *parties)
        findings.at(f"round {index}: total")
        rounds.feed(release)
        findings.proven(f"{counted(spec.length, 'number')}: what these answers open")

    def _present(self, setup: Setup, readies: tuple[Parcel, ...]) -> None:
        relay, setup_hash = self._findings.relay, setup.hash
        for parcel in bundles.one_each(setup, readies, relay, "readies", setup.least).values():
            checks.ready(setup, setup_hash, parcel, relay)
