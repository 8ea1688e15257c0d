"""How good a model is, as whole numbers that add up over parties; what a party answers and what the sums say.

A party answers a tally over its evaluation rows: n, the sum of losses in fixed point, and by task right answers per
class, or histograms of scores of both classes. Only sums are opened; from them come the mean loss, the accuracy and the
area under the ROC curve, which 256 bins of scores fix up to a bound that is stated beside it.

A row's loss is cut at LARGEST_LOSS, which a loss that is not finite counts as; a score that is not a number is wrong.
Refused: more rows than MOST_ROWS, tallies of another length or that contradict themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse
from federation.training.descent import held, load
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout
from federation.training.strategy import Rows

BINS = 256  # of a score, expit(logit): bin b is [b / 256, (b + 1) / 256), the last with its end
LOSS_BITS = 20  # a row's loss is a multiple of 2^-20
LARGEST_LOSS = 1 << 20  # of one row
MOST_ROWS = 1 << 22  # of one party: its sum of losses stays below 2^62
_BATCH = 4_096  # rows at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the sums say of a model.

    Attributes:
        n: evaluation rows.
        loss: mean loss of the task: squared error, logistic loss or cross-entropy.
        accuracy: share of right answers; None for REGRESSION.
        auc: area under the ROC curve, two rows of one bin counting one half; None unless BINARY with both classes.
        auc_error: the area of the scores themselves is within auc ± auc_error.
        recall: share of right answers of each class, None of a class without rows; () for REGRESSION.
    """

    n: int
    loss: float
    accuracy: float | None = None
    auc: float | None = None
    auc_error: float | None = None
    recall: tuple[float | None, ...] = ()


def length(inputs: Inputs) -> int:
    """Return how many numbers a tally has."""
    match inputs.task:
        case Task.REGRESSION:
            return 2
        case Task.BINARY:
            return 4 + 2 * BINS
        case Task.CLASSES:
            return 2 + 2 * inputs.outputs


def largest(rows: int) -> int:
    """Return the greatest value that a number of a tally over `rows` rows may have, for the headroom of a sum."""
    return rows * (LARGEST_LOSS << LOSS_BITS)


def tally(module: Any, layout: Layout, model: NDArray[np.float32], inputs: Inputs, rows: Rows) -> tuple[int, ...]:  # noqa: ANN401 - torch's
    """Return the numbers of a party's evaluation rows; runs where rows are.

    They are n, sum of losses in units of 2^-LOSS_BITS, and for
    BINARY: right answers of class 0, of class 1, then BINS counts of scores of class 0 and as many of class 1;
    CLASSES: rows of each class, then right answers of each.

    Args:
        module: of `layout`; its values are overwritten by `model`.
        rows: may be none.

    Raises:
        Misuse: more than MOST_ROWS rows.
    """
    if rows.size > MOST_ROWS:
        raise Misuse(f"a party evaluates at most {MOST_ROWS} rows, this one has {rows.size}")
    load(module, layout, model)
    numbers = np.zeros(length(inputs), dtype=np.int64)
    for outputs, losses, target in _answers(module, inputs, rows):
        numbers[0] += len(target)
        whole = np.where(np.isfinite(losses), np.clip(losses, 0, LARGEST_LOSS), LARGEST_LOSS) * (1 << LOSS_BITS)
        numbers[1] += int(np.rint(whole).astype(np.int64).sum())
        match inputs.task:
            case Task.REGRESSION:
                pass
            case Task.BINARY:
                numbers[2:] += _binary(outputs[:, 0], target)
            case Task.CLASSES:
                answered = np.where(np.isnan(outputs).any(axis=1), -1, outputs.argmax(axis=1))
                numbers[2:] += np.concatenate(
                    [np.bincount(chosen, minlength=inputs.outputs) for chosen in (target, target[answered == target])]
                )
    return tuple(numbers.tolist())


