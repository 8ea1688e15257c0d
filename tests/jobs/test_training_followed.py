"""A researcher follows a training by digests alone, and ends with the parties' words or with none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from federation.domain.job import Job
from federation.errors import ProtocolViolation
from federation.jobs.training import Followed, Step, Training
from federation.protocols.events import Release
from federation.protocols.setup import chunked
from federation.training import checkpoint
from tests.jobs.trainings import PARTIES, dataset, job, release

OPEN, CLOSED = dataset(), dataset(k=5, own_figures=False)
PLAIN = job()
ADAPTIVE = job(options={"rounds": 6}, strategy="fedadam", model="mlp", config=(("hidden", (4,)),), patience=3)
LOSSES = (30, 10, 20, 25, 26, 3)


def told(asked: Job, joint: Any = OPEN) -> tuple[Training, list[Release]]:
    """A course at its end, and what it told of it."""
    course, left, kept = Training(asked, joint), list(LOSSES), []
    while course.due is not None:
        kept.append(course.feed(release(course, loss=left.pop(0) if course.step is Step.EVALUATE else 0)))
    return course, kept


def followed(asked: Job, kept: list[Release], joint: Any = OPEN) -> Followed:
    course = Followed(asked, joint)
    for one in kept:
        course.feed(one)
    return course


@pytest.mark.parametrize("asked", [PLAIN, ADAPTIVE, job(evaluate_every=2), job(holdout=0.0)])
@pytest.mark.parametrize("joint", [OPEN, CLOSED], ids=["own figures", "support"])
def test_who_is_told_digests_alone_ends_with_the_same_words(asked: Job, joint: Any) -> None:
    course, kept = told(asked, joint)
    end = followed(asked, kept, joint)
    assert end.due is None
    assert (end.transcript, end.contributors, end.scaling) == (course.transcript, course.contributors, course.scaling)
    assert end.history == course.history
    assert end.public is None
    assert course.best is not None
    assert end.best is not None
    assert end.best[0] == course.best[0]
    assert end.hashes[course.best[0]] == checkpoint.digest(course.best[1])
    assert course.public is not None
    assert end.hashes[course.round_index] == checkpoint.digest(course.public.model)
    records = [one for one in kept if len(one.total) in (48, 80)]
    assert len(records) == len(course.history), "a digest, two counts, and a hash where it is asked for"


RECORD, FIGURES = 1, 2  # places of the first update, and of what it was evaluated to


def flipped(at: int) -> Callable[[Release], Release]:
    """Turn one bit of a byte."""

    def change(one: Release) -> Release:
        return replace(one, chunks=chunked(one.total[:at] + bytes([one.total[at] ^ 1]) + one.total[at + 1 :]))

    return change


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (RECORD, flipped(0)),  # the digest of the total
        (RECORD, flipped(39)),  # how many entries were cut
        (RECORD, flipped(47)),  # the sum of weights
        (RECORD, flipped(48)),  # the model's hash
        (RECORD, lambda one: replace(one, parties=one.parties[1:])),
        (FIGURES, flipped(16)),  # the sum of losses
        (FIGURES, lambda one: replace(one, parties=one.parties[:-1])),
        (0, flipped(16)),  # a moment
    ],
)
def test_a_changed_word_is_another_story_or_no_story(place: int, change: Callable[[Release], Release]) -> None:
    course, kept = told(job(PARTIES))
    honest = followed(course.job, kept)
    assert honest.transcript == course.transcript
    lied = [change(one) if i == place else one for i, one in enumerate(kept)]
    with suppress(ProtocolViolation):
        assert followed(course.job, lied).transcript != course.transcript


def test_rounds_in_another_order_are_another_story() -> None:
    course, kept = told(PLAIN)
    others = [[*kept[:1], *kept[3:5], *kept[1:3], *kept[5:]], [*kept[:2], kept[4], kept[3], kept[2], *kept[5:]]]
    for other in others:
        assert followed(PLAIN, other).transcript != course.transcript
    with pytest.raises(ProtocolViolation):
        followed(PLAIN, [kept[0], kept[2], kept[1], *kept[3:]])  # figures where an update is due


@pytest.mark.parametrize("size", [0, 1, 16, 47, 48, 79, 81, 112])
def test_a_record_of_another_length_is_a_violation(size: int) -> None:
    _, kept = told(PLAIN)
    with pytest.raises(ProtocolViolation, match="digest of an update"):
        followed(PLAIN, [kept[0], replace(kept[1], chunks=chunked(bytes(size)))])


def test_a_hash_where_none_is_asked_for_is_a_violation() -> None:
    asked = job(evaluate_every=2)
    _, kept = told(asked)
    assert len(kept[1].total) == 48
    with pytest.raises(ProtocolViolation):
        followed(asked, [kept[0], replace(kept[1], chunks=chunked(kept[1].total + bytes(32)))])


def test_a_follower_that_believed_a_record_without_its_chain_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a transcript that leaves out what was opened."""
    monkeypatch.setattr(Training, "_note", lambda self, parties, record: None)
    course, kept = told(PLAIN)
    lied = [flipped(0)(one) if i == RECORD else one for i, one in enumerate(kept)]
    assert followed(PLAIN, lied).transcript == course.transcript
