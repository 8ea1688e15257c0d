"""Bytes <-> values: the table of all signed bodies.

With its neighbours, one for each kind of message, the only place that parses foreign bytes. What is malformed raises
`Malformed`, whose text never quotes the bytes. Nothing past this room checks types again.
"""

from __future__ import annotations

from federation.domain.roster import Role
from federation.wire import messages as m
from federation.wire.ciphers import CIPHERS
from federation.wire.fields import (
    HASH_BYTES,
    LONGEST_NAME,
    LONGEST_TEXT,
    Body,
    Malformed,
    canonical,
    exactly,
    few,
    parsed,
    sayable,
    text,
)
from federation.wire.frames import (
    frame_bytes,
    frame_from,
    frame_of,
    frame_to,
    signed_bytes,
    signed_from,
    signed_of,
    signed_to,
)
from federation.wire.jobs import (
    STATES,
    blame_from,
    blame_to,
    job_of,
    job_to,
    log_line_bytes,
    log_line_of,
    state_from,
    state_to,
    verdict_from,
    verdict_to,
)
from federation.wire.keys import KEYS
from federation.wire.plain import PLAIN
from federation.wire.publications import publication_from, publication_to
from federation.wire.sums import SUMS, bundle_of, contributors_from, contributors_to
from federation.wire.v1 import coordinator_service_pb2, job_pb2

__all__ = [
    "BODIES",
    "LONGEST_TEXT",
    "Body",
    "Malformed",
    "blame_from",
    "blame_to",
    "bundle_of",
    "contributors_from",
    "contributors_to",
    "ended_of",
    "frame_bytes",
    "frame_from",
    "frame_of",
    "frame_to",
    "job_of",
    "log_line_bytes",
    "log_line_of",
    "sayable",
    "signed_bytes",
    "signed_from",
    "signed_of",
    "signed_to",
    "state_from",
    "state_to",
]


# --- control stream ------------------------------------------------------------------------------------------------


def _hello_to(v: m.Hello) -> bytes:
    return canonical(
        coordinator_service_pb2.Hello(
            party=v.party,
            roster_hash=v.roster_hash,
            software=v.software,
            publications=[signed_to(s) for s in v.publications],
            open_jobs=v.open_jobs,
        )
    )


def _hello_from(body: bytes) -> m.Hello:
    h = parsed(coordinator_service_pb2.Hello, body)
    return m.Hello(
        party=h.party,
        roster_hash=exactly(h.roster_hash, HASH_BYTES, "a roster hash"),
        software=text(h.software, "a version", LONGEST_NAME),
        publications=tuple(signed_from(s) for s in few(h.publications, "publications", 1000)),
        open_jobs=tuple(exactly(j, HASH_BYTES, "a job hash") for j in few(h.open_jobs, "open jobs")),
    )


def _offer_to(v: m.Offer) -> bytes:
    return canonical(job_pb2.Offer(job=signed_to(v.job), publications=[signed_to(s) for s in v.publications]))


def _offer_from(body: bytes) -> m.Offer:
    o = parsed(job_pb2.Offer, body)
    if not o.HasField("job"):
        raise Malformed("an offer without a job")
    return m.Offer(
        job=signed_from(o.job), publications=tuple(signed_from(s) for s in few(o.publications, "publications", 100))
    )


def _attestation_to(v: m.Attestation) -> bytes:
    return canonical(job_pb2.Attestation(party=v.party, job_hash=v.job_hash, transcript=v.transcript))


def _attestation_from(body: bytes) -> m.Attestation:
    a = parsed(job_pb2.Attestation, body)
    return m.Attestation(
        party=a.party,
        job_hash=exactly(a.job_hash, HASH_BYTES, "a job hash"),
        transcript=exactly(a.transcript, HASH_BYTES, "a transcript hash"),
    )


def _objection_to(v: m.Objection) -> bytes:
    b = v.blame
    return canonical(
        job_pb2.Objection(
            party=v.party,
            job_hash=v.job_hash,
            accused=b.party,
            code=b.code,
            message=b.message,
            hint=b.hint,
            rule=b.rule,
        )
    )


def _objection_from(body: bytes) -> m.Objection:
    o = parsed(job_pb2.Objection, body)
    return m.Objection(
        party=o.party,
        job_hash=exactly(o.job_hash, HASH_BYTES, "a job hash"),
        blame=blame_from(job_pb2.Blame(party=o.accused, code=o.code, message=o.message, hint=o.hint, rule=o.rule)),
    )


def _ended_to(v: m.Ended) -> bytes:
    blames = [blame_to(blame) for blame in v.blames]
    return canonical(job_pb2.Ended(job_hash=v.job_hash, state=STATES[v.state], blames=blames, rounds=v.rounds))


def ended_of(body: bytes) -> m.Ended:
    """Return the end that a body says, from the wire or from a store. Raises Malformed."""
    e = parsed(job_pb2.Ended, body)
    return m.Ended(
        job_hash=exactly(e.job_hash, HASH_BYTES, "a job hash"),
        state=state_from(e.state),
        blames=tuple(blame_from(b) for b in few(e.blames, "blames", 1000)),
        rounds=e.rounds,
    )


BODIES: dict[str, Body] = {
    m.HELLO: Body(Role.JURISDICTION, "party", _hello_to, _hello_from),
    m.PUBLICATION: Body(Role.JURISDICTION, "party", publication_to, publication_from),
    m.VERDICT: Body(Role.JURISDICTION, "party", verdict_to, verdict_from),
    m.ATTESTATION: Body(Role.JURISDICTION, "party", _attestation_to, _attestation_from),
    m.OBJECTION: Body(Role.JURISDICTION, "party", _objection_to, _objection_from),
    m.JOB: Body(Role.RESEARCHER, "researcher", job_to, job_of),
    m.OFFER: Body(Role.COORDINATOR, "", _offer_to, _offer_from),
    m.ENDED: Body(Role.COORDINATOR, "", _ended_to, ended_of),
    **SUMS,
    **CIPHERS,
    **PLAIN,
    **KEYS,
}
