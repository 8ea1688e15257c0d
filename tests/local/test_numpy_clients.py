"""Classes of Flower's `NumPyClient` shape run as they are: same model as a federation's, and nothing wrong gets by."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import federation as fed
from clients.jurisdiction.trainer import step_seed
from clients.local import numpy_clients as room
from clients.local.client_rounds import TrainedArrays
from clients.local.simulated_sum import Round
from federation import registry
from federation.crypto.encoding import BadTotal
from federation.domain.job import digest
from federation.errors import JobFailed, Misuse
from federation.jobs.training import LABEL
from federation.training import checkpoint
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout, Part, Tensor
from federation.training.model import Model
from federation.training.plan import MODELS, STRATEGIES
from federation.training.strategy import Public, Rows, Strategy, Work

NAMES = ("aosta", "berne", "chur")
SIZES = (30, 47, 61)
SEED = 9


class Steady:
    """Moves every entry by `step`, and says that it learned from `examples`."""

    def __init__(self, step: float = 0.1, examples: int = 10, **figures: Any) -> None:
        self.step, self.examples, self.figures = step, examples, figures
        self.start = [np.zeros((2, 3), np.float32), np.ones(4), np.float64(0.5)]
        self.told: list[Any] = []

    def get_parameters(self, config: dict[str, Any]) -> list[Any]:
        return self.start

    def fit(self, parameters: list[Any], config: dict[str, Any]) -> tuple[Any, Any, Any]:
        self.told.append(config)
        for array in parameters:
            np.add(array, self.step, out=array)  # in place: what is handed over is the class's own
        return parameters, self.examples, self.figures

    def evaluate(self, parameters: list[Any], config: dict[str, Any]) -> tuple[Any, Any, Any]:
        self.told.append(config)
        return float(parameters[0].flat[0]), self.examples, self.figures


def three(**changes: Any) -> dict[str, Any]:
    """Three parties of 10, 20 and 30 examples that move by 0.1, 0.2 and 0.3; `changes` are methods of berne."""
    made = {name: Steady(0.1 * place, 10 * place) for place, name in enumerate(NAMES, 1)}
    for name, change in changes.items():
        setattr(made["berne"], name, change)
    return made


# --- the same as a federation ----------------------------------------------------------------------------------------


class Tutorial:
    """A PyTorch client as tutorials have it: the model's state as arrays, one pass, loss and accuracy."""

    def __init__(self, place: int) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(place)
        draw = np.random.default_rng(place)
        numbers = draw.normal(size=(SIZES[place], 3)).astype(np.float32)
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        self.inputs, self.labels = torch.from_numpy(numbers), torch.from_numpy((numbers.sum(axis=1) > 0).astype(int))

    def get_parameters(self, config: dict[str, Any]) -> list[NDArray[Any]]:
        return [value.cpu().numpy() for value in self.net.state_dict().values()]

    def set_parameters(self, parameters: list[NDArray[Any]]) -> None:
        import torch

        named = zip(self.net.state_dict(), parameters, strict=True)
        self.net.load_state_dict({name: torch.tensor(array) for name, array in named}, strict=True)

    def fit(self, parameters: list[NDArray[Any]], config: dict[str, Any]) -> tuple[Any, int, dict[str, Any]]:
        import torch

        self.set_parameters(parameters)
        optimizer = torch.optim.SGD(self.net.parameters(), lr=config.get("lr", 0.5))
        for _ in range(10):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(self.net(self.inputs), self.labels).backward()
            optimizer.step()
        return self.get_parameters(config={}), len(self.labels), {}

    def evaluate(self, parameters: list[NDArray[Any]], config: dict[str, Any]) -> tuple[float, int, dict[str, Any]]:
        import torch

        self.set_parameters(parameters)
        with torch.no_grad():
            outputs = self.net(self.inputs)
        loss = float(torch.nn.functional.cross_entropy(outputs, self.labels))
        accuracy = (outputs.argmax(dim=1) == self.labels).float().mean().item()
        return loss, len(self.labels), {"accuracy": accuracy}


def learned(clients: dict[str, Any]) -> TrainedArrays:
    found = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=5), seed=1)
    losses = [one.loss for one in found.history]
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert found.history[-1].metrics["accuracy"] > 0.9
    assert [array.shape for array in found.parameters] == [(8, 3), (8,), (2, 8), (2,)]
    return found


