"""Sums over clusters of products of their own sums: the oracle and the engine equal Fractions, cell by cell."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from clients.jurisdiction.engines.duckdb import DuckDB
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse, Refused
from federation.jobs import planner
from federation.query import bounds, evaluate
from federation.query.expression import Col, Const, Gram
from federation.query.query import Categories, SumQuery, Unit, canonical, shape
from federation.query.round import Phase, Round
from federation.query.widths import value_bits

OWN = Dataset(
    name="d",
    title="",
    unit="person",
    k=2,
    columns=(
        Column(name="who", kind=Kind.IDENTIFIER),
        Column(name="psu", kind=Kind.IDENTIFIER),
        Column(name="area", kind=Kind.CATEGORY, categories=("p0", "p1", "p2")),
        Column(name="g", kind=Kind.CATEGORY, categories=("a", "b", "empty")),
        Column(name="w", kind=Kind.REAL, low=0.5, high=90.0),
        Column(name="x", kind=Kind.REAL, low=-10.0, high=10.0, missing=(("-99", "refused"),)),
        Column(name="n", kind=Kind.INTEGER, low=-3, high=7),
    ),
)
W, X, N = Col("w"), Col("x"), Col("n")


def rows(seed: int, size: int) -> dict[str, list[object]]:
    dice = random.Random(seed)
    return {
        "psu": [dice.choice([None, *(f"p{i}" for i in range(9))]) for _ in range(size)],
        "who": [f"q{dice.randint(0, 99)}" for _ in range(size)],
        "area": [dice.choice(("p0", "p1", "p2")) for _ in range(size)],
        "g": [dice.choice("ab") for _ in range(size)],
        "w": [dice.uniform(0.5, 90) for _ in range(size)],
        "x": [dice.choice([-99.0, dice.uniform(-12, 12), dice.gauss(0, 1)]) for _ in range(size)],
        "n": [dice.randint(-4, 8) for _ in range(size)],
    }


def query(weight: object, columns: tuple[object, ...], *, by: bool = True, clusters: str = "psu") -> SumQuery:
    gram = Gram(weight, columns, clusters=clusters)
    axes = (Categories("g"),) if by else ()
    return SumQuery(dataset="d", per=Unit("who"), group_by=axes, terms=(X, gram, N))


def engine(asked: SumQuery, held: dict[str, list[object]]):
    with DuckDB.open(OWN, pa.table(held), threads=2) as found:
        return found.sums((asked,), OWN)[0]


def oracle(asked: SumQuery, held: dict[str, list[object]]):
    columns = {
        name: np.array(values, dtype=object if name in ("psu", "g", "who", "area") else None)
        for name, values in held.items()
    }
    return evaluate.answer(asked, OWN, OWN, columns)


def exactly(held: dict[str, list[object]], *, by: bool) -> dict[tuple[str, str], tuple[Fraction, Fraction, int]]:
    """Return (cell, cluster) -> (sum of w x, sum of w, rows), of the rows that count."""
    found: dict[tuple[str, str], tuple[Fraction, Fraction, int]] = {}
    for psu, g, w, x in zip(held["psu"], held["g"], held["w"], held["x"], strict=True):
        if psu is None or x == -99.0:
            continue
        moved = min(max(x, -10.0), 10.0)
        key = (g if by else "", psu)
        first, second, count = found.get(key, (Fraction(0), Fraction(0), 0))
        found[key] = first + Fraction(w) * Fraction(moved), second + Fraction(w), count + 1
    return found


@pytest.mark.parametrize("by", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_products_of_sums_per_unit_equal_fractions(seed: int, by: bool) -> None:
    held = rows(seed, 300)
    asked = query(W, (X, Const(1)), by=by)
    form = shape(asked, OWN)
    for answer in (oracle(asked, held), engine(asked, held)):
        for cell, label in enumerate(("a", "b", "empty") if by else ("",)):
            mine = [sums for (g, _), sums in exactly(held, by=by).items() if g == label]
            people, _, clusters, xx, xw, ww, _ = answer.table[cell]
            assert clusters == len(mine)
            assert people >= clusters if mine else people == 0, "who is counted stays who it is"
            for number, scale, wanted in zip(
                (xx, xw, ww),
                form.scales[2:5],
                (
                    sum((a * a for a, _, _ in mine), Fraction(0)),
                    sum((a * b for a, b, _ in mine), Fraction(0)),
                    sum((b * b for _, b, _ in mine), Fraction(0)),
                ),
                strict=True,
            ):
                got = Fraction(number) / Fraction(2) ** scale
                assert abs(got - wanted) <= Fraction(1, 10**12) * max(abs(wanted), 1)


def test_engine_and_oracle_agree_to_the_last_bit_where_sums_are_short() -> None:
    for seed in range(10):
        held = rows(seed, 80)
        for asked in (query(Const(1), (N, Const(1))), query(N, (N, N + 1)), query(Const(1), (N,), by=False)):
            assert engine(asked, held) == oracle(asked, held)
        for clusters in ("area", "n"):
            asked = query(Const(1), (N, Const(1)), clusters=clusters)
            assert engine(asked, held) == oracle(asked, held)


def test_they_are_told_from_products_of_rows() -> None:
    plain = SumQuery(dataset="d", terms=(Gram(W, (X, N)),))
    clustered = SumQuery(dataset="d", terms=(Gram(W, (X, N), clusters="psu"),))
    assert len({canonical(plain), canonical(clustered), canonical(query(W, (X, N), by=False, clusters="area"))}) == 3
    assert shape(clustered, OWN).terms == shape(plain, OWN).terms + 1
    with pytest.raises(Misuse, match="no finite bound"):
        shape(SumQuery(dataset="d", terms=(Gram(Const(1e160), (X,), clusters="psu"),)), OWN)
    with pytest.raises(Misuse, match="name no clusters"):
        shape(SumQuery(dataset="d", terms=(Gram(W, (X,), clusters="w"),)), OWN)
    with pytest.raises(Misuse, match="no column 'psuu'"):
        shape(SumQuery(dataset="d", terms=(Gram(W, (X,), clusters="psuu"),)), OWN)
    opening = planner._opening(clustered, "", OWN)
    assert opening.opens[1:3] == ("count of distinct psu", "sum of (sum of w * x per psu) * (sum of w * x per psu)")


def test_a_number_stays_inside_128_bits_for_128_parties() -> None:
    asked = Round(index=0, phase=Phase.SUMS, queries=(query(W, (X, N, Const(1))),), closed=((False,) * 10,))
    assert value_bits(asked, OWN) + 7 <= 127


def test_a_cluster_with_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    held = rows(1, 200)
    from clients.jurisdiction.sql import rounds

    for place in (evaluate, rounds, bounds):
        monkeypatch.setattr(place, "CLUSTER_ROWS", 8)
    for answer in (oracle, engine):
        with pytest.raises(Refused) as caught:
            answer(query(W, (X,)), held)
        assert caught.value.rule == "range"


def test_products_of_rows_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = evaluate._of_clusters

    def of_rows(*args: object) -> list[list[int]]:
        every = list(args)
        every[5] = np.array([str(place) for place in range(len(every[5]))])
        return real(*every)

    monkeypatch.setattr(evaluate, "_of_clusters", of_rows)
    with pytest.raises(AssertionError):
        test_products_of_sums_per_unit_equal_fractions(0, True)
