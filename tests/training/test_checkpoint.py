"""A model's file comes back as the same bits, is the same bytes each time, and the safetensors library reads it too."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federation.errors import Misuse, Refused
from federation.training import checkpoint
from federation.training.layout import MOST_TENSORS, Layout, Part, Tensor
from tests.training.architectures import CASES, SEED, Case

SMALL = Layout(
    tensors=(
        Tensor(name="b.weight", shape=(2, 3), part=Part.WEIGHT, fan_in=3),
        Tensor(name="a.bias", shape=(1,), part=Part.BIAS, fan_in=3),
        Tensor(name="c", shape=(1, 1, 2), part=Part.NORM, fill=1.0),
    )
)
FLAT = SMALL.initial(SEED)
ABOUT = {"model": "mlp", "job": "ab12", "round": "20", "note": 'quote " and 模型'}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_file_comes_back_as_the_same_bits(case: Case) -> None:
    flat = case.layout.initial(SEED)
    data = checkpoint.to_bytes(case.layout, flat, ABOUT)
    assert checkpoint.of(data, case.layout).tobytes() == flat.tobytes()
    assert checkpoint.about(data) == ABOUT


def test_every_bit_of_a_value_is_kept() -> None:
    flat = np.array([0.0, -0.0, 1e-45, -1e-38, 3.4028235e38, 1 / 3, -1.0, 2**-126, 7.0], dtype=np.float32)
    back = checkpoint.of(checkpoint.to_bytes(SMALL, flat, {}), SMALL)
    assert back.tobytes() == flat.tobytes()
    assert back.flags.owndata, "a copy, not a view of foreign bytes"


def test_equal_models_make_equal_files_whatever_the_order_of_what_is_said() -> None:
    """The library's order changes from call to call, so its files have no hash worth signing."""
    ours = {checkpoint.to_bytes(SMALL, FLAT, dict(items)) for items in (ABOUT.items(), [*ABOUT.items()][::-1])}
    assert len(ours) == 1
    save = pytest.importorskip("safetensors.numpy").save
    assert len({save({"x": FLAT}, {str(place): "" for place in range(9)}) for _ in range(20)}) > 1


def test_a_file_and_a_hash_are_the_same_in_another_process(repository: Path) -> None:
    program = (
        "import hashlib\nfrom tests.training.test_checkpoint import *\n"
        "print(hashlib.sha256(checkpoint.to_bytes(SMALL, FLAT, ABOUT)).hexdigest(), checkpoint.digest(FLAT).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True, timeout=60
    )
    data = checkpoint.to_bytes(SMALL, FLAT, ABOUT)
    assert done.stdout.split() == [hashlib.sha256(data).hexdigest(), checkpoint.digest(FLAT).hex()]


def test_files_are_the_known_bytes(repository: Path) -> None:
    vector = json.loads((repository / "tests/vectors/training/checkpoint_of_three_tensors.json").read_text("utf-8"))
    flat = np.frombuffer(bytes.fromhex(vector["flat"]), dtype="<f4")
    assert flat.tobytes() == FLAT.astype("<f4").tobytes()
    assert checkpoint.to_bytes(SMALL, flat, vector["about"]).hex() == vector["file"]
    assert checkpoint.digest(flat).hex() == vector["digest"]


# ------------------------------------------------------------------------------------------------- the other library


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_library_reads_our_files(case: Case) -> None:
    read = pytest.importorskip("safetensors.numpy").load
    flat = case.layout.initial(SEED)
    found = read(checkpoint.to_bytes(case.layout, flat, ABOUT))
    assert found.keys() == case.layout.split(flat).keys()
    assert all(found[name].tobytes() == part.tobytes() for name, part in case.layout.split(flat).items())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_we_read_files_of_the_library(case: Case) -> None:
    """It writes tensors in the order of their names, and not in ours."""
    save = pytest.importorskip("safetensors.numpy").save
    flat = case.layout.initial(SEED)
    data = save({name: part.copy() for name, part in case.layout.split(flat).items()}, metadata={"format": "pt"})
    assert checkpoint.of(data, case.layout).tobytes() == flat.tobytes()
    assert checkpoint.about(data) == {"format": "pt"}


