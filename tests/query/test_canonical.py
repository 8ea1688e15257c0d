"""Equal queries have equal bytes, whatever their objects; different queries never do."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import Misuse
from federation.query import query as module
from federation.query.expression import Clip, Col, Const, Expression, Gram, Member, Missing, Power, ordered, total
from federation.query.query import Argmin, Axis, Bins, Categories, SumQuery, Unit, canonical, digest
from tests.query.sample import conditions, numbers

X, N, G = Col("x"), Col("n"), Col("g")


def unshared(node: Expression) -> Expression:
    """Return the same tree with every part spelled out as a node of its own."""
    fields = dataclasses.fields(node)  # type: ignore[arg-type]
    held = [getattr(node, field.name) for field in fields]
    return type(node)(*(unshared(value) if isinstance(value, Expression) else value for value in held))


def shared(roots: list[Expression]) -> list[Expression]:
    """Return the same trees with every equal part one node (a second hash-consing, by repeated comparison)."""
    pool: dict[tuple[Any, ...], Expression] = {}
    found: dict[int, Expression] = {}
    for node in ordered(roots):
        held = [getattr(node, field.name) for field in dataclasses.fields(node)]  # type: ignore[arg-type]
        held = [found[id(value)] if isinstance(value, Expression) else value for value in held]
        key = (type(node).__name__, *(id(v) if isinstance(v, Expression) else repr(v) for v in held))
        found[id(node)] = pool.setdefault(key, type(node)(*held))
    return [found[id(root)] for root in roots]


def asked(where: Expression, a: Expression, b: Expression) -> SumQuery:
    return SumQuery(
        dataset="d",
        where=where,
        per=Unit("id"),
        group_by=(Categories("g"), Bins(a, (0, 1)), Argmin((a, b))),
        terms=(a, b, Gram(a, (a, b))),
    )


def test_structurally_equal_graphs_have_equal_bytes_however_they_share() -> None:
    endings: Counter[str] = Counter()

    @settings(max_examples=150, derandomize=True)
    @given(conditions(), numbers(), numbers())
    def check(where: Expression, a: Expression, b: Expression) -> None:
        one = asked(where, a, b)
        spelled = asked(unshared(where), unshared(a), unshared(b))
        folded = asked(*shared([where, a, b]))
        assert canonical(one) == canonical(spelled) == canonical(folded)
        assert one == spelled
        assert hash(one) == hash(folded)
        fewer = len(ordered(shared([where, a, b]))) < len(ordered(map(unshared, (where, a, b))))
        endings["something was shared" if fewer else "nothing was shared"] += 1

    check()
    assert endings["something was shared"] >= 50
    assert endings["nothing was shared"] >= 5


def test_two_graphs_that_differ_in_one_place_have_different_bytes() -> None:
    endings: Counter[str] = Counter()

    @settings(max_examples=200, derandomize=True)
    @given(numbers(), numbers())
    def check(a: Expression, b: Expression) -> None:
        same = shared([a, b])
        equal = same[0] is same[1]
        endings["equal" if equal else "different"] += 1
        assert (canonical(SumQuery(dataset="d", terms=(a,))) == canonical(SumQuery(dataset="d", terms=(b,)))) is equal

    check()
    assert endings["equal"] >= 3
    assert endings["different"] >= 100


def test_bytes_are_linear_in_a_graph_whose_tree_is_exponential() -> None:
    doubled: Expression = X
    for _ in range(60):
        doubled = doubled * doubled
    assert len(canonical(SumQuery(dataset="d", terms=(doubled,)))) < 60 * 40


def different() -> list[SumQuery]:
    """Return queries of which no two mean the same."""
    terms: list[Any] = [
        X, N, X + N, N + X, X - N, X * N, X / N, X**2, X**3, -X, X.exp(), X.log(), X.clip(0, 1), X.clip(0.0, 1),
        X.clip(0, 2), Const(1), Const(1.0), Const(-1), Const(2**61), Const(2.0**61), (X < N).indicator(),
        (X <= N).indicator(), (~(X < N)).indicator(), G.equals("a").indicator(), G.differs("a").indicator(),
        G.equals("b").indicator(), Member(G, ("a", "b")).indicator(), Member(G, ("b", "a")).indicator(),
        Member(G, ("a",)).indicator(), Member(G, ("ab",)).indicator(), Member(X, (1,)).indicator(),
        Member(X, (1.0,)).indicator(), ((X < 1) & (N < 1)).indicator(), ((X < 1) | (N < 1)).indicator(),
        Gram(Const(1), (X,)), Gram(Const(1), (X, N)), Gram(Const(1), (N, X)), Gram(X, (Const(1),)), Col("x "),
        Col("n" * 256), Power(X, 0), Clip(X, -1, 1), (X + N) + X, X + (N + X),
    ]  # fmt: skip
    axes: list[Axis] = [
        Categories("g"), Categories("h"), Bins(X, (0, 1)), Bins(X, (0.0, 1)), Bins(X, (0, 1, 2)), Bins(N, (0, 1)),
        Argmin((X, N)), Argmin((N, X)), Argmin((X,)),
    ]  # fmt: skip
    found = [SumQuery(dataset="d", terms=(term,)) for term in terms]
    found += [SumQuery(dataset="d", group_by=(axis,)) for axis in axes]
    found += [
        SumQuery(dataset="d"),
        SumQuery(dataset="e"),
        SumQuery(dataset="d", per=Unit("id")),
        SumQuery(dataset="d", where=X < 1),
        SumQuery(dataset="d", where=X < 2),
        SumQuery(dataset="d", where=Missing(X)),
        SumQuery(dataset="d", where=X < 1, terms=(X,)),
        SumQuery(dataset="d", terms=(X, X)),
        SumQuery(dataset="d", terms=(X, N)),
        SumQuery(dataset="d", terms=(N, X)),
        SumQuery(dataset="d", group_by=(Categories("g"), Categories("h"))),
        SumQuery(dataset="d", group_by=(Categories("h"), Categories("g"))),
        SumQuery(dataset="d", group_by=(Bins(X, (0, 1)),), terms=(X,)),
    ]
    return found


def test_no_two_of_the_queries_that_differ_have_equal_bytes() -> None:
    seen = [canonical(query) for query in different()]
    assert len(set(seen)) == len(seen) == 66


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("_value", lambda value: str(float(value)).encode() if not isinstance(value, str) else value.encode()),
        ("_sized", lambda value: value),  # texts run into each other
        ("_head", lambda node: type(node).__name__.encode()),  # a node forgets its own values
    ],
)
def test_a_planted_fault_in_the_bytes_makes_two_queries_equal(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: Callable[[Any], bytes]
) -> None:
    monkeypatch.setattr(module, name, fault)
    seen = [canonical(query) for query in different()]
    if name == "_sized":
        seen += [
            canonical(SumQuery(dataset="d", terms=(Member(G, values).indicator(),)))
            for values in (("as", "b"), ("a", "sb"))
        ]
    assert len(set(seen)) < len(seen)


def test_texts_are_compared_in_one_normal_form() -> None:
    composed, apart = unicodedata.normalize("NFC", "école"), unicodedata.normalize("NFD", "école")
    assert composed != apart
    assert canonical(SumQuery(dataset="d", terms=(Col(composed),))) == canonical(
        SumQuery(dataset="d", terms=(Col(apart),))
    )
    one = SumQuery(dataset="d", where=G.equals(composed))
    assert one == SumQuery(dataset="d", where=G.equals(apart))
    assert one != SumQuery(dataset="d", where=G.equals("ecole"))


@settings(max_examples=50, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_keeps_its_bits_but_minus_zero(value: float) -> None:
    same = canonical(SumQuery(dataset="d", terms=(Const(value),))) == canonical(
        SumQuery(dataset="d", terms=(Const(0.0),))
    )
    assert same is (value == 0)


def test_a_graph_beyond_the_limits_has_no_bytes() -> None:
    with pytest.raises(Misuse, match="nodes"):
        canonical(SumQuery(dataset="d", terms=(total([Col("x") for _ in range(5_001)]),)))


def test_the_bytes_of_one_query_never_change() -> None:
    query = SumQuery(
        dataset="flights",
        where=(Col("year") >= 2000) & Member(Col("origin"), ("JFK", "LGA")) & ~Missing(Col("delay")),
        per=Unit("tail"),
        group_by=(Categories("origin"), Bins(Col("delay"), (-15, 0.5, 60)), Argmin((X, -X))),
        terms=(
            Col("delay").clip(-60, 600.0),
            Gram(Const(1), (Const(1.0), (X / 7).exp() ** 2)),
            G.equals("a").indicator(),
        ),
    )
    assert digest(query).hex() == "d4b753b85fc011b88c8f0dce785b8d85551ecbde1b1385f0186aa4560bc528e6"
