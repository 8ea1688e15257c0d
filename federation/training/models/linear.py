"""A linear model: no hidden layer, each category a column of its own. With BINARY and CLASSES, logistic regression.

Convex, so that every strategy has the same optimum to reach. A model of two columns per fact (all categories and an
intercept) has many optima of equal loss; for figures with standard errors ask for `glm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation.training.inputs import Inputs
from federation.training.layout import Layout
from federation.training.model import Model
from federation.training.models._pieces import affine, columns, laid_out


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConfig:
    """Nothing to configure."""


class Linear(Model[LinearConfig]):
    """One affine layer."""

    name = "linear"
    version = 1
    Config = LinearConfig

    def layout(self, config: LinearConfig, inputs: Inputs) -> Layout:  # noqa: ARG002 nothing to configure
        return laid_out(affine("output", inputs.width, inputs.outputs))

    def module(self, config: LinearConfig, inputs: Inputs) -> Any:  # noqa: ANN401 as the contract
        self.layout(config, inputs)
        from torch import nn

        class Affine(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.columns = columns(inputs)
                self.output = nn.Linear(inputs.width, inputs.outputs)

            def forward(self, numbers: Any, codes: Any) -> Any:  # noqa: ANN401
                return self.output(self.columns(numbers, codes))

        return Affine()
