"""Parties in memory: each answers a round by the oracle, withholds, and only the sum reaches the replay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from federation.analytics.plan import Done, Outcome
from federation.analytics.replay import Replay
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Computation, Job, Value
from federation.jobs import planner
from federation.query import round as rounds
from federation.query.evaluate import answer
from federation.query.round import Round

MODULUS = 2**128
MISSING = -9
GROUPS = ("north", "south", "sea")
SEXES = ("f", "m")


@dataclass(frozen=True)
class Party:
    """One jurisdiction: what it publishes and its rows."""

    own: Dataset
    rows: Mapping[str, Any]


def dataset(*, k: int, own_figures: bool, low: int = -50, high: int = 50, identifier: bool = False) -> Dataset:
    """Return a published data set: age (whole), pay and gain (real), area, sex and ill, and who if `identifier`."""
    who = (Column(name="who", kind=Kind.IDENTIFIER),) if identifier else ()
    return Dataset(
        name="people",
        title="People",
        unit="person",
        k=k,
        own_figures=own_figures,
        columns=(
            *who,
            Column(name="age", kind=Kind.INTEGER, low=low, high=high, missing=((str(MISSING), "refused"),)),
            Column(name="area", kind=Kind.CATEGORY, categories=GROUPS),
            Column(name="pay", kind=Kind.REAL, low=float(low), high=high + 0.5),
            Column(name="sex", kind=Kind.CATEGORY, categories=SEXES),
            Column(name="ill", kind=Kind.CATEGORY, categories=("no", "yes")),
            Column(name="gain", kind=Kind.REAL, low=0.0, high=max(abs(low), abs(high)) + 0.5),
        ),
    )


def party(published: Dataset, rows: Sequence[tuple[Any, ...]]) -> Party:
    """Return a party with rows (age, area, pay) or (age, area, pay, who); age may be MISSING, pay may be NaN.

    Sex and ill follow from the row's place, and gain is the magnitude of pay.
    """
    columns: dict[str, Any] = {
        "age": np.array([row[0] for row in rows], dtype=np.int64),
        "area": np.array([row[1] for row in rows], dtype=object),
        "pay": np.array([row[2] for row in rows], dtype=np.float64),
        "sex": np.array([SEXES[i // 2 % 2] for i in range(len(rows))], dtype=object),
        "ill": np.array(["yes" if i % 3 == 0 else "no" for i in range(len(rows))], dtype=object),
        "gain": np.abs(np.array([row[2] for row in rows], dtype=np.float64)),
    }
    if any(column.name == "who" for column in published.columns):
        columns["who"] = np.array([row[3] for row in rows], dtype=object)
    return Party(published, columns)


def job(asked: Sequence[Computation], parties: int, *, where: str = "", max_rounds: int = 8) -> Job:
    """Return a job over the data set of `dataset`."""
    names = tuple(f"p{i}" for i in range(parties))
    return Job(
        name="test",
        researcher="ana",
        dataset="people",
        where=where,
        computations=tuple(asked),
        parties=names,
        publications=tuple((name, bytes(32)) for name in names),
        deadline_ms=1,
        max_rounds=max_rounds,
        roster_hash=bytes(32),
        token=bytes(16),
    )


def ask(name: str, version: int = 1, **parameters: Value) -> Computation:
    """Return a computation."""
    return Computation(name=name, version=version, parameters=tuple(sorted(parameters.items())))


def joint_of(parties: Sequence[Party]) -> Dataset:
    """Return what the publications of the parties agree on."""
    return agreed({f"p{i}": each.own for i, each in enumerate(parties)})


def opened(asked: Round, parties: Sequence[Party], joint: Dataset) -> list[int]:
    """Return the sum of all parties' vectors, in Z_2^128 read as signed."""
    total = [0] * rounds.length(asked, joint)
    for each in parties:
        answers = [answer(query, joint, each.own, each.rows) for query in asked.queries]
        for i, number in enumerate(rounds.encoded(asked, joint, answers, each.own.k)):
            total[i] = (total[i] + number) % MODULUS
    return [number - MODULUS if number >= MODULUS // 2 else number for number in total]


def driven(
    replay: Replay,
    parties: Sequence[Party],
    joint: Dataset,
    watch: Callable[[Round, list[int]], None] = lambda *_: None,
) -> Replay:
    """Feed the replay until its end; `watch` sees every round and its opened numbers."""
    while replay.round is not None:
        numbers = opened(replay.round, parties, joint)
        watch(replay.round, numbers)
        replay.feed(numbers)
    return replay


def outcomes(parties: Sequence[Party], *asked: Computation, where: str = "") -> tuple[Outcome, ...]:
    """Return what the statistics come to over the parties' rows."""
    joint = joint_of(parties)
    most = planner.rounds(job(asked, len(parties), where=where), joint)
    return driven(planner.replay(job(asked, len(parties), where=where, max_rounds=most), joint), parties, joint).results


def result(parties: Sequence[Party], asked: Computation, where: str = ""):  # each statistic has a result of its own
    """Return the one statistic's result; it must not fail."""
    (outcome,) = outcomes(parties, asked, where=where)
    assert isinstance(outcome, Done), outcome
    return outcome.result


@dataclass
class Pool:
    """The pooled rows of one cell after every party applied the same rule, computed without any code under test."""

    values: list[Any]
    withheld: int
    closed: bool


def pooled(parties: Sequence[Party], column: str | None, by: str | None, k_applies: bool = True) -> dict[str, Pool]:
    """Return per cell the values (clipped to each party's own range) of the parties that have at least k rows of it."""
    joint = joint_of(parties)
    pools = {label: Pool([], 0, closed=False) for label in (GROUPS if by else ("all rows",))}
    for each in parties:
        mine: dict[str, list[Any]] = {label: [] for label in pools}
        for age, area, pay in zip(each.rows["age"], each.rows["area"], each.rows["pay"], strict=True):
            value: Any = 1
            if column == "age":
                if age == MISSING:
                    continue
                value = min(max(int(age), int(each.own.column("age").low or 0)), int(each.own.column("age").high or 0))
            elif column == "pay":
                if not math.isfinite(pay):
                    continue
                value = min(max(float(pay), each.own.column("pay").low or 0.0), each.own.column("pay").high or 0.0)
            mine[area if by else "all rows"].append(value)
        for label, values in mine.items():
            if k_applies and each.own.k > 1 and len(values) < each.own.k:
                pools[label].withheld += 1
            else:
                pools[label].values += values
    for pool in pools.values():
        few = not joint.own_figures and len(parties) - pool.withheld < 3
        pool.closed = few or pool.withheld == len(parties)
    return pools


def exact_variance(values: Sequence[Any]) -> Fraction:
    """Return the sample variance as a Fraction."""
    numbers = [Fraction(value) for value in values]
    mean = sum(numbers, Fraction(0)) / len(numbers)
    return sum(((value - mean) ** 2 for value in numbers), Fraction(0)) / (len(numbers) - 1)
