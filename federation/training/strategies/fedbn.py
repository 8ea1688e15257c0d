"""FedBN: FedAvg of everything but normalisations: their scales, shifts and running statistics stay at home.

X. Li, M. Jiang, X. Zhang, M. Kamp, Q. Dou, FedBN: Federated Learning on Non-IID Features via Local Batch Normalization,
ICLR 2021 (arXiv 2102.07623), Algorithm 1. A party's vector has no entry for them, so they cannot leave. Refused: models
without a normalisation, of which nothing would be anyone's own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse
from federation.training.descent import descend
from federation.training.layout import Layout, Part
from federation.training.merging import added, bounded
from federation.training.strategy import Public, Schedule, Strategy, Update, Work

AT_HOME = (Part.NORM, Part.BUFFER)


class FedBN(Strategy[Schedule]):
    """The mean of movements of what is joint; what a party keeps is its normalisations, in the layout's order."""

    name = "fedbn"
    version = 1
    personal = True
    Parameters = Schedule

    def length(self, parameters: Schedule, layout: Layout) -> int:  # noqa: ARG002 - the contract's arguments
        return sum(tensor.size for tensor in layout.tensors if tensor.part not in AT_HOME)

    def begun(self, parameters: Schedule, layout: Layout, model: NDArray[np.float32]) -> Public:
        if not 0 < self.length(parameters, layout) < layout.size:
            raise Misuse("fedbn keeps normalisations at home, and this model has none", hint='norm="batch", or fedavg')
        return Public(model=model)

    def local_step(self, parameters: Schedule, work: Work) -> Update:
        home = work.layout.where(*AT_HOME)
        start = self.own_model(parameters, work.layout, work.public, work.kept)
        went = descend(work, replace(parameters, norm=0.0), start=start)
        vector = bounded(went.moved[~home], parameters.norm)
        return Update(vector=vector, kept=(went.end[home],), weight=parameters.weight(work.rows.size))

    def merge(
        self,
        parameters: Schedule,  # noqa: ARG002 - the contract's arguments
        layout: Layout,
        public: Public,
        mean: NDArray[np.float32],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        model, start = (public.model if public.given else public.model.copy()), 0
        for tensor, place in layout.places():
            if tensor.part not in AT_HOME:
                model[place] = added(public.model[place], mean[start : start + tensor.size])
                start += tensor.size
        return Public(model=model)

    def own_model(
        self,
        parameters: Schedule,  # noqa: ARG002 - the contract's arguments
        layout: Layout,
        public: Public,
        kept: tuple[NDArray[np.float32], ...],
    ) -> NDArray[np.float32]:
        if not kept:
            return public.model
        own = public.model.copy()
        own[layout.where(*AT_HOME)] = kept[0]
        return own
