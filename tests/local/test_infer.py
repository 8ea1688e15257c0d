"""What `fed.local` takes frames for when nobody described them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clients.jurisdiction.engines.duckdb import DuckDB
from clients.local.infer import MOST_CATEGORIES, inferred
from federation.domain.catalogue import Column, Kind, agreed
from federation.errors import Misuse
from federation.query.expression import Col
from federation.query.query import Categories, SumQuery


def columns(**frames: object) -> dict[str, Column]:
    """Return party -> its description of the only column."""
    return {party: dataset.columns[0] for party, dataset in inferred("data", frames).items()}


def frame(values: object, dtype: object = None) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


def test_integers_have_the_range_of_each_party() -> None:
    found = columns(a=frame([3, 1, 2]), b=frame([-5, 0]), c=pl.DataFrame({"x": [7]}))
    assert {party: (column.kind, column.low, column.high) for party, column in found.items()} == {
        "a": (Kind.INTEGER, 1, 3),
        "b": (Kind.INTEGER, -5, 0),
        "c": (Kind.INTEGER, 7, 7),
    }
    assert all(isinstance(column.low, int) for column in found.values())


def test_pandas_integers_that_miss_a_value_are_integers() -> None:
    found = columns(a=frame([3.0, np.nan, 2.0]), b=frame([1, None], "Int64"), c=frame([1, 2]))
    assert {column.kind for column in found.values()} == {Kind.INTEGER}


def test_reals_elsewhere_are_meant_as_reals() -> None:
    assert columns(a=pl.DataFrame({"x": [1.0, 2.0]}))["a"].kind is Kind.REAL
    assert columns(a=pa.table({"x": [1.0, 2.0]}))["a"].kind is Kind.REAL


def test_one_real_makes_it_real_everywhere() -> None:
    found = columns(a=frame([3, 1]), b=frame([0.5, np.nan]), c=frame([np.nan, np.inf, 2.0]))
    assert {(column.kind, column.low, column.high) for column in found.values()} == {
        (Kind.REAL, 1.0, 3.0),
        (Kind.REAL, 0.5, 0.5),
        (Kind.REAL, 2.0, 2.0),
    }
    assert all(isinstance(column.high, float) for column in found.values())


def test_integers_that_do_not_fit_are_real() -> None:
    assert columns(a=frame([2**62]))["a"].kind is Kind.REAL
    assert columns(a=frame([2**62 - 1]))["a"].kind is Kind.INTEGER


def test_booleans_are_0_and_1() -> None:
    found = columns(a=frame([True, True]), b=frame([False, None], "boolean"), c=frame([False], object))
    assert {(column.kind, column.low, column.high) for column in found.values()} == {(Kind.INTEGER, 0, 1)}


def test_texts_are_the_sorted_categories_of_all_parties() -> None:
    found = columns(a=frame(["HK", None]), b=frame(["澳門", "GD"]), c=frame(["GD"], "category"))
    assert {column.categories for column in found.values()} == {("GD", "HK", "澳門")}
    assert {column.kind for column in found.values()} == {Kind.CATEGORY}


@pytest.mark.parametrize(
    ("distinct", "kind"), [(MOST_CATEGORIES, Kind.CATEGORY), (MOST_CATEGORIES + 1, Kind.IDENTIFIER)]
)
def test_too_many_texts_identify_somebody(distinct: int, kind: Kind) -> None:
    texts = [f"who {i}" for i in range(distinct)]
    assert columns(a=frame([*texts, None]), b=frame(texts[:1]))["b"].kind is kind
    half = distinct // 2
    assert columns(a=frame(texts[:half]), b=frame(texts[half:]))["a"].kind is kind


def test_numbers_beside_texts_are_texts() -> None:
    found = columns(a=frame([1, 2, None]), b=frame(["A", "1"]))
    assert {column.categories for column in found.values()} == {("1", "2", "A")}


def test_digits_in_a_frame_stay_text_and_in_csv_they_count(tmp_path: Path) -> None:
    assert columns(a=frame(["007", "8"]))["a"].categories == ("007", "8")
    path = tmp_path / "t.csv"
    path.write_text("x\n007\n8.0\n\n-1\n".replace("\n\n", '\n""\n'), "utf-8")
    found = columns(a=str(path))["a"]
    assert (found.kind, found.low, found.high, found.missing) == (Kind.INTEGER, -1, 8, ())


def test_na_among_the_numbers_of_a_csv_file_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\nNA\n3\n", "utf-8")
    (tmp_path / "b.csv").write_text("x\nNA\n", "utf-8")
    sources = {"a": str(tmp_path / "a.csv"), "b": tmp_path / "b.csv", "c": frame([9])}
    found = inferred("data", sources)
    assert {dataset.columns[0].missing for dataset in found.values()} == {(("NA", "null"),)}
    assert {(dataset.columns[0].low, dataset.columns[0].high) for dataset in found.values()} == {(1, 3), (1, 9), (9, 9)}
    joint = agreed(found)
    counts = {}
    for party, source in sources.items():
        with DuckDB.open(found[party], source) as engine:
            counts[party] = engine.sums((SumQuery(dataset="data", terms=(Col("x"),)),), joint)[0].counts
    assert counts == {"a": (1, 0, 0), "b": (1, 0, 0), "c": (0, 0, 0)}


def test_a_column_of_nothing_takes_the_range_of_the_others() -> None:
    found = columns(a=frame([None, None], object), b=frame([2, 5]))
    assert (found["a"].kind, found["a"].low, found["a"].high) == (Kind.INTEGER, 2, 5)
    alone = columns(a=frame([None], object), b=frame([np.nan]))
    assert {(column.low, column.high) for column in alone.values()} == {(0, 0)}


def test_dates_are_categories_and_lists_are_left_out() -> None:
    table = pl.DataFrame({"day": ["2020-01-02"], "list": [[1]]}).with_columns(pl.col("day").str.to_date())
    assert [(c.name, c.kind, c.categories) for c in inferred("data", {"a": table})["a"].columns] == [
        ("day", Kind.CATEGORY, ("2020-01-02",))
    ]


def test_parties_must_have_the_same_columns() -> None:
    with pytest.raises(Misuse, match="frame of b has no column 'x', which that of a has"):
        inferred("data", {"a": frame([1]), "b": pd.DataFrame({"y": [1]})})


@pytest.mark.parametrize("source", [None, 3, "nowhere.parquet", {"x": [1]}], ids=repr)
def test_what_is_no_frame_is_misuse(source: object) -> None:
    with pytest.raises(Misuse):
        inferred("data", {"a": source})


def test_descriptions_agree_open_and_answer(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    people = pd.DataFrame(
        {"age": draw.integers(0, 90, 50), "pay": draw.normal(size=50), "place": draw.choice(["u", "v"], 50)}
    )
    pq.write_table(pa.Table.from_pandas(people.iloc[20:30]), tmp_path / "t.parquet")
    people.iloc[30:].to_csv(tmp_path / "t.csv", index=False)
    sources = {
        "a": people.iloc[:10],
        "b": pl.from_pandas(people.iloc[10:20]),
        "c": tmp_path / "t.parquet",
        "d": str(tmp_path / "t.csv"),
    }
    found = inferred("people", sources)
    joint = agreed(found)
    assert (joint.k, joint.own_figures, joint.unit) == (1, True, "row")
    query = SumQuery(dataset="people", group_by=(Categories("place"),), terms=(Col("age"),))
    rows = np.zeros((2, 2), dtype=object)
    for party, source in sources.items():
        with DuckDB.open(found[party], source) as engine:
            assert engine.version == found[party].version
            rows += np.array(engine.sums((query,), joint)[0].table, dtype=object)
    expected = people.groupby("place")["age"].agg(["count", "sum"])
    assert rows.tolist() == expected.to_numpy().tolist()
    assert len({dataset.version for dataset in found.values()}) == 4
