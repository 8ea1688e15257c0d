"""The shape of a batch: what inputs are refused, and which arrays are not a batch of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from federation.errors import Misuse
from federation.training.inputs import MOST_CATEGORICAL, MOST_INPUTS, MOST_OUTPUTS, Inputs, Task
from tests.training.architectures import CASES, CODES, MIXED, NUMBERS, Case, batch


def test_a_width_counts_each_category_as_a_column() -> None:
    assert (MIXED.width, CODES.width, NUMBERS.width) == (15, 122, 6)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"numbers": -1, "levels": (3,)}, "numeric inputs"),
        ({"numbers": MOST_INPUTS + 1}, "numeric inputs"),
        ({"numbers": 0}, "at least one input"),
        ({"numbers": 1, "levels": (0,)}, "categorical"),
        ({"numbers": 1, "levels": (2,) * (MOST_CATEGORICAL + 1)}, "categorical"),
        ({"numbers": 1, "levels": (MOST_INPUTS, 1)}, "categories of all"),
        ({"numbers": 1, "outputs": 2}, "1 to 1 outputs"),
        ({"numbers": 1, "outputs": 0}, "1 to 1 outputs"),
        ({"numbers": 1, "outputs": 2, "task": Task.BINARY}, "1 to 1 outputs"),
        ({"numbers": 1, "outputs": 1, "task": Task.CLASSES}, "2 to"),
        ({"numbers": 1, "outputs": MOST_OUTPUTS + 1, "task": Task.CLASSES}, "2 to"),
    ],
)
def test_inputs_without_meaning_or_beyond_the_limits_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(Misuse, match=why):
        Inputs(**{"task": Task.REGRESSION, **given})


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_batch_is_accepted_with_and_without_rows(case: Case, rows: int) -> None:
    case.inputs.check(*batch(case.inputs, rows))


def put(array: np.ndarray, place: Any, value: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("which", "change", "why"),
    [
        (0, lambda a: a.astype(np.float64), "numbers of a batch"),
        (0, lambda a: a[:, :-1], "numbers of a batch"),
        (0, lambda a: a[:-1], "numbers of a batch"),
        (0, lambda a: a.ravel(), "numbers of a batch"),
        (0, lambda a: put(a, (2, 1), math.nan), "not finite"),
        (0, lambda a: put(a, (2, 1), -math.inf), "not finite"),
        (1, lambda a: a.astype(np.int32), "codes of a batch"),
        (1, lambda a: a[:, :2], "codes of a batch"),
        (1, lambda a: put(a, (0, 0), -1), "outside its list"),
        (1, lambda a: put(a, (0, 0), 3), "outside its list"),  # 3 is a code of the third input, not of the first
        (1, lambda a: put(a, (4, 1), 1), "outside its list"),
        (2, lambda a: a.astype(np.int64), "target of a batch"),
        (2, lambda a: a[:, None], "target of a batch"),
        (2, lambda a: put(a, 0, 0.5), "0 or 1"),
        (2, lambda a: put(a, 0, math.nan), "not finite"),
    ],
)
def test_other_arrays_are_refused(which: int, change: Any, why: str) -> None:
    arrays = list(batch(MIXED, 5))
    arrays[which] = change(arrays[which])
    with pytest.raises(Misuse, match=why):
        MIXED.check(*arrays)


@pytest.mark.parametrize("target", [-1, 3])
def test_a_class_outside_the_list_is_refused(target: int) -> None:
    numbers, codes, targets = batch(CODES, 5)
    with pytest.raises(Misuse, match="0 to 2"):
        CODES.check(numbers, codes, put(targets, 3, target))


def test_no_message_quotes_a_row() -> None:
    numbers, codes, target = batch(MIXED, 5)
    for arrays in (
        (put(numbers, (1, 1), math.inf), codes, target),
        (numbers, put(codes, (1, 1), 31_337), target),
        (numbers, codes, put(target, 1, 31_337)),
    ):
        with pytest.raises(Misuse) as refusal:
            MIXED.check(*arrays)
        assert "31337" not in str(refusal.value)
        assert "inf" not in str(refusal.value)
