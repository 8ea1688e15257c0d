"""What the compiler writes: little, once, and nothing of what a researcher wrote but numbers."""

from __future__ import annotations

import re

import pytest
import sqlglot
from sqlglot import exp

from clients.jurisdiction.sql import rounds
from clients.jurisdiction.sql.layers import Layers, column, real, value, whole
from clients.jurisdiction.sql.rounds import Compiled
from federation.domain.catalogue import Column, Dataset, Kind
from federation.query.expression import Col, Const, Expression, Gram, Member, total
from federation.query.query import Bins, Categories, SumQuery

HOSTILE = "x'; DROP TABLE rows; --\" \\"
REALS = tuple(Column(name=f"x{j}", kind=Kind.REAL, low=-2, high=2) for j in range(10))
DATA = Dataset(
    name="data",
    title="",
    unit="row",
    columns=(
        *REALS,
        Column(name="y", kind=Kind.INTEGER, low=0, high=1),
        Column(name=HOSTILE, kind=Kind.CATEGORY, categories=(HOSTILE, "b", "B"), missing=((HOSTILE, HOSTILE),)),
        Column(name="X0", kind=Kind.REAL, low=0, high=1),
    ),
)
XS = [Col(item.name) for item in REALS]


def statements(*queries: SumQuery) -> list[str]:
    return [tree.sql("duckdb") for tree in Compiled(queries, DATA, DATA).statements]


def logistic_step() -> SumQuery:
    chance = total([Const(0.5) * x for x in XS]).expit()
    residual = Col("y") - chance
    scores = tuple(residual * x for x in (Const(1), *XS))
    return SumQuery(dataset="data", terms=(Gram(chance * (1 - chance), (Const(1), *XS)), *scores))


def test_what_is_shared_is_computed_once() -> None:
    (step,) = statements(logistic_step(), logistic_step(), SumQuery(dataset="data", terms=(XS[0],)))
    assert step.count("EXP(") == 1
    assert step.count("SUM(") == 66 + 11 + 1
    assert len(step) < 16_000


def test_a_graph_that_spells_out_to_2_to_the_60_parts_stays_small() -> None:
    node: Expression = XS[0] * 0.25
    for _ in range(30):
        node = node * node + Const(0.125)
    (statement,) = statements(SumQuery(dataset="data", terms=(node,)))
    assert len(statement) < 8_000


def test_nothing_that_a_researcher_or_an_operator_names_is_in_a_statement() -> None:
    chosen = (Col(HOSTILE).equals(HOSTILE) | Member(Col(HOSTILE), (HOSTILE, "B"))) & (Col("X0") > 0.5)
    query = SumQuery(dataset="data", where=chosen, group_by=(Categories(HOSTILE),), terms=(Col("X0"), XS[0]))
    (statement,) = statements(query)
    assert "DROP" not in statement
    names = set(re.findall(r'"([^"]*)"', statement))
    assert all(re.fullmatch(r"[cmx]\d+|rows|layer\d+", name) for name in names), names
    texts = {found.this for found in sqlglot.parse_one(statement, dialect="duckdb").find_all(exp.Literal)}
    assert all(re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?|-?inf", text) for text in texts), texts


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
def test_a_statement_is_one_select_in_every_dialect(dialect: str) -> None:
    query = SumQuery(dataset="data", where=XS[0] / XS[1] > 1, group_by=(Bins(XS[2], (0, 1)),), terms=(XS[0].log(),))
    for tree in Compiled([query], DATA, DATA).statements:
        parsed = sqlglot.parse(tree.sql(dialect), dialect=dialect)
        assert [type(found) for found in parsed] == [exp.Select]


def test_queries_share_a_pass_where_they_share_their_cells() -> None:
    grouped = SumQuery(dataset="data", group_by=(Categories(HOSTILE),), terms=(XS[0],))
    other = SumQuery(dataset="data", group_by=(Categories(HOSTILE),), where=XS[1] > 0, terms=(XS[2],))
    binned = SumQuery(dataset="data", group_by=(Bins(XS[1], (0, 1)),))
    plain = SumQuery(dataset="data", terms=(XS[3],))
    assert len(statements(grouped, other, plain, plain)) == 2
    assert len(statements(grouped, binned, plain)) == 3


def test_a_pass_reads_only_rows_that_a_query_selects() -> None:
    few, many = XS[1] > 0, XS[2] > 0
    first, second = SumQuery(dataset="data", where=few), SumQuery(dataset="data", where=many)
    assert [len(re.findall(r"\bWHERE\b", found[0])) for found in (statements(first, second), statements(first))] == [
        1,
        1,
    ]
    (unfiltered,) = statements(first, SumQuery(dataset="data"))
    assert "WHERE" not in unfiltered


def test_many_sums_are_asked_in_several_statements_with_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    query = SumQuery(dataset="data", group_by=(Bins(XS[1], (0, 1)),), terms=(Gram(Const(1), tuple(XS)),))
    whole_run = Compiled([query], DATA, DATA)
    width = len(whole_run.statements[0].expressions) - 1
    monkeypatch.setattr(rounds, "MOST_OUTPUTS", 7)
    pieces = Compiled([query], DATA, DATA)
    assert len(pieces.statements) == -(-width // 7) > 5
    row = tuple(range(100, 100 + width))
    cut = [[(2, *row[at : at + 7])] for at in range(0, width, 7)]
    assert pieces.answers(cut) == whole_run.answers([[(2, *row)]])


def test_a_number_is_read_back_to_the_same_bits() -> None:
    for number in (0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -2.5e-7, 2.0**70):
        text = real(number).this.this
        assert float(text) == number
    assert real(1).sql("duckdb") == "CAST('1.0' AS DOUBLE)"
    assert whole(-(2**63)).sql("duckdb") == "CAST('-9223372036854775808' AS BIGINT)"


# --- layers ----------------------------------------------------------------------------------------------------------


def named(layers: Layers, *parts: str) -> str:
    found: exp.Expr = column(parts[0])
    for part in parts[1:]:
        found = exp.Add(this=found, expression=column(part))
    return layers.let(found)


def test_equal_trees_are_one_column_and_only_what_is_needed_is_written() -> None:
    layers = Layers()
    first = named(layers, value(0), value(1))
    assert named(layers, value(0), value(1)) == first
    second = named(layers, first, value(2))
    unused = named(layers, second, value(3))
    text = layers.select([exp.Sum(this=column(second))]).sql("duckdb")
    assert unused not in text
    assert text.index(f'AS "{first}"') < text.index(f'AS "{second}"')
    assert text.count("SELECT") == 3


def test_a_column_is_its_own_name() -> None:
    assert Layers().let(column("c7")) == "c7"
