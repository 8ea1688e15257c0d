"""What joint models are compared with is right by other programs, and is the same each time."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from federation.errors import Misuse
from federation.training.inputs import Inputs, Task
from federation_examples import learning
from federation_examples.learning import Recipe, Sample

INPUTS = Inputs(numbers=3, task=Task.BINARY)
RECIPE = Recipe(rate=0.1, batch=16, passes=3)


@pytest.fixture(scope="module")
def sample() -> Sample:
    generator = np.random.default_rng(5)
    numbers = generator.normal(size=(400, 3)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(numbers @ [1.0, -2.0, 0.5] - 0.3)))
    target = (generator.random(400) < chance).astype(np.float32)
    return Sample(numbers=numbers, target=target, tested=np.arange(400) % 4 == 0)


def test_the_area_is_scikit_learns_with_ties_too() -> None:
    generator = np.random.default_rng(1)
    target = generator.integers(0, 2, 500)
    for scores in (generator.normal(size=500), np.round(generator.normal(size=500), 1), np.zeros(500)):
        assert learning.auc(scores[:, None], target) == pytest.approx(roc_auc_score(target, scores), abs=1e-12)


def test_the_most_likely_logistic_regression_is_scikit_learns(sample: Sample) -> None:
    numbers, target = sample.half(tested=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LogisticRegression(C=1e10, tol=1e-10, max_iter=1_000).fit(numbers, target)
    ours = learning.logistic(sample)
    assert ours == pytest.approx(np.append(theirs.coef_[0], theirs.intercept_), rel=1e-4)


def test_equal_seeds_give_equal_models_and_torchs_own_generator_is_left_alone(sample: Sample) -> None:
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (
        learning.scores(learning.trained("linear", {}, INPUTS, sample, RECIPE, seed), sample.numbers)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_tested_rows_teach_nothing(sample: Sample) -> None:
    turned = Sample(
        numbers=sample.numbers, target=np.where(sample.tested, 1 - sample.target, sample.target), tested=sample.tested
    )
    models = [
        learning.scores(learning.trained("linear", {}, INPUTS, one, RECIPE, 1), sample.numbers)
        for one in (sample, turned)
    ]
    assert np.array_equal(*models)
    assert np.array_equal(learning.logistic(sample), learning.logistic(turned))
    # The plant: a turned target that is learned from does change the model.
    learned = Sample(numbers=sample.numbers, target=1 - sample.target, tested=sample.tested)
    assert not np.array_equal(learning.logistic(sample), learning.logistic(learned))


def test_descent_comes_near_the_most_likely_model(sample: Sample) -> None:
    recipe = Recipe(rate=0.5, batch=300, passes=10, steps=20, decay=0.9)
    module = learning.trained("linear", {}, INPUTS, sample, recipe, 1)
    b = learning.logistic(sample)
    found = learning.scores(module, sample.numbers)[:, 0]
    assert found == pytest.approx(sample.numbers @ b[:-1] + b[-1], abs=0.15)


def test_moments_are_of_rows_that_are_learned_from(sample: Sample) -> None:
    halves = {
        name: Sample(numbers=5 * sample.numbers[place] + 3, target=sample.target[place], tested=sample.tested[place])
        for name, place in (("a", slice(0, 150)), ("b", slice(150, 400)))
    }
    together = learning.together(learning.standardised(halves).values())
    learned, _ = together.half(tested=False)
    assert learned.mean(0) == pytest.approx(np.zeros(3), abs=1e-5)
    assert learned.std(0) == pytest.approx(np.ones(3), abs=1e-5)


def test_without_torch_the_extra_is_named(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Misuse, match="needs torch") as caught:
        learning.trained("linear", {}, INPUTS, sample, RECIPE, 1)
    assert "pearl-federation[train]" in caught.value.hint
