"""A trainer learns from its own rows alike at every start, holds units out, and refuses to learn from a handful."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from clients.jurisdiction.engines.duckdb import DuckDB
from clients.jurisdiction.trainer import Trainer
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import JobFailed, Misuse, Refused
from federation.query import predicate
from federation.training import evaluation, plan
from federation.training.layout import Layout
from federation.training.plan import Scaling, TrainingPlan
from federation.training.strategy import Public, Rows, Schedule, Strategy, Update, Work

torch = pytest.importorskip("torch")

SEXES = ("f", "m")
OWN = Dataset(
    name="data",
    title="",
    unit="person",
    k=10,
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=100, missing=(("-1", "not said"),)),
        Column(name="pay", kind=Kind.REAL, low=-1e4, high=1e4),
        Column(name="sex", kind=Kind.CATEGORY, categories=SEXES),
        Column(name="ill", kind=Kind.INTEGER, low=0, high=1),
        Column(name="stage", kind=Kind.INTEGER, low=1, high=4),
        Column(name="part", kind=Kind.CATEGORY, categories=("test", "train")),
        Column(name="later", kind=Kind.INTEGER, low=0, high=1),
        Column(name="who", kind=Kind.IDENTIFIER),
    ),
)
PLAN = TrainingPlan(target="ill", features=("age", "sex", "pay"), seed=7)
DEEP = replace(PLAN, model="mlp", config=(("dropout", 0.5), ("hidden", (8,)), ("norm", "batch")))
SCALING = Scaling(centre=(40.0, 10.0), scale=(20.0, 500.0))


def frame(n: int = 600, people: int = 200, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "age": random.integers(-1, 101, n),
            "pay": random.normal(0, 500, n),
            "sex": random.choice(SEXES, n),
            "stage": random.integers(1, 5, n),
            "part": random.choice(["test", "train"], n),
            "who": [f"p{i % people}" for i in random.permutation(n)],
        }
    )
    found["ill"] = (found["age"] + random.normal(0, 20, n) > 60).astype(int)
    found["later"] = (found["part"] == "test").astype(int)
    found.loc[::17, "pay"] = np.nan
    return found


class Recorder(Strategy[Schedule]):
    """Keeps what it was given to learn from."""

    name = "recorder"
    version = 1

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.fault: BaseException | None = None

    def local_step(self, parameters: Schedule, work: Work) -> Update:
        if self.fault is not None:
            raise self.fault
        self.works.append(work)
        return Update(vector=np.zeros(work.layout.size, dtype=np.float32), weight=work.rows.size)

    def merge(
        self, parameters: Schedule, layout: Layout, public: Public, mean: NDArray[np.float64], round_index: int
    ) -> Public:
        return public


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The strategy of every trainer of a test, in the place of the plan's; held-out rows are kept too."""
    found, chosen = Recorder(), plan.chosen
    monkeypatch.setattr(plan, "chosen", lambda course, joint: replace(chosen(course, joint), strategy=found))
    return found


