"""FedProx: FedAvg whose local loss has mu / 2 * |model - joint model|^2 added, which holds drifting parties back.

T. Li, A. K. Sahu, M. Zaheer, M. Sanjabi, A. Talwalkar, V. Smith, Federated Optimization in Heterogeneous Networks,
MLSys 2020 (arXiv 1812.06127), Algorithm 2. mu = 0 is FedAvg, bit for bit. Running statistics are not pulled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import added
from federation.training.strategy import LARGEST, Public, Schedule, Strategy, Update, Work, check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class FedProxParameters(Schedule):
    """FedAvg's, and the pull.

    Attributes:
        mu: strength of the pull towards the joint model, at least 0; lr * mu must stay well below 2.
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_range("mu", self.mu, 0, LARGEST)


class FedProx(Strategy[FedProxParameters]):
    """The mean of movements that stay near the joint model."""

    name = "fedprox"
    version = 1
    Parameters = FedProxParameters

    def local_step(self, parameters: FedProxParameters, work: Work) -> Update:
        moved = descend(work, parameters, toward=work.public.model, pull=parameters.mu).moved
        return Update(vector=moved, weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: FedProxParameters,  # noqa: ARG002 - the contract's arguments
        layout: Layout,  # noqa: ARG002
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        return Public(model=added(public.model, mean))
