"""Models that joint ones are compared with: trained on all rows in one memory, or on one party's alone; plain torch.

The architecture is the federation's, since that is what is compared; the loop is torch's own optimiser on shuffled rows
and nothing of a federation stands in it. Torch is imported inside, one thread, equal seeds give equal models on one
machine. Refused: an environment without torch, by naming the extra.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np

from federation import registry
from federation.errors import Misuse
from federation.training.inputs import Inputs, Task
from federation.training.model import Model

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"
Flags: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
Module: TypeAlias = Any  # torch's types are not known without it

MOST_STEPS: Final = 50  # of Newton
STILL: Final = 1e-8  # greatest step of the end
EXTRA: Final = "install torch==2.13.0 for your machine first, then the extra: pip install 'pearl-federation[train]'"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sample:
    """The rows of one party, or of all.

    Attributes:
        numbers: (n, inputs) float32.
        target: (n,) float32 of 0 and 1, or int64 classes.
        tested: (n,) whether a row is tested, and never learned from.
    """

    numbers: Floats
    target: np.ndarray[Any, Any]
    tested: Flags

    def half(self, *, tested: bool) -> tuple[Floats, np.ndarray[Any, Any]]:
        """Return numbers and target of the rows that are learned from, or of those that are tested."""
        chosen = self.tested == tested
        return self.numbers[chosen], self.target[chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        rate: step size of the first pass; in pass p it is rate * decay ** p.
        batch: rows of a step.
        passes: over the rows; or, with `steps`, so many times that many updates.
        steps: updates of one pass, whatever the rows are; 0 for all rows once.
        optimizer: "sgd" or "adam".
        weight_decay: added to the gradient as weight_decay * parameter.
    """

    rate: float
    batch: int
    passes: int
    decay: float = 1.0
    steps: int = 0
    optimizer: str = "sgd"
    weight_decay: float = 0.0


def samples(
    files: Mapping[str, Path], features: Sequence[str], target: str, split: str, classes: Sequence[str] = ()
) -> dict[str, Sample]:
    """Return party -> its rows, read straight from its file.

    Args:
        target: 0 and 1; or, with `classes`, a text, whose place in the list is the class.
        split: 1 or "test" where a row is tested.
    """
    found = {}
    with duckdb.connect() as database:
        for party, file in files.items():
            columns = database.read_parquet(str(file)).fetchnumpy()
            wanted = np.asarray(columns[target])
            if classes:
                place = {name: index for index, name in enumerate(classes)}
                wanted = np.array([place[name] for name in wanted], dtype=np.int64)
            halves = np.asarray(columns[split])
            found[party] = Sample(
                numbers=np.column_stack([np.asarray(columns[name], dtype=np.float32) for name in features]),
                target=wanted if classes else wanted.astype(np.float32),
                tested=halves == (1 if halves.dtype.kind in "iub" else "test"),
            )
    return found


def together(parts: Iterable[Sample]) -> Sample:
    """Return the rows of all parties as one sample."""
    every = list(parts)
    return Sample(
        numbers=np.concatenate([part.numbers for part in every]),
        target=np.concatenate([part.target for part in every]),
        tested=np.concatenate([part.tested for part in every]),
    )


def standardised(parts: Mapping[str, Sample]) -> dict[str, Sample]:
    """Return the samples with the mean and standard deviation of all rows that are learned from taken out."""
    learned, _ = together(parts.values()).half(tested=False)
    centre, scale = learned.mean(0, dtype=np.float64), learned.std(0, dtype=np.float64)
    scale[scale == 0] = 1
    return {
        party: Sample(
            numbers=((part.numbers - centre) / scale).astype(np.float32), target=part.target, tested=part.tested
        )
        for party, part in parts.items()
    }


def trained(model: str, config: Mapping[str, Any], inputs: Inputs, sample: Sample, recipe: Recipe, seed: int) -> Module:
    """Return a module of the federation's architecture, trained on the sample's rows that are not tested.

    Raises:
        Misuse: torch is not installed.
    """
    with _torch(seed) as torch:
        kind = registry.look_up("federation.training.models", Model, model)()
        module = kind.module(kind.Config(**config), inputs)
        numbers, target = map(torch.from_numpy, sample.half(tested=False))
        codes = torch.zeros((len(target), 0), dtype=torch.int64)
        make = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.SGD
        optimizer = make(module.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
        slower = torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.decay)
        loss = torch.nn.CrossEntropyLoss() if inputs.task is Task.CLASSES else torch.nn.BCEWithLogitsLoss()
        batches = chain.from_iterable(torch.randperm(len(target)).split(recipe.batch) for _ in count())
        steps = recipe.steps or -(-len(target) // recipe.batch)
        for _ in range(recipe.passes):
            for chosen in islice(batches, steps):
                optimizer.zero_grad()
                outputs = module(numbers[chosen], codes[chosen])
                loss(outputs if inputs.task is Task.CLASSES else outputs[:, 0], target[chosen]).backward()
                optimizer.step()
            slower.step()
        return module.eval()


def logistic(sample: Sample) -> Floats:
    """Return (inputs + 1,) the coefficients of the most likely logistic regression, the intercept last; by Newton."""
    numbers, target = sample.half(tested=False)
    x = np.column_stack([numbers, np.ones(len(numbers))]).astype(np.float64)
    b = np.zeros(x.shape[1])
    for _ in range(MOST_STEPS):
        p = 1 / (1 + np.exp(-(x @ b)))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (target - p))
        b += step
        if np.abs(step).max() < STILL:
            break
    return b.astype(np.float32)


def scores(module: Module, numbers: Floats) -> Floats:
    """Return (n, outputs) of the module."""
    with _torch(0) as torch, torch.no_grad():
        found = [
            module(part, torch.zeros((len(part), 0), dtype=torch.int64))
            for part in torch.from_numpy(numbers).split(4_096)
        ]
        result: Floats = torch.cat(found).numpy()
    return result


def accuracy(scored: Floats, target: np.ndarray[Any, Any]) -> float:
    """Return the share of right answers: the greatest output, or the sign of a single one."""
    right = scored.argmax(1) == target if scored.shape[1] > 1 else (scored[:, 0] > 0) == (target > 0)
    return float(right.mean())


def auc(scored: Floats, target: np.ndarray[Any, Any]) -> float:
    """Return the area under the ROC curve: how often a row of class 1 scores above one of class 0, ties one half."""
    values, place, counts = np.unique(scored[:, 0], return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    ranks, ones = middle[place], target > 0
    few, many = int(ones.sum()), int((~ones).sum())
    return float((ranks[ones].sum() - few * (few + 1) / 2) / (few * many)) if len(values) else 0.5


@contextmanager
def _torch(seed: int) -> Iterator[Any]:
    """Yield torch with one thread and its generator at `seed`, and leave both as they were."""
    try:
        import torch
    except ModuleNotFoundError:
        raise Misuse("this example trains models and needs torch", hint=EXTRA) from None
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield torch
        finally:
            torch.set_num_threads(threads)
