"""The coordinator serves the certificates of joint keys, and takes none that lacks a holder's signature."""

from __future__ import annotations

from functools import cache

import pytest

from federation.coordinator.joint_keys import JointKeys
from federation.crypto.paillier.threshold import dealt
from federation.errors import ProtocolViolation
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS, Certified, certified
from federation.wire.envelope import signed
from tests.wire.members import RELAY, people, roster

HOLDERS = ("guangdong", "hongkong", "macao")


@cache
def made(seed: int) -> Certified:
    joint, _ = dealt(512, HOLDERS, bytes([seed]) * 32)
    value = m.KeyCertificate(joint_key=joint.to_bytes(), transcript=bytes(32), made_ms=seed, expires_ms=seed + EPOCH_MS)
    signatures = [signed(people()[name], m.KEY_CERTIFICATE, value) for name in HOLDERS]
    return certified(signatures, roster(), relay=RELAY)


def test_keys_of_ceremonies_and_those_that_were_given_are_found_by_their_digest() -> None:
    ceremonies: list[tuple[m.Signed, ...]] = []
    keys = JointKeys(roster(), lambda: ceremonies)
    assert keys.of(made(0).digest) is None
    ceremonies.append(made(0).signatures)
    assert keys.of(made(0).digest) == made(0), "also one that was made since"
    assert keys.keep(made(1).signatures[::-1]) == made(1)
    assert keys.of(made(1).digest) == made(1)
    assert keys.of(bytes(32)) is None
    assert keys.signatures() == [made(0).signatures, made(1).signatures]


def test_a_key_that_lacks_a_signature_is_not_taken() -> None:
    keys = JointKeys(roster(), lambda: [made(0).signatures[:2]])
    assert keys.of(made(0).digest) is None
    with pytest.raises(ProtocolViolation):
        keys.keep(made(1).signatures[:2])
    assert keys.of(made(1).digest) is None
