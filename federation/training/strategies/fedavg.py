"""FedAvg: every party descends on its own rows, the joint model moves by the weighted mean of the ways it went.

H. B. McMahan, E. Moore, D. Ramage, S. Hampson, B. Agüera y Arcas, Communication-Efficient Learning of Deep Networks
from Decentralized Data, AISTATS 2017 (arXiv 1602.05629), Algorithm 1. With one step over all rows it is pooled gradient
descent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import added
from federation.training.strategy import Public, Schedule, Strategy, Update, Work


class FedAvg(Strategy[Schedule]):
    """The mean of the parties' movements."""

    name = "fedavg"
    version = 1
    Parameters = Schedule

    def local_step(self, parameters: Schedule, work: Work) -> Update:
        return Update(vector=descend(work, parameters).moved, weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: Schedule,  # noqa: ARG002 - the contract's arguments
        layout: Layout,  # noqa: ARG002
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        return Public(model=added(public.model, mean))
