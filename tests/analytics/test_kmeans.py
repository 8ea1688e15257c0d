"""Clusters equal a pooled Lloyd from the same starts, step by step, and scikit-learn's where it ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from federation.analytics import prototypes
from federation.analytics.clusters import Space
from federation.analytics.plan import Failure
from federation.analytics.statistics import kmeans
from federation.jobs import planner
from federation.query.round import Phase
from tests.analytics.cohorts import split
from tests.analytics.parties import ask, driven, job, joint_of, outcomes, result

COLUMNS = ("a", "b", "c", "d")


def iris() -> pd.DataFrame:
    frame = load_iris(as_frame=True).data.set_axis(list(COLUMNS), axis=1)
    return frame.sample(frac=1.0, random_state=1).reset_index(drop=True)


def lloyd(rows: np.ndarray, starts: np.ndarray, scale: np.ndarray, steps: int) -> tuple[np.ndarray, int, float]:
    """Return (centres, steps, inertia); written plainly, over pooled rows."""
    centres = starts.astype(float)
    for step in range(1, steps + 1):
        away = (((rows[:, None, :] - centres[None]) / scale) ** 2).sum(axis=2)
        nearest = away.argmin(axis=1)
        moved = np.array(
            [rows[nearest == c].mean(axis=0) if (nearest == c).any() else centre for c, centre in enumerate(centres)]
        )
        inertia = sum((((rows[nearest == c] - moved[c]) / scale) ** 2).sum() for c in range(len(centres)))
        if np.allclose(moved, centres, rtol=0, atol=1e-13):
            return moved, step, inertia
        centres = moved
    return centres, steps, inertia


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("parts", [(80, 50, 20), (14,) * 9 + (24,)])
def test_it_is_a_pooled_lloyd_from_the_same_starts(parts: tuple[int, ...], standardize: bool) -> None:
    frame = iris()
    for seed in range(3):
        asked = ask("kmeans", columns=COLUMNS, k=3, seed=seed, n_init=2, standardize=standardize)
        found = result(split(frame, parts), asked)
        rows = frame.to_numpy()
        scale = rows.std(axis=0) if standardize else np.ones(4)
        assert found.scale == pytest.approx(scale, rel=1e-12)
        centres, steps, inertia = lloyd(rows, np.array(found.starts), scale, 50)
        assert np.array(found.centers) == pytest.approx(centres, rel=1e-12)
        assert (found.n_iter, found.converged) == (steps, True)
        assert found.inertia == pytest.approx(inertia, rel=1e-9)
        assert found.inertia == min(found.inertias)
        nearest = found.predict(frame)
        assert [cell.n for cell in found.estimates] == [nearest.count(place) for place in range(3)]


def test_given_starts_end_where_scikit_learn_ends() -> None:
    frame = iris()
    starts = ((5.0, 3.4, 1.5, 0.2), (6.0, 2.8, 4.3, 1.3), (6.6, 3.0, 5.5, 2.0))
    asked = ask("kmeans", columns=COLUMNS, k=3, starts=starts, standardize=False)
    found = result(split(frame, (80, 50, 20)), asked)
    reference = KMeans(3, init=np.array(starts), n_init=1, tol=0, algorithm="lloyd").fit(frame.to_numpy())
    assert np.array(found.centers) == pytest.approx(reference.cluster_centers_, rel=1e-12)
    assert found.inertia == pytest.approx(reference.inertia_, rel=1e-9)
    assert found.starts == starts
    assert found.predict(frame) == reference.labels_.tolist()


def test_the_same_seed_asks_the_same_and_no_row_is_a_start() -> None:
    parties = split(iris(), (80, 50, 20))
    asked = [ask("kmeans", columns=COLUMNS, k=3, seed=seed) for seed in (5, 5, 6)]
    first, again, other = (result(parties, each) for each in asked)
    assert first == again
    assert first.starts != other.starts
    rows = {tuple(row) for row in iris().to_numpy().tolist()}
    assert not rows & set(first.starts)
    assert len(first.inertias) == kmeans.STARTS


def heaps(seed: int, rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    middles = np.array([[0.0, 0.0], [5.0, 1.0], [2.0, 6.0]])[random.integers(0, 3, rows)]
    return pd.DataFrame((middles + random.normal(0, 1.2, (rows, 2))).round(3), columns=["x", "y"])


@pytest.mark.parametrize("parts", [(400, 400, 400), (700, 300, 200), (300, 300, 300, 288, 12)])
def test_under_k_rows_are_cut_once_and_the_clusters_are_nearly_those_of_the_rows(parts: tuple[int, ...]) -> None:
    frame = heaps(1, sum(parts))
    scaled = ((frame - frame.mean()) / frame.std(ddof=0)).to_numpy()
    reference = KMeans(3, n_init=4, random_state=0).fit(scaled)
    parties = split(frame, parts, k=10, own_figures=False)
    steps = []
    replay = planner.replay(job([ask("kmeans", columns=("x", "y"), k=3)], len(parts), max_rounds=20), joint_of(parties))
    driven(replay, parties, joint_of(parties), lambda asked, _: steps.append(asked))
    found = replay.results[0].result
    sums = [query for asked in steps if asked.phase is Phase.SUMS for query in asked.queries if not query.flags_only]
    assert [len(query.group_by) for query in sums] == [0, 1], "all rows, and one partition"
    labels = np.array(found.predict(frame))
    centres = np.array(found.centers)
    away = (((frame.to_numpy()[:, None, :] - centres[None]) / np.array(found.scale)) ** 2).sum(axis=2).min(axis=1)
    assert away.sum() < 1.1 * reference.inertia_
    assert adjusted_rand_score(labels, reference.labels_) > 0.9
    low = sum(cell.interval[0] for cell in found.estimates)
    high = sum(len(frame) if cell.interval[1] is None else cell.interval[1] for cell in found.estimates)
    assert low <= len(frame) <= high
    assert found.n == low
    assert found.cells is not None
    assert "cut once" in found.notes[1]


def test_under_k_inertia_and_centres_are_those_of_the_rows_of_their_cells() -> None:
    """By hand: rows to their nearest prototype, cells to their nearest centre, everything summed over rows."""
    frame = heaps(2, 900)
    joint = joint_of(parties := split(frame, (300, 300, 300), k=10, own_figures=False))
    asked = ask("kmeans", columns=("x", "y"), k=3, seed=4, n_init=1)
    kept: list[Space | prototypes.Cells] = []
    cells_of = prototypes.clustered
    found = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prototypes, "clustered", lambda s, c, *rest: (kept.extend((s, c)), cells_of(s, c, *rest))[1])
        replay = planner.replay(job([asked], 3, max_rounds=20), joint)
        found = driven(replay, parties, joint).results[0].result
    space, cells = kept
    rows, scale = frame.to_numpy(), np.array(space.scale)
    nearest = (((rows[:, None, :] - np.array(cells.prototypes)[None]) / scale) ** 2).sum(axis=2).argmin(axis=1)
    means = np.array([rows[nearest == cell].mean(axis=0) for cell in range(len(cells.prototypes))])
    weights = np.bincount(nearest)
    assert weights.min() >= 10
    centres, steps, _ = lloyd(np.repeat(means, weights, axis=0), np.array(found.starts), scale, 50)
    assert np.array(found.centers) == pytest.approx(centres, rel=1e-9)
    cluster = (((means[:, None, :] - centres[None]) / scale) ** 2).sum(axis=2).argmin(axis=1)[nearest]
    inertia = sum((((rows[cluster == c] - centres[c]) / scale) ** 2).sum() for c in range(3))
    assert found.inertia == pytest.approx(inertia, rel=1e-9)
    assert [cell.n for cell in found.estimates] == np.bincount(cluster, minlength=3).tolist()
    assert found.n_iter == steps


def test_too_few_rows_for_cells_of_k_are_refused() -> None:
    (outcome,) = outcomes(
        split(iris(), (80, 50, 20), k=10, own_figures=False), ask("kmeans", columns=COLUMNS, k=8, seed=2)
    )
    assert isinstance(outcome, Failure)
    assert outcome.code == "refused"


def test_it_takes_a_round_for_deviations_and_one_a_step() -> None:
    parties = split(iris(), (80, 50, 20))
    joint = joint_of(parties)
    asked = ask("kmeans", columns=COLUMNS, k=2, seed=1, max_iter=3)
    replay = driven(planner.replay(job([asked], 3, max_rounds=4), joint), parties, joint)
    assert replay.rounds_fed <= 4
    (outcome,) = replay.results
    assert outcome.result.n_iter <= 3
    assert outcome.result.notes[0].startswith("inertia")


def test_a_step_that_forgets_its_rows_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "is_closed", lambda _, cell: cell == 1)
    with pytest.raises(AssertionError):
        test_it_is_a_pooled_lloyd_from_the_same_starts((80, 50, 20), True)


def test_what_cannot_be_clustered_is_refused() -> None:
    frame = iris().assign(same=1.0)
    wrong = [
        (ask("kmeans", columns=(), k=2), "misuse"),
        (ask("kmeans", columns=("a", "a"), k=2), "misuse"),
        (ask("kmeans", columns=("a",), k=1), "misuse"),
        (ask("kmeans", columns=("a",), k=2, seed=-1), "misuse"),
        (ask("kmeans", columns=("a",), k=2, n_init=0), "misuse"),
        (ask("kmeans", columns=("a",), k=2, starts=((1.0,),)), "misuse"),
        (ask("kmeans", columns=("a", "same"), k=2), "job_failed"),
    ]
    found = outcomes(split(frame, (80, 50, 20)), *(asked for asked, _ in wrong))
    for outcome, (_, code) in zip(found, wrong, strict=True):
        assert isinstance(outcome, Failure)
        assert outcome.code == code
