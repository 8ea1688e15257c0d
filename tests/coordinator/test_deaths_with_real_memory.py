"""kill -9 of everybody at once, with the sealed vault and the SQLite store that daemons use."""

from __future__ import annotations

from pathlib import Path

from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.store import SqliteStore
from federation.identity.sealed import SealedLog
from tests.coordinator.stage import COORDINATOR, PARTIES, Stage, assert_exact, boundaries, disturbed, people, roster

SHORT = (1, True)  # k and own figures: one secure sum
THREE = PARTIES[:3]


def test_the_sealed_vault_and_the_sqlite_store_go_the_same_way(tmp_path: Path) -> None:
    for at in range(1, boundaries(*SHORT), 4):
        folder = tmp_path / str(at)
        vaults = {party: SealedLog(folder / party, people()[party].storage_key) for party in THREE}
        stage = Stage(k=1, own_figures=True, vaults=dict(vaults), store=SqliteStore(folder / "events.db"))

        def act(stage: Stage, folder: Path = folder) -> None:
            stage.store.close()
            stage.lines.clear()
            stage.store = SqliteStore(folder / "events.db")
            stage.coordinator = Coordinator(people()[COORDINATOR], roster(), stage.store)
            stage.coordinator.resume()
            for party in THREE:
                stage.vaults[party].close()
                stage.vaults[party] = SealedLog(folder / party, people()[party].storage_key)
                stage.jurisdictions[party] = stage.driver(party)

        job, job_hash = disturbed(stage, at, act)
        assert_exact(stage, job, job_hash)
        for party in THREE:
            sealed = stage.vaults[party]
            assert isinstance(sealed, SealedLog)
            assert sealed.streams() == [], "secrets are erased"
            stage.jurisdictions[party].close()
            assert stage.engines[party].closed
        stage.store.close()
