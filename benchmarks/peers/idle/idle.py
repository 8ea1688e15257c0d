"""A strategy that trains nothing: every party adds a thousandth to every parameter.

What is left is a round's own cost.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from federation.training.layout import Layout
from federation.training.merging import added
from federation.training.strategy import Public, Schedule, Strategy, Update, Work

STEP: Final = 1e-3


class Idle(Strategy[Schedule]):
    """The same update at every party, in every round."""

    name = "idle"
    version = 1
    Parameters = Schedule

    def local_step(self, parameters: Schedule, work: Work) -> Update:
        return Update(vector=np.full(work.layout.size, STEP, np.float32), weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: Schedule,  # noqa: ARG002 as the contract
        layout: Layout,  # noqa: ARG002
        public: Public,
        mean: NDArray[np.float64],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        return Public(model=added(public.model, mean))
