"""A daemon does not go back to an older roster, however well it is signed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clients.jurisdiction.daemon import remember
from clients.jurisdiction.vault import MemoryVault
from federation.domain.roster import Roster
from federation.errors import Refused
from federation.identity.sealed import SealedLog

ROSTER = Roster(federation="gba", version=2, members=())


def test_an_older_roster_is_refused_and_a_newer_one_taken() -> None:
    vault = MemoryVault()
    remember(vault, ROSTER)
    remember(vault, ROSTER)
    with pytest.raises(Refused, match=r"version 1.*version 2") as caught:
        remember(vault, replace(ROSTER, version=1))
    assert caught.value.rule == "roster"
    remember(vault, replace(ROSTER, version=3))
    with pytest.raises(Refused):
        remember(vault, ROSTER)


def test_it_is_remembered_over_a_restart_and_for_each_federation(tmp_path: Path) -> None:
    with SealedLog(tmp_path / "state", bytes(32)) as log:
        remember(log, ROSTER)
    with SealedLog(tmp_path / "state", bytes(32)) as log:
        remember(log, replace(ROSTER, federation="other", version=1))
        with pytest.raises(Refused):
            remember(log, replace(ROSTER, version=1))


def test_without_a_memory_it_would_come_back() -> None:
    remember(MemoryVault(), ROSTER)
    remember(MemoryVault(), replace(ROSTER, version=1))  # the planted fault: nothing was remembered
