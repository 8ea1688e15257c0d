"""Levels are counted before a model is fitted: small ones are refused with the merge that passes, and it passes."""

from __future__ import annotations

import ast
import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

import federation as fed
from clients.researcher.session import Session
from federation.analytics import asked as asking
from federation.analytics import support
from federation.analytics.design import Levels, designed
from federation.analytics.formula import parse
from federation.analytics.plan import Done
from federation.domain.job import Computation
from federation.errors import JobFailed, Misuse, Refused
from federation.jobs import planner
from federation.query.round import Phase, Round
from tests.analytics.parties import GROUPS, ask, dataset, driven, job, joint_of, outcomes, party
from tests.analytics.test_formula import JOINT

PARTS = {"gd": (0, 500), "hk": (500, 900), "mo": (900, 1_230)}


def made(shares: tuple[float, ...] = (0.5, 0.3, 0.17, 0.03)) -> pd.DataFrame:
    dice = np.random.default_rng(3)
    n = 1_230
    rows = pd.DataFrame({"x": dice.normal(size=n), "g": dice.choice(list("abcd"), n, p=shares)})
    rows["h"] = dice.choice(["u", "v"], n)
    rows["y"] = (dice.random(n) < 1 / (1 + np.exp(-rows.x))).astype(int)
    rows["o"] = rows.x + dice.normal(size=n)
    return rows


ROWS = made()


def session(*, own_figures: bool, k: int = 10, rows: pd.DataFrame = ROWS) -> Session:
    frames = {party: rows.iloc[a:b].reset_index(drop=True) for party, (a, b) in PARTS.items()}
    return fed.local(frames, k=k, own_figures=own_figures)


@pytest.mark.parametrize("own_figures", [True, False])
@pytest.mark.parametrize("formula", ["y ~ x + g + h", "y ~ x + g*h", "y ~ g"])
def test_the_merge_that_a_refusal_names_passes(formula: str, own_figures: bool) -> None:
    table = session(own_figures=own_figures).table("data")
    with pytest.raises(Refused, match="fewer than 10 units of each outcome at some party") as caught:
        table.glm(formula, family="binomial")
    assert caught.value.rule == "support"
    merge = ast.literal_eval(re.search(r"collapse=(\{.*\})`", caught.value.hint)[1])
    assert merge == {"g": [["c", "d"]]}
    found = table.glm(formula, family="binomial", collapse=merge)
    expected = smf.logit(formula, ROWS.assign(g=ROWS.g.replace({"d": "c"}))).fit(disp=0, tol=1e-14)
    assert found.llf == pytest.approx(expected.llf, rel=1e-9)
    assert found.params["x" if "x" in formula else "g[T.b]"] == pytest.approx(
        expected.params["x" if "x" in formula else "g[T.b]"], rel=1e-8
    )
    assert any("c+d" in name for name in found.names)


def test_a_refusal_opens_nothing_but_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    right = asking.Asked.read
    monkeypatch.setattr(asking.Asked, "read", lambda self, *given: opened.append(self.query) or right(self, *given))
    with pytest.raises(Refused):
        session(own_figures=True).table("data").ols("o ~ x + g")
    assert not opened
    design = designed(parse("y ~ g + x", JOINT), JOINT)
    frame = asking.Frame(joint=JOINT, where=None, needs=tuple(number.of for number in design.numbers), levels=("g",))
    assert all(each.query.flags_only for each in support.supports(design, frame, None))


def test_where_no_merge_passes_the_refusal_says_so() -> None:
    rows = ROWS.copy()
    rows.loc[:499, "g"] = "a"  # one party has one level alone, and may not say that it lacks the others
    with pytest.raises(Refused, match="fewer than 10 units") as caught:
        session(own_figures=True, rows=rows).table("data").ols("o ~ g")
    assert "leave it out" in caught.value.hint


