"""Figures of added tallies equal those of pooled rows: scikit-learn's areas, numpy's losses, within stated bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, recall_score, roc_auc_score

from federation.errors import Misuse
from federation.training import evaluation
from federation.training.descent import bind
from federation.training.evaluation import BINS, LARGEST_LOSS, LOSS_BITS, figures, length, tally
from federation.training.inputs import Inputs, Task
from federation.training.models.linear import Linear, LinearConfig
from federation.training.models.mlp import Mlp
from federation.training.strategy import Rows
from tests.training.cohorts import BINARY, NORMED, REGRESSION, cohorts, quadratics, rows, together
from tests.training.parties import seed_of

CLASSES = Inputs(numbers=3, outputs=4, task=Task.CLASSES)
SCORE = Inputs(numbers=1, task=Task.BINARY)  # a linear model of slope 1 whose only input is the logit


def dice(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def of(inputs: Inputs, parties: list[Rows], model: Any = None) -> list[tuple[int, ...]]:
    """Return each party's tally of a linear model."""
    layout, module = Linear().layout(LinearConfig(), inputs), Linear().module(LinearConfig(), inputs)
    flat = layout.initial(seed_of(1)) if model is None else np.asarray(model, dtype=np.float32)
    return [tally(module, layout, flat, inputs, party) for party in parties]


def added(tallies: list[tuple[int, ...]]) -> list[int]:
    return [sum(numbers) for numbers in zip(*tallies, strict=True)]


def scored(logits: Any, target: Any) -> Rows:
    return rows(np.asarray(logits)[:, None], target, Task.BINARY)


def expit(logits: Any) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))


def test_sums_of_tallies_are_the_tally_of_all_rows() -> None:
    for inputs, parties in ((BINARY, cohorts()), (REGRESSION, quadratics())):
        apart, whole = added(of(inputs, parties)), list(of(inputs, [together(parties)])[0])
        assert len(whole) == length(inputs)
        assert apart == whole
        empty = Rows(**{name: getattr(parties[0], name)[:0] for name in ("numbers", "codes", "target")})
        assert set(of(inputs, [empty])[0]) == {0}
        assert all(type(number) is int for number in of(inputs, parties)[0])


def test_the_batches_of_an_evaluation_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of(BINARY, cohorts())
    monkeypatch.setattr(evaluation, "_BATCH", 7)
    for one, other in zip(of(BINARY, cohorts()), whole, strict=True):
        assert one[2:] == other[2:]
        assert abs(one[1] - other[1]) < 1 << 8  # sums of products in another order: the last bits of single precision


def test_binary_figures_equal_scikit_learns() -> None:
    target = (dice(1).random(5000) < 0.2).astype(np.float32)
    logits = (dice(2).normal(size=5000) + 1.5 * target - 1.5).astype(np.float32)
    found = figures(
        added(of(SCORE, [scored(logits[:1000], target[:1000]), scored(logits[1000:], target[1000:])], [1, 0])), SCORE
    )
    bins = np.floor(expit(logits) * BINS)
    assert found.n == 5000
    assert found.auc == pytest.approx(roc_auc_score(target, bins), abs=1e-12)
    assert found.auc_error is not None
    assert found.auc is not None
    assert 0 < found.auc_error < 0.01
    assert abs(found.auc - roc_auc_score(target, logits)) <= found.auc_error
    assert abs(found.auc - roc_auc_score(target, logits)) < 2e-4  # far within, in practice
    assert found.accuracy == accuracy_score(target, logits > 0)
    assert found.loss == pytest.approx(log_loss(target, expit(logits)), abs=2**-LOSS_BITS + 1e-7)
    assert found.recall == (
        recall_score(target, logits > 0, pos_label=0),
        recall_score(target, logits > 0, pos_label=1),
    )


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-80, 80)), min_size=2, max_size=60),
    st.sampled_from([0.001, 0.1, 1.0]),
)
@settings(max_examples=60)
def test_the_area_is_within_its_stated_error_of_the_scores_own(drawn: list[tuple[bool, int]], scale: float) -> None:
    target, logits = np.array([t for t, _ in drawn]), np.array([s for _, s in drawn]) * scale
    found = figures(of(SCORE, [scored(logits, target)], [1, 0])[0], SCORE)
    if target.all() or not target.any():
        assert found.auc is found.auc_error is None
        return
    assert found.auc is not None
    assert found.auc_error is not None
    scores = logits.astype(np.float32)
    assert abs(found.auc - roc_auc_score(target, scores)) <= found.auc_error + 1e-12
    assert 0 <= found.auc - found.auc_error <= found.auc + found.auc_error <= 1


def test_the_bound_is_reached() -> None:
    """Both classes in one bin, in the right order: the area is 1/2 ± 1/2, and the scores' own is 1."""
    found = figures(of(SCORE, [scored([0.001, 0.002], [0, 1])], [1, 0])[0], SCORE)
    assert (found.auc, found.auc_error) == (0.5, 0.5)


