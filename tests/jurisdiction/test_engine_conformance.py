"""Every engine agrees with the oracle: bit for bit in arithmetic, to 2 ulp of a term a row in functions.

Engines are found by the registry, so a new one is tested without a change here.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.jurisdiction.engine import Engine
from federation import registry
from federation.domain.catalogue import Column, Dataset, Kind, Level, agreed
from federation.errors import Misuse
from federation.query import evaluate
from federation.query.bounds import term_intervals
from federation.query.expression import (
    Both,
    Clip,
    Col,
    Compare,
    Const,
    Either,
    Expression,
    Gram,
    Indicator,
    Member,
    Missing,
    Not,
    Power,
    Text,
    Unary,
)
from federation.query.query import Answer, Argmin, Bins, Categories, SumQuery, Unit, shape

ENGINES = registry.discover("clients.jurisdiction.engines", Engine)
every_engine = pytest.mark.parametrize("name", ENGINES)
WHOLE, REAL, SMALL, GROUP, CODED, WHO = "whole", "real", "small", "group", "coded", "who"
GROUPS = ("north", "it's", "ünï")
SIDES = Level("side", ("up", "down", "up"))
CODES = (("-1", "refused"), ("-2", "unknown"), ("-3", "null"))
NUMBERS = (WHOLE, REAL, SMALL, CODED)
INEXACT = ("log", "exp", "expit", "softplus", "lgamma")

OWN = Dataset(
    name="people",
    title="",
    unit="person",
    k=1,
    columns=(
        Column(name=WHOLE, kind=Kind.INTEGER, low=-20, high=30),
        Column(name=REAL, kind=Kind.REAL, low=-2.5, high=4),
        Column(name=SMALL, kind=Kind.REAL, low=0.125, high=0.75),
        Column(name=GROUP, kind=Kind.CATEGORY, categories=GROUPS, missing=(("n/a", "refused"),), levels=(SIDES,)),
        Column(name=CODED, kind=Kind.INTEGER, low=0, high=9, missing=CODES),
        Column(name=WHO, kind=Kind.IDENTIFIER),
    ),
)
WIDER = Dataset(
    name="people",
    title="",
    unit="person",
    k=1,
    columns=tuple(
        Column(
            name=item.name,
            kind=item.kind,
            low=None if item.low is None else item.low - 1,
            high=None if item.high is None else item.high * 2,
            categories=item.categories,
            missing=item.missing,
            levels=item.levels,
        )
        for item in OWN.columns
    ),
)
JOINT = agreed({"own": OWN, "wider": WIDER})

# --- rows and queries, drawn from a seed: nested strategies of hypothesis take seconds an example ---------------------

SPECIAL = (math.nan, math.inf, -math.inf, -0.0, 0.0, 1e300, -1e300, 5e-324, -2.5, 4.0, 0.125)


class Draw(random.Random):
    """Rows and queries of one seed.

    Args:
        functions: whether functions appear of which an engine may be a few ulp off.
    """

    def __init__(self, seed: int, *, functions: bool) -> None:
        super().__init__(seed)
        self.functions = functions

    def maybe(self, percent: int) -> bool:
        return self.randrange(100) < percent

    def table(self, rows: int) -> pa.Table:
        def column(kind: pa.DataType, draw: Callable[[], object]) -> pa.Array:
            return pa.array([None if self.maybe(5) else draw() for _ in range(rows)], kind)

        def whole(low: int, high: int) -> int:
            return self.choice((0, 1, -(2**62), 2**62 + 1)) if self.maybe(2) else self.randint(low, high)

        def real(low: float, high: float) -> float:
            return self.choice(SPECIAL) if self.maybe(10) else self.uniform(low, high)

        return pa.table({
            WHO: column(pa.string(), lambda: self.choice(("a", "b", "c", "A", ""))),
            WHOLE: column(pa.int64(), lambda: whole(-25, 35)),
            REAL: column(pa.float64(), lambda: real(-3, 5)),
            SMALL: column(pa.float64(), lambda: real(0, 1)),
            GROUP: column(pa.string(), lambda: self.choice((*GROUPS, *GROUPS, "n/a"))),
            CODED: column(pa.int64(), lambda: whole(-3, 11)),
        })  # fmt: skip

    def number(self, depth: int, *, plain: bool = False) -> Expression:
        """Return a number; `plain` without conditions and inexact functions."""
        if depth == 0 or self.maybe(15):
            if self.maybe(70):
                return Col(self.choice(NUMBERS))
            return Const(self.choice((self.randint(-9, 9), 0.1, -2.5, 0.5, 3.0, 1e-3, 2**40, 1.0, 1)))
        inexact = self.functions and not plain

        def part() -> Expression:
            return self.number(depth - 1, plain=plain)

        match self.randrange(9):
            case 0 | 1 | 2:
                a, b = part(), part()
                return self.choice((a + b, a - b, a * b))
            case 3:
                return part() / Const(self.choice((3, -7, 0.3))) if self.maybe(70) else part() / part()
            case 4:
                shared = part()
                return shared * shared + shared
            case 5:
                return Power(part(), self.randint(0, 5 if inexact else 2))
            case 6:
                return Unary(self.choice(("neg", "abs", "sqrt", *(INEXACT if inexact else ()))), part())
            case 7:
                low = self.choice((-2, 0, 1, 0.5))
                return Clip(part(), low, low + self.randint(0, 9))
        return part() if plain else Indicator(self.truth(2, missing=False))

    def truth(self, depth: int, *, missing: bool) -> Expression:
        if depth > 0 and self.maybe(50):
            a, b = self.truth(depth - 1, missing=missing), self.truth(depth - 1, missing=missing)
            return self.choice((Not(a), Both(a, b), Either(a, b)))
        match self.randrange(6 if missing else 5):
            case 0:
                return Compare(self.choice(("==", "!=")), Col(GROUP), Text(self.choice(GROUPS)))
            case 1:
                return Member(Col(GROUP), tuple(self.sample(GROUPS, 2)))
            case 2:
                values = (self.randint(-3, 9), self.choice((0.5, 4.0, -2.5)), self.randint(-3, 9))
                return Member(Col(self.choice(NUMBERS)), values[: self.randint(1, 3)])
            case 5:
                return Missing(Col(self.choice((*NUMBERS, GROUP))))
        sides = self.number(2, plain=True), self.number(1, plain=True)
        return Compare(self.choice(("==", "!=", "<", "<=", ">", ">=")), *sides)

    def axis(self) -> Categories | Bins | Argmin:
        """Return an axis without inexact functions: a row may change its bin where a function is an ulp off."""
        match self.randrange(3):
            case 0:
                return Categories(GROUP, self.choice(("", "", SIDES.name)), missing=self.maybe(40))
            case 1:
                edges = {self.randint(-9, 30) for _ in range(self.randint(2, 9))} | {0, 31}
                if self.maybe(50):
                    edges |= {0.125, 0.5, -2.5, 3.25}
                return Bins(self.number(2, plain=True), tuple(sorted(edges)))
        return Argmin(tuple(self.number(2, plain=True) for _ in range(self.randint(1, 4))))

    def query(self) -> SumQuery:
        terms: list[Expression | Gram] = [self.number(3) for _ in range(self.randint(0, 3))]
        if self.maybe(40):
            terms.append(Gram(self.number(2), tuple(self.number(2) for _ in range(self.randint(1, 3)))))
        return SumQuery(
            dataset="people",
            where=self.truth(2, missing=True) if self.maybe(50) else None,
            per=Unit(WHO) if self.maybe(30) else None,
            group_by=tuple(self.axis() for _ in range(self.choice((0, 0, 1, 2)))),
            terms=tuple(terms),
        )

    def queries(self) -> tuple[SumQuery, ...]:
        """Return queries that have bounds; most that are drawn have."""
        found: list[SumQuery] = []
        while not found or self.maybe(60):
            query = self.query()
            try:
                shape(query, JOINT)
            except Misuse:
                continue
            found.append(query)
        return tuple(found)


# --- agreement -------------------------------------------------------------------------------------------------------


def arrays(table: pa.Table) -> dict[str, np.ndarray]:
    """Return the columns as the oracle takes them."""
    found: dict[str, np.ndarray] = {}
    for name in table.column_names:
        items = table.column(name).to_pylist()
        if name in (WHO, GROUP):
            found[name] = np.array(items, dtype=object)
        else:
            mask = [item is None for item in items]
            kind = np.float64 if name in (REAL, SMALL) else np.int64
            found[name] = np.ma.array([0 if item is None else item for item in items], mask=mask, dtype=kind)
    return found


def oracle(asked: tuple[SumQuery, ...], table: pa.Table) -> tuple[Answer, ...]:
    """Return the oracle's answers."""
    found = arrays(table)
    with np.errstate(all="ignore"):  # rows that are excluded may overflow on their way
        return tuple(evaluate.answer(query, JOINT, OWN, found) for query in asked)


