"""What comes out of `fed.numpy_clients`: every round as it was opened, and the arrays of the joint model.

Refused: writing over a file, drawing what nobody evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clients.local.client_arrays import Arrays
from clients.researcher import model_file, rendering
from clients.researcher.plotting import drawn
from clients.researcher.receipt import Plain, as_mapping
from federation.analytics.statistic import Drawn, Line, Picture
from federation.errors import Misuse
from federation.training import checkpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRound:
    """One round as everybody would know it; every figure is of all parties together.

    Attributes:
        number: counted from 1, as classes are told.
        parties: who took part: all.
        examples: that `fit` learned from.
        clipped: share of the entries that were cut to [-clip, clip], from 0 to 1.
        fit_metrics: means of what `fit` reports, weighted by examples.
        evaluated: examples that `evaluate` used; 0 where it was not asked or is not there.
        loss: mean over these examples; None without any.
        metrics: means of what `evaluate` reports.
        seconds: what the round took.
    """

    number: int
    parties: tuple[str, ...]
    examples: int
    clipped: float
    fit_metrics: Mapping[str, float]
    evaluated: int
    loss: float | None
    metrics: Mapping[str, float]
    seconds: float

    def __str__(self) -> str:
        shown = {"loss": self.loss, **self.metrics, **{f"fit {name}": mean for name, mean in self.fit_metrics.items()}}
        said = [f"{name} {mean:.5g}" for name, mean in shown.items() if mean is not None]
        return "  ".join((f"round {self.number}", *said, f"examples {self.examples}", f"cut {self.clipped:.2%}"))


class TrainedArrays:
    """A model that classes trained jointly. There is no receipt: it was made in one process, and nobody signed it.

    Attributes:
        strategy: by name.
        model: flat float32 vector of all arrays, in order.
        history: every round.
    """

    def __init__(
        self, strategy: str, arrays: Arrays, model: NDArray[np.float32], history: tuple[ClientRound, ...]
    ) -> None:
        self.strategy, self.model, self.history, self._arrays = strategy, model, history, arrays

    @property
    def parameters(self) -> list[NDArray[Any]]:
        """The arrays as classes take them: copies, in the shapes and types of the first ones."""
        return self._arrays.copies(self.model)

    def save(self, path: str | Path) -> Path:
        """Write the model as a safetensors file (array_0, array_1, ..) and return its path; never writes over one."""
        return model_file.save(path, checkpoint.to_bytes(self._arrays.layout, self.model, {"strategy": self.strategy}))

    def summary(self) -> str:
        """Return the rounds as a text table."""
        fit = list(dict.fromkeys(name for one in self.history for name in one.fit_metrics))
        metrics = list(dict.fromkeys(name for one in self.history for name in one.metrics))
        columns = ("round", "loss", *metrics, *(f"fit {name}" for name in fit), "parties", "examples", "cut", "seconds")
        rows = [
            (
                one.number,
                one.loss,
                *(one.metrics.get(name) for name in metrics),
                *(one.fit_metrics.get(name) for name in fit),
                len(one.parties),
                one.examples,
                f"{one.clipped:.2%}",
                round(one.seconds, 3),
            )
            for one in self.history
        ]
        notes = ["summed under masks in this process: nobody signed it, and nobody is protected from this process"]
        return rendering.text(columns, rows, title=self._title(), notes=notes)

    def to_dict(self) -> dict[str, Plain]:
        """Return what was trained and its rounds as plain values; the model itself is a file."""
        return {
            "strategy": self.strategy,
            "parameters": self.model.size,
            "sha256": checkpoint.digest(self.model).hex(),
            "rounds": [as_mapping(one) for one in self.history],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loss and all metrics by round. Needs matplotlib."""
        points: dict[str, list[tuple[int, float]]] = {}
        for one in self.history:
            for name, mean in {"loss": one.loss, **one.metrics}.items():
                if mean is not None:
                    points.setdefault(name, []).append((one.number, mean))
        if not points:
            raise Misuse("no round was evaluated: there is nothing to draw", hint="classes with an `evaluate`")
        lines = tuple(
            Line(label=name, x=tuple(x for x, _ in known), y=tuple(y for _, y in known))
            for name, known in points.items()
        )
        picture = Picture(drawn=Drawn.LINES, title=self._title(), x_label="round", y_label="", x=(), y=(), lines=lines)
        return drawn(picture, ax)

    def __repr__(self) -> str:
        return self.summary()

    def _title(self) -> str:
        return f"{len(self._arrays.shapes)} arrays by {self.strategy}, {self.model.size:,} parameters"
