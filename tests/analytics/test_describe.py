"""A summary is the same figures as its parts, asked together in as few rounds, without anybody's least or greatest."""

from __future__ import annotations

import random

import numpy as np
import pytest

from federation.analytics.plan import Failure
from federation.errors import Misuse
from federation.jobs import planner
from tests.analytics.parties import (
    GROUPS,
    MISSING,
    Party,
    ask,
    dataset,
    driven,
    job,
    joint_of,
    outcomes,
    party,
    pooled,
    result,
)


def parties(*, k: int = 1, own_figures: bool = True, size: int = 60) -> list[Party]:
    dice = random.Random(4)
    published = dataset(k=k, own_figures=own_figures)
    return [
        party(
            published,
            [
                (
                    dice.choice([MISSING, dice.randint(-50, 50)]),
                    dice.choice(GROUPS),
                    dice.choice([np.nan, dice.gauss(0, 9)]),
                )
                for _ in range(size)
            ],
        )
        for _ in range(3)
    ]


@pytest.mark.parametrize("by", [None, "area"])
@pytest.mark.parametrize(("k", "own_figures", "size"), [(1, True, 60), (4, False, 600)])
def test_a_summary_is_what_its_parts_say(by: str | None, k: int, own_figures: bool, size: int) -> None:
    each = parties(k=k, own_figures=own_figures, size=size)
    asked = [ask("describe", by=by)]
    for column in ("age", "pay"):
        asked += [ask("mean", column=column, by=by), ask("std", column=column, by=by)]
        asked.append(ask("quantile", column=column, q=(0.25, 0.5, 0.75), by=by))
    described, *parts = (outcome.result for outcome in outcomes(each, *asked))
    for i, column in enumerate(("age", "pay")):
        mean, std, quartiles = parts[3 * i : 3 * i + 3]
        for label, pool in pooled(each, column, by).items():
            cell = described[column] if by is None else described[column, label]
            group = quartiles.only if by is None else quartiles[label]
            assert (cell.mean, cell.std) == (mean[label], std[label])
            assert (cell.p25, cell.p50, cell.p75) == group.values
            assert cell.n == len(pool.values)
            np.testing.assert_allclose(cell.mean.value, np.mean(pool.values))
            np.testing.assert_allclose(cell.std.value, np.std(pool.values, ddof=1), rtol=1e-7)
            if k == 1 and column == "age":
                assert cell.p50 == np.quantile(pool.values, 0.5, method="inverted_cdf")


def test_no_least_and_no_greatest_value_is_told() -> None:
    published = dataset(k=1, own_figures=True)
    each = [party(published, [(age, "sea", 0.0) for age in range(-37, 44) if age != MISSING]) for _ in range(3)]
    found = result(each, ask("describe", columns=("age",)))
    assert not {-37, 43} & {value for row in found.table().rows for value in row}
    assert found.table().columns[-2:] == ("declared low", "declared high")
    assert found.table().rows[0][-2:] == (-50, 50)
    assert any("somebody's own figure" in note for note in found.notes)
    assert found.picture() is None


def test_columns_and_statistics_share_their_rounds_and_queries() -> None:
    each = parties()
    joint = joint_of(each)
    alone = job([ask("quantile", column="pay")], 3)
    assert planner.rounds(job([ask("describe", columns=("age", "pay"))], 3), joint) == planner.rounds(alone, joint) == 2
    replay = planner.replay(job([ask("describe", columns=("age", "pay")), ask("mean", column="age")], 3), joint)
    assert len(replay.round.queries) == 4, "moments and bins of two columns; mean, std and the further mean are one"
    assert driven(replay, each, joint).rounds_fed == 2
    whole = job([ask("describe", columns=("age",))], 3)
    assert planner.rounds(whole, joint) == 1


def test_what_is_missing_is_counted_per_column() -> None:
    each = parties()
    found = result(each, ask("describe", columns=("age", "pay")))
    missing = {"age": 0, "pay": 0}
    for one in each:
        missing["age"] += int((one.rows["age"] == MISSING).sum())
        missing["pay"] += int(np.isnan(one.rows["pay"]).sum())
    assert dict(found.missing) == missing
    assert {row[0]: row[2] for row in found.table().rows} == missing
    assert ("age", "refused", missing["age"]) in found.n_missing
    assert found.non_finite == missing["pay"]


def test_a_summary_of_which_nothing_opens_is_refused_and_one_column_may_fail_alone() -> None:
    (refused,) = outcomes(parties(k=10, own_figures=False, size=9), ask("describe"))
    assert isinstance(refused, Failure)
    assert (refused.code, refused.rule) == ("refused", "contributors")
    published = dataset(k=3, own_figures=False)
    rows = [(age, "sea", np.nan) for age in range(30)] * 2
    found = result([party(published, rows)] * 3, ask("describe", columns=("age", "pay")))
    assert found["age"].n == 180
    assert (found["pay"].n, found["pay"].p50) == (None, None)
    assert [column for column, _ in found.failed] == ["pay"]
    assert any("pay: fewer than 3 parties" in note for note in found.notes)


def test_withheld_groups_are_listed_with_their_intervals() -> None:
    published = dataset(k=5, own_figures=False)
    full = [(age, area, 1.0) for area in GROUPS for age in range(20)] * 4
    each = [party(published, full)] * 3 + [party(published, [row for row in full if row[1] != "sea"])]
    found = result(each, ask("describe", columns=("age",), by="area"))
    lines = [line for line in found.suppressed if "sea" in line.what]
    assert lines
    assert all(line.withheld >= 1 and line.what.startswith("age: ") for line in lines)
    assert found["age", "sea"].mean.interval[0] < found["age", "sea"].mean.value


@pytest.mark.parametrize("parameters", [{"columns": ("agee",)}, {"columns": ("area",)}, {"columns": ()}])
def test_columns_without_numbers_are_misuse(parameters: dict[str, tuple[str, ...]]) -> None:
    (outcome,) = outcomes(parties(), ask("describe", **parameters))
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse"
    found = result(parties(), ask("describe", by="area"))
    with pytest.raises(Misuse, match="one summary per"):
        _ = found["age"]
    with pytest.raises(Misuse, match="no summary"):
        _ = found["agee"]