def test_a_class_as_tutorials_have_it_learns_and_does_so_again() -> None:
    runs = [learned({name: Tutorial(place) for place, name in enumerate(NAMES)}) for _ in range(2)]
    assert runs[0].model.tobytes() == runs[1].model.tobytes()


def test_a_class_of_flowers_own_base_learns_the_same() -> None:
    base = pytest.importorskip("flwr.client").NumPyClient
    ours = learned({name: Tutorial(place) for place, name in enumerate(NAMES)})
    derived = type("FlowerClient", (Tutorial, base), {})
    theirs = learned({name: derived(place) for place, name in enumerate(NAMES)})
    wrapped = learned({name: derived(place).to_client() for place, name in enumerate(NAMES)})
    assert ours.model.tobytes() == theirs.model.tobytes() == wrapped.model.tobytes()
    bare = type("Bare", (base,), {"fit": lambda self, parameters, config: (parameters, 1, {})})
    start = [np.zeros(3)]
    assert fed.numpy_clients(dict.fromkeys(NAMES, bare()), strategy=fed.FedAvg(rounds=1), initial=start)
    with pytest.raises(Misuse, match="a list of at least one array"):
        fed.numpy_clients(dict.fromkeys(NAMES, bare()), strategy=fed.FedAvg(rounds=1))


def frame(place: int) -> pd.DataFrame:
    """Rows of one party: whole numbers, so that nothing is lost on the way to float32."""
    rng = np.random.default_rng(place)
    numbers = rng.integers(-8, 9, (SIZES[place], 3))
    columns = {f"x{column}": numbers[:, column] / 4 for column in range(3)}
    return pd.DataFrame({**columns, "y": (numbers.sum(axis=1) + rng.integers(-3, 4, SIZES[place]) > 0).astype(int)})


class Ours:
    """A class whose `fit` does what a jurisdiction does."""

    def __init__(self, place: int, options: dict[str, Any]) -> None:
        table = frame(place)
        self.way = registry.look_up(STRATEGIES, Strategy, "fedavg")()
        self.options, self.name = self.way.Parameters(**options), NAMES[place]
        model = registry.look_up(MODELS, Model, "mlp")()
        self.inputs = Inputs(numbers=3, task=Task.BINARY)
        self.layout = model.layout(model.Config(), self.inputs)
        self.module = model.module(model.Config(), self.inputs)
        self.rows = Rows(
            numbers=table[["x0", "x1", "x2"]].to_numpy(np.float32),
            codes=np.empty((len(table), 0), dtype=np.int64),
            target=table["y"].to_numpy(np.float32),
        )

    def fit(self, parameters: list[NDArray[Any]], config: dict[str, Any]) -> tuple[Any, int, dict[str, Any]]:
        flat = np.concatenate([array.reshape(-1) for array in parameters])
        work = Work(
            module=self.module,
            layout=self.layout,
            inputs=self.inputs,
            rows=self.rows,
            public=Public(model=flat),
            round_index=config["round"] - 1,
            seed=step_seed(SEED, self.name, config["round"] - 1),
        )
        self.way.local_step(self.options, work)
        state = self.module.state_dict()
        return [state[tensor.name].numpy() for tensor in self.layout.tensors], self.rows.size, {}


@pytest.mark.parametrize("bits", [22, 10])
def test_a_class_that_trains_as_a_jurisdiction_ends_with_the_federations_model(bits: int) -> None:
    local = {"epochs": 2.0, "batch_size": 8}
    with fed.local({name: frame(place) for place, name in enumerate(NAMES)}) as here:
        job = here.train(
            model="mlp",
            data=here.table("data"),
            target="y",
            features=("x0", "x1", "x2"),
            strategy=fed.FedAvg(rounds=3, bits=bits, **local),
            scale="none",
            holdout=0.0,
            seed=SEED,
        )
        expected = job.result().model
    clients = {name: Ours(place, local) for place, name in enumerate(NAMES)}
    layout = clients["chur"].layout
    start = layout.split(layout.initial(digest(f"{LABEL}/seed", SEED.to_bytes(8, "big"))))
    found = fed.numpy_clients(
        clients,
        strategy=fed.FedAvg(rounds=3, bits=bits),
        initial=list(start.values()),
        fit_config=lambda number: {"round": number},
    )
    assert found.model.tobytes() == expected.tobytes()


# --- means -----------------------------------------------------------------------------------------------------------


