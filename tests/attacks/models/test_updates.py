"""M4: one party of five flips its labels, or scales and turns its update round; what the norm bound leaves of it.

Under masks nobody sees a single update, so nothing here looks at one. Two bounds hold: a party's own program bounds
what it sends (against poisoned rows and broken training), and every party bounds the mean that it merges (against a
changed program, which may send anything). The first keeps the model; the second keeps a round short, and does not keep
its direction: one party of five that runs another program still spoils the model, at most `norm` a round.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.training.inputs import Task
from federation.training.merging import bounded
from federation.training.models.linear import Linear, LinearConfig
from federation.training.strategies.fedavg import FedAvg
from federation.training.strategies.normbounded import NormBounded, NormBoundedParameters
from federation.training.strategy import Rows, Schedule, Strategy, Update
from tests.training.cohorts import BINARY, cohorts, rows
from tests.training.parties import Sent, Trained, run

PARTIES, ROUNDS, NORM = 5, 15, 0.5
FREE = {"rounds": ROUNDS, "lr": 0.3, "epochs": 2.0, "clip": 1e6}  # a cut that cuts nothing
PEOPLE = cohorts(seed=5, sizes=(200,) * PARTIES)
TRAIN = [Rows(numbers=p.numbers[:120], codes=p.codes[:120], target=p.target[:120]) for p in PEOPLE]
TEST = [Rows(numbers=p.numbers[120:], codes=p.codes[120:], target=p.target[120:]) for p in PEOPLE]


def turned(factor: float, norm: float = 0.0) -> Sent:
    """Return a first party that sends `factor` times its update; its own program bounds it to `norm`, or not at all."""

    def sends(party: int, _round: int, update: Update) -> NDArray[np.float32]:
        return bounded(np.float32(factor) * update.vector, norm) if party == 0 else update.vector

    return sends


def trained(strategy: Strategy[Any], parameters: Schedule, train: Any = TRAIN, sends: Sent | None = None) -> Trained:
    start = np.zeros(BINARY.numbers + 1, dtype=np.float32)
    return run(strategy, parameters, Linear(), LinearConfig(), BINARY, train, 1, judged=TEST, start=start, sends=sends)


def accuracy(ended: Trained) -> float:
    found = ended.history[-1].accuracy
    assert found is not None
    return found


@cache
def clean() -> float:
    """Return the accuracy without an attack and without a bound."""
    return accuracy(trained(FedAvg(), Schedule(**FREE)))


@pytest.mark.parametrize("factor", [-1.0, -10.0, 10.0, -1000.0])
def test_scaled_and_turned_updates_cost_little_where_the_own_program_bounds_them(factor: float) -> None:
    parameters = NormBoundedParameters(norm=NORM, **FREE)
    honest = accuracy(trained(NormBounded(), parameters))
    attacked = accuracy(trained(NormBounded(), parameters, sends=turned(factor, NORM)))
    free = accuracy(trained(FedAvg(), Schedule(**FREE), sends=turned(factor)))
    print(f"x {factor:>6}: clean {honest:.3f}, bounded {attacked:.3f}, FedAvg {free:.3f}")
    assert honest > clean() - 0.02
    assert attacked > honest - 0.04
    if factor <= -10:
        assert free < honest - 0.3  # without the bound one party of five owns the model


def test_flipped_labels_cost_little() -> None:
    poisoned = [rows(TRAIN[0].numbers, 1 - TRAIN[0].target, Task.BINARY), *TRAIN[1:]]
    found = accuracy(trained(NormBounded(), NormBoundedParameters(norm=NORM, **FREE), poisoned))
    print(f"labels flipped at 1 of {PARTIES}: clean {clean():.3f}, bounded {found:.3f}")
    assert found > clean() - 0.04


def test_a_bound_that_is_not_held_would_be_seen() -> None:
    """The planted fault: the same attack where neither program nor merge bounds anything."""
    attacked = accuracy(trained(FedAvg(), Schedule(**FREE), sends=turned(-1000.0)))
    assert not attacked > clean() - 0.04


def test_what_a_party_adds_to_a_round_grows_with_its_lie_only_where_nothing_bounds_it() -> None:
    once = {**FREE, "rounds": 1}

    def pushed(strategy: Strategy[Any], parameters: Schedule, factor: float, norm: float) -> float:
        lying = trained(strategy, parameters, sends=turned(factor, norm)).public.model
        silent = trained(strategy, parameters, sends=turned(0.0, norm)).public.model
        return float(np.linalg.norm(lying.astype(np.float64) - silent))

    factors = (-10.0, -100.0, -1000.0)
    free = [pushed(FedAvg(), Schedule(**once), factor, 0.0) for factor in factors]
    held = [pushed(NormBounded(), NormBoundedParameters(norm=NORM, **once), factor, NORM) for factor in factors]
    print(f"moved by one party in a round: FedAvg {free}, bounded {held}, norm times share {NORM / PARTIES}")
    assert free[1] == pytest.approx(10 * free[0], rel=1e-3)
    assert free[2] == pytest.approx(100 * free[0], rel=1e-3)
    assert max(held) <= NORM / PARTIES + 1e-6
    assert held[0] == pytest.approx(held[2], rel=1e-3)


@pytest.mark.parametrize("factor", [-10.0, -1e6])
def test_a_changed_program_chooses_a_rounds_direction_and_never_its_length(factor: float) -> None:
    """What is not prevented, in figures: the home's bound is gone, and `merge` still bounds the mean."""
    models = [np.zeros(BINARY.numbers + 1)]
    parameters = NormBoundedParameters(norm=NORM, **FREE)
    for rounds in range(1, 6):
        ended = trained(NormBounded(), replace(parameters, rounds=rounds), sends=turned(factor))
        models.append(ended.public.model.astype(np.float64))
    steps = [float(np.linalg.norm(after - before)) for before, after in pairwise(models)]
    print(f"changed program, x {factor}: accuracy {accuracy(ended):.3f} against {clean():.3f}, rounds moved {steps}")
    assert max(steps) <= NORM + 1e-6
    free = trained(FedAvg(), Schedule(**{**FREE, "rounds": 1}), sends=turned(factor)).public.model
    assert float(np.linalg.norm(free)) > 2 * NORM


def test_the_cut_bounds_every_entry_of_any_strategy() -> None:
    """Without a norm the cut of the encoding is what is left: one round moves no entry by more than clip * share."""
    parameters = Schedule(**{**FREE, "rounds": 1, "clip": 0.1})
    lying = trained(FedAvg(), parameters, sends=turned(-1e6)).public.model
    silent = trained(FedAvg(), parameters, sends=turned(0.0)).public.model
    assert np.abs(lying - silent).max() <= 0.1 / PARTIES + 1e-7
