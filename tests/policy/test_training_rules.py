"""What an operator may say of training: each clause permits what it permits, and refuses the rest by its name."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

import federation as fed
from clients.researcher import training as asking
from federation import registry
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Job
from federation.errors import Misuse, Refused
from federation.jobs import judging
from federation.jobs import training as course
from federation.policy import review
from federation.policy.rule import TRAINING, Request, Settings

PARTIES = ("guangdong", "hongkong", "macao")
DATASET = Dataset(
    name="tb",
    title="",
    unit="person",
    k=10,
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=120),
        Column(name="cost", kind=Kind.REAL, low=0.0, high=9.0),
        Column(name="ill", kind=Kind.INTEGER, low=0, high=1),
    ),
)
JOINT = agreed(dict.fromkeys(PARTIES, DATASET))


def job(name: str = "fedavg", **options: object) -> Job:
    chosen = asking.strategy(name)(**options)
    plan = asking.plan(model="linear", target="ill", features=(), config={}, strategy=chosen, options={}, joint=JOINT)
    return Job(
        name="j",
        researcher="ana",
        purpose="surveillance",
        dataset="tb",
        computations=(course.computation(plan),),
        parties=PARTIES,
        publications=tuple((party, bytes(32)) for party in PARTIES),
        deadline_ms=1,
        max_rounds=99,
        roster_hash=bytes(32),
        token=bytes(16),
    )


def request(of: Job) -> Request:
    return judging.request(of, DATASET, JOINT, "macao", b"h" * 32)


@pytest.mark.parametrize(
    ("asked", "forbids", "permits", "rule", "remedy"),
    [
        (job(), {"models": ("mlp", "cnn")}, {"models": ("linear",)}, "architectures", "mlp, cnn"),
        (job(), {"models": ()}, {"models": ("mlp", "linear")}, "architectures", "none is permitted"),
        (job(), {"strategies": ("scaffold",)}, {"strategies": ("fedavg",)}, "strategies", "scaffold"),
        (job(), {"most_rounds": 19}, {"most_rounds": 20}, "training_rounds", "at most 19"),  # 20 is the default
        (job(rounds=7), {"most_rounds": 6}, {"most_rounds": 7}, "training_rounds", "at most 6"),
        (job(), {"most_parameters": 2}, {"most_parameters": 3}, "model_size", "at most 2 parameters"),
        (job(), {"most_numbers": 2}, {"most_numbers": 3}, "model_size", "at most 2 numbers"),
        (job("scaffold"), {"most_numbers": 3}, {"most_numbers": 6}, "model_size", "at most 3 numbers"),
        (job("scaffold"), {"most_parameters": 2}, {"most_parameters": 3, "most_numbers": 1}, "model_size", "at most 2"),
        (job(bits=8), {"least_bits": 9}, {"least_bits": 8}, "update_bits", "9 or more"),
        (job(), {"most_norm": 1.0}, {}, "update_norm", "at most 1"),  # no bound at all
        (job(norm=2.0), {"most_norm": 1.0}, {"most_norm": 2.0}, "update_norm", "at most 1"),
        (job("normbounded"), {"most_norm": 0.5}, {"most_norm": 1.0}, "update_norm", "at most 0.5"),  # 1 is its default
        (job(), {"statistics": ("count", "mean")}, {"statistics": ("mean", "train")}, "statistics", "count, mean"),
        (job(), {"purposes": ("billing",)}, {"purposes": ("surveillance",)}, "purposes", "billing"),
        (job(), {"researchers": ("ben",)}, {"researchers": ("ana",)}, "researchers", "operator"),
        (job(), {"minimum_parties": 4}, {"minimum_parties": 3}, "minimum_parties", "at least 4"),
    ],
)
def test_a_clause_refuses_what_it_forbids_by_its_name_and_permits_the_rest(
    asked: Job, forbids: dict[str, object], permits: dict[str, object], rule: str, remedy: str
) -> None:
    (reason,) = review.judge(request(asked), Settings(**forbids)).reasons  # type: ignore[arg-type]
    assert reason.rule == rule
    assert remedy in reason.remedy
    assert reason.clause
    assert review.judge(request(asked), Settings(**permits)).permits  # type: ignore[arg-type]


def test_an_open_policy_permits_every_strategy_and_a_job_that_asks_statistics_is_none_of_these_clauses() -> None:
    for name in registry.names("federation.training.strategies"):
        if name != "fedbn":  # of models with a normalisation
            assert review.judge(request(job(name)), Settings()).permits
    asks = replace(job(), computations=())
    closed = Settings(models=(), strategies=(), most_rounds=1, most_parameters=1, least_bits=32, most_norm=1e-9)
    assert review.judge(request(asks), closed).permits


def test_another_data_set_is_refused_as_of_a_statistic() -> None:
    asked = replace(request(job()), joint=replace(JOINT, name="taxes"))
    assert [reason.rule for reason in review.judge(asked, Settings()).reasons] == ["datasets"]


def test_the_first_sums_of_a_training_are_judged_like_those_of_a_statistic() -> None:
    first = course.Training(job(), JOINT).standardising.replay.round
    assert first is not None
    assert review.judge_round(request(job()), Settings(), first) == ()
    assert [one.rule for one in review.judge_round(request(job()), Settings(most_numbers=1), first)] == ["cells"]


def test_a_training_that_nobody_described_cannot_be_judged() -> None:
    """The planted fault: a caller who forgets to say what is trained must not pass every clause."""
    with pytest.raises(Misuse, match="what its job trains"):
        Request(job=job(), own=DATASET, joint=JOINT, me="macao")
    with pytest.raises(Misuse):
        replace(request(job()), job=replace(job(), computations=()))
    assert TRAINING == course.NAME


@pytest.mark.parametrize("name", ["most_rounds", "most_parameters", "least_bits", "most_norm"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_bound_that_bounds_nothing_or_everything_is_refused(name: str, value: float) -> None:
    with pytest.raises(Misuse, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_jurisdictions_refuse_before_a_row_is_touched_and_name_rule_and_remedy() -> None:
    frame = pd.DataFrame({"x": range(40), "y": [i % 2 for i in range(40)]})
    policy = Settings(models=("linear",), most_rounds=2, most_norm=1.0)
    with fed.local(dict.fromkeys(PARTIES, frame), policy=policy) as here:
        table = here.table("data")
        strategy = fed.FedAvg(rounds=3)
        refused = here.train(model="mlp", data=table, target="y", strategy=strategy)
        with pytest.raises(Refused) as caught:
            refused.result()
        assert caught.value.rule == "architectures, training_rounds, update_norm"
        assert "at most 2 rounds" in caught.value.hint
        permitted = here.train(data=table, target="y", strategy=fed.NormBounded(rounds=2, norm=0.5))
        assert len(permitted.result().history) == 2
