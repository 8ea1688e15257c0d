"""Sums under a joint key as bytes: what the parties sign in them."""

from __future__ import annotations

from federation.domain.roster import Role
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.wire.fields import HASH_BYTES, Body, at_most, canonical, exactly, parsed
from federation.wire.v1 import paillier_sum_pb2

HEADER_BYTES = 28
LONGEST_PROOF = 16 << 10  # bytes; one under the longest key has 6.2 KiB


def _hash(value: bytes, what: str) -> bytes:
    return exactly(value, HASH_BYTES, what)


def _ready_to(v: Ready) -> bytes:
    return canonical(paillier_sum_pb2.Ready(party=v.party, setup_hash=v.setup_hash))


def _ready_from(body: bytes) -> Ready:
    r = parsed(paillier_sum_pb2.Ready, body)
    return Ready(setup_hash=_hash(r.setup_hash, "a setup hash"), party=r.party)


def _cipher_to(v: Cipher) -> bytes:
    return canonical(
        paillier_sum_pb2.Cipher(
            party=v.party,
            spec_hash=v.spec_hash,
            header=v.header,
            chunk_root=v.chunk_root,
            number=v.number,
            proof=v.proof,
        )
    )


def _cipher_from(body: bytes) -> Cipher:
    c = parsed(paillier_sum_pb2.Cipher, body)
    return Cipher(
        spec_hash=_hash(c.spec_hash, "a spec hash"),
        party=c.party,
        header=exactly(c.header, HEADER_BYTES, "a header"),
        chunk_root=_hash(c.chunk_root, "a chunk root"),
        number=c.number,
        proof=at_most(c.proof, LONGEST_PROOF, "a proof"),
    )


def _partial_to(v: Partial) -> bytes:
    return canonical(
        paillier_sum_pb2.Partial(
            party=v.party,
            spec_hash=v.spec_hash,
            set_hash=v.set_hash,
            chunk_root=v.chunk_root,
            proof=v.proof,
        )
    )


def _partial_from(body: bytes) -> Partial:
    p = parsed(paillier_sum_pb2.Partial, body)
    return Partial(
        spec_hash=_hash(p.spec_hash, "a spec hash"),
        set_hash=_hash(p.set_hash, "a set hash"),
        party=p.party,
        chunk_root=_hash(p.chunk_root, "a chunk root"),
        proof=at_most(p.proof, LONGEST_PROOF, "a proof"),
    )


CIPHERS: dict[str, Body] = {
    Ready.domain: Body(Role.JURISDICTION, "party", _ready_to, _ready_from),
    Cipher.domain: Body(Role.JURISDICTION, "party", _cipher_to, _cipher_from),
    Partial.domain: Body(Role.JURISDICTION, "party", _partial_to, _partial_from),
}
