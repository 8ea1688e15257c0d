"""`jurisdiction check` tells an operator what jobs would trip over, in counts and names, never in values."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.jurisdiction.engines.duckdb import DuckDB
from clients.jurisdiction.survey import surveyed
from federation.domain.catalogue import Column, Dataset, Kind, Outside

AGE = Column(name="age", kind=Kind.INTEGER, low=0, high=120)
WEIGHT = Column(name="weight", kind=Kind.REAL, low=0.0, high=300.0)
SEX = Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m"))


def told(folder: Path, *rows: str, k: int = 10, own: bool = False, age: Column = AGE) -> tuple[str, ...]:
    path = folder / "people.csv"
    path.write_text("\n".join(["age,weight,sex", *rows]) + "\n")
    people = Dataset(name="people", title="", unit="person", columns=(age, WEIGHT, SEX), k=k, own_figures=own)
    with DuckDB.open(people, str(path)) as engine:
        return surveyed(engine, people)


def test_data_as_published_give_no_line(tmp_path: Path) -> None:
    assert told(tmp_path, "40,70.5,f", "41,80,m") == ()


def test_values_outside_the_range_are_counted(tmp_path: Path) -> None:
    assert told(tmp_path, "40,70.5,f", "777,80,m", "778,80,m") == (
        "column 'age': 2 values outside the declared range will be moved into it",
    )


def test_numbers_that_are_none_are_counted(tmp_path: Path) -> None:
    (line,) = told(tmp_path, "40,nan,f", "41,80,m")
    assert line == "column 'weight': 1 values are not finite numbers and will be left out"


@pytest.mark.parametrize("row", ["40,70,divers-9137", "913791,70,f"])
def test_what_every_job_would_be_refused_for_is_said_without_its_value(row: str, tmp_path: Path) -> None:
    strict = Column(name="age", kind=Kind.INTEGER, low=0, high=120, outside=Outside.REFUSE)
    (line,) = told(tmp_path, row, "41,80,m", age=strict)
    assert "will be refused" in line
    assert "9137" not in line


def test_a_k_that_no_rule_accepts_is_said(tmp_path: Path) -> None:
    (line,) = told(tmp_path, "40,70,f", k=1)
    assert "minimum_units" in line
    assert told(tmp_path, "40,70,f", k=1, own=True) == ()


def test_a_column_without_values_is_said(tmp_path: Path) -> None:
    assert told(tmp_path, ",70,f", ",80,m") == ("column 'age': no row has a value",)
