"""Dust under three authorities: on a planted frame always, and on the real file where this machine has it.

The real file comes in a Debian package; `python -m federation_examples.air` fetches it once, and tests fetch nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import lzma
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from federation.errors import Misuse
from federation_examples import alone, pictures
from federation_examples.air import data, story
from federation_examples.debian import VARIABLE
from federation_examples.packages import WrongData
from federation_examples.report import Report

PUBLISHED = {
    "daily means": 149_151,
    "mean PM10, ug/m3": 17.69728275,
    "variance": 147.31592043,
    "p98, ug/m3": 51.5,
    "p50, ug/m3": 14.792,
    "days above 50, all years": 3_304,
}
STATIONS = ("DENI001", "DESH002", "DEMV003", "DENW004", "DEBW005", "DEUB006", "DEBY007")
DAYS = pd.date_range("1998-01-01", "2009-12-31", freq="9D")

HERE = any(place.is_file() for place in data.AIR._places())
with_the_file = pytest.mark.skipif(not HERE, reason="air.rda is not here; python -m federation_examples.air fetches it")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Values at seven stations, to three digits, some missing; the east begins in 2000."""
    drawn = np.random.default_rng(6)
    rows = pd.MultiIndex.from_product([STATIONS, DAYS], names=["station", "day"]).to_frame(index=False)
    rows["pm10"] = np.round(np.minimum(drawn.gamma(2.2, 9, len(rows)), 290), 3)
    late = rows.station.str[2:4].isin(data.AUTHORITIES["east"]) & (rows.day < "2000-01-01")
    return rows[~late & (drawn.random(len(rows)) > 0.1)].reset_index(drop=True)


