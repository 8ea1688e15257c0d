"""Formulas: our own grammar gives the columns that patsy gives, and refuses everything else with its place."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import patsy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.analytics.design import designed
from federation.analytics.formula import FormulaError, parse, parse_number
from federation.analytics.formula_terms import Numeric, Survival
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.bounds import interval
from federation.query.expression import written

JOINT = Dataset(
    name="d",
    title="",
    unit="row",
    columns=(
        Column(name="x", kind=Kind.REAL, low=1.0, high=9.0),
        Column(name="z", kind=Kind.REAL, low=1.0, high=9.0),
        Column(name="n", kind=Kind.INTEGER, low=0, high=3),
        Column(name="y", kind=Kind.INTEGER, low=0, high=1),
        Column(name="g", kind=Kind.CATEGORY, categories=("a", "b", "c")),
        Column(name="h", kind=Kind.CATEGORY, categories=("u", "v")),
        Column(name="two words", kind=Kind.REAL, low=0.0, high=1.0),
        Column(name="who", kind=Kind.IDENTIFIER),
    ),
)
ROWS = pd.DataFrame(list(itertools.product("abc", "uv", range(4))), columns=["g", "h", "n"])
ROWS["x"], ROWS["z"] = np.linspace(1, 9, len(ROWS)), np.linspace(9, 2, len(ROWS)) ** 2 / 10
VARIABLES = ("x", "z", "g", "h", "C(n)", "n")


def names(text: str) -> tuple[str, ...]:
    """Return the names of the design's columns."""
    return designed(parse(text, JOINT), JOINT).names


@pytest.mark.parametrize(
    "right",
    [
        "x", "x*g + h", "g*h", "g:h", "g - 1", "g*h - 1", "g:x", "x + g:x", "g:h:x", "g + h + x:g:h", "g*h*C(n)",
        "x*z*g - 1", "h:g + g", "g:x - 1", "x:z", "(x + z + g)**2", "(g + h + x)**3 - g:h:x", "g*h - g", "0 + g + x:h",
        "C(n)*x", "1", "g + h - h", "x - x + z",
    ],
)  # fmt: skip
def test_columns_are_those_of_patsy(right: str) -> None:
    expected = patsy.dmatrix(right, ROWS).design_info.column_names
    assert set(names(f"y ~ {right}")) == set(expected)


