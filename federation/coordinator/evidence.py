"""The evidence of a job that has ended, made again from its events: no store keeps it twice.

A run that is folded from the events says which of the received messages were accepted, in which attempt, and signs the
same opening again, byte for byte. What a party was sent is where they are taken from, so that nothing is in the file
that a party did not see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from federation.coordinator.run import Run
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import Chunk
from federation.domain.roster import Roster
from federation.protocols.events import Release
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Opening, Shares
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.withdrawal import Withdrawal
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import attested, opened
from federation.wire.evidence import Contribution, Evidence, KeyedSum, OpenedSum


def gathered(run: Run, events: Sequence[tuple[str, bytes]], roster: Roster) -> Evidence:
    """Return the evidence of an ended job; it touches nothing but its arguments, so another thread may do it.

    Args:
        run: of the job, new; it is folded here.
        events: all of the store.
        roster: whose signatures count.
    """
    offer = run.outstanding(run.job.parties[0])[0].frame.signed
    sums: list[OpenedSum | KeyedSum] = []
    said: dict[str, dict[str, m.Signed]] = {m.VERDICT: {}, m.OBJECTION: {}}
    for kind, payload in events:
        if kind == "ended":
            run.end(convert.ended_of(payload))
        elif kind == "late":
            run.go_on()
        elif kind == "frame":
            frame = convert.frame_of(payload)
            message = opened(frame.signed, roster, relay="the store")
            if frame.signed.domain in said:
                said[frame.signed.domain].setdefault(message.sender, frame.signed)
            run.receive(message, frame)
        if len(run.totals) > len(sums) and not run.life.state.ended:
            sums.append(_sum(run, len(sums), run.totals[-1]))
    (ended,) = run.outstanding(run.job.parties[0])
    return Evidence(
        job=run.signed_job,
        publications=attested(offer, roster, domain=m.OFFER, kind=m.Offer, relay="the store").value.publications,
        certificate=() if run.key is None else run.key.signatures,
        verdicts=tuple(said[m.VERDICT].values()),
        sums=tuple(sums),
        attestations=tuple(run.attestations),
        objections=tuple(said[m.OBJECTION].values()),
        ended=ended.frame.signed,
    )


def _sum(run: Run, index: int, total: Release) -> OpenedSum | KeyedSum:
    """Return the sum that was just opened, from what one of those who are counted was sent of it."""
    said: dict[str, dict[m.Signed, tuple[bytes, ...]]] = {}
    attempt = 0
    for outgoing in run.outstanding(total.parties[0]):
        if outgoing.frame.signed.domain != m.BUNDLE or outgoing.frame.round_index != index:
            continue
        bundle = convert.bundle_of(outgoing.frame.signed.body)
        attempt = max(attempt, bundle.attempt)
        for envelope, chunks in _unbundled(bundle, outgoing.frame.parts):
            said.setdefault(envelope.domain, {})[envelope] = chunks  # heads come twice, the second time with chunks
    withdrawals = tuple(said.get(Withdrawal.domain, ()))
    if run.key is not None:
        return KeyedSum(
            attempt=attempt,
            withdrawals=withdrawals,
            readies=tuple(said[Ready.domain]),
            ciphers=_contributions(said[Cipher.domain]),
            partials=_contributions(said[Partial.domain]),
        )
    (opening,) = said[Opening.domain]
    return OpenedSum(
        attempt=attempt,
        total_leaves=tuple(map(chunk_hash, total.chunks)),
        withdrawals=withdrawals,
        adverts=tuple(said[Advert.domain]),
        shares=tuple(said[Shares.domain]),
        contributions=_contributions(said[Head.domain]),
        consents=tuple(said[Consent.domain]),
        opening=opening,
    )


def _contributions(said: Mapping[m.Signed, tuple[bytes, ...]]) -> tuple[Contribution, ...]:
    return tuple(Contribution(head=head, chunks=chunks) for head, chunks in said.items())


def _unbundled(bundle: m.Bundle, parts: Sequence[Chunk]) -> Iterable[tuple[m.Signed, tuple[bytes, ...]]]:
    start = 0
    for envelope, count in zip(bundle.messages, bundle.chunk_counts, strict=True):
        yield envelope, tuple(map(bytes, parts[start : start + count]))
        start += count
