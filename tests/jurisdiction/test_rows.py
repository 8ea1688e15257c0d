"""Rows that an engine reads for the trainer are those of pandas and of the oracle: complete and in their ranges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clients.jurisdiction.engine import Rows
from clients.jurisdiction.engines.duckdb import DuckDB
from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.errors import Misuse, Refused
from federation.query import predicate
from federation.query.evaluate import answer
from federation.query.query import CountName
from federation.query.row_query import RowQuery, alike, counts
from tests.coordinator.stage import Oracle

SEXES = ("f", "m", "x")
OWN = Dataset(
    name="data",
    title="",
    unit="person",
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=100, missing=(("-1", "not said"), ("999", "unknown"))),
        Column(name="pay", kind=Kind.REAL, low=-1e3, high=1e3),
        Column(name="sex", kind=Kind.CATEGORY, categories=SEXES, missing=(("?", "not said"),)),
        Column(name="who", kind=Kind.IDENTIFIER),
        Column(name="big", kind=Kind.INTEGER, low=-(2**40), high=2**40),
    ),
)
COLUMNS = ("sex", "pay", "age", "big")
ALL = RowQuery(dataset="data", columns=COLUMNS)


def frame(n: int = 400, seed: int = 1) -> pd.DataFrame:
    """Rows with planted missing codes, values out of range, and holes."""
    random = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "age": random.integers(-1, 131, n),
            "pay": random.normal(0, 600, n),
            "sex": random.choice(["f", "m", "?"], n, p=[0.5, 0.4, 0.1]).astype(object),
            "who": random.choice([f"p{i}" for i in range(90)], n),
            "big": random.integers(-(2**41), 2**41, n),
        }
    )
    found.loc[::19, "age"] = 999
    found.loc[::17, "pay"] = np.nan
    found.loc[::23, "sex"] = None
    found.loc[[5, 6], "pay"] = [np.inf, -np.inf]
    return found


def complete(found: pd.DataFrame) -> pd.DataFrame:
    """The same by pandas: what has all its values, with its numbers moved into their ranges."""
    keep = found["sex"].isin(SEXES) & ~found["age"].isin((-1, 999)) & np.isfinite(found["pay"])
    kept = found[keep].copy()
    kept["age"] = kept["age"].clip(0, 100)
    kept["pay"] = kept["pay"].clip(-1e3, 1e3)
    kept["big"] = kept["big"].clip(-(2**40), 2**40)
    return kept


def same(rows: Rows, wanted: pd.DataFrame) -> bool:
    sex, pay, age, big = rows.columns
    return bool(
        (rows.numbers == wanted.index).all()
        and (np.array(SEXES)[sex] == wanted["sex"]).all()
        and (pay == wanted["pay"]).all()
        and (age == wanted["age"]).all()
        and (big == wanted["big"]).all()
    )


def test_rows_are_those_of_pandas_in_the_order_of_the_source() -> None:
    found = frame()
    with DuckDB.open(OWN, found) as engine:
        rows = engine.rows(ALL, OWN)
    assert same(rows, complete(found))
    assert 200 < len(rows.numbers) < 390
    assert [str(each.dtype) for each in rows.columns] == ["int32", "float64", "float32", "float64"]


def test_the_comparison_sees_a_row_out_of_its_place() -> None:
    """A planted fault: two rows have changed places."""
    found = frame()
    with DuckDB.open(OWN, found) as engine:
        rows = engine.rows(ALL, OWN)
    turned = np.r_[1, 0, 2 : len(rows.numbers)]
    assert not same(replace(rows, columns=tuple(each[turned] for each in rows.columns)), complete(found))


@pytest.mark.parametrize("where", ["", "age >= 30 and sex == 'f'", "pay < 0", "age > 130"])
def test_counts_are_the_oracles(where: str) -> None:
    found = frame()
    condition = predicate.parse(where, OWN) if where else None
    query = RowQuery(dataset="data", where=condition, columns=COLUMNS)
    columns = {name: found[name].to_numpy() for name in found}
    columns["pay"] = np.ma.masked_invalid(columns["pay"])
    columns["pay"][[5, 6]] = [np.inf, -np.inf]  # infinite is no hole
    told = answer(alike(query, OWN), OWN, OWN, columns)
    with DuckDB.open(OWN, found) as engine:
        rows = engine.rows(query, OWN)
    assert rows.counts == told.counts
    assert len(rows.numbers) == sum(row[0] for row in told.table)
    assert where == "age > 130" or sum(rows.counts) > 0


def test_a_condition_selects_rows_and_changes_none_of_their_names() -> None:
    found = frame()
    query = RowQuery(dataset="data", where=predicate.parse("age >= 30 and sex == 'f'", OWN), columns=COLUMNS)
    with DuckDB.open(OWN, found) as engine:
        rows, everything = engine.rows(query, OWN), engine.rows(ALL, OWN)
    wanted = complete(found)
    raw = found.loc[wanted.index]
    wanted = wanted[(raw["age"] >= 30) & (raw["sex"] == "f")]
    assert same(rows, wanted)
    assert rows.units is not None
    assert everything.units is not None
    names = dict(zip(everything.numbers.tolist(), everything.units.tolist(), strict=True))
    assert [names[number] for number in rows.numbers.tolist()] == rows.units.tolist()


def test_units_are_named_by_their_first_row() -> None:
    found = frame()
    with DuckDB.open(OWN, found) as engine:
        rows = engine.rows(ALL, OWN)
    firsts = found.reset_index().groupby("who")["index"].min()
    assert rows.units is not None
    assert rows.units.tolist() == found["who"].map(firsts)[rows.numbers].tolist()


def test_without_an_identifier_every_row_is_its_own_unit() -> None:
    own = replace(OWN, columns=tuple(column for column in OWN.columns if column.kind is not Kind.IDENTIFIER))
    with DuckDB.open(own, frame()) as engine:
        assert engine.rows(ALL, own).units is None


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_give_the_rows_of_the_frame(suffix: str, tmp_path: Path) -> None:
    found = frame(20_000)
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        found.to_csv(path, index=False)
    else:
        table = pa.Table.from_pandas(found, preserve_index=False)
        pq.write_table(table, path, row_group_size=3_000)  # several threads read several groups
    with DuckDB.open(OWN, path, threads=4) as engine:
        assert same(engine.rows(ALL, OWN), complete(found))


def test_nan_is_counted_as_not_finite_where_it_is_a_number() -> None:
    table = pa.table({"pay": [1.0, float("nan"), None, 2.0], "age": [1, 2, 3, 4]})
    own = replace(OWN, columns=(OWN.column("pay"), OWN.column("age")))
    query = RowQuery(dataset="data", columns=("pay", "age"))
    with DuckDB.open(own, table) as engine:
        rows = engine.rows(query, own)
    told = dict(zip(counts(query, own), rows.counts, strict=True))
    assert rows.numbers.tolist() == [0, 3]
    assert told[CountName("non-finite", "", "")] == 1
    assert told[CountName("missing", "pay", "null")] == 1


@pytest.mark.parametrize("name", ["age", "pay", "big"])
def test_a_range_that_refuses_refuses_rows_too(name: str) -> None:
    refused = pytest.raises(Refused, match=f"column '{name}' .* outside its declared range")
    with DuckDB.open(strict(name), frame()) as engine, refused as caught:
        engine.rows(ALL, strict(name))
    assert caught.value.rule == "range"


def test_a_range_that_refuses_passes_what_lies_inside() -> None:
    own = strict("age")
    inside = predicate.parse("age <= 100", own)
    with DuckDB.open(own, frame()) as engine:
        assert len(engine.rows(replace(ALL, where=inside), own).numbers) > 200


def strict(name: str) -> Dataset:
    return replace(
        OWN, columns=tuple(replace(each, outside=Outside.REFUSE) if each.name == name else each for each in OWN.columns)
    )


def test_a_category_that_is_not_published_is_refused() -> None:
    found = frame()
    found.loc[found["sex"].isin(SEXES).idxmax(), "sex"] = "another"
    with DuckDB.open(OWN, found) as engine, pytest.raises(Refused, match="not in its published list") as caught:
        engine.rows(ALL, OWN)
    assert "another" not in str(caught.value)


def test_a_frame_is_not_read_by_who_is_counted() -> None:
    query = RowQuery(dataset="data", columns=("age", "who"))
    with DuckDB.open(OWN, frame()) as engine, pytest.raises(Misuse, match="identifies who is counted"):
        engine.rows(query, OWN)


def test_an_own_range_beyond_the_joint_one_is_refused() -> None:
    joint = replace(OWN, columns=(replace(OWN.columns[0], high=50), *OWN.columns[1:]))
    with DuckDB.open(OWN, frame()) as engine, pytest.raises(Misuse, match="not inside the joint one"):
        engine.rows(ALL, joint)


def test_files_that_changed_give_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    frame().to_parquet(path)
    with DuckDB.open(OWN, path) as engine:
        frame(500).to_parquet(path)
        with pytest.raises(Refused, match="changed") as caught:
            engine.rows(ALL, OWN)
    assert caught.value.rule == "version"


def test_an_engine_that_only_sums_gives_no_rows() -> None:
    with pytest.raises(Refused, match="gives no rows") as caught:
        Oracle(OWN, {}).rows(ALL, OWN)
    assert caught.value.rule == "engine"


@pytest.mark.parametrize("value", [2**24, 2**24 + 1, -(2**24) - 1, 2**62])
def test_whole_numbers_beyond_a_short_range_are_seen_although_they_are_read_as_float32(value: int) -> None:
    """2^24 + 1 is 2^24 in float32: a range that ended there would let it pass."""
    for high, dtype in ((2**24 - 1, np.float32), (2**24, np.float64)):
        own = replace(OWN, columns=(Column(name="n", kind=Kind.INTEGER, low=-high, high=high),))
        query = RowQuery(dataset="data", columns=("n",))
        with DuckDB.open(own, pd.DataFrame({"n": [value, -high, high]})) as engine:
            rows = engine.rows(query, own)
        assert rows.columns[0].dtype == dtype
        assert rows.columns[0].tolist() == [max(-high, min(high, value)), -high, high]
        assert rows.counts == (0, int(abs(value) > high), 0)


def test_rows_show_nothing_of_themselves() -> None:
    with DuckDB.open(OWN, frame()) as engine:
        assert "array" not in repr(engine.rows(ALL, OWN))


def test_an_empty_frame_has_no_rows() -> None:
    with DuckDB.open(OWN, frame().iloc[:0]) as engine:
        rows = engine.rows(ALL, OWN)
    assert [len(each) for each in rows.columns] == [0, 0, 0, 0]
    assert set(rows.counts) == {0}
