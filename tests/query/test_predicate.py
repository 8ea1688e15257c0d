"""Predicates are parsed and never evaluated; every fault has a position."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query import predicate
from federation.query.expression import (
    Binary,
    Both,
    Col,
    Compare,
    Const,
    Either,
    Expression,
    Member,
    Missing,
    Not,
    Text,
    Unary,
    written,
)
from federation.query.predicate import PredicateError, parse
from federation.query.query import SumQuery
from tests.query.sample import COLUMNS, JOINT, TEXTS

WIDE = Dataset(
    name="d",
    title="",
    unit="",
    columns=(
        *JOINT.columns,
        Column(name="birth year", kind=Kind.INTEGER, low=1900, high=2030),
        Column(name="and", kind=Kind.INTEGER, low=0, high=1),
        Column(name="missing", kind=Kind.INTEGER, low=0, high=1),
        Column(name="年龄", kind=Kind.INTEGER, low=0, high=120),
    ),
)


def same(a: Expression, b: Expression) -> bool:
    return SumQuery(dataset="d", where=a) == SumQuery(dataset="d", where=b)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("x >= 2000 and g == 'a'", "((x >= 2000) and (g == 'a'))"),
        ("x<1 or n>2 and b!=3", "((x < 1) or ((n > 2) and (b != 3)))"),
        ("not x < 1 and n > 2", "(not (x < 1) and (n > 2))"),
        ("not (x < 1 and n > 2)", "not ((x < 1) and (n > 2))"),
        ("not not x < 1", "not not (x < 1)"),
        ("x - n - b > 1", "(((x - n) - b) > 1)"),
        ("x / n * b > 1 + 2 * 3", "(((x / n) * b) > (1 + (2 * 3)))"),
        ("(x + n) * 2 <= 1", "(((x + n) * 2) <= 1)"),
        ("-x < -1", "(-x < -1)"),
        ("- -1 < x", "(1 < x)"),
        ("-x * 2 < 1", "((-x * 2) < 1)"),
        ("2 - -x > 0", "((2 - -x) > 0)"),
        ("x > 1e3", "(x > 1000.0)"),
        ("x > 1.5e-3", "(x > 0.0015)"),
        ("x > .5", "(x > 0.5)"),
        ("x > 5.", "(x > 5.0)"),
        ("x > 007", "(x > 7)"),
        ("g in ['a', \"b\"]", "g in ['a', 'b']"),
        ("g not in ('a')", "not g in ['a']"),
        ("n in [1, -2, 3.5]", "n in [1, -2, 3.5]"),
        ("not n in [1] or x is missing", "(not n in [1] or x is missing)"),
        ("x is not missing and g is missing", "(not x is missing and g is missing)"),
        ("'it''s' == g", '(g == "it\'s")'),
        ('g != "it\'s"', '(g != "it\'s")'),
        ("1 < x", "(1 < x)"),
        ("`birth year` > 1990", "(birth year > 1990)"),
        ("`and` == 1 and missing is missing", "((and == 1) and missing is missing)"),
        ("年龄 >= 18", "(年龄 >= 18)"),
        ("((((x))) < (((1))))", "(x < 1)"),
        ("x\n>\t1\r\n", "(x > 1)"),
        ("x > 1e-400", "(x > 0.0)"),
    ],
)
def test_a_predicate_means_what_it_says(text: str, meaning: str) -> None:
    assert written(parse(text, WIDE)) == meaning


def test_integers_and_reals_are_told_apart() -> None:
    assert not same(parse("n > 1", JOINT), parse("n > 1.0", JOINT))


# ----------------------------------------------------------------------------------------- what is not a predicate


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("", 0, "got the end"),
        ("   ", 3, "got the end"),
        ("x", 0, "is a number, not a condition"),
        ("g", 0, "is a category, not a condition"),
        ("'a'", 0, "is a text, not a condition"),
        ("x + 1", 2, "is a number, not a condition"),
        ("x <", 3, "got the end"),
        ("< x", 0, "got '<'"),
        ("x > 1 and", 9, "got the end"),
        ("x > 1 x", 6, "expected an operator, got 'x'"),
        ("(x > 1", 0, "never closed"),
        ("((x > 1)", 0, "never closed"),
        ("x > 1)", 5, "never opened"),
        ("()", 1, r"got '\)'"),
        ("1 < x < 3", 6, "not chained"),
        ("x > 1 in [1]", 6, "not chained"),
        ("x == 1 == 1", 7, "not chained"),
        ("x > 1 > g in ['a']", 6, "not chained"),
        ("X > 1", 0, "no column 'X'"),
        ("nn > 1", 0, "no column 'nn'"),
        ("id == 'p'", 0, "identifies units"),
        ("id is missing", 0, "identifies units"),
        ("g < 'a'", 2, "no order"),
        ("g == 'zz'", 2, "no category 'zz'"),
        ("g in ['a', 'zz']", 0, "no category 'zz'"),
        ("g == 1", 2, "quoted category"),
        ("g in [1]", 0, "quoted categories only"),
        ("x in ['a']", 0, "numbers only"),
        ("x == 'a'", 2, "not a category"),
        ("g == g", 2, "quoted category"),
        ("'a' == 'b'", 4, "quoted category"),
        ("-g == 'a'", 0, "is a category where a number"),
        ("not x", 0, "is a number where a condition"),
        ("x and x > 1", 2, "is a number where a condition"),
        ("(x > 1) + 1 > 2", 8, "is a condition where a number"),
        ("(x > 1) > (n > 1)", 8, "is a condition where a number"),
        ("x in []", 6, r"got '\]'"),
        ("x in [1,]", 8, r"got '\]'"),
        ("x in [1 2]", 8, "got '2'"),
        ("x in [1", 7, "got the end"),
        ("x in [1)", 7, r"got '\)'"),
        ("x in 1", 5, r"expected a list in \[ \]"),
        ("x in [n]", 6, "got 'n'"),
        ("g in [-'a']", 7, "got \"'a'\""),
        ("x + 1 in [1]", 2, "only a column stands before in"),
        ("x is", 4, "expected missing"),
        ("x is none", 5, "expected missing"),
        ("x is not", 8, "expected missing"),
        ("x not 1", 6, "expected in"),
        ("x is missing is missing", 0, "only a column"),
        ("x = 1", 2, "unexpected character '='"),
        ("x > 1 & n > 1", 6, "unexpected character '&'"),
        ("x ** 2 > 1", 3, r"got '\*'"),
        ("x <> 1", 3, "got '>'"),
        ("x > 1_000", 5, "got '_000'"),
        ("x > 1x", 5, "runs into a name"),
        ("x > 1.2.3", 7, "expected an operator"),
        ("x > 1e", 5, "runs into a name"),
        ("x > '", 4, "never closed"),
        ("`x > 1", 0, "never closed"),
        ("`` > 1", 0, "never closed"),
        ("g == ''", 5, "not empty"),
        ("x > 1 AND n > 1", 6, "got 'AND'"),
        ("x > 99999999999999999999", 4, r"below 2\^62"),
        ("x > 1e400", 4, "finite"),
        ("x in [1e999]", 6, "finite"),
        ("x > -1e999", 5, "finite"),
    ],
)
def test_an_error_says_where(text: str, position: int, why: str) -> None:
    with pytest.raises(PredicateError, match=why) as caught:
        parse(text, JOINT)
    error = caught.value
    assert error.position == position
    assert error.message.startswith(f"predicate, character {position + 1}: ")
    line, caret = error.hint.splitlines()[-2:]
    assert caret.strip() == "^"
    assert line[4:] == "".join(c if c.isprintable() else "." for c in text)
    assert caret.index("^") - 4 == position
    assert isinstance(error, Misuse)


ATTACKS = {
    "dunder import": "__import__('os').system('ls') == 0",
    "a call": "len(x) > 1",
    "an attribute": "x.__class__ > 1",
    "a lambda": "(lambda: 1)() > 0",
    "an index": "x[0] > 1",
    "sql after a semicolon": "x > 1; drop table flights",
    "sql comment": "x > 1 -- and g == 'a'",
    "sql union": "x > 1 union select 1",
    "closing quote": "g == 'a' or 1=1 --'",
    "doubled quotes": "g == 'a''; drop table d; --'",
    "backtick": "`x` > 1; `",
    "backslash quote": "g == 'a\\' or x > 1",
    "format string": "{x} > 1",
    "f string": "f'{x}' == 'a'",
    "template": "${x} > 1",
    "null byte": "x > 1\x00",
    "null byte in a text": "g == 'a\x00'",
    "fullwidth equals": "x \uff1d\uff1d 1",
    "fullwidth letter": "\uff58 > 1",
    "cyrillic letter": "\u0445 > 1",
    "arabic digit": "x > ٣",
    "superscript digit": "x > ²",
    "minus sign": "x > \u22121",
    "curly quotes": "g == \u2018a\u2019",
    "no-break space": "x\u00a0> 1",
    "right to left": "x > 1 \u202e and",
    "byte order mark": "\ufeffx > 1",
    "surrogate": "g == '\ud800'",
    "surrogate name": "\udfff > 1",
    "zero width": "x\u200b > 1",
    "line separator": "x > 1\u2028",
    "infinity by name": "x > inf",
    "nan by name": "x > nan",
    "true by name": "True",
    "hexadecimal": "x > 0x10",
    "imaginary": "x > 1j",
    "beyond binary64": "x > 1e400",
    "a long integer": "x > " + "9" * 4_000,
    "a long exponent": "x > 1e" + "9" * 4_000,
    "walrus": "(x := 1) > 0",
    "brackets without end": "(" * 10_000,
    "brackets within the length": "(" * 4_096,
    "brackets and a middle": "(" * 65 + "x > 1" + ")" * 65,
    "not without end": "not " * 1_000 + "x > 1",
    "minus without end": "-" * 4_000 + "x > 1",
    "plus chain": "x" + " + x" * 500 + " > 1",
    "or chain": "x > 1" + " or x > 1" * 400,
    "a hundred thousand characters": "x > 1" + " " * 100_000,
    "a long name": "x" * 4_096,
    "a long text": "g == '" + "a" * 4_000 + "'",
    "a long list": "x in [" + "1," * 2_000,
    "quotes without end": "'" * 4_095,
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_a_typed_error(text: str) -> None:
    with pytest.raises(PredicateError) as caught:
        parse(text, JOINT)
    assert 0 <= caught.value.position <= len(text)
    assert len(str(caught.value)) < 4_096 + 400
    assert all(c.isprintable() or c == "\n" for c in caught.value.hint)


def test_nesting_costs_no_stack() -> None:
    deep = "(" * 64 + "x > 1" + ")" * 64
    here = len(list(_frames()))
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(here + 40)
        assert isinstance(parse(deep, JOINT), Compare)
        with pytest.raises(PredicateError):
            parse("not (" * 800 + "x > 1", JOINT)
    finally:
        sys.setrecursionlimit(limit)


def _frames() -> object:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def test_a_long_list_is_permitted_where_a_long_chain_is_not() -> None:
    listed = "n in [" + ", ".join(map(str, range(700))) + "]"
    assert isinstance(parse(listed, JOINT), Member)
    with pytest.raises(PredicateError, match="deeper than 64") as caught:
        parse(" or ".join(f"n == {i}" for i in range(200)), JOINT)
    assert "in [...]" in caught.value.hint


def test_an_error_never_lists_the_published_categories() -> None:
    with pytest.raises(PredicateError) as caught:
        parse("g == 'zz'", JOINT)
    assert "it's" not in str(caught.value)


def test_the_caret_points_into_a_window_of_a_long_predicate() -> None:
    text = "x > 1 and " * 20 + "x ? 1" + " and x > 1" * 20
    with pytest.raises(PredicateError) as caught:
        parse(text, JOINT)
    line, caret = caught.value.hint.splitlines()
    assert len(line) <= 76
    assert line[caret.index("^")] == "?"


PIECES = st.sampled_from([
    "x", "g", "id", "zz", "1", "2.5", "1e400", "'a'", "'zz'", '"', "'", "(", ")", "[", "]", ",", "and", "or", "not",
    "in", "is", "missing", "==", "!=", "<", "<=", ">", "=", "+", "-", "*", "/", "`", ";", "\x00", "²", "\u202e",
])  # fmt: skip


def test_no_text_ever_does_anything_but_parse_or_raise_the_typed_error() -> None:
    endings: Counter[str] = Counter()

    def check(text: str) -> None:
        try:
            found = parse(text, JOINT)
        except PredicateError as error:
            assert 0 <= error.position <= len(text)
            assert error.hint.splitlines()[-1].strip() == "^"
            endings["refused"] += 1
        else:
            SumQuery(dataset="d", where=found).__hash__()
            endings["parsed"] += 1

    @settings(max_examples=150, derandomize=True)
    @given(st.text(max_size=40))
    @example("x > 1")
    def letters(text: str) -> None:
        check(text)

    @settings(max_examples=500, derandomize=True)
    @given(st.lists(PIECES, max_size=6).map(" ".join))
    @example("x in [ 1 ]")
    @example("g == 'a'")
    def pieces(text: str) -> None:
        check(text)

    letters()
    pieces()
    assert endings["refused"] >= 300
    assert endings["parsed"] >= 3


# ----------------------------------------------------------------------------------------- written and parsed again

NUMBERS = st.one_of(st.integers(0, 99), st.floats(0, 1e6))


def _number(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(st.builds(Binary, st.sampled_from("+-*/"), inner, inner), st.builds(Unary, st.just("neg"), inner))


SUMS = st.recursive(st.one_of(st.sampled_from(COLUMNS).map(Col), NUMBERS.map(Const)), _number, max_leaves=6)
FACTS = st.one_of(
    st.builds(Compare, st.sampled_from(("==", "!=", "<", "<=", ">", ">=")), SUMS, SUMS),
    st.builds(Compare, st.sampled_from(("==", "!=")), st.just(Col("g")), TEXTS.map(Text)),
    st.builds(Member, st.just(Col("g")), st.lists(TEXTS, min_size=1).map(tuple)),
    st.builds(Member, st.sampled_from(COLUMNS).map(Col), st.lists(NUMBERS, min_size=1, max_size=4).map(tuple)),
    st.builds(Missing, st.sampled_from(("x", "g")).map(Col)),
)
CLAIMS = st.recursive(
    FACTS,
    lambda inner: st.one_of(st.builds(Not, inner), st.builds(Both, inner, inner), st.builds(Either, inner, inner)),
)


def spelled(node: Expression) -> str:
    """Write an expression with all brackets."""
    match node:
        case Compare(op, left, right) | Binary(op, left, right):
            return f"({spelled(left)} {op} {spelled(right)})"
        case Both(left, right):
            return f"({spelled(left)} and {spelled(right)})"
        case Either(left, right):
            return f"({spelled(left)} or {spelled(right)})"
        case Not(of):
            return f"(not {spelled(of)})"
        case Unary(_, of):
            return f"(-{spelled(of)})"
        case Member(of, values):
            listed = ", ".join(spelled(Text(v) if isinstance(v, str) else Const(v)) for v in values)
            return f"({spelled(of)} in [{listed}])"
        case Missing(of):
            return f"({spelled(of)} is missing)"
        case Text(value):
            return "'" + value.replace("'", "''") + "'"
        case Const(value):
            return repr(value)
        case Col(name):
            return name
    raise AssertionError(node)


def folded(node: Expression) -> Expression:
    """Fold minus signs of constants, as the parser does."""
    match node:
        case Unary(_, of):
            inner = folded(of)
            return Const(-inner.value) if isinstance(inner, Const) else Unary("neg", inner)
        case Binary(op, left, right):
            return Binary(op, folded(left), folded(right))
        case Compare(op, left, right):
            return Compare(op, folded(left), folded(right))
        case Both(left, right) | Either(left, right):
            return type(node)(folded(left), folded(right))
        case Not(of):
            return Not(folded(of))
    return node


def search(endings: Counter[str]) -> None:
    @settings(max_examples=200, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    @given(CLAIMS)
    def check(claim: Expression) -> None:
        text = spelled(claim)
        if len(text) > 4_000:
            return
        again = parse(text, JOINT)
        assert same(again, folded(claim)), f"{text} came back as {written(again)}"
        endings["joined" if isinstance(claim, Both | Either) else "one fact"] += 1

    check()


def test_what_is_written_out_is_parsed_to_the_same_condition() -> None:
    endings: Counter[str] = Counter()
    search(endings)
    assert endings["joined"] >= 40
    assert endings["one fact"] >= 40


@pytest.mark.parametrize("fault", ["or is and", "precedence", "negation"])
def test_a_planted_fault_in_the_parser_is_found(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    match fault:
        case "or is and":
            monkeypatch.setattr(predicate, "Either", Both)
            found = (search, (Counter(),))
        case "precedence":
            monkeypatch.setattr(predicate, "_BINDING", {**predicate._BINDING, "or": 2, "and": 1})
            found = (
                test_a_predicate_means_what_it_says,
                ("x<1 or n>2 and b!=3", "((x < 1) or ((n > 2) and (b != 3)))"),
            )
        case _:
            monkeypatch.setattr(predicate, "Not", lambda of: Not(Not(of)))
            found = (search, (Counter(),))
    with pytest.raises(AssertionError):
        found[0](*found[1])
