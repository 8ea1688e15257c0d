"""Bytes <-> values: the only place that parses foreign bytes.

A body that does not parse, carries unknown fields, is not in the one canonical serialisation, leaves a required field
out or exceeds a limit raises `Malformed`, whose text never quotes the bytes. Nothing past this room checks types again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.domain.job import Blame, Computation, Job, State, Value
from federation.domain.roster import Role
from federation.domain.verdict import Reason, Verdict
from federation.protocols.masked_sum.messages import Advert, Head
from federation.wire import messages as m
from federation.wire.v1 import catalogue_pb2, coordinator_service_pb2, job_pb2, secure_sum_pb2, signed_pb2

M = TypeVar("M", bound=Message)

HASH_BYTES = 32
TOKEN_BYTES = 16
LONGEST_NAME = 200
LONGEST_TEXT = 4096  # a predicate, a hint, a title
MOST_ITEMS = 10_000  # parameters, categories, parties: nothing unbounded
DEEPEST_VALUE = 4
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Malformed(ValueError):
    """Foreign bytes are not the message that they claim to be; the text says what is wrong, without the bytes."""


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


def _parsed(kind: type[M], body: bytes) -> M:
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise Malformed("bytes that do not parse") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != body:
        raise Malformed("unknown fields or a non-canonical encoding")
    return message


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _exactly(value: bytes, size: int, what: str) -> bytes:
    if len(value) != size:
        raise Malformed(f"{what} of {len(value)} bytes instead of {size}")
    return value


def _text(value: str, what: str, longest: int = LONGEST_TEXT) -> str:
    if len(value) > longest:
        raise Malformed(f"{what} longer than {longest} characters")
    if any(_is_control(c) for c in value if c not in "\n\t"):
        raise Malformed(f"{what} with control characters")
    return value


def sayable(text: str, longest: int = LONGEST_TEXT // 4) -> str:
    """Return a text of our own so that it may travel: no control characters or surrogates, and not too long.

    What we say may quote a file name or an engine; what arrives otherwise would be our own malformed message.
    """
    plain = "".join(c if c in "\n\t" or not _is_control(c) else "?" for c in text)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _is_control(c: str) -> bool:
    return ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000


def _name(value: str, what: str) -> str:
    if not _NAME.fullmatch(value):
        raise Malformed(f"{what} that is not a name")
    return value


def _few(items: Sequence[Any], what: str, most: int = MOST_ITEMS) -> Sequence[Any]:
    if len(items) > most:
        raise Malformed(f"more than {most} {what}")
    return items


# --- envelope ------------------------------------------------------------------------------------------------------


def signed_to(value: m.Signed) -> signed_pb2.Signed:
    """Return the protobuf envelope."""
    return signed_pb2.Signed(body=value.body, key_id=value.key_id, signature=value.signature, domain=value.domain)


def signed_from(message: signed_pb2.Signed) -> m.Signed:
    """Return the envelope's value; the signature is not checked here but in `envelope.attested`."""
    return m.Signed(
        message.body, message.key_id, message.signature, _text(message.domain, "a domain tag", LONGEST_NAME)
    )


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
        _exactly(message.job_hash, HASH_BYTES, "a job hash")
    return m.Frame(
        signed_from(message.signed),
        tuple(message.parts if parts is None else parts),
        message.job_hash,
        message.round_index,
    )


def frame_bytes(value: m.Frame) -> bytes:
    """Return the frame as bytes, for a log."""
    return _bytes(frame_to(value))


def frame_of(data: bytes) -> m.Frame:
    """Return the frame that `frame_bytes` wrote. Raises Malformed."""
    return frame_from(_parsed(signed_pb2.Frame, data))


def signed_bytes(value: m.Signed) -> bytes:
    """Return the envelope as bytes, for a log."""
    return _bytes(signed_to(value))


def signed_of(data: bytes) -> m.Signed:
    """Return the envelope that `signed_bytes` wrote. Raises Malformed."""
    return signed_from(_parsed(signed_pb2.Signed, data))


# --- catalogue -----------------------------------------------------------------------------------------------------

