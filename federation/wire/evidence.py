"""The evidence file of one job: what its members signed, the chunks behind it, and one way to write them down.

Of masked sums nothing in it is secret beyond what the coordinator saw, and every party with it: the seeds that open a
sum take the self-masks off, and leave on every single vector its masks with the other contributors, of which each has
at least two. So only sums that were opened are in it, and of them only the vectors of those who were counted: a vector
that came too late, beside the opened key of its owner, would have one mask left. Boxes and shares stay out, nobody
needs them again.

Of sums under a joint key it holds everybody's ciphertexts and answers for their product, all proofs, and the key's
certificate: whoever has it computes all of it again. A single vector stays secret in it until all holders collude or
somebody factors the modulus.

Evidence has exactly one serialisation: `encoded`. `decoded` refuses whatever is not it, byte for byte: other orders,
other encodings, bytes that are missing or too many. What the messages mean, and whether they were signed, is judged by
who reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from federation.crypto.ring import CHUNK_BYTES
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Opening, Shares
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.withdrawal import Withdrawal
from federation.wire import messages as m
from federation.wire.fields import HASH_BYTES, MOST_ITEMS, Malformed, canonical, exactly, few, parsed
from federation.wire.frames import signed_from, signed_to
from federation.wire.v1 import evidence_pb2

MAGIC: Final = b"federation-evidence/v1\n"
LENGTH_BYTES: Final = 4
LARGEST_RECORD: Final = 4 * 1024 * 1024  # gRPC's limit of a message: whatever was received is shorter
MOST_OF_A_KIND: Final = 100  # messages of one kind in one place: one a party

Record: TypeAlias = "m.Signed | bytes | _Begins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """A party's signed message and the chunks under the root in it, in order: masked words, ciphertexts, answers."""

    head: m.Signed
    chunks: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSum:
    """One masked sum, in the attempt that was opened.

    Attributes:
        attempt: from 0.
        total_leaves: leaf hashes of the total's chunks; the opening signs their root.
        withdrawals: parties' words that the attempts before this one are never opened.
        adverts: of everybody who was dealt to.
        shares: of everybody who is masked against, without the boxes.
        contributions: of everybody who is counted.
        consents: to the list of contributors.
        opening: what the coordinator opened.
    """

    attempt: int
    total_leaves: tuple[bytes, ...]
    withdrawals: tuple[m.Signed, ...] = ()
    adverts: tuple[m.Signed, ...]
    shares: tuple[m.Signed, ...]
    contributions: tuple[Contribution, ...]
    consents: tuple[m.Signed, ...]
    opening: m.Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedSum:
    """One sum under a joint key, in the attempt that was opened.

    Attributes:
        attempt: from 0.
        withdrawals: parties' words that the attempts before this one are never opened.
        readies: of everybody.
        ciphers: everybody's ciphertexts.
        partials: everybody's answers for their product.
    """

    attempt: int
    withdrawals: tuple[m.Signed, ...] = ()
    readies: tuple[m.Signed, ...]
    ciphers: tuple[Contribution, ...]
    partials: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was signed for one job that has ended; messages in any order, `encoded` has one.

    Attributes:
        publications: those that the job pins.
        certificate: of the joint key that the job names, as each holder signed it; () if it names none.
        verdicts: of the parties that gave one.
        sums: every secure sum that was opened, in order.
        attestations: of the transcript over them.
        objections: of parties that stopped the job.
        ended: how the coordinator says that it ended.
    """

    job: m.Signed
    publications: tuple[m.Signed, ...]
    certificate: tuple[m.Signed, ...] = ()
    verdicts: tuple[m.Signed, ...]
    sums: tuple[OpenedSum | KeyedSum, ...]
    attestations: tuple[m.Signed, ...]
    objections: tuple[m.Signed, ...] = ()
    ended: m.Signed


@dataclass(frozen=True, slots=True)
class _Begins:
    """The record that a sum begins with."""

    attempt: int
    total_leaves: tuple[bytes, ...]


def encoded(evidence: Evidence) -> bytes:
    """Return the evidence as its file: every group of messages sorted by the signers' key ids."""
    return b"".join(pieces(evidence))


