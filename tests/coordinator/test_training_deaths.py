"""kill -9 of anybody at every boundary of a training, and losses in every round of it.

Whoever comes back goes on where it stood, with the same bytes; who is left of five trains on without the others, as a
training of theirs would from there; three wait, and end with a name if nobody comes. What ends is compared, bit for
bit, with plain addition of the updates of those who were counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from clients.jurisdiction import sums as party_sums
from clients.jurisdiction.learning import Learning
from federation.coordinator import folding
from federation.coordinator.store import MemoryStore
from federation.domain.job import State
from federation.jobs import training
from federation.wire import messages as m
from tests.coordinator.stage import DEADLINE_MS, PARTIES, Stage
from tests.coordinator.test_lost_parties import SOON, STEPS, UNCOUNTED, lose, survivors, without_them
from tests.coordinator.training_stage import (
    LongStore,
    LongVault,
    TrainingStage,
    assert_trained,
    boundaries,
    disturbed,
    opened_sums,
    trains,
)

pytest.importorskip("torch")

THREE, FIVE = PARTIES[:3], PARTIES[:5]
SUMS = 5  # one of standardising, two updates, two evaluations
Act = Callable[[Stage], None]


LONG = 1_500  # bytes: updates of the wide model are longer, shares of keys are not
WIDE: dict[str, Any] = {"model": "mlp", "config": (("hidden", (96,)),)}


@pytest.fixture(params=[False, True], ids=["all", "sample"])
def long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let vectors count as too long for the databases: they are made again, and sent again; and drawn by lot."""
    monkeypatch.setattr(folding, "LONG_BYTES", LONG)
    monkeypatch.setattr(party_sums, "LONG_BYTES", LONG)
    if request.param:
        monkeypatch.setattr(training, "ALL_BYTES", 0)


def kill(*parties: str, coordinator: bool = False, at_once: bool = True) -> Act:
    def act(stage: Stage) -> None:
        if coordinator:
            stage.kill_coordinator()
        for party in parties:
            stage.kill(party)
            if at_once and not coordinator:
                stage.attend(party)

    return act


# --- everybody comes back ---------------------------------------------------------------------------------------------


def test_an_undisturbed_training_ends_as_plain_addition_does() -> None:
    for k, own_figures in ((1, True), (2, False)):
        stage = TrainingStage(k=k, own_figures=own_figures)
        job, job_hash = trains(stage)
        stage.settle()
        released = assert_trained(stage, job, job_hash)
        assert len(released.totals) == opened_sums(stage, job) == SUMS + (k > 1)


@pytest.mark.parametrize("party", THREE)
def test_a_jurisdiction_may_die_at_any_boundary(party: str) -> None:
    """All 174 were tried; here each party dies at every twelfth, and no two at the same."""
    for at in range(4 * THREE.index(party), boundaries(), 12):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(party, at_once=at % 8 == 0))
        assert_trained(stage, job, job_hash)


def test_the_coordinator_may_die_at_any_boundary() -> None:
    for at in range(1, boundaries(), 7):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(coordinator=True))
        assert_trained(stage, job, job_hash)


def test_everybody_may_die_at_once() -> None:
    for at in range(3, boundaries(), 17):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(*THREE, coordinator=True))
        assert_trained(stage, job, job_hash)


@pytest.mark.usefixtures("long")
def test_a_jurisdiction_may_die_while_its_update_is_too_long_to_be_stored() -> None:
    """Also while the others draw samples, and keys of the next sum overtake what it drew."""
    for at in (44, 54, 66, 78, 96, 117, 118, 119, 120, 121, 150):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(THREE[at % 3], at_once=at % 2 == 0), **WIDE)
        assert_trained(stage, job, job_hash)


@pytest.mark.usefixtures("long")
def test_a_coordinator_may_die_over_long_updates_at_any_boundary() -> None:
    """Also between a total and the samples of it: what came is kept beside the database, and folded again."""
    for at in range(42, 170, 5):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(coordinator=True), **WIDE)
        assert_trained(stage, job, job_hash)