_KINDS = {
    Kind.INTEGER: catalogue_pb2.KIND_INTEGER,
    Kind.REAL: catalogue_pb2.KIND_REAL,
    Kind.CATEGORY: catalogue_pb2.KIND_CATEGORY,
    Kind.IDENTIFIER: catalogue_pb2.KIND_IDENTIFIER,
}
_OUTSIDE = {Outside.CLIP: catalogue_pb2.OUTSIDE_CLIP, Outside.REFUSE: catalogue_pb2.OUTSIDE_REFUSE}


def _number_to(value: float) -> catalogue_pb2.Number:
    return catalogue_pb2.Number(integer=value) if isinstance(value, int) else catalogue_pb2.Number(real=value)


def _number_from(message: catalogue_pb2.Number, what: str) -> int | float:
    which = message.WhichOneof("value")
    if which is None:
        raise Malformed(f"{what} without a value")
    value: int | float = getattr(message, which)
    if isinstance(value, float) and not math.isfinite(value):
        raise Malformed(f"{what} that is not finite")
    return value


def _column_to(column: Column) -> catalogue_pb2.Column:
    return catalogue_pb2.Column(
        name=column.name,
        kind=_KINDS[column.kind],
        unit=column.unit,
        low=None if column.low is None else _number_to(column.low),
        high=None if column.high is None else _number_to(column.high),
        categories=column.categories,
        missing=[catalogue_pb2.MissingCode(code=code, reason=reason) for code, reason in column.missing],
        outside=_OUTSIDE[column.outside],
    )


def _column_from(message: catalogue_pb2.Column) -> Column:
    kind = next((k for k, v in _KINDS.items() if v == message.kind), None)
    outside = next((o for o, v in _OUTSIDE.items() if v == message.outside), None)
    if kind is None or outside is None:
        raise Malformed("a column of unknown kind")
    numeric = kind in (Kind.INTEGER, Kind.REAL)
    if numeric != message.HasField("low") or numeric != message.HasField("high"):
        raise Malformed("a range where there should be none, or none where one is due")
    low = _number_from(message.low, "a bound") if numeric else None
    high = _number_from(message.high, "a bound") if numeric else None
    if low is not None and high is not None and low > high:
        raise Malformed("a range whose low bound is above its high bound")
    return Column(
        name=_text(message.name, "a column name", LONGEST_NAME),
        kind=kind,
        unit=_text(message.unit, "a unit", LONGEST_NAME),
        low=low,
        high=high,
        categories=tuple(_text(c, "a category", LONGEST_NAME) for c in _few(message.categories, "categories")),
        missing=tuple(
            (_text(x.code, "a code", LONGEST_NAME), _text(x.reason, "a reason", LONGEST_NAME))
            for x in _few(message.missing, "missing codes", 100)
        ),
        outside=outside,
    )


def _publication_to(value: m.Publication) -> bytes:
    d = value.dataset
    return _bytes(
        catalogue_pb2.Publication(
            party=value.party,
            name=d.name,
            title=d.title,
            unit=d.unit,
            columns=[_column_to(c) for c in d.columns],
            k=d.k,
            own_figures=d.own_figures,
            version=d.version,
        )
    )


def _publication_from(body: bytes) -> m.Publication:
    p = _parsed(catalogue_pb2.Publication, body)
    columns = tuple(_column_from(c) for c in _few(p.columns, "columns"))
    if len({c.name for c in columns}) != len(columns):
        raise Malformed("two columns of one name")
    if p.k < 1:
        raise Malformed("a k below 1")
    return m.Publication(
        party=_name(p.party, "a party"),
        dataset=Dataset(
            name=_text(p.name, "a data set's name", LONGEST_NAME),
            title=_text(p.title, "a title"),
            unit=_text(p.unit, "a unit", LONGEST_NAME),
            columns=columns,
            k=p.k,
            own_figures=p.own_figures,
            version=_text(p.version, "a version", LONGEST_NAME),
        ),
    )


# --- jobs ----------------------------------------------------------------------------------------------------------


