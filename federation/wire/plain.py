"""Plain sums as bytes: what the parties and the coordinator sign in them."""

from __future__ import annotations

from federation.domain.roster import Role
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.wire.fields import HASH_BYTES, Body, canonical, exactly, parsed
from federation.wire.v1 import plain_sum_pb2


def _present_to(v: Present) -> bytes:
    return canonical(plain_sum_pb2.Present(party=v.party, setup_hash=v.setup_hash))


def _present_from(body: bytes) -> Present:
    p = parsed(plain_sum_pb2.Present, body)
    return Present(setup_hash=exactly(p.setup_hash, HASH_BYTES, "a setup hash"), party=p.party)


def _vector_to(v: Vector) -> bytes:
    return canonical(
        plain_sum_pb2.Vector(party=v.party, spec_hash=v.spec_hash, chunk_root=v.chunk_root, number=v.number)
    )


def _vector_from(body: bytes) -> Vector:
    v = parsed(plain_sum_pb2.Vector, body)
    return Vector(
        spec_hash=exactly(v.spec_hash, HASH_BYTES, "a spec hash"),
        party=v.party,
        chunk_root=exactly(v.chunk_root, HASH_BYTES, "a chunk root"),
        number=v.number,
    )


def _total_to(v: Total) -> bytes:
    return canonical(plain_sum_pb2.Total(spec_hash=v.spec_hash, list_hash=v.list_hash, total_root=v.total_root))


def _total_from(body: bytes) -> Total:
    t = parsed(plain_sum_pb2.Total, body)
    return Total(
        spec_hash=exactly(t.spec_hash, HASH_BYTES, "a spec hash"),
        list_hash=exactly(t.list_hash, HASH_BYTES, "a list's hash"),
        total_root=exactly(t.total_root, HASH_BYTES, "a total's root"),
    )


PLAIN: dict[str, Body] = {
    Present.domain: Body(Role.JURISDICTION, "party", _present_to, _present_from),
    Vector.domain: Body(Role.JURISDICTION, "party", _vector_to, _vector_from),
    Total.domain: Body(Role.COORDINATOR, "", _total_to, _total_from),
}
