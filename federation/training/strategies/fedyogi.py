"""FedYogi: the joint model moves by Yogi: v = v - (1 - beta2) D^2 sign(v - D^2), which forgets large moments slowly.

S. Reddi and others, Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295), Algorithm 2; see `_adaptive`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.training.strategies._adaptive import Adaptive, AdaptiveStrategy
from federation.training.strategy import check_share


@dataclass(frozen=True, slots=True, kw_only=True)
class FedYogiParameters(Adaptive):
    """Those of all adaptive strategies, and the second moment's.

    Attributes:
        beta2: 1 - beta2 of a squared movement is added to the second moment, or taken off; in [0, 1).
    """

    beta2: float = 0.99

    def __post_init__(self) -> None:
        Adaptive.__post_init__(self)
        check_share("beta2", self.beta2)


class FedYogi(AdaptiveStrategy[FedYogiParameters]):
    """The mean of movements by Yogi."""

    name = "fedyogi"
    version = 1
    Parameters = FedYogiParameters

    def second(
        self,
        parameters: FedYogiParameters,
        second: NDArray[np.float64],
        square: NDArray[np.float64],
        room: NDArray[np.float64],
    ) -> None:
        np.sign(np.subtract(second, square, out=room), out=room)
        square *= 1.0 - parameters.beta2
        second -= np.multiply(square, room, out=square)
