"""A statistic is one new file; every member of the family keeps the contract; results are plain values."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from federation import registry
from federation.analytics import statistics
from federation.analytics.plan import Done, Failure
from federation.analytics.statistic import Picture, Result, Statistic, Table
from federation.domain.job import Computation
from federation.errors import Misuse, Refused
from federation.jobs import planner
from tests.analytics.parties import GROUPS, Party, ask, dataset, driven, job, joint_of, outcomes, party, result

FAMILY = planner.FAMILY
ROWS = [(age, GROUPS[age % 3], age / 3) for age in range(-30, 31) if age != -9]

NEW = '''"""Greatest possible sum: the count of rows times the declared maximum."""

from dataclasses import dataclass

from federation.analytics.statistic import Result, Statistic, Table
from federation.query.query import SumQuery


@dataclass(frozen=True)
class Ceiling:
    column: str


@dataclass(frozen=True)
class CeilingResult(Result):
    value: int

    def table(self):
        return Table(columns=("ceiling",), rows=((self.value,),))

    def picture(self):
        return None


class CeilingStatistic(Statistic[Ceiling, CeilingResult]):
    """Rows times the declared maximum."""

    name = "ceiling"
    version = 3
    Parameters = Ceiling

    def rounds(self, parameters, joint):
        return 1

    def plan(self, parameters, where, joint):
        (totals,) = yield (SumQuery(dataset=joint.name, where=where),)
        return CeilingResult(value=totals.table[0][0] * joint.column(parameters.column).high)
'''


@pytest.fixture
def parties() -> list[Party]:
    return [party(dataset(k=2, own_figures=False), ROWS) for _ in range(3)]


def test_a_new_statistic_is_one_new_file(parties: list[Party], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask("ceiling", version=3, column="age")
    with pytest.raises(Refused, match="no statistic"):
        outcomes(parties, asked)
    (tmp_path / "ceiling.py").write_text(NEW, "utf-8")
    monkeypatch.setattr(statistics, "__path__", [*statistics.__path__, str(tmp_path)])
    assert "ceiling" in registry.names(FAMILY)
    assert result(parties, asked).value == len(ROWS) * 3 * 50
    # Beside the others, in one job and one secure sum: the count asks the very same query.
    joint = joint_of(parties)
    replay = planner.replay(job([asked, ask("count"), ask("mean", column="age")], 3), joint)
    assert len(replay.round.queries) == 2
    assert all(isinstance(outcome, Done) for outcome in driven(replay, parties, joint).results)
    sys.modules.pop(f"{FAMILY}.ceiling")


def test_the_family_is_what_the_files_are() -> None:
    assert set(registry.names(FAMILY)) >= {
        "count",
        "sum",
        "mean",
        "var",
        "std",
        "histogram",
        "quantile",
        "ecdf",
        "describe",
    }


@pytest.mark.parametrize("name", registry.names(FAMILY))
def test_every_member_keeps_the_contract(name: str) -> None:
    member = registry.look_up(FAMILY, Statistic, name)
    assert member.name == name
    assert member.version >= 1
    assert member.__doc__
    parameters = member.Parameters
    assert is_dataclass(parameters)
    assert parameters.__dataclass_params__.frozen
    explained = "".join(kind.__doc__ or "" for kind in parameters.__mro__ if kind is not object)
    for field in fields(parameters):
        assert f"{field.name}:" in explained, "every parameter is explained"


WAYS = (None, "area")
ASKED = [
    ask("count"),
    ask("count", by="area"),
    ask("count", column="pay"),
    *(ask(name, column="age") for name in ("sum", "mean", "var", "std", "histogram")),
    *(ask(name, column="pay", by="area") for name in ("sum", "mean", "var", "std", "histogram")),
    *(ask(name, column=column, by=by) for name in ("quantile", "ecdf") for column in ("age", "pay") for by in WAYS),
    *(ask("describe", columns=("age", "pay"), by=by) for by in WAYS),
    ask("count", by=("area", "sex"), weights="gain"),
    *(ask(name, column="pay", by="sex", weights="gain") for name in ("sum", "mean", "var", "std", "histogram", "ecdf")),
    ask("quantile", column="age", weights="gain"),
    *(ask(name, columns=("age", "pay", "gain"), by=by) for name in ("cov", "corr") for by in WAYS),
    ask("corr_test", x="age", y="pay"),
    *(ask(name, column="pay", by=by) for name in ("skew", "kurtosis") for by in WAYS),
    *(ask(name, column="gain", by=by) for name in ("gini", "lorenz") for by in WAYS),
    *(ask("auc", score="pay", label="ill", by=by, bins=16) for by in WAYS),
    ask("crosstab", row="area", column="sex"),
    ask("crosstab", row="ill", column="sex", by="area", weights="gain"),
    *(ask("histogram2d", x="age", y="pay", x_bins=3, y_bins=4, by=by) for by in WAYS),
    *(ask("extent", column="age", by=by) for by in WAYS),
    *(ask("missing", by=by) for by in WAYS),
    ask("mann_whitney", column="pay", by="sex", bins=8),
    ask("t_test", column="pay", mu=1.5),
    ask("t_test", column="pay", by="sex"),
    ask("anova", column="pay", by="area"),
    ask("chi2", row="area", column="sex"),
    ask("fisher", row="sex", column="ill"),
    ask("mantel_haenszel", row="sex", column="ill", by="area"),
    *(ask("kaplan_meier", time="gain", event="ill", by=by, bins=3) for by in WAYS),
    ask("logrank", time="gain", event="ill", by="sex", bins=2),
    ask("cox", formula="Surv(gain, ill == 'yes') ~ age", bins=2),
    ask("pca", columns=("age", "pay")),
    ask("kmeans", columns=("age", "pay"), k=2),
    ask("survey_total", weights="gain", by="sex"),
    ask("survey_mean", column="pay", weights="gain", psu="area"),
    ask("survey_ratio", numerator="pay", denominator="gain", by="area"),
    ask("survey_glm", formula="pay ~ age", weights="gain"),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.name}{dict(asked.parameters)}")
@pytest.mark.parametrize("k", [1, 25])
def test_every_result_shows_itself_in_plain_values(asked: Computation, k: int) -> None:
    parties = [party(dataset(k=k, own_figures=True), ROWS) for _ in range(3)]
    (outcome,) = outcomes(parties, asked)
    if isinstance(outcome, Failure):
        assert outcome.rule == "contributors"
        return
    found = outcome.result
    assert isinstance(found, Result)
    assert is_dataclass(found)
    table = found.table()
    assert isinstance(table, Table)
    assert table.rows
    for row in table.rows:
        assert all(value is None or type(value) in (int, float, str) for value in row)
    picture = found.picture()
    assert picture is None or isinstance(picture, Picture)
    if picture is not None:
        assert all(len(each.x) == len(each.y) + 1 for each in picture.others)
        assert len(picture.lines) > 0 or picture.drawn != "lines"
        if picture.drawn == "heat":
            edges = not any(isinstance(place, str) for place in (*picture.x, *picture.rows))
            assert (len(picture.x) - edges) * (len(picture.rows) - edges) == len(picture.y)
        else:
            assert len(picture.x) - len(picture.y) == (1 if picture.drawn == "steps" else 0)
        assert len(picture.error) in (0, len(picture.y))
    assert found.parties == 3
    assert found.k == k
    assert isinstance(found.suppressed, tuple)


def test_a_grouped_result_is_indexed_and_has_no_single_value(parties: list[Party]) -> None:
    found = result(parties, ask("mean", column="age", by="area"))
    assert found["north"].label == "north"
    assert found.n == len(ROWS) * 3
    with pytest.raises(Misuse, match="one value per 'area'"):
        _ = found.value
    with pytest.raises(Misuse, match="no cell"):
        _ = found["nowhere"]


def test_the_variance_has_the_rest_at_hand(parties: list[Party]) -> None:
    var, std, mean = outcomes(parties, *(ask(name, column="age") for name in ("var", "std", "mean")))
    assert isinstance(var, Done)
    assert isinstance(std, Done)
    assert isinstance(mean, Done)
    assert var.result.std == std.result.value == var.result.var**0.5
    assert var.result.mean == mean.result.value
    assert var.result.mean_se == mean.result.se
    assert var.result.sum == sum(age for age, _, _ in ROWS) * 3
    assert var.result.sum_of_squares == sum(age * age for age, _, _ in ROWS) * 3


def test_a_column_without_numbers_and_a_grouping_that_is_no_category_are_misuse(parties: list[Party]) -> None:
    for asked in (ask("mean", column="area"), ask("mean", column="age", by="pay"), ask("sum", column="agee")):
        (outcome,) = outcomes(parties, asked)
        assert isinstance(outcome, Failure)
        assert outcome.code == "misuse"
        assert outcome.hint