def test_an_area_that_counts_ties_as_right_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(below: Any, above: Any) -> tuple[float, float]:
        passed = np.cumsum(below)
        return float(np.dot(above, passed) / (sum(below) * sum(above))), 0.0

    monkeypatch.setattr(evaluation, "_area", generous)
    with pytest.raises(AssertionError):
        test_binary_figures_equal_scikit_learns()


def test_figures_of_classes_equal_scikit_learns() -> None:
    numbers, target = dice(3).normal(size=(900, 3)), dice(4).integers(0, 3, size=900)  # nobody is of class 3
    party = rows(numbers, target, Task.CLASSES)
    layout = Linear().layout(LinearConfig(), CLASSES)
    weight, bias = layout.split(layout.initial(seed_of(1))).values()
    logits = party.numbers.astype(np.float64) @ weight.T.astype(np.float64) + bias
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    found = figures(added(of(CLASSES, [party, party])), CLASSES)
    assert found.n == 1800
    assert found.accuracy == accuracy_score(target, logits.argmax(axis=1))
    assert found.loss == pytest.approx(log_loss(target, shares, labels=range(4)), abs=1e-6)
    assert found.recall[:3] == tuple(recall_score(target, logits.argmax(axis=1), average=None, labels=range(3)))
    assert found.recall[3] is None
    assert found.auc is None


def test_figures_of_a_regression_are_n_and_mean_squared_error() -> None:
    party = quadratics()[0]
    found = figures(of(REGRESSION, [party], [1.5, 0.5, 0.25])[0], REGRESSION)
    errors = party.numbers @ np.array([1.5, 0.5]) + 0.25 - party.target
    assert found.loss == pytest.approx(float(np.mean(errors**2)), abs=1e-5)
    assert found.accuracy is found.auc is None
    assert found.recall == ()


def test_a_loss_has_a_greatest_value_and_one_without_a_value_counts_as_it() -> None:
    far = rows(np.array([[1e4, 0.0], [0.0, 0.0]]), [0.0, 0.0], Task.REGRESSION)
    numbers = of(REGRESSION, [far], [1.0, 0.0, 0.0])[0]
    assert numbers == (2, LARGEST_LOSS << LOSS_BITS)
    assert sum(numbers) <= evaluation.largest(2)
    lost = of(SCORE, [scored([1.0, 1.0, 1.0], [1, 0, 0])], [np.inf, -np.inf])[0]  # inf - inf
    assert lost[1] == 3 * LARGEST_LOSS << LOSS_BITS
    found = figures(lost, SCORE)
    assert (found.accuracy, found.auc) == (0.0, 0.0)  # a score that is no number is wrong, on either side
    nowhere = of(CLASSES, [rows(np.ones((2, 3)), [0, 1], Task.CLASSES)], [np.nan] * 16)[0]
    assert figures(nowhere, CLASSES).accuracy == 0.0


def test_extreme_scores_stay_in_the_first_and_last_bin_without_a_warning() -> None:
    numbers = of(SCORE, [scored([-1e30, 1e30, -50.0, 50.0], [0, 1, 1, 0])], [1, 0])[0]
    assert numbers[4] == numbers[4 + BINS - 1] == numbers[4 + BINS] == numbers[4 + 2 * BINS - 1] == 1
    assert numbers[2:4] == (1, 1)


def test_evaluating_does_not_train() -> None:
    layout, module = Mlp().layout(NORMED, BINARY), Mlp().module(NORMED, BINARY)
    model = layout.initial(seed_of(1))
    before = model.tobytes()
    first, again = (tally(module, layout, model, BINARY, cohorts()[0]) for _ in range(2))
    assert first == again  # no dropout, no running statistics that move
    assert model.tobytes() == before
    flat, _ = bind(module, layout, model)
    tally(module, layout, model, BINARY, cohorts()[0])
    assert flat.numpy().tobytes() == before


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0] * 516, "no party has evaluation rows"),
        ([1] * 515, "has 516 numbers, this one has 515"),
        ([5, 0, 0, 0, *[0] * 512], "contradict"),
        ([1, 0, 0, 2, *[0] * 511, 1], "contradict"),
    ],
)
def test_sums_that_are_no_tally_are_refused(numbers: list[int], message: str) -> None:
    with pytest.raises(Misuse, match=message):
        figures(numbers, BINARY)


def test_more_rows_than_a_sum_has_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluation.largest(evaluation.MOST_ROWS) <= 2**62
    monkeypatch.setattr(evaluation, "MOST_ROWS", 10)
    with pytest.raises(Misuse, match="at most 10 rows, this one has 60"):
        of(BINARY, cohorts())
