"""What a training job asks for, as frozen values: which columns, which model, which strategy, how rows are split.

A job's parameters are plain values; here they become a `TrainingPlan`, or are refused with the nearest name. Pure: the
joint catalogue and the plan decide what a batch looks like, what is scaled and what is read. Refused: identifiers, a
target that is a feature too, a task that the target cannot have, names that no registry knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from federation import registry
from federation.domain.catalogue import Column, Dataset, Kind
from federation.domain.job import Value
from federation.domain.parameters import read
from federation.errors import Misuse, did_you_mean
from federation.query import row_query as reading
from federation.query.expression import Expression
from federation.query.row_query import RowQuery
from federation.training import bundle
from federation.training.inputs import MOST_OUTPUTS, Inputs, Task
from federation.training.layout import Layout
from federation.training.model import Model
from federation.training.strategy import Strategy

MODELS: Final = "federation.training.models"
STRATEGIES: Final = "federation.training.strategies"
SCALES: Final = ("standard", "range", "none")
BEST: Final = ("loss", "accuracy", "auc")
TRAIN: Final = "train"  # the category of a split column whose rows are learned from
_WHAT: Final = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    """The parameters that are single values or lists of names; see `TrainingPlan`."""

    target: str
    features: tuple[str, ...]
    task: str = ""
    model: str = "linear"
    strategy: str = "fedavg"
    seed: int = 0
    holdout: float = 0.2
    split: str = ""
    scale: str = "standard"
    evaluate_every: int = 1
    patience: int = 0
    best: str = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan(_Plain):
    """One training, as its researcher asked for it; the same at every member.

    Attributes:
        target: the column that is predicted.
        features: the columns that it is predicted from; the numeric ones keep this order, and so do the categories.
        task: a `Task`, "" for what the target's column says, see `task`.
        model: member of `federation.training.models`, or `bundle:` and the hash of a reviewed bundle.
        config: sorted (name, value) pairs of the model's Config; of a bundle, its manifest.
        strategy: member of `federation.training.strategies`.
        options: sorted (name, value) pairs of the strategy's Parameters.
        seed: whatever is drawn at random is drawn from it; 0 to 2^63 - 1.
        holdout: share of rows that are evaluated and never learned from, in [0, 1); unused where there is a split.
        split: a column that says which rows are learned from: a category, of which "train" is, or 0 (learned from) and
            1 (evaluated); "" for `holdout`.
        scale: "standard": joint mean and standard deviation; "range": the declared range becomes 0 to 1; "none".
        evaluate_every: rounds between two evaluations, at least 1.
        patience: evaluations without improvement after which training stops, 0 for never.
        best: what improvement is measured by: "loss", "accuracy" or "auc".
    """

    config: tuple[tuple[str, Value], ...] = ()
    options: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, parameters: Sequence[tuple[str, Value]], joint: Dataset) -> TrainingPlan:
        """Return the plan that a job's parameters spell, checked over the joint data set.

        Raises:
            Misuse: an unknown parameter, column, model or strategy (with the nearest name), a value that does not fit,
                or a plan that has no meaning over `joint`; see `check`.
        """
        names = [name for name, _ in parameters]
        known = [field.name for field in fields(cls)]
        for name in names:
            if name not in known:
                raise Misuse(f"{_WHAT} has no parameter {name!r}", hint=did_you_mean(name, known))
            if names.count(name) > 1:
                raise Misuse(f"{_WHAT} has parameter {name!r} twice")
        given = dict(parameters)
        config, options = (_pairs(name, given.pop(name, ())) for name in ("config", "options"))
        plain = read(_Plain, tuple(sorted(given.items())), _WHAT)
        values = {field.name: getattr(plain, field.name) for field in fields(plain)}
        found = cls(**values, config=config, options=options)
        check(found, joint)
        return found

    @property
    def parameters(self) -> tuple[tuple[str, Value], ...]:
        """The sorted pairs that `of` reads: what a job carries."""
        return tuple(sorted((field.name, getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Public figures by which numbers are standardised: (x - centre) / scale.

    Attributes:
        centre: one per column of `scaled`, in its order; finite.
        scale: the same; finite, at least 0, and 0 stands for 1: a column that never changes.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.centre) != len(self.scale):
            raise Misuse(f"a scaling has as many scales as centres, not {len(self.scale)} and {len(self.centre)}")
        if not all(map(math.isfinite, (*self.centre, *self.scale))) or any(scale < 0 for scale in self.scale):
            raise Misuse("a scaling has finite figures, and no scale below 0")

    @property
    def divisors(self) -> tuple[float, ...]:
        """The scales, 1 where one is 0."""
        return tuple(scale or 1.0 for scale in self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a plan's names stand for: the members of the registries, their typed parameters and the model's layout."""

    model: Model[Any]
    config: Any
    strategy: Strategy[Any]
    parameters: Any
    inputs: Inputs
    layout: Layout


