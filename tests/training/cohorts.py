"""Rows that tests of training share: small, drawn from a seed, with parties that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.training.inputs import Inputs, Task
from federation.training.model import Model
from federation.training.models.mlp import MlpConfig
from federation.training.strategy import Public, Rows, Schedule, Work
from tests.training.parties import seed_of


def rows(numbers: Any, target: Any, task: Task) -> Rows:
    """Return rows without categories."""
    numbers = np.asarray(numbers, dtype=np.float32)
    wanted = np.asarray(target, dtype=np.int64 if task is Task.CLASSES else np.float32)
    return Rows(numbers=numbers, codes=np.zeros((len(wanted), 0), dtype=np.int64), target=wanted)


def together(parties: Sequence[Rows]) -> Rows:
    """Return all rows as those of one party."""
    return Rows(
        numbers=np.concatenate([party.numbers for party in parties]),
        codes=np.concatenate([party.codes for party in parties]),
        target=np.concatenate([party.target for party in parties]),
    )


REGRESSION = Inputs(numbers=2, task=Task.REGRESSION)
BINARY = Inputs(numbers=8, task=Task.BINARY)


def quadratics(seed: int = 0, sizes: Sequence[int] = (40, 40, 40)) -> list[Rows]:
    """Return parties whose squared errors curve differently and are least at different places."""
    dice = np.random.Generator(np.random.PCG64(seed))
    parties = []
    for i, size in enumerate(sizes):
        numbers = dice.normal(size=(size, 2)) * ((1.5, 0.3), (0.3, 1.5), (1.0, 1.0))[i % 3]
        slopes = ((2.0, 0.0), (0.0, -2.0), (1.0, 1.0))[i % 3]
        parties.append(rows(numbers, numbers @ slopes + (0.5, -0.5, 0.0)[i % 3], Task.REGRESSION))
    return parties


def least(parties: Sequence[Rows], weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Return (slope, slope, intercept) of least weighted mean squared error: each party's mean, by rows or as given."""
    gram, moment = np.zeros((3, 3)), np.zeros(3)
    for i, party in enumerate(parties):
        x = np.column_stack((party.numbers.astype(np.float64), np.ones(party.size)))
        weight = 1.0 if weights is None else weights[i] / party.size
        gram += weight * x.T @ x
        moment += weight * x.T @ party.target
    return np.linalg.solve(gram, moment)


def cohorts(seed: int = 1, sizes: Sequence[int] = (60, 80, 100, 120, 90), features: int = 8) -> list[Rows]:
    """Return parties of binary rows that follow one logistic law around centres of their own."""
    dice = np.random.Generator(np.random.PCG64(seed))
    law = dice.normal(size=features) * 1.5
    parties = []
    for size in sizes:
        numbers = dice.normal(size=(size, features)) + 0.5 * dice.normal(size=features)
        parties.append(rows(numbers, dice.random(size) < 1 / (1 + np.exp(-numbers @ law)), Task.BINARY))
    return parties


# Every part of a layout, and randomness beside the order of rows.
NORMED = MlpConfig(hidden=(6,), norm="batch", dropout=0.25)


def work(
    strategy: Any,
    parameters: Schedule,
    model: Model[Any],
    inputs: Inputs,
    own: Rows,
    *,
    config: Any = None,
    **more: Any,
) -> Work:
    """Return the work of round 0 at one party, of the default configuration unless another is given."""
    config = config or model.Config()
    layout = model.layout(config, inputs)
    public: Public = strategy.begun(parameters, layout, layout.initial(seed_of(3)))
    given = {"public": public, "round_index": 0, "seed": seed_of(4), "rows": own} | more
    return Work(module=model.module(config, inputs), layout=layout, inputs=inputs, **given)
