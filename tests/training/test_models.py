"""Every model is in torch what its layout says, answers as the slow formula does, and refuses what it cannot read."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federation import registry
from federation.errors import Misuse
from federation.training import descent
from federation.training.inputs import Inputs, Task
from federation.training.layout import MOST_PARAMETERS, Layout, Part, Tensor
from federation.training.model import MOST_LAYERS, MOST_WIDTH, Model
from federation.training.models.cnn import Cnn, CnnConfig
from federation.training.models.linear import Linear, LinearConfig
from federation.training.models.lstm import Lstm, LstmConfig
from federation.training.models.mlp import Mlp, MlpConfig
from federation.training.models.tabular import Tabular, TabularConfig, embedded
from tests.training.architectures import CASES, CODES, GREY, MIXED, NUMBERS, SEED, Case, answers, batch, put

torch = pytest.importorskip("torch")
FAMILY = "federation.training.models"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def held(module: Any) -> list[tuple[str, tuple[int, ...]]]:
    """What torch has: learned tensors, then buffers that are not counters."""
    buffers = [(name, buffer) for name, buffer in module.named_buffers() if buffer.is_floating_point()]
    return [(name, tuple(tensor.shape)) for name, tensor in [*module.named_parameters(), *buffers]]


def ready(case: Case) -> Any:
    return put(case.module(), case.layout, case.layout.initial(SEED)).eval()


# --------------------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layout_is_what_torch_has_in_its_order(case: Case) -> None:
    assert [(tensor.name, tensor.shape) for tensor in case.layout.tensors] == held(case.module())


def test_a_layout_in_another_order_would_be_seen() -> None:
    """The planted fault: running statistics where their module stands, as torch's state_dict has them."""
    case = next(case for case in CASES if any(tensor.part is Part.BUFFER for tensor in case.layout.tensors))
    interleaved = Layout(tensors=tuple(sorted(case.layout.tensors, key=lambda tensor: tensor.name)))
    assert [(tensor.name, tensor.shape) for tensor in interleaved.tensors] != held(case.module())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parts_are_named_as_their_modules_are(case: Case) -> None:
    kinds = {name: type(module).__mro__ for name, module in case.module().named_modules()}
    for tensor in case.layout.tensors:
        owner, last = tensor.name.rsplit(".", 1)
        is_norm = any("BatchNorm" in kind.__name__ for kind in kinds[owner])
        expected = Part.BIAS if last.startswith("bias") else Part.WEIGHT
        if is_norm:
            expected = Part.BUFFER if last.startswith("running") else Part.NORM
        assert tensor.part is expected, tensor.name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_starts_have_the_bounds_of_torch(case: Case) -> None:
    """Of torch's own start the greatest value is below the bound, and in large tensors close to it."""
    torch.manual_seed(1)
    theirs = dict(case.module().named_parameters()) | dict(case.module().named_buffers())
    for tensor, place in case.layout.places():
        values = theirs[tensor.name].detach().abs()
        if tensor.fan_in and not tensor.name.startswith("embeddings"):  # normal in torch, uniform here
            bound = 1 / math.sqrt(tensor.fan_in)
            assert float(values.max()) <= bound * (1 + 1e-6), tensor.name
            assert tensor.size < 100 or float(values.max()) > 0.9 * bound, tensor.name
        elif not tensor.fan_in:
            assert (values == tensor.fill).all(), tensor.name
            assert (case.layout.initial(SEED)[place] == tensor.fill).all()


