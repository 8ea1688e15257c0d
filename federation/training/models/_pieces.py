"""What several models are built from, each as tensors (pure) and as torch has it (imported inside), side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from federation.errors import Misuse
from federation.training.inputs import Inputs
from federation.training.layout import Layout, Part, Tensor
from federation.training.model import check_choice, check_dropout, check_widths

NORMS = ("none", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Configuration of fully connected hidden layers, rectified.

    Attributes:
        hidden: widths of the hidden layers.
        norm: "batch" to normalise each before it is rectified, "none".
        dropout: share of hidden units left out of a training step.
    """

    hidden: tuple[int, ...] = (64,)
    norm: str = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_widths("hidden layers", self.hidden, fewest=1)
        check_choice("norm", self.norm, NORMS)
        check_dropout(self.dropout)


# -------------------------------------------------------------------------------------------------------- tensors


def laid_out(tensors: Iterable[Tensor]) -> Layout:
    """Return the layout of these tensors in the order of their modules: learned ones first, as torch lists them."""
    return Layout(tensors=tuple(sorted(tensors, key=lambda tensor: tensor.part is Part.BUFFER)))


def affine(name: str, inputs: int, outputs: int, *, kernel: tuple[int, ...] = ()) -> list[Tensor]:
    """Return weight and bias of a linear layer, or of a convolution with this kernel."""
    shape, fan_in = (outputs, inputs, *kernel), inputs * math.prod(kernel)
    return [
        Tensor(name=f"{name}.weight", shape=shape, part=Part.WEIGHT, fan_in=fan_in),
        Tensor(name=f"{name}.bias", shape=(outputs,), part=Part.BIAS, fan_in=fan_in),
    ]


def normalised(name: str, width: int) -> list[Tensor]:
    """Return scale, shift and running statistics of a batch normalisation."""
    scale, shift, mean, variance = (f"{name}.{of}" for of in ("weight", "bias", "running_mean", "running_var"))
    return [
        Tensor(name=scale, shape=(width,), part=Part.NORM, fill=1.0),
        Tensor(name=shift, shape=(width,), part=Part.NORM),
        Tensor(name=mean, shape=(width,), part=Part.BUFFER),
        Tensor(name=variance, shape=(width,), part=Part.BUFFER, fill=1.0),
    ]


def stack(inputs: int, config: Hidden, outputs: int) -> list[Tensor]:
    """Return the tensors of `stacked`."""
    tensors: list[Tensor] = []
    for place, width in enumerate(config.hidden):
        tensors += affine(f"layers.hidden{place}", inputs, width)
        if config.norm == "batch":
            tensors += normalised(f"layers.norm{place}", width)
        inputs = width
    return [*tensors, *affine("layers.output", inputs, outputs)]


def refuse_categories(model: str, inputs: Inputs) -> None:
    """Raise Misuse where a model that reads numbers only is given categorical inputs."""
    if inputs.levels:
        raise Misuse(
            f"{model} reads numbers only, it was given {len(inputs.levels)} categorical inputs", hint="tabular"
        )


# ---------------------------------------------------------------------------------------------------------- torch
# The types of torch are Any here: the rooms are checked where torch is not installed.


def columns(inputs: Inputs) -> Any:  # noqa: ANN401
    """Return a module: (numbers, codes) to (rows, inputs.width), a column of 0 and 1 for each category."""
    import torch
    from torch import nn

    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            starts = [sum(inputs.levels[:place]) for place in range(len(inputs.levels))]
            held = torch.tensor(starts, dtype=torch.int64, device="cpu")  # whatever the standing device is
            self.register_buffer("starts", held, persistent=False)

        def forward(self, numbers: Any, codes: Any) -> Any:  # noqa: ANN401
            if not inputs.levels:
                return numbers
            ones = torch.zeros(len(codes), sum(inputs.levels)).scatter_(1, codes + self.starts, 1.0)
            return torch.cat((numbers, ones), dim=1)

    return Columns()


def stacked(inputs: int, config: Hidden, outputs: int) -> Any:  # noqa: ANN401
    """Return hidden layers, each affine, normalised, rectified, thinned, and an affine output."""
    from torch import nn

    layers = nn.Sequential()
    for place, width in enumerate(config.hidden):
        layers.add_module(f"hidden{place}", nn.Linear(inputs, width))
        if config.norm == "batch":
            layers.add_module(f"norm{place}", batch_norm(width, axes=1))
        layers.add_module(f"relu{place}", nn.ReLU())
        if config.dropout:
            layers.add_module(f"dropout{place}", nn.Dropout(config.dropout))
        inputs = width
    layers.add_module("output", nn.Linear(inputs, outputs))
    return layers


def batch_norm(width: int, *, axes: int) -> Any:  # noqa: ANN401
    """Return torch's batch normalisation for rows (1 axis) or pictures (2).

    A batch with one value per channel has no variance: torch raises, here it is normalised by the running statistics,
    since a small party's last batch may be a single row.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    kind: Any = nn.BatchNorm1d if axes == 1 else nn.BatchNorm2d

    class Norm(kind):  # type: ignore[misc, unused-ignore]  # chosen above
        def forward(self, values: Any) -> Any:  # noqa: ANN401
            if self.training and values.numel() == values.shape[1]:
                return functional.batch_norm(
                    values, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
                )
            return super().forward(values)

    norm = Norm(width)
    norm.num_batches_tracked = torch.zeros((), dtype=torch.int64, device="cpu")  # whatever the standing device is
    return norm