@pytest.fixture(scope="module")
def files(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("air")
    frame.to_parquet(folder / "values.parquet")
    return data.shared(folder / "values.parquet", folder / "files")


@pytest.fixture(scope="module")
def planted(files: dict[str, Path]) -> Report:
    return alone.alone(dataclasses.replace(story.STORY, split=lambda _: files))


@pytest.fixture(scope="module")
def real() -> Report:
    return alone.alone(story.STORY)


@with_the_file
def test_three_authorities_have_the_figures_that_were_measured_on_pooled_rows(real: Report) -> None:
    found = {line.figure: line.federated for line in real.lines}
    for figure, value in PUBLISHED.items():
        near = {"abs": story.RESOLUTION} if figure.startswith("p") else {"rel": 1e-9}
        assert found[figure] == pytest.approx(value, **near), figure
    assert real.agrees


@with_the_file
@pytest.mark.parametrize("place", [0, 1])
def test_the_committed_pictures_show_what_the_story_finds(place: int, real: Report, repository: Path) -> None:
    drawing = real.drawings[place]
    with Image.open(repository / "docs" / "img" / f"{drawing.name}.png") as picture:
        held = picture.text
    assert json.loads(held[pictures.VALUES]) == json.loads(pictures.values(drawing)), "draw it again"


def test_a_planted_frame_has_the_figures_that_pandas_finds(planted: Report, frame: pd.DataFrame) -> None:
    found = {line.figure: line.federated for line in planted.lines}
    assert planted.agrees
    assert found["daily means"] == len(frame)
    assert found["mean PM10, ug/m3"] == pytest.approx(frame.pm10.mean(), rel=1e-12)
    assert found["variance"] == pytest.approx(frame.pm10.var(), rel=1e-12)
    assert found["p98, ug/m3"] == pytest.approx(frame.pm10.quantile(0.98, interpolation="higher"), abs=1e-3)
    high = frame[frame.pm10 > 50]
    assert found["days above 50, all years"] == len(high) > 0
    for year, count in high.day.dt.year.value_counts().items():
        assert found[f"days above 50, {year}"] == count
    for month, mean in frame.groupby(frame.day.dt.month).pm10.mean().items():
        assert found[f"mean of month {month}, ug/m3"] == pytest.approx(mean, rel=1e-12)


def test_a_day_at_the_limit_is_not_above_it(files: dict[str, Path], tmp_path: Path) -> None:
    rows = pd.read_parquet(files["west"])
    before = (rows.pm10 > 50).sum()
    rows.loc[rows.index[rows.pm10 > 50][0], "pm10"] = 50.0
    assert (rows.pm10 > 50).sum() == before - 1
    at_the_limit = tmp_path / "west.parquet"
    rows.to_parquet(at_the_limit)
    with alone.session(story.STORY, files | {"west": at_the_limit}, tmp_path) as session:
        report = story.run(session, files.values())  # beside the pooled rows as they were: a planted fault
    off = {line.figure for line in report.lines if not line.agrees}
    assert {"days above 50, all years", "mean PM10, ug/m3", "variance"} <= off
    assert "daily means" not in off


def test_a_year_that_an_authority_did_not_measure_is_not_compared(planted: Report) -> None:
    for curve in planted.drawing.curves:
        assert curve.x == tuple(range(2000, 2010))
    for share, *own in zip(*(curve.y for curve in planted.drawing.curves), strict=True):
        assert min(own) <= share <= max(own)


def test_every_picture_can_be_drawn(planted: Report, tmp_path: Path) -> None:
    for drawing in planted.drawings:
        with Image.open(pictures.png(drawing, tmp_path)) as picture:
            assert json.loads(picture.text[pictures.VALUES]) == json.loads(pictures.values(drawing))
    assert {path.name for path in tmp_path.iterdir()} == {"air-exceedances.png", "air-season.png"}


def test_every_station_belongs_to_one_authority(files: dict[str, Path], frame: pd.DataFrame) -> None:
    assert len({land for lands in data.AUTHORITIES.values() for land in lands}) == 14
    assert sum(len(pd.read_parquet(file)) for file in files.values()) == len(frame)
    assert "ours" in " ".join(story.NOTES)


# --- R's file -----------------------------------------------------------------------------------------------------


def item(kind: int, body: bytes, attributes: bytes = b"") -> bytes:
    return struct.pack(">i", kind | (0x200 if attributes else 0)) + body + attributes


def text(word: str) -> bytes:
    return item(9, struct.pack(">i", len(word)) + word.encode())


def pairs(**values: bytes) -> bytes:
    listed = [
        struct.pack(">i", 2 | 0x400) + item(1, text(name)) + value for name, value in values.items()
    ]  # tagged, and no symbol twice
    return b"".join(listed) + struct.pack(">i", 254)


def reals(numbers: list[float], attributes: bytes = b"") -> bytes:
    return item(14, struct.pack(f">i{len(numbers)}d", len(numbers), *numbers), attributes)


def vector(kind: int, parts: list[bytes], attributes: bytes = b"") -> bytes:
    return item(kind, struct.pack(">i", len(parts)) + b"".join(parts), attributes)


def rda(air: bytes, dates: bytes) -> bytes:
    head = b"RDX2\nX\n" + struct.pack(">iii", 2, 0x40202, 0x20300)
    return lzma.compress(head + pairs(air=air, dates=dates))


def small(*values: float, air: bytes = b"") -> bytes:
    """Two stations on two days, column by column."""
    names = vector(19, [vector(16, [text("DENI001"), text("DEUB002")]), struct.pack(">i", 254)])
    shape = pairs(dim=item(13, struct.pack(">iii", 2, 2, 2)), dimnames=names)
    return rda(air or reals(list(values), shape), reals([10227.0, 10228.0], pairs(tclass=vector(16, [text("Date")]))))


def read(content: bytes, tmp_path: Path) -> pd.DataFrame:
    target = tmp_path / "values.parquet"
    data.converted(content, hashlib.sha256(content).hexdigest(), target)
    return pd.read_parquet(target)


def test_a_file_of_r_is_read_day_by_day_and_its_gaps_are_no_rows(tmp_path: Path) -> None:
    rows = read(small(1.5, 2.25, float("nan"), 50.125), tmp_path)
    assert [tuple(row) for row in rows.itertuples(index=False)] == [
        ("DENI001", pd.Timestamp("1998-01-01"), 1.5),
        ("DEUB002", pd.Timestamp("1998-01-01"), 2.25),
        ("DEUB002", pd.Timestamp("1998-01-02"), 50.125),
    ]


@pytest.mark.parametrize(
    ("air", "why"),
    [
        (struct.pack(">i", 3), "R's type 3"),  # a closure
        (struct.pack(">i", 21), "R's type 21"),  # bytecode
        (struct.pack(">i", 4), "R's type 4"),  # an environment
        (struct.pack(">ii", 14, 1 << 30), "are not there"),
        (struct.pack(">ii", 14, -2), "are not there"),
    ],
    ids=["closure", "bytecode", "environment", "longer than the file", "negative"],
)
def test_what_is_no_plain_data_is_refused_in_one_line(air: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=why) as caught:
        read(small(air=air), tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "values.parquet").exists()


def test_the_converter_takes_no_other_bytes_than_those_that_are_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="ended with 3: changed"):
        data.converted(small(1.0, 2.0, 3.0, 4.0), "0" * 64, tmp_path / "values.parquet")
    assert not (tmp_path / "values.parquet").exists()


def test_a_changed_file_is_refused_before_any_process_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "air.rda").write_bytes(small(1.0, 2.0, 3.0, 4.0))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(data, "converted", lambda *_: pytest.fail("a changed file was converted"))
    with pytest.raises(WrongData, match="SHA-256 differs"):
        data.split(tmp_path / "out")


@pytest.mark.skipif((Path("/") / data.AIR.path).is_file(), reason="the package is installed here")
def test_without_the_file_and_without_apt_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop(VARIABLE, None)
    done = subprocess.run(
        [sys.executable, "-m", "federation_examples.air"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "air.rda of the Debian package r-cran-spacetime" in done.stderr
    assert VARIABLE in done.stderr
    assert "Traceback" not in done.stderr
