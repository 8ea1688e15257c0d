"""A perceptron for tables with many categories: each categorical input is embedded, numbers are taken as they are.

An input of L levels becomes min(50, (L + 1) // 2) numbers, the rule of fastai's first tabular learner; after Guo and
Berkhahn, Entity embeddings of categorical variables (arXiv 1604.06737). Embeddings start uniform in ±1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation.training.inputs import Inputs
from federation.training.layout import Layout, Part, Tensor
from federation.training.model import Model
from federation.training.models._pieces import Hidden, laid_out, stack, stacked

MOST_EMBEDDED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularConfig(Hidden):
    """Hidden layers behind the embeddings."""


class Tabular(Model[TabularConfig]):
    """Embeddings, hidden layers, an affine output."""

    name = "tabular"
    version = 1
    Config = TabularConfig

    def layout(self, config: TabularConfig, inputs: Inputs) -> Layout:
        embeddings = [
            Tensor(name=f"embeddings.{place}.weight", shape=(levels, embedded(levels)), part=Part.WEIGHT, fan_in=1)
            for place, levels in enumerate(inputs.levels)
        ]
        return laid_out([*embeddings, *stack(_width(inputs), config, inputs.outputs)])

    def module(self, config: TabularConfig, inputs: Inputs) -> Any:  # noqa: ANN401 as the contract
        self.layout(config, inputs)
        import torch
        from torch import nn

        class Embedded(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embeddings = nn.ModuleList(nn.Embedding(levels, embedded(levels)) for levels in inputs.levels)
                self.layers = stacked(_width(inputs), config, inputs.outputs)

            def forward(self, numbers: Any, codes: Any) -> Any:  # noqa: ANN401
                points = [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
                return self.layers(torch.cat((numbers, *points), dim=1))

        return Embedded()


def embedded(levels: int) -> int:
    """Return how many numbers stand for a category of `levels`."""
    return min(MOST_EMBEDDED, (levels + 1) // 2)


def _width(inputs: Inputs) -> int:
    return inputs.numbers + sum(map(embedded, inputs.levels))
