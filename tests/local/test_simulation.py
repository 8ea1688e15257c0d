"""A simulation is the same training, of more parties than there are processes: bit for bit, with masks and without."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import federation as fed
from clients.local import simulated_sum, simulation
from clients.local.simulation import simulate
from federation.crypto import agreement
from federation.errors import JobFailed, Misuse
from federation.protocols.masked_sum import masks, opening
from federation.protocols.masked_sum.graph import Graph
from federation.registry import look_up
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout, Part, Tensor
from federation.training.merging import added
from federation.training.model import Model
from federation.training.plan import MODELS, STRATEGIES
from federation.training.strategy import Public, Rows, Schedule, Strategy, Update, Work

NAMES = ("aosta", "berne", "chur")
SIZES = (30, 47, 61)
SEED = 9


# --- the same as a federation ----------------------------------------------------------------------------------------


def frame(place: int) -> pd.DataFrame:
    """Rows of one party: whole numbers, so that nothing is lost on the way to float32."""
    rng = np.random.default_rng(place)
    numbers = rng.integers(-8, 9, (SIZES[place], 3))
    columns = {f"x{column}": numbers[:, column] / 4 for column in range(3)}
    return pd.DataFrame({**columns, "y": (numbers.sum(axis=1) + rng.integers(-3, 4, SIZES[place]) > 0).astype(int)})


def rows(place: int) -> Rows:
    table = frame(place)
    return Rows(
        numbers=table[["x0", "x1", "x2"]].to_numpy(np.float32),
        codes=np.empty((SIZES[place], 0), dtype=np.int64),
        target=table["y"].to_numpy(np.float32),
    )


@pytest.mark.parametrize(
    ("strategy", "model", "options"),
    [
        ("fedavg", "mlp", {"epochs": 2.0, "batch_size": 8}),
        ("scaffold", "linear", {"steps": 3, "batch_size": 16}),
        ("fedadam", "linear", {"bits": 10, "weighted": False}),
    ],
)
def test_three_parties_simulated_and_federated_end_with_one_model(
    strategy: str, model: str, options: dict[str, Any]
) -> None:
    chosen = getattr(fed, {"fedavg": "FedAvg", "scaffold": "Scaffold", "fedadam": "FedAdam"}[strategy])
    with fed.local({name: frame(place) for place, name in enumerate(NAMES)}) as here:
        trained = here.train(
            model=model,
            data=here.table("data"),
            target="y",
            features=("x0", "x1", "x2"),
            strategy=chosen(rounds=3, **options),
            scale="none",
            holdout=0.0,
            seed=SEED,
        ).result()
    way, kind = look_up(STRATEGIES, Strategy, strategy)(), look_up(MODELS, Model, model)()
    found = {}
    for masked in (False, True):
        found[masked], history = simulate(
            way,
            way.Parameters(rounds=3, **options),
            kind,
            kind.Config(),
            Inputs(numbers=3, task=Task.BINARY),
            [rows(place) for place in range(3)],
            SEED,
            masked=masked,
            names=NAMES,
        )
        assert [dataclasses.asdict(one) for one in history] == [dataclasses.asdict(one) for one in trained.history]
    assert found[False].model.tobytes() == found[True].model.tobytes() == trained.model.tobytes()


# --- many parties ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a model without a module."""

    length: int = 1000


class Flat(Model[Size]):
    """One tensor that nothing is computed with."""

    name: ClassVar[str] = "flat"
    version: ClassVar[int] = 1
    Config: ClassVar[type] = Size

    def layout(self, config: Size, inputs: Inputs) -> Layout:
        return Layout(tensors=(Tensor(name="w", shape=(config.length,), part=Part.WEIGHT, fan_in=1),))

    def module(self, config: Size, inputs: Inputs) -> None:
        return None


class Drawn(Strategy[Schedule]):
    """A party sends numbers that it draws, and counts its rounds in what it keeps."""

    name: ClassVar[str] = "drawn"
    version: ClassVar[int] = 1

    def local_step(self, parameters: Schedule, work: Work) -> Update:
        rng = np.random.default_rng(list(work.seed))
        turns = work.kept[0] + 1 if work.kept else np.ones(1, dtype=np.float32)
        vector = rng.standard_normal(work.layout.size, dtype=np.float32) / 10
        return Update(vector=vector, kept=(turns,), weight=parameters.weight(work.rows.size))

    def merge(
        self, parameters: Schedule, layout: Layout, public: Public, mean: NDArray[np.float64], round_index: int
    ) -> Public:
        return Public(model=added(public.model, mean))


