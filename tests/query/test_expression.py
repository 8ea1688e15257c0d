"""Expressions are typed, bounded graphs in which a shared node costs once."""

from __future__ import annotations

import gc

import pytest

from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import (
    Binary,
    Clip,
    Col,
    Compare,
    Const,
    Expression,
    Gram,
    Indicator,
    Member,
    Missing,
    Not,
    Number,
    Power,
    Text,
    Unary,
    columns,
    ordered,
    total,
    written,
)
from federation.query.sorts import Sort, check
from tests.query.sample import JOINT

X, N, G = Col("x"), Col("n"), Col("g")


def chain(length: int) -> Expression:
    found: Expression = X
    for _ in range(length - 1):
        found = -found
    return found


def test_operators_build_nodes_and_lift_numbers() -> None:
    assert written((1 + X * 2 - N / 3) ** 2) == "((1 + (x * 2)) - (n / 3))**2"
    assert written((X < 3) & ~G.equals("a") | (N >= 2)) == "(((x < 3) and not (g == 'a')) or (n >= 2))"
    assert written(2 - X) == "(2 - x)"
    assert written(2 / X) == "(2 / x)"
    assert written(abs(X).log().exp().sqrt().expit().softplus().lgamma().clip(0, 1)).startswith("clip(lgamma(softplus(")
    assert written(G.differs("b").indicator()) == "[(g != 'b')]"


def test_nodes_compare_by_identity_and_have_no_truth_value() -> None:
    assert Col("x") != Col("x")
    assert len({Col("x"), Col("x")}) == 2
    with pytest.raises(Misuse, match="no truth value"):
        bool(X < 3)
    with pytest.raises(Misuse, match="no truth value"):
        _ = 1 < X < 3  # Python would silently keep only the second half


def test_a_shared_node_is_walked_once() -> None:
    found: Expression = X
    for _ in range(63):
        found = found + found
    assert len(ordered((found, found))) == 64
    assert len(written(found, most=100)) <= 110  # spelled out it has 2^63 columns
    assert len(repr(found)) <= 130


def test_parts_come_before_wholes_from_left_to_right() -> None:
    whole = (X + N) * X
    assert [type(node).__name__ for node in ordered((whole,))] == ["Col", "Col", "Binary", "Binary"]
    assert ordered((whole,))[0] is X
    assert columns((whole,)) == ("n", "x")


def test_depth_64_is_permitted_and_65_is_refused() -> None:
    assert len(ordered((chain(64),))) == 64
    with pytest.raises(Misuse, match="deeper than 64"):
        ordered((chain(65),))


def test_ten_thousand_nodes_are_permitted_and_one_more_is_refused() -> None:
    leaves = [Col("x") for _ in range(5_000)]
    assert len(ordered((total(leaves),))) == 9_999
    assert len(ordered((total(leaves), Const(1)))) == 10_000
    with pytest.raises(Misuse, match="10000 nodes"):
        ordered((total(leaves), Const(1), Const(2)))


@pytest.mark.parametrize("length", [1_000, 200_000])
def test_hostile_depth_is_a_typed_error_and_never_recursion(length: int) -> None:
    hostile = chain(length)
    with pytest.raises(Misuse):
        ordered((hostile,))
    with pytest.raises(Misuse):
        check(hostile, JOINT)
    with pytest.raises(Misuse):
        columns((hostile,))
    assert len(repr(hostile)) < 200
    del hostile
    gc.collect()


def test_a_balanced_total_of_hundreds_stays_shallow() -> None:
    items = [X * i for i in range(500)]
    assert len(ordered((total(items),))) == 1 + 2 * 500 + 499  # x, a constant and a product each, and the sums
    assert written(total([])) == "0"
    assert total([X]) is X


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**62, -(2**62), True, "3", None, 1j])
def test_a_number_that_no_node_may_hold_is_refused(value: Number) -> None:
    for build in (Const, lambda v: Clip(X, v, v), lambda v: X + v):
        if isinstance(value, str) and build is not Const:
            continue  # a text lifts to a category, which check refuses
        with pytest.raises(Misuse):
            build(value)


