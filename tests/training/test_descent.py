"""Local descent equals torch's own optimisers bit for bit, by batches that its seed decides, and leaves no trace."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from federation.errors import Misuse
from federation.training import descent
from federation.training.descent import Batches, bind, descend, drawing
from federation.training.evaluation import figures, tally
from federation.training.inputs import Inputs, Task
from federation.training.layout import Part
from federation.training.models.cnn import Cnn, CnnConfig
from federation.training.models.linear import Linear, LinearConfig
from federation.training.models.lstm import Lstm, LstmConfig
from federation.training.models.mlp import Mlp, MlpConfig
from federation.training.models.tabular import Tabular, TabularConfig
from federation.training.strategies.fedavg import FedAvg
from federation.training.strategy import Rows, Schedule, Work, effective_steps
from tests.training.cohorts import BINARY, NORMED, REGRESSION, cohorts, quadratics, rows, work
from tests.training.parties import seed_of

torch.set_num_threads(1)
PLAIN = MlpConfig(hidden=(5, 4))


def job(party: Rows | None = None, config: Any = PLAIN, **more: Any) -> Work:
    return work(FedAvg(), Schedule(), Mlp(), BINARY, party or cohorts()[0], config=config, **more)


def by_torch(at: Work, schedule: Schedule) -> np.ndarray:
    """Return where torch's own optimiser and tensors lead, over the batches that descent draws."""
    module = Mlp().module(PLAIN, BINARY)
    held = at.layout.split(at.public.model.copy())
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in held.items()}, strict=False)
    kind = torch.optim.SGD if schedule.optimizer == "sgd" else torch.optim.Adam
    more = {"momentum": schedule.momentum} if schedule.optimizer == "sgd" else {}
    own = kind(module.parameters(), lr=schedule.rate(at.round_index), weight_decay=schedule.weight_decay, **more)
    with drawing(hashlib.sha256(descent._JOINT + at.seed).digest()) as generator:
        for numbers, codes, target in Batches(at.rows, schedule).drawn(generator):
            own.zero_grad()
            functional.binary_cross_entropy_with_logits(module(numbers, codes)[:, 0], target).backward()
            own.step()
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(epochs=3.0),
        Schedule(epochs=3.0, momentum=0.9),
        Schedule(epochs=3.0, momentum=0.9, weight_decay=0.01),
        Schedule(batch_size=7, steps=25, weight_decay=0.1, lr_decay=0.5),
        Schedule(optimizer="adam", lr=0.01, epochs=5.0),
        Schedule(optimizer="adam", lr=0.01, epochs=5.0, weight_decay=0.05),
    ],
    ids=["sgd", "momentum", "decay", "steps", "adam", "adam-decay"],
)
def test_it_is_torchs_own_optimiser_bit_for_bit(schedule: Schedule) -> None:
    at = job(round_index=2)
    found = descend(at, schedule)
    assert found.end.tobytes() == by_torch(at, schedule).tobytes()
    assert (found.moved == found.end - at.public.model).all()
    assert np.abs(found.moved).max() > 1e-3


def test_a_model_and_its_gradients_are_views_of_two_flat_vectors() -> None:
    layout, module = Mlp().layout(NORMED, BINARY), Mlp().module(NORMED, BINARY)
    begin = layout.initial(bytes(32))
    flat, gradient = bind(module, layout, begin)
    party = cohorts()[0]
    module(torch.from_numpy(party.numbers), torch.from_numpy(party.codes)).sum().backward()
    assert all(p.grad.data_ptr() >= gradient.data_ptr() for p in module.parameters())
    assert gradient[: layout.learned].any()
    assert not gradient[layout.learned :].any()
    running = slice(layout.learned, layout.size)
    assert (flat.numpy()[running] != begin[running]).all()  # running statistics moved, in the same vector
    flat.zero_()
    assert not any(p.detach().any() for p in module.parameters())
    bind(module, layout, begin)
    assert all(p.detach().any() for name, p in module.named_parameters() if "norm0.bias" not in name)
    assert not flat.any()  # the former vector is nobody's any more
    assert begin.tobytes() == layout.initial(bytes(32)).tobytes()


