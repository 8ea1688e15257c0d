"""336,776 real flights at three airports: p50, p90 and p99 of the arrival delay to the minute, in one secure sum."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from federation.domain.catalogue import Column, Dataset, Kind
from federation.jobs import planner
from tests.analytics.parties import Party, ask, driven, joint_of
from tests.analytics.parties import job as people

SHARES = (0.5, 0.9, 0.99)


def published(k: int, *, own_figures: bool) -> Dataset:
    delay = Column(name="arr_delay", kind=Kind.INTEGER, unit="minutes", low=-120, high=1440)
    return Dataset(name="people", title="", unit="flight", k=k, own_figures=own_figures, columns=(delay,))


@pytest.fixture(scope="module")
def delays(tmp_path_factory: pytest.TempPathFactory) -> list[np.ma.MaskedArray]:
    from federation_examples.flights import data

    files: dict[str, Path] = data.split(tmp_path_factory.mktemp("flights"))
    return [
        duckdb.sql(f"select arr_delay::bigint as arr_delay from '{files[party]}'").fetchnumpy()["arr_delay"]
        for party in sorted(files)
    ]


@pytest.mark.parametrize(("k", "own_figures", "sums"), [(1, True, 1), (10, True, 3), (10, False, 4)])
def test_the_quantiles_of_flights_are_exact(
    delays: list[np.ma.MaskedArray], k: int, own_figures: bool, sums: int
) -> None:
    parties = [Party(published(k, own_figures=own_figures), {"arr_delay": each}) for each in delays]
    joint = joint_of(parties)
    asked = people([ask("quantile", column="arr_delay", q=SHARES)], 3, max_rounds=16)
    replay = driven(planner.replay(asked, joint), parties, joint)
    found = replay.results[0].result
    assert found.values == (-5, 52, 190)
    assert all(cell.interval == (cell.value, cell.value) for cell in found.only.estimates), "proved, also under k = 10"
    assert found.n == 327_346
    assert replay.rounds_fed == sums * (1 if own_figures else 2)
    pooled = np.concatenate([each.compressed() for each in delays])
    assert found.values == tuple(np.quantile(pooled, SHARES, method="inverted_cdf"))
