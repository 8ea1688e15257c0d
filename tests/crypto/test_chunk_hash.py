"""A chunk's hash is BLAKE3 under a context of its own, and is the hash of nothing else."""

from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3

from federation.crypto.chunk_hash import CONTEXT, chunk_hash
from federation.ledger import merkle

# Lengths at which BLAKE3 goes over to another block (64), chunk (1024) or subtree; input bytes count up modulo 251, as
# in the test vectors of its authors.
KNOWN = {
    0: "1891281854bedfee46eeb328b9de16b3e5b6ba14ea71faade05e7729b9e7ec2f",
    1: "09476b71cf1dbfdc6b9a5c3aa4722beccefcb5aeada1115de5281da23550f2fe",
    64: "4b22b7e85e251197d1a0676dd1424593bc583fe366a48d8a419f32dd312db5ca",
    65: "48588224abf3eee42aba9648153c64a41fb5e924858b76e90620ebe359127f3e",
    1024: "acd38e33c1153de75af311644011dd186f43da294641df8e5cd8a3d1da56bd65",
    1025: "447becae530f4a4b4070e6d9f07727ba89fce70bac64ffa7ed648150ef5316f2",
    262144: "3d7a81a869ebab0e891023cc20ae8da1d802fc64aea0b921897b1c2d40702048",
}


def counting(size: int) -> bytes:
    return bytes(i % 251 for i in range(size))


def test_the_authors_own_vector_of_key_derivation_is_met() -> None:
    context = "BLAKE3 2019-12-27 16:29:52 test vectors context"
    found = blake3(b"", derive_key_context=context).hexdigest()
    assert found == "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d"


@pytest.mark.parametrize("size", KNOWN)
def test_a_chunk_has_the_hash_that_it_always_had(size: int) -> None:
    assert chunk_hash(counting(size)).hex() == KNOWN[size]


def test_a_view_has_the_hash_of_its_bytes() -> None:
    data = counting(1 << 18)
    assert chunk_hash(memoryview(data)[7:70_000]) == chunk_hash(data[7:70_000])


def test_one_flipped_bit_is_another_hash() -> None:
    data = bytearray(counting(5000))
    before = chunk_hash(bytes(data))
    data[4999] ^= 1
    assert chunk_hash(bytes(data)) != before


def test_no_leaf_of_a_chunk_is_a_leaf_of_the_ledger_or_an_inner_node() -> None:
    left, right = chunk_hash(b"a"), chunk_hash(b"b")
    assert chunk_hash(left + right) != merkle.root([left, right])
    assert chunk_hash(b"a") not in {merkle.leaf_hash(b"a"), hashlib.sha256(b"a").digest(), blake3(b"a").digest()}
    assert CONTEXT.startswith("federation ")