def test_running_statistics_feel_no_optimiser_and_no_pull() -> None:
    at = job(config=NORMED)
    away = np.full_like(at.public.model, 50.0)
    still = Schedule(lr=0.1, weight_decay=1e3, steps=1)
    buffers = at.layout.where(Part.BUFFER)
    free = descend(at, still).end[buffers]
    assert np.abs(free - at.public.model[buffers]).max() > 0.01
    assert (descend(at, still, toward=away, pull=1e3).end[buffers] == free).all()
    assert (descend(at, still, shift=away).end[buffers] == free).all()


def test_a_shift_is_added_to_every_gradient() -> None:
    at = work(FedAvg(), Schedule(), Linear(), REGRESSION, quadratics()[0])
    shift = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    one = Schedule(lr=0.1, batch_size=0, steps=1)
    found = descend(at, one, shift=shift).moved - descend(at, one).moved
    assert found == pytest.approx(-0.1 * shift, abs=1e-6)


def test_equal_seeds_draw_equal_batches_and_dropout_and_others_do_not() -> None:
    party, schedule = cohorts()[0], Schedule(epochs=2.0)
    ends = [
        descend(job(party, NORMED, seed=seed_of(seed)), schedule, use=use).end.tobytes()
        for seed, use in ((1, b""), (1, b""), (2, b""), (1, b"own"))
    ]
    assert ends[0] == ends[1]
    assert len(set(ends)) == 3


def test_descent_leaves_torchs_own_draws_alone() -> None:
    at = job(config=NORMED)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    descend(at, Schedule())
    assert torch.equal(torch.rand(3), wanted)
    torch.manual_seed(5)
    with pytest.raises(RuntimeError), drawing(bytes(32)):
        raise RuntimeError
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("size", "schedule", "sizes"),
    [
        (10, Schedule(batch_size=4), [4, 4, 2]),
        (10, Schedule(batch_size=4, epochs=2.0), [4, 4, 2, 4, 4, 2]),
        (10, Schedule(batch_size=4, epochs=0.4), [4]),
        (10, Schedule(batch_size=4, epochs=0.01), [4]),
        (10, Schedule(batch_size=4, steps=4), [4, 4, 2, 4]),
        (10, Schedule(batch_size=0, epochs=3.0), [10, 10, 10]),
        (10, Schedule(batch_size=64, epochs=2.0), [10, 10]),
        (1, Schedule(), [1]),
    ],
)
def test_a_pass_takes_every_row_once(size: int, schedule: Schedule, sizes: list[int]) -> None:
    party = rows(np.arange(size)[:, None], np.zeros(size), Task.BINARY)
    batches = Batches(party, schedule)
    assert batches.steps == len(sizes)
    with drawing(seed_of(1)) as generator:
        taken = [numbers[:, 0].int().tolist() for numbers, _, _ in batches.drawn(generator)]
    assert [len(batch) for batch in taken] == sizes
    seen: list[int] = []
    for batch in taken:
        seen += batch
        if len(seen) == size:
            assert sorted(seen) == list(range(size))
            seen = []


def test_passes_take_rows_in_different_orders() -> None:
    party = rows(np.arange(64)[:, None], np.zeros(64), Task.BINARY)
    with drawing(seed_of(1)) as generator:
        taken = [numbers[0, 0] for numbers, _, _ in Batches(party, Schedule(batch_size=1, steps=128)).drawn(generator)]
    assert [int(t) for t in taken[:64]] != [int(t) for t in taken[64:]]
    assert [int(t) for t in taken[:64]] != list(range(64))


def test_too_many_updates_are_refused() -> None:
    party = rows(np.zeros((2000, 1)), np.zeros(2000), Task.BINARY)
    with pytest.raises(Misuse, match="at most 1000000 local updates, this party would make 2000000"):
        Batches(party, Schedule(batch_size=1, epochs=1000.0))


def test_rows_that_are_read_only_or_lie_apart_are_taken_without_a_warning() -> None:
    party = cohorts()[0]
    wide = np.repeat(party.numbers, 2, axis=1)[:, ::2]
    still = party.numbers.copy()
    still.flags.writeable = False
    ends = {
        descend(job(dataclasses.replace(party, numbers=numbers)), Schedule()).end.tobytes()
        for numbers in (party.numbers, wide, still)
    }
    assert len(ends) == 1


