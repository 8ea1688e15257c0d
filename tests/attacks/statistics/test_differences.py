"""S2, S3, S10, S11, S19: questions whose difference is one person, in every order and spelling."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from federation.errors import Refused
from federation.query import predicate
from federation.query.expression import Col, Const, Expression
from federation.query.query import Bins, Categories, SumQuery
from tests.attacks.statistics.victim import K, Threshold, Victim, category, dataset, number

AREAS = ("north", "east", "south", "west")
OWN = dataset(number("age", 0, 120), number("pay", 0, 100_000), category("area", *AREAS))


def people(rows: int = 200, alone: int = 1) -> pd.DataFrame:
    """Ages 20 to 59 and four areas; `alone` people of 95 live in the west, who are all that live there."""
    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": [*random.integers(20, 60, rows - alone), *([95] * alone)],
            "pay": random.integers(10_000, 90_000, rows),
            "area": [*random.choice(AREAS[:3], rows - alone), *(["west"] * alone)],
        }
    )


def where(text: str) -> Expression:
    return predicate.parse(text, OWN)


def pay(text: str = "", by: str = "") -> SumQuery:
    return SumQuery(
        dataset="data",
        where=where(text) if text else None,
        group_by=(Categories(by),) if by else (),
        terms=(Col("pay"),),
    )


def test_s3_everybody_and_everybody_but_one() -> None:
    rows = people()
    secret = int(rows["pay"].iloc[-1])
    naive, ours = Threshold(rows, OWN), Victim(rows, OWN)
    total, rest = naive.ask(pay()), naive.ask(pay("age < 95"))
    assert total is not None
    assert rest is not None
    assert total[1] - rest[1] == secret, "the threshold alone gives the one person's pay"
    assert ours.ask(pay()) == total
    assert ours.ask(pay("age < 95")) is None
    assert ours.refusals[-1].rule == "differencing"


def test_s3_of_other_columns_than_before_is_the_same_difference() -> None:
    """A mean of age over all, and one of pay over all but one: the counts differ by the one."""
    ours = Victim(people(), OWN)
    assert ours.ask(SumQuery(dataset="data", terms=(Col("age"),))) is not None
    assert ours.ask(pay("age < 95")) is None


@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_s2_a_total_and_its_cells_in_either_order_or_one_round(order: tuple[int, ...]) -> None:
    rows = people(alone=3)
    queries = [pay(), pay(by="area")]
    naive = Threshold(rows, OWN)
    total, cells = naive.ask(queries[0]), naive.ask(queries[1])
    assert total is not None
    assert cells is not None
    assert cells[6:8] == (0, 0), "the west is withheld"
    hidden = total[1] - sum(cells[1:8:2])
    assert hidden == int(rows["pay"].tail(3).sum()), "and its three people are the margin minus the cells"
    ours = Victim(rows, OWN)
    assert ours.ask(queries[order[0]]) is not None
    assert ours.ask(queries[order[1]]) is None
    assert Victim(rows, OWN).ask(*queries) is None


def test_s2_a_margin_whose_withheld_cells_hold_k_together_opens() -> None:
    rows = people(alone=9)
    rows.loc[:8, "area"] = "west"  # eighteen live there now: the cell is shown
    ours = Victim(rows, OWN)
    assert ours.ask(pay()) is not None
    assert ours.ask(pay(by="area")) is not None


def test_s3_bins_beside_their_pieces() -> None:
    """A histogram, and the same with one edge moved by a year that two people have."""
    rows = people()
    rows["age"] = np.repeat(np.arange(20, 40), 10)
    rows.loc[:1, "age"] = 40
    ours = Victim(rows, OWN)
    assert ours.ask(SumQuery(dataset="data", group_by=(Bins(Col("age"), (0, 30, 41)),))) is not None
    assert ours.ask(SumQuery(dataset="data", group_by=(Bins(Col("age"), (0, 30, 40)),))) is not None, "closed at 40"
    moved = SumQuery(dataset="data", group_by=(Bins(Col("age"), (0, 20, 40)),), where=where("age < 40"))
    assert ours.ask(moved) is None


def test_s3_across_versions_of_the_data() -> None:
    """One person joins: the same question over both versions is that person."""
    rows = people()
    before = Victim(rows.iloc[:-1], OWN)
    assert before.ask(pay()) is not None
    naive = Threshold(rows.iloc[:-1], OWN)
    old, new = naive.ask(pay()), naive.again(rows, "2").ask(pay())
    assert old is not None
    assert new is not None
    assert new[1] - old[1] == int(rows["pay"].iloc[-1])
    after = before.again(rows, "2")
    assert after.ask(pay()) is None
    many = before.again(pd.concat([rows.iloc[:-1], people(30)]), "3")
    assert many.ask(pay()) is not None, "thirty who join hide each other"


def test_s3_a_changed_row_is_one_that_leaves_and_one_that_joins() -> None:
    rows = people()
    before = Victim(rows, OWN)
    assert before.ask(pay()) is not None
    changed = rows.copy()
    changed.loc[5, "pay"] += 1
    assert before.again(changed, "2").ask(pay()) is None


def test_s3_rows_in_another_order_are_the_same_rows() -> None:
    before = Victim(people(), OWN)
    assert before.ask(pay()) is not None
    after = before.again(people().iloc[::-1], "2")
    assert after.ask(pay()) is not None
    assert after.ask(pay("age < 95")) is None, "what the first version opened is remembered"


def test_the_history_is_kept_by_project_and_survives_a_restart() -> None:
    rows = people()
    first = Victim(rows, OWN)
    assert first.ask(pay(), project="a") is not None
    restarted = Victim(rows, OWN, first.vault)
    assert restarted.ask(pay("age < 95"), project="a") is None
    assert restarted.ask(pay("age < 95"), project="b") is not None
    assert restarted.ask(pay(), project="b") is None


def test_a_history_that_is_read_again_beforehand_is_not_read_by_a_question() -> None:
    rows = people()
    first = Victim(rows, OWN)
    assert first.ask(pay(), project="a") is not None
    assert first.ask(pay("age < 95"), project="b") is not None
    restarted = Victim(rows, OWN, first.vault)
    restarted.guard.remember()
    first.vault.read = None  # type: ignore[method-assign, assignment]  # nobody reads a stream any more
    assert restarted.ask(pay("age < 95"), project="a") is None
    assert restarted.ask(pay(), project="b") is None


def test_s3_who_has_no_value_is_compared_where_values_are_summed() -> None:
    """Pay over all who have it, and over those of them who have an age: the difference is one person's pay."""
    rows = people().astype({"age": "Int64"})
    rows.loc[17, "age"] = None
    product = SumQuery(dataset="data", terms=(Col("pay"), Col("age")))
    naive = Threshold(rows, OWN)
    total, rest = naive.ask(pay()), naive.ask(product)
    assert total is not None
    assert rest is not None
    assert total[1] - rest[1] == int(rows["pay"].iloc[17])
    ours = Victim(rows, OWN)
    assert ours.ask(pay()) is not None
    assert ours.ask(SumQuery(dataset="data", terms=(Col("age"),))) is not None, "age alone tells no pay"
    assert ours.ask(product) is None
    restarted = Victim(rows, OWN, ours.vault)
    assert restarted.ask(product) is None
    assert restarted.ask(pay("age is not missing")) is None