def test_a_header_whose_length_looks_like_a_pickle_is_read() -> None:
    """640 bytes is 80 02 in the file, as a pickle begins: judged by its first bytes alone, it is refused."""
    bare = len(checkpoint.to_bytes(SMALL, FLAT, {"note": ""})) - 4 * SMALL.size - 8
    data = checkpoint.to_bytes(SMALL, FLAT, {"note": "x" * (640 - bare)})
    assert data[:2] == b"\x80\x02"
    assert checkpoint.of(data, SMALL).tobytes() == FLAT.tobytes()


# ------------------------------------------------------------------------------------------------------------- hash


def test_a_hash_binds_every_bit_and_the_length() -> None:
    zeros = np.zeros(3, np.float32)
    hashes = {checkpoint.digest(zeros), checkpoint.digest(np.zeros(4, np.float32)), checkpoint.digest(-zeros)}
    for bit in range(96):
        changed = bytearray(zeros.tobytes())
        changed[bit // 8] ^= 1 << bit % 8
        hashes.add(checkpoint.digest(np.frombuffer(bytes(changed), np.float32)))
    assert len(hashes) == 3 + 96, "-0.0 in all three entries, and each single bit"


@pytest.mark.parametrize(
    "other", [np.zeros(3), np.zeros((3, 1), np.float32), np.zeros(6, np.float32)[::2], np.zeros(3, np.int32)]
)
def test_only_a_flat_vector_has_a_hash(other: np.ndarray) -> None:
    with pytest.raises(Misuse, match="contiguous float32"):
        checkpoint.digest(other)


# ---------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_ran_away_is_not_written(value: float) -> None:
    flat = FLAT.copy()
    flat[3] = value
    with pytest.raises(Misuse, match="not finite"):
        checkpoint.to_bytes(SMALL, flat, {})


@pytest.mark.parametrize(
    "about",
    [
        {str(place): "" for place in range(65)},
        {"note": "x" * 4_097},
        {"x" * 4_097: ""},
        {"note": 1},
        {1: "note"},
    ],
)
def test_what_is_said_about_a_model_is_short_text(about: dict[Any, Any]) -> None:
    with pytest.raises(Misuse, match="at most 64 texts"):
        checkpoint.to_bytes(SMALL, FLAT, about)


def test_the_largest_layout_has_a_header_within_the_limit() -> None:
    """Of tensors; together with the most texts it is refused when it is written, not when it is read."""
    names = (f"{'x' * 190}{place}" for place in range(MOST_TENSORS))
    many = Layout(tensors=tuple(Tensor(name=name, shape=(1,) * 8, part=Part.BIAS) for name in names))
    flat = many.initial(SEED)
    assert checkpoint.of(checkpoint.to_bytes(many, flat, {}), many).tobytes() == flat.tobytes()
    with pytest.raises(Misuse, match="header of a model"):
        checkpoint.to_bytes(many, flat, {f"{place}": "模" * 4_096 for place in range(64)})


# ---------------------------------------------------------------------------------------------------------- reading


def rewritten(change: Callable[[dict[str, Any]], object], body: bytes | None = None) -> bytes:
    """Return the small file with its header changed in place."""
    data = checkpoint.to_bytes(SMALL, FLAT, ABOUT)
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + (data[8 + length :] if body is None else body)


def test_a_rewritten_header_that_says_the_same_is_read() -> None:
    assert checkpoint.of(rewritten(lambda header: None), SMALL).tobytes() == FLAT.tobytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda h: h.pop("c"), "tensor c is not there"),
        (lambda h: h.update(d=h["c"]), "1 tensors are no part"),
        (lambda h: h.update(c=None), "not described"),
        (lambda h: h.update(c=[]), "not described"),
        (lambda h: h["c"].update(dtype="F64"), "not of dtype F32"),
        (lambda h: h["c"].update(dtype=["F32"]), "not of dtype F32"),
        (lambda h: h["c"].pop("shape"), "not described"),
        (lambda h: h["c"].update(strides=[1]), "not described"),
        (lambda h: h["c"].update(data_offsets=[28]), "not described"),
        (lambda h: h["c"].update(shape=[2]), "another shape"),
        (lambda h: h["c"].update(shape=[2, 1, 1]), "another shape"),
        (lambda h: h["c"].update(shape=[True, 1, 2]), "whole numbers"),
        (lambda h: h["c"].update(shape=[1.0, 1, 2]), "whole numbers"),
        (lambda h: h["c"].update(data_offsets=[28.0, 36.0]), "whole numbers"),
        (lambda h: h["c"].update(data_offsets=["28", "36"]), "whole numbers"),
        (lambda h: h["c"].update(data_offsets=[28, 32]), "another length"),
        (lambda h: h["c"].update(data_offsets=[36, 28]), "another length"),
        (lambda h: h["c"].update(data_offsets=[-8, 0]), "another length"),
        (lambda h: h["c"].update(data_offsets=[24, 32]), "does not begin"),
        (lambda h: h["c"].update(data_offsets=[0, 8]), "does not begin"),
        (lambda h: h["c"].update(data_offsets=[32, 40]), "does not begin"),
        (lambda h: h["c"].update(data_offsets=[2**63, 2**63 + 8]), "does not begin"),
        (lambda h: h.update(__metadata__=[]), "at most 64 texts"),
        (lambda h: h.update(__metadata__={"a": 1}), "at most 64 texts"),
        (lambda h: h.update(__metadata__={"a": {"b": "c"}}), "at most 64 texts"),
    ],
)
def test_a_header_that_says_something_else_is_refused(change: Callable[[dict[str, Any]], object], why: str) -> None:
    with pytest.raises(Refused, match=why) as refusal:
        checkpoint.of(rewritten(change), SMALL)
    assert refusal.value.rule == "checkpoint"


