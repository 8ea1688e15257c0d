"""The loans are those of the packaged table, by region, and every one is tested once a repeat."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from federation_examples.credit import data

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
