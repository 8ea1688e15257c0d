"""What each strategy promises, against slow references: pooled descent, the papers' formulas, fixed points.

Drift: on squared errors that curve differently at each party, FedAvg with many local steps settles beside the joint
optimum; SCAFFOLD settles on it, and a variate that stays still (the planted fault) does not.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from federation import registry
from federation.errors import Misuse
from federation.training import descent
from federation.training.inputs import Inputs, Task
from federation.training.layout import Part
from federation.training.models.linear import Linear, LinearConfig
from federation.training.models.mlp import Mlp, MlpConfig
from federation.training.strategies.ditto import Ditto, DittoParameters
from federation.training.strategies.fedavg import FedAvg
from federation.training.strategies.fedbn import FedBN
from federation.training.strategies.fednova import FedNova, FedNovaParameters
from federation.training.strategies.fedprox import FedProx, FedProxParameters
from federation.training.strategies.normbounded import NormBounded, NormBoundedParameters
from federation.training.strategies.scaffold import Scaffold, ScaffoldParameters
from federation.training.strategy import Public, Schedule, Strategy, Update, Work
from tests.training.cohorts import (
    BINARY,
    NORMED,
    REGRESSION,
    cohorts,
    least,
    quadratics,
    rows,
    together,
    work,
)
from tests.training.parties import judge, run, seed_of, trained

FAMILY = "federation.training.strategies"
ALL = (
    "ditto", "fedadagrad", "fedadam", "fedavg", "fedavgm", "fedbn", "fednova", "fedprox", "fedyogi", "normbounded",
    "scaffold",
)  # fmt: skip


def strategy_of(name: str) -> Strategy[Any]:
    return registry.look_up(FAMILY, Strategy, name)()


def linear(strategy: Strategy[Any], parameters: Schedule, parties: Any = None, **more: Any) -> NDArray[np.float32]:
    """Return the joint linear model of three quadratics (slope, slope, intercept), from zeros."""
    more = {"judged": (), "start": np.zeros(3, dtype=np.float32)} | more
    return trained(strategy, parameters, Linear(), LinearConfig(), REGRESSION, parties or quadratics(), 0, **more)[
        0
    ].model


def test_there_are_eleven_and_each_bears_its_files_name() -> None:
    found = registry.discover(FAMILY, Strategy)
    assert tuple(found) == ALL
    for name, kind in found.items():
        assert kind.name == name
        assert issubclass(kind.Parameters, Schedule)
        assert kind.Parameters() == kind.Parameters()


# -------------------------------------------------------------------------------------- FedAvg, FedProx


def test_one_local_step_over_all_rows_is_pooled_gradient_descent() -> None:
    parties = cohorts()
    once = Schedule(rounds=40, lr=0.5, batch_size=0, steps=1)
    model = MlpConfig(hidden=(5,))
    joint, _ = trained(FedAvg(), once, Mlp(), model, BINARY, parties, 1, judged=())
    pooled, _ = trained(FedAvg(), once, Mlp(), model, BINARY, [together(parties)], 1, judged=())
    assert joint.model == pytest.approx(pooled.model, abs=1e-6)
    assert not np.allclose(pooled.model, Mlp().layout(model, BINARY).initial(seed_of(1)), atol=0.1)
    alike, _ = trained(FedAvg(), dataclasses.replace(once, weighted=False), Mlp(), model, BINARY, parties, 1, judged=())
    assert not np.allclose(alike.model, pooled.model, atol=1e-3)  # a mean that forgets who has how many rows is seen


def test_pooled_gradient_descent_is_the_formula_too() -> None:
    parties, lr = quadratics(), 0.05
    found = linear(FedAvg(), Schedule(rounds=30, lr=lr, batch_size=0, steps=1))
    x = np.column_stack((together(parties).numbers.astype(np.float64), np.ones(120)))
    theta = np.zeros(3)
    for _ in range(30):
        theta -= lr * 2 / len(x) * x.T @ (x @ theta - together(parties).target)
    assert found == pytest.approx(theta, abs=1e-6)


def test_fedprox_without_its_pull_is_fedavg_bit_for_bit_and_with_it_moves_less() -> None:
    parties, shared = cohorts(), {"rounds": 3, "lr": 0.2, "epochs": 3.0, "momentum": 0.5}
    fedavg, _ = trained(FedAvg(), Schedule(**shared), Mlp(), NORMED, BINARY, parties, 1, judged=())
    off, _ = trained(FedProx(), FedProxParameters(mu=0.0, **shared), Mlp(), NORMED, BINARY, parties, 1, judged=())
    assert off.model.tobytes() == fedavg.model.tobytes()
    job = work(FedAvg(), Schedule(), Mlp(), BINARY, parties[0], config=NORMED)
    lengths = [
        float(np.linalg.norm(FedProx().local_step(FedProxParameters(mu=mu, epochs=5.0), job).vector[:61]))
        for mu in (0.0, 0.5, 5.0)
    ]
    assert lengths[0] > lengths[1] > lengths[2] > 0


def test_a_proximal_step_is_the_formula() -> None:
    party, mu, lr = quadratics()[0], 0.7, 0.05
    job = work(FedAvg(), Schedule(), Linear(), REGRESSION, party)
    found = FedProx().local_step(FedProxParameters(mu=mu, lr=lr, batch_size=0, steps=4), job).vector
    begin = job.public.model.astype(np.float64)
    theta = begin.copy()
    x = np.column_stack((party.numbers.astype(np.float64), np.ones(party.size)))
    for _ in range(4):
        theta -= lr * (2 / party.size * x.T @ (x @ theta - party.target) + mu * (theta - begin))
    assert found == pytest.approx(theta - begin, abs=1e-6)


# -------------------------------------------------------------------------------------- drift: SCAFFOLD

DRIFT = {"rounds": 60, "lr": 0.2, "batch_size": 0, "steps": 8, "clip": 100.0}


def test_scaffold_settles_on_the_joint_optimum_where_fedavg_is_biased() -> None:
    wanted = least(quadratics())
    assert np.abs(linear(FedAvg(), Schedule(**DRIFT)) - wanted).max() > 0.1
    assert linear(Scaffold(), ScaffoldParameters(**DRIFT)) == pytest.approx(wanted, abs=1e-4)
    passes = {"rounds": 40, "lr": 0.2, "lr_decay": 0.9, "batch_size": 20, "epochs": 3.0, "clip": 100.0}
    parties = quadratics(sizes=(40, 80, 40))  # unequal steps: 6, 12, 6
    assert np.abs(linear(FedAvg(), Schedule(**passes), parties) - least(parties)).max() > 0.1
    assert linear(Scaffold(), ScaffoldParameters(**passes), parties) == pytest.approx(least(parties), abs=2e-3)
    with_speed = linear(Scaffold(), ScaffoldParameters(**(DRIFT | {"momentum": 0.5, "lr": 0.1})))
    assert with_speed == pytest.approx(wanted, abs=1e-4)


def test_a_control_variate_that_is_not_updated_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Scaffold.merge

    def forgetful(self: Scaffold, p: Any, layout: Any, public: Public, mean: Any, r: int) -> Public:
        return Public(model=real(self, p, layout, public, mean, r).model, more=public.more)

    monkeypatch.setattr(Scaffold, "merge", forgetful)
    with pytest.raises(AssertionError):
        test_scaffold_settles_on_the_joint_optimum_where_fedavg_is_biased()


def test_scaffold_is_the_papers_algorithm_step_by_step() -> None:
    parties, lr, steps = quadratics(), 0.05, 5
    shared = {"rounds": 6, "lr": lr, "batch_size": 0, "steps": steps, "clip": 100.0, "server_lr": 0.8}
    ended = run(
        Scaffold(), ScaffoldParameters(weighted=False, **shared), Linear(), LinearConfig(), REGRESSION, parties, 0,
        judged=(), start=np.zeros(3, dtype=np.float32),
    )  # fmt: skip
    x = np.zeros(3)
    c, own = np.zeros(3), [np.zeros(3) for _ in parties]
    for _ in range(6):
        moves, changes = [], []
        for i, party in enumerate(parties):
            a = np.column_stack((party.numbers.astype(np.float64), np.ones(party.size)))
            y = x.copy()
            for _ in range(steps):
                y -= lr * (2 / party.size * a.T @ (a @ y - party.target) - own[i] + c)
            after = own[i] - c + (x - y) / (steps * lr)
            moves.append(y - x)
            changes.append(after - own[i])
            own[i] = after
        x = x + 0.8 * np.mean(moves, axis=0)
        c = c + np.mean(changes, axis=0)
    assert ended.public.model == pytest.approx(x, abs=1e-5)
    assert ended.public.more[0] == pytest.approx(c, abs=1e-5)
    assert np.array([kept[0] for kept in ended.kept]) == pytest.approx(np.array(own), abs=1e-5)


def test_scaffold_outlives_a_rate_that_decayed_to_nothing() -> None:
    parameters = ScaffoldParameters(rounds=40, lr=1e-3, lr_decay=1e-3)
    assert parameters.rate(30) == 1e-9
    ended = run(Scaffold(), parameters, Linear(), LinearConfig(), REGRESSION, quadratics(), 0, judged=())
    assert all(np.isfinite(array).all() for array in (ended.public.model, *ended.public.more))


def test_scaffold_forgets_who_was_missing_in_an_earlier_round() -> None:
    parameters = ScaffoldParameters(**DRIFT)
    found = linear(Scaffold(), parameters, takes_part=lambda party, r: not (party == 1 and 3 <= r < 9))
    assert found == pytest.approx(least(quadratics()), abs=1e-4)


# -------------------------------------------------------------------------------------- steps: FedNova


def test_fednova_is_fedavg_at_equal_steps_bit_for_bit_when_they_are_told_and_nearly_when_not() -> None:
    shared = {"rounds": 8, "lr": 0.05, "momentum": 0.3, "clip": 10.0}
    told = shared | {"steps": 7}
    assert linear(FedNova(), FedNovaParameters(**told)).tobytes() == linear(FedAvg(), Schedule(**told)).tobytes()
    passes = shared | {"epochs": 3.0, "batch_size": 20}
    assert linear(FedNova(), FedNovaParameters(**passes)) == pytest.approx(
        linear(FedAvg(), Schedule(**passes)), abs=1e-5
    )


def test_fednova_removes_the_bias_of_unequal_steps() -> None:
    """Small steps, so that drift is small: what is left in FedAvg is the weight that more steps have."""
    parties = quadratics(sizes=(10, 60, 10))
    shared = {"rounds": 250, "lr": 0.01, "batch_size": 10, "weighted": False, "clip": 10.0}
    alike = least(parties, weights=(1, 1, 1))
    biased, found = (
        linear(FedAvg(), Schedule(**shared), parties),
        linear(FedNova(), FedNovaParameters(**shared), parties),
    )
    assert np.abs(biased - alike).max() > 0.5
    assert np.abs(found - alike).max() < 0.1


def test_fednova_refuses_more_steps_than_its_entry_carries() -> None:
    parameters = FedNovaParameters(most_steps=3, epochs=4.0, batch_size=20)
    with pytest.raises(Misuse, match=r"8 effective steps.*at most 3.*raise most_steps"):
        FedNova().local_step(parameters, work(FedNova(), parameters, Linear(), REGRESSION, quadratics()[0]))


# -------------------------------------------------------------------------------------- personal: Ditto, FedBN


def test_dittos_own_model_beats_the_joint_one_at_a_party_with_other_labels() -> None:
    parties = cohorts(sizes=(200, 200, 200))
    other = parties[2]
    parties[2] = rows(other.numbers, 1 - other.target, Task.BINARY)
    parameters = DittoParameters(rounds=15, lr=0.3, pull=0.05, clip=10.0)
    ended = run(Ditto(), parameters, Linear(), LinearConfig(), BINARY, parties, 1)
    module, layout = Linear().module(LinearConfig(), BINARY), Linear().layout(LinearConfig(), BINARY)
    own = judge(module, layout, [ended.kept[2][0]], BINARY, parties[2:]).accuracy
    joint = judge(module, layout, [ended.public.model], BINARY, parties[2:]).accuracy
    assert own is not None
    assert joint is not None
    assert own > 0.8
    assert joint < 0.45
    assert ended.history[-1].accuracy is not None
    assert ended.history[-1].accuracy > 0.8  # the figures of a personal strategy are those of own models
    fedavg, _ = trained(
        FedAvg(), Schedule(rounds=15, lr=0.3, clip=10.0), Linear(), LinearConfig(), BINARY, parties, 1, judged=()
    )
    assert ended.public.model.tobytes() == fedavg.model.tobytes()  # own models leave no trace in the joint one


def test_a_strong_pull_holds_dittos_own_model_at_the_joint_one_and_none_lets_it_train_alone() -> None:
    party = cohorts()[0]
    job = work(Ditto(), DittoParameters(), Linear(), BINARY, party)

    def distance(pull: float) -> float:
        kept = Ditto().local_step(DittoParameters(pull=pull, epochs=20.0, lr=0.05), job).kept[0]
        return float(np.linalg.norm(kept - job.public.model))

    assert distance(0.0) > 2 * distance(1.0) > 4 * distance(15.0)


def test_fedbn_keeps_normalisations_at_home() -> None:
    parties, parameters = cohorts(), Schedule(rounds=4)
    layout = Mlp().layout(NORMED, BINARY)
    home = layout.where(Part.NORM, Part.BUFFER)
    ended = run(FedBN(), parameters, Mlp(), NORMED, BINARY, parties, 1)
    begin = layout.initial(seed_of(1))
    assert FedBN().length(parameters, layout) == np.count_nonzero(~home) == layout.size - 24
    assert (ended.public.model[home] == begin[home]).all()
    assert (ended.public.model[~home] != begin[~home]).mean() > 0.9
    owns = [FedBN().own_model(parameters, layout, ended.public, kept) for kept in ended.kept]
    for i, own in enumerate(owns):
        assert (own[home] == ended.kept[i][0]).all()
        assert (own[~home] == ended.public.model[~home]).all()
    assert len({own[home].tobytes() for own in owns}) == len(parties)
    assert FedBN().own_model(parameters, layout, ended.public, ()).tobytes() == ended.public.model.tobytes()


def test_fedbn_refuses_a_model_without_normalisations() -> None:
    layout = Linear().layout(LinearConfig(), BINARY)
    with pytest.raises(Misuse, match="this model has none"):
        FedBN().begun(Schedule(), layout, layout.initial(seed_of(1)))


# -------------------------------------------------------------------------------------- all


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_strategy_learns_and_sends_what_it_says(name: str, optimizer: str) -> None:
    strategy = strategy_of(name)
    if optimizer == "adam" and name in ("scaffold", "fednova"):
        with pytest.raises(Misuse, match="adam"):
            strategy.Parameters(optimizer="adam")
        return
    parameters = strategy.Parameters(rounds=8, lr=0.3 if optimizer == "sgd" else 0.02, optimizer=optimizer)
    layout = Mlp().layout(NORMED, BINARY)
    lengths = set()

    def seen(party: int, round_index: int, update: Update) -> NDArray[np.float32]:
        assert update.vector.dtype == np.float32
        assert update.vector.shape == (strategy.length(parameters, layout),)
        assert update.weight == cohorts()[party].size
        lengths.add(len(update.kept))
        return update.vector

    ended = run(strategy, parameters, Mlp(), NORMED, BINARY, cohorts(), 1, sends=seen)
    assert lengths == {1 if name in ("scaffold", "ditto", "fedbn") else 0}
    assert ended.history[-1].accuracy is not None
    assert ended.history[-1].accuracy > 0.7
    assert ended.history[-1].loss < ended.history[0].loss
    assert (ended.public.model[layout.where(Part.BUFFER)][-6:] > 0).all()  # running variances stay variances
    for array in (ended.public.model, *ended.public.more):
        assert array.dtype == np.float32
        assert not array.flags.writeable


@pytest.mark.parametrize("name", ALL)
def test_equal_seeds_give_equal_bits_and_others_do_not(name: str) -> None:
    strategy = strategy_of(name)
    parameters = strategy.Parameters(rounds=2)
    first, again, other = (
        trained(strategy, parameters, Mlp(), NORMED, BINARY, cohorts(), seed, judged=())[0] for seed in (1, 1, 2)
    )
    assert first.model.tobytes() == again.model.tobytes() != other.model.tobytes()
    assert [m.tobytes() for m in first.more] == [m.tobytes() for m in again.more]


@pytest.mark.parametrize("name", ALL)
def test_an_update_that_is_not_finite_is_refused_by_name(name: str) -> None:
    strategy = strategy_of(name)
    party = cohorts()[0]
    party.numbers[3, 2] = np.nan
    job = work(strategy, strategy.Parameters(), Mlp(), BINARY, party, config=NORMED)
    with pytest.raises(Misuse, match=r"not finite in tensor 'layers\.hidden0\.weight'.*lower lr"):
        strategy.local_step(strategy.Parameters(), job)


def test_descent_that_runs_away_is_refused_too() -> None:
    parameters = Schedule(lr=1e6, epochs=20.0)
    with pytest.raises(Misuse, match="ran away; nothing was sent"):
        FedAvg().local_step(parameters, work(FedAvg(), parameters, Linear(), REGRESSION, quadratics()[0]))


def test_an_update_that_is_not_looked_at_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "refuse_infinite", lambda *_: None)
    with pytest.raises(pytest.fail.Exception):
        test_an_update_that_is_not_finite_is_refused_by_name("fedavg")


@pytest.mark.parametrize("name", ALL)
def test_a_norm_bounds_what_every_strategy_sends(name: str) -> None:
    strategy = strategy_of(name)
    parameters = strategy.Parameters(norm=0.25, epochs=5.0)
    job = work(strategy, parameters, Mlp(), BINARY, cohorts()[0], config=NORMED)
    update = strategy.local_step(parameters, job)
    size = job.layout.size
    for part in (update.vector[:size], update.vector[size:] if name == "scaffold" else update.vector[:0]):
        assert float(np.linalg.norm(part.astype(np.float64))) <= 0.25
    assert float(np.linalg.norm(update.vector)) > 0.2


def test_no_party_moves_a_norm_bounded_mean_by_more_than_its_share() -> None:
    parties, parameters = cohorts(), NormBoundedParameters(rounds=3, lr=2.0, norm=0.5, clip=10.0)
    weights = [party.size for party in parties]
    sent: dict[tuple[int, int], NDArray[np.float32]] = {}

    def seen(party: int, round_index: int, update: Update) -> NDArray[np.float32]:
        sent[party, round_index] = update.vector
        return update.vector

    run(NormBounded(), parameters, Linear(), LinearConfig(), BINARY, parties, 1, sends=seen, judged=())
    for (party, r), vector in sent.items():
        share = weights[party] / sum(weights)
        mean = sum(w * sent[i, r].astype(np.float64) for i, w in enumerate(weights)) / sum(weights)
        without = mean - share * vector
        assert float(np.linalg.norm(mean - without)) <= 0.5 * share
    free = FedAvg().local_step(Schedule(lr=2.0, clip=10.0), work(FedAvg(), Schedule(), Linear(), BINARY, parties[0]))
    assert float(np.linalg.norm(free.vector)) > 1.0  # without a bound it would have been longer


def test_a_strategy_without_rows_or_with_a_short_seed_is_refused() -> None:
    party = cohorts()[0]
    empty = rows(np.zeros((0, 8)), [], Task.BINARY)
    with pytest.raises(Misuse, match="without training rows"):
        work(FedAvg(), Schedule(), Linear(), BINARY, empty)
    with pytest.raises(Misuse, match="32 bytes"):
        work(FedAvg(), Schedule(), Linear(), BINARY, party, seed=b"short")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rounds": 0}, "rounds is 1 to"),
        ({"lr": 0.0}, "lr is 1e-09 to"),
        ({"lr": float("nan")}, "lr is 1e-09 to"),
        ({"lr_decay": 1.5}, "lr_decay is above 0 and at most 1"),
        ({"batch_size": -1}, "batch_size is 0 to"),
        ({"epochs": 0.0}, "epochs is above 0"),
        ({"steps": -1}, "steps is 0 to"),
        ({"momentum": 1.0}, "momentum is at least 0 and below 1"),
        ({"weight_decay": -0.1}, "weight_decay is 0 to"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum is a parameter of sgd"),
        ({"clip": 0.0}, "clip is above 0"),
        ({"norm": -1.0}, "norm is 0 to"),
        ({"bits": 3}, "bits is 4 to 32"),
    ],
)
def test_a_schedule_without_meaning_is_refused(given: dict[str, Any], message: str) -> None:
    for name in ALL:
        with pytest.raises(Misuse, match=message):
            strategy_of(name).Parameters(**given)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fedprox", {"mu": -1.0}),
        ("fedavgm", {"server_lr": 0.0}),
        ("fedavgm", {"server_momentum": 1.0}),
        ("fedadam", {"beta1": 1.0}),
        ("fedadam", {"beta2": -0.1}),
        ("fedyogi", {"tau": 0.0}),
        ("fedyogi", {"beta2": 1.0}),
        ("fedadagrad", {"server_lr": float("inf")}),
        ("scaffold", {"server_lr": 0.0}),
        ("fednova", {"most_steps": 0}),
        ("ditto", {"pull": -1.0}),
        ("ditto", {"own_lr": -1.0}),
        ("normbounded", {"norm": 0.0}),
    ],
)
def test_a_parameter_of_a_strategy_out_of_its_range_is_refused(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=next(iter(given))):
        strategy_of(name).Parameters(**given)


def test_a_personal_strategy_judges_its_own_model_and_others_the_joint_one() -> None:
    layout = Linear().layout(LinearConfig(), BINARY)
    public = Public(model=np.zeros(layout.size, dtype=np.float32))
    kept = (np.ones(layout.size, dtype=np.float32),)
    for name in ALL:
        strategy = strategy_of(name)
        assert strategy.personal is (name in ("ditto", "fedbn"))
        if name != "fedbn":
            own = strategy.own_model(strategy.Parameters(), layout, public, kept)
            assert own.tobytes() == (kept[0] if name == "ditto" else public.model).tobytes()


def test_work_is_a_frozen_value() -> None:
    job: Work = work(FedAvg(), Schedule(), Linear(), REGRESSION, quadratics()[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.round_index = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        job.public.model[0] = 1
    assert isinstance(job.inputs, Inputs)
