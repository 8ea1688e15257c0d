"""A multilayer perceptron: affine layers, rectified between them; each category is a column of its own.

hidden=(200, 200) on 784 pixels is the "2NN" of McMahan et al., Communication-efficient learning of deep networks from
decentralized data (AISTATS 2017), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation.training.inputs import Inputs
from federation.training.layout import Layout
from federation.training.model import Model
from federation.training.models._pieces import Hidden, columns, laid_out, stack, stacked


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpConfig(Hidden):
    """Hidden layers."""


class Mlp(Model[MlpConfig]):
    """Hidden layers and an affine output."""

    name = "mlp"
    version = 1
    Config = MlpConfig

    def layout(self, config: MlpConfig, inputs: Inputs) -> Layout:
        return laid_out(stack(inputs.width, config, inputs.outputs))

    def module(self, config: MlpConfig, inputs: Inputs) -> Any:  # noqa: ANN401 as the contract
        self.layout(config, inputs)
        from torch import nn

        class Perceptron(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.columns = columns(inputs)
                self.layers = stacked(inputs.width, config, inputs.outputs)

            def forward(self, numbers: Any, codes: Any) -> Any:  # noqa: ANN401
                return self.layers(self.columns(numbers, codes))

        return Perceptron()
