"""The evidence file has one serialisation: every other byte string is refused, and a vector says with which words."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest

from federation.crypto.ring import CHUNK_BYTES
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Opening, Shares, Unmask
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.withdrawal import Withdrawal
from federation.wire import evidence
from federation.wire import messages as m
from federation.wire.convert import BODIES, Malformed
from federation.wire.envelope import Signer, signed
from federation.wire.evidence import LENGTH_BYTES, MAGIC, Contribution, Evidence, KeyedSum, OpenedSum, decoded, encoded
from federation.wire.frames import signed_to
from federation.wire.v1 import evidence_pb2
from tests.wire.members import SPEAKER, honest, people
from tests.wire.mutations import blindly

FOLDER = Path(__file__).parent.parent / "vectors" / "evidence"
VECTORS = sorted(FOLDER.glob("*.json"))
PARTIES = ("guangdong", "hongkong", "macao")
DOMAINS = {domain.split("/")[1]: domain for domain in BODIES}


def said(name: str) -> m.Signed:
    """ "advert macao", "job": the honest message of a kind by a member, the one who speaks for its role by default."""
    kind, _, party = name.partition(" ")
    domain = DOMAINS[kind]
    signer: Signer = people()[party or SPEAKER[BODIES[domain].role]]
    value: Any = honest()[domain]
    if party and BODIES[domain].speaker:
        value = replace(value, party=party)
    return signed(signer, domain, value)


def of_all(kind: str) -> tuple[m.Signed, ...]:
    return tuple(said(f"{kind} {party}") for party in PARTIES)


def one_sum(chunks: tuple[bytes, ...] = (bytes(16),)) -> OpenedSum:
    return OpenedSum(
        attempt=0,
        total_leaves=(b"L" * 32,),
        adverts=of_all("advert"),
        shares=of_all("shares"),
        contributions=tuple(Contribution(head=head, chunks=chunks) for head in of_all("head")),
        consents=of_all("consent"),
        opening=said("opening"),
    )


def keyed_sum(chunks: tuple[bytes, ...] = (bytes(16),)) -> KeyedSum:
    return KeyedSum(
        attempt=0,
        readies=of_all("ready"),
        ciphers=tuple(Contribution(head=head, chunks=chunks) for head in of_all("cipher")),
        partials=tuple(Contribution(head=head, chunks=chunks) for head in of_all("partial")),
    )


def whole(*sums: OpenedSum | KeyedSum) -> Evidence:
    return Evidence(
        job=said("job"),
        publications=of_all("publication"),
        verdicts=of_all("verdict"),
        sums=sums or (one_sum(),),
        attestations=of_all("attestation"),
        ended=said("ended"),
    )


WITH_CHUNKS = ("head", "cipher", "partial")  # a message and its chunks are one


# --- vectors ---------------------------------------------------------------------------------------------------------


def record_of(written: Any) -> bytes:
    """A record by hand, behind its length, so that a vector can say what no library would."""
    match written:
        case str():
            data = evidence_pb2.EvidenceRecord(message=signed_to(said(written))).SerializeToString(deterministic=True)
        case {"chunk": size}:
            data = evidence_pb2.EvidenceRecord(chunk=bytes(size)).SerializeToString()
        case {"sum": {"attempt": attempt, "leaves": leaves}}:
            begins = evidence_pb2.OpenedSum(attempt=attempt, total_leaves=[b"L" * 32] * leaves)
            data = evidence_pb2.EvidenceRecord(sum=begins).SerializeToString()
        case {"raw": digits}:
            data = bytes.fromhex(digits)
    return int(written.get("length", len(data)) if isinstance(written, dict) else len(data)).to_bytes(4, "big") + data


def file_of(vector: dict[str, Any]) -> bytes:
    """The vector's file: runs of one kind sorted by key id, or backwards where it says so."""
    units: list[tuple[str, list[Any]]] = []  # a head and its chunks are one
    for record in vector["records"]:
        if isinstance(record, dict) and "chunk" in record and units and units[-1][0] in WITH_CHUNKS:
            units[-1][1].append(record)
        else:
            units.append((record.split()[0] if isinstance(record, str) else "", [record]))
    out = vector.get("magic", MAGIC.decode()).encode()
    for kind, run in groupby(units, key=lambda unit: unit[0]):
        group = [records for _, records in run]
        if kind:
            group.sort(key=lambda records: said(records[0]).key_id, reverse=kind == vector.get("backwards"))
        out += b"".join(record_of(record) for records in group for record in records)
    return bytes(out + bytes.fromhex(vector.get("tail", "")))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_is_read_or_refused_as_it_says(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    assert vector.keys() >= {"desc", "source", "records", "want_error"}
    content = file_of(vector)
    if vector["want_error"] is None:
        assert encoded(decoded(content)) == content
        return
    with pytest.raises(Malformed) as caught:
        decoded(content)
    assert vector["want_error"] in str(caught.value)


def test_the_vectors_are_many_and_some_are_sound() -> None:
    wanted = Counter(json.loads(path.read_text("utf-8"))["want_error"] is None for path in VECTORS)
    assert wanted[True] >= 5
    assert wanted[False] >= 30


# --- one serialisation -----------------------------------------------------------------------------------------------


def test_evidence_comes_back_as_it_was_whatever_order_it_was_given_in() -> None:
    first = encoded(whole())
    assert first == file_of(json.loads((FOLDER / "whole.json").read_text("utf-8")))
    again = decoded(first)
    assert encoded(again) == first
    backwards = replace(
        whole(replace(one_sum(), adverts=of_all("advert")[::-1], contributions=one_sum().contributions[::-1])),
        verdicts=of_all("verdict")[::-1],
    )
    assert encoded(backwards) == first
    assert {said.key_id for said in again.verdicts} == {said.key_id for said in of_all("verdict")}


def test_chunks_stay_with_their_head_and_in_their_order() -> None:
    chunks = (b"a" * CHUNK_BYTES, b"b" * CHUNK_BYTES, b"c" * 32)
    masked, keyed = decoded(encoded(whole(one_sum(chunks), keyed_sum(chunks)))).sums
    assert isinstance(masked, OpenedSum)
    assert isinstance(keyed, KeyedSum)
    assert all(one.chunks == chunks for one in (*masked.contributions, *keyed.ciphers, *keyed.partials))


def test_every_kind_of_message_that_evidence_holds_can_stand_in_it() -> None:
    again_and_keyed: dict[str, Any] = {"attempt": 1, "withdrawals": of_all("withdrawal")}
    of, under_key = replace(one_sum(), **again_and_keyed), replace(keyed_sum(), **again_and_keyed)
    certificate = of_all("key-certificate")
    content = encoded(replace(whole(of, under_key), objections=of_all("objection"), certificate=certificate))
    again = decoded(content)
    held = {Advert.domain, Shares.domain, Head.domain, Consent.domain, Opening.domain, Withdrawal.domain}
    held |= {Ready.domain, Cipher.domain, Partial.domain, m.KEY_CERTIFICATE}
    held |= {m.JOB, m.PUBLICATION, m.VERDICT, m.ATTESTATION, m.OBJECTION, m.ENDED}
    assert all(domain.encode() in content for domain in held)
    assert Unmask.domain.encode() not in content
    assert all(getattr(again, one.name) for one in fields(Evidence))
    assert all(getattr(again.sums[0], one.name) for one in fields(OpenedSum))
    assert all(getattr(again.sums[1], one.name) for one in fields(KeyedSum))


def test_evidence_that_is_cut_anywhere_is_refused() -> None:
    content = encoded(whole())
    for size in range(len(content)):
        with pytest.raises(Malformed):
            decoded(content[:size])


@pytest.mark.parametrize("tail", [b"\x00", b"\n", b"PK\x05\x06", bytes(4), bytes(1000)])
def test_bytes_behind_the_end_are_refused(tail: bytes) -> None:
    for more in (tail, encoded(whole()), record_of("ended"), record_of("ended") + tail):
        with pytest.raises(Malformed):
            decoded(encoded(whole()) + more)


def test_whatever_is_read_is_its_one_serialisation() -> None:
    """Blindly spoiled files: what is read in spite of it says something else, in the only way to say it."""
    content = encoded(whole())
    draw, endings = Random(17), Counter[str]()
    for _ in range(2_000):
        spoiled = blindly(content, draw)
        try:
            found = decoded(spoiled)
        except Malformed as fault:
            endings[str(fault)] += 1
            continue
        assert encoded(found) == spoiled
        endings["read"] += 1
    assert len(endings) >= 8, endings
    assert 50 <= endings["read"] <= 1_500, "flips inside signed bytes and chunks are read, and judged by the audit"


def test_a_file_is_made_without_holding_it_twice() -> None:
    chunks = tuple(bytes([number]) * CHUNK_BYTES for number in range(8))
    pieces = list(evidence.pieces(whole(one_sum(chunks))))
    assert max(map(len, pieces)) < CHUNK_BYTES + 100
    assert b"".join(pieces) == encoded(whole(one_sum(chunks)))
    assert all(len(piece) == LENGTH_BYTES for piece in pieces[1::2])


def test_the_planted_fault_of_a_reader_that_takes_any_order_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = json.loads((FOLDER / "adverts_in_another_order.json").read_text("utf-8"))
    monkeypatch.setattr(evidence._Reader, "_in_order", staticmethod(lambda messages, _most: tuple(messages)))
    with pytest.raises(Malformed, match="not in its one serialisation"):
        decoded(file_of(vector))