def test_s3_logarithms_select_by_value_and_are_compared_too() -> None:
    """Who has no logarithm is left out of the sum: a condition on values that no `where` says."""
    rows = people()
    rows.loc[3, "age"] = 0
    ours, naive = Victim(rows, OWN), Threshold(rows, OWN)
    logs = SumQuery(dataset="data", terms=((Col("age") + 1).log(), Const(1) / Col("age").clip(0, 1)))
    counted, kept = naive.ask(SumQuery(dataset="data")), naive.ask(logs)
    assert counted is not None
    assert kept is not None
    assert counted[0] - kept[0] == 1
    assert ours.ask(SumQuery(dataset="data")) is not None
    assert ours.ask(logs) is None


def test_s10_the_same_question_is_answered_from_memory_and_counts_once() -> None:
    ours = Victim(people(), OWN)
    first = ours.ask(pay(by="area"))
    assert first is not None
    ours.engine.close()  # nobody looks at a row again
    ours.vault.append_many = None  # type: ignore[method-assign, assignment]  # and nothing is written
    assert [ours.ask(pay(by="area")) for _ in range(20)] == [first] * 20


def rewritten(number: int) -> str:
    """Return one of a hundred ways to say that somebody is 30 or older, and not in the west."""
    random = np.random.default_rng(number)
    parts = [["age >= 30", "30 <= age", "not age < 30", "age > 29"], ["area != 'west'", "not (area == 'west')"]]
    parts[1].append("area in ['north', 'east', 'south']")
    chosen = [str(random.choice(part)) for part in parts]
    random.shuffle(chosen)
    chosen += [chosen[0]] * int(random.integers(0, 3))
    return " and ".join(f"({part})" for part in chosen)


def test_s11_a_hundred_ways_to_write_a_question_open_no_second_number() -> None:
    """Each opens the very numbers that the first one opened, or is refused; none adds an independent set."""
    ours = Victim(people(alone=20), OWN)
    first = ours.ask(pay("age >= 30 and area != 'west'"))
    assert first is not None
    answers = [ours.ask(pay(rewritten(index))) for index in range(100)]
    assert set(answers) <= {first, None}
    assert first in answers
    assert {refusal.rule for refusal in ours.refusals} <= {"differencing"}


def said(refusal: Refused) -> tuple[str, str, str]:
    return refusal.message, refusal.hint, refusal.rule


def test_s19_a_condition_that_nobody_fulfils_is_refused_in_the_words_of_one_that_few_fulfil() -> None:
    rows = people()
    ours = Victim(rows, OWN)
    assert ours.ask(pay()) is not None
    assert ours.ask(pay("age < 95")) is None, "one person"
    assert ours.ask(pay("age < 96")) is None, "nobody"
    assert said(ours.refusals[0]) == said(ours.refusals[1])


def test_s1_and_s19_an_empty_cell_and_a_small_one_send_the_same_bytes() -> None:
    empty = people()
    empty["area"] = np.random.default_rng(1).choice(AREAS[:3], len(empty))
    small = pd.concat([empty, people(K - 1).assign(area="west")])
    one, other = Victim(empty, OWN).ask(pay(by="area")), Victim(small, OWN).ask(pay(by="area"))
    assert one is not None
    assert one == other