def test_the_model_moves_by_the_mean_weighted_by_examples() -> None:
    found = fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=2), seed=4)
    moved = 2 * (10 * 0.1 + 20 * 0.2 + 30 * 0.3) / 60
    first, second, third = found.parameters
    assert first == pytest.approx(moved, abs=1e-6)
    assert second == pytest.approx(1 + moved, abs=1e-6)
    assert third == pytest.approx(0.5 + moved, abs=1e-6)
    assert [(array.shape, array.dtype) for array in found.parameters] == [
        ((2, 3), np.dtype("f4")),
        ((4,), np.dtype("f8")),
        ((), np.dtype("f8")),
    ]


def test_parties_weigh_alike_where_the_strategy_says_so() -> None:
    found = fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=1, weighted=False))
    assert found.parameters[0] == pytest.approx(0.2, abs=1e-6)


def test_losses_and_metrics_are_means_weighted_by_examples() -> None:
    clients = three()
    for place, name in enumerate(NAMES):
        clients[name].figures = {"accuracy": [0.5, 0.25, 1][place], "right": np.bool_(place), "rows": np.int64(place)}
    (one,) = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1)).history
    wanted = {"accuracy": (5 + 5 + 30) / 60, "right": 50 / 60, "rows": 80 / 60}
    assert one.metrics == one.fit_metrics == pytest.approx(wanted, abs=1e-9)
    assert one.loss == pytest.approx((10 * 0.1 + 20 * 0.2 + 30 * 0.3) / 60, abs=1e-6)
    assert (one.examples, one.evaluated, one.parties, one.clipped) == (60, 60, NAMES, 0)


def test_a_party_without_examples_to_evaluate_does_not_count() -> None:
    clients = three(evaluate=lambda parameters, config: (float("nan"), 0, {"other": "text"}))
    (one,) = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1)).history
    assert (one.evaluated, one.examples) == (40, 60)


def test_nothing_is_evaluated_where_no_class_can() -> None:
    clients = {name: SimpleNamespace(fit=Steady().fit) for name in NAMES}
    found = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1), initial=Steady().start)
    assert (found.history[0].loss, found.history[0].evaluated, found.history[0].metrics) == (None, 0, {})
    with pytest.raises(Misuse, match="nothing to draw"):
        found.plot()


def test_configurations_are_told_by_round_and_evaluations_are_as_rare_as_asked() -> None:
    clients = three()
    found = fed.numpy_clients(
        clients,
        strategy=fed.FedAvg(rounds=3),
        fit_config=lambda number: {"fit": number},
        evaluate_config=lambda number: {"evaluate": number},
        evaluate_every=2,
    )
    assert clients["chur"].told == [{"fit": 1}, {"fit": 2}, {"evaluate": 2}, {"fit": 3}, {"evaluate": 3}]
    assert [one.loss is None for one in found.history] == [True, False, False]


def test_one_party_of_all_is_drawn_to_start_from() -> None:
    starts = set()
    for seed in range(8):
        clients = three()
        for place, name in enumerate(NAMES):
            clients[name].start, clients[name].step = [np.full(1, float(place))], 0
        found = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1), seed=seed)
        starts.add(float(found.parameters[0][0]))
    assert {round(start, 5) for start in starts} == {0, 1, 2}


def test_updates_are_cut_and_the_share_is_told() -> None:
    clients = three()
    clients["chur"].step = 3.0
    found = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1, clip=0.5))
    assert found.history[0].clipped == pytest.approx(1 / 3)
    assert found.parameters[0] == pytest.approx((10 * 0.1 + 20 * 0.2 + 30 * 0.5) / 60, abs=1e-6)


def test_updates_are_bounded_before_they_are_sent() -> None:
    clients = three()
    clients["chur"].step = 1e6
    found = fed.numpy_clients(clients, strategy=fed.NormBounded(rounds=1, norm=0.01))
    moved = np.concatenate([np.ravel(array) for array in found.parameters]) - np.repeat([0, 1, 0.5], [6, 4, 1])
    assert np.linalg.norm(moved) <= 0.0101


def test_what_few_bits_round_away_is_sent_in_later_rounds() -> None:
    found = fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=30, bits=6))
    assert found.parameters[0] / 30 == pytest.approx(14 / 60, abs=0.003)  # a step of 6 bits is 0.03


