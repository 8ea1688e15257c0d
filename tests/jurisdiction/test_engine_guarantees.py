"""What every engine guarantees: exact sums, blind to order, silent about values; with faults that would break it.

Engines are found by the registry, so a new one is tested without a change here.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sqlglot import exp

from clients.jurisdiction.engine import Engine
from clients.jurisdiction.sql import rounds
from clients.jurisdiction.sql.layers import as_whole, call, column, real, when
from federation import registry
from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.errors import Misuse, Refused
from federation.query.bounds import Interval
from federation.query.expression import Both, Col, Member
from federation.query.query import Answer, Bins, Categories, SumQuery, shape

ENGINES = registry.discover("clients.jurisdiction.engines", Engine)
every_engine = pytest.mark.parametrize("name", ENGINES)


def one_column(column: Column) -> Dataset:
    return Dataset(name="one", title="", unit="row", k=1, columns=(column,))


def answered(
    name: str, asked: tuple[SumQuery, ...], table: pa.Table, own: Dataset, threads: int = 1
) -> tuple[Answer, ...]:
    with ENGINES[name].open(own, table, threads=threads) as engine:
        return engine.sums(asked, own)


STEP = SumQuery(
    dataset="one", group_by=(Bins(Col("x"), (-1, 0, 0.5)),), terms=(Col("x"), Col("x").expit(), Col("x") * Col("x"))
)
LINE = Column(name="x", kind=Kind.REAL, low=-4, high=3.5)


def orders_of(name: str, rows: int) -> set[Answer]:
    """Return the answers over the same rows with one thread and with two, in order and shuffled."""
    own = one_column(LINE)
    values = np.random.default_rng(1).normal(size=rows)
    shuffled = np.random.default_rng(2).permutation(values)
    return {
        answered(name, (STEP,), pa.table({"x": found}), own, threads)[0]
        for found in (values, shuffled)
        for threads in (1, 2)
    }


@every_engine
def test_neither_threads_nor_the_order_of_rows_change_an_answer(name: str) -> None:
    assert len(orders_of(name, 300_000)) == 1  # more than two of DuckDB's row groups, so that two threads share them


def test_sums_of_reals_would_depend_on_the_order_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_reals(asked: rounds._Pass, of: exp.Expr, found: Interval, scale: int, good: str | None) -> int:
        scaled = exp.Mul(this=of, expression=real(2.0**scale))
        kept = scaled if good is None else when(column(good), scaled)
        return asked.ask(exp.Cast(this=exp.Sum(this=kept), to=exp.DataType.build("hugeint", dialect="duckdb")))

    monkeypatch.setattr(rounds, "_sum", in_reals)
    assert len(orders_of("duckdb", 300_000)) > 1


@every_engine
def test_sums_beyond_64_bits_are_exact(name: str) -> None:
    high = 2**62 - 1
    own = one_column(Column(name="x", kind=Kind.INTEGER, low=-high, high=high))
    table = pa.table({"x": pa.array([high] * 50 + [-7], pa.int64())})
    (got,) = answered(name, (SumQuery(dataset="one", terms=(Col("x"),)),), table, own)
    assert got.table == ((51, 50 * high - 7),)


def halves_summed(name: str) -> Answer:
    own = one_column(Column(name="x", kind=Kind.REAL, low=-(2.0**40), high=2.0**40))
    query = SumQuery(dataset="one", terms=(Col("x"),))
    unit = 2.0 ** -shape(query, own).scales[0]
    halves = [(n + 0.5) * unit for n in (0, 1, 2, 3, -1, -2, 2**20, 2**20 + 1)]
    return answered(name, (query,), pa.table({"x": halves}), own)[0]


EVEN = ((8, 0 + 2 + 2 + 4 + 0 - 2 + 2**20 + (2**20 + 2)),)


@every_engine
def test_rows_are_rounded_half_to_even(name: str) -> None:
    assert halves_summed(name).table == EVEN


@pytest.mark.parametrize("rounding", ["TRUNC", "ROUND", "FLOOR"])
def test_another_rounding_would_be_seen(rounding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "as_whole", lambda of: as_whole(call(rounding, of)))
    assert halves_summed("duckdb").table != EVEN


@every_engine
@pytest.mark.parametrize("value", [-3, 6])
def test_a_value_outside_a_range_that_refuses_is_refused_without_being_quoted(name: str, value: int) -> None:
    own = one_column(Column(name="x", kind=Kind.INTEGER, low=0, high=5, outside=Outside.REFUSE))
    table = pa.table({"x": [1, 2, value]})
    with pytest.raises(Refused) as refusal:
        answered(name, (SumQuery(dataset="one", terms=(Col("x"),)),), table, own)
    assert refusal.value.rule == "range"
    assert "'x'" in str(refusal.value)
    assert str(value) not in str(refusal.value)
    unused = SumQuery(dataset="one", where=Col("x") < 5, terms=())
    inside = SumQuery(dataset="one", where=Both(Col("x") >= 0, Col("x") <= 5), terms=(Col("x"),))
    assert [answer.table for answer in answered(name, (unused, inside), table, own)] == [
        ((2 + (value < 5),),),
        ((2, 3),),
    ]


@every_engine
def test_a_category_that_is_not_published_is_refused_without_being_quoted(name: str) -> None:
    own = one_column(Column(name="x", kind=Kind.CATEGORY, categories=("b", "a")))
    table = pa.table({"x": ["a", "zebra", "b"]})
    with pytest.raises(Refused) as refusal:
        answered(name, (SumQuery(dataset="one", group_by=(Categories("x"),)),), table, own)
    assert refusal.value.rule == "range"
    assert "zebra" not in str(refusal.value)
    known = SumQuery(dataset="one", where=Member(Col("x"), ("a", "b")), group_by=(Categories("x"),))
    other = SumQuery(dataset="one", where=Col("x").differs("a"))
    assert [a.table for a in answered(name, (known, other), table, own)] == [((1,), (1,)), ((2,),)]


@every_engine
def test_an_own_range_beyond_the_joint_one_is_misuse(name: str) -> None:
    own = one_column(Column(name="x", kind=Kind.REAL, low=0, high=5))
    joint = one_column(Column(name="x", kind=Kind.REAL, low=0, high=4))
    with ENGINES[name].open(own, pa.table({"x": [1.0]})) as engine, pytest.raises(Misuse, match="joint"):
        engine.sums((SumQuery(dataset="one", terms=(Col("x"),)),), joint)


@every_engine
def test_a_column_that_is_not_there_is_misuse_that_names_the_nearest(name: str) -> None:
    with pytest.raises(Misuse, match=r"no column 'income'.*'incomes'"):
        ENGINES[name].open(
            one_column(Column(name="income", kind=Kind.REAL, low=0, high=1)), pa.table({"incomes": [1.0]})
        )


@every_engine
def test_equal_data_have_equal_versions_and_other_data_others(name: str) -> None:
    def version(*values: float | None) -> str:
        with ENGINES[name].open(one_column(LINE), pa.table({"x": pa.array(values, pa.float64())})) as engine:
            return engine.version

    assert version(1, 2) == version(1, 2)
    assert len({version(), version(1), version(2), version(1, 2), version(2, 1), version(None), version(0)}) == 7
