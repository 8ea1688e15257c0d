"""A whole sum has the bytes of the vector: what was stored before an update is folded to the same messages after it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from federation.crypto.paillier.packing import Header
from federation.protocols.events import Parcel, Received
from federation.wire.convert import BODIES
from tests.protocols.paillier_sum.holders import Holders, key_of

VECTOR = Path(__file__).parent.parent.parent / "vectors" / "paillier_sum_known.json"


def said(parcel: Parcel) -> dict[str, str]:
    """A message as the vector has it."""
    value = parcel.message.value
    return {
        "domain": value.domain,
        "party": parcel.message.sender,
        "body": hashlib.sha256(BODIES[value.domain].encode(value)).hexdigest(),
        "chunks": hashlib.sha256(b"".join(parcel.chunks)).hexdigest(),
    }


def played() -> dict[str, Any]:
    """What the vector says, computed."""
    holders = Holders(3, 3, value_bits=64)
    vectors = {"p0": [1, -2, 3], "p1": [10, 20, -30], "p2": [1 << 62, 0, -(1 << 63)]}
    holders.total(vectors)
    heard = [event.parcel for event in holders.aggregator.events if isinstance(event, Received)]
    return {
        "key": key_of(3)[0].digest.hex(),
        "setup_hash": holders.setup.hash.hex(),
        "spec_hash": holders.spec.hash.hex(),
        "header": Header(scale=1, value_bits=64, terms=1, count=3).to_bytes().hex(),
        "vectors": {party: [str(number) for number in numbers] for party, numbers in vectors.items()},
        "messages": [said(parcel) for parcel in heard],
        "total": holders.aggregator.released[0].total.hex(),
    }


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return played()


def test_a_sum_has_the_bytes_of_the_vector(found: dict[str, Any]) -> None:
    known = json.loads(VECTOR.read_text("utf-8"))
    assert known["desc"]
    assert known["source"]
    assert len(found["messages"]) == 9
    for name, value in found.items():
        assert value == known[name], name
