"""149,151 daily means of PM10 at 70 rural background stations in Germany, 1998-2009, one Parquet file an authority.

Source: `air` of R's package spacetime, out of the Debian package r-cran-spacetime (GPL-2+; European Environment Agency,
AirBase). A station's code names its Land, and "UB" the federal network. THE THREE AUTHORITIES ARE OURS: Laender put
together, with the federal network beside the eastern ones. A day without a value is missing, and in no row.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation.errors import Misuse
from federation_examples.debian import Debian
from federation_examples.packages import apart

AIR: Final = Debian(
    package="r-cran-spacetime",
    version="1.2-8+dfsg-1",
    path="usr/lib/R/site-library/spacetime/data/air.rda",
    sha256="1fb2eb299947fd525069b865d48fa88efd3dc8d2307e8779fe005b63eaa53981",
)
CONVERTER: Final = Path(__file__).with_name("converter.py")
AUTHORITIES: Final = {
    "north": ("NI", "SH", "MV"),
    "west": ("NW", "HE", "RP", "SL", "BW"),
    "east": ("BB", "BE", "BY", "SN", "TH", "UB"),
}
NAMES: Final = {"north": "North", "west": "West", "east": "East and federal"}
YEARS: Final = range(1998, 2010)
NAME: Final = "air"
PURPOSE: Final = "environment"
K: Final = 1  # public data

_ROWS = """\
SELECT $party AS authority, year(day)::BIGINT AS year, month(day)::BIGINT AS month, pm10
FROM read_parquet($source) WHERE list_contains($lands, substr(station, 3, 2)) ORDER BY station, day
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Daily PM10 at rural background stations (EEA AirBase)"
unit = "station's day"
k = {k}                          # public data: nothing is withheld
publish_own_figures = true       # and an authority's own figures are public already

[dataset.columns]
authority = {{ kind = "category", categories = {authorities} }}
year = {{ kind = "integer", low = {first}, high = {last} }}
month = {{ kind = "integer", low = 1, high = 12 }}
pm10 = {{ kind = "real", unit = "ug/m3", low = 0, high = 300 }}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file an authority into `folder` and return party -> file.

    Raises:
        Misuse: the file is not on this machine, and apt could not fetch its package; says how to get it.
        WrongData: the file was changed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        values = Path(scratch) / "air.parquet"
        converted(AIR.checked(), AIR.sha256, values)
        return shared(values, folder)


def converted(content: bytes, sha256: str, target: Path) -> None:
    """Write R's file as Parquet: station, day, pm10; by a process that does nothing else.

    Raises:
        Misuse: it is not the file that the SHA-256 names, or nothing that the process reads.
    """
    done = apart(CONVERTER, [sha256, str(target)], content)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise Misuse(f"the converter of air.rda ended with {done.returncode}: {last}", hint="fetch the package again")


def shared(values: Path, folder: Path) -> dict[str, Path]:
    """Write one Parquet file an authority and return party -> file.

    Args:
        values: station, day and pm10 of all of them.
        folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in AUTHORITIES}
    with duckdb.connect() as database:
        for party, lands in AUTHORITIES.items():
            rows = database.sql(_ROWS, params={"party": party, "source": str(values), "lands": list(lands)})
            rows.write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    authorities = "[" + ", ".join(f'"{party}"' for party in AUTHORITIES) + "]"
    return {
        party: _DATASET.format(
            purpose=PURPOSE,
            name=NAME,
            source=file.absolute().as_posix(),
            k=K,
            authorities=authorities,
            first=YEARS[0],
            last=YEARS[-1],
        )
        for party, file in files.items()
    }