@pytest.fixture
def held_out(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """The rows of every tally."""
    found: list[Rows] = []

    def tally(module: Any, layout: Layout, model: NDArray[np.float32], inputs: object, rows: Rows) -> tuple[int, ...]:
        found.append(rows)
        return ()

    monkeypatch.setattr(evaluation, "tally", tally)
    return found


@pytest.fixture
def engine() -> Iterator[DuckDB]:
    with DuckDB.open(OWN, frame()) as found:
        yield found


def begun(course: TrainingPlan) -> Public:
    layout = plan.chosen(course, OWN).layout
    return Public(model=layout.initial(bytes(32)))


def update(engine: DuckDB, course: TrainingPlan = DEEP, me: str = "hk", round_index: int = 3) -> bytes:
    made = Trainer(engine, OWN, OWN, course, me).update(begun(course), (), round_index, SCALING)
    return bytes(made.vector.tobytes())


def known(found: pd.DataFrame) -> pd.DataFrame:
    """The rows that have all their values, scaled by pandas."""
    kept = found[(found["age"] >= 0) & found["pay"].notna()].copy()
    kept["age"] = ((kept["age"] - 40.0) / 20.0).astype(np.float32)
    kept["pay"] = ((kept["pay"] - 10.0) / 500.0).astype(np.float32)
    return kept


# --- what is learned from ---------------------------------------------------------------------------------------------


def test_rows_are_scaled_in_binary64_and_split_without_losing_one(
    engine: DuckDB, recorder: Recorder, held_out: list[Rows]
) -> None:
    trainer = Trainer(engine, OWN, OWN, PLAN, "hk")
    trainer.update(begun(PLAN), (), 0, SCALING)
    trainer.tally(begun(PLAN), (), SCALING)
    learned, evaluated, wanted = recorder.works[0].rows, held_out[0], known(frame())
    assert learned.size == trainer.rows
    assert learned.size + evaluated.size == len(wanted)
    both = np.concatenate((learned.numbers, evaluated.numbers))
    order, expected = np.lexsort(both.T), wanted[["age", "pay"]].to_numpy()
    assert (both[order] == expected[np.lexsort(expected.T)]).all()
    paid = wanted.set_index("pay")
    for rows in (learned, evaluated):
        assert (rows.codes.dtype, rows.codes.shape) == (np.int64, (rows.size, 1))
        of = paid.loc[rows.numbers[:, 1]]
        assert (np.array(SEXES)[rows.codes[:, 0]] == of["sex"]).all()
        assert (rows.target == of["ill"]).all()


def test_no_unit_is_both_learned_from_and_held_out(engine: DuckDB, recorder: Recorder, held_out: list[Rows]) -> None:
    trainer = Trainer(engine, OWN, OWN, PLAN, "hk")
    trainer.update(begun(PLAN), (), 0, SCALING)
    trainer.tally(begun(PLAN), (), SCALING)
    paid = known(frame()).set_index("pay")["who"]
    learned, evaluated = (set(paid.loc[rows.numbers[:, 1]]) for rows in (recorder.works[0].rows, held_out[0]))
    assert not learned & evaluated
    assert trainer.units == len(learned)
    assert 20 < len(evaluated) < 60  # of 200


def test_a_condition_moves_no_row_from_one_side_to_the_other(
    engine: DuckDB, recorder: Recorder, held_out: list[Rows]
) -> None:
    for where in (None, predicate.parse("sex == 'f'", OWN)):
        trainer = Trainer(engine, OWN, OWN, PLAN, "hk", where=where)
        trainer.update(begun(PLAN), (), 0, SCALING)
        trainer.tally(begun(PLAN), (), SCALING)
    everything, some = ({tuple(row) for row in work.rows.numbers.tolist()} for work in recorder.works)
    held, held_some = ({tuple(row) for row in rows.numbers.tolist()} for rows in held_out)
    assert 0 < len(some) < len(everything)
    assert some < everything
    assert held_some < held


def test_without_an_identifier_rows_are_held_out_one_by_one(recorder: Recorder) -> None:
    own = replace(OWN, columns=OWN.columns[:-1])
    with DuckDB.open(own, frame(5_000)) as engine:
        trainer = Trainer(engine, own, own, replace(PLAN, holdout=0.3), "hk")
        share = trainer.rows / len(known(frame(5_000)))
        assert trainer.units == trainer.rows
    assert 0.67 < share < 0.73


@pytest.mark.parametrize("holdout", [0.0, 0.5])
def test_a_hold_out_of_nothing_learns_from_all(holdout: float, engine: DuckDB) -> None:
    trainer = Trainer(engine, OWN, OWN, replace(PLAN, holdout=holdout), "hk")
    assert (trainer.rows == len(known(frame()))) == (holdout == 0)


@pytest.mark.parametrize("split", ["part", "later"])
def test_a_split_column_says_which_rows_are_learned_from(
    split: str, engine: DuckDB, recorder: Recorder, held_out: list[Rows]
) -> None:
    course = replace(PLAN, split=split)
    trainer = Trainer(engine, OWN, OWN, course, "hk")
    trainer.update(begun(course), (), 0, SCALING)
    trainer.tally(begun(course), (), SCALING)
    wanted = known(frame())
    for rows, part in ((recorder.works[0].rows, "train"), (held_out[0], "test")):
        assert (rows.numbers == wanted.loc[wanted["part"] == part, ["age", "pay"]].to_numpy()).all()


def test_a_regressions_target_is_scaled_and_classes_count_from_0(engine: DuckDB, recorder: Recorder) -> None:
    course = TrainingPlan(target="pay", features=("age",), holdout=0.0)
    Trainer(engine, OWN, OWN, course, "hk").update(begun(course), (), 0, SCALING)
    assert (recorder.works[0].rows.target == known(frame())["pay"].to_numpy()).all()
    course = TrainingPlan(target="stage", features=("pay",), task="classes", holdout=0.0)
    Trainer(engine, OWN, OWN, course, "hk").update(begun(course), (), 0, Scaling(centre=(0.0,), scale=(1.0,)))
    found = recorder.works[1].rows.target
    assert found.dtype == np.int64
    assert (found == frame().loc[frame()["pay"].notna(), "stage"].to_numpy() - 1).all()


def test_a_column_that_never_changes_is_divided_by_1(engine: DuckDB, recorder: Recorder) -> None:
    scaling = Scaling(centre=(40.0, 10.0), scale=(0.0, 500.0))
    Trainer(engine, OWN, OWN, PLAN, "hk").update(begun(PLAN), (), 0, scaling)
    ages = recorder.works[0].rows.numbers[:, 0]
    assert set(ages.tolist()) <= set(range(-40, 61))


def test_another_scaling_reads_the_rows_again(engine: DuckDB, recorder: Recorder) -> None:
    trainer = Trainer(engine, OWN, OWN, PLAN, "hk")
    trainer.update(begun(PLAN), (), 0, SCALING)
    once = recorder.works[0].rows.numbers.copy()
    trainer.update(begun(PLAN), (), 1, Scaling(centre=(0.0, 0.0), scale=(1.0, 1.0)))
    again = recorder.works[1].rows.numbers
    assert np.allclose((again - (40, 10)) / (20, 500), once, atol=1e-6)


def test_a_scaling_of_other_columns_is_refused(engine: DuckDB) -> None:
    with pytest.raises(Misuse, match="has 2 columns, not 1"):
        Trainer(engine, OWN, OWN, PLAN, "hk").update(begun(PLAN), (), 0, Scaling(centre=(0.0,), scale=(1.0,)))


# --- the same bits ----------------------------------------------------------------------------------------------------


def test_a_party_that_starts_again_sends_the_same_bits() -> None:
    """Dropout, the order of batches and running statistics are in it; torch's own generator stands elsewhere."""
    sent = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        with DuckDB.open(OWN, frame(), threads=outside) as engine:
            sent.append(update(engine))
    assert sent[0] == sent[1]


def test_an_update_does_not_depend_on_what_was_asked_before(engine: DuckDB) -> None:
    trainer = Trainer(engine, OWN, OWN, DEEP, "hk")
    for round_index in (0, 3, 3):
        trainer.tally(begun(DEEP), (), SCALING)
        made = trainer.update(begun(DEEP), (), round_index, SCALING)
    assert made.vector.tobytes() == update(engine)


def test_seed_round_and_party_change_an_update(engine: DuckDB) -> None:
    """A planted fault in the seed of a step, one of its parts left out, would leave two of these equal."""
    course = replace(DEEP, split="part")  # the same rows under every seed
    sent = {
        update(engine, course),
        update(engine, replace(course, seed=8)),
        update(engine, course, me="mo"),
        update(engine, course, round_index=4),
    }
    assert len(sent) == 4


def test_seed_and_party_change_what_is_held_out(engine: DuckDB, recorder: Recorder) -> None:
    for course, me in ((PLAN, "hk"), (replace(PLAN, seed=8), "hk"), (PLAN, "mo"), (PLAN, "hk")):
        Trainer(engine, OWN, OWN, course, me).update(begun(PLAN), (), 0, SCALING)
    first, *others, again = (work.rows.numbers.tobytes() for work in recorder.works)
    assert first == again
    assert first not in others
    assert others[0] != others[1]


def test_torch_computes_on_one_thread_unless_told(engine: DuckDB) -> None:
    update(engine)
    assert torch.get_num_threads() == 1
    trainer = Trainer(engine, OWN, OWN, DEEP, "hk", threads=2)
    trainer.tally(begun(DEEP), (), SCALING)
    assert torch.get_num_threads() == 2
    update(engine)
    assert torch.get_num_threads() == 1


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_learning_lowers_the_loss_of_held_out_rows(engine: DuckDB) -> None:
    course = replace(PLAN, options=(("batch_size", 16), ("epochs", 20), ("lr", 0.1)))
    trainer, public = Trainer(engine, OWN, OWN, course, "hk"), begun(course)
    before = trainer.tally(public, (), SCALING)
    made = trainer.update(public, (), 0, SCALING)
    after = trainer.tally(Public(model=public.model + made.vector), (), SCALING)
    assert before[0] == after[0] == len(known(frame())) - trainer.rows
    assert after[1] < 0.8 * before[1]
    assert made.weight == trainer.rows


def test_a_personal_strategy_is_evaluated_with_its_own_model(engine: DuckDB) -> None:
    course = replace(PLAN, strategy="ditto", options=(("epochs", 5), ("lr", 0.1), ("pull", 0.0)))
    trainer, public = Trainer(engine, OWN, OWN, course, "hk"), begun(course)
    made = trainer.update(public, (), 0, SCALING)
    own = trainer.tally(public, made.kept, SCALING)
    assert own != trainer.tally(public, (), SCALING)
    assert own == trainer.tally(Public(model=made.kept[0]), (), SCALING)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "rows", "k", "course"),
    [
        (1, 1, 1, PLAN),
        (1, 1, 10, replace(PLAN, holdout=0.0)),
        (9, 2_000, 1, replace(PLAN, holdout=0.0)),
        (9, 2_000, 1, replace(PLAN, split="part")),
        (49, 2_000, 50, replace(PLAN, holdout=0.0)),
    ],
)
def test_a_party_does_not_learn_from_a_handful_of_units(people: int, rows: int, k: int, course: TrainingPlan) -> None:
    found = frame(rows, people)
    found["pay"], found["age"] = 1.0, 30
    own = replace(OWN, k=k)
    with DuckDB.open(own, found) as engine:
        trainer = Trainer(engine, own, own, course, "hk")
        for ask in (
            lambda: trainer.update(begun(PLAN), (), 0, SCALING),
            lambda: trainer.tally(begun(PLAN), (), SCALING),
            lambda: trainer.rows,
        ):
            with pytest.raises(Refused, match=f"fewer than {max(k, 10)} persons") as caught:
                ask()
            assert (caught.value.rule, caught.value.party) == ("minimum_units", "hk")


