"""A jurisdiction keeps its share of a joint key sealed for one epoch, and no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.vault import MemoryVault, Vault
from federation.crypto.paillier.threshold import KeyShare, dealt
from federation.errors import Misuse
from federation.identity.sealed import SealedLog
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS, Certified, certified
from federation.wire.envelope import signed
from tests.wire.members import RELAY, people, roster

HOLDERS = ("guangdong", "hongkong", "macao")
MADE = 1_700_000_000_000


@cache
def made(seed: int) -> tuple[Certified, dict[str, KeyShare]]:
    joint, shares = dealt(512, HOLDERS, bytes([seed]) * 32)
    value = m.KeyCertificate(
        joint_key=joint.to_bytes(),
        transcript=bytes([seed]) * 32,
        made_ms=MADE + seed,
        expires_ms=MADE + seed + EPOCH_MS,
    )
    signatures = [signed(people()[name], m.KEY_CERTIFICATE, value) for name in HOLDERS]
    return certified(signatures, roster(), relay=RELAY), shares


@pytest.fixture(params=["memory", "sealed"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Vault]]:
    """Return what opens the vault, again after a restart where it is durable."""
    opened: list[Vault] = [MemoryVault()] if request.param == "memory" else []

    def open_again() -> Vault:
        if request.param == "sealed":
            for vault in opened:
                vault.close()
            opened[:] = [SealedLog(tmp_path / "state", bytes(32))]
        return opened[0]

    yield open_again
    for vault in opened:
        vault.close()


def test_a_kept_key_is_there_after_a_restart(reopened: Callable[[], Vault]) -> None:
    (first, shares), (second, others) = made(0), made(1)
    keys = JointKeys(reopened())
    keys.keep(first, shares["macao"])
    keys.keep(second, others["macao"])
    keys.keep(first, shares["macao"])
    again = JointKeys(reopened())
    assert [held.joint for held in again.all()] == [first.joint, second.joint]
    held = again.held(first.digest)
    assert held is not None
    assert (held.joint, held.share, held.expires_ms) == (first.joint, shares["macao"], MADE + EPOCH_MS)
    assert again.held(bytes(32)) is None


def test_a_share_is_erased_when_its_epoch_is_over_and_not_before(reopened: Callable[[], Vault]) -> None:
    (first, shares), (second, others) = made(0), made(1)
    keys = JointKeys(reopened())
    keys.keep(first, shares["macao"])
    keys.keep(second, others["macao"])
    assert keys.erase_expired(MADE + EPOCH_MS - 1) == ()
    assert keys.erase_expired(MADE + EPOCH_MS) == (first.digest,)
    assert keys.held(first.digest) is None
    again = JointKeys(reopened())
    assert [held.joint for held in again.all()] == [second.joint]
    assert again.erase_expired(MADE + 2 * EPOCH_MS) == (second.digest,)
    assert again.all() == ()


def test_an_erased_share_is_nowhere_in_the_vault() -> None:
    """Looks at everything that the vault holds, not only at what it returns."""
    first, shares = made(0)
    vault = MemoryVault()
    keys = JointKeys(vault)
    keys.keep(first, shares["macao"])
    secret = shares["macao"].to_bytes()
    assert any(payload == secret for events in vault._streams.values() for _, payload in events)
    keys.erase_expired(MADE + EPOCH_MS)
    assert not vault._streams


def test_a_share_of_another_key_is_not_kept() -> None:
    (first, _), (_, others) = made(0), made(1)
    keys = JointKeys(MemoryVault())
    with pytest.raises(Misuse, match="a share of another key"):
        keys.keep(first, others["macao"])
    stranger = KeyShare(joint=first.digest, holder="elsewhere", d=5)
    with pytest.raises(Misuse, match="a share of another key"):
        keys.keep(first, stranger)
    assert keys.all() == ()


def test_a_share_is_never_shown() -> None:
    first, shares = made(0)
    keys = JointKeys(MemoryVault())
    keys.keep(first, shares["macao"])
    assert str(shares["macao"].d) not in repr(keys.held(first.digest))