@pytest.mark.usefixtures("long")
def test_a_power_cut_over_long_updates_ends_a_training_or_lets_it_go_on_and_never_with_another_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted fault of the test above: without the long bytes, who lacked the last opening has to begin anew."""
    monkeypatch.setattr(MemoryStore, "bulk", lambda *_: None)
    ended = [state for state, _ in after_deaths_of_the_coordinator()]
    assert len(ended) > ended.count(State.RELEASED) > 2 * len(ended) / 3


@pytest.mark.usefixtures("long")
def test_long_bytes_of_which_a_power_cut_kept_other_pages_are_none_and_nobodys_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are held against the root that their party signed; the planted fault takes them, and blames the party."""
    bulk = MemoryStore.bulk

    def torn(self: MemoryStore, job_hash: bytes, party: str, digest: bytes) -> tuple[Any, ...] | None:
        found = bulk(self, job_hash, party, digest)
        return None if found is None else (*found[:-1], bytes([found[-1][0] ^ 1]) + bytes(found[-1][1:]))

    with monkeypatch.context() as patched:
        patched.setattr(MemoryStore, "bulk", lambda *_: None)
        nothing = after_deaths_of_the_coordinator()
    monkeypatch.setattr(MemoryStore, "bulk", torn)
    assert after_deaths_of_the_coordinator() == nothing
    monkeypatch.setattr(folding, "_bulk", lambda store, job_hash, said: store.bulk(job_hash, said.sender, said.digest))
    assert after_deaths_of_the_coordinator() != nothing


def after_deaths_of_the_coordinator() -> list[tuple[State, tuple[str, ...]]]:
    """Return how trainings end whose coordinator dies once, each at another boundary, and who is blamed."""
    ended = []
    for at in range(42, 170, 9):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(coordinator=True), **WIDE)
        state = stage.state(job_hash)
        ended.append((state, tuple(blame.party for blame in stage.coordinator.update(job_hash, "ana").blames)))
        if state is State.RELEASED:
            assert_trained(stage, job, job_hash)
        else:
            stage.expire()
            assert stage.state(job_hash) is State.ABORTED
            assert stage.coordinator.released(job_hash, "ana") == ((), ())
    return ended


@pytest.mark.usefixtures("long")
def test_bytes_that_no_vector_has_do_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    keep_bulk = MemoryStore.keep_bulk

    def counted(self: MemoryStore, job_hash: bytes, party: str, digest: bytes, parts: Sequence[bytes]) -> None:
        kept.append(sum(map(len, parts)))
        keep_bulk(self, job_hash, party, digest, parts)

    monkeypatch.setattr(MemoryStore, "keep_bulk", counted)
    honest = TrainingStage()
    job, job_hash = trains(honest, **WIDE)
    honest.settle()
    assert_trained(honest, job, job_hash)
    assert kept
    longest = max(kept)
    for domain in ("federation/advert/v2", "federation/head/v2", m.VERDICT):
        kept.clear()
        stage = TrainingStage()
        _, job_hash = trains(stage, **WIDE)

        def stuffed(way: str, party: str, frame: m.Frame, domain: str = domain) -> Sequence[m.Frame]:
            mine = (way, party) == ("in", "macao") and frame.signed.domain == domain
            return (replace(frame, parts=(*frame.parts, bytes(100_000))) if mine else frame,)

        stage.link = stuffed
        stage.settle()
        assert all(size <= longest for size in kept), domain


