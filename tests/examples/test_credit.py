"""The loans are those of the packaged table, by region, and every one is tested once a repeat."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

from federation_examples import boards, pictures
from federation_examples.alone import session
from federation_examples.comparison import Comparison, Kind, Row
from federation_examples.credit import data, story

COUNTS = {"west": (2_446, 139), "south": (3_671, 207), "northeast": (3_740, 171)}  # loans, of which bad


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return data.split(tmp_path_factory.mktemp("credit"))


@pytest.mark.parametrize("party", COUNTS)
def test_a_region_has_the_loans_of_its_states(party: str, files: dict[str, Path]) -> None:
    assert duckdb.read_parquet(str(files[party])).aggregate("count(*), sum(bad)").fetchall() == [COUNTS[party]]


def test_fifty_states_and_the_district_are_each_of_one_region() -> None:
    states = " ".join(data.STATES.values()).split()
    assert len(states) == len(set(states)) == 51


def test_columns_that_separate_are_left_out(files: dict[str, Path]) -> None:
    names = duckdb.read_parquet(str(files["west"])).columns
    assert not {"delinq_amnt", "acc_now_delinq", "addr_state", "rownames"} & set(names)
    assert set(names) == {*data.FEATURES, data.TARGET, *data.SPLITS}


def test_every_loan_is_tested_once_a_repeat_and_bad_ones_are_dealt_evenly(files: dict[str, Path]) -> None:
    rows = duckdb.read_parquet([str(file) for file in files.values()])
    for repeat in range(data.REPEATS):
        names = data.SPLITS[repeat * data.FOLDS : (repeat + 1) * data.FOLDS]
        assert rows.filter(f"{' + '.join(names)} <> 1").count("*").fetchall() == [(0,)]
        bad = rows.aggregate(", ".join(f"sum({name} * bad)" for name in names)).fetchall()[0]
        assert max(bad) - min(bad) <= 1


def test_the_repeats_deal_differently_and_always_the_same() -> None:
    kinds = {loan: loan % 20 == 0 for loan in range(1, 201)}
    dealt = data.dealt_out(kinds)
    assert dealt == data.dealt_out(dict(reversed(kinds.items())))
    assert dealt[1] == (5, 3, 4)  # a vector: no version of anything deals them again
    first, second, third = (np.array([folds[repeat] for folds in dealt.values()]) for repeat in range(3))
    assert 0.1 < (first == second).mean() < 0.35
    assert 0.1 < (second == third).mean() < 0.35


def test_every_value_lies_in_its_declared_range(files: dict[str, Path]) -> None:
    rows = duckdb.read_parquet([str(file) for file in files.values()])
    for name, (_, high) in {**data.COUNTS, **data.REALS}.items():
        ((least, most, missing),) = rows.aggregate(f"min({name}), max({name}), count(*) - count({name})").fetchall()
        assert 0 <= least < most <= high
        assert missing == 0


def test_pooled_logistic_regression_has_the_measured_auc_on_the_first_repeat(files: dict[str, Path]) -> None:
    rows = duckdb.read_parquet([str(file) for file in files.values()]).fetchnumpy()
    numbers = np.column_stack([rows[name] for name in data.FEATURES]).astype(float)
    bad = rows[data.TARGET]
    found = []
    for name in data.SPLITS[: data.FOLDS]:
        tested = rows[name] == 1
        scaled = (numbers - numbers[~tested].mean(0)) / numbers[~tested].std(0)
        fitted = LogisticRegression(C=1e8, max_iter=500).fit(scaled[~tested], bad[~tested])
        found.append(roc_auc_score(bad[tested], fitted.decision_function(scaled[tested])))
    assert np.mean(found) == pytest.approx(0.755, abs=0.004)


def test_a_networks_rivals_are_a_regions_same_recipe_and_its_own() -> None:
    rows = [
        Row(name=name, kind=kind, found=(found,))
        for name, kind, found in (
            ("pooled network of 16", Kind.POOLED, 0.755),
            ("South, network of 16", Kind.ALONE, 0.740),
            ("South, its own network", Kind.ALONE, 0.746),
            ("South, logistic regression", Kind.ALONE, 0.760),
        )
    ]
    joint = Row(name=story.NETWORK, kind=Kind.JOINT, found=(0.755,))
    near, above = story._bars(rows, [joint])
    assert near.holds
    assert above.least == pytest.approx(0.756)  # the better of both, and no other model's
    assert not above.holds


def test_every_seed_of_every_fold_is_another_one() -> None:
    shape = story.SHAPES[story.NETWORK]
    seeds = [seed for place in range(len(data.SPLITS)) for seed in story.Size().seeds_of(shape, place)]
    assert len(set(seeds)) == len(seeds) == shape.seeds * len(data.SPLITS)


SMALL = story.Size(folds=data.SPLITS[:1], rounds=6, shapes=(story.LOGISTIC,))


@pytest.fixture(scope="module")
def report(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The story, one fold and six rounds long."""
    with session(story.STORY, files, tmp_path_factory.mktemp("parties")) as asked:
        return story.run(asked, files.values(), size=SMALL)


def test_a_short_story_compares_one_joint_model_with_pooled_and_local_ones(report: Comparison) -> None:
    joint = next(row for row in report.rows if row.kind is Kind.JOINT)
    assert joint.here == pytest.approx(report.pooled, abs=0.02)
    assert len([row for row in report.rows if row.kind is Kind.ALONE]) == 6
    assert [bar.what for bar in report.bars] == [
        "logistic regression at most 0.003 below pooled",
        "logistic regression 0.010 above every region alone",
    ]
    text = report.text()
    assert "delinq_amnt and acc_now_delinq are left out" in text
    assert "replayed here and signed by all" in text
    apart = float(text.split("all rows in one place put them ")[1].split(" apart")[0])
    assert 0 < apart < 0.005  # what bins of scores cost


def test_the_story_draws_every_roc_curve_rising_from_nothing_to_all(report: Comparison, tmp_path: Path) -> None:
    curves = report.drawing.panels[0].curves
    assert [curve.name for curve in curves] == ["federated", "pooled", *data.NAMES.values()]
    for curve in curves:
        assert list(curve.y) == sorted(curve.y)
        assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0, 1, 1)
    with Image.open(boards.png(report.drawing, tmp_path)) as picture:
        assert len(json.loads(picture.text[pictures.VALUES])["curves"]) == 5


def test_a_roc_curve_is_scikit_learns() -> None:
    generator = np.random.default_rng(3)
    target = (generator.random(2_000) < 0.2).astype(float)
    scores = generator.normal(size=2_000) + target
    fpr, tpr, _ = roc_curve(target, scores)
    found = story.roc(scores, target)
    assert found == pytest.approx(np.interp(story.GRID, fpr, tpr), abs=0.01)
    # The plant: scores that say nothing lie on the diagonal.
    assert story.roc(generator.normal(size=2_000), target) == pytest.approx(story.GRID, abs=0.08)
