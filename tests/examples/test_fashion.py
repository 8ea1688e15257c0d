"""The pictures are Fashion-MNIST's, each at one party, by the shares that are written down.

The real files are 31 MB; where neither this machine nor apt has them, planted pictures go through the same code.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from federation.errors import Misuse
from federation_examples import boards, pictures
from federation_examples.alone import session
from federation_examples.comparison import Comparison, Kind
from federation_examples.fashion import data, story
from federation_examples.learning import Recipe
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


SMALL = story.Size(
    rounds=3,
    ways={name: {**options, "batch_size": 10, "steps": 12} for name, options in story.WAYS.items()},
    pooled=(Recipe(rate=0.1, batch=10, passes=3),),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The story on planted pictures, three rounds long: a kind is a bright band, which is easily learned."""
    generator = np.random.default_rng(2)
    drawn = {}
    for half, count in (("train", 600), ("test", 120)):
        kinds = (np.arange(count) % 10).astype(np.uint8)
        pixels = generator.integers(0, 60, (count, data.SIDE**2), dtype=np.uint8)
        for row, kind in zip(pixels, kinds.tolist(), strict=True):
            row[78 * kind : 78 * kind + 78] += 190
        drawn[half] = pixels, kinds
    files = data.written(tmp_path_factory.mktemp("pictures"), drawn, alpha=0.5)
    with session(story.STORIES[0], files, tmp_path_factory.mktemp("parties")) as asked:
        return story.run(asked, files.values(), size=SMALL)


def test_a_short_story_learns_and_says_that_its_split_is_synthetic(report: Comparison) -> None:
    found = {row.name: row.here for row in report.rows}
    assert found["pooled"] > 0.9
    assert found["FedAvg"] > 0.5
    assert found["Scaffold"] > 0.5
    assert len([row for row in report.rows if row.kind is Kind.ALONE]) == 3
    text = report.text()
    assert "SYNTHETIC" in text
    assert "FedAvg 0.64 MB, Scaffold 1.28 MB" in text  # 199,210 parameters, 25.6 bits each; twice with the variate
    assert "replayed here and signed by all" in text


def test_the_story_draws_a_curve_for_each_strategy(report: Comparison, tmp_path: Path) -> None:
    with Image.open(boards.png(report.drawing, tmp_path)) as picture:
        held = json.loads(picture.text[pictures.VALUES])
        assert "synthetic" in picture.text["Title"]
    assert {curve["name"]: len(curve["y"]) for curve in held["curves"]} == {"FedAvg": 3, "Scaffold": 3}


def test_each_split_is_a_story_and_a_data_set_of_its_own() -> None:
    assert [each.name for each in story.STORIES] == ["fashion_050", "fashion_010"]
    tables = story.STORIES[1].tables({"one": Path("one.parquet")})["one"]
    assert 'name = "fashion_010"' in tables
    assert tables.count("low = 0, high = 255") == 784
