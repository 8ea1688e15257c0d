"""A training plan means the same to everybody who reads it, and nothing else than what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from federation.domain.catalogue import Column, Dataset, Kind
from federation.domain.job import Value
from federation.errors import Misuse
from federation.query import predicate, row_query
from federation.training import plan
from federation.training.inputs import MOST_OUTPUTS, Inputs, Task
from federation.training.plan import Scaling, TrainingPlan

JOINT = Dataset(
    name="clinic",
    title="",
    unit="person",
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=18, high=98),
        Column(name="sugar", kind=Kind.REAL, low=-2.5, high=17.5),
        Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
        Column(name="site", kind=Kind.CATEGORY, categories=("a", "b", "c")),
        Column(name="only", kind=Kind.CATEGORY, categories=("a",)),
        Column(name="ill", kind=Kind.INTEGER, low=0, high=1),
        Column(name="stage", kind=Kind.INTEGER, low=1, high=4),
        Column(name="pay", kind=Kind.INTEGER, low=0, high=MOST_OUTPUTS),
        Column(name="part", kind=Kind.CATEGORY, categories=("train", "test")),
        Column(name="who", kind=Kind.IDENTIFIER),
    ),
)
FEATURES = ("site", "age", "sex", "sugar")
GIVEN: tuple[tuple[str, Value], ...] = (("features", FEATURES), ("target", "ill"))
PLAN = TrainingPlan(target="ill", features=FEATURES)


def of(*more: tuple[str, Value]) -> TrainingPlan:
    return TrainingPlan.of((*GIVEN, *more), JOINT)


# --- parameters -------------------------------------------------------------------------------------------------------


def test_a_plan_has_the_parameters_that_a_job_may_carry() -> None:
    assert {field.name for field in fields(TrainingPlan)} == {
        "target", "features", "task", "model", "config", "strategy", "options", "seed", "holdout", "split", "scale",
        "evaluate_every", "patience", "best",
    }  # fmt: skip


def test_what_is_not_said_has_a_default() -> None:
    assert of() == PLAN
    assert (PLAN.model, PLAN.strategy, PLAN.holdout, PLAN.scale, PLAN.best) == (
        "linear", "fedavg", 0.2, "standard", "loss",
    )  # fmt: skip


def test_a_plan_is_read_back_from_the_parameters_that_it_spells() -> None:
    found = of(
        ("model", "mlp"),
        ("config", (("norm", "batch"), ("hidden", (16, 8)))),
        ("strategy", "fedprox"),
        ("options", (("rounds", 3), ("lr", 0.5))),
        ("seed", 11),
        ("patience", 2),
        ("best", "auc"),
    )
    assert found.config == (("hidden", (16, 8)), ("norm", "batch"))
    assert found.options == (("lr", 0.5), ("rounds", 3))
    assert TrainingPlan.of(found.parameters, JOINT) == found
    assert [name for name, _ in found.parameters] == sorted(name for name, _ in found.parameters)


def test_a_plan_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PLAN.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((("sead", 1),), "no parameter 'sead'.*did you mean 'seed'"),
        ((("seed", 1), ("seed", 2)), "'seed' twice"),
        ((("seed", "1"),), "must be a whole number"),
        ((("seed", -1),), "seed is a whole number"),
        ((("seed", 2**63),), "seed is a whole number"),
        ((("holdout", 1.0),), "holdout is a share"),
        ((("holdout", -0.1),), "holdout is a share"),
        ((("evaluate_every", 0),), "evaluate_every is at least 1"),
        ((("patience", -1),), "patience at least 0"),
        ((("patience", 1), ("holdout", 0.0)), "patience needs rows"),
        ((("scale", "standart"),), "did you mean 'standard'"),
        ((("best", "los"),), "did you mean 'loss'"),
        ((("task", "binery"),), "did you mean 'binary'"),
        ((("model", "linaer"),), "did you mean 'linear'"),
        ((("strategy", "fedavgg"),), "did you mean 'fedavg"),
        ((("config", (("hiden", (8,)),)), ("model", "mlp")), "model mlp has no parameter 'hiden'.*'hidden'"),
        ((("config", (("hidden", "8"),)), ("model", "mlp")), "hidden"),
        ((("config", (("hidden", (0,)),)), ("model", "mlp")), "1 to 4096 wide"),
        ((("options", (("round", 3),)),), "strategy fedavg has no parameter 'round'.*'rounds'"),
        ((("options", (("lr", 0),)),), "lr is 1e-09 to"),
        ((("options", ("lr",)),), "list of .name, value. pairs"),
        ((("options", 3),), "list of .name, value. pairs"),
        ((("config", ((1, 2),)),), "list of .name, value. pairs"),
        ((("options", (("lr", 0.1), ("lr", 0.2))),), "'lr' twice"),
        ((("split", "site"),), "'site' is the split and cannot be a feature"),
        ((("split", "stage"),), "cannot split the rows"),
        ((("split", "only"),), "cannot split the rows"),
        ((("split", "ill"),), "both the target and the split"),
        ((("split", "parts"),), "did you mean 'part'"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_nearest_name(
    given: tuple[tuple[str, Value], ...], message: str
) -> None:
    with pytest.raises(Misuse, match=message):
        of(*given)


@pytest.mark.parametrize(
    ("target", "features", "message"),
    [
        ("ill", (), "at least one feature"),
        ("ill", ("age", "age"), "read twice"),
        ("ill", ("age", "ill"), "'ill' is the target and cannot be a feature"),
        ("ill", ("age", "suger"), "did you mean 'sugar'"),
        ("il", ("age",), "did you mean 'ill'"),
        ("ill", ("age", "who"), "identifies who is counted"),
        ("who", ("age",), "identifies who is counted"),
        ("only", ("age",), "fewer than two categories"),
    ],
)
def test_columns_that_cannot_be_learned_from_are_refused(target: str, features: tuple[str, ...], message: str) -> None:
    with pytest.raises(Misuse, match=message):
        TrainingPlan.of((("features", features), ("target", target)), JOINT)


def test_a_plan_without_a_target_is_refused() -> None:
    with pytest.raises(Misuse, match="needs parameter 'target'"):
        TrainingPlan.of((("features", FEATURES),), JOINT)


# --- what is learned --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "asked", "task", "outputs"),
    [
        ("ill", "", Task.BINARY, 1),
        ("sex", "", Task.BINARY, 1),
        ("site", "", Task.CLASSES, 3),
        ("stage", "", Task.REGRESSION, 1),
        ("sugar", "", Task.REGRESSION, 1),
        ("stage", "classes", Task.CLASSES, 4),
        ("ill", "classes", Task.CLASSES, 2),
        ("sex", "classes", Task.CLASSES, 2),
        ("ill", "regression", Task.REGRESSION, 1),
        ("ill", "binary", Task.BINARY, 1),
    ],
)
def test_the_task_is_the_targets_unless_the_plan_says_another(
    target: str, asked: str, task: Task, outputs: int
) -> None:
    found = TrainingPlan(target=target, features=("age",), task=asked)
    assert plan.task(found, JOINT) is task
    assert plan.inputs(found, JOINT).outputs == outputs


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("sugar", "classes"),
        ("sugar", "binary"),
        ("stage", "binary"),
        ("site", "binary"),
        ("site", "regression"),
        ("pay", "classes"),  # one class too many
    ],
)
def test_a_task_that_the_target_cannot_have_is_refused(target: str, asked: str) -> None:
    with pytest.raises(Misuse, match=f"cannot be a task of {asked}"):
        plan.task(TrainingPlan(target=target, features=("age",), task=asked), JOINT)


@pytest.mark.parametrize(("target", "best"), [("site", "auc"), ("sugar", "auc"), ("sugar", "accuracy")])
def test_a_task_is_not_measured_by_what_it_has_not(target: str, best: str) -> None:
    with pytest.raises(Misuse, match=f"not measured by {best}"):
        plan.check(TrainingPlan(target=target, features=("age",), best=best), JOINT)


def test_inputs_keep_the_order_of_the_features() -> None:
    assert plan.inputs(PLAN, JOINT) == Inputs(numbers=2, levels=(3, 2), task=Task.BINARY)
    assert [column.name for column in plan.numbers(PLAN, JOINT)] == ["age", "sugar"]
    assert [column.name for column in plan.categories(PLAN, JOINT)] == ["site", "sex"]


def test_the_model_and_the_strategy_are_those_of_the_registries() -> None:
    found = plan.chosen(replace(PLAN, model="mlp", config=(("hidden", (5,)),), options=(("rounds", 3),)), JOINT)
    assert (found.model.name, found.strategy.name, found.parameters.rounds) == ("mlp", "fedavg", 3)
    assert found.layout == found.model.layout(found.config, found.inputs)
    assert found.layout.size == (2 + 3 + 2 + 1) * 5 + 5 + 1


def test_class_0_is_the_least_of_a_range_and_the_first_of_a_list() -> None:
    assert plan.first(JOINT.column("stage")) == 1
    assert plan.first(JOINT.column("site")) == 0


# --- what is read and scaled ------------------------------------------------------------------------------------------


def test_a_party_reads_features_target_and_split_of_the_rows_that_are_asked_for() -> None:
    where = predicate.parse("age < 50", JOINT)
    found = plan.row_query(replace(PLAN, split="part"), where, JOINT)
    assert found.columns == (*FEATURES, "ill", "part")
    assert found.dataset == "clinic"
    assert found.where is where
    row_query.check(found, JOINT)


def test_figures_are_of_the_numeric_features_and_of_a_regressions_target() -> None:
    def names(found: TrainingPlan) -> list[str]:
        return [column.name for column in plan.scaled(found, JOINT)]

    assert names(PLAN) == ["age", "sugar"]
    assert names(replace(PLAN, target="stage")) == ["age", "sugar", "stage"]
    assert names(replace(PLAN, target="stage", task="classes")) == ["age", "sugar"]


def test_the_catalogue_gives_the_figures_of_every_scale_but_the_standard_one() -> None:
    assert plan.scaling(PLAN, JOINT) is None
    assert plan.scaling(replace(PLAN, scale="range"), JOINT) == Scaling(centre=(18.0, -2.5), scale=(80.0, 20.0))
    assert plan.scaling(replace(PLAN, scale="none"), JOINT) == Scaling(centre=(0.0, 0.0), scale=(1.0, 1.0))


def test_a_scale_of_0_divides_by_1() -> None:
    assert Scaling(centre=(3.0, 4.0), scale=(0.0, 2.0)).divisors == (1.0, 2.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scaling(centre=(0.0,), scale=()),
        lambda: Scaling(centre=(0.0,), scale=(-1.0,)),
        lambda: Scaling(centre=(float("nan"),), scale=(1.0,)),
        lambda: Scaling(centre=(0.0,), scale=(float("inf"),)),
    ],
)
def test_figures_that_scale_nothing_are_refused(make: Callable[[], Scaling]) -> None:
    with pytest.raises(Misuse, match="a scaling has"):
        make()
