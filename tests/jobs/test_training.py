"""A training's course: alike at all who are fed alike, taken up where it stood, ended early, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.crypto import ring
from federation.crypto.encoding import Packing
from federation.domain.job import Computation, Job
from federation.errors import FederationError, JobFailed, Misuse, ProtocolViolation, Refused
from federation.jobs import planner, training
from federation.jobs.training import Followed, Step, Training
from federation.protocols.events import Release
from federation.protocols.setup import Check, chunked
from federation.training import checkpoint
from federation.training.strategy import Public
from tests.jobs.trainings import PARTIES, brought, dataset, job, release, setup_of

OPEN, CLOSED = dataset(), dataset(k=5, own_figures=False)
PLAIN = job()
ADAPTIVE = job(options={"rounds": 6}, strategy="fedadam", model="mlp", config=(("hidden", (4,)),), patience=3)


def story(course: Training) -> tuple[object, ...]:
    """Everything that members compare, directly or through a hash."""
    model = None if course.public is None else tuple(a.tobytes() for a in (course.public.model, *course.public.more))
    best = None if course.best is None else (course.best[0], course.best[1].tobytes())
    spec = None if course.due is None else course.spec(setup_of(course, len(course.history)))
    return (course.step, course.due, course.contributors, course.transcript, spec, model, best, tuple(course.history))


# --- pure and alike ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", [OPEN, CLOSED], ids=["own figures", "support"])
@pytest.mark.parametrize("asked", [PLAIN, ADAPTIVE], ids=["fedavg", "fedadam"])
def test_courses_that_are_fed_alike_stand_alike_at_every_step(asked: Job, joint: Any) -> None:
    one, other = Training(asked, joint), Training(asked, joint)
    steps = 0
    while one.due is not None:
        assert story(one) == story(other)
        fed = release(one, loss=20 - steps)
        before = bytes(fed.total)
        assert one.feed(fed) == other.feed(Release.of(bytes(fed.total), fed.parties))
        assert fed.total == before
        steps += 1
    assert story(one) == story(other)
    assert one.file(best=True) == other.file(best=True)
    most = planner.rounds(asked, joint)
    assert steps == most == training.most_sums(one.plan, joint)


def test_looking_changes_nothing() -> None:
    course = Training(PLAIN, OPEN)
    for step in (Step.SCALE, Step.UPDATE, Step.EVALUATE, Step.END):
        brought(course, step)
        assert story(course) == story(course)
        assert step is Step.SCALE or resting(course) == resting(course)


@pytest.mark.parametrize("asked", [PLAIN, ADAPTIVE], ids=["fedavg", "fedadam"])
def test_a_course_that_nobody_asks_for_models_stands_as_the_others_and_holds_one(asked: Job) -> None:
    one, alone = Training(asked, OPEN), Training(asked, OPEN)
    alone.alone = True
    steps, place = 0, None
    while one.due is not None:
        fed = release(one, loss=20 - steps)
        one.feed(fed)
        alone.feed(fed)
        if one.best is not None and alone.best is not None:
            assert alone.best[0] == one.best[0]
            assert not alone.best[1].size
        if alone.public is not None and asked is PLAIN and steps < 4:
            place = place or alone.public.model.ctypes.data
            assert alone.public.model.ctypes.data == place
        if steps == 3:
            again = Training(asked, OPEN)
            again.alone = True
            again.restore([bytes(part) for part in alone.saved() or ()])
            alone = again
        assert story(alone)[:5] == story(one)[:5]
        assert story(alone)[-1] == story(one)[-1]
        assert one.public is None or story(alone)[5] == story(one)[5]
        steps += 1
    assert steps > 4


def test_a_merge_that_broke_off_leaves_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it may be written over: nobody goes on from there."""
    course = Training(PLAIN, OPEN)
    course.alone = True
    brought(course, Step.UPDATE)
    monkeypatch.setattr(type(course.chosen.strategy), "merge", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        course.feed(release(course))
    assert course.public is None
    with pytest.raises(Misuse):
        course.file(best=False)


def test_another_number_anywhere_is_another_story_from_there_on() -> None:
    for step in (Step.SCALE, Step.UPDATE, Step.EVALUATE):
        one, other = Training(job(PARTIES), OPEN), Training(job(PARTIES), OPEN)
        brought(one, step)
        brought(other, step)
        assert one.transcript == other.transcript
        one.feed(release(one))
        other.feed(release(other, seed=1, loss=1) if step is not Step.SCALE else release(other, PARTIES[:4]))
        assert one.transcript != other.transcript
        assert one.spec(setup_of(one, 1)).hash != other.spec(setup_of(other, 1)).hash


def test_whoever_is_counted_belongs_to_the_story() -> None:
    """The same total over other names: what was opened is equal, over whom is not."""
    courses = [Training(job(PARTIES), OPEN) for _ in range(2)]
    for course in courses:
        brought(course, Step.UPDATE)
    same = release(courses[0], PARTIES[:4])
    courses[0].feed(same)
    courses[1].feed(replace(same, parties=PARTIES[1:]))
    assert courses[0].transcript != courses[1].transcript


def test_what_is_evaluated_is_named_by_the_hash_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member whose arithmetic differs by one bit asks for another sum: its masks do not cancel."""
    honest, other = Training(PLAIN, OPEN), Training(PLAIN, OPEN)
    brought(honest, Step.UPDATE)
    brought(other, Step.UPDATE)
    total = release(honest)
    honest.feed(total)
    merge = type(other.chosen.strategy).merge

    def one_bit(*given: Any) -> Public:
        model = merge(*given).model.copy()
        model.view(np.uint32)[0] ^= 1
        return Public(model=model)

    monkeypatch.setattr(type(other.chosen.strategy), "merge", one_bit)
    other.feed(total)
    assert honest.hash != other.hash
    assert honest.due != other.due
    assert honest.spec(setup_of(honest, 2)).hash != other.spec(setup_of(other, 2)).hash


# --- saved and taken up -----------------------------------------------------------------------------------------------

LOSSES = (30, 10, 20, 25, 26, 3)
Pieces = tuple[bytes, ...]


def taken_up(asked: Job, joint: Any, stop: int, change: Callable[[Pieces], Pieces] = lambda saved: saved) -> bool:
    """Whether a course that rested after `stop` sums stands, and ends, where the one that did not rest does."""
    course, left = Training(asked, joint), list(LOSSES)
    for _ in range(stop):
        course.feed(release(course, loss=left.pop(0) if course.step is Step.EVALUATE else 0))
    rested = Training(asked, joint)
    rested.restore(change(resting(course)))
    same = story(rested) == story(course)
    while course.due is not None and rested.due is not None:
        fed = release(course, loss=left.pop(0) if course.step is Step.EVALUATE else 0)
        same &= course.feed(fed) == rested.feed(fed) and story(rested) == story(course)
    same &= all(course.file(best=best) == rested.file(best=best) for best in (True, False))
    return bool(same and resting(course) == resting(rested))


def resting(course: Training) -> Pieces:
    """What a vault keeps."""
    saved = course.saved()
    assert saved is not None
    return tuple(map(bytes, saved))


@pytest.mark.parametrize("asked", [PLAIN, ADAPTIVE], ids=["fedavg", "fedadam"])
@pytest.mark.parametrize("joint", [OPEN, CLOSED], ids=["own figures", "support"])
def test_a_course_that_rests_after_any_sum_goes_on_alike(asked: Job, joint: Any) -> None:
    first = 1 if joint is OPEN else 2
    most = training.most_sums(Training(asked, joint).plan, joint)
    for stop in range(first, most + 1 if asked is PLAIN else most - 1):  # the other one stops a round early
        assert taken_up(asked, joint, stop), f"after {stop} sums"


def test_before_the_first_model_there_is_nothing_to_save() -> None:
    course = Training(PLAIN, CLOSED)
    assert course.saved() is None
    course.feed(release(course))
    assert course.saved() is None, "its totals of statistics are fed again"
    course.feed(release(course))
    assert course.saved() is not None


def edited(**values: object) -> Callable[[Pieces], Pieces]:
    """Change what is said beside the arrays."""
    return lambda saved: (json.dumps(json.loads(saved[0]) | values).encode(), *saved[1:])


@pytest.mark.parametrize(
    "forgotten",
    [
        edited(stale=0),
        edited(round=0),
        edited(hash=""),
        edited(transcript="00" * 32),
        edited(history=[]),
        edited(rows=7),
        edited(best=0),
        edited(contributors=["guangdong", "hongkong"]),
        lambda saved: (*saved[:-1], bytes(len(saved[-1]))),
        lambda saved: (*saved[:2], bytes(len(saved[2])), *saved[3:]),  # a moment of the server
    ],
)
def test_a_course_that_forgets_any_of_it_would_be_seen(forgotten: Callable[[Pieces], Pieces]) -> None:
    """The planted faults, one for each thing that is saved: the fourth model is due, the second one was best."""
    assert taken_up(ADAPTIVE, OPEN, 8, edited())
    with suppress(FederationError, IndexError):  # it did not even come to its end
        assert not taken_up(ADAPTIVE, OPEN, 8, forgotten)


@pytest.mark.parametrize("junk", [(), (b"",), (b"{}",), (b"\xff" * 60,), (b"[]", bytes(4)), (bytes(4), b"{}")])
def test_other_bytes_are_not_taken_up(junk: Pieces) -> None:
    with pytest.raises(Misuse, match="not what this training saved"):
        Training(PLAIN, OPEN).restore(junk)


def test_what_ends_early_or_is_of_another_model_is_not_taken_up() -> None:
    course = Training(ADAPTIVE, OPEN)
    brought(course, Step.UPDATE, (30,))
    course.feed(release(course))
    course.feed(release(course, loss=3))
    saved = resting(course)
    fresh = Training(ADAPTIVE, OPEN)
    for other in (saved[:-2], (*saved, *saved[-2:]), (saved[0], saved[1][:-4], *saved[2:]), (saved[0], saved[1][:-1])):
        with pytest.raises(Misuse, match="not what this training saved"):
            fresh.restore(other)
    with pytest.raises(Misuse, match="not what this training saved"):
        Training(PLAIN, OPEN).restore(saved)


# --- when it stops, and which model is given out ----------------------------------------------------------------------


def ended(losses: tuple[int, ...], right: tuple[int, ...] = (), **plan: Any) -> Training:
    course = Training(job(options={"rounds": 8}, **plan), OPEN)
    at = 0
    while course.due is not None:
        if course.step is Step.EVALUATE:
            course.feed(release(course, loss=losses[at], right=right[at] if right else 0))
            at += 1
        else:
            course.feed(release(course))
    return course


@pytest.mark.parametrize(
    ("losses", "plan", "rounds", "best"),
    [
        ((9, 8, 7, 6, 5, 4, 3, 2), {"patience": 2}, 8, 7),
        ((9, 5, 6, 7), {"patience": 2}, 4, 1),
        ((9, 5, 6, 4, 5, 5), {"patience": 2}, 6, 3),
        ((9, 9, 9), {"patience": 2}, 3, 0),  # as good is not better, and the first of equals is kept
        ((1, 9), {"patience": 1}, 2, 0),
        ((9, 5, 6, 7, 8, 9, 9, 4), {}, 8, 7),
        ((9, 5, 6, 7, 8, 9, 9, 5), {}, 8, 1),
        ((9, 5, 6), {"patience": 1, "evaluate_every": 2}, 6, 3),
        ((9, 5, 6), {"evaluate_every": 3}, 8, 5),  # rounds 3, 6, and the last one
    ],
)
def test_training_stops_once_nothing_became_better_and_the_best_model_is_kept(
    losses: tuple[int, ...], plan: dict[str, Any], rounds: int, best: int
) -> None:
    course = ended(losses, **plan)
    assert len(course.history) == rounds
    assert course.round_index == rounds - 1
    assert course.best is not None
    assert course.best[0] == best
    given, last = (checkpoint.of(course.file(best=one), course.chosen.layout) for one in (True, False))
    assert course.public is not None
    assert np.array_equal(last, course.public.model)
    assert np.array_equal(given, course.best[1])
    assert np.array_equal(given, last) is (best == rounds - 1)
    assert checkpoint.about(course.file(best=True))["round"] == str(best + 1)


def test_what_is_better_is_what_the_plan_says() -> None:
    losses, right = (9, 8, 7, 6, 5, 4, 3, 2), (1, 7, 2, 3, 4, 5, 6, 0)
    best = {by: ended(losses, right, best=by).best for by in ("loss", "accuracy", "auc")}
    assert {by: found[0] for by, found in best.items() if found} == {"loss": 7, "accuracy": 1, "auc": 1}


def test_without_evaluations_the_last_model_is_the_one_that_there_is() -> None:
    course = Training(job(holdout=0.0), OPEN)
    fed = brought(course, Step.END)
    assert len(fed) == 4
    assert course.best is not None
    assert course.best[0] == 2
    assert course.file(best=True) == course.file(best=False)
    assert all(one.figures is None for one in course.history)


def test_what_was_cut_is_told_as_a_share() -> None:
    course = Training(job(options={"clip": 0.4}, model="mlp"), OPEN)
    brought(course, Step.END)
    assert all(0.25 < one.clipped < 0.4 for one in course.history), "beyond one deviation lies a third"


# --- who may be missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("joint", "sums"), [(OPEN, 1), (CLOSED, 2)], ids=["own figures", "support"])
def test_everybody_has_to_be_there_within_standardising_only(joint: Any, sums: int) -> None:
    course = Training(job(PARTIES), joint)
    assert [course.strict(index) for index in range(5)] == [0 < index < sums for index in range(5)]


@pytest.mark.parametrize("step", [Step.UPDATE, Step.EVALUATE])
def test_a_training_goes_on_with_those_who_are_left_and_with_nobody_else(step: Step) -> None:
    course = Training(job(PARTIES), OPEN)
    brought(course, step)
    course.feed(release(course, PARTIES[:4]))
    assert course.contributors == PARTIES[:4]
    before = story(course)
    for parties in (PARTIES, PARTIES[1:], (), PARTIES[3::-1], ("guangdong", "guangdong", "hongkong")):
        with pytest.raises(ProtocolViolation, match="contributors of before"):
            course.feed(replace(release(course), parties=parties))
        assert story(course) == before
    course.feed(release(course, PARTIES[:3]))
    assert course.contributors == PARTIES[:3]
    assert course.history[0].parties == (PARTIES[:4] if step is Step.UPDATE else PARTIES)


def test_a_second_sum_of_standardising_is_opened_over_the_same() -> None:
    course = Training(job(PARTIES), CLOSED)
    course.feed(release(course, PARTIES[:4]))
    with pytest.raises(ProtocolViolation):
        course.feed(release(course, PARTIES[:3]))


# --- what is summed ---------------------------------------------------------------------------------------------------


def test_updates_are_words_of_a_packing_and_evaluations_are_numbers() -> None:
    course = Training(PLAIN, OPEN)
    brought(course, Step.UPDATE)
    update = course.spec(setup_of(course, 1))
    packing = course.packing(3)
    assert (update.ring, update.length, update.encoding) == ("z2^128", packing.elements, packing.digest)
    assert packing.weight_most == 3 * 40, "any party's rows are at most everybody's"
    assert update.check is Check.ALL
    brought(course, Step.EVALUATE)
    tally = course.spec(setup_of(course, 2))
    assert (tally.ring, tally.length, tally.encoding) == ("z2^128", 4 + 2 * 256, b"")


def test_every_vector_is_checked_by_everybody_until_that_is_too_much() -> None:
    for hidden, check in ((64, Check.ALL), (4096, Check.SAMPLE)):
        wide = job(model="mlp", config=(("hidden", (hidden, 64)),))
        course = Training(wide, OPEN)
        brought(course, Step.UPDATE)
        spec = course.spec(setup_of(course, 1))
        assert spec.check is check
        assert (3 * spec.size_bytes <= training.ALL_BYTES) is (check is Check.ALL)


def test_parties_that_all_weigh_alike_weigh_one() -> None:
    course = Training(job(options={"weighted": False}), OPEN)
    brought(course, Step.EVALUATE)
    assert course.packing(3).weight_most == 1
    assert course.history[0].weight == 3


def test_a_total_that_no_updates_add_up_to_is_a_violation_and_changes_nothing() -> None:
    course = Training(PLAIN, OPEN)
    brought(course, Step.UPDATE)
    honest, before = release(course), story(course)
    packing = course.packing(3)
    words = np.frombuffer(honest.total, "<u8").copy()
    words[0] += np.uint64(1 << packing.lane_bits)  # one lane more, and a check word that does not know of it
    for total in (words.tobytes(), honest.total[:-8], honest.total + bytes(8), bytes(len(honest.total))):
        with pytest.raises(ProtocolViolation, match="sum of encoded updates"):
            course.feed(replace(honest, chunks=chunked(total)))
        assert story(course) == before
    course.feed(honest)
    assert course.step is Step.EVALUATE


@pytest.mark.parametrize("number", [(0, -1), (1, -1), (2, 99), (5, 1)])
def test_figures_that_contradict_themselves_are_a_violation(number: tuple[int, int]) -> None:
    course = Training(PLAIN, OPEN)
    brought(course, Step.EVALUATE)
    before, (place, value) = story(course), number
    numbers = list(release(course, right=3).numbers)
    numbers[place] = value
    with pytest.raises(ProtocolViolation, match="sum of tallies"):
        course.feed(Release.of(ring.to_bytes(ring.from_ints(numbers)), course.contributors))
    assert story(course) == before


def test_a_split_that_leaves_nothing_to_evaluate_ends_with_that_reason_and_blames_nobody() -> None:
    course = Training(PLAIN, OPEN)
    brought(course, Step.EVALUATE)
    empty = Release.of(bytes(len(release(course).total)), course.contributors)
    with pytest.raises(JobFailed, match="no party has rows to evaluate") as caught:
        course.feed(empty)
    assert caught.value.hint
    assert not caught.value.party


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_joint_key_is_refused() -> None:
    for kind in (Training, Followed):
        with pytest.raises(Misuse, match="joint key") as caught:
            kind(replace(PLAIN, key=b"k" * 32, protection="paillier_sum"), OPEN)
        assert "masks" in caught.value.hint


def test_another_version_is_refused_by_its_rule() -> None:
    (asked,) = PLAIN.computations
    with pytest.raises(Refused) as caught:
        Training(replace(PLAIN, computations=(replace(asked, version=training.VERSION + 1),)), OPEN)
    assert caught.value.rule == "version"


def test_a_job_trains_one_model_or_asks_statistics() -> None:
    count = Computation(name="count", version=1)
    assert training.is_training(PLAIN)
    assert not training.is_training(replace(PLAIN, computations=(count,)))
    for both in ((*PLAIN.computations, count), (*PLAIN.computations, *PLAIN.computations)):
        with pytest.raises(Misuse, match="not both"):
            training.is_training(replace(PLAIN, computations=both))


def test_bits_that_do_not_fit_are_refused_before_anybody_is_asked() -> None:
    with pytest.raises(Misuse, match="bits"):
        Training(job(options={"bits": 32}), OPEN)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_is_not_finite_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    course = Training(PLAIN, OPEN)
    brought(course, Step.UPDATE)

    def away(_self: object, _p: object, _layout: object, public: Public, _mean: NDArray[Any], _round: int) -> Public:
        return Public(model=np.full_like(public.model, value))

    monkeypatch.setattr(type(course.chosen.strategy), "merge", away)
    with pytest.raises(JobFailed, match="not finite") as caught:
        course.feed(release(course))
    assert "lr" in caught.value.hint


def test_there_is_no_model_before_there_is_one() -> None:
    with pytest.raises(Misuse, match="no model yet"):
        Training(PLAIN, OPEN).file(best=True)
    with pytest.raises(Misuse, match="not open yet"):
        _ = Training(PLAIN, OPEN).scaling


def test_a_course_at_its_end_takes_nothing_more() -> None:
    course = Training(PLAIN, OPEN)
    (*_, last) = brought(course, Step.END)
    assert course.due is None
    with pytest.raises(Misuse, match="came to its end"):
        course.feed(last)


def test_every_sum_of_a_training_has_a_name_of_its_own() -> None:
    course, seen = Training(job(evaluate_every=2, options={"rounds": 4}), CLOSED), []
    while course.due is not None:
        seen.append(course.due)
        course.feed(release(course))
    assert len(set(seen)) == len(seen) == 2 + 4 + 2
    assert {len(due) for due in seen} == {32}


def test_the_packing_is_that_of_those_who_may_take_part() -> None:
    """A planted fault would be one of those who are counted: they are known only afterwards."""
    course = Training(job(PARTIES), OPEN)
    brought(course, Step.UPDATE)
    five = course.packing(5)
    assert isinstance(five, Packing)
    assert course.spec(setup_of(course, 1)).encoding == five.digest
    course.feed(release(course, PARTIES[:4]))
    brought(course, Step.UPDATE)
    assert course.spec(setup_of(course, 3)).encoding == course.packing(4).digest != five.digest
