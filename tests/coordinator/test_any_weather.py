"""Random lists of what can go wrong, over real machines: a job ends exact, or by its deadline with who was missing.

Lines break, machines die (also in a write), frames are repeated, a second job runs beside, some never come back.
However that goes: nobody is counted twice or left out, nobody tells two stories, and nobody is blamed who did nothing.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.jurisdiction.run import Run
from federation.domain.job import State
from tests.coordinator.stage import (
    PARTIES,
    DyingStore,
    Stage,
    TornVault,
    assert_exact,
    begun,
)

THREE = PARTIES[:3]
parties = st.sampled_from(THREE)
OPERATIONS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 5)),
    st.tuples(st.just("deliver"), st.integers(0, 5)),
    st.tuples(st.just("deliver many"), st.integers(1, 12)),
    st.tuples(st.just("hang up"), parties),
    st.tuples(st.just("attend"), parties),
    st.tuples(st.just("attend"), parties),
    st.tuples(st.just("kill"), parties),
    st.tuples(st.just("dies in a write"), parties),
    st.tuples(st.just("kill coordinator"), st.none()),
    st.tuples(st.just("coordinator dies in a write"), st.booleans()),
    st.tuples(st.just("repeat"), parties),
    st.tuples(st.just("another job"), st.none()),
)


class Weather:
    """A stage, and the operations on it."""

    def __init__(self) -> None:
        self.store = DyingStore()
        self.stage = Stage(k=1, own_figures=True, store=self.store)
        self.job, self.job_hash = begun(self.stage)
        self.others = 0

    def deliver(self, which: int) -> None:
        if pending := self.stage.pending():
            self.stage.deliver(*pending[which % len(pending)])

    def do(self, what: str, argument: object) -> None:
        stage = self.stage
        match what, argument:
            case "deliver", int(which):
                self.deliver(which)
            case "deliver many", int(count):
                for which in range(count):
                    self.deliver(which)
            case "hang up", str(party):
                stage.hang_up(party)
            case "attend", str(party):
                stage.attend(party)
            case "kill", str(party):
                stage.kill(party)
            case "dies in a write", str(party):
                vault = stage.vaults[party]
                assert isinstance(vault, TornVault)
                vault.dies_at = vault.writes + 1
            case "kill coordinator", _:
                stage.kill_coordinator()
            case "coordinator dies in a write", bool(after):
                self.store.dies_at, self.store.dies_after = self.store.appends, after
            case "repeat", str(party) if party in stage.lines:
                line = stage.lines[party]
                for way in ("in", "out"):
                    if line[way]:
                        line[way].appendleft(line[way][0])
            case "another job", _ if set(THREE) <= set(stage.lines):
                self.store.dies_at = -1
                self.others += 1
                stage.submit(stage.job(token=bytes([self.others]) * 16))

    def calm(self) -> None:
        """Nobody dies any more."""
        self.store.dies_at = -1
        for vault in self.stage.vaults.values():
            assert isinstance(vault, TornVault)
            vault.dies_at = -1


def run_through(endings: Counter[str], operations: list[tuple[str, object]], away: set[str]) -> None:
    weather = Weather()
    stage, job_hash = weather.stage, weather.job_hash
    for what, argument in operations:
        weather.do(what, argument)
        endings[what] += 1
    weather.calm()
    present = [party for party in THREE if party not in away]
    for party in away:
        stage.hang_up(party)
    for _ in range(4):
        for party in present:
            if party not in stage.lines:
                stage.attend(party)
        stage.settle()
    assert not stage.violations, "honest members close no line over a frame"
    assert not stage.stories(), "nobody tells two stories"
    assert not stage.objections()
    if stage.state(job_hash) is State.RELEASED:
        endings["released" + " without " * bool(away)] += 1
        assert_exact(stage, weather.job, job_hash)
        return
    assert away, "whoever came back finished the job"
    stage.expire()
    endings[stage.state(job_hash).value] += 1
    assert {party for party, _ in stage.blames(job_hash)} <= away, "only who is away is missing"
    assert stage.blames(job_hash)


def test_any_list_of_mishaps_ends_exact_or_with_who_was_missing() -> None:
    endings: Counter[str] = Counter()

    @given(
        operations=st.lists(OPERATIONS, max_size=40),
        away=st.one_of(st.just(set()), st.just(set()), st.sets(parties, min_size=1, max_size=2)),
    )
    @settings(max_examples=120, database=None)
    def holds(operations: list[tuple[str, object]], away: set[str]) -> None:
        run_through(endings, operations, away)

    holds()
    assert endings["released"] >= 15, endings
    assert endings["refused"] + endings["aborted"] >= 5, endings
    assert all(
        endings[what] >= 10
        for what in ("hang up", "kill", "dies in a write", "kill coordinator", "coordinator dies in a write", "repeat")
    ), endings


def test_a_party_that_forgets_what_it_sent_is_found_by_the_same_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: after a restart the rounds begin again with new keys."""

    def begins_again(self: Run) -> None:
        self._announce(self._rounds, 0)

    monkeypatch.setattr(Run, "restore", begins_again)
    found = 0
    for at in range(1, 30):
        try:
            run_through(Counter(), [("deliver many", at), ("kill", "macao"), ("attend", "macao")], set())
        except AssertionError:
            found += 1
    assert found >= 5
