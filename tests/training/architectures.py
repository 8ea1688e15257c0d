"""Every model under several configurations and inputs, batches for them, and a plain way to fill a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout
from federation.training.model import Model
from federation.training.models.cnn import Cnn, CnnConfig
from federation.training.models.linear import Linear, LinearConfig
from federation.training.models.lstm import Lstm, LstmConfig
from federation.training.models.mlp import Mlp, MlpConfig
from federation.training.models.tabular import Tabular, TabularConfig

SEED = bytes(range(32))
MIXED = Inputs(numbers=4, levels=(3, 1, 7), task=Task.BINARY)
CODES = Inputs(numbers=0, levels=(2, 120), outputs=3, task=Task.CLASSES)
NUMBERS = Inputs(numbers=6, task=Task.REGRESSION)
GREY = Inputs(numbers=8 * 6, outputs=4, task=Task.CLASSES)
COLOUR = Inputs(numbers=8 * 8 * 3, outputs=2, task=Task.CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model, its configuration and its inputs."""

    model: Model[Any]
    config: Any
    inputs: Inputs

    def __str__(self) -> str:
        return f"{self.model.name}-{self.inputs.task}-{self.inputs.width}"

    @property
    def layout(self) -> Layout:
        return self.model.layout(self.config, self.inputs)

    def module(self) -> Any:
        return self.model.module(self.config, self.inputs)


CASES = (
    *(Case(model=Linear(), config=LinearConfig(), inputs=inputs) for inputs in (MIXED, CODES, NUMBERS)),
    Case(model=Mlp(), config=MlpConfig(), inputs=MIXED),
    Case(model=Mlp(), config=MlpConfig(hidden=(9, 5), norm="batch", dropout=0.5), inputs=CODES),
    Case(model=Mlp(), config=MlpConfig(hidden=(3,) * 16, norm="batch"), inputs=NUMBERS),
    Case(model=Tabular(), config=TabularConfig(), inputs=MIXED),
    Case(model=Tabular(), config=TabularConfig(hidden=(8, 4), norm="batch", dropout=0.1), inputs=CODES),
    Case(model=Tabular(), config=TabularConfig(hidden=(8,)), inputs=NUMBERS),
    Case(model=Cnn(), config=CnnConfig(height=8, width=6, filters=(3, 5), dense=7), inputs=GREY),
    Case(
        model=Cnn(),
        config=CnnConfig(
            height=8, width=8, channels=3, filters=(4, 4, 6), kernel=5, dense=6, norm="batch", dropout=0.2
        ),
        inputs=COLOUR,
    ),
    Case(model=Lstm(), config=LstmConfig(steps=3), inputs=NUMBERS),
    Case(model=Lstm(), config=LstmConfig(steps=6, hidden=5, layers=3, dropout=0.3), inputs=GREY),
)


def batch(inputs: Inputs, rows: int, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]:
    """Return (numbers, codes, target) of made-up rows."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, inputs.numbers)).astype(np.float32)
    codes = rng.integers(0, inputs.levels or (), size=(rows, len(inputs.levels)))
    target: NDArray[Any] = rng.integers(0, inputs.outputs, rows)
    if inputs.task is not Task.CLASSES:
        target = rng.integers(0, 2, rows).astype(np.float32)
    return numbers, codes, target


def put(module: Any, layout: Layout, flat: NDArray[np.float32]) -> Any:
    """Copy `flat` into the module and return it."""
    import torch

    held = dict(module.named_parameters()) | dict(module.named_buffers())
    with torch.no_grad():
        for name, values in layout.split(flat).items():
            held[name].copy_(torch.from_numpy(values.copy()))
    return module


def answers(module: Any, inputs: Inputs, rows: int, seed: int = 1) -> Any:
    """Return the module's outputs on a made-up batch, as a torch tensor."""
    import torch

    numbers, codes, _ = batch(inputs, rows, seed)
    return module(torch.from_numpy(numbers), torch.from_numpy(codes))
