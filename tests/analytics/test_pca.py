"""Principal components equal numpy's on pooled rows; eigenvectors have one sign, on every machine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_wine

from federation.analytics import eigen
from federation.analytics.plan import Failure
from federation.errors import Misuse
from tests.analytics.cohorts import split
from tests.analytics.parties import ask, outcomes, result


def wine(columns: int = 13) -> pd.DataFrame:
    frame = load_wine(as_frame=True).data.iloc[:, :columns]
    return frame.rename(columns={name: f"c{i}" for i, name in enumerate(frame.columns)})


def reference(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return numpy's eigenvalues and vectors (rows), greatest first, with the sign of the convention."""
    values, vectors = np.linalg.eigh(matrix)
    vectors = vectors.T[::-1]
    signs = np.sign([vector[np.argmax(np.abs(vector))] for vector in vectors])
    return values[::-1], vectors * signs[:, None]


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("parts", [(100, 50, 28), (16,) * 10 + (18,)])
def test_it_equals_numpy_on_pooled_rows(standardize: bool, parts: tuple[int, ...]) -> None:
    frame = wine()
    asked = ask("pca", columns=tuple(frame.columns), standardize=standardize)
    found = result(split(frame, parts), asked)
    matrix = np.corrcoef(frame, rowvar=False) if standardize else np.cov(frame, rowvar=False)
    values, vectors = reference(matrix)
    assert np.array(found.matrix) == pytest.approx(matrix, rel=1e-12, abs=1e-12 * np.abs(matrix).max())
    assert found.eigenvals == pytest.approx(values, rel=1e-9)
    assert np.array(found.eigenvecs) == pytest.approx(vectors, abs=1e-9)
    assert found.explained_variance_ratio == pytest.approx(values / values.sum(), rel=1e-9)
    scores = (frame - frame.mean()).to_numpy() / (frame.std().to_numpy() if standardize else 1.0) @ vectors.T
    assert np.array(found.transform(frame)) == pytest.approx(scores, rel=1e-9, abs=1e-9)


def test_columns_a_million_apart_and_a_value_that_is_missing_at_one_party() -> None:
    frame = wine(4).assign(c0=lambda f: f["c0"] * 1e6, c1=lambda f: f["c1"] * 1e-6 + 7)
    frame.loc[3, "c2"] = np.nan
    frame["one"] = range(len(frame))
    found = result(split(frame, (100, 50, 28)), ask("pca", columns=("c0", "c1", "c2", "c3"), ncomp=2))
    whole = frame.dropna()[["c0", "c1", "c2", "c3"]]
    values, vectors = reference(np.corrcoef(whole, rowvar=False))
    assert found.n == len(whole) == 177
    assert found.eigenvals == pytest.approx(values[:2], rel=1e-9)
    assert np.array(found.eigenvecs) == pytest.approx(vectors[:2], abs=1e-9)
    assert found.mean == pytest.approx(whole.mean().to_numpy(), rel=1e-12)


def test_a_matrix_that_is_not_centred_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = eigen.symmetric
    monkeypatch.setattr(eigen, "symmetric", lambda matrix: real([[v + 0.001 for v in row] for row in matrix]))
    with pytest.raises(AssertionError):
        test_it_equals_numpy_on_pooled_rows(True, (100, 50, 28))


@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1e-12, 1e9]))
@settings(max_examples=60, deadline=None)
def test_eigenvalues_equal_numpys_also_of_singular_and_repeated_ones(size: int, seed: int, scale: float) -> None:
    dice = np.random.Generator(np.random.PCG64(seed))
    rows = dice.normal(size=(max(1, size // 2) if seed % 2 else size + 3, size)) * scale
    matrix = (rows.T @ rows).tolist()
    matrix = [[matrix[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)]
    values, vectors = eigen.symmetric(matrix)
    most = max(abs(values[0]), 1e-300)
    assert values == pytest.approx(np.linalg.eigvalsh(np.array(matrix))[::-1], rel=1e-12, abs=1e-13 * most)
    found = np.array(vectors)
    assert found @ found.T == pytest.approx(np.eye(size), abs=1e-13)
    assert found.T @ np.diag(values) @ found == pytest.approx(np.array(matrix), abs=1e-13 * most * size)
    for vector in vectors:
        assert max(vector) >= max(map(abs, vector)) * (1 - 1e-8)


def test_thirty_columns_of_a_clinic() -> None:
    frame = load_breast_cancer(as_frame=True).data
    frame = frame.rename(columns={name: f"c{i}" for i, name in enumerate(frame.columns)})
    values, _ = reference(np.corrcoef(frame, rowvar=False))
    found = result(split(frame, (300, 200, 69)), ask("pca", columns=tuple(frame.columns)))
    assert found.eigenvals == pytest.approx(values, rel=1e-9)
    assert len(found.table().rows) == 30
    assert found.picture().x[0] == "PC1"


def test_what_has_no_components_is_refused() -> None:
    frame = wine(3).assign(same=4.0, text="x")
    wrong = [
        (("c0",), None, "misuse"),
        (("c0", "c0"), None, "misuse"),
        (("c0", "text"), None, "misuse"),
        (("c0", "c1"), 3, "misuse"),
        (("c0", "same"), None, "job_failed"),
    ]
    found = outcomes(split(frame, (100, 50, 28)), *(ask("pca", columns=c, ncomp=n) for c, n, _ in wrong))
    for outcome, (_, _, code) in zip(found, wrong, strict=True):
        assert isinstance(outcome, Failure)
        assert outcome.code == code
    for matrix in ([[1.0, 2.0]], [[1.0, 2.0], [3.0, 1.0]], [[float("nan")]]):
        with pytest.raises(Misuse):
            eigen.symmetric(matrix)