def _value_to(value: Value) -> job_pb2.Value:
    match value:
        case None:
            return job_pb2.Value()
        case bool():
            return job_pb2.Value(flag=value)
        case int():
            return job_pb2.Value(integer=value)
        case float():
            return job_pb2.Value(real=value)
        case str():
            return job_pb2.Value(text=value)
        case tuple():
            return job_pb2.Value(items=job_pb2.Values(items=[_value_to(item) for item in value]))
    raise TypeError(f"a parameter cannot be a {type(value).__name__}")


def _value_from(message: job_pb2.Value, depth: int = 0) -> Value:
    if depth > DEEPEST_VALUE:
        raise Malformed("a parameter nested too deep")
    match message.WhichOneof("value"):
        case None:
            return None
        case "items":
            return tuple(_value_from(item, depth + 1) for item in _few(message.items.items, "values"))
        case "text":
            return _text(message.text, "a parameter")
        case which:
            value: Value = getattr(message, which)
            return value


def _job_to(job: Job) -> bytes:
    return _bytes(
        job_pb2.Job(
            name=job.name,
            researcher=job.researcher,
            project=job.project,
            purpose=job.purpose,
            dataset=job.dataset,
            where=job.where,
            computations=[
                job_pb2.Computation(
                    name=c.name,
                    version=c.version,
                    parameters=[job_pb2.Parameter(name=name, value=_value_to(value)) for name, value in c.parameters],
                )
                for c in job.computations
            ],
            protection=job.protection,
            parties=job.parties,
            publications=[job_pb2.PublicationPin(party=p, digest=d) for p, d in job.publications],
            minimum_parties=job.minimum_parties,
            deadline_ms=job.deadline_ms,
            max_rounds=job.max_rounds,
            roster_hash=job.roster_hash,
            token=job.token,
        )
    )


def _computation_from(message: job_pb2.Computation) -> Computation:
    names = [p.name for p in _few(message.parameters, "parameters", 100)]
    if names != sorted(set(names)):
        raise Malformed("parameters that are not sorted by name")
    if not all(p.HasField("value") for p in message.parameters):
        raise Malformed("a parameter without a value")
    return Computation(
        name=_text(message.name, "a statistic's name", LONGEST_NAME),
        version=message.version,
        parameters=tuple(
            (_text(p.name, "a parameter's name", LONGEST_NAME), _value_from(p.value)) for p in message.parameters
        ),
    )


def job_of(body: bytes) -> Job:
    """Return the job that a body says, from the wire or from a store. Raises Malformed."""
    j = _parsed(job_pb2.Job, body)
    parties = tuple(_name(p, "a party") for p in _few(j.parties, "parties", 100))
    if parties != tuple(sorted(set(parties))) or tuple(p.party for p in j.publications) != parties:
        raise Malformed("parties that are not sorted, or publications of others")
    if not j.computations:
        raise Malformed("a job without computations")
    return Job(
        name=_text(j.name, "a job's name", LONGEST_NAME),
        researcher=_name(j.researcher, "a researcher"),
        project=_text(j.project, "a project", LONGEST_NAME),
        purpose=_text(j.purpose, "a purpose", LONGEST_NAME),
        dataset=_text(j.dataset, "a data set's name", LONGEST_NAME),
        where=_text(j.where, "a predicate"),
        computations=tuple(_computation_from(c) for c in _few(j.computations, "computations", 1000)),
        protection=_text(j.protection, "a protection", LONGEST_NAME),
        parties=parties,
        publications=tuple((p.party, _exactly(p.digest, HASH_BYTES, "a publication digest")) for p in j.publications),
        minimum_parties=j.minimum_parties,
        deadline_ms=j.deadline_ms,
        max_rounds=j.max_rounds,
        roster_hash=_exactly(j.roster_hash, HASH_BYTES, "a roster hash"),
        token=_exactly(j.token, TOKEN_BYTES, "a token"),
    )


def _verdict_to(value: Verdict) -> bytes:
    reasons = [job_pb2.Reason(rule=r.rule, clause=r.clause, remedy=r.remedy) for r in value.reasons]
    return _bytes(job_pb2.Verdict(party=value.party, job_hash=value.job_hash, reasons=reasons))


