"""What an engine tells the guard agrees with what it answers: cells of rows, shares of units, and who a row is."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from clients.jurisdiction import daemon
from clients.jurisdiction.engines.duckdb import DuckDB
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Refused
from federation.query import predicate
from federation.query.expression import Col, Compare, Const, Gram, Indicator
from federation.query.query import Argmin, Bins, Categories, SumQuery, Unit
from tests.coordinator.stage import Stage

OWN = Dataset(
    name="data",
    title="",
    unit="person",
    k=10,
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=100, missing=(("-1", "not said"),)),
        Column(name="pay", kind=Kind.REAL, low=-1e4, high=1e4),
        Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m", "x")),
        Column(name="who", kind=Kind.IDENTIFIER),
    ),
)


def rows(n: int = 500, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(-1, 101, n),
            "pay": random.normal(0, 500, n),
            "sex": random.choice(["f", "m"], n),
            "who": random.choice([f"p{i}" for i in range(90)], n),
        }
    )
    frame.loc[::17, "pay"] = np.nan
    frame.loc[5, "pay"] = np.inf
    return frame


QUERIES = {
    "all": SumQuery(dataset="data"),
    "where": SumQuery(dataset="data", where=predicate.parse("age >= 30 and sex == 'f'", OWN)),
    "cells": SumQuery(dataset="data", group_by=(Categories("sex"), Bins(Col("age"), (0, 20, 60)))),
    "terms": SumQuery(dataset="data", group_by=(Categories("sex"),), terms=(Col("pay"), Const(1))),
    "not finite": SumQuery(dataset="data", terms=(Const(1) / Col("age").clip(0, 1),)),
    "nearest": SumQuery(dataset="data", group_by=(Argmin((abs(Col("age") - 20), abs(Col("age") - 70))),)),
    "condition": SumQuery(dataset="data", group_by=(Bins(Indicator(Compare(">", Col("age"), Const(50))), (0, 1, 2)),)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_every_row_is_placed_in_the_cell_that_counts_it(name: str) -> None:
    query = QUERIES[name]
    with DuckDB.open(OWN, rows()) as engine:
        (answer,) = engine.sums((query,), OWN)
        (places,) = engine.places((query,), OWN)
    assert len(places) == 500
    counted = np.bincount(places[places >= 0], minlength=len(answer.table))
    assert counted.tolist() == [row[0] for row in answer.table]


def test_several_queries_are_placed_in_one_pass_as_each_is_alone() -> None:
    with DuckDB.open(OWN, rows()) as engine:
        together = engine.places(tuple(QUERIES.values()), OWN)
        alone = [engine.places((query,), OWN)[0] for query in QUERIES.values()]
    assert all((a == b).all() for a, b in zip(together, alone, strict=True))


def test_rows_are_known_by_their_values_in_any_order_and_units_by_their_identifier() -> None:
    frame = rows()
    with DuckDB.open(OWN, frame) as engine, DuckDB.open(OWN, frame.iloc[::-1]) as again:
        one, other = engine.identities(), again.identities()
    assert (one.rows == other.rows[::-1]).all()
    assert one.units is not None
    assert len(np.unique(one.units)) == frame["who"].nunique()
    changed = frame.copy()
    changed.loc[7, "age"] = (changed.loc[7, "age"] + 40) % 90
    with DuckDB.open(OWN, changed) as engine:
        assert np.flatnonzero(engine.identities().rows != one.rows).tolist() == [7]


@pytest.mark.parametrize("per", [None, Unit("who")])
def test_the_largest_contributors_are_those_of_pandas(per: Unit | None) -> None:
    frame = rows()
    query = SumQuery(
        dataset="data", per=per, group_by=(Categories("sex"),), terms=(Const(1), Gram(Const(1), (Const(1), Col("pay"))))
    )
    with DuckDB.open(OWN, frame) as engine:
        (found,) = engine.largest((query,), OWN)
    kept = frame[np.isfinite(frame["pay"])]
    for place, sex in enumerate(("f", "m")):
        mine = kept[kept["sex"] == sex]
        parts = (mine["pay"] if per is None else mine.groupby("who")["pay"].sum()).abs().sort_values()
        (share,) = found[place]
        assert share.largest == pytest.approx(parts.tail(2).sum())
        assert share.whole == pytest.approx(parts.sum())
    assert found[2] == ()


def test_an_engine_that_only_sums_says_that_it_cannot_tell_and_the_guard_refuses() -> None:
    engine = Stage().engines["macao"]
    for ask in (lambda: engine.places((), OWN), engine.identities, lambda: engine.largest((), OWN)):
        with pytest.raises(Refused, match="cannot tell"):
            ask()


def test_the_daemon_keeps_a_history() -> None:
    """The planted fault: a guard without one compares nothing with anything."""
    assert "History(vault)" in inspect.getsource(daemon)
