"""A joint key is believed when all its holders signed the same bytes, and for one epoch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.crypto.paillier.threshold import JointKey, dealt
from federation.errors import ProtocolViolation
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS, certified
from federation.wire.envelope import signed
from tests.wire.members import RELAY, people, roster

HOLDERS = ("guangdong", "hongkong", "macao")
MADE = 1_700_000_000_000


@pytest.fixture(scope="module")
def joint() -> JointKey:
    return dealt(512, HOLDERS, bytes(32))[0]


@pytest.fixture
def value(joint: JointKey) -> m.KeyCertificate:
    return m.KeyCertificate(joint_key=joint.to_bytes(), transcript=b"t" * 32, made_ms=MADE, expires_ms=MADE + EPOCH_MS)


def by(value: m.KeyCertificate, *names: str) -> list[m.Signed]:
    return [signed(people()[name], m.KEY_CERTIFICATE, value) for name in names]


def test_a_key_that_all_holders_signed_is_read_in_whatever_order(value: m.KeyCertificate, joint: JointKey) -> None:
    found = certified(by(value, *HOLDERS[::-1]), roster(), relay=RELAY)
    assert (found.joint, found.transcript, found.digest) == (joint, b"t" * 32, joint.digest)
    assert found.signatures == tuple(by(value, *HOLDERS))
    assert [found.valid(at) for at in (MADE - 1, MADE, MADE + EPOCH_MS - 1, MADE + EPOCH_MS)] == [
        False,
        True,
        True,
        False,
    ]


def test_every_holder_signs_and_nobody_else_and_all_the_same(value: m.KeyCertificate) -> None:
    other = replace(value, transcript=b"u" * 32)
    for signatures in (
        [],
        by(value, "guangdong", "hongkong"),
        by(value, "guangdong", "guangdong", "macao"),
        by(value, *HOLDERS) + by(value, "macao"),
        by(value, "guangdong", "hongkong") + by(other, "macao"),
        [replace(one, signature=bytes(64)) for one in by(value, *HOLDERS)],
        [replace(one, domain=m.KEY_JOIN) for one in by(value, *HOLDERS)],
        by(value, "guangdong", "hongkong", "ana"),
    ):
        with pytest.raises(ProtocolViolation):
            certified(signatures, roster(), relay=RELAY)


def test_what_is_no_key_or_for_another_time_is_refused_whoever_signed(value: m.KeyCertificate, joint: JointKey) -> None:
    strange = replace(joint, holders=("guangdong", "hongkong", "nobody"))
    for bad in (
        replace(value, expires_ms=value.expires_ms + 1),
        replace(value, expires_ms=value.made_ms),
        replace(value, joint_key=value.joint_key[:-1]),
        replace(value, joint_key=replace(joint, theta=joint.theta + 1).to_bytes()),
        replace(value, joint_key=strange.to_bytes()),
    ):
        with pytest.raises(ProtocolViolation):
            certified(by(bad, *HOLDERS), roster(), relay=RELAY)