def test_each_task_has_its_loss() -> None:
    outputs = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, -0.2]])
    one = outputs[:, :1]
    target = torch.tensor([1.0, 0.0])
    squared = descent.loss(Inputs(numbers=1, task=Task.REGRESSION))(one, target)
    assert float(squared) == pytest.approx((0.25 + 0.0) / 2)
    logistic = descent.loss(Inputs(numbers=1, task=Task.BINARY))(one, target)
    assert float(logistic) == pytest.approx((np.log1p(np.exp(-0.5)) + np.log(2)) / 2)
    classes = descent.loss(Inputs(numbers=1, outputs=3, task=Task.CLASSES))(outputs, torch.tensor([2, 1]))
    shares = np.exp(outputs.numpy().astype(float))
    shares /= shares.sum(axis=1, keepdims=True)
    assert float(classes) == pytest.approx(-(np.log(shares[0, 2]) + np.log(shares[1, 1])) / 2)


@pytest.mark.parametrize(
    ("model", "config", "inputs"),
    [
        (Linear(), LinearConfig(), Inputs(numbers=16, levels=(3,), task=Task.BINARY)),
        (Mlp(), NORMED, Inputs(numbers=16, levels=(3,), task=Task.BINARY)),
        (Tabular(), TabularConfig(hidden=(8,), norm="batch"), Inputs(numbers=16, levels=(3,), task=Task.BINARY)),
        (Cnn(), CnnConfig(height=4, width=4, filters=(4,), dense=8), Inputs(numbers=16, task=Task.BINARY)),
        (Lstm(), LstmConfig(steps=4, hidden=6), Inputs(numbers=16, task=Task.BINARY)),
    ],
    ids=["linear", "mlp", "tabular", "cnn", "lstm"],
)
def test_every_model_learns_in_flat_vectors(model: Any, config: Any, inputs: Inputs) -> None:
    party = cohorts(sizes=(200,), features=16)[0]
    codes = np.zeros((200, len(inputs.levels)), dtype=np.int64)
    own = dataclasses.replace(party, codes=codes)
    at = work(FedAvg(), Schedule(), model, inputs, own, config=config)
    found = descend(at, Schedule(optimizer="adam", lr=0.01, epochs=20.0))
    before, after = (
        figures(tally(at.module, at.layout, flat, inputs, own), inputs).loss for flat in (at.public.model, found.end)
    )
    assert after < 0.8 * before
    assert at.layout.split(found.end).keys() == {tensor.name for tensor in at.layout.tensors}


def test_categories_reach_the_model() -> None:
    dice = np.random.Generator(np.random.PCG64(1))
    codes = dice.integers(0, 4, size=(300, 1))
    own = Rows(numbers=np.zeros((300, 1), dtype=np.float32), codes=codes, target=(codes[:, 0] % 2).astype(np.float32))
    inputs = Inputs(numbers=1, levels=(4,), task=Task.BINARY)
    at = work(FedAvg(), Schedule(), Tabular(), inputs, own)
    found = descend(at, Schedule(optimizer="adam", lr=0.02, epochs=20.0))
    bind(at.module, at.layout, found.end)
    with torch.no_grad():
        answered = at.module.eval()(torch.from_numpy(own.numbers), torch.from_numpy(own.codes))[:, 0] > 0
    assert (answered.numpy() == own.target).all()


@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.9), (7, 0.0), (7, 0.5), (100, 0.9)])
def test_effective_steps_are_the_sum_of_weights_of_gradients(steps: int, momentum: float) -> None:
    wanted = sum((1 - momentum ** (steps - j)) / (1 - momentum) for j in range(steps))
    assert effective_steps(steps, momentum) == pytest.approx(wanted, rel=1e-12)
    slopes, speed = np.zeros(steps), np.zeros(steps)  # how often each gradient moves the model
    for j in range(steps):
        speed *= momentum
        speed[j] += 1
        slopes += speed
    assert effective_steps(steps, momentum) == pytest.approx(slopes.sum(), rel=1e-12)


def test_rates_decay_by_the_round() -> None:
    schedule = Schedule(lr=0.4, lr_decay=0.5)
    assert [schedule.rate(r) for r in range(4)] == [0.4, 0.2, 0.1, 0.05]
    slow, fast = (
        np.linalg.norm(descend(job(round_index=r), dataclasses.replace(schedule, batch_size=0)).moved) for r in (3, 0)
    )
    assert fast == pytest.approx(8 * slow, rel=1e-3)
