"""A query has one shape, whoever reads it."""

from __future__ import annotations

import pytest

from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import Col, Const, Expression, Gram, Missing, total
from federation.query.query import (
    Argmin,
    Bins,
    Categories,
    CountName,
    SumQuery,
    Unit,
    axis_size,
    check,
    counts,
    reasons,
    roots,
    shape,
    used,
)
from tests.query.sample import JOINT

X, N, G = Col("x"), Col("n"), Col("g")


def test_the_shape_multiplies_axes_and_spells_out_grams() -> None:
    query = SumQuery(
        dataset="d",
        group_by=(Categories("g"), Bins(X, (0, 1, 2)), Argmin((X, N))),
        terms=(N, Gram(Const(1), (Const(1), X, N)), X),
    )
    found = shape(query, JOINT)
    assert found.cells == 3 * 4 * 2
    assert found.terms == 1 + 6 + 1
    assert found.scales == (0, 0, 59, 0, 56, 55, 0, 59)
    assert found.rows == found.cells + len(found.counts)
    assert found.numbers == found.cells * 9 + len(found.counts)


def test_a_query_without_anything_counts_rows() -> None:
    found = shape(SumQuery(dataset="d"), JOINT)
    assert (found.cells, found.terms, found.scales) == (1, 0, ())
    assert found.counts == (CountName("non-finite", "", ""),)


def test_counts_follow_columns_in_name_order_and_reasons_in_declared_order() -> None:
    query = SumQuery(dataset="d", where=Col("z") > 1, per=Unit("id"), group_by=(Categories("g"),), terms=(X + N,))
    assert used(query) == ("g", "id", "n", "x")  # what only `where` reads is not used
    assert counts(query, JOINT) == (
        CountName("missing", "g", "null"),
        CountName("missing", "g", "unknown"),
        CountName("missing", "id", "null"),
        CountName("missing", "n", "null"),
        CountName("clipped", "n", ""),
        CountName("missing", "x", "null"),
        CountName("missing", "x", "refused"),
        CountName("missing", "x", "unknown"),
        CountName("clipped", "x", ""),
        CountName("non-finite", "", ""),
    )


def test_a_reason_that_several_codes_share_is_counted_once() -> None:
    assert reasons(()) == ("null",)
    assert reasons((("-9", "refused"), ("-8", "null"), ("-7", "refused"), ("", "lost"))) == ("null", "refused", "lost")


def test_roots_are_axes_and_terms_from_left_to_right() -> None:
    gram = Gram(Const(1), (X, N))
    query = SumQuery(dataset="d", group_by=(Categories("g"), Bins(X, (0, 1)), Argmin((N, X))), terms=(gram, N))
    assert roots(query) == (X, N, X, gram.weight, X, N, N)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (SumQuery(dataset="e"), "data set 'e'"),
        (SumQuery(dataset="d", where=X), "is a number where a condition is needed"),
        (SumQuery(dataset="d", where=G), "is a category where a condition is needed"),
        (SumQuery(dataset="d", terms=(X > 1,)), "is a condition where a number is needed"),
        (SumQuery(dataset="d", terms=(G,)), "is a category where a number is needed"),
        (SumQuery(dataset="d", terms=(Col("id"),)), "identifies units"),
        (SumQuery(dataset="d", where=Col("id") > 1), "identifies units"),
        (SumQuery(dataset="d", terms=(Gram(X > 1, (X,)),)), "is a condition where a number is needed"),
        (SumQuery(dataset="d", terms=(Gram(Const(1), (X, G)),)), "is a category where a number is needed"),
        (SumQuery(dataset="d", group_by=(Bins(G, (0, 1)),)), "is a category where a number is needed"),
        (SumQuery(dataset="d", group_by=(Argmin((X > 1, X)),)), "is a condition where a number is needed"),
        (SumQuery(dataset="d", group_by=(Categories("n"),)), "is integer, not a category"),
        (SumQuery(dataset="d", group_by=(Categories("id"),)), "is identifier, not a category"),
        (SumQuery(dataset="d", group_by=(Categories("gg"),)), "no column 'gg'"),
        (SumQuery(dataset="d", per=Unit("g")), "is none"),
        (SumQuery(dataset="d", per=Unit("n")), "is none"),
        (SumQuery(dataset="d", per=Unit("who")), "no column 'who'"),
        (SumQuery(dataset="d", terms=(Missing(X).indicator(),)), "excluded before terms"),
        (SumQuery(dataset="d", group_by=(Bins((~Missing(G)).indicator(), (0, 1)),)), "excluded before terms"),
        (SumQuery(dataset="d", terms=(1 / X,)), "no finite bound"),
        (SumQuery(dataset="d", group_by=(Bins(1 / X, (0, 1)),)), "no finite bound"),
        (SumQuery(dataset="d", terms=((1 / X > 0).indicator(),)), "no finite bound"),
    ],
)
def test_a_query_without_a_meaning_is_refused(query: SumQuery, why: str) -> None:
    with pytest.raises(Misuse, match=why):
        shape(query, JOINT)


def test_missing_is_asked_in_where_also_when_terms_share_its_column() -> None:
    check(SumQuery(dataset="d", where=Missing(X) | (X > 1), terms=(X,)), JOINT)


@pytest.mark.parametrize(
    "edges", [(), (1,), (1, 1), (2, 1), (0, 1, 1), (0, float("nan")), (0, float("inf")), (0, True), (0.0, -0.0)]
)
def test_edges_that_do_not_increase_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(Misuse):
        Bins(X, edges)


def test_an_argmin_of_nothing_is_refused() -> None:
    with pytest.raises(Misuse):
        Argmin(())


def test_axes_have_the_sizes_of_the_contract() -> None:
    assert axis_size(Categories("g"), JOINT) == 3
    assert axis_size(Bins(X, (0, 1)), JOINT) == 3
    assert axis_size(Bins(X, tuple(range(11))), JOINT) == 12
    assert axis_size(Argmin((X, N, X)), JOINT) == 3


def test_a_million_numbers_are_the_most() -> None:
    edges = tuple(range(99_998))
    wide = SumQuery(dataset="d", group_by=(Bins(N, edges),), terms=(N,) * 8)
    assert shape(wide, JOINT).numbers == 99_999 * 9 + 3
    with pytest.raises(Misuse, match="at most 1000000 numbers"):
        shape(SumQuery(dataset="d", group_by=(Bins(N, edges),), terms=(N,) * 10), JOINT)
    with pytest.raises(Misuse, match="at most 1000000 numbers"):
        shape(SumQuery(dataset="d", group_by=(Bins(N, edges), Bins(X, edges))), JOINT)
    with pytest.raises(Misuse, match="at most 1000000 numbers"):
        shape(SumQuery(dataset="d", terms=(Gram(Const(1), tuple(Const(i) for i in range(2_000))),)), JOINT)


def test_the_limit_of_nodes_holds_for_the_whole_query() -> None:
    def many(count: int) -> Expression:
        return total([Col("x") for _ in range(count)])

    half = (many(2_000), many(2_000))
    assert shape(SumQuery(dataset="d", where=many(1_000) > 0, terms=half), JOINT).terms == 2
    with pytest.raises(Misuse, match="nodes"):
        shape(SumQuery(dataset="d", where=many(1_001) > 0, terms=half), JOINT)


def test_a_data_set_without_categories_has_no_cells() -> None:
    bare = Dataset(name="d", title="", unit="", columns=(Column(name="g", kind=Kind.CATEGORY),))
    assert shape(SumQuery(dataset="d", group_by=(Categories("g"),)), bare).cells == 0