def chosen(plan: TrainingPlan, joint: Dataset) -> Chosen:
    """Return the model and the strategy of a plan; nothing here imports torch.

    Raises:
        Misuse: no such member, a parameter that it does not have, or inputs that the model does not read.
    """
    model = _model(plan.model)
    strategy = registry.look_up(STRATEGIES, Strategy, plan.strategy)()
    config: Any = read(model.Config, plan.config, f"model {plan.model}")
    parameters: Any = read(strategy.Parameters, plan.options, f"strategy {plan.strategy}")
    found = inputs(plan, joint)
    layout = model.layout(config, found)
    return Chosen(model=model, config=config, strategy=strategy, parameters=parameters, inputs=found, layout=layout)


def _model(name: str) -> Model[Any]:
    return bundle.bundled(name) if bundle.is_bundle(name) else registry.look_up(MODELS, Model, name)()


def check(plan: TrainingPlan, joint: Dataset) -> None:
    """Raise Misuse unless the plan has a meaning over `joint`: columns, task, split, numbers, model and strategy."""
    reading.check(row_query(plan, None, joint), joint)
    for what, given, known in (("scale", plan.scale, SCALES), ("best", plan.best, BEST)):
        if given not in known:
            raise Misuse(f"{what} is one of {', '.join(known)}, not {given!r}", hint=did_you_mean(given, known))
    if not 0 <= plan.seed < 1 << 63:
        raise Misuse("seed is a whole number from 0 to 2^63 - 1")
    if not 0 <= plan.holdout < 1:
        raise Misuse("holdout is a share of the rows, at least 0 and below 1", hint="0.2 keeps one row in five")
    if plan.evaluate_every < 1 or plan.patience < 0:
        raise Misuse("evaluate_every is at least 1 and patience at least 0")
    if plan.patience and not plan.split and not plan.holdout:
        raise Misuse("patience needs rows to evaluate on", hint="give a holdout or a split column")
    found = task(plan, joint)
    if (plan.best == "auc" and found is not Task.BINARY) or (plan.best == "accuracy" and found is Task.REGRESSION):
        raise Misuse(f"a task of {found} is not measured by {plan.best}", hint="best='loss' fits every task")
    if plan.split:
        _check_split(joint.column(plan.split), joint)
    chosen(plan, joint)


def task(plan: TrainingPlan, joint: Dataset) -> Task:
    """Return what is predicted: a category of two levels or an integer of 0 and 1 is BINARY, another category CLASSES.

    Everything else is REGRESSION. A plan may say CLASSES of a target of whole numbers, and REGRESSION of 0 and 1.

    Raises:
        Misuse: an unknown task, or one that the target cannot have.
    """
    target = joint.column(plan.target)
    if target.kind is Kind.IDENTIFIER:
        raise Misuse(f"column {target.name!r} identifies who is counted and is never predicted")
    if target.kind is Kind.CATEGORY and len(target.categories) < 2:
        raise Misuse(f"target {target.name!r} has fewer than two categories: there is nothing to predict")
    if not plan.task:
        if _is_binary(target):
            return Task.BINARY
        return Task.CLASSES if target.kind is Kind.CATEGORY else Task.REGRESSION
    known = tuple(item.value for item in Task)
    if plan.task not in known:
        raise Misuse(f"task is one of {', '.join(known)}, not {plan.task!r}", hint=did_you_mean(plan.task, known))
    found = Task(plan.task)
    fits = {
        Task.REGRESSION: target.kind is not Kind.CATEGORY,
        Task.BINARY: _is_binary(target),
        Task.CLASSES: _classes(target) >= 2,
    }[found]
    if not fits:
        raise Misuse(
            f"target {target.name!r} is {target.kind} and cannot be a task of {found}",
            hint="binary needs two categories or 0 and 1, classes needs categories or whole numbers of a short range",
        )
    return found


