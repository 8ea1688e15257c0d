"""SCAFFOLD: control variates take out of every local gradient what is the party's own, so that no party drifts.

S. P. Karimireddy, S. Kale, M. Mohri, S. Reddi, S. Stich, A. T. Suresh, SCAFFOLD, ICML 2020 (arXiv 1910.06378),
Algorithm 1 with option II: a party steps along gradient - c_own + c, and then c_own becomes c_own - c - moved / (K lr),
its own mean gradient of the round; c is the mean of the parties' c_own.

A party's c_own travels behind its movement, times lr, so that both are of one size, and c is their mean: the paper's
c + |S| / N * mean(change) when all take part, and without a trace of who was missing earlier when some do not. What a
party keeps is what it sent, after the cut. Momentum counts by its effective steps; adam is refused: its movement is no
mean of gradients. Running statistics have no variate. The vector is twice FedAvg's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse
from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import bounded, moved
from federation.training.strategy import (
    LARGEST,
    Public,
    Schedule,
    Strategy,
    Update,
    Work,
    check_positive,
    effective_steps,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaffoldParameters(Schedule):
    """FedAvg's, and the joint model's.

    Attributes:
        server_lr: step size of the joint model along the mean movement.
    """

    server_lr: float = 1.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_positive("server_lr", self.server_lr, LARGEST)
        if self.optimizer != "sgd":
            raise Misuse("scaffold takes gradients from movements, which adam's are not", hint='optimizer="sgd"')


class Scaffold(Strategy[ScaffoldParameters]):
    """The mean of movements without drift; `Public.more` is c, what a party keeps is its c_own."""

    name = "scaffold"
    version = 1
    Parameters = ScaffoldParameters

    def length(self, parameters: ScaffoldParameters, layout: Layout) -> int:  # noqa: ARG002 - the contract's
        return layout.size + layout.learned

    def begun(self, parameters: ScaffoldParameters, layout: Layout, model: NDArray[np.float32]) -> Public:  # noqa: ARG002 - the contract's
        return Public(model=model, more=(np.zeros(layout.learned, dtype=np.float32),))

    def local_step(self, parameters: ScaffoldParameters, work: Work) -> Update:
        (c,), rate, clip = work.public.more, np.float32(parameters.rate(work.round_index)), parameters.clip
        own = work.kept[0] if work.kept else np.zeros_like(c)
        went = descend(work, replace(parameters, norm=0.0), shift=c - own)
        steps = np.float32(effective_steps(went.steps, parameters.momentum))
        gradient = own - c - went.moved[: c.size] / (rate * steps)
        sent = np.clip(bounded(gradient * rate, parameters.norm), -clip, clip)
        vector = np.concatenate((bounded(went.moved, parameters.norm), sent))
        return Update(vector=vector, kept=(sent / rate,), weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: ScaffoldParameters,
        layout: Layout,
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,
    ) -> Public:
        c = mean[layout.size :] / parameters.rate(round_index)
        model = moved(public.model, mean[: layout.size], parameters.server_lr, layout)
        return Public(model=model, more=(c.astype(np.float32),))
