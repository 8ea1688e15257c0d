"""FedAdagrad: the joint model moves by Adagrad on the mean of movements: v = v + D^2.

S. Reddi and others, Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295), Algorithm 2; see `_adaptive`. As in
the paper's experiments the first moment keeps nothing by default (beta1 = 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.training.strategies._adaptive import Adaptive, AdaptiveStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdagradParameters(Adaptive):
    """Those of all adaptive strategies; beta1 is 0."""

    beta1: float = 0.0


class FedAdagrad(AdaptiveStrategy[FedAdagradParameters]):
    """The mean of movements by Adagrad."""

    name = "fedadagrad"
    version = 1
    Parameters = FedAdagradParameters

    def second(
        self,
        parameters: FedAdagradParameters,  # noqa: ARG002 - the contract's arguments
        second: NDArray[np.float64],
        square: NDArray[np.float64],
        room: NDArray[np.float64],  # noqa: ARG002
    ) -> None:
        second += square