def _answers(
    module: Any,  # noqa: ANN401 - torch's
    inputs: Inputs,
    rows: Rows,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]]:
    """Yield (outputs (b, outputs), losses (b,), target (b,)) of batches; the module does not learn."""
    import torch
    from torch.nn import functional

    module.eval()
    with torch.no_grad():
        for start in range(0, rows.size, _BATCH):
            batch = slice(start, start + _BATCH)
            target = held(rows.target[batch])
            outputs = module(held(rows.numbers[batch]), held(rows.codes[batch])).double()
            match inputs.task:
                case Task.REGRESSION:
                    losses = (outputs[:, 0] - target) ** 2
                case Task.BINARY:
                    losses = functional.softplus(outputs[:, 0] * (1 - 2 * target))
                case Task.CLASSES:
                    losses = functional.cross_entropy(outputs, target, reduction="none")
            yield outputs.numpy(), losses.numpy(), rows.target[batch].astype(np.int64)


def _binary(logits: NDArray[np.float64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return right answers of class 0 and of class 1, then histograms of scores of both."""
    positive = target == 1
    lost = np.isnan(logits)
    scores = 1 / (1 + np.exp(-np.clip(np.where(lost, np.where(positive, -40.0, 40.0), logits), -40, 40)))
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    right = ~lost & ((logits > 0) == positive)
    counts = [np.bincount(bins[positive == known], minlength=BINS) for known in (False, True)]
    return np.concatenate(([np.sum(right & ~positive), np.sum(right & positive)], *counts))


def outputs(module: Any, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ANN401 - torch's
    """Return what a module answers for rows, (rows, outputs); it does not learn."""
    import torch

    module.eval()
    with torch.no_grad():
        found: NDArray[np.float64] = module(held(numbers), held(codes)).double().numpy()
    return found


def figures(numbers: Sequence[int], inputs: Inputs) -> Figures:
    """Return what a sum of tallies says; pure.

    Raises:
        Misuse: another length, no rows, or counts that contradict each other.
    """
    if len(numbers) != length(inputs):
        raise Misuse(f"a tally of this model has {length(inputs)} numbers, this one has {len(numbers)}")
    n, losses, *rest = (int(number) for number in numbers)
    if n <= 0:
        raise Misuse("no party has evaluation rows", hint="a greater hold-out, or a split column with such rows")
    loss = losses / (n << LOSS_BITS)
    match inputs.task:
        case Task.REGRESSION:
            return Figures(n=n, loss=loss)
        case Task.BINARY:
            right, below, above = rest[:2], rest[2 : 2 + BINS], rest[2 + BINS :]
            of_class = [sum(below), sum(above)]
        case Task.CLASSES:
            below = above = []
            of_class, right = rest[: inputs.outputs], rest[inputs.outputs :]
    if sum(of_class) != n or not all(0 <= good <= all_ for good, all_ in zip(right, of_class, strict=True)):
        raise Misuse("the counts of a tally contradict each other")
    auc, error = _area(below, above)
    return Figures(
        n=n,
        loss=loss,
        accuracy=sum(right) / n,
        auc=auc,
        auc_error=error,
        recall=tuple(good / all_ if all_ else None for good, all_ in zip(right, of_class, strict=True)),
    )


def _area(below: Sequence[int], above: Sequence[int]) -> tuple[float, float] | tuple[None, None]:
    """Return the area under the ROC curve of two histograms and its greatest error; None without both classes.

    By midranks (Mann and Whitney 1947): a pair within one bin counts one half, and may count 0 or 1 in truth.
    """
    pairs = sum(below) * sum(above)
    if not pairs:
        return None, None
    twice = passed = tied = 0
    for negatives, positives in zip(below, above, strict=True):
        twice += positives * (2 * passed + negatives)
        tied += positives * negatives
        passed += negatives
    return twice / (2 * pairs), tied / (2 * pairs)
