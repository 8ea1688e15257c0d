"""Bytes <-> values: the table of all signed bodies, envelopes and frames.

With its neighbours `publications`, `jobs` and `fields` the only place that parses foreign bytes. What is malformed
raises `Malformed`, whose text never quotes the bytes. Nothing past this room checks types again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from federation.domain.roster import Role
from federation.protocols.masked_sum.messages import Advert, Head
from federation.wire import messages as m
from federation.wire.fields import (
    HASH_BYTES,
    LONGEST_NAME,
    LONGEST_TEXT,
    Malformed,
    canonical,
    exactly,
    few,
    parsed,
    sayable,
    text,
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
from federation.wire.publications import publication_from, publication_to
from federation.wire.v1 import coordinator_service_pb2, job_pb2, secure_sum_pb2, signed_pb2

__all__ = [
    "BODIES",
    "LONGEST_TEXT",
    "Body",
    "Malformed",
    "blame_from",
    "blame_to",
    "bundle_of",
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


@dataclass(frozen=True, slots=True)
class Body:
    """How a signed body of one domain becomes a value.

    Attributes:
        role: whose signature it must carry.
        speaker: the field that must equal the signer's name, or "".
    """

    role: Role
    speaker: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], object]


# --- envelope ------------------------------------------------------------------------------------------------------


def signed_to(value: m.Signed) -> signed_pb2.Signed:
    """Return the protobuf envelope."""
    return signed_pb2.Signed(body=value.body, key_id=value.key_id, signature=value.signature, domain=value.domain)


def signed_from(message: signed_pb2.Signed) -> m.Signed:
    """Return the envelope's value; the signature is not checked here but in `envelope.attested`."""
    return m.Signed(message.body, message.key_id, message.signature, text(message.domain, "a domain tag", LONGEST_NAME))


def frame_to(value: m.Frame, *, blob: bytes = b"") -> signed_pb2.Frame:
    """Return the frame's message: with its parts, or with the id of the stream that they travel on."""
    frame = signed_pb2.Frame(signed=signed_to(value.signed), job_hash=value.job_hash, round_index=value.round_index)
    if blob:
        frame.blob, frame.blob_bytes = blob, sum(len(part) for part in value.parts)
    else:
        frame.parts.extend(value.parts)
    return frame


def frame_from(message: signed_pb2.Frame, parts: Sequence[bytes] | None = None) -> m.Frame:
    """Return the frame's value; `parts` are what arrived on a stream, if they did. Raises Malformed."""
    if not message.HasField("signed"):
        raise Malformed("a frame without a message")
    if message.job_hash:
        exactly(message.job_hash, HASH_BYTES, "a job hash")
    return m.Frame(
        signed_from(message.signed),
        tuple(message.parts if parts is None else parts),
        message.job_hash,
        message.round_index,
    )


def frame_bytes(value: m.Frame) -> bytes:
    """Return the frame as bytes, for a log."""
    return canonical(frame_to(value))


def frame_of(data: bytes) -> m.Frame:
    """Return the frame that `frame_bytes` wrote. Raises Malformed."""
    return frame_from(parsed(signed_pb2.Frame, data))


def signed_bytes(value: m.Signed) -> bytes:
    """Return the envelope as bytes, for a log."""
    return canonical(signed_to(value))


def signed_of(data: bytes) -> m.Signed:
    """Return the envelope that `signed_bytes` wrote. Raises Malformed."""
    return signed_from(parsed(signed_pb2.Signed, data))


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


# --- secure sums ---------------------------------------------------------------------------------------------------


def _advert_to(v: Advert) -> bytes:
    return canonical(secure_sum_pb2.Advert(party=v.party, setup_hash=v.setup_hash, mask_pk=v.mask_pk))


def _advert_from(body: bytes) -> Advert:
    a = parsed(secure_sum_pb2.Advert, body)
    return Advert(
        party=a.party,
        setup_hash=exactly(a.setup_hash, HASH_BYTES, "a setup hash"),
        mask_pk=exactly(a.mask_pk, 32, "a public key"),
    )


def _head_to(v: Head) -> bytes:
    return canonical(
        secure_sum_pb2.Head(
            party=v.party, spec_hash=v.spec_hash, u2_hash=v.u2_hash, chunk_root=v.chunk_root, length=v.length
        )
    )


def _head_from(body: bytes) -> Head:
    h = parsed(secure_sum_pb2.Head, body)
    return Head(
        party=h.party,
        spec_hash=exactly(h.spec_hash, HASH_BYTES, "a spec hash"),
        u2_hash=exactly(h.u2_hash, HASH_BYTES, "a u2 hash"),
        chunk_root=exactly(h.chunk_root, HASH_BYTES, "a chunk root"),
        length=h.length,
    )


def _bundle_to(v: m.Bundle) -> bytes:
    return canonical(
        secure_sum_pb2.Bundle(
            job_hash=v.job_hash,
            round_index=v.round_index,
            round_digest=v.round_digest,
            total_digest=v.total_digest,
            messages=[signed_to(s) for s in v.messages],
            chunk_counts=v.chunk_counts,
        )
    )


def bundle_of(body: bytes) -> m.Bundle:
    """Return the bundle that a body says, from the wire or from a store. Raises Malformed."""
    b = parsed(secure_sum_pb2.Bundle, body)
    if len(b.chunk_counts) != len(b.messages):
        raise Malformed("chunk counts that do not match the messages")
    return m.Bundle(
        job_hash=exactly(b.job_hash, HASH_BYTES, "a job hash"),
        round_index=b.round_index,
        round_digest=exactly(b.round_digest, HASH_BYTES, "a round digest"),
        total_digest=exactly(b.total_digest, HASH_BYTES, "a total's digest") if b.total_digest else b"",
        messages=tuple(signed_from(s) for s in few(b.messages, "messages", 100)),
        chunk_counts=tuple(b.chunk_counts),
    )


BODIES: dict[str, Body] = {
    m.HELLO: Body(Role.JURISDICTION, "party", _hello_to, _hello_from),
    m.PUBLICATION: Body(Role.JURISDICTION, "party", publication_to, publication_from),
    m.VERDICT: Body(Role.JURISDICTION, "party", verdict_to, verdict_from),
    Advert.domain: Body(Role.JURISDICTION, "party", _advert_to, _advert_from),
    Head.domain: Body(Role.JURISDICTION, "party", _head_to, _head_from),
    m.ATTESTATION: Body(Role.JURISDICTION, "party", _attestation_to, _attestation_from),
    m.OBJECTION: Body(Role.JURISDICTION, "party", _objection_to, _objection_from),
    m.JOB: Body(Role.RESEARCHER, "researcher", job_to, job_of),
    m.OFFER: Body(Role.COORDINATOR, "", _offer_to, _offer_from),
    m.BUNDLE: Body(Role.COORDINATOR, "", _bundle_to, bundle_of),
    m.ENDED: Body(Role.COORDINATOR, "", _ended_to, ended_of),
}