def test_a_file_of_another_configuration_says_so() -> None:
    first, other = CASES[3], CASES[4]
    data = checkpoint.to_bytes(other.layout, other.layout.initial(SEED), {})
    with pytest.raises(Refused, match="another model or of another configuration"):
        checkpoint.of(data, first.layout)


def test_a_file_cut_at_any_byte_or_with_a_byte_more_is_refused() -> None:
    data = checkpoint.to_bytes(SMALL, FLAT, ABOUT)
    body = len(data) - 4 * SMALL.size
    for end in range(len(data)):
        why = "no header" if end < 9 else "within its header" if end < body else "within tensor"
        with pytest.raises(Refused, match=why):
            checkpoint.of(data[:end], SMALL)
    with pytest.raises(Refused, match="1 bytes follow"):
        checkpoint.of(data + b"\0", SMALL)


def test_numbers_that_json_does_not_have_are_refused_wherever_they_stand() -> None:
    """Python's reader takes them, the library's does not: one file must not be two."""
    for word in ("NaN", "Infinity", "-Infinity"):
        text = f'{{"x":{word}}}'.encode()
        with pytest.raises(Refused, match="not JSON"):
            checkpoint.about(struct.pack("<Q", len(text)) + text)


def test_a_header_with_any_byte_changed_is_refused_or_says_the_same() -> None:
    """No change of one bit of the header moves a value to another place."""
    data = checkpoint.to_bytes(SMALL, FLAT, {})
    header = len(data) - 4 * SMALL.size
    refused = 0
    for bit in range(8 * header):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert checkpoint.of(bytes(changed), SMALL).tobytes() == FLAT.tobytes()
        except Refused:
            refused += 1
    assert refused >= 8 * header - 40, "only blanks at its end may become other blanks"