@pytest.mark.parametrize("name", ["FedAvgM", "FedAdam", "FedYogi", "FedAdagrad", "NormBounded"])
def test_every_strategy_that_only_merges_takes_classes(name: str) -> None:
    found = fed.numpy_clients(three(), strategy=getattr(fed, name)(rounds=2))
    assert (found.parameters[0] > 0).all()


# --- masks -----------------------------------------------------------------------------------------------------------


def test_nothing_is_added_that_is_not_under_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def put_on(self: Round, party: str, words: NDArray[np.uint64], honest: Any = Round.put_on) -> None:
        plain = words.tobytes()
        honest(self, party, words)
        seen.append((plain, words.tobytes()))

    monkeypatch.setattr(Round, "put_on", put_on)
    for _ in range(2):
        fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=2))
    assert len(seen) == 2 * 2 * 3 * 3  # runs, rounds, sums (examples, updates, evaluations), parties
    assert len({masked for _, masked in seen}) == len(seen), "masks are drawn afresh for every sum"
    assert not any(a == b for plain, masked in seen for a, b in zip(words_of(plain), words_of(masked), strict=True))


def words_of(vector: bytes) -> list[int]:
    return np.frombuffer(vector, dtype="<u8").tolist()


def test_a_mask_that_one_party_leaves_off_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: berne adds its update as it is."""
    honest = Round.put_on

    def put_on(self: Round, party: str, words: NDArray[np.uint64]) -> None:
        if party != "berne" or not self._spec.encoding:
            honest(self, party, words)

    monkeypatch.setattr(Round, "put_on", put_on)
    with pytest.raises(BadTotal):
        fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=1))


# --- what is refused -------------------------------------------------------------------------------------------------


def returns(*found: Any) -> Callable[..., Any]:
    return lambda parameters, config: found


def arrays(**changed: Any) -> list[Any]:
    """What berne returns, with one array changed: a0, a1 or a2."""
    made: list[Any] = [np.zeros((2, 3), np.float32), np.ones(4), np.float64(0.5)]
    for name, array in changed.items():
        made[int(name[1])] = array
    return made


SECRET = 31337.5
ARRAYS = {
    "whole numbers": (arrays(a1=np.ones(4, np.int64)), "array 1 .* is int64, not float32 or float64"),
    "half floats": (arrays(a1=np.ones(4, np.float16)), "array 1 .* is float16"),
    "objects": (arrays(a1=np.array([SECRET, None, "x", 2], dtype=object)), "array 1 .* is object"),
    "a shape": (arrays(a0=np.full((3, 2), SECRET)), r"array 0 .* has shape \(3, 2\), not \(2, 3\)"),
    "a length": (arrays(a2=np.ones(1)), r"array 2 .* has shape \(1,\), not \(\)"),
    "NaN": (arrays(a1=np.array([SECRET, 1, 2, np.nan])), "array 1 .* not finite"),
    "infinity": (arrays(a0=np.full((2, 3), -np.inf)), "array 0 .* not finite"),
    "beyond float32": (arrays(a1=np.full(4, 1e300)), "array 1 .* not finite in float32"),
    "a list in a list": (arrays(a1=[1.0, 2.0, 3.0, SECRET]), "array 1 .* is a list, not an array"),
    "empty": (arrays(a1=np.ones(0)), "array 1 .* is empty"),
    "too few": (arrays()[:2], "a list of 3 arrays, got 2 arrays"),
    "too many": ([*arrays(), np.ones(1)], "a list of 3 arrays, got 4 arrays"),
    "one array": (np.ones((3, 2)), "a list of 3 arrays, got a ndarray"),
    "nothing": (None, "a list of 3 arrays, got a NoneType"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_cannot_be_averaged_are_refused_by_party_round_and_place(case: str) -> None:
    wrong, message = ARRAYS[case]
    with pytest.raises(Misuse, match=message) as refused:
        fed.numpy_clients(three(fit=returns(wrong, 5, {})), strategy=fed.FedAvg(rounds=1))
    assert "fit of berne returned in round 1" in str(refused.value)
    assert str(SECRET)[:5] not in str(refused.value)


@pytest.mark.parametrize("case", ["whole numbers", "half floats", "objects", "NaN", "infinity", "empty"])
def test_a_first_model_that_cannot_be_averaged_is_refused(case: str) -> None:
    wrong, message = ARRAYS[case]
    with pytest.raises(Misuse, match=message.replace(" .* ", " of the initial parameters .*")):
        fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=1), initial=wrong)


@pytest.mark.parametrize("wrong", [None, [], np.ones(3), {}])
def test_a_first_model_that_is_no_list_of_arrays_is_refused(wrong: Any) -> None:
    clients = three()
    for client in clients.values():
        client.start = wrong
    with pytest.raises(Misuse, match=r"the first parameters of \w+ are a list of at least one array"):
        fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1))


@pytest.mark.parametrize("count", [0, -1, 1.5, "ten", None, 1 << 50])
def test_examples_that_are_no_count_are_refused(count: Any) -> None:
    for changes in ({"fit": returns(arrays(), count, {})}, {"evaluate": returns(0.5, count or -1, {})}):
        with pytest.raises(Misuse, match=r"number of examples in what \w+ of berne returned in round 1"):
            fed.numpy_clients(three(**changes), strategy=fed.FedAvg(rounds=1))


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"accuracy": "high"}, "metric 'accuracy' .* is a str"),
        ({"accuracy": b"high"}, "metric 'accuracy' .* is a bytes"),
        ({"accuracy": None}, "metric 'accuracy' .* is a NoneType"),
        ({"accuracy": float("nan")}, "metric 'accuracy' .* is not finite"),
        ({"accuracy": 10**400}, "metric 'accuracy' .* is not finite"),
        ({"": 1.0}, "a dict by name"),
        ([("accuracy", 1)], "a dict by name"),
        ({"accuracy": 1.0}, "berne reports metrics 'accuracy', aosta reports none"),
    ],
)
def test_metrics_that_have_no_mean_are_refused(metrics: Any, message: str) -> None:
    for changes in ({"fit": returns(arrays(), 5, metrics)}, {"evaluate": returns(0.5, 5, metrics)}):
        with pytest.raises(Misuse, match=message):
            fed.numpy_clients(three(**changes), strategy=fed.FedAvg(rounds=1))


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), "low", None, -1e30])
def test_a_loss_that_is_no_number_is_refused(loss: Any) -> None:
    with pytest.raises(Misuse, match="the loss in what evaluate of berne returned in round 1 is"):
        fed.numpy_clients(three(evaluate=returns(loss, 5, {})), strategy=fed.FedAvg(rounds=1))


def test_what_is_not_three_things_is_refused() -> None:
    for changes in ({"fit": lambda parameters, config: parameters}, {"evaluate": lambda parameters, config: (1, 2)}):
        with pytest.raises(Misuse, match="of berne returned in round 1 is not three things"):
            fed.numpy_clients(three(**changes), strategy=fed.FedAvg(rounds=1))


def test_what_a_class_raises_passes_and_says_whose_it_was() -> None:
    def fit(parameters: Any, config: Any) -> Any:
        raise KeyError("lr")

    with pytest.raises(KeyError) as raised:
        fed.numpy_clients(three(fit=fit), strategy=fed.FedAvg(rounds=1))
    assert raised.value.__notes__ == ["raised by the class of berne in round 1"]


def test_code_does_not_travel_to_the_parties_of_a_session() -> None:
    with (
        fed.local({name: frame(place) for place, name in enumerate(NAMES)}) as session,
        pytest.raises(Misuse, match="runs in this process only") as refused,
    ):
        fed.numpy_clients(session, strategy=fed.FedAvg(rounds=1))
    assert "session.train" in refused.value.hint


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ({"a": Steady(), "b": Steady()}, "at least 3 parties"),
        ([Steady(), Steady(), Steady()], "a dict"),
        ({0: Steady(), 1: Steady(), 2: Steady()}, "'0' cannot be a member's name"),
        ({"a": Steady(), "b": Steady(), "c": Steady}, "c is the class Steady, not an instance"),
        ({"a": Steady(), "b": Steady(), "c": object()}, "c has no method fit"),
        ({name: SimpleNamespace(fit=Steady().fit) for name in "abc"}, "has no method get_parameters"),
    ],
)
def test_parties_that_are_none_are_refused(clients: Any, message: str) -> None:
    with pytest.raises(Misuse, match=message):
        fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1))


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (lambda: fed.Scaffold(rounds=1), "scaffold has a local half of its own"),
        (lambda: fed.FedProx(rounds=1), "fedprox has a local half of its own"),
        (lambda: fed.FedAvg(rounds=1, lr=0.1), "lr is of local training"),
        (lambda: fed.FedAvg(rounds=1, epochs=2.0), "epochs is of local training"),
        (lambda: fed.FedAvg(round=1), "no parameter 'round'"),
        (lambda: "fedavg", "got a str"),
    ],
)
def test_strategies_that_would_not_do_what_they_say_are_refused(strategy: Callable[[], Any], message: str) -> None:
    with pytest.raises(Misuse, match=message):
        fed.numpy_clients(three(), strategy=strategy())


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 1 << 63}, {"evaluate_every": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(Misuse, match="a seed is 0 to"):
        fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=1), **wrong)


def test_a_model_that_runs_away_ends_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a merge that divides by zero."""
    way = registry.look_up(STRATEGIES, Strategy, "fedavg")
    monkeypatch.setattr(way, "merge", lambda *_: Public(model=np.full(11, np.inf, np.float32)))
    with pytest.raises(JobFailed, match="the model is not finite any more"):
        fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=1))


