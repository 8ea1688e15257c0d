"""M1, M2, M3, M7: files that run code, headers that lie, ways to run foreign bytes, and architectures nobody agreed on.

Peers: NVFlare CVE-2022-34668 (pickle) and CVE-2026-24186 (its replacement), vantage6 CVE-2023-23930 (pickle).
"""

from __future__ import annotations

import ast
import json
import math
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federation import registry
from federation.errors import Misuse, Refused
from federation.training import checkpoint
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout
from federation.training.model import MOST_LAYERS, MOST_WIDTH, Model
from federation.training.models.cnn import Cnn, CnnConfig
from federation.training.models.linear import Linear, LinearConfig
from federation.training.models.lstm import Lstm, LstmConfig
from federation.training.models.mlp import Mlp, MlpConfig
from federation.training.models.tabular import Tabular, TabularConfig
from tests.attacks.models.payloads import PAYLOADS, Canary, Payload

SEED = bytes(range(32))
LINEAR = Linear().layout(LinearConfig(), Inputs(numbers=3, task=Task.BINARY))  # output.weight (1, 3), output.bias (1,)
FLAT = LINEAR.initial(SEED)
FILE = checkpoint.to_bytes(LINEAR, FLAT, {})


# ------------------------------------------------------------------------------------------- M1: files that run code


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.name)
def test_m1_a_file_that_runs_code_is_refused_and_runs_nothing(payload: Payload, tmp_path: Path) -> None:
    """The planted fault is the careless reader: the same bytes make the canary there."""
    if "torch" in payload.name:
        pytest.importorskip("torch")
    if "joblib" in payload.name:
        pytest.importorskip("joblib")
    folder = tmp_path / "canary"
    data = payload.made(Canary(folder))
    with pytest.raises(Refused) as refusal:
        checkpoint.of(data, LINEAR)
    if "header" in payload.name:
        assert checkpoint.about(data) == {}, "its header says nothing, its tensors were refused"
    else:
        assert "safetensors" in refusal.value.hint
        with pytest.raises(Refused):
            checkpoint.about(data)
    assert not folder.exists()
    payload.read(data)
    assert folder.exists(), "the payload is alive"


