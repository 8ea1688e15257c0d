"""Grouping by several columns, and by columns of few whole numbers, is what pandas' groupby says."""

from __future__ import annotations

import numpy as np
import pytest

from federation.analytics.groups import Label, labels, parts, within
from federation.analytics.plan import Failure
from federation.errors import Misuse
from tests.analytics.frames import AREAS, SEXES, parties_of, people, pool, published
from tests.analytics.parties import ask, outcomes, result


@pytest.mark.parametrize("by", ["area", ("area",), ("area", "sex"), ("sex", "sick", "area"), "sick", ("sick", "sex")])
def test_groups_are_pandas(by: str | tuple[str, ...]) -> None:
    frames = people(1, parties=10)
    names = [by] if isinstance(by, str) else list(by)
    groups = pool(frames).groupby(names, observed=True)["pay"]
    asked = [ask(name, column="pay", by=by) for name in ("count", "mean", "var", "sum")]
    found = [outcome.result for outcome in outcomes(parties_of(frames), *asked)]
    for key, values in groups:
        wanted = tuple(map(str, key))
        count, mean, var, total = (each[wanted] for each in found)
        assert count.value == values.count()
        np.testing.assert_allclose(
            (mean.value, var.value, total.value), (values.mean(), values.var(), values.sum()), rtol=1e-12
        )
    table = found[1].table()
    assert table.columns[: len(names)] == tuple(names)
    assert {row[: len(names)] for row in table.rows} >= {tuple(map(str, key)) for key, _ in groups}


def test_histograms_distributions_and_quantiles_group_by_several_columns_too() -> None:
    frames = people(2)
    rows = pool(frames)
    by = ("area", "sex")
    asked = (
        ask("histogram", column="age", by=by),
        ask("ecdf", column="age", by=by),
        ask("quantile", column="age", by=by),
    )
    histogram, ecdf, quantile = (outcome.result for outcome in outcomes(parties_of(frames), *asked))
    described = result(parties_of(frames), ask("describe", columns=("pay",), by=by))
    for area in AREAS:
        for sex in SEXES:
            own = rows[(rows.area == area) & (rows.sex == sex)]
            ages = own.age.dropna()
            counts, _ = np.histogram(ages, bins=np.array(histogram.edges, dtype=float))
            assert histogram[area, sex].value == tuple(counts)
            assert ecdf[area, sex].n == len(ages)
            assert quantile[area, sex].value == np.quantile(ages, 0.5, method="inverted_cdf")
            np.testing.assert_allclose(described["pay", area, sex].mean.value, own.pay.mean(), rtol=1e-12)
    for each in (histogram, ecdf, quantile):
        assert each.table().columns[:2] == by
    assert described.table().columns[:3] == ("column", *by)


def test_a_group_is_found_by_its_text_or_by_its_categories() -> None:
    found = result(parties_of(people(3)), ask("count", by=("area", "sex")))
    assert found["sea, f"] == found["sea", "f"]
    with pytest.raises(Misuse, match="no cell 'see, f'") as caught:
        _ = found["see", "f"]
    assert "sea, f" in caught.value.hint
    with pytest.raises(Misuse, match="one value per 'area, sex'"):
        _ = found.value
    assert found.picture().x_label == "area, sex"


def test_labels_that_read_alike_have_different_parts() -> None:
    first, second = Label(("a, b", "c")), Label(("a", "b, c"))
    assert first == second
    assert parts(first) != parts(second)
    assert labels(("sick", "sex"), published())[0] == "0, f"


@pytest.mark.parametrize(
    ("by", "said"),
    [((), "one column"), (("sex", "sex"), "different"), ("age", "groups by"), (("sex", "pay"), "groups by")],
)
def test_what_cannot_group_is_refused(by: str | tuple[str, ...], said: str) -> None:
    (outcome,) = outcomes(parties_of(people(4)), ask("mean", column="gain", by=by))
    assert isinstance(outcome, Failure)
    assert (outcome.code, said in outcome.message) == ("misuse", True)


def test_a_statistic_of_several_rounds_is_not_asked_again_within_whole_numbers() -> None:
    (outcome,) = outcomes(parties_of(people(5)), ask("quantile", column="pay", by="sick"))
    assert isinstance(outcome, Failure)
    assert "within each group" in outcome.message
    with pytest.raises(Misuse):
        within(None, "sick", "1", published())
