"""The pictures are Fashion-MNIST's, each at one party, by the shares that are written down.

The real files are 31 MB; where neither this machine nor apt has them, planted pictures go through the same code.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import numpy as np
import pytest

from federation.errors import Misuse
from federation_examples.fashion import data
from federation_examples.packages import WrongData

EACH = {0.5: (17_316, 14_952, 27_732), 0.1: (25_512, 19_158, 15_330)}


def planted(each: int = 100) -> dict[str, tuple[data.Pixels, data.Pixels]]:
    """Pictures that say their number in their first two pixels, ten kinds alike."""
    found = {}
    for half, count in (("train", 10 * each), ("test", 30)):
        numbers = np.arange(count)
        pixels = np.zeros((count, data.SIDE**2), dtype=np.uint8)
        pixels[:, 0], pixels[:, 1] = numbers // 256, numbers % 256
        found[half] = pixels, (numbers % 10).astype(np.uint8)
    return found


@pytest.mark.parametrize("alpha", data.SHARES)
def test_every_picture_is_at_one_party_and_keeps_its_kind(alpha: float, tmp_path: Path) -> None:
    files = data.written(tmp_path, planted(), alpha=alpha)
    rows = duckdb.read_parquet([str(file) for file in files.values()])
    found = rows.project("p000 * 256 + p001 AS number, kind, split").order("split, number").fetchnumpy()
    assert found["number"].tolist() == [*range(30), *range(1000)]
    assert found["kind"].tolist() == [data.KINDS[number % 10] for number in found["number"]]
    assert found["split"].tolist() == ["test"] * 30 + ["train"] * 1000
    assert rows.types[:2] == ["UTINYINT", "UTINYINT"]


@pytest.mark.parametrize("alpha", data.SHARES)
def test_kinds_are_shared_out_by_the_thousandths(alpha: float, tmp_path: Path) -> None:
    files = data.written(tmp_path, planted(each=1000), alpha=alpha)
    for place, party in enumerate(data.PARTIES):
        rows = duckdb.read_parquet(str(files[party])).filter("split = 'train'")
        counted = dict(rows.aggregate("kind, count(*)", "kind").fetchall())
        assert [counted.get(kind, 0) for kind in data.KINDS] == [shares[place] for shares in data.SHARES[alpha]]
        tested = duckdb.read_parquet(str(files[party])).filter("split = 'test'")
        assert tested.aggregate("count(*)").fetchall() == [(10,)]


@pytest.mark.parametrize("alpha", data.SHARES)
def test_the_shares_are_one_draw_of_dirichlet_and_were_not_chosen(alpha: float) -> None:
    drawn = np.random.default_rng(0).dirichlet([alpha] * len(data.PARTIES), len(data.KINDS))
    ends = np.round(np.cumsum(drawn, axis=1) * 1000).astype(int)
    assert data.SHARES[alpha] == tuple(map(tuple, np.diff(ends, axis=1, prepend=0).tolist()))
    kinds = np.repeat(np.arange(10, dtype=np.uint8), 6000)
    assert np.bincount(data.shared(kinds, alpha)).tolist() == list(EACH[alpha])


def test_a_part_of_the_pictures_is_their_front(tmp_path: Path) -> None:
    files = data.written(tmp_path, planted(), alpha=0.5, part=0.2)
    rows = duckdb.read_parquet([str(file) for file in files.values()])
    assert rows.aggregate("count(*), max(p000 * 256 + p001)").fetchall() == [(206, 199)]


def test_two_gzipped_idx_files_are_opened() -> None:
    pixels, kinds = data.opened(gzip.compress(bytes(16) + bytes(range(16)) * 98), gzip.compress(bytes(8) + b"\x03\x09"))
    assert pixels.shape == (2, 784)
    assert pixels[1, :3].tolist() == [0, 1, 2]
    assert kinds.tolist() == [3, 9]


def test_the_real_files_have_the_published_counts() -> None:
    """Ends early where the files cannot be had, and then says so by the error that a user would see."""
    try:
        labels = {half: file.checked() for half, file in data.LABELS.items()}
        pictures = data.PICTURES["test"].checked()
    except WrongData:
        raise
    except Misuse as absent:
        assert "dataset-fashion-mnist" in str(absent)
        return
    pixels, kinds = data.opened(pictures, labels["test"])
    assert pixels.shape == (10_000, 784)
    assert int(pixels.sum(dtype=np.int64)) == 573_469_082
    assert np.bincount(kinds).tolist() == [1_000] * 10
    _, train = data.opened(pictures, labels["train"])
    assert np.bincount(train).tolist() == [6_000] * 10
