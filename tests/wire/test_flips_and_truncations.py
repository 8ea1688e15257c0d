"""Every truncation and every flipped bit of a message, at every place: refused by name, or harmless, and never a crash.

On the way (the relay or the line changes bytes): always refused, and never blamed on the signer. At the source (the
signer signs odd bytes): refused in the signer's name, or read as a value whose only encoding is exactly these bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from federation.crypto import signing
from federation.errors import ProtocolViolation
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.convert import BODIES, Malformed
from federation.wire.envelope import opened, signed
from tests.wire.members import RELAY, SPEAKER, honest, people, roster

DOMAINS = sorted(BODIES)


def truncated(data: bytes) -> Iterator[bytes]:
    yield from (data[:end] for end in range(len(data)))


def flipped(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in range(8):
            yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def extended(data: bytes) -> Iterator[bytes]:
    yield from (data + bytes([tail]) for tail in range(256))


def envelope(domain: str) -> m.Signed:
    return signed(people()[SPEAKER[BODIES[domain].role]], domain, honest()[domain])


def resigned(domain: str, body: bytes) -> m.Signed:
    """What a member sends that signs these very bytes."""
    signer = people()[SPEAKER[BODIES[domain].role]]
    return m.Signed(body, signer.member.key_id, signer.sign(domain, body), domain)


def outcome(data: bytes) -> str:
    """How a receiver takes envelope bytes: "not an envelope", who is blamed, or "accepted"."""
    try:
        message = convert.signed_of(data)
    except Malformed as fault:
        assert str(fault)
        return "not an envelope"
    try:
        opened(message, roster(), relay=RELAY)
    except ProtocolViolation as fault:
        assert fault.phase
        assert fault.expected
        assert fault.got
        return fault.party
    return "accepted"


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_bit_can_be_flipped_and_no_byte_cut_on_the_way_and_the_signer_is_not_blamed(domain: str) -> None:
    whole = convert.signed_bytes(envelope(domain))
    assert outcome(whole) == "accepted"
    found = Counter(outcome(changed) for way in (truncated, flipped, extended) for changed in way(whole))
    assert set(found) == {"not an envelope", RELAY}, found
    assert found["not an envelope"] > 100
    assert found[RELAY] > 1000


def test_without_the_signature_flips_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "verify", lambda *_: True)
    whole = convert.signed_bytes(envelope(m.ATTESTATION))
    found = Counter(outcome(changed) for changed in flipped(whole))
    assert found["accepted"] > 100
    assert found["guangdong"] > 0, "and the signer would be blamed for what the line did"


def read(domain: str, body: bytes) -> str:
    """How a receiver takes signed odd bytes: "another", "same", or the reason of the refusal."""
    try:
        value = opened(resigned(domain, body), roster(), relay=RELAY).value
    except ProtocolViolation as fault:
        assert fault.party == SPEAKER[BODIES[domain].role], "the one who signed is to blame"
        return "refused"
    assert BODIES[domain].encode(value) == body, "one meaning has one encoding"
    return "same" if value == honest()[domain] else "another"


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_signer_of_odd_bytes_is_refused_by_name_or_understood_exactly(domain: str) -> None:
    body = BODIES[domain].encode(honest()[domain])
    assert read(domain, body) == "same"
    cut = Counter(read(domain, changed) for changed in truncated(body))
    flips = Counter(read(domain, changed) for changed in flipped(body))
    grown = Counter(read(domain, changed) for changed in extended(body))
    assert cut["same"] == flips["same"] == grown["same"] == 0, "other bytes never mean the same"
    assert cut["refused"] > 0
    assert flips["refused"] > 0
    assert grown["refused"] >= 250


def test_without_the_canonical_check_other_bytes_would_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(kind: type, body: bytes) -> object:
        message = kind()
        try:
            message.ParseFromString(body)
        except Exception:  # noqa: BLE001 - the planted fault keeps the other refusal
            raise Malformed("bytes that do not parse") from None
        return message

    monkeypatch.setattr(convert, "parsed", lenient)
    body = BODIES[m.ATTESTATION].encode(honest()[m.ATTESTATION])
    unknown = body + b"\x7a\x01x"  # field 15, which nobody knows
    with pytest.raises(AssertionError, match="one meaning has one encoding"):
        read(m.ATTESTATION, unknown)


def test_a_frame_of_the_log_may_be_cut_or_flipped_anywhere() -> None:
    frame = m.Frame(envelope(m.ATTESTATION), (b"chunk one", b"two"), b"j" * 32, 3)
    whole = convert.frame_bytes(frame)
    found: Counter[str] = Counter()
    for way in (truncated, flipped):
        for changed in way(whole):
            try:
                again = convert.frame_of(changed)
            except Malformed:
                found["refused"] += 1
                continue
            assert again != frame or changed == whole
            assert convert.frame_bytes(again) == changed or again.signed == frame.signed
            found["another frame"] += 1
    assert found["refused"] > 100
    assert found["another frame"] > 100, "its signed part is judged by the signature, its parts by their root"
