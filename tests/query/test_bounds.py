"""Interval arithmetic over declared ranges holds every value, and scales never overflow 64 bits."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query import bounds, nodes
from federation.query.bounds import Interval, interval, intervals, scale, term_intervals
from federation.query.expression import Col, Const, Expression, Gram, total, written
from federation.query.rows import read
from tests.query.sample import JOINT, numbers

X, Z, N, B, G = Col("x"), Col("z"), Col("n"), Col("b"), Col("g")  # [-4, 8], [1, 2], -5..10, -2^40..2^40
GRID = list(
    itertools.product(
        (-4.0, -1.75, -1.0, -5e-324, 0.0, 5e-324, 0.3, 1.0, 2.0, 8.0),
        (1.0, 1.4616321449683623, 2.0),
        (-5, -1, 0, 1, 7, 10),
        (-(2**40), -1, 0, 1, 2**40),
    )
)
COLUMNS = {name: np.array([row[i] for row in GRID]) for i, name in enumerate("xznb")}
ROWS = read(JOINT, {**COLUMNS, "g": np.array(["a", "b", "it's"] * len(GRID))[: len(GRID)]}, ("b", "g", "n", "x", "z"))


def outside(expression: Expression) -> str:
    """Return "" if every finite value of every node lies in its interval, else what does not."""
    known = intervals((expression,), JOINT)
    found = nodes.evaluated((expression,), ROWS, len(GRID), lambda node: known[id(node)].integer)
    for node in bounds.ordered((expression,)):
        value, of = found[id(node)], known[id(node)]
        if not isinstance(value, nodes.Known) or value.value.dtype == object:
            continue
        finite = value.value[value.ok].tolist()
        if of.integer and value.value.dtype != np.int64:
            return f"{written(node)} is not computed in integers"
        if any(not of.low <= v <= of.high for v in finite):
            return f"{written(node)} leaves [{of.low}, {of.high}]"
        if of.integer and of.bound >= 2**62:
            return f"{written(node)} may overflow"
        if abs(max(finite, key=abs, default=0)) * 2.0 ** scale(of) > 2.0**62:
            return f"{written(node)} has no headroom"
    return ""


def search(endings: Counter[str], examples: int = 400) -> None:
    """Draw expressions; every ending is counted, a value outside its interval fails."""

    @settings(max_examples=examples, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    @given(numbers())
    def check(expression: Expression) -> None:
        try:
            of = interval(expression, JOINT)
        except Misuse:
            endings["no finite bound"] += 1
            return
        said = outside(expression)
        assert not said, said
        endings["integer" if of.integer else "real"] += 1

    check()


def test_no_finite_value_ever_leaves_its_interval() -> None:
    endings: Counter[str] = Counter()
    search(endings)
    assert endings["integer"] >= 40
    assert endings["real"] >= 100
    assert endings["no finite bound"] >= 10


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("_raised", lambda end, exponent: end * exponent),
        ("_log", lambda low, high: Interval(0.0, math.log(high) if high > 0 else 0.0, integer=False)),
        ("_hull", lambda op, left, right: Interval(float(left.low), float(right.high), integer=False)),
        ("_quotient", lambda left, right: Interval(float(left.low), float(left.high), integer=False)),
    ],
)
def test_a_planted_fault_in_the_arithmetic_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: Callable[..., object]
) -> None:
    monkeypatch.setattr(bounds, name, fault)
    with pytest.raises(AssertionError, match=r"leaves|headroom|integers"):
        search(Counter(), examples=1000)


@pytest.mark.parametrize(
    ("expression", "low", "high", "integer"),
    [
        (X + 1, -3.0, 9.0, False),
        (N * 2 - 1, -11, 19, True),
        (N**2, 0, 100, True),
        (N**3, -125, 1000, True),
        (N**0, 1, 1, True),
        (-N, -10, 5, True),
        (abs(N), 0, 10, True),
        (abs(N - 20), 10, 25, True),
        (abs(X), 0.0, 8.0, False),
        (N.clip(0, 5), 0, 5, True),
        (N.clip(0.0, 5), 0.0, 5.0, False),
        (X.clip(20, 30), 20.0, 20.0, False),
        (N / 2, -2.5, 5.0, False),
        (1 / N, -1.0, 1.0, False),
        (6 / N.clip(0, 3), 2.0, 6.0, False),
        (X / Z, -4.0, 8.0, False),
        ((X < 1).indicator(), 0, 1, True),
        ((X < 1).indicator() * N, -5, 10, True),
        (N * 1.0, -5.0, 10.0, False),
    ],
    ids=str,
)
def test_intervals_are_the_textbook_ones(expression: Expression, low: float, high: float, integer: bool) -> None:
    found = interval(expression, JOINT)
    assert (found.low, found.high, found.integer) == (low, high, integer)


@pytest.mark.parametrize(
    ("expression", "low", "high"),
    [
        (X.exp(), math.exp(-4), math.exp(8)),
        (Z.log(), 0.0, math.log(2)),
        (N.log(), 0.0, math.log(10)),  # integers above zero begin at one
        (X.log(), math.log(5e-324), math.log(8)),  # what is not above zero is excluded
        (X.sqrt(), 0.0, math.sqrt(8)),
        (X.expit(), 1 / (1 + math.exp(4)), 1 / (1 + math.exp(-8))),
        (X.softplus(), math.log1p(math.exp(-4)), 8 + math.log1p(math.exp(-8))),
        (Z.lgamma(), -0.1214862905358497, 0.0),
        (N.lgamma(), -0.1214862905358497, math.lgamma(10)),
        (X**2, 0.0, 64.0),
    ],
    ids=str,
)
def test_functions_are_bounded_tightly(expression: Expression, low: float, high: float) -> None:
    found = interval(expression, JOINT)
    assert found.low <= low + 1e-300
    assert found.high >= high
    assert found.low == pytest.approx(low, rel=1e-13, abs=1e-15)
    assert found.high == pytest.approx(high, rel=1e-13, abs=1e-14)
    assert not found.integer


@pytest.mark.parametrize(
    "expression",
    [1 / X, X / (Z - 1), X / 0, X / (N * 1e19), (X * 1000).exp(), (-abs(X)).log(), (X - 10).sqrt(), (X - 9).lgamma(),
     (Const(1e300) * X) ** 2, Const(1e300) / Const(1e-300)],
    ids=str,
)  # fmt: skip
def test_a_term_without_a_finite_bound_is_refused_by_name(expression: Expression) -> None:
    with pytest.raises(Misuse, match="no finite bound") as caught:
        interval(expression + 1, JOINT)
    assert "clip" in caught.value.hint


def test_a_part_of_a_gram_without_a_finite_bound_is_refused() -> None:
    with pytest.raises(Misuse, match="no finite bound"):
        term_intervals((Gram(Const(1e200), (X * 1e200,)),), JOINT)


def test_integers_are_promoted_where_they_may_reach_two_to_the_62() -> None:
    b = interval(B, JOINT)
    assert b.integer
    assert b.bound == 2**40
    assert interval(B * 2**21, JOINT).integer
    assert not interval(B * 2**22, JOINT).integer  # exactly 2^62
    assert interval(B * (2**22 - 1), JOINT).integer
    assert interval(B * (2**21) + B * (2**21 - 1), JOINT).integer
    assert not interval(B * 2**21 + B * 2**21, JOINT).integer
    assert not interval(B**2, JOINT).integer
    assert not interval((B**2).clip(0, 1), JOINT).integer
    assert interval(Const(2**62 - 1), JOINT).integer
    wide = Dataset(name="w", title="", unit="", columns=(Column(name="c", kind=Kind.INTEGER, low=0, high=2**62),))
    assert not interval(Col("c"), wide).integer


def test_a_range_of_an_integer_column_shrinks_to_integers() -> None:
    halves = Dataset(name="w", title="", unit="", columns=(Column(name="c", kind=Kind.INTEGER, low=-1.5, high=2.5),))
    assert interval(Col("c"), halves) == Interval(-1, 2, integer=True)


@pytest.mark.parametrize(
    ("bound", "s"),
    [
        (1.0, 60), (4.0, 60), (math.nextafter(4.0, 5), 59), (8.0, 59), (7.999, 59), (2.0**61, 1), (2.0**62, 0),
        (math.nextafter(2.0**62, math.inf), -1), (1e300, 62 - 997), (5e-324, 60), (0.0, 60),
    ],
)  # fmt: skip
def test_scale_leaves_headroom_to_the_last_bit(bound: float, s: int) -> None:
    assert scale(Interval(-bound, 0.0, integer=False)) == s
    assert scale(Interval(0.0, bound, integer=False)) == s
    assert math.ldexp(bound, s) <= 2.0**62


def test_integers_are_never_scaled() -> None:
    assert scale(interval(N, JOINT)) == 0
    assert scale(Interval(0, 0, integer=True)) == 0
    assert scale(Interval(0, 2**62 - 1, integer=True)) == 0


def test_a_gram_is_spelled_out_by_rows_of_its_upper_triangle() -> None:
    found = term_intervals((X, Gram(N, (Const(1), X, N))), JOINT)
    products = [X, N * 1 * 1, N * 1 * X, N * 1 * N, N * X * X, N * X * N, N * N * N]
    assert found == tuple(interval(product, JOINT) for product in products)
    assert [of.integer for of in found] == [False, True, False, True, False, False, True]


def test_a_column_without_a_range_is_refused_by_name() -> None:
    for low, high in ((None, None), (0, None), (0.0, math.inf), (math.nan, 1.0), (2, 1)):
        bare = Dataset(name="w", title="", unit="", columns=(Column(name="c", kind=Kind.REAL, low=low, high=high),))
        with pytest.raises(Misuse, match="column 'c'"):
            interval(Col("c"), bare)


def test_bounds_come_from_no_library_that_differs_between_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = (X.exp(), Z.log(), X.expit(), X.softplus(), Z.lgamma(), X**5, X.sqrt())
    before = term_intervals(terms, JOINT)
    assert float(before[0].high).hex() == "0x1.749ea7d470c85p+11"  # exp(8), widened by 2^-48

    def forbidden(*_: object) -> float:
        raise AssertionError("a bound came from libm")

    for name in ("exp", "log", "log1p", "expm1", "lgamma", "gamma", "pow", "log2"):
        monkeypatch.setattr(math, name, forbidden)
    assert term_intervals(terms, JOINT) == before


def test_hundreds_of_shared_nodes_cost_once() -> None:
    doubled: Expression = X / 16
    for _ in range(50):
        doubled = doubled * doubled
    assert interval(doubled, JOINT).bound <= 1
    assert interval(total([X] * 1000), JOINT).bound == 8000


def test_categories_and_conditions_have_no_range_of_their_own() -> None:
    assert interval(G.equals("a").indicator(), JOINT) == Interval(0, 1, integer=True)
