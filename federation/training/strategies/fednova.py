"""FedNova: parties that made more local updates do not count more: movements are divided by their steps first.

J. Wang, Q. Liu, H. Liang, G. Joshi, H. V. Poor, Tackling the Objective Inconsistency Problem in Heterogeneous Federated
Optimization, NeurIPS 2020 (arXiv 2007.07481), equations (7) to (9): model += t_eff * sum p_i moved_i / t_i with t_i the
effective steps of party i (momentum counted, section 4.1) and t_eff = sum p_i t_i. With equal steps it is FedAvg.

A party sends moved_i * t_ref / t_i, t_ref being the last round's t_eff, so that entries are of the size of movements;
with `epochs` one entry more, t_i / MOST of the cut, in the sum of which only the mean is seen. Running statistics take
the plain mean. adam is refused: its movement is no sum of gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse
from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import bounded, moved
from federation.training.strategy import Public, Schedule, Strategy, Update, Work, check_range, effective_steps

MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FedNovaParameters(Schedule):
    """FedAvg's, and the scale of the entry that carries steps.

    Attributes:
        most_steps: greatest number of effective steps that a party may make in a round when `epochs` decides; t_eff is
            known to most_steps / 2^(bits - 1), so a bound near the truth is better.
    """

    most_steps: int = 10_000

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_range("most_steps", self.most_steps, 1, MOST)
        if self.optimizer != "sgd":
            raise Misuse("fednova takes mean gradients from movements, which adam's are not", hint='optimizer="sgd"')


class FedNova(Strategy[FedNovaParameters]):
    """The mean of movements a step, times the mean number of steps; `Public.more` is (t_ref,)."""

    name = "fednova"
    version = 1
    Parameters = FedNovaParameters

    def length(self, parameters: FedNovaParameters, layout: Layout) -> int:
        return layout.size if parameters.steps else layout.size + 1

    def begun(self, parameters: FedNovaParameters, layout: Layout, model: NDArray[np.float32]) -> Public:  # noqa: ARG002 - the contract's
        first = effective_steps(parameters.steps, parameters.momentum) if parameters.steps else 1.0
        return Public(model=model, more=(np.array([first], dtype=np.float32),))

    def local_step(self, parameters: FedNovaParameters, work: Work) -> Update:
        went = descend(work, replace(parameters, norm=0.0))
        weight = parameters.weight(work.rows.size)
        if parameters.steps:
            return Update(vector=bounded(went.moved, parameters.norm), weight=weight)
        steps = effective_steps(went.steps, parameters.momentum)
        if steps > parameters.most_steps:
            raise Misuse(
                f"this party made {steps:.0f} effective steps, fednova was told of at most {parameters.most_steps}",
                hint="raise most_steps, or set a greater batch_size",
            )
        vector = np.empty(self.length(parameters, work.layout), dtype=np.float32)
        went.moved[: work.layout.learned] *= np.float32(float(work.public.more[0][0]) / steps)
        vector[:-1] = bounded(went.moved, parameters.norm)
        vector[-1] = parameters.clip * steps / parameters.most_steps
        return Update(vector=vector, weight=weight)

    def merge(
        self,
        parameters: FedNovaParameters,
        layout: Layout,
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002 - the contract's arguments
    ) -> Public:
        if parameters.steps:
            return Public(model=moved(public.model, mean, 1.0), more=public.more)
        (reference,) = public.more
        steps = max(1.0, float(mean[-1]) * parameters.most_steps / parameters.clip)  # nobody makes fewer than one
        model = moved(public.model, mean[:-1], steps / float(reference[0]), layout)
        return Public(model=model, more=(np.array([steps], dtype=np.float32),))
