"""The coordinator keeps the certificates of joint keys, and none that lacks a holder's signature."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.coordinator.joint_keys import JointKeys
from federation.coordinator.store import MemoryStore, SqliteStore
from federation.errors import ProtocolViolation
from tests.jurisdiction.test_joint_keys import made
from tests.wire.members import roster


def test_certificates_are_there_after_a_restart_in_order(tmp_path: Path) -> None:
    (first, _), (second, _) = made(0), made(1)
    store = SqliteStore(tmp_path / "store.db")
    keys = JointKeys(store, roster())
    assert keys.keep(second.signatures) == second
    assert keys.keep(first.signatures[::-1]) == first
    assert keys.keep(second.signatures) == second
    store.close()
    again = JointKeys(SqliteStore(tmp_path / "store.db"), roster())
    assert again.all() == (second, first)
    assert again.of(first.digest) == first
    assert again.of(bytes(32)) is None
    assert again.keep(first.signatures) == first


def test_a_key_that_lacks_a_signature_is_not_kept() -> None:
    first, _ = made(0)
    keys = JointKeys(MemoryStore(), roster())
    with pytest.raises(ProtocolViolation):
        keys.keep(first.signatures[:2])
    assert keys.all() == ()
