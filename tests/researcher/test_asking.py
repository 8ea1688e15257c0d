"""Questions are checked against the statistic's own parameters, and every statistic of the house can be asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.researcher.asking import Asked, as_value, ask, computation, statistics, written
from federation.domain.job import Computation
from federation.errors import Misuse


def test_a_question_is_a_name_a_version_and_sorted_parameters() -> None:
    assert ask.mean("age", by="sex") == Computation(
        name="mean", version=1, parameters=(("by", "sex"), ("column", "age"))
    )


def test_what_equals_the_default_is_left_out_so_that_equal_questions_are_equal() -> None:
    assert ask.mean("age", by=None) == ask.mean("age") == ask.mean(column="age")


def test_every_statistic_of_the_house_can_be_asked_and_says_what_it_is() -> None:
    assert {"count", "sum", "mean", "var", "std", "histogram"} <= set(statistics())
    assert set(statistics()) <= set(dir(ask))
    for name in statistics():
        assert getattr(ask, name).__doc__


def test_an_unknown_statistic_is_an_attribute_error_with_the_nearest_name() -> None:
    with pytest.raises(AttributeError, match="did you mean 'mean'"):
        ask.maen("age")
    assert not hasattr(ask, "_repr_html_")


@pytest.mark.parametrize(
    ("positional", "named", "said"),
    [
        (("age",), {"bye": "sex"}, "no parameter 'bye'"),
        (("age", "sex", "w", True, "more"), {}, "takes at most 4 parameters"),
        (("age",), {"column": "cost"}, "'column' twice"),
        ((), {}, "needs parameter 'column'"),
        ((3,), {}, "must be a text"),
        (({"age"},), {}, "is a set"),
        ((print,), {}, "is a builtin_function_or_method"),
    ],
)
def test_a_question_without_a_meaning_is_refused_before_anybody_is_asked(
    positional: tuple[object, ...], named: dict[str, object], said: str
) -> None:
    with pytest.raises(Misuse, match=said):
        computation("mean", *positional, **named)


def test_numbers_of_numpy_become_plain_numbers() -> None:
    assert as_value(np.float64(2.5), "x") == 2.5
    assert type(as_value(np.int32(3), "x")) is int
    assert as_value(np.bool_(True), "x") is True
    assert as_value(np.array([[1, 2], [3, 4]]), "x") == ((1, 2), (3, 4))
    assert as_value(range(3), "x") == (0, 1, 2)


def test_a_question_is_written_as_somebody_would_type_it() -> None:
    assert written(ask.mean("age", by="sex")) == "mean('age', by='sex')"
    assert written(ask.count(by="sex")) == "count(by='sex')"
    assert written(Computation(name="later", version=1, parameters=(("a", 1), ("b", (2, 3))))) == "later(a=1, b=[2, 3])"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(plain)
def test_plain_values_keep_their_type_and_lists_become_tuples(value: object) -> None:
    found = as_value(value, "x")
    assert as_value(found, "x") == found
    assert repr(found).replace("(", "[").replace(",)", "]").replace(")", "]") == repr(value).replace("(", "[").replace(
        ")", "]"
    ) or isinstance(value, str)


def test_a_whole_question_is_a_value() -> None:
    assert Asked(data="tb", computations=(ask.count(),)) == Asked(data="tb", computations=(computation("count"),))
