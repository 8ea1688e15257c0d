"""Norm-bounded mean: no update, and no round, moves the joint model further than `norm`.

Z. Sun, P. Kairouz, A. T. Suresh, H. B. McMahan, Can You Really Backdoor Federated Learning? (arXiv 1911.07963),
section 4: each movement is scaled down to an L2 norm of at most `norm` before it is weighed, so that a party whose rows
were poisoned moves the mean by at most norm times its share of the weights, and half a quantum an entry for rounding.

The first bound is held by the party's own program. Under masks nobody sees a single update, so a party that runs a
changed program could send any; against it stands what all do: `merge` scales the mean itself down to `norm`. Such a
party can choose the direction of a round, never its length. The medians and trimmed means of other software need a
server that sees every update, which nobody does here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import moved, shrinking
from federation.training.strategy import LARGEST, Public, Schedule, Strategy, Update, Work, check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBoundedParameters(Schedule):
    """FedAvg's, with a bound that is never 0."""

    norm: float = 1.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_positive("norm", self.norm, LARGEST)


class NormBounded(Strategy[NormBoundedParameters]):
    """The mean of movements of at most `norm`, itself of at most `norm`."""

    name = "normbounded"
    version = 1
    Parameters = NormBoundedParameters

    def local_step(self, parameters: NormBoundedParameters, work: Work) -> Update:
        return Update(vector=descend(work, parameters).moved, weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: NormBoundedParameters,
        layout: Layout,  # noqa: ARG002 - the contract's arguments
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        return Public(model=moved(public.model, mean, shrinking(mean, parameters.norm)))
