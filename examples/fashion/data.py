"""70,000 pictures of clothing, one Parquet file a party. THE SPLIT IS SYNTHETIC: nobody owns a part of this data set.

Source: Fashion-MNIST (Zalando SE, Expat licence), by way of the Debian package dataset-fashion-mnist. 60,000 pictures
to learn from, 10,000 to test, 28 x 28 grey values of 0 to 255, ten kinds of 6,000 and 1,000.

How the pictures of each kind are shared out was drawn once from Dirichlet(alpha), as is the habit of papers on
federated learning (Hsu, Qi, Brown, 2019): the smaller alpha, the less alike the parties. The draw is written down in
thousandths, and within a kind the pictures go out in the order of the file, so that no library decides who has which.
The pictures to test are dealt out in turn: the joint test set has all kinds alike.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np

from federation_examples.debian import Debian

Pixels: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"


def _file(name: str, sha256: str) -> Debian:
    return Debian(
        package="dataset-fashion-mnist",
        version="0.0~git20200523.55506a9-1",
        path=f"usr/share/datasets/fashion-mnist/{name}.gz",
        sha256=sha256,
    )


PICTURES: Final = {
    "train": _file("train-images-idx3-ubyte", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"),
    "test": _file("t10k-images-idx3-ubyte", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"),
}
LABELS: Final = {
    "train": _file("train-labels-idx1-ubyte", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
    "test": _file("t10k-labels-idx1-ubyte", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"),
}
SIDE: Final = 28
FEATURES: Final = tuple(f"p{pixel:03}" for pixel in range(SIDE * SIDE))
KINDS: Final = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
TARGET: Final = "kind"
SPLIT: Final = "split"
PARTIES: Final = ("one", "two", "three")
# Thousandths of each kind's pictures, one row a kind, one column a party: numpy 2.4,
# default_rng(0).dirichlet([alpha] * 3, 10), cumulated and rounded.
SHARES: Final = {
    0.5: (
        (306, 1, 693),
        (229, 177, 594),
        (392, 201, 407),
        (152, 1, 847),
        (270, 363, 367),
        (34, 521, 445),
        (391, 429, 180),
        (56, 8, 936),
        (820, 64, 116),
        (236, 727, 37),
    ),
    0.1: (
        (80, 0, 920),
        (130, 44, 826),
        (1000, 0, 0),
        (375, 158, 467),
        (937, 0, 63),
        (1, 992, 7),
        (985, 15, 0),
        (0, 1000, 0),
        (744, 1, 255),
        (0, 983, 17),
    ),
}
PURPOSE: Final = "benchmark"
K: Final = 1  # public data

_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Pictures of clothing (Fashion-MNIST, a synthetic split)"
unit = "picture"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and a party's own figures are public already

[dataset.columns]
{pixels}
kind = {{ kind = "category", categories = {kinds} }}
split = {{ kind = "category", categories = ["train", "test"] }}
"""


def name_of(alpha: float) -> str:
    """Return what the data set of a split is called."""
    return f"fashion_{round(100 * alpha):03}"


def split(folder: Path, *, alpha: float = 0.5, part: float = 1.0) -> dict[str, Path]:
    """Write one Parquet file a party into `folder` and return party -> file.

    Args:
        folder: is made if need be.
        alpha: a key of SHARES.
        part: of the pictures, from the front of the files, in (0, 1]: for tests.

    Raises:
        Misuse: the files are not here, and apt could not fetch their package.
        WrongData: a file was changed.
    """
    pictures = {half: opened(PICTURES[half].checked(), LABELS[half].checked()) for half in PICTURES}
    return written(folder, pictures, alpha=alpha, part=part)


def written(
    folder: Path, pictures: Mapping[str, tuple[Pixels, Pixels]], *, alpha: float, part: float = 1.0
) -> dict[str, Path]:
    """Share out pictures (n, pixels) with their kinds (n,) and write them; see `split`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in PARTIES}
    kept = {half: tuple(each[: round(part * len(each))] for each in both) for half, both in pictures.items()}
    owners = {"train": shared(kept["train"][1], alpha), "test": np.arange(len(kept["test"][1])) % len(PARTIES)}
    names = np.array(KINDS)
    with duckdb.connect() as database:
        database.execute("SET enable_progress_bar = false")
        for place, party in enumerate(PARTIES):
            mine = {half: owners[half] == place for half in kept}
            pixels = np.concatenate([kept[half][0][mine[half]] for half in kept])
            kinds = np.concatenate([kept[half][1][mine[half]] for half in kept])
            halves = np.concatenate([np.full(mine[half].sum(), half) for half in kept])
            columns = dict(zip(FEATURES, np.ascontiguousarray(pixels.T), strict=True))
            database.register("pictures", {**columns, TARGET: names[kinds], SPLIT: halves})
            database.table("pictures").write_parquet(str(files[party]))
            database.unregister("pictures")
    return files


def opened(pictures: bytes, labels: bytes) -> tuple[Pixels, Pixels]:
    """Return (n, pixels) and (n,) of two gzipped IDX files."""
    pixels = np.frombuffer(gzip.decompress(pictures), dtype=np.uint8, offset=16).reshape(-1, SIDE * SIDE)
    kinds = np.frombuffer(gzip.decompress(labels), dtype=np.uint8, offset=8)
    return pixels, kinds


def shared(kinds: Pixels, alpha: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return (n,) the place of each picture's party, by the shares of its kind, in the order of the file."""
    owners = np.empty(len(kinds), dtype=np.int64)
    for kind, shares in enumerate(SHARES[alpha]):
        (places,) = np.nonzero(kinds == kind)
        ends = np.cumsum(shares) * len(places) // 1000
        owners[places] = np.searchsorted(ends, np.arange(len(places)), side="right")
    return owners


def tables(files: dict[str, Path], *, alpha: float = 0.5) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    pixels = "\n".join(f'{name} = {{ kind = "integer", low = 0, high = 255 }}' for name in FEATURES)
    kinds = "[" + ", ".join(f'"{kind}"' for kind in KINDS) + "]"
    return {
        party: _DATASET.format(
            purpose=PURPOSE, name=name_of(alpha), source=file.absolute().as_posix(), k=K, pixels=pixels, kinds=kinds
        )
        for party, file in files.items()
    }
