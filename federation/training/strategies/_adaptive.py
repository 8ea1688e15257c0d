"""What FedAdam, FedYogi and FedAdagrad share: both halves, but for the second moment's formula.

S. Reddi, Z. Charles, M. Zaheer, Z. Garrett, K. Rush, J. Konečný, S. Kumar, H. B. McMahan, Adaptive Federated
Optimization, ICLR 2021 (arXiv 2003.00295), Algorithm 2: D the mean of movements, m = beta1 m + (1 - beta1) D, v by the
strategy, model += server_lr * m / (sqrt(v) + tau); m starts at 0 and v at tau^2; no correction of the moments' bias, as
in the paper. Running statistics take the plain mean.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

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
class Adaptive(Schedule):
    """FedAvg's parameters, and the joint model's.

    Attributes:
        server_lr: step size of the joint model.
        beta1: share of the first moment that a round keeps, in [0, 1).
        tau: degree of adaptivity: an entry whose second moment is far below tau^2 moves as in FedAvg, scaled.
    """

    server_lr: float = 0.1
    beta1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_positive("server_lr", self.server_lr, LARGEST)
        check_share("beta1", self.beta1)
        check_positive("tau", self.tau, LARGEST)


A = TypeVar("A", bound=Adaptive)


class AdaptiveStrategy(Strategy[A]):
    """The mean of movements, each entry scaled by its own past; `Public.more` is (first, second) moments."""

    def begun(self, parameters: A, layout: Layout, model: NDArray[np.float32]) -> Public:
        first = np.zeros(layout.size, dtype=np.float32)
        second = np.full(layout.size, parameters.tau * parameters.tau, dtype=np.float32)
        return Public(model=model, more=(first, second))

    def local_step(self, parameters: A, work: Work) -> Update:
        return Update(vector=descend(work, parameters).moved, weight=parameters.weight(work.rows.size))

    @abstractmethod
    def second(
        self,
        parameters: A,
        second: NDArray[np.float64],
        square: NDArray[np.float64],
        room: NDArray[np.float64],
    ) -> None:
        """Change a block of second moments in place.

        Args:
            square: the squares of the mean movement; may be overwritten, as `room` may.
        """

    def merge(
        self,
        parameters: A,
        layout: Layout,
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002 - the contract's arguments
    ) -> Public:
        m_before, v_before = public.more
        model, firsts, seconds = (np.empty_like(public.model) for _ in range(3))
        rooms = np.empty((4, min(BLOCK, layout.size)))
        for block in blocks(layout.size):
            moved = mean[block].astype(np.float64)
            first, second, square, room = rooms[:, : moved.size]
            first[...] = m_before[block]
            first *= parameters.beta1
            first += np.multiply(moved, 1.0 - parameters.beta1, out=room)
            second[...] = v_before[block]
            self.second(parameters, second, np.multiply(moved, moved, out=square), room)
            firsts[block], seconds[block] = first, second
            np.sqrt(second, out=second)
            second += parameters.tau
            first *= parameters.server_lr
            first /= second
            first += public.model[block]
            model[block] = first
        return Public(model=statistics_averaged(model, public.model, mean, layout), more=(firsts, seconds))
