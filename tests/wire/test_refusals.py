"""The attack list on single messages: one file is one attack, its name says which; culprit and reason are named.

A vector builds a body from protobuf fields (or takes an honest one), and may lie about key, signature and domain.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from federation.errors import ProtocolViolation
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.convert import BODIES
from federation.wire.envelope import attested, opened
from federation.wire.jobs import value_to
from federation.wire.v1 import signed_pb2
from tests.wire.members import RELAY, honest, people, roster

FOLDER = Path(__file__).parent.parent / "vectors" / "wire"
VECTORS = sorted(FOLDER.glob("*.json"))


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def content(field: dict[str, Any]) -> bytes:
    match field:
        case {"text": text}:
            return str(text).encode()
        case {"hex": digits}:
            return bytes.fromhex(digits)
        case {"fill": byte, "times": times}:
            return bytes.fromhex(byte) * int(times)
        case {"fields": inner}:
            return encoded(inner)
        case _:
            raise ValueError(field)


def encoded(fields: list[dict[str, Any]]) -> bytes:
    """Protobuf by hand, so that a vector can say what no library would."""
    out = b""
    for field in fields:
        match field:
            case {"raw": digits}:
                one = bytes.fromhex(digits)
            case {"no": no, "varint": number}:
                one = varint(no << 3) + varint(number)
            case {"no": no, "double": text}:
                one = varint(no << 3 | 1) + struct.pack("<d", float(text))
            case {"no": no}:
                inside = content(field)
                one = varint(no << 3 | 2) + varint(len(inside)) + inside
        out += one * field.get("repeat", 1)
    return out


def body_of(written: Any) -> bytes:
    return BODIES[written["honest"]].encode(honest()[written["honest"]]) if "honest" in written else encoded(written)


def message_of(vector: dict[str, Any]) -> m.Signed:
    body = body_of(vector["body"])
    member = people()[vector["signer"]].member
    signer = people()[vector.get("signed_by", vector["signer"])]
    signed_body = body_of(vector["signed_body"]) if "signed_body" in vector else body
    signature = signer.sign(vector.get("signed_domain", vector["domain"]), signed_body)
    return m.Signed(
        body=body,
        key_id=content(vector["key"]) if "key" in vector else member.key_id,
        signature=content(vector["signature"])
        if "signature" in vector
        else signature + bytes.fromhex(vector.get("signature_tail", "")),
        domain=vector.get("called", vector["domain"]),
    )


def received(message: m.Signed, due: str) -> object:
    if due:
        return attested(message, roster(), domain=due, kind=object, relay=RELAY).value
    return opened(message, roster(), relay=RELAY).value


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_an_attack_is_refused_by_name_and_reason(path: Path) -> None:
    vector = json.loads(path.read_bytes())
    assert vector["desc"]
    assert vector["source"]
    message = convert.signed_of(convert.signed_bytes(message_of(vector)))
    with pytest.raises(ProtocolViolation) as caught:
        received(message, vector.get("due", ""))
    fault, want = caught.value, vector["want_error"]
    assert fault.party == want["party"]
    assert want["got"] in fault.got or want["got"] == fault.got
    assert len(fault.message) < 400, "what is refused is never quoted"


def test_the_same_bytes_without_the_lie_are_accepted() -> None:
    """The builder is not what is refused: an honest body, field by field, opens."""
    fields = [
        {"no": 1, "text": "guangdong"},
        {"no": 2, "fill": "6a", "times": 32},
        {"no": 3, "fill": "74", "times": 32},
    ]
    vector = {"domain": m.ATTESTATION, "signer": "guangdong", "body": fields}
    value = opened(message_of(vector), roster(), relay=RELAY).value
    assert value == m.Attestation(party="guangdong", job_hash=b"j" * 32, transcript=b"t" * 32)


def test_the_attacks_name_all_whom_they_can() -> None:
    parties = Counter(json.loads(path.read_bytes())["want_error"]["party"] for path in VECTORS)
    assert parties["guangdong"] >= 20
    assert parties[RELAY] >= 15
    assert parties["ana"] >= 10


def test_a_domain_tag_of_another_alphabet_is_kept_and_one_that_is_too_long_is_no_envelope() -> None:
    with pytest.raises(convert.Malformed, match="a domain tag longer than 200 characters"):
        convert.signed_from(signed_pb2.Signed(domain="d" * 201))
    with pytest.raises(convert.Malformed, match="a domain tag with control characters"):
        convert.signed_from(signed_pb2.Signed(domain="federation\x1b"))


def test_a_frame_without_a_message_and_one_of_half_a_job_are_no_frames() -> None:
    with pytest.raises(convert.Malformed, match="a frame without a message"):
        convert.frame_from(signed_pb2.Frame(round_index=1))
    with pytest.raises(convert.Malformed, match="a job hash of 3 bytes"):
        convert.frame_from(signed_pb2.Frame(signed=signed_pb2.Signed(), job_hash=b"job"))


def test_a_value_that_no_job_can_carry_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="cannot be a list"):
        value_to([1])  # type: ignore[arg-type]
