"""Every value that can be signed comes back as it was, type by type, and has one encoding only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.domain.catalogue import Column, Dataset, Kind, Level, Outside
from federation.domain.job import Blame, Computation, Job, State
from federation.domain.verdict import Reason, Verdict
from federation.protocols.key_ceremony.messages import What, Word
from federation.protocols.masked_sum.messages import (
    Advert,
    Challenge,
    Consent,
    Head,
    Opening,
    Shares,
    Unmask,
)
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.protocols.withdrawal import Withdrawal
from federation.wire import bulk, convert
from federation.wire import jobs as job_bodies
from federation.wire import messages as m
from federation.wire.convert import BODIES
from federation.wire.envelope import attested, digest_of, opened, signed
from federation.wire.fields import DEEPEST_VALUE
from federation.wire.jobs import value_from
from federation.wire.v1 import job_pb2
from tests.wire.members import RELAY, SPEAKER, honest, people, roster

# Every character that a person may write: no surrogates (they are no text) and no controls.
LETTERS = st.characters(exclude_categories=("Cs", "Cc"))


def texts(longest: int = 40) -> st.SearchStrategy[str]:
    return st.text(LETTERS, max_size=longest)


def sized(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


hashes = sized(32)
names = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)
int64 = st.integers(-(2**63), 2**63 - 1)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
envelopes = st.builds(
    m.Signed, body=st.binary(max_size=60), key_id=st.binary(max_size=20), signature=sized(64), domain=texts(100)
)
numbers = st.one_of(int64, finite)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from(Kind))
    low, high = draw(st.tuples(numbers, numbers).map(lambda pair: tuple(sorted(pair))))
    numeric = kind in (Kind.INTEGER, Kind.REAL)
    categories = tuple(draw(st.lists(texts(), max_size=3))) if kind is Kind.CATEGORY else ()
    above = st.tuples(*(texts() for _ in categories))
    levels = tuple(
        Level(f"{name}/{place}", draw(above)) for place in range(draw(st.integers(0, 2)) if categories else 0)
    )
    return Column(
        name=name,
        kind=kind,
        unit=draw(texts()),
        low=low if numeric else None,
        high=high if numeric else None,
        categories=categories,
        missing=tuple(draw(st.lists(st.tuples(texts(), texts()), max_size=2))),
        outside=draw(st.sampled_from(Outside)),
        levels=levels,
    )


@st.composite
def publications(draw: st.DrawFn) -> m.Publication:
    called = draw(st.lists(texts(), unique=True, max_size=4))
    return m.Publication(
        party=draw(names),
        dataset=Dataset(
            name=draw(texts()),
            title=draw(texts()),
            unit=draw(texts()),
            columns=tuple(draw(columns(name)) for name in called),
            k=draw(st.integers(1, 2**32 - 1)),
            own_figures=draw(st.booleans()),
            version=draw(texts()),
        ),
    )


scalars = st.one_of(st.none(), st.booleans(), int64, st.floats(allow_nan=False), texts())
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)


def depth(value: Any) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, tuple) else 0


@st.composite
def computations(draw: st.DrawFn) -> Computation:
    named = sorted(draw(st.lists(texts(), unique=True, max_size=3)))
    shallow = values.filter(lambda value: depth(value) <= DEEPEST_VALUE)
    return Computation(
        name=draw(texts()), version=draw(uint32), parameters=tuple((name, draw(shallow)) for name in named)
    )


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    parties = tuple(sorted(draw(st.lists(names, unique=True, max_size=4))))
    return Job(
        name=draw(texts()),
        researcher=draw(names),
        project=draw(texts()),
        purpose=draw(texts()),
        dataset=draw(texts()),
        where=draw(texts()),
        computations=tuple(draw(st.lists(computations(), min_size=1, max_size=3))),
        protection=draw(texts()),
        parties=parties,
        publications=tuple((party, draw(hashes)) for party in parties),
        minimum_parties=draw(uint32),
        deadline_ms=draw(int64),
        max_rounds=draw(uint32),
        roster_hash=draw(hashes),
        token=draw(sized(16)),
        key=draw(st.just(b"") | hashes),
    )


blames = st.builds(Blame, party=texts(), code=texts(), message=texts(200), hint=texts(), rule=texts())
reasons = st.builds(Reason, rule=texts(), clause=texts(), remedy=texts())
bundles = st.lists(st.tuples(envelopes, uint32), max_size=3).flatmap(
    lambda messages: st.builds(
        m.Bundle,
        job_hash=hashes,
        round_index=uint32,
        attempt=uint32,
        round_digest=st.one_of(st.just(b""), hashes),
        total_digest=st.one_of(st.just(b""), hashes),
        messages=st.just(tuple(message for message, _ in messages)),
        chunk_counts=st.just(tuple(count for _, count in messages)),
    )
)


def tuples(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


of_u3 = {"spec_hash": hashes, "u3_hash": hashes}
SUMS: dict[str, st.SearchStrategy[Any]] = {
    Advert.domain: st.builds(Advert, setup_hash=hashes, party=names, enc_pk=hashes, mask_pk=hashes),
    Shares.domain: st.builds(
        Shares, setup_hash=hashes, adverts_hash=hashes, party=names, commitment=hashes, boxes_root=hashes
    ),
    Head.domain: st.builds(
        Head, spec_hash=hashes, u2_hash=hashes, party=names, chunk_root=hashes, length=uint64, number=uint64
    ),
    Consent.domain: st.builds(Consent, **of_u3, party=names),
    Unmask.domain: st.builds(Unmask, **of_u3, party=names, self_shares=tuples(sized(33)), key_shares=tuples(sized(33))),
    Opening.domain: st.builds(Opening, **of_u3, seeds=tuples(hashes), keys=tuples(hashes), total_root=hashes),
    Challenge.domain: st.builds(
        Challenge, **of_u3, party=names, places=st.sets(uint32, max_size=64).map(lambda places: tuple(sorted(places)))
    ),
    Withdrawal.domain: st.builds(Withdrawal, setup_hash=hashes, party=names),
    Ready.domain: st.builds(Ready, setup_hash=hashes, party=names),
    Present.domain: st.builds(Present, setup_hash=hashes, party=names),
    Vector.domain: st.builds(Vector, spec_hash=hashes, party=names, chunk_root=hashes, number=uint64),
    Total.domain: st.builds(Total, spec_hash=hashes, list_hash=hashes, total_root=hashes),
    Cipher.domain: st.builds(
        Cipher,
        spec_hash=hashes,
        party=names,
        header=sized(28),
        chunk_root=hashes,
        number=uint64,
        proof=st.binary(min_size=1, max_size=60),
    ),
    Partial.domain: st.builds(
        Partial,
        spec_hash=hashes,
        set_hash=hashes,
        party=names,
        chunk_root=hashes,
        proof=st.binary(min_size=1, max_size=60),
    ),
}
KEYS: dict[str, st.SearchStrategy[Any]] = {
    m.KEY_PROPOSAL: st.builds(
        m.KeyProposal,
        proposer=names,
        holders=st.sets(names, max_size=5).map(lambda holders: tuple(sorted(holders))),
        bits=uint32,
        made_ms=int64,
        deadline_ms=int64,
        roster_hash=hashes,
        token=sized(16),
    ),
    m.KEY_JOIN: st.builds(m.KeyJoin, party=names, ceremony=hashes, box_key=hashes),
    Word.domain: st.builds(
        Word,
        ceremony=hashes,
        party=names,
        place=uint64,
        what=st.sampled_from(What),
        seen=hashes,
        boxes=tuples(st.one_of(st.just(b""), hashes)),
        body=st.binary(max_size=60),
    ),
    m.KEY_ASK: st.builds(m.KeyAsk, party=names, ceremony=hashes, place=uint64, answers=st.booleans()),
    m.KEY_CERTIFICATE: st.builds(
        m.KeyCertificate, joint_key=st.binary(max_size=60), transcript=hashes, made_ms=int64, expires_ms=int64
    ),
    m.KEY_NEWS: st.builds(m.KeyNews, proposal=envelopes, joins=tuples(envelopes), certificates=tuples(envelopes)),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    m.HELLO: st.builds(
        m.Hello,
        party=names,
        roster_hash=hashes,
        software=texts(),
        publications=tuples(envelopes),
        open_jobs=tuples(hashes),
    ),
    m.PUBLICATION: publications(),
    m.JOB: jobs(),
    m.OFFER: st.builds(m.Offer, job=envelopes, publications=tuples(envelopes)),
    m.VERDICT: st.builds(Verdict, party=names, job_hash=hashes, reasons=tuples(reasons)),
    m.BUNDLE: bundles,
    m.RECALL: st.builds(m.Recall, job_hash=hashes, round_index=uint32, attempt=uint32),
    **SUMS,
    **KEYS,
    m.ATTESTATION: st.builds(m.Attestation, party=names, job_hash=hashes, transcript=hashes),
    m.OBJECTION: st.builds(m.Objection, party=names, job_hash=hashes, blame=blames),
    m.ENDED: st.builds(m.Ended, job_hash=hashes, state=st.sampled_from(State), blames=tuples(blames)),
}


def test_every_domain_has_values_here_and_an_honest_message_beside() -> None:
    assert VALUES.keys() == BODIES.keys() == honest().keys()


@pytest.mark.parametrize("domain", sorted(VALUES))
@given(data=st.data())
@settings(max_examples=40)
def test_what_is_signed_is_what_is_read(domain: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[domain])
    body = BODIES[domain].encode(value)
    read = BODIES[domain].decode(body)
    assert read == value
    assert repr(read) == repr(value), "1, 1.0 and True are equal and not the same"
    assert BODIES[domain].encode(read) == body


def test_a_round_trip_that_mixes_up_types_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    job = honest()[m.JOB]
    body = BODIES[m.JOB].encode(job)
    plain = value_from

    def mixed(value: job_pb2.Value, depth: int = 0) -> object:
        found = plain(value, depth)
        return float(found) if type(found) is int else found

    monkeypatch.setattr(job_bodies, "value_from", mixed)
    read = BODIES[m.JOB].decode(body)
    assert read == job, "equality alone does not see it"
    assert repr(read) != repr(job)


@pytest.mark.parametrize("domain", sorted(VALUES))
def test_a_signed_message_names_its_sender_and_its_digest(domain: str) -> None:
    body = BODIES[domain]
    sender = SPEAKER[body.role]
    message = signed(people()[sender], domain, honest()[domain])
    read = opened(message, roster(), relay=RELAY)
    assert (read.sender, read.value, read.digest) == (sender, honest()[domain], digest_of(message))
    again = attested(message, roster(), domain=domain, kind=type(honest()[domain]), relay=RELAY)
    assert again == read
    assert signed(people()[sender], domain, honest()[domain]) == message, "equal values are equal bytes"


def test_a_program_that_expects_another_kind_under_a_domain_is_stopped_by_its_own_error() -> None:
    message = signed(people()["ana"], m.JOB, honest()[m.JOB])
    with pytest.raises(TypeError, match="decodes to Job, not Verdict"):
        attested(message, roster(), domain=m.JOB, kind=Verdict, relay=RELAY)


@given(
    envelope=envelopes,
    parts=st.lists(st.binary(max_size=30), max_size=4),
    job_hash=st.one_of(st.just(b""), hashes),
    index=uint32,
    attempt=uint32,
    to=st.one_of(st.just(""), names),
)
def test_a_frame_comes_back_from_the_log_as_it_was(
    envelope: m.Signed, parts: list[bytes], job_hash: bytes, index: int, attempt: int, to: str
) -> None:
    frame = m.Frame(envelope, tuple(parts), job_hash, index, attempt, to)
    assert convert.frame_of(convert.frame_bytes(frame)) == frame
    assert convert.signed_of(convert.signed_bytes(envelope)) == envelope
    assert frame.size_bytes == len(envelope.body) + sum(map(len, parts))
    streamed = convert.frame_to(frame, blob=b"b" * 32)
    assert (streamed.blob_bytes, list(streamed.parts)) == (sum(map(len, parts)), [])
    assert convert.frame_from(streamed, tuple(parts)) == frame, "parts that came on a stream of their own"


@given(sizes=st.lists(st.integers(0, bulk.PIECE_BYTES), max_size=12))
@settings(max_examples=30)
def test_parts_travel_in_order_in_pieces_of_at_most_a_mebibyte(sizes: list[int]) -> None:
    parts = [memoryview(bytes(bulk.PIECE_BYTES))[:size] for size in sizes]
    pieces = bulk.pieces_of(parts)  # type: ignore[arg-type]
    assert [part for piece in pieces for part in piece] == parts
    assert all(sum(map(len, piece)) <= bulk.PIECE_BYTES for piece in pieces)
    assert all(pieces), "no piece is empty"
    assert bulk.is_inline(parts) == (sum(sizes) <= bulk.INLINE_BYTES)  # type: ignore[arg-type]


def test_a_predicate_may_have_lines_and_a_name_may_not() -> None:
    job = replace(honest()[m.JOB], where="age > 3\n\tand sex == 'f'")
    assert BODIES[m.JOB].decode(BODIES[m.JOB].encode(job)) == job
    for control in ("\n", "\t", "\r", "\x1b"):
        with pytest.raises(convert.Malformed, match="control characters"):
            BODIES[m.JOB].decode(BODIES[m.JOB].encode(replace(job, name=f"a{control}b")))