def answered(
    name: str, asked: tuple[SumQuery, ...], source: object, own: Dataset = OWN, threads: int = 1
) -> tuple[Answer, ...]:
    """Return the answers of the engine `name`; a data set other than OWN is its own joint description."""
    with ENGINES[name].open(own, source, threads=threads) as engine:
        return engine.sums(asked, JOINT if own is OWN else own)


@contextmanager
def stored(table: pa.Table, *, as_file: bool) -> Iterator[object]:
    """Give the table as it is or as a Parquet file, whose statistics an optimiser believes and which leave NaN out."""
    if not as_file:
        yield table
        return
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(table, f"{folder}/rows.parquet", row_group_size=13)
        yield f"{folder}/rows.parquet"


def allowed(query: SumQuery, joint: Dataset, rows: int, ulps: int) -> list[float]:
    """Return by how much each number of a cell may differ: counts and integers not, other terms some ulp a row."""
    form = shape(query, joint)
    found: list[float] = [0]
    for interval, scale in zip(term_intervals(query.terms, joint), form.scales, strict=True):
        ulp = math.ulp(float(interval.bound)) * 2.0**scale
        found.append(0 if interval.integer else rows * (1 + ulps * ulp))
    return found


def is_close(got: Answer, expected: Answer, most: list[float]) -> bool:
    """Return whether an answer is as close as it must be."""
    rows = zip(got.table, expected.table, strict=True)
    return got.counts == expected.counts and all(
        abs(a - b) <= limit for ours, theirs in rows for a, b, limit in zip(ours, theirs, most, strict=True)
    )