def test_as_many_units_as_are_needed_suffice() -> None:
    """A planted fault: a limit that is one too high, or that counts rows, would be seen here or above."""
    found = frame(20, 10)
    found["pay"], found["age"] = 1.0, 30
    with DuckDB.open(OWN, found) as engine:
        assert Trainer(engine, OWN, OWN, replace(PLAN, holdout=0.0), "hk").units == 10


def test_what_identifies_is_neither_read_nor_predicted(engine: DuckDB) -> None:
    for course in (replace(PLAN, features=("age", "who")), replace(PLAN, target="who"), replace(PLAN, split="who")):
        with pytest.raises(Misuse, match="identifies who is counted"):
            Trainer(engine, OWN, OWN, course, "hk")


def test_a_machine_without_torch_says_what_to_install(engine: DuckDB, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(engine, OWN, OWN, PLAN, "hk")
    monkeypatch.setitem(sys.modules, "torch", None)
    for ask in (lambda: Trainer(engine, OWN, OWN, PLAN, "hk"), lambda: trainer.update(begun(PLAN), (), 0, SCALING)):
        with pytest.raises(Refused, match=r"pip install 'pearl-federation\[train\]'") as caught:
            ask()
        assert (caught.value.rule, caught.value.party) == ("trainer", "hk")


def test_a_daemon_that_never_trains_never_loads_torch() -> None:
    source = "import sys, clients.jurisdiction.trainer, clients.jurisdiction.daemon as d; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"


def test_what_torch_says_stays_at_home(engine: DuckDB, recorder: Recorder) -> None:
    recorder.fault = RuntimeError("a value of 42 in a row")
    with pytest.raises(JobFailed, match="hk could not compute") as caught:
        Trainer(engine, OWN, OWN, PLAN, "hk").update(begun(PLAN), (), 0, SCALING)
    assert "42" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_was_held_is_overwritten_at_the_end(engine: DuckDB, recorder: Recorder, held_out: list[Rows]) -> None:
    trainer = Trainer(engine, OWN, OWN, PLAN, "hk")
    trainer.update(begun(PLAN), (), 0, SCALING)
    trainer.tally(begun(PLAN), (), SCALING)
    assert recorder.works[0].rows.numbers.any()
    trainer.forget()
    for rows in (recorder.works[0].rows, held_out[0]):
        assert not rows.numbers.any()
        assert not rows.codes.any()
        assert not rows.target.any()
    trainer.forget()
    assert trainer.rows == recorder.works[0].rows.size  # and it is read again where it is needed
