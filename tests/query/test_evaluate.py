"""The numpy oracle answers by the row rules, exactly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.errors import Misuse, Refused
from federation.query import evaluate, nodes, rows
from federation.query.evaluate import answer
from federation.query.expression import Col, Const, Expression, Gram, Member, Missing
from federation.query.query import Answer, Argmin, Bins, Categories, SumQuery, Unit, counts, shape
from tests.query.sample import EXACT, JOINT, arrays, conditions, numbers, slow
from tests.query.sample import rows as drawn_rows

X, N, G = Col("x"), Col("n"), Col("g")


def one(kind: Kind, values: object, **fields: object) -> tuple[Dataset, dict[str, Any]]:
    """Return a data set of one column `c`, and its rows."""
    column = Column(name="c", kind=kind, **fields)
    return Dataset(name="d", title="", unit="", columns=(column,)), {"c": np.asanyarray(values)}


def asked(dataset: Dataset, columns: dict[str, Any], **parts: object) -> Answer:
    return answer(SumQuery(dataset="d", **parts), dataset, dataset, columns)


def counted(found: Answer, query: SumQuery, dataset: Dataset) -> dict[tuple[str, str, str], int]:
    names = counts(query, dataset)
    return {(n.kind, n.column, n.reason): v for n, v in zip(names, found.counts, strict=True) if v}


# ------------------------------------------------------------------------------------- against the slow oracle


def queries() -> st.SearchStrategy[SumQuery]:
    plain = numbers(EXACT, 2)
    axes = st.one_of(
        st.just(Categories("g")),
        st.builds(Bins, plain, st.sampled_from(((0, 1), (-1.5, 0, 2, 8), (0.0, 1.0)))),
        st.builds(Argmin, st.lists(plain, min_size=1, max_size=3).map(tuple)),
    )
    term = st.one_of(plain, st.builds(Gram, plain, st.lists(plain, min_size=1, max_size=3).map(tuple)))
    return st.builds(
        SumQuery,
        dataset=st.just("d"),
        where=st.one_of(st.none(), conditions()),
        per=st.sampled_from((None, Unit("id"))),
        group_by=st.lists(axes, max_size=2).map(tuple),
        terms=st.lists(term, max_size=3).map(tuple),
    )


class Differ(AssertionError):
    """Two oracles gave two answers."""


# Real numbers so small that they are rounded when they are scaled: few are drawn, and in some runs none.
TINY = [{"x": k * 2.0**-61, "z": 1.0, "n": 1, "b": 1, "g": "a", "id": "p"} for k in (1, 3, 5, 7)]


def compare(endings: Counter[str], examples: int = 400) -> None:
    """Ask both oracles the same; every ending is counted, a difference fails."""

    @settings(
        max_examples=examples, derandomize=True, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
    )
    @example(query=SumQuery(dataset="d", terms=(X,)), drawn=TINY, masked=False, spoilt=None)
    @given(
        query=queries(), drawn=drawn_rows(), masked=st.booleans(),
        spoilt=st.sampled_from((None, None, None, math.nan, math.inf)),
    )  # fmt: skip
    def check(query: SumQuery, drawn: list[dict[str, Any]], masked: bool, spoilt: float | None) -> None:
        # What is drawn depends on which modules are loaded: an ending that is rare by chance alone is planted.
        drawn = (
            drawn if spoilt is None else [{**row, "x": spoilt} if i % 3 == 0 else row for i, row in enumerate(drawn)]
        )
        try:
            shape(query, JOINT)
        except Misuse:
            endings["refused"] += 1
            return
        found = answer(query, JOINT, JOINT, arrays(drawn, masked=masked))
        table, counts_found = slow(query, drawn)
        if found != Answer(table=tuple(map(tuple, table)), counts=tuple(counts_found)):
            raise Differ(f"the oracles differ: {found} and {table} {counts_found}")
        names = counted(found, query, JOINT)
        endings["rows counted"] += any(row[0] for row in table)
        for kind in ("missing", "clipped", "non-finite"):
            endings[kind] += any(name[0] == kind for name in names)
        endings["several cells"] += len(table) > 1
        endings["units"] += query.per is not None

    check()


def test_the_oracle_agrees_with_one_that_takes_row_by_row() -> None:
    endings: Counter[str] = Counter()
    compare(endings)
    assert endings["rows counted"] >= 100
    assert endings["missing"] >= 40
    assert endings["clipped"] >= 15
    assert endings["non-finite"] >= 5
    assert endings["several cells"] >= 50
    assert endings["units"] >= 40
    assert endings["refused"] >= 4


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    [
        (nodes, "real", lambda value: np.nextafter(value.astype(np.float64), 0.0)),
        (rows, "within", lambda found, _: (found, 0)),  # nothing is clipped
        (rows, "_parsed", lambda *_: None),  # numeric missing codes are values
        (evaluate, "_selected", lambda _query, _own, _columns, n: np.ones(n, dtype=np.bool_)),
        (np, "rint", np.floor),
        (evaluate, "_summed", lambda value, cells, size: [int(x) for x in np.bincount(cells, value, size)]),
        (nodes, "_truths", lambda parts: [nodes.Truth(p.true, ~p.true) for p in parts if isinstance(p, nodes.Truth)]),
    ],
    ids=["one ulp", "no clip", "no codes", "no where", "floor", "float sums", "unknown is false"],
)
def test_a_planted_fault_in_the_oracle_is_found(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, fault: Callable[..., object]
) -> None:
    monkeypatch.setattr(module, name, fault)
    if module is rows and name == "within":
        monkeypatch.setattr(evaluate, "within", fault)
    with pytest.raises((Differ, Misuse), match=r"oracles|exceeds the bound"):
        compare(Counter(), examples=400)


# ------------------------------------------------------------------------------------- exactness


def test_half_is_rounded_to_even() -> None:
    # bound 2^62 gives scale 0: what is summed is the value rounded to an integer
    dataset, columns = one(Kind.REAL, [0.5, 1.5, 2.5, -0.5, -1.5, 3.5], low=-(2.0**62), high=2.0**62)
    assert asked(dataset, columns, terms=(Col("c"),)).table == ((6, 0 + 2 + 2 + 0 - 2 + 4),)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bound", [1.0, 3.0, 4.0, 2.0**61, 2.0**62, math.nextafter(2.0**62, 0), 1e300, 5e-324, 0.1])
def test_the_greatest_values_have_headroom_and_sum_beyond_64_bits(bound: float, sign: int) -> None:
    dataset, columns = one(Kind.REAL, [sign * bound] * 1000, low=-bound, high=bound)
    query = SumQuery(dataset="d", terms=(Col("c"),))
    (scale,) = shape(query, dataset).scales
    ((units, total),) = answer(query, dataset, dataset, columns).table
    assert units == 1000
    assert total == 1000 * sign * round(math.ldexp(bound, scale))
    assert abs(total) <= 1000 * 2**62
    assert bound < 1e-300 or abs(total) > 2**63  # the sum needs the 128 bits


def test_integers_are_exact_up_to_the_limit_and_beyond_it_in_sum() -> None:
    top = 2**62 - 1
    dataset, columns = one(Kind.INTEGER, [top, top, top, -top, 1], low=-top, high=top)
    assert asked(dataset, columns, terms=(Col("c"),)).table == ((5, 2 * top + 1),)
    dataset, columns = one(Kind.INTEGER, [2**31 - 1] * 3, low=0, high=2**31 - 1)
    assert asked(dataset, columns, terms=(Col("c") ** 2,)).table == ((3, 3 * (2**31 - 1) ** 2),)


def test_an_integer_term_that_may_overflow_is_computed_in_binary64() -> None:
    dataset, columns = one(Kind.INTEGER, [2**40] * 2, low=0, high=2**40)
    query = SumQuery(dataset="d", terms=(Col("c") ** 2,))
    (scale,) = shape(query, dataset).scales
    assert scale < 0
    assert answer(query, dataset, dataset, columns).table == ((2, 2 * 2**80 >> -scale),)


def test_a_sum_does_not_depend_on_the_order_of_rows() -> None:
    values = np.random.default_rng(3).uniform(-1, 1, 2000)
    dataset, columns = one(Kind.REAL, values, low=-1, high=1)
    backwards = {"c": columns["c"][::-1]}
    assert asked(dataset, columns, terms=(Col("c"),)) == asked(dataset, backwards, terms=(Col("c"),))
    halves = [asked(dataset, {"c": part}, terms=(Col("c"),)).table[0] for part in (values[:700], values[700:])]
    assert asked(dataset, columns, terms=(Col("c"),)).table[0] == tuple(map(sum, zip(*halves, strict=True)))


def test_scales_come_from_the_joint_ranges_and_clipping_from_the_own() -> None:
    own, columns = one(Kind.REAL, [1.0, 5.0], low=0, high=2)
    joint, _ = one(Kind.REAL, [], low=-1000, high=1000)
    query = SumQuery(dataset="d", terms=(Col("c"),))
    (scale,) = shape(query, joint).scales
    assert scale == 52
    found = answer(query, joint, own, columns)
    assert found.table == ((2, 3 << scale),)
    assert counted(found, query, joint) == {("clipped", "c", ""): 1}


def test_an_own_range_outside_the_joint_one_is_refused_rather_than_wrong() -> None:
    own, columns = one(Kind.REAL, [1e9], low=0, high=1e9)
    joint, _ = one(Kind.REAL, [], low=0, high=1)
    with pytest.raises(Misuse, match="exceeds the bound"):
        answer(SumQuery(dataset="d", terms=(Col("c"),)), joint, own, columns)


# ------------------------------------------------------------------------------------- rules of rows


def test_where_sees_raw_values_and_terms_see_clipped_ones() -> None:
    dataset, columns = one(Kind.INTEGER, [5, 50, 500], low=0, high=10)
    found = asked(dataset, columns, where=Col("c") > 10, terms=(Col("c"),))
    assert found.table == ((2, 20),)
    query = SumQuery(dataset="d", where=Col("c") > 10, terms=(Col("c"),))
    assert counted(found, query, dataset) == {("clipped", "c", ""): 2}


def test_where_does_not_overflow_on_raw_values() -> None:
    dataset, columns = one(Kind.INTEGER, [2**62, -(2**62), 1], low=0, high=10)
    assert asked(dataset, columns, where=Col("c") * 4 > 0).table == ((2,),)
    assert asked(dataset, columns, where=Col("c").equals(2**62 - 1)).table == ((0,),)  # bare integers compare exactly


def test_missing_is_unknown_and_unknown_selects_nothing() -> None:
    missing = (("-9", "refused"),)
    dataset, columns = one(Kind.INTEGER, np.array([1, -9, None, 3], dtype=object), low=0, high=10, missing=missing)
    c = Col("c")
    for where, units in (
        (c > 0, 2), (~(c > 0), 0), ((c > 0) | ~(c > 0), 2), (c.differs(1), 1), (Missing(c), 2), (~Missing(c), 2),
        ((c > 0) | Missing(c), 4), ((c > 0).indicator() < 2, 2), (~Member(c, (1,)), 1), ((c > 5) & Missing(c), 0),
    ):  # fmt: skip
        assert asked(dataset, columns, where=where).table == ((units,),), where


def test_a_comparison_with_what_is_not_finite_is_unknown() -> None:
    dataset, columns = one(Kind.REAL, [math.nan, math.inf, -math.inf, 0.0, 1.0], low=0, high=10)
    c = Col("c")
    for where, units in ((c >= 0, 2), (~(c >= 0), 0), (1 / c > 0, 1), (c.log() < 1, 1), (Missing(c), 0)):
        assert asked(dataset, columns, where=where).table == ((units,),), where


def test_a_row_is_missing_under_its_first_column_and_first_come_reason() -> None:
    columns = arrays([
        {"x": None, "z": 1.0, "n": None, "b": 0, "g": "a", "id": "p"},
        {"x": -99.0, "z": 1.0, "n": 1, "b": 0, "g": "?", "id": "p"},
        {"x": -98.0, "z": 1.0, "n": 1, "b": 0, "g": "a", "id": None},
        {"x": 1.0, "z": 1.0, "n": 1, "b": 0, "g": "a", "id": "p"},
    ])  # fmt: skip
    query = SumQuery(dataset="d", per=Unit("id"), group_by=(Categories("g"),), terms=(X, N))
    found = answer(query, JOINT, JOINT, columns)
    assert counted(found, query, JOINT) == {
        ("missing", "g", "unknown"): 1, ("missing", "n", "null"): 1, ("missing", "id", "null"): 1,
    }  # fmt: skip
    query = SumQuery(dataset="d", terms=(X,))
    assert counted(answer(query, JOINT, JOINT, columns), query, JOINT) == {
        ("missing", "x", "null"): 1, ("missing", "x", "refused"): 1, ("missing", "x", "unknown"): 1,
    }  # fmt: skip


def test_rows_that_where_leaves_out_are_not_counted_as_anything() -> None:
    dataset, columns = one(Kind.REAL, np.array([None, math.nan, 99.0, 1.0], dtype=object), low=0, high=10)
    query = SumQuery(dataset="d", where=Col("c") < 5, terms=(Col("c"),))
    found = answer(query, dataset, dataset, columns)
    assert counted(found, query, dataset) == {}
    assert found.table[0][0] == 1


def test_a_value_outside_the_range_is_refused_where_the_operator_says_so() -> None:
    dataset, columns = one(Kind.REAL, [1.0, 99.25], low=0, high=10, outside=Outside.REFUSE)
    with pytest.raises(Refused) as caught:
        asked(dataset, columns, terms=(Col("c"),))
    assert caught.value.rule == "range"
    assert "'c'" in str(caught.value)
    assert "99.25" not in str(caught.value)
    assert asked(dataset, columns, where=Col("c") < 5, terms=(Col("c"),)).table[0][0] == 1
    assert asked(dataset, columns).table == ((2,),)  # a column that is not used is not judged


def test_a_category_that_is_not_published_is_refused_and_never_dropped() -> None:
    dataset, columns = one(Kind.CATEGORY, ["a", "secret"], categories=("a", "b"))
    with pytest.raises(Refused) as caught:
        asked(dataset, columns, group_by=(Categories("c"),))
    assert caught.value.rule == "range"
    assert "secret" not in str(caught.value)
    assert asked(dataset, columns, where=Col("c").equals("a"), group_by=(Categories("c"),)).table == ((1,), (0,))
    assert asked(dataset, columns, where=Col("c").differs("a")).table == ((1,),)


def test_what_is_not_finite_is_excluded_once_and_counted() -> None:
    dataset, columns = one(Kind.REAL, [0.0, math.nan, math.inf, 4.0], low=0, high=10)
    c = Col("c")
    query = SumQuery(dataset="d", group_by=(Bins(c, (0, 1)),), terms=(c.log(), c, c.sqrt()))
    found = answer(query, dataset, dataset, columns)
    assert counted(found, query, dataset) == {("non-finite", "", ""): 3}
    assert [row[0] for row in found.table] == [0, 0, 1]


def test_infinity_does_not_come_back_as_a_number() -> None:
    dataset, columns = one(Kind.REAL, [-1.0, 0.0, 1.0], low=-1, high=1)
    c = Col("c")
    for term in (c.log().clip(-5, 5), (c.log() < 0).indicator(), (-c.log()).exp().clip(0, 1)):
        try:
            found = asked(dataset, columns, terms=(term,))
        except Misuse:
            continue  # no finite bound: -log(0) has none
        assert found.table[0][0] == 1, term
        assert found.counts[-1] == 2


def test_an_indicator_that_other_facts_settle_is_known() -> None:
    dataset, columns = one(Kind.REAL, [0.0, 1.0], low=0, high=1)
    settled = (Col("c") < 5) | (Col("c").log() > 3)
    assert asked(dataset, columns, terms=(settled.indicator(),)).table == ((2, 2),)


# ------------------------------------------------------------------------------------- cells and units


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.REAL])
def test_bins_are_half_open_and_the_last_is_closed(kind: Kind) -> None:
    dataset, columns = one(kind, np.arange(-2, 6).astype(np.int64 if kind is Kind.INTEGER else float), low=-9, high=9)
    found = asked(dataset, columns, group_by=(Bins(Col("c"), (0, 2, 4)),))
    assert found.table == ((2,), (2,), (3,), (1,))  # -2 -1 | 0 1 | 2 3 4 | 5
    real = asked(dataset, columns, group_by=(Bins(Col("c"), (0.0, 2, 4.0)),))
    assert real == found


def test_bins_of_large_integers_are_exact() -> None:
    big = 2**60
    dataset, columns = one(Kind.INTEGER, [big - 1, big, big + 1, big + 2], low=0, high=2**61)
    found = asked(dataset, columns, group_by=(Bins(Col("c"), (big, big + 1)),))
    assert found.table == ((1,), (2,), (1,))


def test_ties_of_argmin_go_to_the_lowest_index() -> None:
    dataset, columns = one(Kind.INTEGER, [-1, 0, 1], low=-1, high=1)
    c = Col("c")
    assert asked(dataset, columns, group_by=(Argmin((c, -c, Const(0))),)).table == ((2,), (1,), (0,))
    assert asked(dataset, columns, group_by=(Argmin((Const(0), c * 1.0)),)).table == ((2,), (1,))


def test_cells_are_the_product_of_axes_in_row_major_order() -> None:
    columns = {"g": np.array(["b", "a", "it's"]), "n": np.array([1, 5, 1])}
    by = (Categories("g"), Bins(N, (0, 4)))
    found = answer(SumQuery(dataset="d", group_by=by), JOINT, JOINT, columns)
    assert [row[0] for row in found.table] == [0, 0, 1, 0, 1, 0, 0, 1, 0]


def test_units_are_counted_once_per_cell_and_sum_over_all_their_rows() -> None:
    columns = {
        "id": np.array(["p", "p", "q", "p", "r"]),
        "g": np.array(["a", "a", "a", "b", "b"]),
        "n": np.array([1, 2, 3, 4, 5]),
    }
    query = SumQuery(dataset="d", per=Unit("id"), group_by=(Categories("g"),), terms=(N,))
    assert answer(query, JOINT, JOINT, columns).table == ((2, 6), (2, 9), (0, 0))
    rows_of = answer(replace(query, per=None), JOINT, JOINT, columns)
    assert rows_of.table == ((3, 6), (2, 9), (0, 0))


def test_identifiers_may_be_numbers() -> None:
    columns = {"id": np.array([7, 7, 8])}
    assert answer(SumQuery(dataset="d", per=Unit("id")), JOINT, JOINT, columns).table == ((2,),)


def test_no_rows_and_no_columns_have_an_answer() -> None:
    empty = arrays([])
    query = SumQuery(dataset="d", group_by=(Categories("g"), Bins(X, (0, 1))), terms=(X, N), per=Unit("id"))
    assert not any(map(any, answer(query, JOINT, JOINT, empty).table))
    assert answer(SumQuery(dataset="d"), JOINT, JOINT, {"n": np.arange(4)}).table == ((4,),)
    assert answer(SumQuery(dataset="d", terms=(Const(3),)), JOINT, JOINT, {"n": np.arange(4)}).table == ((4, 12),)


# ------------------------------------------------------------------------------------- reading columns


@pytest.mark.parametrize(
    "values",
    [
        np.ma.MaskedArray([1, 2, 7, -9], mask=[False, False, True, False]),
        np.ma.MaskedArray([1.0, 2.0, math.nan, -9.0], mask=[False, False, True, False]),
        np.array([1, 2, None, -9], dtype=object),
        np.array([1, 2.0, None, "-9"], dtype=object),
        np.array([np.int64(1), True + 1, None, np.float64(-9)], dtype=object),
    ],
    ids=["masked int", "masked float", "objects", "objects and text", "numpy scalars"],
)
def test_missing_may_be_a_mask_none_or_a_code(values: npt.NDArray[Any]) -> None:
    dataset, columns = one(Kind.INTEGER, values, low=0, high=10, missing=(("-9", "refused"), ("NA", "refused")))
    query = SumQuery(dataset="d", terms=(Col("c"),))
    found = answer(query, dataset, dataset, columns)
    assert found.table == ((2, 3),)
    assert counted(found, query, dataset) == {("missing", "c", "null"): 1, ("missing", "c", "refused"): 1}


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.uint64, np.bool_, np.float32, np.float64])
def test_integers_of_every_width_are_read(dtype: type) -> None:
    dataset, columns = one(Kind.INTEGER, np.array([0, 1, 1], dtype=dtype), low=0, high=10)
    assert asked(dataset, columns, terms=(Col("c"),)).table == ((3, 2),)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.INTEGER, np.array([1.5])),
        (Kind.INTEGER, np.array([math.nan])),
        (Kind.INTEGER, np.array([2**63], dtype=np.uint64)),
        (Kind.INTEGER, np.array([2**70], dtype=object)),
        (Kind.INTEGER, np.array(["1"])),
        (Kind.INTEGER, np.array([1.5, None], dtype=object)),
        (Kind.REAL, np.array(["x"], dtype=object)),
        (Kind.REAL, np.array([1j])),
        (Kind.REAL, np.array([10**400], dtype=object)),
    ],
)
def test_a_column_of_another_kind_is_refused_without_its_values(kind: Kind, values: npt.NDArray[Any]) -> None:
    dataset, columns = one(kind, values, low=0, high=10)
    with pytest.raises(Refused) as caught:
        asked(dataset, columns, terms=(Col("c"),))
    assert caught.value.rule == "range"
    assert "'c'" in str(caught.value)


def test_categories_may_be_integer_codes_or_text_and_nan_is_missing() -> None:
    for values in (np.array([1, 2, 2]), np.array(["1", "2", "2"]), np.array([1, "2", 2], dtype=object)):
        dataset, columns = one(Kind.CATEGORY, values, categories=("1", "2"))
        assert asked(dataset, columns, group_by=(Categories("c"),)).table == ((1,), (2,))
    dataset, columns = one(Kind.CATEGORY, np.array(["1", math.nan, None], dtype=object), categories=("1", "2"))
    found = asked(dataset, columns, group_by=(Categories("c"),))
    assert (found.table, found.counts) == (((1,), (0,)), (2, 0))


def test_columns_that_do_not_fit_are_misuse() -> None:
    with pytest.raises(Misuse, match="no column 'x'"):
        answer(SumQuery(dataset="d", terms=(X,)), JOINT, JOINT, {"n": np.arange(3)})
    with pytest.raises(Misuse, match="different lengths"):
        answer(SumQuery(dataset="d", terms=(X + N,)), JOINT, JOINT, {"n": np.arange(3), "x": np.zeros(4)})


# ------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize(
    ("term", "value"),
    [
        (Col("c").exp(), math.exp), (Col("c").log(), math.log), (Col("c").sqrt(), math.sqrt),
        (Col("c").lgamma(), math.lgamma), (Col("c").expit(), lambda v: 1 / (1 + math.exp(-v))),
        (Col("c").softplus(), lambda v: math.log1p(math.exp(v))), (Col("c") ** 7, lambda v: v**7),
        (abs(Col("c")), abs), (-Col("c"), lambda v: -v),
    ],
    ids=lambda value: str(value) if isinstance(value, Expression) else "by math",
)  # fmt: skip
def test_functions_are_those_of_mathematics(term: Expression, value: Callable[[float], float]) -> None:
    values = [0.25, 1.0, 3.5, 9.0]
    dataset, columns = one(Kind.REAL, values, low=0.1, high=10)
    (scale,) = shape(SumQuery(dataset="d", terms=(term,)), dataset).scales
    ((_, total),) = asked(dataset, columns, terms=(term,)).table
    assert total / 2**scale == pytest.approx(sum(map(value, values)), rel=1e-14)


def test_functions_saturate_and_do_not_overflow() -> None:
    dataset, columns = one(Kind.REAL, [-1e6, 1e6], low=-1e6, high=1e6)
    assert asked(dataset, columns, terms=(Col("c").expit(),)).table == ((2, 1 << 60),)
    query = SumQuery(dataset="d", terms=(Col("c").softplus(),))
    (scale,) = shape(query, dataset).scales
    assert answer(query, dataset, dataset, columns).table == ((2, 10**6 << scale),)
