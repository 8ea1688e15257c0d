"""Eigenvalues and eigenvectors of a symmetric matrix, with the same bits on every machine.

Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, section 8.5) in binary64, in written order: no LAPACK,
so that what is made of them may decide a later query. Eigenvectors have a fixed sign: the entry of greatest magnitude,
the first of equal ones, is positive. Refused: matrices that are not square and symmetric, or not finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

from federation.errors import JobFailed, Misuse

MOST_SWEEPS: Final = 60  # they converge quadratically: some ten are enough for hundreds of columns
LEAST: Final = 2.0**-60  # of the diagonal: what is off it and smaller changes no digit

Rows: TypeAlias = list[list[float]]


def symmetric(matrix: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """Return eigenvalues, greatest first, and the unit eigenvectors that belong to them.

    Args:
        matrix: n x n, symmetric.

    Raises:
        Misuse: not square, not symmetric, or not finite.
        JobFailed: the rotations do not converge.
    """
    size = len(matrix)
    work = [[float(value) for value in row] for row in matrix]
    if any(len(row) != size for row in work):
        raise Misuse("a matrix of eigenvalues is square")
    if any(not math.isfinite(value) for row in work for value in row):
        raise Misuse("a matrix of eigenvalues is finite")
    if any(work[i][j] != work[j][i] for i in range(size) for j in range(i)):
        raise Misuse("a matrix of eigenvalues is symmetric")
    vectors = [[float(i == j) for j in range(size)] for i in range(size)]  # rows are eigenvectors
    for _ in range(MOST_SWEEPS):
        if not _swept(work, vectors):
            break
    else:
        raise JobFailed("the eigenvalues did not converge")
    order = sorted(range(size), key=lambda i: (-work[i][i], i))
    return tuple(work[i][i] for i in order), tuple(_turned(vectors[i]) for i in order)


def _swept(work: Rows, vectors: Rows) -> bool:
    """Turn every pair of axes once; return whether there was anything to turn."""
    size = len(work)
    turned = False
    for p in range(size):
        for q in range(p + 1, size):
            apart = abs(work[p][q])
            if apart <= LEAST * math.sqrt(abs(work[p][p])) * math.sqrt(abs(work[q][q])) or apart < 1e-300:
                work[p][q] = work[q][p] = 0.0
                continue
            turned = True
            _rotate(work, vectors, p, q)
    return turned


def _rotate(work: Rows, vectors: Rows, p: int, q: int) -> None:
    theta = (work[q][q] - work[p][p]) / (2.0 * work[p][q])
    size = abs(theta)
    t = 1.0 / (size + math.sqrt(size * size + 1.0)) if size < 1e150 else 0.5 / size
    t = t if theta >= 0.0 else -t
    c = 1.0 / math.sqrt(t * t + 1.0)
    s = t * c
    shift = t * work[p][q]
    work[p][p] -= shift
    work[q][q] += shift
    work[p][q] = work[q][p] = 0.0
    for i in range(len(work)):
        if i not in (p, q):
            a, b = work[i][p], work[i][q]
            work[i][p] = work[p][i] = c * a - s * b
            work[i][q] = work[q][i] = s * a + c * b
    for i, (a, b) in enumerate(zip(vectors[p], vectors[q], strict=True)):
        vectors[p][i] = c * a - s * b
        vectors[q][i] = s * a + c * b


def _turned(vector: Sequence[float]) -> tuple[float, ...]:
    """The same direction with its sign by convention; entries within rounding of the greatest count as equal to it."""
    most = max(map(abs, vector))
    first = next(value for value in vector if abs(value) >= most * (1 - 1e-9))
    return tuple(value if first > 0 else 0.0 - value for value in vector)