def inputs(plan: TrainingPlan, joint: Dataset) -> Inputs:
    """Return the shape of a batch. Raises Misuse for columns that are not there or that a model cannot read."""
    found = task(plan, joint)
    outputs = _classes(joint.column(plan.target)) if found is Task.CLASSES else 1
    levels = tuple(len(column.categories) for column in categories(plan, joint))
    return Inputs(numbers=len(numbers(plan, joint)), levels=levels, outputs=outputs, task=found)


def numbers(plan: TrainingPlan, joint: Dataset) -> tuple[Column, ...]:
    """Return the numeric features, in the plan's order."""
    return tuple(column for column in _features(plan, joint) if column.kind is not Kind.CATEGORY)


def categories(plan: TrainingPlan, joint: Dataset) -> tuple[Column, ...]:
    """Return the features that are categories, in the plan's order; the codes of a batch are in this order."""
    return tuple(column for column in _features(plan, joint) if column.kind is Kind.CATEGORY)


def scaled(plan: TrainingPlan, joint: Dataset) -> tuple[Column, ...]:
    """Return the columns that a `Scaling` has figures of: the numeric features, then the target of a regression."""
    target = (joint.column(plan.target),) if task(plan, joint) is Task.REGRESSION else ()
    return (*numbers(plan, joint), *target)


def scaling(plan: TrainingPlan, joint: Dataset) -> Scaling | None:
    """Return the scaling that the catalogue alone gives; None for "standard", whose figures have to be summed."""
    if plan.scale == "standard":
        return None
    found = scaled(plan, joint)
    if plan.scale == "none":
        return Scaling(centre=(0.0,) * len(found), scale=(1.0,) * len(found))
    lows = tuple(float(column.low or 0) for column in found)
    highs = tuple(float(column.high or 0) for column in found)
    return Scaling(centre=lows, scale=tuple(high - low for low, high in zip(lows, highs, strict=True)))


def row_query(plan: TrainingPlan, where: Expression | None, joint: Dataset) -> RowQuery:
    """Return what a party reads at home: features, target and split, in this order. Raises Misuse, see above."""
    if not plan.features:
        raise Misuse("training needs at least one feature", hint="features=('age', 'sex')")
    for name, what in ((plan.target, "the target"), (plan.split, "the split")):
        if name in plan.features:
            raise Misuse(f"column {name!r} is {what} and cannot be a feature too", hint="leave it out of features")
    if plan.split and plan.split == plan.target:
        raise Misuse(f"column {plan.split!r} cannot be both the target and the split")
    columns = (*plan.features, plan.target, *((plan.split,) if plan.split else ()))
    return RowQuery(dataset=joint.name, where=where, columns=columns)


def first(target: Column) -> int:
    """Return the value of class 0 of a target of CLASSES: the least of a range of whole numbers, code 0 of a list."""
    return 0 if target.kind is Kind.CATEGORY else math.ceil(target.low or 0)


def _features(plan: TrainingPlan, joint: Dataset) -> tuple[Column, ...]:
    return reading.check(row_query(plan, None, joint), joint)[: len(plan.features)]


def _is_binary(target: Column) -> bool:
    if target.kind is Kind.CATEGORY:
        return len(target.categories) == 2
    return target.kind is Kind.INTEGER and (target.low, target.high) == (0, 1)


def _classes(target: Column) -> int:
    """How many classes a target has; 0 for one that has none, or too many."""
    if target.kind is Kind.CATEGORY:
        return len(target.categories)
    if target.kind is not Kind.INTEGER or target.low is None or target.high is None:
        return 0
    found = math.floor(target.high) - first(target) + 1
    return found if found <= MOST_OUTPUTS else 0


def _check_split(column: Column, joint: Dataset) -> None:
    if column.kind is Kind.INTEGER and (column.low, column.high) == (0, 1):
        return
    if column.kind is Kind.CATEGORY and TRAIN in column.categories:
        return
    raise Misuse(
        f"column {column.name!r} of data set {joint.name!r} cannot split the rows",
        hint=f"a category, one of which is {TRAIN!r}, or 0 for rows that are learned from and 1 for others",
    )


def _pairs(name: str, value: Value) -> tuple[tuple[str, Value], ...]:
    """Return a list of (name, value) pairs, sorted by name. Raises Misuse for anything else."""
    found: dict[str, Value] = {}
    for item in value if isinstance(value, tuple) else (None,):
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[0], str):
            raise Misuse(f"{name} of {_WHAT} is a list of (name, value) pairs")
        if item[0] in found:
            raise Misuse(f"{name} of {_WHAT} has {item[0]!r} twice")
        found[item[0]] = item[1]
    return tuple(sorted(found.items()))