def test_the_strategies_that_merge_are_those_with_the_local_half_of_fedavg() -> None:
    model, inputs = registry.look_up(MODELS, Model, "mlp")(), Inputs(numbers=3, task=Task.BINARY)
    config = model.Config(hidden=(4,), norm="batch")
    layout, module = model.layout(config, inputs), model.module(config, inputs)
    rows = Rows(
        numbers=np.random.default_rng(1).normal(size=(24, 3)).astype(np.float32),
        codes=np.empty((24, 0), np.int64),
        target=np.tile(np.array([0, 1], np.float32), 12),
    )
    found = {}
    for name, member in registry.discover(STRATEGIES, Strategy).items():
        way, options = member(), member.Parameters(epochs=2.0, batch_size=6, norm=1.0)
        work = Work(
            module=module,
            layout=layout,
            inputs=inputs,
            rows=rows,
            public=way.begun(options, layout, layout.initial(bytes(32))),
            round_index=0,
            seed=bytes(32),
        )
        update = way.local_step(options, work)
        found[name] = (way.personal, len(update.kept), update.weight, update.vector.tobytes())
    assert {name for name, done in found.items() if done == found["fedavg"]} == set(room.MERGES)


# --- what comes out --------------------------------------------------------------------------------------------------


def test_the_model_is_kept_as_safetensors_and_never_written_over(tmp_path: Path) -> None:
    found = fed.numpy_clients(three(), strategy=fed.FedAvg(rounds=1))
    path = found.save(tmp_path / "model.safetensors")
    shapes = {"array_0": (2, 3), "array_1": (4,), "array_2": (1,)}
    layout = Layout(tensors=tuple(Tensor(name=name, shape=shape, part=Part.WEIGHT) for name, shape in shapes.items()))
    assert checkpoint.of(path.read_bytes(), layout).tobytes() == found.model.tobytes()
    with pytest.raises(Misuse, match="is there already"):
        found.save(path)