@given(
    st.lists(st.lists(st.sampled_from(VARIABLES), min_size=1, max_size=3, unique=True), min_size=1, max_size=4),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_columns_of_any_products_are_those_of_patsy(terms: list[list[str]], intercept: bool) -> None:
    right = " + ".join([":".join(term) for term in terms] + ([] if intercept else ["0"]))
    expected = patsy.dmatrix(right, ROWS).design_info.column_names

    def unordered(columns: tuple[str, ...]) -> set[frozenset[str]]:
        return {frozenset(column.split(":")) for column in columns}

    assert unordered(names(f"y ~ {right}")) == unordered(tuple(expected))


def test_powers_and_arithmetic_are_columns_of_their_own() -> None:
    formula = parse("log(y + 1) ~ x + x**2 + log(x) + I(x * z - 2) + I(x > 5) + clip(z, 2, 3.5)", JOINT)
    design = designed(formula, JOINT)
    assert design.names[1:] == ("x", "x**2", "log(x)", "I(x * z - 2)", "I(x > 5)", "clip(z, 2, 3.5)")
    assert [number.atom for number in design.numbers][:1] == ["x"], "a square is a power of its number"
    assert design.monomials[2] == (((0, 2),), ())
    assert isinstance(formula.response, Numeric)
    assert written(formula.response.expression).startswith("log(")


def test_a_square_inside_i_is_the_same_monomial() -> None:
    one, other = (designed(parse(f"y ~ x + {square}", JOINT), JOINT) for square in ("x**2", "I(x**2)"))
    assert one.monomials == other.monomials
    with pytest.raises(Misuse, match="twice"):
        designed(parse("y ~ x**2 + I(x**2)", JOINT), JOINT)


def test_survival_responses_strata_and_offsets_are_read() -> None:
    formula = parse("Surv(x, y) ~ z + g + strata(h)", JOINT)
    assert isinstance(formula.response, Survival)
    assert (formula.response.time.text, formula.response.event.text, formula.strata) == ("x", "y", ("h",))
    assert [offset.text for offset in parse("y ~ x + offset(log(z))", JOINT).offsets] == ["log(z)"]
    assert interval(parse_number("log(x) + 2", JOINT).expression, JOINT).low == pytest.approx(2.0)


def test_a_comparison_is_an_indicator() -> None:
    formula = parse("g == 'a' ~ x", JOINT)
    assert isinstance(formula.response, Numeric)
    found = interval(formula.response.expression, JOINT)
    assert (found.low, found.high, found.integer) == (0, 1, True)
    assert parse("'a' == g ~ `two words`", JOINT).terms[0][0].text == "`two words`"


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("y ~ xx", 4, "did you mean 'x'"),
        ("y ~ logg(x)", 4, "did you mean 'log'"),
        ("y x", 2, "expected ~"),
        ("y ~ x^2", 5, "**"),
        ("y ~ x | g", 6, "random effects"),
        ("y ~ x + 2", 8, "I("),
        ("y ~ x / z", 6, "I(a / b)"),
        ("y ~ log(g)", 4, "category"),
        ("g ~ x", 0, "compare it"),
        ("y ~ __import__('os')", 4, "no function"),
        ("y ~ x.real", 5, "unexpected"),
        ("y ~ C(g, ref='q')", 13, "known: a, b, c"),
        ("y ~ C(x)", 6, "no levels"),
        ("y ~ who", 4, "identifies"),
        ("y ~ ((x)", 8, "closing"),
        ("y ~ x ** 65", 9, "1 to 64"),
        ("y ~ 0", 5, "no term"),
        ("y ~ x + strata(g)", 17, "survival"),
        ("", 0, "expected a column"),
        ("y ~ 'a'", 4, "expected a column"),
        ("y ~ I('a')", 6, "quoted level"),
        ("y ~ x\u00b2", 4, "did you mean 'x'"),
        ("y ~ " + "(" * 40 + "x", 36, "brackets"),
        ("y ~ " + "+".join(["x"] * 3000), 4096, "longer than"),
    ],
)
def test_what_is_no_formula_is_refused_at_its_place(text: str, position: int, said: str) -> None:
    with pytest.raises(FormulaError, match=re.escape(said)) as caught:
        parse(text, JOINT)
    assert caught.value.position == position
    assert "^" in caught.value.hint


@given(st.text(alphabet="xyzgn~+-*:/()0123 .,'\"=<>CI_logSurv^|", max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        designed(parse(text, JOINT), JOINT)
    except Misuse as error:
        assert error.message


def test_nothing_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    for name in ("eval", "exec", "compile", "__import__"):
        monkeypatch.setattr(builtins, name, None)
    assert parse("y ~ x*g + log(z) - 1", JOINT).terms


def test_levels_can_be_merged_and_the_reference_chosen() -> None:
    design = designed(parse('y ~ C(g, ref="b")', JOINT), JOINT)
    assert design.names == ("Intercept", "C(g)[T.a]", "C(g)[T.c]")
    merged = designed(parse("y ~ g", JOINT), JOINT, (("g", ("c", "a")),))
    assert merged.names == ("Intercept", "g[T.b]")
    assert merged.factors[0].levels[0].label == "a+c"
    for merge, said in (((("h", ("u",)),), "no factor"), ((("g", ("a", "q")),), "no level")):
        with pytest.raises(Misuse, match=said):
            designed(parse("y ~ g", JOINT), JOINT, merge)