def test_an_answer_that_is_kept_nowhere_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: after a restart a party that sent its vector has lost what it keeps beside it."""

    def forgetful(self: Learning) -> None:
        if self._answer is not None:
            self._kept, self._lost, self._answer = self._answer.kept, self._answer.lost, None

    monkeypatch.setattr(Learning, "closed", forgetful)
    seen = 0
    for at in range(54, 90, 8):
        stage = TrainingStage()
        job, job_hash = disturbed(stage, at, kill(*THREE))
        assert stage.state(job_hash) is State.RELEASED
        seen += stage.released(job_hash).transcript != stage.plain(job).run().transcript
    assert seen


# --- n = 5: who is left goes on ---------------------------------------------------------------------------------------


def stage_of(parties: int, **more: Any) -> TrainingStage:
    return TrainingStage(names=PARTIES[:parties], patience=SOON, **more)


def patiently(stage: TrainingStage, job_hash: bytes) -> None:
    """Let patience pass as often as it takes."""
    for _ in range(2 * SUMS):
        if stage.state(job_hash).ended:
            return
        stage.wait(stage.now_ms + SOON.away_ms)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("index", range(SUMS))
def test_five_go_on_without_one_that_is_lost_in_any_round(index: int, step: str) -> None:
    """Counted in what it sent its numbers for, in nothing after it; the model is that of those who were counted."""
    stage = stage_of(5)
    job, job_hash = trains(stage, 4)
    lost = lose(stage, ["macao"], step, index=index)
    patiently(stage, job_hash)
    assert lost == ["macao"]
    left = survivors(job, ["macao"])
    counted_in = index - (step in UNCOUNTED)
    assert_trained(stage, job, job_hash, [job.parties if at <= counted_in else left for at in range(SUMS)])
    assert stage.now_ms < DEADLINE_MS, "nobody waited for the deadline"


@pytest.mark.parametrize("index", [1, 2, 3])
def test_who_comes_back_too_late_stays_aside_and_hears_nothing(index: int) -> None:
    stage = stage_of(5)
    job, job_hash = trains(stage, 4)
    lose(stage, ["macao"], "head", index=index)
    stage.settle()
    without_them(stage)
    before = set(stage.sent)
    told: list[m.Frame] = []

    def heard(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        told.extend([frame] if (way, party) == ("out", "macao") else [])
        return (frame,)

    stage.link = heard
    stage.kill("macao")
    stage.attend("macao")
    patiently(stage, job_hash)
    left = survivors(job, ["macao"])
    assert_trained(stage, job, job_hash, [job.parties if at < index else left for at in range(SUMS)])
    assert (("macao", m.ATTESTATION, job_hash, 0, 0)) not in stage.sent
    assert not [one for one in told if one.round_index > index + 1]
    assert not [key for key in set(stage.sent) - before if key[0] == "macao" and key[3] > index + 1]


def test_two_of_seven_are_lost_in_different_rounds() -> None:
    stage = stage_of(7)
    job, job_hash = trains(stage, 5)
    lose(stage, ["macao"], "head", index=1)
    stage.settle()
    lost = lose(stage, ["zunyi"], "shares", index=3)
    patiently(stage, job_hash)
    assert lost == ["zunyi"]
    six, five = survivors(job, ["macao"]), survivors(job, ["macao", "zunyi"])
    assert_trained(stage, job, job_hash, [job.parties, six, six, five, five])


def test_within_standardising_nobody_may_be_missing_who_was_counted() -> None:
    stage = stage_of(5, k=2, own_figures=False)
    job, job_hash = trains(stage, 4)
    lose(stage, ["macao"], "head", index=1)
    stage.wait(DEADLINE_MS - 1)
    assert stage.coordinator.update(job_hash, "ana").round_index == 1
    stage.attend("macao")
    stage.settle()
    assert_trained(stage, job, job_hash)


def test_where_all_are_wanted_nobody_is_left_out() -> None:
    stage = stage_of(5)
    job, job_hash = trains(stage, 5)
    lose(stage, ["macao"], "head", index=3)
    stage.wait(DEADLINE_MS - 1)
    assert stage.coordinator.update(job_hash, "ana").round_index == 3
    stage.attend("macao")
    stage.settle()
    assert_trained(stage, job, job_hash)


@pytest.mark.parametrize("step", STEPS)
def test_a_coordinator_that_dies_after_it_went_on_stands_where_it_stood(step: str) -> None:
    """And the one that was lost never comes back: who is left ends as it would have ended without that death."""
    for index, after in ((1, 9), (3, 14)):
        stage = stage_of(5)
        job, job_hash = trains(stage, 4)
        lose(stage, ["macao"], step, index=index)
        stage.settle()
        without_them(stage)
        for _ in range(after):
            if stage.pending():
                stage.deliver(*stage.pending()[0])
        stage.kill_coordinator()
        stage.attend(*survivors(job, ["macao"]))
        patiently(stage, job_hash)
        left, counted_in = survivors(job, ["macao"]), index - (step in UNCOUNTED)
        assert_trained(stage, job, job_hash, [job.parties if at <= counted_in else left for at in range(SUMS)])


def test_a_coordinator_and_a_party_may_be_lost_together_at_any_boundary() -> None:
    """The coordinator starts again, the party never does: the other four end with what they agreed on."""
    for at in range(40, 330, 48):
        stage = stage_of(5)

        job, job_hash = trains(stage, 4)
        due = stage.delivered + at

        def boundary(stage: Stage, due: int = due) -> None:
            if stage.delivered == due:
                stage.boundary = lambda _: None
                stage.kill_coordinator()
                stage.attend(*(party for party in FIVE if party != "macao"))

        stage.boundary = boundary
        stage.settle()
        stage.boundary = lambda _: None
        patiently(stage, job_hash)
        sets = stage.released(job_hash).contributors
        assert set(sets) <= {job.parties, survivors(job, ["macao"])}
        assert_trained(stage, job, job_hash, sets)


# --- n = 3: pause and resume ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_three_pause_in_every_round_and_resume_with_the_same_bytes(step: str) -> None:
    for index in range(len(step) % 2, SUMS, 2):
        stage = stage_of(3)
        job, job_hash = trains(stage)
        party = THREE[(index + len(step)) % 3]
        lost = lose(stage, [party], step, index=index)
        stage.wait(DEADLINE_MS - 1)
        assert lost == [party]
        assert stage.state(job_hash) is State.RUNNING
        reached = stage.coordinator.update(job_hash, "ana").round_index
        assert max(0, index - 1) <= reached <= index, "keys of a sum travel during the one before it"
        stage.kill(party)
        stage.attend(party)
        stage.settle()
        assert_trained(stage, job, job_hash)


@pytest.mark.parametrize("step", [*STEPS, "attestation"])
def test_three_of_whom_one_never_comes_back_end_with_its_name(step: str) -> None:
    stage = stage_of(3)
    _, job_hash = trains(stage)
    lose(stage, ["macao"], step, index=0 if step == "attestation" else 3)
    stage.wait(DEADLINE_MS)
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("macao", "unavailable")}
    assert stage.coordinator.released(job_hash, "ana") == ((), ())


# --- in the middle of a write -----------------------------------------------------------------------------------------


def test_a_jurisdiction_may_die_in_the_middle_of_a_write() -> None:
    deaths = 0
    for at in range(3, 90, 8):
        vault = LongVault()
        vault.dies_at = at
        stage = TrainingStage(vaults={"macao": vault})
        job, job_hash = trains(stage)
        stage.settle()
        stage.come_back()
        assert_trained(stage, job, job_hash)
        deaths += vault.dies_at == -1
    assert deaths >= 5


def test_a_jurisdiction_may_die_in_the_middle_of_a_write_while_another_one_is_lost() -> None:
    """What it keeps outside its database may be a sum ahead of it: also then it knows the attempt that is next."""
    for at in range(4, 12):
        vault = LongVault()
        stage = stage_of(5, vaults={"guangdong": vault})
        job, job_hash = trains(stage, 4)
        lose(stage, ["macao"], "head", index=1)
        stage.settle()
        vault.dies_at = vault.writes + at
        without_them(stage)
        stage.settle()
        assert vault.dies_at == -1
        if "guangdong" not in stage.lines:
            stage.attend("guangdong")
        patiently(stage, job_hash)
        left = survivors(job, ["macao"])
        assert_trained(stage, job, job_hash, [job.parties, *[left] * (SUMS - 1)])


@pytest.mark.parametrize("after", [False, True])
def test_the_coordinator_may_die_before_and_after_a_write(after: bool) -> None:
    deaths = 0
    for at in range(2, 50, 6):
        store = LongStore()
        store.dies_at, store.dies_after = at, after
        stage = TrainingStage(store=store)
        job, job_hash = trains(stage)
        stage.settle()
        stage.come_back()
        assert_trained(stage, job, job_hash)
        deaths += store.appends > at
    assert deaths >= 3