def test_rounds_are_shown_told_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    clients = three()
    for client in clients.values():
        client.figures = {"accuracy": 0.5}
    found = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=2), on_round=print)
    assert capsys.readouterr().out.splitlines()[1].startswith("round 2  loss 0.4666")
    assert "fit accuracy" in found.summary()
    assert "nobody signed it" in repr(found)
    told = found.to_dict()
    assert told["parameters"] == 11
    axes = found.plot()
    assert [line.get_label() for line in axes.get_lines()] == ["loss", "accuracy"]
    axes.figure.clear()


def test_a_hundred_classes_run_too() -> None:
    clients = {f"p{place:02}": Steady(0.1) for place in range(100)}
    found = fed.numpy_clients(clients, strategy=fed.FedAvg(rounds=1), evaluate_every=1)
    assert found.parameters[0] == pytest.approx(0.1, abs=3e-5)  # a hundredth of the weight: a hundred times the step
    assert found.history[0].examples == 1000


def test_neither_torch_nor_flower_is_imported_for_classes_that_need_none() -> None:
    source = f"""
import sys, numpy as np, federation as fed
class Still:
    def fit(self, parameters, config):
        return parameters, 1, {{}}
fed.numpy_clients(dict.fromkeys({NAMES!r}, Still()), strategy=fed.FedAvg(rounds=1), initial=[np.ones(2)])
sys.exit(bool({{"torch", "flwr"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", source], check=False, timeout=60).returncode == 0
