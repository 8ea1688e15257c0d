"""What a model reads of a row and what it answers: the shape of a batch, without a model and without torch.

A batch is three arrays: numbers float32 (rows, numbers), codes int64 (rows, categorical inputs), and target: float32
(rows,) for REGRESSION and for BINARY (0 or 1), int64 (rows,) for CLASSES (0 to outputs - 1). `check` refuses arrays of
another shape or kind, numbers that are not finite, and codes outside their list: a model's module indexes by codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse

MOST_INPUTS = 1_000_000  # numbers of a row, and categories of all its codes together
MOST_CATEGORICAL = 1_000  # categorical inputs
MOST_OUTPUTS = 10_000


class Task(StrEnum):
    """What the outputs mean, and which loss is minimised."""

    REGRESSION = "regression"  # one value, squared error
    BINARY = "binary"  # one logit, logistic loss
    CLASSES = "classes"  # one logit per class, cross-entropy of their softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The shape of a batch.

    Attributes:
        numbers: numeric inputs in order, standardised. Pictures: (row, column, channel) in C order, so the channels of
            a pixel are neighbours; the model's configuration says height, width and channels. Series: equal groups,
            one a step; the configuration says how many steps.
        levels: of each categorical input, how many categories; codes are 0 to levels - 1.
        outputs: 1 for REGRESSION and BINARY, the number of classes (at least 2) for CLASSES.
        task: what the outputs mean.
    """

    numbers: int
    levels: tuple[int, ...] = ()
    outputs: int = 1
    task: Task

    def __post_init__(self) -> None:
        if not 0 <= self.numbers <= MOST_INPUTS:
            raise Misuse(f"a row has 0 to {MOST_INPUTS} numeric inputs, not {self.numbers}")
        if len(self.levels) > MOST_CATEGORICAL or any(levels < 1 for levels in self.levels):
            raise Misuse(f"a row has at most {MOST_CATEGORICAL} categorical inputs, each of at least one category")
        if sum(self.levels) > MOST_INPUTS:
            raise Misuse(f"the categories of all inputs are at most {MOST_INPUTS}, not {sum(self.levels)}")
        if not self.width:
            raise Misuse("a model needs at least one input")
        few, most = (2, MOST_OUTPUTS) if self.task is Task.CLASSES else (1, 1)
        if not few <= self.outputs <= most:
            raise Misuse(f"a task of {self.task} has {few} to {most} outputs, not {self.outputs}")

    @property
    def width(self) -> int:
        """Inputs of a row when each category is a column of its own (one-hot)."""
        return self.numbers + sum(self.levels)

    def check(self, numbers: NDArray[np.float32], codes: NDArray[np.int64], target: NDArray[np.generic]) -> None:
        """Raise Misuse unless the three arrays are a batch of this shape; messages quote no value of a row."""
        rows = len(target)
        kind = np.int64 if self.task is Task.CLASSES else np.float32
        for what, array, shape, dtype in (
            ("numbers", numbers, (rows, self.numbers), np.float32),
            ("codes", codes, (rows, len(self.levels)), np.int64),
            ("target", target, (rows,), kind),
        ):
            if array.shape != shape or array.dtype != dtype:
                raise Misuse(f"{what} of a batch are {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")
        if not np.isfinite(numbers).all() or not np.isfinite(np.asarray(target, dtype=np.float64)).all():
            raise Misuse("a batch has a number that is not finite", hint="leave such rows out, or fill them")
        if rows and self.levels and (codes.min() < 0 or (codes.max(axis=0) >= np.array(self.levels)).any()):
            raise Misuse("a batch has a code outside its list of categories")
        if self.task is Task.BINARY and not np.isin(target, (0, 1)).all():
            raise Misuse("a binary target is 0 or 1")
        if self.task is Task.CLASSES and rows and not (np.min(target) >= 0 and np.max(target) < self.outputs):
            raise Misuse(f"a target of {self.outputs} classes is 0 to {self.outputs - 1}")