def of_many(n: int, *, masked: bool, dropped: float = 0.0, rounds: int = 1, **options: Any) -> tuple[Public, Any]:
    """A simulation of n parties of which each has so many rows as its number says."""
    empty = np.empty((n, 0))
    return simulate(
        Drawn(),
        Schedule(rounds=rounds, **options),
        Flat(),
        Size(),
        Inputs(numbers=1, task=Task.REGRESSION),
        lambda place: Rows(
            numbers=np.zeros((place % 7 + 1, 1), np.float32),
            codes=empty[: place % 7 + 1].astype(np.int64),
            target=np.zeros(place % 7 + 1, np.float32),
        ),
        SEED,
        masked=masked,
        dropped=dropped,
        count=n,
    )


@pytest.mark.parametrize(("n", "dropped"), [(5, 0.2), (64, 0.1), (100, 0.0), (100, 0.1)])
def test_masks_change_no_bit_of_what_is_learned(n: int, dropped: float) -> None:
    (plain, one), (masked, other) = (of_many(n, masked=masked, dropped=dropped, rounds=2) for masked in (False, True))
    assert plain.model.tobytes() == masked.model.tobytes()
    assert one == other
    assert [len(progress.parties) for progress in other] == [n - round(dropped * n)] * 2
    assert other[0].parties != other[1].parties or not dropped, "others are lost in the next round"


def test_equal_seeds_give_equal_bits_and_others_others() -> None:
    one, again = (of_many(20, masked=False, dropped=0.2, rounds=2)[0].model for _ in range(2))
    assert one.tobytes() == again.tobytes()
    other = of_many(20, masked=False, dropped=0.3, rounds=2)[0].model
    assert one.tobytes() != other.tobytes()


def test_what_few_bits_round_away_is_fed_back_and_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"rounds": 8, "weighted": False}
    fine = of_many(5, masked=False, bits=24, **options)[0].model
    coarse, masked = (of_many(5, masked=masked, bits=6, **options)[0].model for masked in (False, True))
    assert coarse.tobytes() == masked.tobytes()
    monkeypatch.setattr(simulation, "COARSE_BITS", 0)
    lossy = of_many(5, masked=False, bits=6, **options)[0].model
    step = 1 / 63  # half of it is the most that one rounding takes
    assert np.abs(coarse - fine).max() < 1.01 * step < np.abs(lossy - fine).max()


def test_every_pair_agrees_over_real_keys_and_masks_are_between_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[int, int]] = []
    lock = threading.Lock()
    blind = simulated_sum.blind

    def noted(words: NDArray[np.uint64], ring: Any, **given: Any) -> Any:
        with lock:
            used.append((len(given["add"]), len(given["subtract"])))
        return blind(words, ring, **given)

    monkeypatch.setattr(simulated_sum, "blind", noted)
    of_many(100, masked=True, dropped=0.1)
    assert {sum(one) for one in used[:-1]} == {1 + 2 * 21}, "itself, and 21 on either side"
    assert len(used) == 90 + 1
    assert sum(used[-1]) > 90, "a mask of everybody's own, and those of the lost with their neighbours"


def test_a_party_computes_the_same_secrets_by_itself() -> None:
    packing = simulation.Packing.standard(10, 70, 22, clip=1.0)
    names = tuple(f"p{place:02}" for place in range(70))
    masking = simulation._masking(names, packing, SEED, 0, 0)
    dealt, sides = masking._dealt, {side.party: side for side in masking._dealt.masked.sides}
    for one, other in (
        ("p00", dealt.masked.graph.neighbours("p00")[0]),
        ("p41", dealt.masked.graph.neighbours("p41")[7]),
    ):
        alone = masks.pair_seed(dealt.secrets[one].mask_private, sides[one], sides[other], masking._binding)
        assert alone == masking._pairs[one][other] == masking._pairs[other][one]
        assert agreement.key_pair(dealt.secrets[one].mask_private)[1] == sides[one].mask_pk


def test_the_planted_fault_of_masks_that_stay_on_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.Secrets, "streams", lambda *_: masks.Streams())
    with pytest.raises(ValueError, match="check element"):
        of_many(10, masked=True)


def test_the_planted_fault_of_a_lost_party_that_is_not_recovered_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = masks.streams_off
    monkeypatch.setattr(masks, "streams_off", lambda seeds, _keys, *rest: whole(seeds, {}, *rest))
    with pytest.raises(ValueError, match="check element"):
        of_many(10, masked=True, dropped=0.2)


def test_those_who_are_too_few_somewhere_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graph, "thin", lambda *_: ("p0",))
    with pytest.raises(JobFailed, match="too many"):
        of_many(10, masked=True)


@pytest.mark.parametrize(
    ("n", "given"),
    [(2, {}), (10, {"dropped": 0.8}), (10, {"dropped": -0.1}), (10, {"dropped": 0.5, "masked": True})],
)
def test_what_has_no_meaning_is_refused(n: int, given: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        of_many(n, **{"masked": False, **given})
