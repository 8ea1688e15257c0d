"""Where tensors lie, what a layout's digest binds, and that a start is the same bytes on every machine."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from federation.crypto.agreement import derive
from federation.crypto.prg import PIECE_BYTES, Keystream
from federation.errors import Misuse
from federation.training.layout import MOST_PARAMETERS, MOST_TENSORS, Layout, Part, Tensor
from tests.training.architectures import CASES, SEED, Case

WEIGHT = Tensor(name="a.weight", shape=(3, 5), part=Part.WEIGHT, fan_in=5)
BIAS = Tensor(name="a.bias", shape=(3,), part=Part.BIAS, fan_in=5)
SCALE = Tensor(name="n.weight", shape=(3,), part=Part.NORM, fill=1.0)
SHIFT = Tensor(name="n.bias", shape=(3,), part=Part.NORM)
MEAN = Tensor(name="n.running_mean", shape=(3,), part=Part.BUFFER)
SMALL = Layout(tensors=(WEIGHT, BIAS, SCALE, SHIFT, MEAN))


def flat_of(layout: Layout) -> np.ndarray:
    return np.arange(layout.size, dtype=np.float32)


# ---------------------------------------------------------------------------------------------------------- places


def test_tensors_follow_each_other_without_a_gap() -> None:
    assert [(place.start, place.stop) for _, place in SMALL.places()] == [
        (0, 15),
        (15, 18),
        (18, 21),
        (21, 24),
        (24, 27),
    ]
    assert SMALL.size == 27
    assert SMALL.learned == 24


def test_a_split_is_views_in_c_order() -> None:
    flat = flat_of(SMALL)
    parts = SMALL.split(flat)
    assert list(parts) == [tensor.name for tensor in SMALL.tensors]
    assert parts["a.weight"].tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]
    parts["a.bias"][1] = -1
    assert flat[16] == -1


@pytest.mark.parametrize(
    "other",
    [
        np.zeros(26, np.float32),
        np.zeros(28, np.float32),
        np.zeros(27, np.float64),
        np.zeros((27, 1), np.float32),
        np.zeros(54, np.float32)[::2],
        np.zeros(27, ">f4"),
    ],
)
def test_another_vector_is_refused(other: np.ndarray) -> None:
    with pytest.raises(Misuse, match="27 contiguous float32"):
        SMALL.split(other)


def test_a_mask_marks_the_parts_that_were_asked_for() -> None:
    assert np.flatnonzero(SMALL.where(Part.NORM, Part.BUFFER)).tolist() == list(range(18, 27))
    assert SMALL.where(*Part).all()
    assert not SMALL.where().any()


# ---------------------------------------------------------------------------------------------------------- digest


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(WEIGHT, name="b.weight"),
        dataclasses.replace(WEIGHT, shape=(5, 3)),
        dataclasses.replace(WEIGHT, shape=(15,)),
        dataclasses.replace(WEIGHT, shape=(3, 5, 1)),
        dataclasses.replace(WEIGHT, part=Part.NORM),
        dataclasses.replace(WEIGHT, fan_in=6),
        dataclasses.replace(WEIGHT, fan_in=0, fill=0.5),
    ],
)
def test_a_digest_binds_every_field_of_every_tensor(changed: Tensor) -> None:
    assert Layout(tensors=(changed, *SMALL.tensors[1:])).digest != SMALL.digest


def test_a_digest_binds_order_and_number() -> None:
    digests = {
        Layout(tensors=tensors).digest
        for tensors in (SMALL.tensors, SMALL.tensors[::-1], SMALL.tensors[1:], SMALL.tensors[:-1])
    }
    assert len(digests) == 4


def test_names_do_not_run_into_each_other() -> None:
    """Without lengths before texts these two would be one string."""

    def named(*names: str) -> Layout:
        return Layout(tensors=tuple(dataclasses.replace(SHIFT, name=name) for name in names))

    assert len({named("ab", "c").digest, named("a", "bc").digest, named("anormb", "c").digest}) == 3


def test_models_that_differ_have_other_digests() -> None:
    digests = [case.layout.digest for case in CASES]
    assert len(set(digests)) == len(CASES)
    assert digests == [case.layout.digest for case in CASES]


# ----------------------------------------------------------------------------------------------------------- starts


def slowly(layout: Layout, seed: bytes) -> np.ndarray:
    """The start, one value at a time."""
    stream = Keystream(derive(seed, b"federation/training/initial/v1" + layout.digest))
    values: list[float] = []
    for tensor in layout.tensors:
        bound = np.float32(1 / math.sqrt(tensor.fan_in)) if tensor.fan_in else np.float32(0)
        for place in range(tensor.size):
            if not tensor.fan_in:
                values.append(tensor.fill)
                continue
            if place % 2 == 0:
                word = int(stream.words(8)[0])
            draw = (word >> 32 * (place % 2) & 0xFFFFFFFF) >> 8
            values.append(np.float32((2 * draw + 1 - 2**24) / 2**24) * bound)
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_start_equals_the_slow_one(case: Case) -> None:
    layout = case.layout
    assert layout.initial(SEED).tobytes() == slowly(layout, SEED).tobytes()


def test_a_start_is_the_known_bytes(repository: Path) -> None:
    vector = json.loads((repository / "tests/vectors/training/initial_layers_and_norm.json").read_text("utf-8"))
    layout = Layout(
        tensors=tuple(
            Tensor(
                name=tensor["name"],
                shape=tuple(tensor["shape"]),
                part=Part(tensor["part"]),
                fan_in=tensor["fan_in"],
                fill=tensor["fill"],
            )
            for tensor in vector["tensors"]
        )
    )
    assert layout.digest.hex() == vector["digest"]
    assert layout.initial(bytes.fromhex(vector["seed"])).astype("<f4").tobytes().hex() == vector["initial"]


def test_a_start_is_uniform_within_its_bound_and_never_zero() -> None:
    wide = Layout(tensors=(Tensor(name="w", shape=(1_000, 300), part=Part.WEIGHT, fan_in=300),))
    start = wide.initial(SEED) * math.sqrt(300)
    assert 0.9999 < np.abs(start).max() <= 1
    assert np.abs(start).min() > 0
    counts, _ = np.histogram(start, bins=100, range=(-1, 1))
    assert ((counts - 3_000) ** 2 / 3_000).sum() < 149  # chi squared of 99 degrees, p = 0.001; the seed is fixed


def test_a_tensor_longer_than_a_piece_of_keystream_goes_on_where_the_piece_ended() -> None:
    entries = PIECE_BYTES // 4 + 3
    long = Layout(tensors=(Tensor(name="w", shape=(entries,), part=Part.WEIGHT, fan_in=4), WEIGHT))
    start = long.initial(SEED)
    stream = Keystream(derive(SEED, b"federation/training/initial/v1" + long.digest))
    words = [*stream.words(PIECE_BYTES).view("<u4").copy(), *stream.words(16).view("<u4")[:3]]
    expected = ((2 * (np.array(words) >> 8).astype(np.int64) + 1 - 2**24) / 2**25).astype(np.float32)
    assert start[:entries].tobytes() == expected.tobytes()
    assert len(np.unique(start[-15:])) == 15


def test_no_two_tensors_start_alike() -> None:
    """The planted fault is a keystream per tensor, all of one seed."""
    twins = Layout(tensors=(WEIGHT, dataclasses.replace(WEIGHT, name="b.weight")))
    first, second = twins.split(twins.initial(SEED)).values()
    assert not np.isin(first, second).any()
    planted = [Layout(tensors=(WEIGHT,)).initial(SEED) for _ in range(2)]
    assert np.isin(*planted).all()


def test_what_has_no_fan_in_starts_from_its_fill() -> None:
    parts = SMALL.split(SMALL.initial(SEED))
    assert parts["n.weight"].tolist() == [1, 1, 1]
    assert parts["n.bias"].tolist() == parts["n.running_mean"].tolist() == [0, 0, 0]


def test_another_seed_or_another_layout_starts_elsewhere() -> None:
    other = Layout(tensors=(WEIGHT, dataclasses.replace(BIAS, name="b.bias")))
    starts = [layout.initial(seed)[:15] for layout in (SMALL, other) for seed in (SEED, SEED[::-1])]
    assert len({start.tobytes() for start in starts}) == 4


@pytest.mark.parametrize("seed", [b"", bytes(16), bytes(31), bytes(33)])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(Misuse, match="32 bytes"):
        SMALL.initial(seed)


# --------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "name",
    ["", "a b", ".a", "a.", "a..b", "0a", "__metadata__\n", "a/b", "ä", "a" * 201],
)
def test_a_name_that_torch_would_not_give_is_refused(name: str) -> None:
    with pytest.raises(Misuse, match="name is words"):
        dataclasses.replace(WEIGHT, name=name)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (-1, -5), (1,) * 9, (MOST_PARAMETERS + 1,), (2**40, 2**40)])
def test_a_shape_without_entries_or_with_too_many_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Misuse, match="axes"):
        dataclasses.replace(WEIGHT, shape=shape)


@pytest.mark.parametrize(("fan_in", "fill"), [(-1, 0.0), (5, 1.0), (0, math.nan), (0, math.inf)])
def test_a_start_without_meaning_is_refused(fan_in: int, fill: float) -> None:
    with pytest.raises(Misuse, match="starts either"):
        dataclasses.replace(WEIGHT, fan_in=fan_in, fill=fill)


def test_a_layout_without_tensors_with_twins_or_too_large_is_refused() -> None:
    many = tuple(dataclasses.replace(BIAS, name=f"b{place}") for place in range(MOST_TENSORS + 1))
    half = Tensor(name="x", shape=(MOST_PARAMETERS // 2 + 1,), part=Part.WEIGHT)
    for tensors, why in (
        ((), "tensors"),
        (many, "tensors"),
        ((WEIGHT, WEIGHT), "one name"),
        ((half, dataclasses.replace(half, name="y")), "at most"),
    ):
        with pytest.raises(Misuse, match=why):
            Layout(tensors=tensors)
