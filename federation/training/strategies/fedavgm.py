"""FedAvgM: FedAvg with momentum of the joint model: speed = momentum * speed + mean; model += server_lr * speed.

T.-M. H. Hsu, H. Qi, M. Brown, Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification (arXiv 1909.06335), section 4; S. Reddi and others, ICLR 2021 (arXiv 2003.00295), Algorithm 1 with SGD of
momentum as the server's optimiser. Running statistics take the plain mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import BLOCK, blocks, statistics_averaged
from federation.training.strategy import (
    LARGEST,
    Public,
    Schedule,
    Strategy,
    Update,
    Work,
    check_positive,
    check_share,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvgMParameters(Schedule):
    """FedAvg's, and the joint model's.

    Attributes:
        server_lr: step size of the joint model; 1 with server_momentum 0 is FedAvg.
        server_momentum: share of the speed that a round keeps, in [0, 1).
    """

    server_lr: float = 1.0
    server_momentum: float = 0.9

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_positive("server_lr", self.server_lr, LARGEST)
        check_share("server_momentum", self.server_momentum)


class FedAvgM(Strategy[FedAvgMParameters]):
    """The mean of movements, with momentum; `Public.more` is the speed."""

    name = "fedavgm"
    version = 1
    Parameters = FedAvgMParameters

    def begun(self, parameters: FedAvgMParameters, layout: Layout, model: NDArray[np.float32]) -> Public:  # noqa: ARG002 - the contract's
        return Public(model=model, more=(np.zeros(layout.size, dtype=np.float32),))

    def local_step(self, parameters: FedAvgMParameters, work: Work) -> Update:
        return Update(vector=descend(work, parameters).moved, weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: FedAvgMParameters,
        layout: Layout,
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002 - the contract's arguments
    ) -> Public:
        (before,) = public.more
        model, speeds = np.empty_like(public.model), np.empty_like(before)
        room = np.empty(min(BLOCK, layout.size))
        for block in blocks(layout.size):
            speed = room[: block.stop - block.start]
            speed[...] = before[block]
            speed *= parameters.server_momentum
            speed += mean[block]
            speeds[block] = speed
            speed *= parameters.server_lr
            speed += public.model[block]
            model[block] = speed
        return Public(model=statistics_averaged(model, public.model, mean, layout), more=(speeds,))
