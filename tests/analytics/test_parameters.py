"""Parameters come from plain values: unknown, lacking and ill-typed ones are refused before any query exists."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from federation.analytics.statistic import Drawn, Picture, Statistic, Table, parameters_of
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation, Value
from federation.errors import Misuse
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    column: str
    bins: int | tuple[float, ...] = 20
    level: float = 0.95
    exact: bool = False
    by: str | None = None
    pair: tuple[int, str] = (1, "a")


class Sample(Statistic[Everything, Any]):
    """Takes one of each."""

    name = "sample"
    version = 1
    Parameters = Everything

    def rounds(self, parameters: Everything, joint: Dataset) -> int:
        return 1

    def plan(self, parameters: Everything, where: Expression | None, joint: Dataset) -> Generator[Any, Any, Any]:
        raise NotImplementedError


def made(**values: Value) -> Everything:
    return parameters_of(Sample(), Computation(name="sample", version=1, parameters=tuple(values.items())))


def test_values_and_defaults_make_frozen_parameters() -> None:
    assert made(column="x") == Everything(column="x")
    full = made(column="x", bins=(1, 2.5), level=1, exact=True, by="g", pair=(2, "b"))
    assert full == Everything(column="x", bins=(1, 2.5), level=1, exact=True, by="g", pair=(2, "b"))
    assert made(column="x", by=None).by is None


@pytest.mark.parametrize(
    "values",
    [
        {"column": 3},
        {"column": None},
        {"column": "x" * 5_000},
        {"column": "x", "bins": 2.0},
        {"column": "x", "bins": True},
        {"column": "x", "bins": (1, "2")},
        {"column": "x", "bins": (True,)},
        {"column": "x", "bins": ((1,),)},
        {"column": "x", "bins": tuple(range(10_001))},
        {"column": "x", "level": float("nan")},
        {"column": "x", "level": float("inf")},
        {"column": "x", "level": True},
        {"column": "x", "exact": 1},
        {"column": "x", "pair": (1,)},
        {"column": "x", "pair": ("a", 1)},
    ],
)
def test_a_value_of_another_type_is_refused_by_name(values: dict[str, Value]) -> None:
    with pytest.raises(Misuse, match=f"parameter '{list(values)[-1]}' of sample must be"):
        made(**values)


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Misuse) as caught:
        made(colum="x")
    assert "'column'" in caught.value.hint


def test_a_lacking_parameter_is_named() -> None:
    with pytest.raises(Misuse, match="needs parameter 'column'"):
        made(bins=3)


def test_a_parameter_that_is_given_twice_is_refused() -> None:
    twice = Computation(name="sample", version=1, parameters=(("column", "x"), ("column", "y")))
    with pytest.raises(Misuse, match="twice"):
        parameters_of(Sample(), twice)


def test_messages_spell_the_type() -> None:
    with pytest.raises(Misuse) as caught:
        made(column="x", bins="many")
    assert "a whole number or a list of (a finite number)" in caught.value.message
    assert caught.value.message.endswith("got a text")


def test_a_table_has_rows_as_long_as_its_columns() -> None:
    with pytest.raises(Misuse):
        Table(columns=("a", "b"), rows=((1,),))


def test_a_picture_is_plain_values() -> None:
    picture = Picture(drawn=Drawn.BARS, title="t", x_label="x", y_label="y", x=("a",), y=(None,))
    assert picture.error == ()
