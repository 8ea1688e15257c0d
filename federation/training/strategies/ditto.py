"""Ditto: beside the joint model of FedAvg every party trains a model of its own, pulled towards the joint one.

T. Li, S. Hu, A. Beirami, V. Smith, Ditto: Fair and Robust Federated Learning Through Personalization, ICML 2021
(arXiv 2012.04221), Algorithm 1: own = own - lr * (gradient(own) + pull * (own - joint)), from the joint model as it was
at the round's beginning. The own model never leaves; pull = 0 is training alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from federation.training.descent import descend
from federation.training.layout import Layout
from federation.training.merging import added
from federation.training.strategy import LARGEST, Public, Schedule, Strategy, Update, Work, check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class DittoParameters(Schedule):
    """FedAvg's, and the own model's.

    Attributes:
        pull: strength of the pull of the own model towards the joint one, at least 0 (lambda in the paper).
        own_lr: step size of the own model, decaying as lr does; 0 is lr.
    """

    pull: float = 0.1
    own_lr: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        check_range("pull", self.pull, 0, LARGEST)
        check_range("own_lr", self.own_lr, 0, LARGEST)


class Ditto(Strategy[DittoParameters]):
    """FedAvg, and a model of its own for every party; what a party keeps is that model."""

    name = "ditto"
    version = 1
    personal = True
    Parameters = DittoParameters

    def local_step(self, parameters: DittoParameters, work: Work) -> Update:
        joint = work.public.model
        own = work.kept[0] if work.kept else joint
        moved = descend(work, parameters).moved
        alone = replace(parameters, lr=parameters.own_lr or parameters.lr, norm=0.0)
        own = descend(work, alone, start=own, toward=joint, pull=parameters.pull, use=b"own").end
        return Update(vector=moved, kept=(own,), weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: DittoParameters,  # noqa: ARG002 - the contract's arguments
        layout: Layout,  # noqa: ARG002
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        return Public(model=added(public.model, mean))

    def own_model(
        self,
        parameters: DittoParameters,  # noqa: ARG002 - the contract's arguments
        layout: Layout,  # noqa: ARG002
        public: Public,
        kept: tuple[NDArray[np.float32], ...],
    ) -> NDArray[np.float32]:
        return kept[0] if kept else public.model
