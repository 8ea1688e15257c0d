"""A recurrent network for short series: LSTM layers read the steps in order, the last state gives the output.

Hochreiter and Schmidhuber, Long short-term memory (Neural Computation 9:8, 1997), with forget gates, as torch has it. A
series is a row of steps x width numbers in C order: all numbers of the first step come first. Refuses categorical
inputs, and rows that are not a whole number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation.errors import Misuse
from federation.training.inputs import Inputs
from federation.training.layout import Layout, Part, Tensor
from federation.training.model import Model, check_dropout, check_widths
from federation.training.models._pieces import affine, laid_out, refuse_categories

MOST_STEPS = 10_000
GATES = 4  # input, forget, cell, output: one tensor holds all four


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmConfig:
    """Series and layers.

    Attributes:
        steps: of a series.
        hidden: numbers of a layer's state.
        layers: one reads the states of the other.
        dropout: share of the last state left out of a training step.
    """

    steps: int
    hidden: int = 32
    layers: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise Misuse(f"a series has 1 to {MOST_STEPS} steps, not {self.steps}")
        if self.layers < 1:
            raise Misuse("an lstm needs at least one layer")
        check_widths("layers", (self.hidden,) * min(self.layers, 1_000), fewest=1)
        check_dropout(self.dropout)


class Lstm(Model[LstmConfig]):
    """LSTM layers, an affine output."""

    name = "lstm"
    version = 1
    Config = LstmConfig

    def layout(self, config: LstmConfig, inputs: Inputs) -> Layout:
        refuse_categories(self.name, inputs)
        if inputs.numbers % config.steps:
            raise Misuse(f"{inputs.numbers} numbers of a row are not a whole number for each of {config.steps} steps")
        tensors: list[Tensor] = []
        before, rows = inputs.numbers // config.steps, GATES * config.hidden
        for layer in range(config.layers):
            for name, shape, part in (
                ("weight_ih", (rows, before), Part.WEIGHT),
                ("weight_hh", (rows, config.hidden), Part.WEIGHT),
                ("bias_ih", (rows,), Part.BIAS),
                ("bias_hh", (rows,), Part.BIAS),
            ):
                tensors.append(Tensor(name=f"lstm.{name}_l{layer}", shape=shape, part=part, fan_in=config.hidden))
            before = config.hidden
        return laid_out([*tensors, *affine("output", config.hidden, inputs.outputs)])

    def module(self, config: LstmConfig, inputs: Inputs) -> Any:  # noqa: ANN401 as the contract
        self.layout(config, inputs)
        from torch import nn

        class Recurrent(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                width = inputs.numbers // config.steps
                self.lstm = nn.LSTM(width, config.hidden, config.layers, batch_first=True)
                self.dropout = nn.Dropout(config.dropout)
                self.output = nn.Linear(config.hidden, inputs.outputs)

            def forward(self, numbers: Any, codes: Any) -> Any:  # noqa: ANN401, ARG002 no model has another signature
                series = numbers.reshape(len(numbers), config.steps, -1)
                _, (states, _) = self.lstm(series)
                return self.output(self.dropout(states[-1]))

        return Recurrent()