def _verdict_from(body: bytes) -> Verdict:
    v = _parsed(job_pb2.Verdict, body)
    return Verdict(
        party=v.party,
        job_hash=_exactly(v.job_hash, HASH_BYTES, "a job hash"),
        reasons=tuple(
            Reason(
                rule=_text(r.rule, "a rule", LONGEST_NAME),
                clause=_text(r.clause, "a clause"),
                remedy=_text(r.remedy, "a remedy"),
            )
            for r in _few(v.reasons, "reasons", 100)
        ),
    )


_STATES = {
    State.SUBMITTED: job_pb2.STATE_SUBMITTED,
    State.UNDER_REVIEW: job_pb2.STATE_UNDER_REVIEW,
    State.RUNNING: job_pb2.STATE_RUNNING,
    State.RELEASED: job_pb2.STATE_RELEASED,
    State.REFUSED: job_pb2.STATE_REFUSED,
    State.ABORTED: job_pb2.STATE_ABORTED,
}


def state_to(state: State) -> job_pb2.State:
    """Return the enum's number on the wire."""
    return _STATES[state]


def state_from(number: int) -> State:
    """Return the state. Raises Malformed for a number that is none."""
    for state, value in _STATES.items():
        if value == number:
            return state
    raise Malformed("an unknown state")


def blame_to(blame: Blame) -> job_pb2.Blame:
    """Return the blame's message."""
    return job_pb2.Blame(party=blame.party, code=blame.code, message=blame.message, hint=blame.hint, rule=blame.rule)


def blame_from(message: job_pb2.Blame) -> Blame:
    """Return the blame's value. Raises Malformed for texts that are too long."""
    return Blame(
        party=_text(message.party, "a party", LONGEST_NAME),
        code=_text(message.code, "a code", LONGEST_NAME),
        message=_text(message.message, "a message"),
        hint=_text(message.hint, "a hint"),
        rule=_text(message.rule, "a rule", LONGEST_NAME),
    )


# --- control stream ------------------------------------------------------------------------------------------------


def _hello_to(v: m.Hello) -> bytes:
    return _bytes(
        coordinator_service_pb2.Hello(
            party=v.party,
            roster_hash=v.roster_hash,
            software=v.software,
            publications=[signed_to(s) for s in v.publications],
            open_jobs=v.open_jobs,
        )
    )


def _hello_from(body: bytes) -> m.Hello:
    h = _parsed(coordinator_service_pb2.Hello, body)
    return m.Hello(
        party=h.party,
        roster_hash=_exactly(h.roster_hash, HASH_BYTES, "a roster hash"),
        software=_text(h.software, "a version", LONGEST_NAME),
        publications=tuple(signed_from(s) for s in _few(h.publications, "publications", 1000)),
        open_jobs=tuple(_exactly(j, HASH_BYTES, "a job hash") for j in _few(h.open_jobs, "open jobs")),
    )


def _offer_to(v: m.Offer) -> bytes:
    return _bytes(job_pb2.Offer(job=signed_to(v.job), publications=[signed_to(s) for s in v.publications]))


def _offer_from(body: bytes) -> m.Offer:
    o = _parsed(job_pb2.Offer, body)
    if not o.HasField("job"):
        raise Malformed("an offer without a job")
    return m.Offer(
        job=signed_from(o.job), publications=tuple(signed_from(s) for s in _few(o.publications, "publications", 100))
    )


def _attestation_to(v: m.Attestation) -> bytes:
    return _bytes(job_pb2.Attestation(party=v.party, job_hash=v.job_hash, transcript=v.transcript))


def _attestation_from(body: bytes) -> m.Attestation:
    a = _parsed(job_pb2.Attestation, body)
    return m.Attestation(
        party=a.party,
        job_hash=_exactly(a.job_hash, HASH_BYTES, "a job hash"),
        transcript=_exactly(a.transcript, HASH_BYTES, "a transcript hash"),
    )