def pieces(evidence: Evidence) -> Iterator[bytes]:
    """Yield the file's bytes, record by record: what is held as a vector is not copied whole."""
    yield MAGIC
    for record in _records(evidence):
        data = canonical(_message_of(record))
        yield len(data).to_bytes(LENGTH_BYTES, "big")
        yield data


def decoded(content: bytes) -> Evidence:
    """Return the evidence in a file. Raises Malformed for anything but what `encoded` returns."""
    reader = _Reader(_records_in(content))
    evidence = Evidence(
        job=reader.one(m.JOB),
        publications=reader.some(m.PUBLICATION),
        certificate=reader.some(m.KEY_CERTIFICATE),
        verdicts=reader.some(m.VERDICT),
        sums=tuple(reader.sums()),
        attestations=reader.some(m.ATTESTATION),
        objections=reader.some(m.OBJECTION),
        ended=reader.one(m.ENDED),
    )
    reader.end()
    # Record by record everything is canonical already; the whole is compared too, so that no slip above can matter.
    start = 0
    for piece in pieces(evidence):
        if content[start : start + len(piece)] != piece:
            raise Malformed("evidence that is not in its one serialisation")
        start += len(piece)
    if start != len(content):
        raise Malformed("bytes behind the evidence")
    return evidence


def _sorted(messages: Iterable[m.Signed]) -> list[m.Signed]:
    return sorted(messages, key=_place)


def _place(message: m.Signed) -> tuple[bytes, bytes]:
    return message.key_id, message.body


def _records(evidence: Evidence) -> Iterator[Record]:
    yield evidence.job
    yield from _sorted(evidence.publications)
    yield from _sorted(evidence.certificate)
    yield from _sorted(evidence.verdicts)
    for of in evidence.sums:
        yield from _records_of(of)
    yield from _sorted(evidence.attestations)
    yield from _sorted(evidence.objections)
    yield evidence.ended


def _records_of(of: OpenedSum | KeyedSum) -> Iterator[Record]:
    match of:
        case OpenedSum():
            yield _Begins(of.attempt, of.total_leaves)
            for group in (of.withdrawals, of.adverts, of.shares):
                yield from _sorted(group)
            yield from _with_chunks(of.contributions)
            yield from _sorted(of.consents)
            yield of.opening
        case KeyedSum():
            yield _Begins(of.attempt, ())
            for group in (of.withdrawals, of.readies):
                yield from _sorted(group)
            yield from _with_chunks(of.ciphers)
            yield from _with_chunks(of.partials)


def _with_chunks(contributions: Iterable[Contribution]) -> Iterator[Record]:
    for one in sorted(contributions, key=lambda one: _place(one.head)):
        yield one.head
        yield from one.chunks


def _message_of(record: Record) -> evidence_pb2.EvidenceRecord:
    match record:
        case m.Signed():
            return evidence_pb2.EvidenceRecord(message=signed_to(record))
        case bytes():
            return evidence_pb2.EvidenceRecord(chunk=record)
        case _Begins(attempt, total_leaves):
            begins = evidence_pb2.OpenedSum(attempt=attempt, total_leaves=total_leaves)
            return evidence_pb2.EvidenceRecord(sum=begins)


def _records_in(content: bytes) -> Iterator[Record]:
    """Yield the file's records; each is in its one serialisation. Raises Malformed."""
    if not content.startswith(MAGIC):
        raise Malformed("bytes that are no evidence of version 1")
    start, view = len(MAGIC), memoryview(content)
    while start < len(content):
        size = int.from_bytes(view[start : start + LENGTH_BYTES], "big")
        start += LENGTH_BYTES
        if not 0 < size <= LARGEST_RECORD:
            raise Malformed(f"a record that is empty or longer than {LARGEST_RECORD} bytes")
        if start + size > len(content):
            raise Malformed("evidence that was cut off")
        yield _record_of(parsed(evidence_pb2.EvidenceRecord, bytes(view[start : start + size])))
        start += size


