"""FedAdam: the joint model moves by Adam on the mean of movements: v = beta2 v + (1 - beta2) D^2.

S. Reddi and others, Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295), Algorithm 2; see `_adaptive`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.training.strategies._adaptive import Adaptive, AdaptiveStrategy
from federation.training.strategy import check_share


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdamParameters(Adaptive):
    """Those of all adaptive strategies, and the second moment's.

    Attributes:
        beta2: share of the second moment that a round keeps, in [0, 1).
    """

    beta2: float = 0.99

    def __post_init__(self) -> None:
        Adaptive.__post_init__(self)
        check_share("beta2", self.beta2)


class FedAdam(AdaptiveStrategy[FedAdamParameters]):
    """The mean of movements by Adam."""

    name = "fedadam"
    version = 1
    Parameters = FedAdamParameters

    def second(
        self,
        parameters: FedAdamParameters,
        second: NDArray[np.float64],
        square: NDArray[np.float64],
        room: NDArray[np.float64],  # noqa: ARG002 - the contract's arguments
    ) -> None:
        second *= parameters.beta2
        second += np.multiply(square, 1.0 - parameters.beta2, out=square)