def test_integers_stay_integers_and_minus_zero_is_zero() -> None:
    assert isinstance(Const(2**62 - 1).value, int)
    assert isinstance(Const(2.0).value, float)
    assert str(Const(-0.0).value) == "0.0"
    assert str(Member(X, (-0.0,)).values[0]) == "0.0"


@pytest.mark.parametrize(
    "build",
    [
        lambda: Binary("%", X, X),
        lambda: Unary("sin", X),
        lambda: Compare("=", X, X),
        lambda: Compare("is", X, X),
        lambda: X**-1,
        lambda: X**65,
        lambda: Power(X, True),
        lambda: Power(X, 2.0),  # type: ignore[arg-type]
        lambda: X.clip(2, 1),
        lambda: Member(X, ()),
        lambda: Member(X, [1]),  # type: ignore[arg-type]
        lambda: Member(X, tuple(range(4_097))),
        lambda: Member(X + 1, (1,)),  # type: ignore[arg-type]
        lambda: Missing(X + 1),  # type: ignore[arg-type]
        lambda: Not("x"),  # type: ignore[arg-type]
        lambda: Gram(Const(1), ()),
        lambda: Gram(Const(1), [X]),  # type: ignore[arg-type]
        lambda: Gram(1, (X,)),  # type: ignore[arg-type]
        lambda: Col(""),
        lambda: Col("\ud800"),
        lambda: Text("\udfff"),
        lambda: Col(3),  # type: ignore[arg-type]
    ],
)
def test_a_node_that_has_no_meaning_is_not_built(build: object) -> None:
    with pytest.raises(Misuse):
        build()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("expression", "sort"),
    [
        (X + N, Sort.NUMBER),
        ((X < N).indicator(), Sort.NUMBER),
        (X < N, Sort.TRUTH),
        (G.equals("it's"), Sort.TRUTH),
        (Member(G, ("a", "b")), Sort.TRUTH),
        (Member(N, (1, 2.5)), Sort.TRUTH),
        (Missing(G) | ~Missing(X), Sort.TRUTH),
    ],
)
def test_what_has_a_meaning_has_a_sort(expression: Expression, sort: Sort) -> None:
    assert check(expression, JOINT) is sort


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (Col("xx"), "no column 'xx'"),
        (Col("id"), "identifies units"),
        (Missing(Col("id")), "identifies units"),
        (Col("id").equals("p"), "identifies units"),
        (G, "is a category, not a number or a condition"),
        (Text("a"), "is a text"),
        (G + 1, "is a category where a number is needed"),
        ((X < 1) + 1, "is a condition where a number is needed"),
        (G < "a", "expected a number|no order"),
        (Compare("<", G, Text("a")), "no order"),
        (G.equals("A"), "no category 'A'"),
        (G.equals(1), "quoted category"),
        (G.equals(G), "quoted category"),
        (Compare("==", Text("a"), G), "quoted category"),
        (X.equals("a"), "compare it without quotes"),
        (Member(G, ("a", 1)), "quoted categories only"),
        (Member(X, (1, "a")), "numbers only"),
        (Member(G, ("zz",)), "no category 'zz'"),
        (~X, "is a number where a condition is needed"),
        (X & (X < 1), "is a number where a condition is needed"),
        (Indicator(X), "is a number where a condition is needed"),
        ((X < 1) < (X < 2), "is a condition where a number is needed"),
        (Expression(), "not a node"),
    ],
    ids=str,
)
def test_what_has_no_meaning_over_the_catalogue_is_refused(expression: Expression, why: str) -> None:
    with pytest.raises(Misuse, match=why):
        check(expression, JOINT)


def test_an_unknown_column_is_answered_with_the_nearest_name() -> None:
    flights = Dataset(name="d", title="", unit="flight", columns=JOINT.columns)
    with pytest.raises(Misuse) as caught:
        check(Col("idd") + 1, flights)
    assert "did you mean 'id'?" in str(caught.value)


def test_an_error_never_lists_the_published_categories() -> None:
    with pytest.raises(Misuse) as caught:
        check(G.equals("zz"), JOINT)
    assert "it's" not in str(caught.value)