def test_m1_the_refusal_names_the_format(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("joblib")
    for payload in PAYLOADS:
        words = {"torch, archive": "torch.save", "numpy, objects": "numpy.save", "numpy, archive": "numpy.savez"}
        expected = next((word for name, word in words.items() if payload.name.startswith(name)), "pickle|joblib")
        if "header" in payload.name:
            expected = "is not there|follow|ends within"
        with pytest.raises(Refused, match=expected):
            checkpoint.of(payload.made(Canary(tmp_path / "canary")), LINEAR)


def test_m1_a_pickle_in_the_texts_beside_the_tensors_stays_text(tmp_path: Path) -> None:
    folder = tmp_path / "canary"
    pickled = PAYLOADS[0].made(Canary(folder)).decode("ascii")  # protocol 0 is text
    data = checkpoint.to_bytes(LINEAR, FLAT, {"config": pickled})
    assert checkpoint.about(data) == {"config": pickled}
    assert checkpoint.of(data, LINEAR).tobytes() == FLAT.tobytes()
    assert not folder.exists()


# --------------------------------------------------------------------------------------------- M2: headers that lie


def careless(data: bytes, layout: Layout) -> np.ndarray:
    """The planted fault: a reader that believes the header, as the format's README sketches one."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    flat = np.zeros(layout.size, np.float32)
    for name, part in layout.split(flat).items():
        start, stop = header[name]["data_offsets"]
        found = data[8 + length + start : 8 + length + stop]
        values = np.frombuffer(found[: len(found) // 4 * 4], "<f4")
        part.reshape(-1)[:] = values[: part.size] if values.size >= part.size else np.resize(values, part.size)
    return flat


def written(header: dict[str, Any] | str, body: bytes) -> bytes:
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


WEIGHT = {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]}
BIAS = {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}
BODY = FLAT.tobytes()
HONEST = {"output.weight": WEIGHT, "output.bias": BIAS}
LIES: dict[str, tuple[bytes, str]] = {
    "overlapping offsets": (written({**HONEST, "output.bias": {**BIAS, "data_offsets": [8, 12]}}, BODY), "not begin"),
    "the same bytes twice": (
        written({**HONEST, "output.bias": {**BIAS, "data_offsets": [0, 4]}}, BODY[:12]),
        "not begin",
    ),
    "a gap that hides bytes": (
        written({**HONEST, "output.bias": {**BIAS, "data_offsets": [16, 20]}}, BODY[:12] + b"hide" + BODY[12:]),
        "not begin",
    ),
    "another dtype of the same length": (written({**HONEST, "output.bias": {**BIAS, "dtype": "I32"}}, BODY), "dtype"),
    "a dtype that does not exist": (written({**HONEST, "output.bias": {**BIAS, "dtype": "OBJECT"}}, BODY), "dtype"),
    "an extra tensor": (
        written({**HONEST, "x": {"dtype": "F32", "shape": [1], "data_offsets": [16, 20]}}, BODY + bytes(4)),
        "no part of this model",
    ),
    "an extra tensor without entries": (
        written({**HONEST, "x": {"dtype": "F32", "shape": [0], "data_offsets": [16, 16]}}, BODY),
        "no part of this model",
    ),
    "a tensor twice": (
        written(f'{{"output.weight":{json.dumps(WEIGHT)},"output.bias":{json.dumps(BIAS)},'
                f'"output.bias":{json.dumps(BIAS)}}}', BODY),
        "twice",
    ),
    "a shape that is turned": (written({**HONEST, "output.weight": {**WEIGHT, "shape": [3, 1]}}, BODY), "shape"),
    "bytes after the last tensor": (written(HONEST, BODY + b"PK\x03\x04"), "4 bytes follow"),
    "an end within a tensor": (written(HONEST, BODY[:-1]), "ends within tensor"),
}  # fmt: skip


def test_m2_the_honest_file_is_read() -> None:
    assert checkpoint.of(written(HONEST, BODY), LINEAR).tobytes() == careless(FILE, LINEAR).tobytes() == BODY


@pytest.mark.parametrize("lie", LIES)
def test_m2_a_header_that_lies_is_refused_where_a_careless_reader_gives_a_model(lie: str) -> None:
    data, why = LIES[lie]
    with pytest.raises(Refused, match=why):
        checkpoint.of(data, LINEAR)
    assert careless(data, LINEAR).shape == FLAT.shape


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_m2_a_value_that_is_not_finite_is_refused_by_the_name_of_its_tensor(value: float, place: int) -> None:
    flat = FLAT.copy()
    flat[place] = value
    data = written(HONEST, flat.tobytes())
    with pytest.raises(Refused, match=r"not finite in output\.bias" if place == 3 else r"not finite in output\.weight"):
        checkpoint.of(data, LINEAR)
    assert not np.isfinite(careless(data, LINEAR)).all()


@pytest.mark.parametrize("length", [0, 1, 2**20 + 1, 2**31, 2**32 + len(FILE), 2**63 - 1, 2**63, 2**64 - 1])
def test_m2_a_header_of_a_claimed_length_costs_no_memory(length: int) -> None:
    data = struct.pack("<Q", length) + FILE[8:]
    tracemalloc.start()
    with pytest.raises(Refused, match="no header of JSON"):
        checkpoint.of(data, LINEAR)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_m2_a_tensor_of_a_claimed_size_costs_no_memory() -> None:
    huge = {"dtype": "F32", "shape": [1, 2**61], "data_offsets": [0, 2**63]}
    tracemalloc.start()
    with pytest.raises(Refused, match="another shape"):
        checkpoint.of(written({**HONEST, "output.weight": huge}, BODY), LINEAR)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{"a":' * 100_000,
        '{"a":' + "[" * 200_000,
        '{"a":' + "9" * 100_000 + "}",
        '{"a":NaN}',
        '{"a":-Infinity}',
        "{} {}",
        '{"a":"\ud800"}',
        "{\x00}",
        "{]",
    ],
    ids=range(10),
)
def test_m2_a_header_that_is_no_json_or_too_deep_is_refused(text: str) -> None:
    header = text.encode("utf-8", "surrogatepass")
    with pytest.raises(Refused):
        checkpoint.of(struct.pack("<Q", len(header)) + header + BODY, LINEAR)


def test_m2_no_refusal_quotes_a_byte_of_the_file() -> None:
    for data, _ in LIES.values():
        with pytest.raises(Refused) as refusal:
            checkpoint.of(data.replace(b"hide", b"4711"), LINEAR)
        assert "4711" not in str(refusal.value)


# ---------------------------------------------------------------------------- M3: ways to run foreign bytes as code

MODULES = frozenset({"cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve", "yaml"})
CALLS = frozenset({"eval", "exec", "compile", "__import__"})
OF_TORCH = frozenset({"hub", "jit", "load", "package", "save", "serialization"})


def ways(source: str) -> Iterator[str]:
    """Yield every way in `source` to run bytes of a file as code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                dotted = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                dotted = [f"{module}.{alias.name}" for alias in names]
            case ast.Name(id=name) if name in CALLS:
                yield name
                continue
            case ast.keyword(arg="allow_pickle"):
                yield "allow_pickle"
                continue
            case ast.Attribute(value=ast.Name(id="torch"), attr=name) if name in OF_TORCH:
                yield f"torch.{name}"
                continue
            case _:
                continue
        for name in dotted:
            first, *rest = name.split(".")
            if first in MODULES or (first == "torch" and rest[:1] and rest[0] in OF_TORCH):
                yield name


def test_m3_nothing_in_the_product_can_run_a_file(repository: Path) -> None:
    files = [*(repository / "federation").rglob("*.py"), *(repository / "clients").rglob("*.py")]
    assert len(files) > 200
    found = [f"{path.name}: {way}" for path in files for way in ways(path.read_text("utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as cp",
        "import joblib",
        "import marshal",
        "import dill",
        "from yaml import load",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\ntorch.load('x', weights_only=True)",
        "from torch import load",
        "import torch\ntorch.jit.load('x')",
        "import torch\ntorch.hub.load('x', 'y')",
        "import torch.package",
        "import torch\ntorch.save({}, 'x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "eval('1')",
        "exec('1')",
        "run = __import__",
    ],
)
def test_m3_a_planted_way_is_seen(planted: str) -> None:
    assert list(ways(planted))


# ----------------------------------------------------------------------------- M7: architectures nobody agreed on

FAMILY = "federation.training.models"
TABLE = Inputs(numbers=20, task=Task.BINARY)
PICTURES = Inputs(numbers=64, outputs=2, task=Task.CLASSES)
SERIES = Inputs(numbers=24, task=Task.REGRESSION)


@pytest.mark.parametrize(
    "name",
    [
        "imprint",
        "",
        "_pieces",
        "__init__",
        "Mlp",
        "mlp ",
        "mlp.Mlp",
        "../strategies/fedavg",
        "federation.training.models.mlp",
        "os",
        "mlp\0",
        "ｍｌｐ",
    ],
)
def test_m7_a_name_outside_the_registry_is_no_model(name: str) -> None:
    with pytest.raises(Misuse, match="no member named"):
        registry.look_up(FAMILY, Model, name)


@pytest.mark.parametrize(
    "given",
    [
        lambda: MlpConfig(hidden=(MOST_WIDTH + 1,)),
        lambda: MlpConfig(hidden=(2**31,)),
        lambda: MlpConfig(hidden=(8,) * (MOST_LAYERS + 1)),
        lambda: CnnConfig(height=8, width=8, filters=(MOST_WIDTH + 1,)),
        lambda: LstmConfig(steps=2, hidden=MOST_WIDTH + 1),
        lambda: Mlp().layout(MlpConfig(hidden=(MOST_WIDTH,) * 8), TABLE),
        lambda: Mlp().module(MlpConfig(hidden=(MOST_WIDTH,) * 8), TABLE),
    ],
)
def test_m7_a_layer_wide_enough_for_every_row_is_beyond_the_limits(given: Callable[[], object]) -> None:
    with pytest.raises(Misuse):
        given()


@pytest.mark.parametrize(
    ("model", "agreed", "changed", "inputs"),
    [
        (Mlp(), MlpConfig(hidden=(64,)), MlpConfig(hidden=(65,)), TABLE),
        (Mlp(), MlpConfig(hidden=(64,)), MlpConfig(hidden=(64, 64)), TABLE),
        (Mlp(), MlpConfig(hidden=(64,)), MlpConfig(hidden=(64,), norm="batch"), TABLE),
        (Tabular(), TabularConfig(), TabularConfig(hidden=(63,)), TABLE),
        (Cnn(), CnnConfig(height=8, width=8), CnnConfig(height=8, width=8, kernel=5), PICTURES),
        (Cnn(), CnnConfig(height=8, width=8), CnnConfig(height=8, width=8, dense=127), PICTURES),
        (Cnn(), CnnConfig(height=8, width=8), CnnConfig(height=8, width=8, filters=(32, 65)), PICTURES),
        (Lstm(), LstmConfig(steps=4), LstmConfig(steps=8), SERIES),
        (Lstm(), LstmConfig(steps=4), LstmConfig(steps=4, layers=2), SERIES),
    ],
)
def test_m7_a_changed_architecture_has_another_digest_and_its_files_are_refused(
    model: Model[Any], agreed: Any, changed: Any, inputs: Inputs
) -> None:
    ours, theirs = model.layout(agreed, inputs), model.layout(changed, inputs)
    assert ours.digest != theirs.digest
    with pytest.raises(Refused):
        checkpoint.of(checkpoint.to_bytes(theirs, theirs.initial(SEED), {}), ours)


def test_m7_two_models_with_equal_tensors_are_told_apart_by_names() -> None:
    """A tabular model without categories has the tensors of an mlp; the job names which of them it is."""
    mlp, tabular = Mlp().layout(MlpConfig(), TABLE), Tabular().layout(TabularConfig(), TABLE)
    assert mlp.digest == tabular.digest
    assert Mlp.name != Tabular.name


# The imprint attack: Fowl et al., Robbing the Fed (ICLR 2022). Each unit of a wide first layer measures the same thing
# of a row and has a threshold of its own; the difference of two neighbours' gradients is what fell between them, and if
# that is one row, it is that row.
UNITS = 256
WIDE = MlpConfig(hidden=(UNITS,))


def planted(layout: Layout) -> np.ndarray:
    """A model that catches rows: what a malicious coordinator would hand out."""
    flat = layout.initial(SEED)
    parts = layout.split(flat)
    parts["layers.hidden0.weight"][:] = 1 / math.sqrt(TABLE.numbers)
    quantiles = (np.arange(UNITS) + 0.5) / UNITS
    thresholds = np.quantile(np.random.default_rng(9).normal(size=100_000), quantiles)
    parts["layers.hidden0.bias"][:] = -thresholds
    parts["layers.output.weight"][:] = 0.01
    return flat


def caught(flat: np.ndarray, layout: Layout, rows: np.ndarray, target: np.ndarray) -> int:
    """How many of these rows the gradient of one step shows to somebody who sees it alone."""
    import torch

    module = Mlp().module(WIDE, TABLE)
    held = dict(module.named_parameters())
    with torch.no_grad():
        for name, values in layout.split(flat).items():
            held[name].copy_(torch.from_numpy(values.copy()))
    outputs = module(torch.from_numpy(rows), torch.zeros(len(rows), 0, dtype=torch.int64))
    torch.nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], torch.from_numpy(target)).backward()
    weight, bias = (held[f"layers.hidden0.{of}"].grad.double().numpy() for of in ("weight", "bias"))
    guesses = [
        *zip(weight, bias, strict=True),
        *zip(weight[:-1] - weight[1:], bias[:-1] - bias[1:], strict=True),
    ]
    found = np.array([moved / shift for moved, shift in guesses if abs(shift) > 1e-9])
    if not len(found):
        return 0
    nearest = np.abs(found[:, None] - rows[None]).max(axis=2).min(axis=0)
    return int((nearest < 1e-3).sum())