@every_engine
def test_arithmetic_agrees_with_the_oracle_bit_for_bit(name: str) -> None:
    ends: Counter[str] = Counter()

    @settings(max_examples=60)
    @given(st.integers(0, 2**32))
    def agrees(seed: int) -> None:
        draw = Draw(seed, functions=False)
        asked, table = draw.queries(), draw.table(draw.choice((0, 1, 7, 40)))
        expected = oracle(asked, table)
        for answer in expected:
            ends["with rows" if any(row[0] for row in answer.table) else "without"] += 1
        with stored(table, as_file=draw.maybe(30)) as source:
            assert answered(name, asked, source) == expected

    agrees()
    assert min(ends["with rows"], ends["without"]) > 10, ends  # about 60 and 90 of 150


@every_engine
def test_functions_of_functions_agree_with_the_oracle(name: str) -> None:
    ends: Counter[str] = Counter()

    @settings(max_examples=60)
    @given(st.integers(0, 2**32))
    def agrees(seed: int) -> None:
        draw = Draw(seed, functions=True)
        asked, table = draw.queries(), draw.table(40)
        with stored(table, as_file=draw.maybe(30)) as source:
            both = zip(answered(name, asked, source), oracle(asked, table), strict=True)
        for query, (got, expected) in zip(asked, both, strict=True):
            ends["the same" if got == expected else "close"] += 1
            assert is_close(got, expected, allowed(query, JOINT, 40, ulps=32)), query  # an ulp grows on its way up

    agrees()
    assert ends["the same"] > 10, ends  # about 140 and 10 of 150


