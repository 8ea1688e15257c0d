"""A convolutional network for small pictures: blocks of convolution, rectifier and halving, then one hidden layer.

filters=(32, 64), kernel=5, dense=512 is the network of McMahan et al. (AISTATS 2017), section 3. A picture is a row of
height x width x channels numbers in C order, so the channels of a pixel are neighbours. Refuses categorical inputs, and
more blocks than a picture can be halved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation.errors import Misuse
from federation.training.inputs import Inputs
from federation.training.layout import Layout, Tensor
from federation.training.model import MOST_WIDTH, Model, check_choice, check_dropout, check_widths
from federation.training.models._pieces import NORMS, affine, batch_norm, laid_out, normalised, refuse_categories

MOST_CHANNELS = 64
MOST_KERNEL = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class CnnConfig:
    """Pictures and layers.

    Attributes:
        height: pixels.
        width: pixels.
        channels: numbers a pixel.
        filters: of each block, how many; a block halves height and width.
        kernel: side of a filter in pixels, odd; pictures are padded with zeros.
        dense: units of the hidden layer behind the blocks.
        norm: "batch" to normalise after each convolution, "none".
        dropout: share of hidden units left out of a training step.
    """

    height: int
    width: int
    channels: int = 1
    filters: tuple[int, ...] = (32, 64)
    kernel: int = 3
    dense: int = 128
    norm: str = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.height <= MOST_WIDTH and 1 <= self.width <= MOST_WIDTH):
            raise Misuse(f"a picture is 1 to {MOST_WIDTH} pixels high and wide")
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise Misuse(f"a pixel has 1 to {MOST_CHANNELS} channels, not {self.channels}")
        check_widths("filters", self.filters, fewest=1)
        check_widths("hidden layers", (self.dense,), fewest=1)
        if not (1 <= self.kernel <= MOST_KERNEL and self.kernel % 2):
            raise Misuse(f"a kernel is an odd number of 1 to {MOST_KERNEL} pixels, not {self.kernel}")
        if min(self.height, self.width) >> len(self.filters) < 1:
            raise Misuse(f"pictures of {self.height} x {self.width} cannot be halved {len(self.filters)} times")
        check_choice("norm", self.norm, NORMS)
        check_dropout(self.dropout)

    @property
    def flattened(self) -> int:
        """Numbers of a picture behind the last block."""
        halvings = len(self.filters)
        return self.filters[-1] * (self.height >> halvings) * (self.width >> halvings)


class Cnn(Model[CnnConfig]):
    """Blocks, one hidden layer, an affine output."""

    name = "cnn"
    version = 1
    Config = CnnConfig

    def layout(self, config: CnnConfig, inputs: Inputs) -> Layout:
        refuse_categories(self.name, inputs)
        if inputs.numbers != config.height * config.width * config.channels:
            raise Misuse(
                f"pictures of {config.height} x {config.width} x {config.channels} are not {inputs.numbers} numbers"
            )
        tensors: list[Tensor] = []
        before = config.channels
        for place, filters in enumerate(config.filters):
            tensors += affine(f"blocks.conv{place}", before, filters, kernel=(config.kernel, config.kernel))
            if config.norm == "batch":
                tensors += normalised(f"blocks.norm{place}", filters)
            before = filters
        tensors += affine("hidden", config.flattened, config.dense)
        return laid_out([*tensors, *affine("output", config.dense, inputs.outputs)])

    def module(self, config: CnnConfig, inputs: Inputs) -> Any:  # noqa: ANN401 as the contract
        self.layout(config, inputs)
        from torch import nn
        from torch.nn import functional

        class Convolutional(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.blocks = blocks(config)
                self.hidden = nn.Linear(config.flattened, config.dense)
                self.dropout = nn.Dropout(config.dropout)
                self.output = nn.Linear(config.dense, inputs.outputs)

            def forward(self, numbers: Any, codes: Any) -> Any:  # noqa: ANN401, ARG002 no model has another signature
                pictures = numbers.reshape(-1, config.height, config.width, config.channels).permute(0, 3, 1, 2)
                found = self.blocks(pictures).flatten(1)
                return self.output(self.dropout(functional.relu(self.hidden(found))))

        return Convolutional()


def blocks(config: CnnConfig) -> Any:  # noqa: ANN401 torch's types are not known here
    """Return the blocks; halving comes before rectifying, which gives the same values in a quarter of the work."""
    from torch import nn

    made = nn.Sequential()
    before = config.channels
    for place, filters in enumerate(config.filters):
        made.add_module(f"conv{place}", nn.Conv2d(before, filters, config.kernel, padding=config.kernel // 2))
        if config.norm == "batch":
            made.add_module(f"norm{place}", batch_norm(filters, axes=2))
        made.add_module(f"halve{place}", nn.MaxPool2d(2))
        made.add_module(f"relu{place}", nn.ReLU())
        before = filters
    return made
