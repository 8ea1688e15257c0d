"""A row query says which columns of which rows are read at home, and nothing that identifies anybody."""

from __future__ import annotations

import pytest

from federation.errors import Misuse
from federation.query import predicate
from federation.query.expression import Col, Compare, Expression, Text
from federation.query.query import CountName
from federation.query.row_query import MOST_COLUMNS, RowQuery, alike, canonical, check, counts, digest
from tests.query.sample import JOINT


def query(*columns: str, where: Expression | None = None, dataset: str = "d") -> RowQuery:
    return RowQuery(dataset=dataset, where=where, columns=columns)


def test_columns_are_described_in_the_order_of_the_query() -> None:
    assert [column.name for column in check(query("n", "g", "x"), JOINT)] == ["n", "g", "x"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (query("x", "id"), "identifies who is counted"),
        (query("x", "m"), "no column 'm'"),
        (query("x", "x"), "read twice"),
        (query(), "1 to 10,000 columns, not 0"),
        (query(*(f"x{i}" for i in range(MOST_COLUMNS + 1))), "not 10,001"),
        (query("x", where=Col("x")), "where a condition is needed"),
        (query("x", where=Compare("==", Col("id"), Text("p1"))), "id"),
        (query("x", dataset="e"), "data set 'e'"),
    ],
)
def test_a_query_without_a_meaning_is_refused(asked: RowQuery, message: str) -> None:
    with pytest.raises(Misuse, match=message):
        check(asked, JOINT)


def test_counts_are_those_of_a_sum_over_the_same_columns() -> None:
    asked = query("x", "g", where=Col("n") > 1)
    assert alike(asked, JOINT).where is asked.where
    assert counts(asked, JOINT) == (
        CountName("missing", "g", "null"),
        CountName("missing", "g", "unknown"),
        CountName("missing", "x", "null"),
        CountName("missing", "x", "refused"),
        CountName("missing", "x", "unknown"),
        CountName("clipped", "x", ""),
        CountName("non-finite", "", ""),
    )


def test_queries_with_the_same_bytes_are_equal_and_every_part_changes_them() -> None:
    where = predicate.parse("n > 1", JOINT)
    one = query("x", "n", where=where)
    assert one == query("x", "n", where=Col("n") > 1)
    assert hash(one) == hash(query("x", "n", where=Col("n") > 1))
    others = [query("n", "x", where=where), query("x", "n"), query("x", where=where), query("xn", where=where)]
    others.append(query("x", "n", where=where, dataset="e"))
    assert len({canonical(each) for each in (one, *others)}) == 6
    assert len({digest(each) for each in (one, *others)}) == 6
    assert one != "x"


def test_one_name_cannot_be_taken_for_two() -> None:
    """A planted fault: names that are joined without their lengths would have the same bytes."""
    assert canonical(query("ab", "c")) != canonical(query("a", "bc"))


def test_a_name_has_the_same_bytes_however_it_is_composed() -> None:
    assert digest(query("caf\u00e9")) == digest(query("cafe\u0301"))