def test_an_empty_level_looks_like_a_small_one() -> None:
    said = []
    for few in (0, 4):
        rows = ROWS.copy()
        rows.loc[rows.g == "d", "g"] = "c"
        rows.loc[rows.index[:few], "g"] = "d"
        rows.loc[rows.index[600:640], "g"] = "d"
        rows.loc[rows.index[1_000:1_040], "g"] = "d"
        with pytest.raises(Refused) as caught:
            session(own_figures=False, rows=rows).table("data").ols("o ~ x + g")
        said.append((caught.value.message, caught.value.hint))
    assert said[0] == said[1]


def test_a_level_without_rows_is_left_out_and_said() -> None:
    table = session(own_figures=True, k=1).table("data").where("g != 'b' and not (g == 'c' and h == 'u')")
    kept = ROWS[(ROWS.g != "b") & ~((ROWS.g == "c") & (ROWS.h == "u"))]
    found = table.ols("o ~ x + g")
    expected = smf.ols("o ~ x + g", kept).fit()
    assert found.params["g[T.c]"] == pytest.approx(expected.params["g[T.c]"], rel=1e-8)
    assert found.notes == ("left out: level 'b' of g, which no row has",)
    with pytest.raises(JobFailed, match=r"'g\[T.c\]:h\[T.v\]' is a combination of 'g\[T.c\]'"):
        table.ols("o ~ g*h")  # all of c are v


def test_a_product_of_levels_without_rows_is_left_out_and_said() -> None:
    table = session(own_figures=True, k=1).table("data").where("not (g == 'c' and h == 'v')")
    found = table.ols("o ~ x + g*h")
    assert found.notes == ("left out: g[T.c]:h[T.v], which no row has",)
    kept = ROWS[~((ROWS.g == "c") & (ROWS.h == "v"))]
    rest = "I(g == 'b') + I(g == 'c') + I(g == 'd') + I(h == 'v')"
    expected = smf.ols(f"o ~ x + {rest} + I((g == 'b') & (h == 'v')) + I((g == 'd') & (h == 'v'))", kept).fit()
    assert found.params["g[T.d]:h[T.v]"] == pytest.approx(expected.params.iloc[-2], rel=1e-8)
    assert found.df_resid == expected.df_resid


def test_a_reference_without_rows_is_another_level_unless_it_was_chosen() -> None:
    table = session(own_figures=True, k=1).table("data").where("g != 'a'")
    assert table.ols("o ~ g").names == ("Intercept", "g[T.c]", "g[T.d]")
    with pytest.raises(Misuse, match="reference level"):
        table.ols("o ~ C(g, ref='a')")


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=6, max_size=6))
@settings(max_examples=200, deadline=None)
def test_every_merge_that_is_named_passes(cells: list[list[bool]]) -> None:
    design = designed(parse("y ~ g*h", JOINT), JOINT)
    frame = asking.Frame(joint=JOINT, where=None, needs=(), levels=("g", "h"))
    (asked,) = [each for each in support.supports(design, frame, None) if len(each.factors) == 2]
    passes = dict(zip(sorted(asked.cells()), map(tuple, cells), strict=True))
    merge = support.collapse(design, [asked], [passes])
    if merge is None:
        return
    groups = {factor: _groups(design.factors[factor], merge) for factor in asked.factors}
    for left in groups[asked.factors[0]]:
        for right in groups[asked.factors[1]]:
            parts = [passes[a, b] for a in left for b in right]
            assert all(any(outcome) for outcome in zip(*parts, strict=True))


def _groups(factor: Levels, merge: dict[str, list[list[str]]]) -> list[list[int]]:
    values = [level.label for level in factor.levels]
    joined = merge.get(factor.column, [])
    alone = [[value] for value in values if not any(value in group for group in joined)]
    return [[values.index(value) for value in group] for group in [*joined, *alone]]


