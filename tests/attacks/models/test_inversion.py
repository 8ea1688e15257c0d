"""M6: rows read back from an update of a linear layer; what a lone update shows, and what is left in the sum.

A first layer's gradient is the sum of (what a unit answers for a row) times the row, and its bias has the same sum
without the row: where one row alone excites a unit, the quotient of the two is that row (Phong et al., IEEE TIFS 2018;
Boenisch et al., EuroS&P 2023). Nobody but its party sees a lone update. The sum is one update of all rows: it shows a
row that is alone among all of them, which takes few rows, few columns or many units; that is said here in figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from clients.jurisdiction import trainer
from federation.jobs.training import Step
from federation.protocols.setup import chunked
from federation.training.strategy import Update
from tests.attacks.models.stage import PARTIES, played
from tests.training.plainly import Plain

pytest.importorskip("torch")

VICTIM = PARTIES[0]
CLOSE = 1e-2  # of a standard deviation, in every column: the row, and no other


def table(rows: int, columns: int, seed: int) -> pd.DataFrame:
    dice = np.random.Generator(np.random.PCG64(seed))
    found = pd.DataFrame({f"x{i}": dice.normal(size=rows) for i in range(columns)})
    found["y"] = dice.integers(0, 2, rows)
    found.loc[:1, "y"] = [seed % 2, 1 - seed % 2][:rows]
    return found


@dataclass(frozen=True)
class Caught:
    """How many rows an attacker reads, of how many.

    Attributes:
        lone: from the victim's update, as it was encoded, before masks.
        rows: of the victim.
        summed: from what was opened.
        all_rows: of all parties.
    """

    lone: int
    rows: int
    summed: int
    all_rows: int


def read_back(model: str, rows: int, columns: int, units: int, parties: int = 5) -> Caught:
    """Train one step on all rows through masks, and attack what the coordinator opened and what it never saw."""
    tables = {party: table(rows, columns, seed) for seed, party in enumerate(PARTIES[:parties])}
    stage = played(tables)
    config = {"hidden": (units,)} if model == "mlp" else {}
    clip = 0.05 if model == "mlp" else 5.0  # 22 bits where the entries are
    options = {"rounds": 1, "batch_size": 0, "steps": 1, "lr": 1.0, "clip": clip}
    asked = stage.train(model=model, config=config, options=options, holdout=0.0)
    found, plain = asked.result(), stage.plain(asked)
    while plain.course.step is not Step.UPDATE:
        plain.course.feed(plain.total(plain.course.contributors))
    assert plain.course.public is not None
    start = plain.course.public.model
    made = plain.update(VICTIM, plain.course.public, 0)
    seen = {party: standardised(plain, of) for party, of in tables.items()}
    return Caught(
        lone=recognised(plain, alone(plain, made), seen[VICTIM]),
        rows=rows,
        summed=recognised(plain, found.model.astype(np.float64) - start, np.concatenate(list(seen.values()))),
        all_rows=rows * parties,
    )


def alone(plain: Plain, made: Update) -> NDArray[np.float64]:
    """What a coordinator would read if there were no masks."""
    packing = plain.course.packing(len(plain.course.contributors))
    return packing.decode(chunked(packing.encode(made.vector, weight=made.weight).words), 1).mean


def standardised(plain: Plain, of: pd.DataFrame) -> NDArray[np.float64]:
    scaling = plain.course.scaling
    found: NDArray[np.float64] = (of[[*plain.course.plan.features]].to_numpy() - scaling.centre) / scaling.divisors
    return found


def recognised(plain: Plain, moved: NDArray[Any], rows: NDArray[np.float64]) -> int:
    """How many rows stand in the quotients of a layer's weights and biases, and of their neighbours' differences."""
    parts = list(plain.course.chosen.layout.split(moved.astype(np.float32)).values())
    weight, bias = parts[0].astype(np.float64), parts[1].astype(np.float64)
    pairs = [*zip(weight, bias, strict=True), *zip(np.diff(weight, axis=0), np.diff(bias), strict=True)]
    guesses = np.array([w / b for w, b in pairs if abs(b) > 1e-7])
    if not len(guesses):
        return 0
    nearest = np.abs(guesses[:, None] - rows[None]).max(axis=2).min(axis=0)
    return int((nearest < CLOSE).sum())


def test_m6_a_lone_update_shows_rows_exactly_and_the_sum_shows_none() -> None:
    """Ten rows a party, the fewest that train, of eight columns, and a first layer of 256 units."""
    found = read_back("mlp", rows=10, columns=8, units=256)
    print(f"lone update: {found.lone} of {found.rows} rows; sum of five: {found.summed} of {found.all_rows}")
    assert found.lone >= 3, "the attack is alive"
    assert found.summed == 0


def test_m6_of_one_row_an_update_is_the_row_and_the_sum_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logistic regression: the quotient of weights and bias is the row. Parties of one row do not train (M10)."""
    monkeypatch.setattr(trainer, "FEWEST_UNITS", 1)
    found = read_back("linear", rows=1, columns=8, units=0)
    assert found.lone == 1
    assert found.summed == 0


@pytest.mark.parametrize("rows", [10, 40])
def test_m6_an_update_of_a_logistic_regression_of_ten_rows_or_more_shows_none(rows: int) -> None:
    found = read_back("linear", rows=rows, columns=8, units=0)
    assert (found.lone, found.summed) == (0, 0)


def test_m6_more_rows_hide_each_other_even_in_a_lone_update() -> None:
    found = read_back("mlp", rows=100, columns=8, units=256, parties=3)
    print(f"100 rows a party: lone update {found.lone}, sum {found.summed}")
    assert found.lone <= 1
    assert found.summed == 0


def test_m6_what_is_not_promised_the_sum_of_few_rows_of_few_columns() -> None:
    """With two columns a wide layer singles out the outermost rows of all parties together, and the sum shows them.

    Masks hide whose they are, nothing more: noise or a smaller model would be needed, and `model_size` bounds that.
    """
    found = read_back("mlp", rows=10, columns=2, units=1024)
    print(f"two columns, 1,024 units: lone update {found.lone} of 10, sum {found.summed} of {found.all_rows}")
    assert found.lone >= 3
    assert 0 < found.summed < found.all_rows / 4
