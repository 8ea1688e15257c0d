"""Trainings without rows, machines or masks: totals made up from a seed, and what members make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from federation.crypto import ring
from federation.domain.catalogue import Column, Dataset, Kind
from federation.domain.job import Job, Value
from federation.jobs import sums, training
from federation.jobs.training import Step, Training
from federation.protocols.events import Release
from federation.protocols.setup import Setup
from federation.query import evaluate
from federation.query.round import encoded
from federation.training import evaluation
from federation.training.inputs import Task
from federation.training.plan import TrainingPlan

PARTIES = ("guangdong", "hongkong", "macao", "shenzhen", "zhuhai")
JOB_HASH = b"h" * 32
ROWS = 40  # of each party


def dataset(*, k: int = 1, own_figures: bool = True) -> Dataset:
    """Two numbers, a category, and a target of every task."""
    return Dataset(
        name="data",
        title="",
        unit="row",
        k=k,
        own_figures=own_figures,
        columns=(
            Column(name="x", kind=Kind.REAL, low=-10.0, high=10.0),
            Column(name="z", kind=Kind.REAL, low=-10.0, high=10.0),
            Column(name="s", kind=Kind.CATEGORY, categories=("a", "b", "c")),
            Column(name="y", kind=Kind.INTEGER, low=0, high=1),
        ),
    )


def columns(seed: int) -> dict[str, Any]:
    """One party's rows."""
    dice = np.random.Generator(np.random.PCG64(seed))
    return {
        "x": dice.normal(size=ROWS),
        "z": dice.normal(1, 2, size=ROWS),
        "s": dice.choice(["a", "b", "c"], ROWS),
        "y": dice.integers(0, 2, ROWS),
    }


def job(parties: Sequence[str] = PARTIES[:3], options: Mapping[str, Value] | None = None, **plan: Any) -> Job:
    """A job that trains; `options` are the strategy's, `plan` the other parameters of a plan."""
    chosen = {"target": "y", "features": ("x", "z", "s"), **plan}
    chosen["options"] = tuple(sorted({"rounds": 3, **(options or {})}.items()))
    made = TrainingPlan.of(tuple(sorted(chosen.items())), dataset())
    return Job(
        name="train",
        researcher="ana",
        dataset="data",
        computations=(training.computation(made),),
        parties=tuple(parties),
        publications=tuple((party, bytes(32)) for party in parties),
        deadline_ms=1,
        max_rounds=100,
        roster_hash=b"r" * 32,
        token=bytes(16),
    )


def setup_of(course: Training, index: int) -> Setup:
    """The setup of the sum that is due, number `index` of its job."""
    return sums.setup(
        course.job,
        JOB_HASH,
        index=index,
        attempt=0,
        contributors=course.contributors,
        strict=course.strict(index),
    )


def release(course: Training, counted: Sequence[str] = (), *, loss: int = 0, right: int = 0, seed: int = 0) -> Release:
    """What honest parties could add up to in the sum that is due.

    Args:
        counted: who is counted, everybody who may be by default.
        loss: of an evaluation: mean loss of a row, in sixteenths.
        right: right answers of ten, in each class.
        seed: of an update: its entries are drawn from it and from its round.
    """
    parties = tuple(counted) or course.contributors
    match course.step:
        case Step.SCALE:
            total = _scaled(course, parties)
        case Step.UPDATE:
            total = _updated(course, parties, seed)
        case _:
            total = _evaluated(course, len(parties), loss, right)
    return Release.of(total, parties)


def _scaled(course: Training, parties: Sequence[str]) -> bytes:
    due, joint = course.standardising.round, course.joint
    vectors = []
    for party in parties:
        answers = [evaluate.answer(q, joint, joint, columns(PARTIES.index(party))) for q in due.queries]
        vectors.append(encoded(due, joint, answers, joint.k))
    return ring.to_bytes(ring.from_ints([sum(numbers) for numbers in zip(*vectors, strict=True)]))


def _updated(course: Training, parties: Sequence[str], seed: int) -> bytes:
    packing = course.packing(len(course.contributors))
    words = np.zeros(packing.size_bytes // 8, dtype="<u8")
    for party in parties:
        dice = np.random.Generator(np.random.PCG64([seed, course.round_index, PARTIES.index(party)]))
        update = dice.normal(0, 0.4, packing.length).astype(np.float32)
        encoded = packing.encode(update, weight=min(packing.weight_most, ROWS))
        packing.ring.add_into(words, np.frombuffer(encoded.words, "<u8"))
    return words.tobytes()


def _evaluated(course: Training, parties: int, loss: int, right: int) -> bytes:
    inputs = course.chosen.inputs
    assert inputs.task is Task.BINARY
    tally = np.zeros(evaluation.length(inputs), dtype=np.int64)
    tally[:4] = (20, 20 * loss << (evaluation.LOSS_BITS - 4), right, right)
    below, above = np.split(tally[4:], 2)
    below[100], above[90], above[110] = 10, 10 - right, right
    return ring.to_bytes(ring.from_ints((tally * parties).tolist()))


def brought(course: Training, to: Step, losses: Sequence[int] = (), **more: Any) -> list[Release]:
    """Feed a course until `to` is due, evaluations with these losses in turn; return what it was fed."""
    fed, left = [], list(losses)
    while course.step is not to:
        loss = left.pop(0) if course.step is Step.EVALUATE and left else 0
        fed.append(release(course, loss=loss, **more))
        course.feed(fed[-1])
    return fed
