"""A table shows what is published and never a row; its predicates are parsed before anybody is asked."""

from __future__ import annotations

import pytest

from clients.researcher.session import Session
from clients.researcher.table import MOST_SHOWN, Table, described
from federation.domain.catalogue import Column, Kind
from federation.errors import Misuse
from federation.registry import names
from tests.researcher.fake import PARTIES, Fake, columns, publication


@pytest.fixture
def table() -> Table:
    return Session(Fake()).table("tb")


def test_a_table_describes_what_is_published(table: Table) -> None:
    assert (table.name, table.unit, table.k, table.parties) == ("tb", "person", 1, PARTIES)
    assert table.units == {"age": "year", "cost": "HKD", "sex": ""}
    for said in ("age", "integer", "year", "120", "999 (refused)", "f, m", "肺结核", "guangdong, hongkong, macao"):
        assert said in table.summary()
        assert said in table._repr_html_()


def test_the_joint_range_is_the_hull_and_k_the_greatest() -> None:
    narrow = publication(k=10, columns=(Column(name="age", kind=Kind.INTEGER, low=10, high=90),))
    wide = publication(k=3, columns=(Column(name="age", kind=Kind.INTEGER, low=0, high=50),))
    table = Session(Fake(published={"a": narrow, "b": wide, "c": wide})).table("tb")
    assert (table.columns[0].low, table.columns[0].high, table.k) == (0, 90, 10)


def test_a_table_never_shows_a_row(table: Table) -> None:
    shown = table.summary() + table._repr_html_() + repr(table.to_dict()) + repr(vars(table))
    for party in PARTIES:
        for cost in columns(party)["cost"]:
            assert str(cost) not in shown


def test_where_is_parsed_at_once_and_says_where_it_goes_wrong(table: Table) -> None:
    with pytest.raises(Misuse, match="character 9") as caught:
        table.where("age > 3 nad sex == 'f'")
    assert "^" in caught.value.hint
    with pytest.raises(Misuse, match="no column 'agee'"):
        table.where("agee > 3")


def test_where_narrows_and_leaves_the_table_as_it_was(table: Table) -> None:
    narrowed = table.where("age > 3 or sex == 'f'").where("cost < 5")
    assert narrowed.frame.where == "(age > 3 or sex == 'f') and (cost < 5)"
    assert table.frame.where == ""


def test_every_statistic_is_a_method_also_one_that_came_later(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names("federation.analytics.statistics"):
        assert callable(getattr(table, name))
        assert name in dir(table)
    monkeypatch.delattr(Table, "mean")  # as if this file had been written before the statistic
    assert table.mean("cost").value is not None


def test_a_misspelt_method_says_which_was_meant(table: Table) -> None:
    with pytest.raises(AttributeError, match="did you mean 'histogram'"):
        table.histogramm("age")
    with pytest.raises(AttributeError):
        _ = table._repr_png_


def test_long_category_lists_are_cut_and_counted() -> None:
    column = Column(name="area", kind=Kind.CATEGORY, categories=tuple(f"a{i:02}" for i in range(MOST_SHOWN + 5)))
    assert described(column)[5] == ", ".join(column.categories[:MOST_SHOWN]) + ", and 5 more"