def test_parties_of_few_rows_are_left_out_of_all_rounds_alike() -> None:
    rows = ROWS.copy()
    for i in range(2, 9):
        rows[f"x{i}"] = np.random.default_rng(100 + i).normal(size=len(rows))
    frames = {party: rows.iloc[a:b] for party, (a, b) in {**PARTS, "mo": (900, 1_200), "sz": (1_200, 1_226)}.items()}
    formula = "y ~ x + " + " + ".join(f"x{i}" for i in range(2, 9))
    found = fed.local(frames, k=4).table("data").glm(formula, family="binomial", offset="x2")
    expected = smf.glm(formula, rows.iloc[:1_200], family=sm.families.Binomial(), offset=rows.x2.iloc[:1_200]).fit(
        tol=1e-14
    )
    assert (found.withheld, found.n) == (1, 1_200)
    assert found.llf == pytest.approx(expected.llf, rel=1e-9)
    assert found.null_deviance == pytest.approx(expected.null_deviance, rel=1e-9)
    assert found.suppressed[0].what == "rows of small parties"


def test_models_run_beside_other_statistics_in_memory_too() -> None:
    dice = np.random.default_rng(1)
    parties = []
    for _ in range(3):
        rows = zip(dice.integers(-50, 50, 90), dice.choice(GROUPS, 90), dice.normal(3, 9, 90), strict=True)
        parties.append(party(dataset(k=2, own_figures=False), [(int(a), str(g), float(p)) for a, g, p in rows]))
    found = outcomes(parties, ask("ols", formula="pay ~ age + area"), ask("mean", column="pay"))
    assert [type(outcome).__name__ for outcome in found] == ["Done", "Done"]


@pytest.mark.parametrize("own_figures", [True, False])
def test_a_query_for_flags_opens_flags_alone(own_figures: bool) -> None:
    dice = np.random.default_rng(1)
    rows = [(int(a), str(g), 1.0) for a, g in zip(dice.integers(-50, 50, 90), dice.choice(GROUPS, 90), strict=True)]
    parties = [party(dataset(k=2, own_figures=own_figures), rows) for _ in range(3)]
    joint = joint_of(parties)
    plan = planner.replay(job([ask("ols", formula="age ~ area")], 3, max_rounds=8), joint)
    seen: list[tuple[Round, list[int]]] = []
    driven(plan, parties, joint, lambda asked, numbers: seen.append((asked, numbers)))
    for asked, numbers in seen:
        if any(query.flags_only for query in asked.queries):
            assert set(numbers) <= {0, 3}, "nobody withholds a level, and all of them that nobody has missing values"
            assert asked.phase is Phase.SUPPORT or all(all(closed) for closed in asked.closed)
    assert sum(any(query.flags_only for query in asked.queries) for asked, _ in seen) == (1 if own_figures else 2)
    assert isinstance(plan.results[0], Done)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize(
    "asked",
    [
        ask("ols", formula="pay ~ age*area", cov_type="HC3"),
        ask("glm", formula="I(pay > 3) ~ age + area", family="binomial", offset="age / 50"),
        ask("glm", formula="I(clip(pay, 0, 50) + 1) ~ age", family="gamma", method="meta", study="area"),
        ask("ridge", formula="pay ~ area", alpha=2.0),
    ],
    ids=lambda value: str(value)[:40],
)
def test_no_round_is_longer_or_later_than_was_foretold(asked: Computation, k: int) -> None:
    dice = np.random.default_rng(1)
    parties = []
    for size in (300, 200, 120):
        rows = zip(dice.integers(-50, 50, size), dice.choice(GROUPS, size), dice.normal(3, 9, size), strict=True)
        parties.append(party(dataset(k=k, own_figures=k == 1), [(int(a), str(g), float(p)) for a, g, p in rows]))
    joint = joint_of(parties)
    one = job([asked], 3, max_rounds=300)
    lengths: list[int] = []
    plan = driven(planner.replay(one, joint), parties, joint, lambda _, numbers: lengths.append(len(numbers)))
    assert isinstance(plan.results[0], Done), plan.results[0]
    assert len(lengths) <= planner.rounds(one, joint)
    assert max(lengths) <= planner.most_numbers(one, joint)
