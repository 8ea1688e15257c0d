"""Plans side by side: equal queries are asked once, and a failing plan fails alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from federation.analytics.plan import Done, Failure, Plan, together
from federation.errors import Misuse, Refused
from federation.query.expression import Col, Const
from federation.query.query import SumQuery, Totals


def query(column: str) -> SumQuery:
    return SumQuery(dataset="people", terms=(Col(column),))


def totals(number: int) -> Totals:
    return Totals(table=((number,),), counts=(), withheld=(0,), withheld_counts=(), parties=3, closed=(False,))


def asks(*columns: str) -> Plan[tuple[int, ...]]:
    """Ask one column after the other, a round each; return what came."""
    found = []
    for column in columns:
        (total,) = yield (query(column),)
        found.append(total.table[0][0])
    return tuple(found)


def asks_at_once(*columns: str) -> Plan[tuple[int, ...]]:
    totals = yield tuple(query(column) for column in columns)
    return tuple(total.table[0][0] for total in totals)


def fails(rounds: int, error: BaseException) -> Plan[None]:
    for _ in range(rounds):
        yield (query("x"),)
    raise error


def asks_nothing() -> Plan[None]:
    yield ()


def driven(plans: Sequence[Plan[object]]) -> tuple[list[int], tuple[object, ...]]:
    """Return how many queries each round asked, and the outcomes; a column's total is the code of its name."""
    plan, asked = together(plans), []
    try:
        queries = next(plan)
        while True:
            asked.append(len(queries))
            queries = plan.send(tuple(totals(ord(each.terms[0].name)) for each in queries))  # type: ignore[union-attr]
    except StopIteration as end:
        return asked, end.value


def test_queries_with_equal_bytes_are_asked_once_and_everybody_gets_its_total() -> None:
    asked, outcomes = driven([asks_at_once("x", "y"), asks("y", "x"), asks_at_once("z", "x", "z")])
    assert asked == [3, 1]
    x, y, z = map(ord, "xyz")
    assert outcomes == (Done(result=(x, y)), Done(result=(y, x)), Done(result=(z, x, z)))


def test_a_merge_that_does_not_compare_bytes_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from federation.analytics import plan

    monkeypatch.setattr(plan, "canonical", lambda query: str(id(query)).encode())
    asked, _ = driven([asks("x"), asks("x")])
    assert asked != [1], "the planted fault asks twice"


def test_a_failing_plan_hurts_nobody_else() -> None:
    failing = [
        fails(0, Misuse("no such column", hint="try y")),
        fails(1, Refused("closed", rule="contributors", hint="widen")),
        fails(1, ZeroDivisionError("12345 is a total")),
        asks_nothing(),
    ]
    asked, outcomes = driven([failing[0], asks("x", "y"), *failing[1:]])
    assert asked == [1, 1]
    assert outcomes[0] == Failure(code="misuse", message="no such column", hint="try y")
    assert outcomes[1] == Done(result=(ord("x"), ord("y")))
    assert outcomes[2] == Failure(code="refused", message="closed", hint="widen", rule="contributors")
    assert outcomes[3] == Failure(code="internal", message="the statistic failed with ZeroDivisionError")
    assert isinstance(outcomes[4], Failure)


def test_a_defect_says_its_kind_and_no_total() -> None:
    _, outcomes = driven([fails(1, KeyError(98765))])
    assert "98765" not in repr(outcomes)


def test_what_differs_between_machines_is_no_outcome() -> None:
    with pytest.raises(MemoryError):
        driven([fails(1, MemoryError())])


def test_a_query_without_canonical_bytes_fails_its_own_plan() -> None:
    term = Const(1)
    for _ in range(100):
        term = term + 1  # type: ignore[assignment]  # deeper than a query may be

    def deep() -> Plan[None]:
        yield (SumQuery(dataset="people", terms=(term,)),)

    _, outcomes = driven([deep(), asks("x")])
    assert isinstance(outcomes[0], Failure)
    assert outcomes[1] == Done(result=(ord("x"),))


def test_no_plans_come_to_no_outcomes() -> None:
    assert driven([]) == ([], ())


def test_closing_closes_every_plan() -> None:
    closed = []

    def watched() -> Plan[None]:
        try:
            yield (query("x"),)
        finally:
            closed.append(True)

    plan = together([watched(), watched()])
    next(plan)
    plan.close()
    assert closed == [True, True]