def test_layouts_need_no_torch(repository: Path) -> None:
    """In a process where torch cannot be imported every layout is made, and a module is not."""
    program = """
import sys
sys.modules["torch"] = None
from tests.training.architectures import CASES, SEED
print(sum(case.layout.size + len(case.layout.initial(SEED)) for case in CASES))
try:
    CASES[0].module()
except ImportError:
    print("no torch")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split("\n")[:2] == [str(2 * sum(case.layout.size for case in CASES)), "no torch"]


# --------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("rows", [1, 7])
def test_a_module_answers_once_per_row_and_output(case: Case, rows: int) -> None:
    for module in (ready(case), ready(case).train()):
        answer = answers(module, case.inputs, rows)
        assert answer.shape == (rows, case.inputs.outputs)
        assert answer.dtype == torch.float32
        assert torch.isfinite(answer).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equal_values_give_equal_answers_and_gradients(case: Case) -> None:
    """Of two modules that torch started differently, once the same vector was put into both."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = put(case.module(), case.layout, case.layout.initial(SEED)).train()
        torch.manual_seed(3)  # dropout
        answer = answers(module, case.inputs, 6)
        answer.square().sum().backward()
        gradients = [parameter.grad for parameter in module.parameters()]
        assert all(gradient is not None for gradient in gradients)
        found.append([answer.detach().numpy().tobytes(), *(gradient.numpy().tobytes() for gradient in gradients)])
    assert found[0] == found[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_learned_tensor_moves_the_answers(case: Case) -> None:
    """Outside dropout; a normalised layer's own bias is the exception, its mean takes it away again."""
    module = put(case.module(), case.layout, case.layout.initial(SEED))
    for part in module.modules():
        part.training = "Norm" in type(part).__name__
    answers(module, case.inputs, 12).square().sum().backward()
    still = {name for name, parameter in module.named_parameters() if float(parameter.grad.abs().max()) < 1e-4}
    norms = {tensor.name for tensor in case.layout.tensors if tensor.part is Part.NORM}
    behind = {name.replace("norm", of) for name in norms for of in ("hidden", "conv") if name.endswith("bias")}
    dead = {name for name in still if "hidden" in name} if len(case.layout.tensors) > 60 else set()  # 16 narrow layers
    assert still - behind - dead - norms <= set()


def one_hot(inputs: Inputs, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.hstack(
        [
            numbers,
            *(np.eye(levels, dtype=np.float32)[codes[:, at]] for at, levels in enumerate(inputs.levels)),
        ]
    )


@pytest.mark.parametrize("inputs", [MIXED, CODES, NUMBERS], ids=str)
def test_a_linear_model_is_one_matrix_on_numbers_and_indicators(inputs: Inputs) -> None:
    case = Case(model=Linear(), config=LinearConfig(), inputs=inputs)
    numbers, codes, _ = batch(inputs, 9)
    parts = case.layout.split(case.layout.initial(SEED))
    expected = one_hot(inputs, numbers, codes) @ parts["output.weight"].T + parts["output.bias"]
    np.testing.assert_allclose(answers(ready(case), inputs, 9).detach(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "tabular"])
def test_a_perceptron_is_rectified_between_its_matrices(kind: str) -> None:
    case: Case = {
        "mlp": Case(model=Mlp(), config=MlpConfig(hidden=(8, 5)), inputs=MIXED),
        "tabular": Case(model=Tabular(), config=TabularConfig(hidden=(8, 5)), inputs=MIXED),
    }[kind]
    numbers, codes, _ = batch(MIXED, 9)
    parts = case.layout.split(case.layout.initial(SEED))
    values = one_hot(MIXED, numbers, codes)
    if kind == "tabular":
        points = [parts[f"embeddings.{place}.weight"][codes[:, place]] for place in range(3)]
        values = np.hstack([numbers, *points])
    for layer in ("hidden0", "hidden1"):
        values = np.maximum(values @ parts[f"layers.{layer}.weight"].T + parts[f"layers.{layer}.bias"], 0)
    expected = values @ parts["layers.output.weight"].T + parts["layers.output.bias"]
    np.testing.assert_allclose(answers(ready(case), MIXED, 9).detach(), expected, atol=1e-5)


def test_an_embedding_has_half_as_many_numbers_as_categories_and_at_most_fifty() -> None:
    assert [embedded(levels) for levels in (1, 2, 3, 7, 99, 100, 5_000)] == [1, 1, 2, 4, 50, 50, 50]


def test_a_picture_is_read_row_by_row_with_its_channels_together() -> None:
    """One filter that takes the green of the pixel to the right; blocks halve by the greatest of four."""
    config = CnnConfig(height=4, width=6, channels=3, filters=(1,), dense=6)
    inputs = Inputs(numbers=72, outputs=2, task=Task.CLASSES)
    case = Case(model=Cnn(), config=config, inputs=inputs)
    flat = np.zeros(case.layout.size, np.float32)
    case.layout.split(flat)["blocks.conv0.weight"][0, 1, 1, 2] = 1
    module = put(case.module(), case.layout, flat)
    pictures = np.abs(batch(inputs, 2)[0])
    seen = module.blocks(torch.from_numpy(pictures.reshape(2, 4, 6, 3)).permute(0, 3, 1, 2))[:, 0]
    green = pictures.reshape(2, 4, 6, 3)[..., 1]
    shifted = np.concatenate([green[:, :, 1:], np.zeros((2, 4, 1), np.float32)], axis=2)
    np.testing.assert_array_equal(seen.detach(), shifted.reshape(2, 2, 2, 3, 2).max(axis=(2, 4)))
    case.layout.split(flat)["hidden.weight"][:] = np.eye(6)
    case.layout.split(flat)["output.weight"][0] = 1
    outputs = put(module, case.layout, flat)(torch.from_numpy(pictures), torch.zeros(2, 0, dtype=torch.int64))
    np.testing.assert_allclose(outputs[:, 0].detach(), seen.detach().numpy().sum(axis=(1, 2)), rtol=1e-6)


def test_a_series_is_read_step_by_step() -> None:
    """Against the gates written out: input, forget, cell, output."""
    case = Case(model=Lstm(), config=LstmConfig(steps=3, hidden=4), inputs=NUMBERS)
    parts = {name.split("_l0")[0]: value for name, value in case.layout.split(case.layout.initial(SEED)).items()}
    numbers, _, _ = batch(NUMBERS, 5)
    state = memory = np.zeros((5, 4))

    def squashed(values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-values))

    for step in range(3):
        seen = numbers[:, 2 * step : 2 * step + 2]
        gates = seen @ parts["lstm.weight_ih"].T + parts["lstm.bias_ih"]
        gates = gates + state @ parts["lstm.weight_hh"].T + parts["lstm.bias_hh"]
        into, forget, cell, out = np.split(gates, 4, axis=1)
        memory = squashed(forget) * memory + squashed(into) * np.tanh(cell)
        state = squashed(out) * np.tanh(memory)
    expected = state @ parts["output.weight"].T + parts["output.bias"]
    np.testing.assert_allclose(answers(ready(case), NUMBERS, 5).detach(), expected, atol=1e-6)


def test_a_batch_of_one_row_is_normalised_by_what_was_seen_before() -> None:
    """Torch itself raises here: a party's last batch may be one row."""
    case = Case(model=Mlp(), config=MlpConfig(hidden=(4,), norm="batch"), inputs=NUMBERS)
    module = ready(case)
    expected = answers(module, NUMBERS, 1).detach()
    np.testing.assert_array_equal(answers(module.train(), NUMBERS, 1).detach(), expected)
    assert float(module.layers.norm0.running_mean.abs().max()) == 0
    answers(module, NUMBERS, 2)
    assert float(module.layers.norm0.running_mean.abs().max()) > 0
    with pytest.raises(ValueError, match="more than 1 value"):
        torch.nn.BatchNorm1d(4)(torch.zeros(1, 4))


# --------------------------------------------------------------------------------------------------------- refused


def test_the_family_is_found_by_name() -> None:
    found = registry.discover(FAMILY, Model)
    assert sorted(found) == ["cnn", "linear", "lstm", "mlp", "tabular"]
    assert all(name == kind.name and kind.version == 1 for name, kind in found.items())


@pytest.mark.parametrize(
    "given",
    [
        lambda: MlpConfig(hidden=()),
        lambda: MlpConfig(hidden=(0,)),
        lambda: MlpConfig(hidden=(MOST_WIDTH + 1,)),
        lambda: MlpConfig(hidden=(1,) * (MOST_LAYERS + 1)),
        lambda: MlpConfig(norm="layer"),
        lambda: MlpConfig(dropout=1.0),
        lambda: MlpConfig(dropout=-0.1),
        lambda: MlpConfig(dropout=math.nan),
        lambda: TabularConfig(hidden=(MOST_WIDTH, MOST_WIDTH + 1)),
        lambda: CnnConfig(height=0, width=8),
        lambda: CnnConfig(height=8, width=MOST_WIDTH + 1),
        lambda: CnnConfig(height=8, width=8, channels=0),
        lambda: CnnConfig(height=8, width=8, kernel=4),
        lambda: CnnConfig(height=8, width=8, kernel=17),
        lambda: CnnConfig(height=8, width=8, filters=()),
        lambda: CnnConfig(height=8, width=8, filters=(2, 2, 2, 2)),
        lambda: CnnConfig(height=8, width=8, dense=0),
        lambda: CnnConfig(height=8, width=8, norm="group"),
        lambda: LstmConfig(steps=0),
        lambda: LstmConfig(steps=10_001),
        lambda: LstmConfig(steps=2, hidden=0),
        lambda: LstmConfig(steps=2, layers=0),
        lambda: LstmConfig(steps=2, layers=2**62),
    ],
)
def test_a_configuration_beyond_the_limits_is_refused(given: Callable[[], object]) -> None:
    with pytest.raises(Misuse):
        given()


@pytest.mark.parametrize(
    ("model", "config", "inputs", "why"),
    [
        (Cnn(), CnnConfig(height=8, width=6), dataclasses.replace(GREY, numbers=49), "not 49 numbers"),
        (Cnn(), CnnConfig(height=8, width=6), dataclasses.replace(GREY, levels=(2,)), "reads numbers only"),
        (Lstm(), LstmConfig(steps=4), NUMBERS, "whole number"),
        (Lstm(), LstmConfig(steps=6), dataclasses.replace(NUMBERS, numbers=0, levels=(6,)), "reads numbers only"),
        (
            Mlp(),
            MlpConfig(hidden=(MOST_WIDTH,)),
            Inputs(numbers=MOST_PARAMETERS // MOST_WIDTH + 1, task=Task.BINARY),
            "at most|entries",
        ),
        (Mlp(), MlpConfig(hidden=(MOST_WIDTH,) * 8), Inputs(numbers=1, task=Task.BINARY), "at most"),
    ],
)
def test_inputs_that_a_model_cannot_read_are_refused(model: Model[Any], config: Any, inputs: Inputs, why: str) -> None:
    """And a model that would be too large, before a module takes its memory."""
    for made in (model.layout, model.module):
        with pytest.raises(Misuse, match=why):
            made(config, inputs)


# ---------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_module_is_built_without_memory_and_answers_as_one_with(case: Case) -> None:
    builds: list[object] = []

    def build() -> Any:
        builds.append(None)
        return case.module()

    module = descent.unfilled(build, case.layout)
    assert len(builds) == 1  # no tensor of ours depends on torch's standing device
    described = dict(module.named_parameters()) | dict(module.named_buffers())
    assert not any(described[tensor.name].numel() for tensor in case.layout.tensors)
    flat = case.layout.initial(SEED)
    for _ in range(2):
        descent.load(module, case.layout, flat)
        found = answers(module.eval(), case.inputs, 5)
        assert torch.equal(found, answers(ready(case), case.inputs, 5))
        descent.let_go(module, case.layout)


class Odd(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """One matrix under two names, and a tensor that torch knows nothing of."""

    def __init__(self, *, plain: bool) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 3, bias=False)
        self.second = torch.nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        if plain:
            self.once = torch.arange(3.0)
        else:
            self.register_buffer("once", torch.arange(3.0), persistent=False)

    def forward(self, numbers: Any) -> Any:
        return self.second(self.first(numbers)) + self.once


@pytest.mark.parametrize("plain", [True, False])
def test_a_tensor_beside_the_layout_keeps_its_values_and_one_with_two_names_stays_one(*, plain: bool) -> None:
    layout = Layout(tensors=(Tensor(name="first.weight", shape=(3, 3), part=Part.WEIGHT, fan_in=3),))
    module = descent.unfilled(partial(Odd, plain=plain), layout)
    descent.bind(module, layout, np.arange(9, dtype=np.float32))
    assert module.first.weight is module.second.weight
    square = np.arange(9.0).reshape(3, 3)
    assert module(torch.ones(1, 3)).tolist() == (square @ square @ np.ones(3) + np.arange(3)).reshape(1, 3).tolist()


def test_one_matrix_under_two_names_stays_one_without_memory() -> None:
    layout = Layout(tensors=(Tensor(name="first.weight", shape=(3, 3), part=Part.WEIGHT, fan_in=3),))

    def build() -> Any:
        module = Odd(plain=True)
        module.once = torch.zeros(3, device="cpu")
        return module

    module = descent.unfilled(build, layout)
    assert module.first.weight is module.second.weight
    assert not module.first.weight.is_meta
