"""Survival curves equal lifelines' on pooled rows at event times, and on binned times under a coarse grid."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_gbsg2, load_lung, load_waltons
from lifelines.utils import median_survival_times

from federation.analytics import survival
from federation.analytics.plan import Failure
from federation.errors import Misuse
from tests.analytics.cohorts import split
from tests.analytics.parties import ask, outcomes, result


def lung() -> pd.DataFrame:
    frame = load_lung()[["time", "status", "sex", "age"]].astype(int)
    return frame.assign(sex=frame["sex"].map({1: "m", 2: "f"}))


def fitted(times: object, events: object, alpha: float = 0.05) -> KaplanMeierFitter:
    return KaplanMeierFitter(alpha=alpha).fit(times, events)


def agrees(curve, reference: KaplanMeierFitter, *, tolerance: float = 1e-12) -> int:
    """Compare at event times; return how many."""
    table = reference.event_table
    times = table.index[table["observed"] > 0]
    mine = {step.time: step for step in curve.steps if step.n_events}
    assert list(mine) == list(times)
    survival_at = reference.survival_function_["KM_estimate"]
    for time in times:
        step = mine[time]
        assert (step.n_risk, step.n_events) == (table.loc[time, "at_risk"], table.loc[time, "observed"])
        assert step.survival == pytest.approx(survival_at[time], rel=tolerance, abs=1e-15)
        low, high = reference.confidence_interval_.loc[time]
        if step.ci[0] is not None:
            assert step.ci == pytest.approx((low, high), rel=1e-9, abs=1e-12)
        assert step.low <= step.survival <= step.high
    return len(times)


@pytest.mark.parametrize("parts", [(100, 60, 68), (10, 200, 18), (23,) * 9 + (21,)])
def test_it_equals_lifelines_at_every_event_time(parts: tuple[int, ...]) -> None:
    frame = lung()
    found = result(split(frame, parts), ask("kaplan_meier", time="time", event="status"))
    reference = fitted(frame["time"], frame["status"])
    assert agrees(found.only, reference) == 139
    assert found.exact
    assert (found.n, found.only.events) == (228, 165)
    assert found.median_survival_time_ == reference.median_survival_time_ == 310
    ends = median_survival_times(reference.confidence_interval_).iloc[0]
    assert found.only.percentile_ci(0.5) == tuple(ends)
    asked = (0, 4.5, 5, 310, 1000)
    told = reference.survival_function_at_times(asked).tolist()
    assert found.only.survival_function_at_times(asked) == pytest.approx(told, rel=1e-12)


def test_groups_and_one_party_with_one_class_only() -> None:
    frame = lung().sort_values("status", ignore_index=True)  # the first party has no event at all
    found = result(split(frame, (60, 100, 68)), ask("kaplan_meier", time="time", event="status", by="sex"))
    for sex in ("f", "m"):
        rows = frame[frame["sex"] == sex]
        agrees(found[sex], fitted(rows["time"], rows["status"]))
    with pytest.raises(Misuse, match="one curve per 'sex'"):
        _ = found.value
    picture = found.picture()
    assert (picture.label, [each.label for each in picture.others], picture.filled) == ("f", ["m"], False)


def test_the_plain_interval_is_greenwoods() -> None:
    frame = lung()
    found = result(split(frame, (100, 60, 68)), ask("kaplan_meier", time="time", event="status", ci="plain", alpha=0.1))
    z = 1.6448536269514722
    at_risk = events = 0
    spread = 0.0
    for step in found.only.steps:
        if step.n_events:
            at_risk, events = step.n_risk, step.n_events
            spread += events / (at_risk * (at_risk - events)) if at_risk > events else math.inf
        if math.isfinite(spread):
            assert step.se == pytest.approx(step.survival * math.sqrt(spread), rel=1e-12)
            wanted = (max(0, step.survival - z * step.se), min(1, step.survival + z * step.se))
            assert step.ci == pytest.approx(wanted, rel=1e-12)
        else:
            assert (step.survival, step.se, step.ci) == (0.0, None, (None, None))


def test_real_times_are_searched_in_rounds_and_found_to_their_resolution() -> None:
    dice = np.random.Generator(np.random.PCG64(3))
    times = np.round(dice.exponential(20, 900), 4)
    frame = pd.DataFrame({"time": times, "event": dice.integers(0, 2, 900)})
    reference = fitted(frame["time"], frame["event"])
    found = result(split(frame, (500, 300, 100)), ask("kaplan_meier", time="time", event="event", resolution=0.0001))
    assert found.exact
    assert found.notes == ("event times are told to 0.0001",)
    assert agrees(found.only, reference) > 400
    assert survival.rounds(question(frame, 0.0001), split(frame, (900,))[0].own) > 1
    plain = result(split(frame, (500, 300, 100)), ask("kaplan_meier", time="time", event="event"))
    assert plain.value[-1] == pytest.approx(found.value[-1], rel=1e-12)


def question(frame: pd.DataFrame, resolution: float | None) -> survival.Question:
    joint = split(frame, (len(frame),))[0].own
    clock = survival.clock_of("time", resolution, joint)
    return survival.question(clock, survival.outcome_of("event", None, joint), None, None, joint)


def test_a_grid_of_ones_own_is_kaplan_meier_of_times_at_its_left_ends() -> None:
    frame = load_waltons()
    frame = pd.DataFrame({"T": frame["T"].astype(int), "E": frame["E"].astype(int)})
    edges = (6, 10, 25, 40, 60, 76)
    found = result(split(frame, (80, 50, 33)), ask("kaplan_meier", time="T", event="E", bins=edges))
    assert not found.exact
    left = np.array(edges)[np.minimum(np.searchsorted(edges, frame["T"], side="right") - 1, len(edges) - 2)]
    agrees(found.only, fitted(left, frame["E"]))


def test_without_the_clause_the_grid_is_coarse_and_small_cells_stay_at_home() -> None:
    frame = lung()
    parties = split(frame, (100, 60, 68), k=3, own_figures=False)
    found = result(parties, ask("kaplan_meier", time="time", event="status"))
    assert not found.exact
    assert len(found.only.steps) <= survival.FEW_BINS
    assert found.closed, "small bins are withheld, and said"
    # The same rule by hand: a party's cell of fewer than k rows is 0, and a cell that fewer than three open is 0.
    starts = [5 + 1018 * i // 16 for i in range(16)]
    kept: Counter[tuple[int, int]] = Counter()
    place = np.searchsorted(starts, frame["time"], side="right") - 1
    for event in (0, 1):
        for at in range(16):
            mine = [
                int(((place == at) & (frame["status"] == event))[a:b].sum())
                for a, b in ((0, 100), (100, 160), (160, 228))
            ]
            if all(count >= 3 for count in mine):
                kept[at, event] = sum(mine)
    rows = [(starts[at], event) for (at, event), count in kept.items() for _ in range(count)]
    reference = fitted(*zip(*rows, strict=True))
    agrees(found.only, reference)


def test_the_printed_interval_holds_the_curve_of_all_rows_in_1000_random_tables() -> None:
    dice = random.Random(5)
    seen: Counter[str] = Counter()
    for _ in range(1000):
        k, parties = dice.choice([2, 3, 5]), dice.choice([3, 4])
        rows = [(dice.randint(0, 7), dice.randint(0, 1)) for _ in range(dice.choice([20, 60, 120]))]
        frame = pd.DataFrame([*rows, (0, 0), (7, 1)], columns=["time", "event"])
        cuts = sorted(dice.randint(0, len(frame)) for _ in range(parties - 1))
        parts = [b - a for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
        mine = split(frame, parts, k=k, own_figures=dice.random() < 0.5)
        (outcome,) = outcomes(mine, ask("kaplan_meier", time="time", event="event", bins=tuple(range(9))))
        if isinstance(outcome, Failure):
            assert outcome.rule == "contributors"
            seen["refused"] += 1
            continue
        for step in outcome.result.only.steps:
            reached = [frame["time"] >= time for time in range(step.time + 1)]
            events = [(frame["time"] == time) & (frame["event"] == 1) for time in range(step.time + 1)]
            true = math.prod(1 - e.sum() / r.sum() for e, r in zip(events, reached, strict=True) if r.sum())
            assert step.low - 1e-12 <= true <= step.high + 1e-12
            seen["narrow" if step.high - step.low < 0.3 else "wide"] += 1
    assert min(seen["refused"], seen["narrow"], seen["wide"]) > 50, seen


def test_a_bound_that_forgets_what_is_withheld_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_between = survival.rows_between
    monkeypatch.setattr(survival, "rows_between", lambda *args: (rows_between(*args)[0],) * 2)
    with pytest.raises(AssertionError):
        test_the_printed_interval_holds_the_curve_of_all_rows_in_1000_random_tables()


def test_which_value_is_an_event_is_said_where_it_is_not_clear() -> None:
    frame = lung().assign(status=lambda f: f["status"] + 1, state=lambda f: np.where(f["status"] == 2, "dead", "alive"))
    frame["other"] = np.where(frame["status"] == 2, "b", "a")
    parties = split(frame, (100, 60, 68))
    reference = fitted(frame["time"], frame["status"] == 2)
    asked = [
        ask("kaplan_meier", time="time", event="status", observed=2),
        ask("kaplan_meier", time="time", event="state"),
        ask("kaplan_meier", time="time", event="other", observed="b"),
    ]
    for outcome in outcomes(parties, *asked):
        agrees(outcome.result.only, reference)
    wrong = [
        ask("kaplan_meier", time="time", event="status"),
        ask("kaplan_meier", time="time", event="other", observed="bb"),
        ask("kaplan_meier", time="sex", event="status", observed=2),
        ask("kaplan_meier", time="time", event="status", observed=2, ci="exact"),
        ask("kaplan_meier", time="time", event="status", observed=2, alpha=1.0),
        ask("kaplan_meier", time="time", event="status", observed=2, resolution=0.5),
    ]
    for outcome in outcomes(parties, *wrong):
        assert isinstance(outcome, Failure)
        assert outcome.code == "misuse"


def test_units_with_several_rows_are_counted_once_and_rows_follow_the_time() -> None:
    frame = lung()
    frame["who"] = [f"u{i // 2}" for i in range(len(frame))]
    parties = split(frame, (100, 60, 68), k=2, own_figures=True, identifiers=("who",))
    found = result(parties, ask("kaplan_meier", time="time", event="status", bins=4))
    alone = [line for line in found.closed if line.withheld]
    assert 228 - len(alone) <= found.n < 228, "who has one row in a cell is one unit, not the row before it"
    assert all(step.high >= step.low for step in found.only.steps)


def test_breast_cancer_of_gbsg2() -> None:
    frame = load_gbsg2()[["time", "cens", "horTh"]]
    found = result(split(frame, (300, 200, 186)), ask("kaplan_meier", time="time", event="cens", by="horTh"))
    for label in ("no", "yes"):
        rows = frame[frame["horTh"] == label]
        agrees(found[label], fitted(rows["time"], rows["cens"]))
