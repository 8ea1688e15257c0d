"""S21: the same rows asked of four parties and of three of them: the difference is the fourth's own figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import federation as fed
from clients.jurisdiction.history import History
from clients.researcher.session import Session
from clients.researcher.verified import JobRefused
from tests.attacks.statistics.victim import K

FOUR, THREE = ("a", "b", "c", "d"), ("a", "b", "c")
RULE = "one set per query"

Ask = Callable[[Any], Any]


def frame(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"age": random.integers(20, 60, 60), "pay": random.integers(1_000, 9_000, 60)})


def session(k: int = K, *, own_figures: bool = False) -> Session:
    return fed.local({party: frame(seed) for seed, party in enumerate(FOUR)}, k=k, own_figures=own_figures)


def test_s21_another_question_over_the_same_rows_and_one_party_less_is_refused() -> None:
    """Not the same query, so no record of queries knows it: the total of pay is in both."""
    asked = session()
    asked.table("data", parties=FOUR).mean("pay")
    with pytest.raises(JobRefused) as refusal:
        asked.table("data", parties=THREE).cov(["pay", "age"])
    assert {blame.rule for blame in refusal.value.blames} == {RULE}


def test_s21_without_the_rule_the_fourth_partys_mean_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: queries alone are bound to their parties."""
    monkeypatch.setattr(History, "together", lambda *_: True)
    asked = session()
    all_four = asked.table("data", parties=FOUR).mean("pay")
    three = asked.table("data", parties=THREE).describe(["pay"])
    (line,) = three.to_pandas().to_dict("records")
    own = (all_four.value * 240 - line["mean"] * 180) / 60
    assert own == pytest.approx(frame(3)["pay"].mean())


@pytest.mark.parametrize(
    "second",
    [
        lambda table: table.count(),
        lambda table: table.mean("age"),
        lambda table: table.histogram("age", bins=2),
        lambda table: table.where("age >= 0").mean("pay"),
    ],
    ids=["count", "another column", "in cells", "a condition that everybody fulfils"],
)
@pytest.mark.parametrize(("first", "then"), [(FOUR, THREE), (THREE, FOUR)])
def test_s21_in_any_order_and_spelling(first: tuple[str, ...], then: tuple[str, ...], second: Ask) -> None:
    asked = session()
    asked.table("data", parties=first).mean("pay")
    with pytest.raises(JobRefused) as refusal:
        second(asked.table("data", parties=then))
    assert {blame.rule for blame in refusal.value.blames} <= {RULE, "differencing"}


def test_the_same_parties_ask_on_and_other_rows_may_go_to_others() -> None:
    asked = session()
    asked.table("data", parties=FOUR).mean("pay")
    assert asked.table("data", parties=FOUR).count().value == 240
    assert asked.table("data", parties=THREE).where("age < 40").mean("pay").n
    with pytest.raises(JobRefused):
        asked.table("data", parties=FOUR).where("age < 40").count()


def test_where_operators_publish_their_own_figures_nothing_is_compared() -> None:
    asked = session(1, own_figures=True)
    asked.table("data", parties=FOUR).mean("pay")
    assert asked.table("data", parties=THREE).count().value == 180
