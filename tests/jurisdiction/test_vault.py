"""One contract, every vault: what the driver relies on, in memory, sealed, and in our tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.jurisdiction.vault import MemoryVault, Vault
from federation.identity.sealed import SealedLog
from tests.coordinator.stage import Killed, TornVault

JOB, OTHER = b"j" * 32, b"o" * 32
KEY = bytes(range(32))
DURABLE = ("sealed", "torn")  # undo a transaction that did not end


def opened(kind: str, folder: Path) -> Vault:
    match kind:
        case "memory":
            return MemoryVault()
        case "torn":
            return TornVault()
        case _:
            return SealedLog(folder / "state", KEY)


@pytest.fixture(params=["memory", "sealed", "torn"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    made = opened(request.param, tmp_path)
    yield made
    made.close()


def test_events_come_back_in_order_and_an_append_tells_its_place(vault: Vault) -> None:
    assert vault.append_many(JOB, [("begin", b"first"), ("vector", b"second")]) == 0
    assert vault.append_many(OTHER, [("begin", b"")]) == 0
    assert vault.append_many(JOB, [("total", b"third")]) == 2
    assert vault.read(JOB) == [("begin", b"first"), ("vector", b"second"), ("total", b"third")]
    assert vault.read(b"unknown") == []


def test_an_erased_stream_is_gone_and_begins_again_at_the_start(vault: Vault) -> None:
    vault.append_many(JOB, [("begin", b"entropy")])
    vault.append_many(OTHER, [("begin", b"kept")])
    vault.erase(JOB)
    vault.erase(b"never there")
    assert (vault.read(JOB), vault.read(OTHER)) == ([], [("begin", b"kept")])
    assert vault.append_many(JOB, [("begin", b"again")]) == 0


def test_put_replaces_and_put_new_does_not(vault: Vault) -> None:
    assert vault.get(b"q") is None
    assert vault.put_new(b"q", b"over a, b, c") is True
    assert vault.put_new(b"q", b"over a, b") is False
    assert vault.get(b"q") == b"over a, b, c"
    vault.put(b"q", b"replaced")
    assert vault.get(b"q") == b"replaced"


def test_put_new_is_not_fooled_by_the_very_same_value(vault: Vault) -> None:
    value = b"over a, b, c"
    assert [vault.put_new(b"q", value) for _ in range(3)] == [True, False, False]
    assert [vault.put_new(b"empty", b"") for _ in range(2)] == [True, False]


def test_comparing_identities_would_call_the_same_value_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryVault, "put_new", lambda self, k, v: self._records.setdefault(k, v) is v)
    value = b"over a, b, c"
    assert [MemoryVault.put_new(MemoryVault(), b"q", value)] == [True]
    vault = MemoryVault()
    assert [vault.put_new(b"q", value), vault.put_new(b"q", value)] == [True, True], "the fault that the test finds"


def test_streams_and_records_do_not_share_names(vault: Vault) -> None:
    vault.append_many(b"x" * 32, [("event", b"1")])
    assert vault.get(b"x" * 32) is None
    vault.put(b"x" * 32, b"record")
    assert vault.read(b"x" * 32) == [("event", b"1")]


def test_what_a_reader_does_with_its_list_does_not_reach_the_vault(vault: Vault) -> None:
    vault.append_many(JOB, [("begin", b"1")])
    vault.read(JOB).clear()
    assert vault.read(JOB) == [("begin", b"1")]


def test_a_transaction_keeps_what_it_wrote_and_blocks_nest(vault: Vault) -> None:
    with vault.together():
        vault.append_many(JOB, [("begin", b"1")])
        with vault.together():
            vault.put(b"k", b"v")
        assert vault.read(JOB) == [("begin", b"1")], "readable inside"
    assert vault.get(b"k") == b"v"


@pytest.mark.parametrize("kind", DURABLE)
@pytest.mark.parametrize("death", [KeyboardInterrupt, Killed, ValueError])
def test_a_transaction_that_does_not_end_never_happened(kind: str, death: type[BaseException], tmp_path: Path) -> None:
    vault = opened(kind, tmp_path)
    vault.append_many(JOB, [("begin", b"before")])
    vault.put(b"k", b"before")

    def dies() -> None:
        with vault.together():
            vault.append_many(JOB, [("vector", b"lost")])
            vault.erase(JOB)
            vault.put(b"k", b"lost")
            raise death

    with pytest.raises(death):
        dies()
    assert vault.read(JOB) == [("begin", b"before")]
    assert vault.get(b"k") == b"before"
    vault.close()


def test_the_sealed_vault_remembers_after_a_restart(tmp_path: Path) -> None:
    vault = opened("sealed", tmp_path)
    with vault.together():
        vault.append_many(JOB, [("begin", b"1")])
        vault.put_new(b"q", b"set")
    vault.close()
    again = opened("sealed", tmp_path)
    assert (again.read(JOB), again.get(b"q")) == ([("begin", b"1")], b"set")
    assert again.put_new(b"q", b"another set") is False
    again.close()