def _record_of(record: evidence_pb2.EvidenceRecord) -> Record:
    match record.WhichOneof("record"):
        case "message":
            return signed_from(record.message)
        case "chunk":
            if not 0 < len(record.chunk) <= CHUNK_BYTES:
                raise Malformed(f"a chunk that is empty or longer than {CHUNK_BYTES} bytes")
            return bytes(record.chunk)
        case "sum":
            leaves = few(record.sum.total_leaves, "leaf hashes", LARGEST_RECORD // HASH_BYTES)
            return _Begins(record.sum.attempt, tuple(exactly(leaf, HASH_BYTES, "a leaf hash") for leaf in leaves))
        case _:
            raise Malformed("a record of no kind")


class _Reader:
    """Takes records in the order that evidence has. Every method raises Malformed for a record out of its place."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self._next = next(records, None)

    def one(self, domain: str) -> m.Signed:
        """Return the message of this domain that is due."""
        found = self._taken(lambda record: isinstance(record, m.Signed) and record.domain == domain)
        if not isinstance(found, m.Signed):
            kind = domain.removeprefix("federation/").rpartition("/")[0]
            raise Malformed("evidence that was cut off" if self._next is None else f"no {kind} where one is due")
        return found

    def some(self, domain: str, most: int = MOST_OF_A_KIND) -> tuple[m.Signed, ...]:
        """Return the messages of this domain that follow."""
        found: list[m.Signed] = []
        while isinstance(self._next, m.Signed) and self._next.domain == domain:
            found.append(self.one(domain))
        return self._in_order(found, most)

    def sums(self) -> Iterator[OpenedSum | KeyedSum]:
        """Yield the sums that follow."""
        for count in range(MOST_ITEMS + 1):
            begins = self._taken(lambda record: isinstance(record, _Begins))
            if not isinstance(begins, _Begins):
                return
            if count == MOST_ITEMS:
                raise Malformed(f"more than {MOST_ITEMS} sums")
            withdrawals = self.some(Withdrawal.domain, MOST_ITEMS)  # all parties', of every attempt before this one
            if isinstance(self._next, m.Signed) and self._next.domain == Ready.domain:
                yield self._keyed(begins, withdrawals)
                continue
            yield OpenedSum(
                attempt=begins.attempt,
                total_leaves=begins.total_leaves,
                withdrawals=withdrawals,
                adverts=self.some(Advert.domain),
                shares=self.some(Shares.domain),
                contributions=self._contributions(Head.domain),
                consents=self.some(Consent.domain),
                opening=self.one(Opening.domain),
            )

    def end(self) -> None:
        """See that nothing follows."""
        if self._next is not None:
            raise Malformed("records behind the end of the job")

    def _keyed(self, begins: _Begins, withdrawals: tuple[m.Signed, ...]) -> KeyedSum:
        if begins.total_leaves:
            raise Malformed("leaf hashes of a total where none are due")
        return KeyedSum(
            attempt=begins.attempt,
            withdrawals=withdrawals,
            readies=self.some(Ready.domain),
            ciphers=self._contributions(Cipher.domain),
            partials=self._contributions(Partial.domain),
        )

    def _contributions(self, domain: str) -> tuple[Contribution, ...]:
        found: list[Contribution] = []
        while isinstance(self._next, m.Signed) and self._next.domain == domain:
            head = self.one(domain)
            chunks: list[bytes] = []
            while isinstance(chunk := self._taken(lambda record: isinstance(record, bytes)), bytes):
                chunks.append(chunk)
            found.append(Contribution(head=head, chunks=tuple(chunks)))
        self._in_order([one.head for one in found], MOST_OF_A_KIND)
        return tuple(found)

    def _taken(self, fits: Callable[[Record], bool]) -> Record | None:
        """Return the next record and go on, if it fits."""
        found = self._next
        if found is None or not fits(found):
            return None
        self._next = next(self._records, None)
        return found

    @staticmethod
    def _in_order(messages: Sequence[m.Signed], most: int) -> tuple[m.Signed, ...]:
        places = [_place(message) for message in messages]
        if len(places) > most or any(places[i] >= places[i + 1] for i in range(len(places) - 1)):
            raise Malformed("messages of one kind that are too many, twice there, or not in order")
        return tuple(messages)
