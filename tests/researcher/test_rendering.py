"""Tables line up, whoever wrote the titles, and show no control characters."""

from __future__ import annotations

import math
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from clients.researcher.rendering import as_html, defused, shown, text


def test_numbers_stand_right_and_gaps_are_dashes() -> None:
    assert text(("name", "n"), (("a", 5), ("bb", 100), ("c", None))).splitlines() == [
        "name    n",
        "a       5",
        "bb    100",
        "c       -",
    ]


def test_wide_characters_take_two_cells() -> None:
    lines = text(("name", "n"), (("肺结核", 1), ("ab", 2))).splitlines()
    assert lines[1] == "肺结核  1"
    assert lines[2] == "ab      2"


def test_values_are_written_for_people() -> None:
    written = [shown(value) for value in (None, math.nan, True, 10**20, 1 / 3, math.inf, "x\ny")]
    assert written == ["-", "-", "yes", "1" + "0" * 20, "0.333333", "inf", "x\ny"]
    assert text(("a",), (("x\ny",),)).splitlines() == ["a", "x y"]


def test_a_table_without_rows_or_head_is_no_error() -> None:
    assert text(("a", "b"), ()) == "a  b"
    assert text((), (), title="t", notes=["n"]) == "t\nn"
    assert "<table" not in as_html((), (), notes=["n"])


@given(st.text())
def test_nothing_that_moves_a_cursor_gets_through(value: str) -> None:
    for character in defused(value):
        assert (
            character in "\n\t" or unicodedata.category(character)[0] != "C" or character == "\N{REPLACEMENT CHARACTER}"
        )
    assert len(defused(value)) == len(value)


@given(st.text())
def test_html_has_no_tag_but_ours(value: str) -> None:
    ours = as_html(("x",), (("y",),)).count("<")
    assert as_html((value,), (("y",),)).count("<") == ours
    assert as_html(("x",), ((value,),)).count("<") == ours
