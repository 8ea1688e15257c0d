"""Quantiles, curves and summaries as a researcher asks, reads, draws and plans them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from clients.researcher import rendering
from clients.researcher.results import Result
from clients.researcher.session import Session
from clients.researcher.table import Table
from federation.errors import Misuse, Refused
from tests.researcher.fake import PARTIES, Fake, pooled, publication


@pytest.fixture
def table() -> Table:
    return Session(Fake()).table("tb")


def shy(k: int) -> Table:
    return Session(Fake(published={party: publication(k=k, own_figures=False) for party in PARTIES})).table("tb")


def test_quantiles_are_asked_by_share_and_answer_by_value(table: Table) -> None:
    ages = pooled("age")
    one = table.quantile("age", 0.9)
    assert one.value == float(one) == np.quantile(ages, 0.9, method="inverted_cdf")
    several = table.quantile("age", [0.25, 0.5, 0.75])
    assert several.values == tuple(np.quantile(ages, [0.25, 0.5, 0.75], method="inverted_cdf"))
    assert several[0.5].value == table.quantile("age").value
    women = table.quantile("age", by="sex")["f"]
    assert women.value == np.quantile(
        ages[pooled("sex", lambda rows: rows["age"] != 999) == "f"], 0.5, method="inverted_cdf"
    )
    with pytest.raises(Misuse, match="several quantiles"):
        float(several)
    cost = table.quantile("cost", 0.5, resolution=0.5)
    low, high = cost.interval
    assert low <= np.median(pooled("cost")) <= high + 20
    assert high - low == pytest.approx(0.5, rel=1e-9)


def test_a_summary_of_quantiles_says_what_they_are(table: Table) -> None:
    said = table.quantile("age", [0.5, 0.9]).summary()
    assert said.startswith("quantile('age', q=[0.5, 0.9]) of tb\n")
    assert "inverse distribution function" in said
    assert "resolution 1" in said
    assert "9 missing age (refused)" in said
    assert json.dumps(table.quantile("age", by="sex").to_dict())


def test_what_withheld_bins_leave_stands_below_the_table() -> None:
    found = shy(3).quantile("age", [0.1, 0.5])
    said = found.summary()
    low, high = found[0.5].interval
    assert low < high
    assert f"quantile 0.5: withheld by {found[0.5].withheld}; the truth lies in [{low}, {high}]" in said
    assert "withhold bins of fewer than 3" in said
    assert low <= np.quantile(pooled("age"), 0.5, method="inverted_cdf") <= high
    assert str(low) in found._repr_html_()
    with pytest.raises(Refused, match="fewer than 3 parties"):
        shy(80).quantile("age")


def test_a_description_has_all_numeric_columns_and_says_why_it_has_no_extremes(table: Table) -> None:
    found = table.describe()
    assert [row[0] for row in found.table().rows] == ["age", "cost"]
    assert found["age"].mean.value == table.mean("age").value
    assert "somebody's own figure" in found.summary()
    assert [row[0] for row in table.describe(["cost"]).table().rows] == ["cost"]
    assert table.describe(by="sex")["cost", "f"].n == int((pooled("sex") == "f").sum())
    with pytest.raises(Misuse, match="nothing to draw"):
        found.plot()
    assert json.dumps(found.to_dict())


def test_a_curve_is_read_and_drawn(table: Table) -> None:
    found = table.ecdf("age", by="sex")
    assert found["f"].value[-1] == 1.0
    with pytest.raises(Misuse, match="several values"):
        float(table.ecdf("age"))
    assert len(table.histogram("age", 4, by="sex").table().rows) == 8


def test_matplotlib_draws_one_curve_a_group_with_a_legend(table: Table) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    for result, curves in (
        (table.ecdf("age"), 1),
        (table.ecdf("cost", by="sex"), 2),
        (table.quantile("age", by="sex"), 2),
        (table.histogram("cost", 5, by="sex"), 2),
    ):
        ax = result.plot()
        assert len(ax.patches) == curves
        assert not any(patch.get_fill() for patch in ax.patches)
        legend = ax.get_legend()
        assert (legend is None) == (curves == 1)
        if legend is not None:
            assert [text.get_text() for text in legend.get_texts()] == ["f", "m"]
        ax.figure.canvas.draw()
    assert table.histogram("cost").plot().patches[0].get_fill()


def test_a_long_table_leaves_out_its_middle_and_says_so(table: Table) -> None:
    found: Result = table.ecdf("age")
    rows = found.table().rows
    assert len(rows) == 121
    said = found.summary()
    assert f"{121 - rendering.MOST_LINES} rows in the middle are not shown" in said
    assert said.count("\n") < 70
    assert len(found.to_pandas()) == 121
    assert rendering.shortened([1, 2, 3, 4, 5], 3) == ([1, 2, 5], 2)
    assert rendering.shortened([1, 2], 3) == ([1, 2], 0)


def test_a_plan_names_the_cells_that_may_be_own_figures_and_the_clause(table: Table) -> None:
    said = table.plan(table.ask.quantile("age", by="sex"), table.ask.count(by="sex")).summary()
    assert "own figures: 248 cells may be one party's own figure" in said
    assert "246 of sex x 121 bins of age, and below and above them, 2 of sex" in said
    assert "k = 1, all operators publish own figures" in said
    closed = shy(10)
    said = closed.plan(closed.ask.quantile("age", by="sex")).summary()
    assert "own figures: none; k = 10" in said
    assert "fewer than three parties contribute stay closed" in said
    assert "at most 16 secure sums" in said
