"""Lines that break at every boundary between two frames, and parties that come back.

Whatever happens on the way, a job ends with the exact total in which everybody is once, or says who is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from federation.coordinator.run import Run
from federation.domain.job import State
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.masks import Streams
from tests.coordinator.stage import (
    PARTIES,
    Stage,
    assert_exact,
    begun,
    boundaries,
    counted,
    disturbed,
)

SHORT, LONG = (1, True), (2, False)  # (k, own figures): one secure sum, or a round of support before it
THREE = PARTIES[:3]


@pytest.mark.parametrize(("k", "own_figures"), [SHORT, LONG])
@pytest.mark.parametrize("parties", [3, 5])
def test_a_job_is_exact_and_everybody_is_in_it_once(k: int, own_figures: bool, parties: int) -> None:
    stage = Stage(names=PARTIES[:parties], k=k, own_figures=own_figures)
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    assert all(len(engine.calls) == 1 for engine in stage.engines.values()), "support and sums are one scan"


def test_a_party_that_is_added_up_twice_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: everybody adds one party's vector twice, in agreement."""
    plain = masks.summed

    def twice(vectors: Sequence[Sequence[bytes]], ring: str, streams: Streams) -> object:
        return plain([*vectors, vectors[1]], ring, streams)

    monkeypatch.setattr(masks, "summed", twice)
    stage = Stage(k=1, own_figures=True)
    job, job_hash = begun(stage)
    stage.settle()
    assert stage.blames(job_hash) == {("one of the parties", "protocol_violation")}, "noise, which no numbers add up to"
    with pytest.raises(AssertionError):
        assert_exact(stage, job, job_hash)


def test_the_oracle_tells_who_is_counted_how_often() -> None:
    assert counted(1 + 2 * 100 + 100**3) == dict.fromkeys(PARTIES, 0) | {"guangdong": 1, "hongkong": 2, "shenzhen": 1}


@pytest.mark.parametrize("party", THREE)
def test_a_line_may_break_at_every_boundary(party: str) -> None:
    for at in range(boundaries(*SHORT)):
        stage = Stage(k=1, own_figures=True)
        act = stage.attend if at % 2 else stage.hang_up  # comes back at once, or in the end
        job, job_hash = disturbed(stage, at, lambda _, act=act: act(party))  # type: ignore[misc]
        assert_exact(stage, job, job_hash)


def test_all_lines_may_break_at_every_boundary() -> None:
    for at in range(0, boundaries(*LONG), 2):
        stage = Stage()
        job, job_hash = disturbed(stage, at, lambda stage: [stage.hang_up(p) for p in THREE] and None)
        assert_exact(stage, job, job_hash)


def test_a_line_may_break_at_every_boundary_of_every_other() -> None:
    """Two breaks: the second one right after the party came back, when everything is on its way again."""
    for at in range(0, boundaries(*LONG), 2):
        stage = Stage()
        party, other = THREE[at % 3], THREE[(at + 1) % 3]

        def act(stage: Stage, party: str = party, other: str = other) -> None:
            stage.attend(party)
            stage.deliver("out", party)
            stage.attend(other, party)

        job, job_hash = disturbed(stage, at, act)
        assert_exact(stage, job, job_hash)


# --- coming back, often ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["review", "round"])
def test_a_party_that_comes_back_fifty_times_while_another_is_slow_is_not_blamed(phase: str) -> None:
    stage = Stage()
    job, job_hash = begun(stage)

    def quick(slow: str) -> None:
        while ends := [end for end in stage.pending() if end[1] != slow]:
            stage.deliver(*ends[0])

    if phase == "round":
        while stage.state(job_hash) is not State.RUNNING:
            stage.deliver(*stage.pending()[0])
    quick("macao")
    stored = len(stage.store.events(job_hash))
    for _ in range(50):
        stage.attend("guangdong")
        quick("macao")
    assert not stage.blames(job_hash)
    assert len(stage.store.events(job_hash)) == stored, "what is known already is not stored again"
    stage.attend("macao")
    stage.settle()
    assert_exact(stage, job, job_hash)
    kinds = Counter(kind for kind, _ in stage.store.events(job_hash))
    assert kinds["frame"] <= 3 * (1 + 2 * 5 + 2 + 1), "a verdict, five steps a sum, two of no sum, a name"
    assert kinds["log"] <= kinds["frame"] + 2, "a line for each, one for the job and one for its end"
    assert {kind: count for kind, count in kinds.items() if kind not in ("frame", "log")} == {
        "job": 1,
        "answer": 3,
        "ended": 1,
    }


def test_without_knowing_resends_the_early_ones_would_pile_up_and_be_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "knows", lambda *_: False)
    with pytest.raises(AssertionError):
        test_a_party_that_comes_back_fifty_times_while_another_is_slow_is_not_blamed("review")
