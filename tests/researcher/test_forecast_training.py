"""What a training would open is told whole beforehand, and what bounds it; nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd
import pytest

import federation as fed
from clients.jurisdiction import trainer
from clients.researcher import forecast_training
from clients.researcher.asking import written
from clients.researcher.asking_training import as_table, completed
from clients.researcher.forecast_training import TrainingForecast
from clients.researcher.job_config import job
from clients.researcher.session import Session
from federation.errors import Misuse
from federation.policy.rule import Settings

PARTIES = ("guangdong", "hongkong", "macao")
FRAME = pd.DataFrame(
    {
        "age": [i % 50 for i in range(60)],
        "cost": [i * 0.5 for i in range(60)],
        "sex": ["f" if i % 3 else "m" for i in range(60)],
        "ill": [int(i % 50 > 25) for i in range(60)],
    }
)


@pytest.fixture(scope="module")
def here() -> Iterator[Session]:
    with fed.local(dict.fromkeys(PARTIES, FRAME), k=5, own_figures=False) as session:
        yield session


def test_all_sums_of_a_training_are_told_with_their_numbers_bits_and_bytes(here: Session) -> None:
    plan = here.plan_training(
        model="mlp",
        data=here.table("data"),
        target="ill",
        strategy=fed.FedAvg(rounds=6, bits=16, norm=0.5, clip=0.25),
        config={"hidden": (4,)},
        evaluate_every=2,
    )
    assert isinstance(plan, TrainingForecast)
    support, scaling, updates, tallies = plan.rows()
    assert scaling[0] == "count of rows; sums and sums of squares, about a public centre, of age, cost"
    assert (support[1], scaling[1], updates[1], tallies[1]) == (1, 1, 6, 3)
    parameters = (4 + 1) * 4 + 4 + 1  # age, cost, and one of two columns for sex
    assert (updates[2], updates[3]) == (parameters, 16)
    assert f"mlp's {parameters} parameters" in str(updates[0])
    assert tallies[2] == 516  # n, loss, two right answers, 2 x 256 bins
    assert plan.preview.most_rounds == plan.job.max_rounds == 11
    assert not here.jobs()


def test_what_bounds_an_update_and_what_nothing_bounds_is_said(here: Session) -> None:
    table = here.table("data", purpose="study")
    said = here.plan_training(data=table, target="ill", strategy=fed.FedAvg(norm=0.5, clip=0.25)).summary()
    for words in (
        "its L2 norm is bounded by 0.5, at home",
        "each entry is cut to 0.25 either way and rounded to 22 bits",
        "seen by: guangdong, hongkong, macao, the coordinator, researcher",
        "learns only what opens (c = 2)",
        "purpose: study",
        "fewer than 10 units to learn from refuses",
        "20% of each party's rows",
        "no noise is added",
        "a level of sex that one party alone has",
        "none of the 3 parties would refuse",
        "two who collude can subtract",
    ):
        assert words in said
    bare = here.plan_training(data=table, target="ill", features=("age",), holdout=0.0).summary()
    assert "no bound on its length" in bare
    assert "nothing is held out" in bare
    assert "one party alone has" not in bare
    own = here.plan_training(data=table, target="ill", strategy=fed.Ditto()).summary()
    assert "each party keeps a model of its own" in own


def test_a_scaling_that_the_catalogue_gives_opens_no_moments(here: Session) -> None:
    plan = here.plan_training(data=here.table("data"), target="ill", scale="range")
    assert plan.rows()[1][0] == "count of rows"


def test_a_long_update_is_said_to_be_checked_by_samples(here: Session) -> None:
    plan = here.plan_training(model="mlp", data=here.table("data"), target="ill", config={"hidden": (340, 340)})
    assert isinstance(plan, TrainingForecast)
    assert not plan.outlook.added_up_by_all
    assert "samples of all updates" in plan.summary()


def test_a_forecast_is_plain_values_and_a_page(here: Session) -> None:
    plan = here.plan_training(data=here.table("data"), target="ill", strategy=fed.FedAvg(rounds=2))
    found = json.loads(json.dumps(plan.to_dict()))
    assert (found["training"]["rounds"], found["training"]["parameters"]) == (2, 5)
    assert found["questions"] == [
        "train('ill', model='linear', strategy=fedavg(rounds=2), features=['age', 'cost', 'sex'])"
    ]
    assert "<table>" in plan._repr_html_()
    assert "updates by fedavg" in repr(plan)


def test_what_is_published_may_refuse_and_a_typo_asks_nobody(here: Session) -> None:
    table = here.table("data")
    with pytest.raises(Misuse, match="no column 'il'"):
        here.plan_training(data=table, target="il")
    with fed.local(dict.fromkeys(PARTIES, FRAME), policy=Settings(models=("mlp",))) as strict:
        plan = strict.plan_training(data=strict.table("data"), target="ill")
        assert "none of the 3 parties would refuse" in plan.summary()  # an operator's own clauses are not published


def test_a_file_that_names_no_features_asks_for_all_columns_that_have_no_other_part(here: Session) -> None:
    (asked,) = job('data = "data"\n[train]\ntarget = "ill"\n').computations
    joint = here.table("data").joint
    done = completed(asked, joint)
    assert dict(done.parameters)["features"] == ("age", "cost", "sex")
    assert completed(done, joint) == done
    assert as_table(done)["features"] == ("age", "cost", "sex")
    assert written(asked) == "train('ill', model='linear', strategy=fedavg())"
    (split,) = job('data = "data"\n[train]\ntarget = "age"\nsplit = "ill"').computations
    assert dict(completed(split, joint).parameters)["features"] == ("cost", "sex")
    assert here.plan((asked,), data=here.table("data")).job.name.startswith("train-ill-linear-")


def test_a_training_in_the_clear_promises_nothing_of_the_coordinator(here: Session) -> None:
    said = here.plan_training(data=here.table("data", protection="plain"), target="ill").summary()
    assert "plain_sum: the coordinator sees every party's numbers" in said
    assert "learns only what opens" not in said
    assert "would refuse by rule plain_sums" in said
    assert "learns only what opens" in here.plan_training(data=here.table("data"), target="ill").summary()


def test_the_fewest_units_that_are_told_are_those_that_a_trainer_asks_for() -> None:
    assert forecast_training.FEWEST_UNITS == trainer.FEWEST_UNITS
