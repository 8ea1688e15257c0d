"""Coarser levels of a column, and rows without a value as a level, as pandas and statsmodels have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from federation.analytics.formula import parse
from federation.analytics.groups import MISSING, labels
from federation.analytics.plan import Done, Failure
from federation.domain.catalogue import Column, Dataset, Kind, levels_of
from federation.errors import Misuse
from tests.analytics.parties import Party, ask, outcomes, result

DISTRICTS = ("cotai", "sha tin", "tai po", "wan chai", "zhuhai")
CITY = {"macao": ("cotai",), "hong kong": ("sha tin", "tai po", "wan chai"), "guangdong": ("zhuhai",)}
LEVELS = levels_of(DISTRICTS, {"city": CITY, "side": {"west": ("macao", "guangdong"), "east": ("hong kong",)}})
OF = {level.name: dict(zip(DISTRICTS, level.of, strict=True)) for level in LEVELS}


def published(k: int = 1) -> Dataset:
    return Dataset(
        name="people",
        title="People",
        unit="person",
        k=k,
        own_figures=k == 1,
        columns=(
            Column(
                name="district",
                kind=Kind.CATEGORY,
                categories=DISTRICTS,
                missing=(("x", "unknown"),),
                levels=LEVELS,
            ),
            Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m"), missing=(("?", "refused"),)),
            Column(name="age", kind=Kind.INTEGER, low=0, high=99),
            Column(name="flag", kind=Kind.INTEGER, low=0, high=1),
            Column(name="pay", kind=Kind.REAL, low=0.0, high=5_000.0),
        ),
    )


def people(seed: int = 1, rows: int = 900) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    district = random.choice([*DISTRICTS, "x"], rows, p=[0.15, 0.2, 0.2, 0.15, 0.2, 0.1])
    age = random.integers(18, 80, rows)
    flag = random.integers(0, 2, rows)
    pay = 500 + 10.0 * age + 200 * (district == "zhuhai") + random.normal(0, 100, rows)
    sex = random.choice(["f", "m", "?"], rows, p=[0.5, 0.4, 0.1])
    return pd.DataFrame({"district": district, "sex": sex, "age": age, "flag": flag, "pay": pay})


def parties(frame: pd.DataFrame, k: int = 1) -> list[Party]:
    cuts = np.split(np.arange(len(frame)), [200, 550])
    return [
        Party(
            published(k),
            {
                name: values.to_numpy(object if values.dtype == object else None)
                for name, values in frame.iloc[places].astype({"district": object, "sex": object}).items()
            },
        )
        for places in cuts
    ]


def pooled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with their levels, and what is missing as None."""
    found = frame.replace({"district": {"x": None}, "sex": {"?": None}})
    return found.assign(**{name: found["district"].map(of) for name, of in OF.items()})


@pytest.mark.parametrize("by", ["district", "city", "side", ("side", "sex"), ("district", "side")])
@pytest.mark.parametrize("dropna", [True, False])
def test_groups_by_a_level_are_pandas(by: str | tuple[str, ...], dropna: bool) -> None:
    frame = people()
    names = [by] if isinstance(by, str) else list(by)
    asked = [ask(name, column="pay", by=by, dropna=dropna) for name in ("count", "mean", "var", "sum")]
    found = [outcome.result for outcome in outcomes(parties(frame), *asked)]
    groups = pooled(frame).groupby(names, dropna=dropna)["pay"]
    seen = 0
    for key, values in groups:
        wanted = tuple(MISSING if pd.isna(part) else str(part) for part in key)
        count, mean, var, total = (each[wanted] for each in found)
        seen += count.value
        assert count.value == values.count()
        np.testing.assert_allclose(
            (mean.value, var.value, total.value), (values.mean(), values.var(), values.sum()), rtol=1e-12
        )
    assert found[0].n == seen, "all other cells are empty"
    assert dropna or seen == len(frame)
    assert not dropna or found[0].left_out.missing


def test_a_crosstab_shows_what_is_missing_in_its_margins() -> None:
    frame = people()
    found = result(parties(frame), ask("crosstab", row="city", column="sex", dropna=False))
    rows = pooled(frame).fillna({"city": MISSING, "sex": MISSING})
    wanted = pd.crosstab(rows["city"], rows["sex"]).loc[
        ["macao", "hong kong", "guangdong", MISSING], ["f", "m", MISSING]
    ]
    assert found.value == tuple(map(tuple, wanted.to_numpy()))
    assert found.only.total == len(frame)
    assert found.only.down[-1] == MISSING