def _objection_to(v: m.Objection) -> bytes:
    b = v.blame
    return _bytes(
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
    o = _parsed(job_pb2.Objection, body)
    return m.Objection(
        party=o.party,
        job_hash=_exactly(o.job_hash, HASH_BYTES, "a job hash"),
        blame=blame_from(job_pb2.Blame(party=o.accused, code=o.code, message=o.message, hint=o.hint, rule=o.rule)),
    )


def _ended_to(v: m.Ended) -> bytes:
    return _bytes(job_pb2.Ended(job_hash=v.job_hash, state=_STATES[v.state], blames=[blame_to(b) for b in v.blames]))


def ended_of(body: bytes) -> m.Ended:
    """Return the end that a body says, from the wire or from a store. Raises Malformed."""
    e = _parsed(job_pb2.Ended, body)
    return m.Ended(
        job_hash=_exactly(e.job_hash, HASH_BYTES, "a job hash"),
        state=state_from(e.state),
        blames=tuple(blame_from(b) for b in _few(e.blames, "blames", 1000)),
    )


# --- secure sums ---------------------------------------------------------------------------------------------------


def _advert_to(v: Advert) -> bytes:
    return _bytes(secure_sum_pb2.Advert(party=v.party, setup_hash=v.setup_hash, mask_pk=v.mask_pk))


def _advert_from(body: bytes) -> Advert:
    a = _parsed(secure_sum_pb2.Advert, body)
    return Advert(
        party=a.party,
        setup_hash=_exactly(a.setup_hash, HASH_BYTES, "a setup hash"),
        mask_pk=_exactly(a.mask_pk, 32, "a public key"),
    )


def _head_to(v: Head) -> bytes:
    return _bytes(
        secure_sum_pb2.Head(
            party=v.party, spec_hash=v.spec_hash, u2_hash=v.u2_hash, chunk_root=v.chunk_root, length=v.length
        )
    )


def _head_from(body: bytes) -> Head:
    h = _parsed(secure_sum_pb2.Head, body)
    return Head(
        party=h.party,
        spec_hash=_exactly(h.spec_hash, HASH_BYTES, "a spec hash"),
        u2_hash=_exactly(h.u2_hash, HASH_BYTES, "a u2 hash"),
        chunk_root=_exactly(h.chunk_root, HASH_BYTES, "a chunk root"),
        length=h.length,
    )


def _bundle_to(v: m.Bundle) -> bytes:
    return _bytes(
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
    b = _parsed(secure_sum_pb2.Bundle, body)
    if len(b.chunk_counts) != len(b.messages):
        raise Malformed("chunk counts that do not match the messages")
    return m.Bundle(
        job_hash=_exactly(b.job_hash, HASH_BYTES, "a job hash"),
        round_index=b.round_index,
        round_digest=_exactly(b.round_digest, HASH_BYTES, "a round digest"),
        total_digest=_exactly(b.total_digest, HASH_BYTES, "a total's digest") if b.total_digest else b"",
        messages=tuple(signed_from(s) for s in _few(b.messages, "messages", 100)),
        chunk_counts=tuple(b.chunk_counts),
    )


BODIES: dict[str, Body] = {
    m.HELLO: Body(Role.JURISDICTION, "party", _hello_to, _hello_from),
    m.PUBLICATION: Body(Role.JURISDICTION, "party", _publication_to, _publication_from),
    m.VERDICT: Body(Role.JURISDICTION, "party", _verdict_to, _verdict_from),
    Advert.domain: Body(Role.JURISDICTION, "party", _advert_to, _advert_from),
    Head.domain: Body(Role.JURISDICTION, "party", _head_to, _head_from),
    m.ATTESTATION: Body(Role.JURISDICTION, "party", _attestation_to, _attestation_from),
    m.OBJECTION: Body(Role.JURISDICTION, "party", _objection_to, _objection_from),
    m.JOB: Body(Role.RESEARCHER, "researcher", _job_to, job_of),
    m.OFFER: Body(Role.COORDINATOR, "", _offer_to, _offer_from),
    m.BUNDLE: Body(Role.COORDINATOR, "", _bundle_to, bundle_of),
    m.ENDED: Body(Role.COORDINATOR, "", _ended_to, ended_of),
}