def tidied(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Return the rows in which these columns have a value, finite and in the own range."""
    kept = []
    for row in table.to_pylist():
        good = all(row[name] is not None and row[name] != "n/a" for name in names)
        for item in (OWN.column(name) for name in names):
            if good and item.low is not None and item.high is not None:
                good = math.isfinite(row[item.name]) and item.low <= row[item.name] <= item.high
        kept.append(good)
    return table.filter(pa.array(kept, pa.bool_()))


@every_engine
def test_what_an_engine_learned_of_columns_changes_no_answer(name: str) -> None:
    """It need not look again for what no row has; a column that it did not see whole it looks at as before."""
    ends: Counter[str] = Counter()

    @settings(max_examples=60)
    @given(st.integers(0, 2**32))
    def agrees(seed: int) -> None:
        draw = Draw(seed, functions=False)
        tidy = tuple(column for column in (*NUMBERS, GROUP, WHO) if draw.maybe(60))
        table = tidied(draw.table(120), tidy)
        asked = draw.queries()
        first = tuple(
            SumQuery(dataset="people", group_by=(Categories(GROUP),))
            if column == GROUP
            else SumQuery(dataset="people", per=Unit(WHO))
            if column == WHO
            else SumQuery(dataset="people", terms=(Col(column),))
            for column in (*NUMBERS, GROUP, WHO)
        )
        with stored(table, as_file=draw.maybe(30)) as source, ENGINES[name].open(OWN, source, threads=1) as engine:
            assert engine.sums(first, JOINT) == oracle(first, table)
            assert engine.sums(asked, JOINT) == oracle(asked, table)
            assert engine.sums(asked, JOINT) == oracle(asked, table)
            places = engine.places(asked, JOINT)
        ends["with rows" if len(table) > 5 else "without"] += 1
        assert all(len(each) == len(table) for each in places)

    agrees()
    assert ends["with rows"] > 20, ends


@every_engine
def test_a_value_that_a_condition_settled_is_not_taken_for_a_sound_one(name: str) -> None:
    """NaN beside a condition that holds anyway counts, and is left out where it is summed."""
    settled = SumQuery(dataset="people", terms=(((Col(WHOLE) < 99) | (Col(REAL) > 3)).indicator(),))
    summed = SumQuery(dataset="people", terms=(Col(REAL),))
    table = pa.table({
        WHO: ["a", "b"], WHOLE: [1, 2], REAL: [1.0, math.nan], SMALL: [0.5, 0.5], GROUP: ["north"] * 2, CODED: [1, 2]
    })  # fmt: skip
    with ENGINES[name].open(OWN, table, threads=1) as engine:
        for asked in ((settled,), (summed,), (summed,)):
            assert engine.sums(asked, JOINT) == oracle(asked, table)
    assert oracle((settled,), table)[0].table == ((2, 2),)


FUNCTIONS = {
    "exp": (-30, 30),
    "log": (1e-9, 1e9),
    "sqrt": (0, 1e9),
    "expit": (-40, 40),
    "expit far below": (-60, -20),
    "softplus": (-40, 40),
    "softplus far below": (-60, -20),
    "lgamma": (0.01, 170),
}


def one_column(column: Column) -> Dataset:
    return Dataset(name="one", title="", unit="row", k=1, columns=(column,))


@every_engine
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_agrees_with_the_oracle_to_two_ulp_a_row(name: str, function: str) -> None:
    low, high = FUNCTIONS[function]
    own = one_column(Column(name="x", kind=Kind.REAL, low=low, high=high))
    rows = 2_000
    table = pa.table({"x": np.linspace(low, high, rows)})
    query = SumQuery(dataset="one", terms=(Unary(function.split(maxsplit=1)[0], Col("x")),))
    expected = evaluate.answer(query, own, own, {"x": table["x"].to_numpy()})
    (got,) = answered(name, (query,), table, own)
    assert got.table[0][0] == rows
    assert is_close(got, expected, allowed(query, own, rows, ulps=2))


@every_engine
def test_queries_asked_together_are_answered_as_if_alone(name: str) -> None:
    draw = Draw(7, functions=True)
    table = draw.table(40)
    asked = tuple(query for _ in range(8) for query in draw.queries())
    assert len(asked) > 8
    alone = tuple(answer for query in asked for answer in answered(name, (query,), table))
    assert answered(name, asked, table) == alone