def test_tests_and_tables_take_levels() -> None:
    frame = people()
    rows = pooled(frame).dropna()
    from scipy import stats

    t, chi2 = (
        outcome.result
        for outcome in outcomes(
            parties(frame),
            ask("t_test", column="pay", by="city", groups=("hong kong", "guangdong")),
            ask("chi2", row="side", column="sex"),
        )
    )
    by_city = pooled(frame).groupby("city")["pay"]
    reference = stats.ttest_ind(by_city.get_group("hong kong"), by_city.get_group("guangdong"), equal_var=False)
    assert t.pvalue == pytest.approx(reference.pvalue, rel=1e-9)
    assert chi2.pvalue == pytest.approx(stats.chi2_contingency(pd.crosstab(rows.side, rows.sex)).pvalue, rel=1e-9)


def test_statistics_that_ask_again_within_a_group_take_levels() -> None:
    frame = people()
    found = result(parties(frame), ask("quantile", column="age", q=(0.5,), by="city"))
    for city, values in pooled(frame).groupby("city")["age"]:
        assert found[city].value == np.quantile(values, 0.5, method="inverted_cdf")


@pytest.mark.parametrize(
    ("formula", "reference"),
    [
        ('pay ~ age + C(district, level="city")', "pay ~ age + C(city, levels=['macao', 'hong kong', 'guangdong'])"),
        ('pay ~ age * C(district, level="side", ref="east")', "pay ~ age * C(side, Treatment('east'))"),
        ("pay ~ C(district) + age", "pay ~ C(district) + age"),
    ],
)
def test_a_model_of_a_level_is_statsmodels(formula: str, reference: str) -> None:
    frame = people()
    found = result(parties(frame), ask("ols", formula=formula))
    wanted = smf.ols(reference, pooled(frame)).fit()
    np.testing.assert_allclose(sorted(found.params), sorted(wanted.params), rtol=1e-8)
    np.testing.assert_allclose(sorted(found.bse), sorted(wanted.bse), rtol=1e-8)
    assert found.nobs == wanted.nobs
    rows = pooled(frame).dropna(subset="district").head(20)
    np.testing.assert_allclose(found.predict(rows), wanted.predict(rows), rtol=1e-9)


def test_names_of_a_levels_columns_say_the_level() -> None:
    found = result(parties(people()), ask("ols", formula='pay ~ C(district, level="city")'))
    assert found.names[1] == 'C(district, level="city")[T.hong kong]'


def test_values_of_a_level_are_collapsed_by_its_name() -> None:
    frame = people()
    merge = (("city", (("macao", "guangdong"),)),)
    found = result(parties(frame), ask("ols", formula='pay ~ C(district, level="city")', collapse=merge))
    wanted = smf.ols("pay ~ C(side, levels=['west', 'east'])", pooled(frame)).fit()
    np.testing.assert_allclose(found.params, wanted.params, rtol=1e-8)


def test_a_level_below_k_is_refused_with_the_merge_that_passes() -> None:
    frame = people()
    frame.loc[(frame["district"] == "cotai") & (frame.index >= 3), "district"] = "zhuhai"
    asked = ask("ols", formula='pay ~ C(district, level="city")')
    (outcome,) = outcomes(parties(frame, k=10), asked)
    assert isinstance(outcome, Failure)
    assert "collapse={'city': [['macao', 'hong kong']]}" in outcome.hint
    merge = (("city", (("macao", "hong kong"),)),)
    (again,) = outcomes(parties(frame, k=10), replace(asked, parameters=(("collapse", merge), *asked.parameters)))
    assert isinstance(again, Done)


def test_a_cox_model_stratified_by_a_level_runs() -> None:
    found = result(parties(people()), ask("cox", formula="Surv(age, flag) ~ pay", strata="side"))
    assert [each.label for each in found.baselines] == ["west", "east"]


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ('pay ~ C(district, level="town")', "no such level"),
        ('pay ~ C(district, level="city", ref="cotai")', "no such level"),
        ('pay ~ C(district, level="city", level="side")', "expected ref="),
        ('pay ~ C(flag, level="city")', "no such level"),
        ("pay ~ C(district, level=city)", "expected a level"),
    ],
)
def test_a_level_that_is_none_is_refused_with_its_position(formula: str, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        parse(formula, published())


def test_whole_numbers_have_no_cell_for_missing_values() -> None:
    with pytest.raises(Misuse, match="whole numbers"):
        labels("flag", published(), dropna=False)
    assert labels(("side", "sex"), published(), dropna=False)[-1] == f"{MISSING}, {MISSING}"
