"""Training without a federation: parties in one process, the weighted mean of cut (not quantised) updates.

The reference of the secure path, and what examples tune with: the same local steps, the same merge, no masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.training import evaluation
from federation.training.evaluation import Figures
from federation.training.inputs import Inputs
from federation.training.model import Model
from federation.training.strategy import Public, Rows, Schedule, Strategy, Update, Work

Sent = Callable[[int, int, Update], NDArray[np.float32]]  # (party, round, what it made) to what it sends


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trained:
    """How a training ended: what everybody knows, what each party keeps, and the figures after every round."""

    public: Public
    kept: tuple[tuple[NDArray[np.float32], ...], ...]
    history: tuple[Figures, ...]


def trained(
    strategy: Strategy[Any],
    parameters: Schedule,
    model: Model[Any],
    config: Any,
    inputs: Inputs,
    parties: Sequence[Rows],
    seed: int,
    **more: Any,
) -> tuple[Public, tuple[Figures, ...]]:
    """Return (what everybody knows at the end, figures after every round); see `run` for `more`."""
    ended = run(strategy, parameters, model, config, inputs, parties, seed, **more)
    return ended.public, ended.history


def run(
    strategy: Strategy[Any],
    parameters: Schedule,
    model: Model[Any],
    config: Any,
    inputs: Inputs,
    parties: Sequence[Rows],
    seed: int,
    *,
    judged: Sequence[Rows] | None = None,
    start: NDArray[np.float32] | None = None,
    names: Sequence[str] = (),
    sends: Sent | None = None,
    takes_part: Callable[[int, int], bool] = lambda _party, _round: True,
    threads: int = 1,
) -> Trained:
    """Return how training ends.

    Args:
        parties: training rows of each.
        judged: evaluation rows of each; () for no figures, None for the training rows. A personal strategy's figures
            are those of each party's own model on its own rows, added up.
        start: the flat model to start from, by default the layout's own by `seed`.
        names: of the parties, by which their seeds are made and their updates are added in order.
        sends: changes what a party sends, after its program made it and before it is cut.
        takes_part: (party, round) to whether it does.
    """
    import torch

    torch.set_num_threads(threads)
    layout, module = model.layout(config, inputs), model.module(config, inputs)
    names = names or [f"{i:04d}" for i in range(len(parties))]
    order = sorted(range(len(parties)), key=lambda i: names[i])
    rows_judged = parties if judged is None else judged
    public = strategy.begun(parameters, layout, layout.initial(seed_of(seed)) if start is None else start)
    kept: list[tuple[NDArray[np.float32], ...]] = [()] * len(parties)
    history: list[Figures] = []
    for r in range(parameters.rounds):
        total, weights = np.zeros(strategy.length(parameters, layout)), 0
        for i in order:
            if not takes_part(i, r):
                continue
            seeds = seed_of(seed, names[i], r)
            work = Work(
                module=module,
                layout=layout,
                inputs=inputs,
                rows=parties[i],
                public=public,
                kept=kept[i],
                round_index=r,
                seed=seeds,
            )
            update = strategy.local_step(parameters, work)
            kept[i] = update.kept
            vector = update.vector if sends is None else sends(i, r, update)
            total += update.weight * np.clip(vector, -parameters.clip, parameters.clip).astype(np.float64)
            weights += update.weight
        public = strategy.merge(parameters, layout, public, total / weights, r)
        if rows_judged:
            models = [strategy.own_model(parameters, layout, public, own) for own in kept]
            history.append(judge(module, layout, models, inputs, rows_judged))
    return Trained(public=public, kept=tuple(kept), history=tuple(history))


def judge(
    module: Any, layout: Any, models: Sequence[NDArray[np.float32]], inputs: Inputs, rows: Sequence[Rows]
) -> Figures:
    """Return the figures of each party's model on its own rows, added up."""
    tallies = [evaluation.tally(module, layout, own, inputs, at) for own, at in zip(models, rows, strict=True)]
    return evaluation.figures([sum(numbers) for numbers in zip(*tallies, strict=True)], inputs)


def seed_of(seed: int, *of: object) -> bytes:
    """Return 32 bytes of the training's seed and what they are for."""
    return hashlib.sha256(repr((seed, *of)).encode()).digest()
