"""S1, S7, S8, S18: small cells, sums that two firms make up, extremes, values that are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import federation as fed
from clients.local.federation import federation_of
from clients.local.infer import inferred
from clients.researcher.session import Session
from clients.researcher.verified import JobRefused
from federation.domain.catalogue import Column, Kind
from federation.query.expression import Col
from federation.query.query import Categories, SumQuery, Unit
from tests.attacks.statistics.victim import K, Threshold, Victim, category, dataset, number

SECTORS = ("food", "steel")
FIRMS = dataset(number("sales", 0, 10_000_000), category("sector", *SECTORS), dominance=85)
BY_SECTOR = SumQuery(dataset="data", group_by=(Categories("sector"),), terms=(Col("sales"),))


def firms(largest: int, second: int, others: int = 30) -> pd.DataFrame:
    """Steel has two large firms and many of sales 100; food has equals."""
    steel = [largest, second, *[100] * others]
    return pd.DataFrame({"sales": [*steel, *[1_000] * 40], "sector": ["steel"] * len(steel) + ["food"] * 40})


def test_s1_a_cell_below_k_is_withheld_and_one_of_k_is_not() -> None:
    for units, shown in ((0, False), (1, False), (K - 1, False), (K, True)):
        rows = pd.DataFrame({"sales": [5] * (units + 20), "sector": ["steel"] * units + ["food"] * 20})
        answer = Victim(rows, dataset(*FIRMS.columns)).ask(BY_SECTOR)
        assert answer is not None
        assert answer[2:4] == ((units, 5 * units) if shown else (0, 0))


def test_s7_a_cell_that_two_firms_make_up_is_withheld_like_a_small_one() -> None:
    """The second firm knows the first one's sales up to what is left: 3,000 of 93,000."""
    rows = firms(60_000, 30_000)
    naive, ours = Threshold(rows, FIRMS).ask(BY_SECTOR), Victim(rows, FIRMS).ask(BY_SECTOR)
    assert naive is not None
    assert ours is not None
    assert abs(naive[3] - 30_000 - 60_000) <= 3_000
    assert ours[2:4] == (0, 0)
    assert ours[:2] == naive[:2] == (40, 40_000), "the food firms are shown"
    few = Victim(firms(60_000, 30_000, others=3), FIRMS).ask(BY_SECTOR)
    assert few == ours, "it looks like a cell of five firms"


def test_s7_at_the_share_itself_it_opens() -> None:
    rows = firms(1_000, 700, others=3)  # 1,700 of 2,000 is 85 %
    k3 = dataset(*FIRMS.columns, k=3, dominance=85)
    answer = Victim(rows, k3).ask(BY_SECTOR)
    assert answer is not None
    assert answer[2:4] == (5, 2_000)
    rows.loc[0, "sales"] += 1
    withheld = Victim(rows, k3).ask(BY_SECTOR)
    assert withheld is not None
    assert withheld[2:4] == (0, 0)


def test_s7_one_firm_in_three_jurisdictions_does_not_dominate_their_sum() -> None:
    """Shares of at most 85 % everywhere are at most 85 % together; and then p % holds too: a rival misses by 15 %."""
    random = np.random.default_rng(5)
    for _ in range(200):
        parts = [np.sort(random.pareto(0.7, 12))[::-1] for _ in range(3)]
        shown = [part for part in parts if part[:2].sum() <= 0.85 * part.sum()]
        whole = sum(part.sum() for part in shown)
        both = sum(part[0] for part in shown), sum(part[1] for part in shown)  # one firm is the first everywhere
        assert sum(both) <= 0.85 * whole + 1e-9
        assert whole - sum(both) >= 0.1 * both[0] - 1e-9


def test_s7_a_firm_of_many_small_rows_is_one_contributor() -> None:
    own = dataset(*FIRMS.columns, Column(name="who", kind=Kind.IDENTIFIER), dominance=85)
    rows = pd.DataFrame(
        {
            "sales": [100] * 960 + [100] * 40,
            "sector": ["steel"] * 1_000,
            "who": ["giant"] * 960 + [f"f{i}" for i in range(40)],
        }
    )
    query = SumQuery(dataset="data", per=Unit("who"), group_by=BY_SECTOR.group_by, terms=BY_SECTOR.terms)
    answer = Victim(rows, own).ask(query)
    assert answer is not None
    assert answer[2:4] == (0, 0)
    rows["who"] = [f"f{i % 50}" for i in range(1_000)]
    spread = Victim(rows, own).ask(query)
    assert spread is not None
    assert spread[2:4] == (50, 100_000)


def people(seed: int, rows: int = 80) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"age": random.integers(20, 90, rows), "pay": random.lognormal(8, 1, rows)})


def test_s8_extremes_are_not_told() -> None:
    """The ends of a quantile are edges of bins, between which k units of three parties are shown: nobody's value."""
    frames = {party: people(seed) for seed, party in enumerate(("a", "b", "c"))}
    pooled = pd.concat(frames.values())["pay"].to_numpy()
    published = {
        party: replace(
            described,
            k=K,
            own_figures=False,
            columns=tuple(replace(column, low=0, high=100_000) for column in described.columns),
        )
        for party, described in inferred("data", frames).items()
    }
    session = Session(federation_of(frames, published=published))
    told = session.table("data").quantile("pay", [0.0, 1.0])
    numbers = told.to_pandas()[["quantile", "low", "high"]].to_numpy().ravel()
    assert not set(numbers.tolist()) & set(pooled.tolist())


@pytest.mark.parametrize("k", [1, K])
def test_s18_values_that_are_none_are_counted_and_no_sum_is_moved_by_them(k: int) -> None:
    strange = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e-310]
    frames = {party: people(seed).astype({"pay": float}) for seed, party in enumerate(("a", "b", "c"))}
    for frame in frames.values():
        frame.loc[: len(strange) - 1, "pay"] = strange
    session = fed.local(frames, k=k, own_figures=k == 1)
    pooled = pd.concat(frames.values())["pay"].to_numpy()
    finite = pooled[np.isfinite(pooled)]
    found = session.table("data").sum("pay").to_pandas()
    assert found["n"].iloc[0] == len(finite)
    assert found["sum"].iloc[0] == pytest.approx(finite.sum(), rel=1e-12)


def test_s3_and_s19_a_researcher_is_told_the_rule_the_owner_and_a_remedy_and_not_which_of_none_or_few() -> None:
    frames = {party: people(seed) for seed, party in enumerate(("a", "b", "c"))}
    frames["c"].loc[0, "age"] = 95
    said = []
    for condition in ("age < 95", "age < 100"):  # one person of c's, and nobody at all
        table = fed.local(frames, k=K, own_figures=False).table("data")
        table.mean("pay")
        with pytest.raises(JobRefused) as refusal:
            table.where(condition).mean("pay")
        said.append([(blame.rule, blame.message, blame.hint) for blame in refusal.value.blames])
    (rule, message, hint), *_ = said[0]
    assert rule == "differencing"
    assert "refuses round 1 by rule differencing" in message
    assert hint
    assert {line[1:] for line in said[0]} <= {line[1:] for line in said[1]}


def test_a_model_with_a_factor_passes_the_guard_where_every_level_has_k() -> None:
    frames = {party: people(seed, 200) for seed, party in enumerate(("a", "b", "c"))}
    for frame in frames.values():
        frame["sex"] = np.where(np.arange(200) % 2, "f", "m")
    table = fed.local(frames, k=K, own_figures=False).table("data")
    fit = table.ols("pay ~ age + C(sex)")
    assert fit.nobs == 600
