"""What a transport hands to a session, made from signed messages: nothing unsigned gets through.

Shared by the transport over gRPC and the one inside this process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from federation.crypto import ring
from federation.domain.catalogue import Dataset
from federation.domain.job import Job, PartyProgress, Released, Summary, Update
from federation.domain.roster import Role, Roster
from federation.errors import ProtocolViolation
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import Certified, certified
from federation.wire.envelope import attested
from federation.wire.v1 import coordinator_service_pb2 as pb


def coordinator_of(roster: Roster) -> str:
    """Return the name of the one coordinator."""
    return roster.with_role(Role.COORDINATOR)[0].name


def publications_in(envelopes: Iterable[m.Signed], roster: Roster) -> Mapping[str, Mapping[str, tuple[Dataset, bytes]]]:
    """Return data set -> party -> (publication, digest of its signed bytes).

    Raises:
        ProtocolViolation: a publication is not signed by the jurisdiction that it names.
    """
    found: dict[str, dict[str, tuple[Dataset, bytes]]] = {}
    for envelope in envelopes:
        read = attested(envelope, roster, domain=m.PUBLICATION, kind=m.Publication, relay=coordinator_of(roster))
        found.setdefault(read.value.dataset.name, {})[read.sender] = (read.value.dataset, read.digest)
    return found


def joint_keys_in(keys: Iterable[Iterable[m.Signed]], roster: Roster) -> tuple[Certified, ...]:
    """Return the joint keys that these signatures are under.

    Raises:
        ProtocolViolation: a key that not all its holders signed.
    """
    return tuple(_certified(tuple(signatures), roster) for signatures in keys)


@lru_cache(maxsize=32)  # a pure function, asked with every job: 30 ms a key of 3072 bits
def _certified(signatures: tuple[m.Signed, ...], roster: Roster) -> Certified:
    return certified(signatures, roster, relay=coordinator_of(roster))


def released_in(
    job_hash: bytes,
    totals: Sequence[bytes],
    contributors: Sequence[tuple[str, ...]],
    attestations: Iterable[m.Signed],
    roster: Roster,
) -> Released:
    """Return what a job opened and who signed for it.

    Raises:
        ProtocolViolation: an attestation is not signed by the party that it names, is for another job, or two parties
            signed different transcripts.
    """
    relay = coordinator_of(roster)
    signed = [attested(a, roster, domain=m.ATTESTATION, kind=m.Attestation, relay=relay) for a in attestations]
    transcripts = {a.value.transcript for a in signed}
    if any(a.value.job_hash != job_hash for a in signed) or len(transcripts) > 1:
        raise ProtocolViolation(relay, phase="release", expected="attestations of this job", got="others")
    if any(len(total) % ring.ELEMENT_BYTES for total in totals):
        raise ProtocolViolation(relay, phase="release", expected="totals of 16-byte numbers", got="another length")
    if len(contributors) != len(totals):
        raise ProtocolViolation(relay, phase="release", expected="the contributors of every total", got="others")
    return Released(
        job_hash=job_hash,
        contributors=tuple(contributors),
        totals=tuple(tuple(ring.to_ints(ring.from_bytes(total))) for total in totals),
        transcript=transcripts.pop() if transcripts else b"",
        attested_by=tuple(a.sender for a in signed),
    )


def summary_in(message: pb.JobSummary, roster: Roster) -> Summary:
    """Return one job of a list; its signature is verified.

    Raises:
        ProtocolViolation: the job is not signed by the researcher that it names, or has another hash.
    """
    relay = coordinator_of(roster)
    read = attested(convert.signed_from(message.job), roster, domain=m.JOB, kind=Job, relay=relay)
    if read.digest != message.job_hash:
        raise ProtocolViolation(relay, phase="list of jobs", expected="the job of this hash", got="another job")
    return Summary(
        job_hash=message.job_hash,
        job=read.value,
        state=convert.state_from(message.state),
        round_index=message.round_index,
        submitted_ms=message.submitted_ms,
        blames=tuple(convert.blame_from(blame) for blame in message.blames),
    )


def update_in(response: pb.WatchResponse) -> Update:
    """Return a line of a job's life. Raises Malformed."""
    return Update(
        job_hash=response.job_hash,
        state=convert.state_from(response.state),
        round_index=response.round_index,
        parties=tuple(
            PartyProgress(
                party=p.party, step=p.step, connected=p.connected, sent_bytes=p.sent_bytes, heard_ms=p.heard_ms
            )
            for p in response.parties
        ),
        blames=tuple(convert.blame_from(blame) for blame in response.blames),
    )