def rows_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(count, TABLE.numbers)).astype(np.float32), rng.integers(0, 2, count).astype(np.float32)


@pytest.mark.parametrize("rows", [32, 64])
def test_m7_an_imprint_layer_catches_rows_and_is_not_the_model_that_was_agreed_on(
    rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seed decides what training starts from, and its hash shows any other model before a row is read."""
    pytest.importorskip("torch")
    layout = Mlp().layout(WIDE, TABLE)
    agreed, malicious = layout.initial(SEED), planted(layout)
    shown = caught(malicious, layout, *rows_of(rows)), caught(agreed, layout, *rows_of(rows))
    with capsys.disabled():
        print(f"\nimprint, one step on {rows} rows: {shown[0]} caught by a planted model, {shown[1]} by the agreed one")
    assert shown[0] >= rows / 2, "the attack is alive"
    assert shown[1] == 0
    assert checkpoint.digest(malicious) != checkpoint.digest(agreed)


def test_m7_a_step_on_few_rows_shows_them_whatever_the_model() -> None:
    """What the registry does not stop: a unit that one row alone excites. The sum of parties, and enough rows, do."""
    pytest.importorskip("torch")
    layout = Mlp().layout(WIDE, TABLE)
    agreed = layout.initial(SEED)
    assert caught(agreed, layout, *rows_of(8)) > 0
    assert caught(agreed, layout, *rows_of(64)) == 0, "one step of all rows of eight such parties is their sum"


def test_m7_a_start_cannot_be_chosen_value_by_value() -> None:
    """No seed of a thousand makes a first layer whose units measure alike; a planted one has a spread of 0."""
    layout = Mlp().layout(MlpConfig(hidden=(16,)), TABLE)
    spreads = [
        layout.split(layout.initial(place.to_bytes(32, "big")))["layers.hidden0.weight"].std(axis=0).min()
        for place in range(1_000)
    ]
    assert min(spreads) > 0.05
