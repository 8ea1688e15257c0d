"""Pooled fits that joint ones are compared with: least squares and logistic regression over all rows in one memory.

Plain numpy on a matrix of columns, by orthogonal decomposition: another way than the sums of products that a federation
opens. Nothing of a federation stands here. Tests compare these with statsmodels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import duckdb
import numpy as np

from federation_examples.report import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"

BAR: Final = 1e-8  # relative, of coefficients and standard errors
MOST_STEPS: Final = 50
STILL: Final = 1e-12  # greatest step of the end, relative to the coefficients


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model.

    Attributes:
        n: rows.
        params: name -> coefficient, the intercept first.
        bse: name -> standard error.
        deviance: sum of squared residuals, or twice the minus log-likelihood.
        rsquared: of least squares, else None.
    """

    n: int
    params: Mapping[str, float]
    bse: Mapping[str, float]
    deviance: float
    rsquared: float | None = None


def columns(files: Iterable[Path], expressions: Sequence[str]) -> Numbers:
    """Return SQL expressions over the rows of all files, one column each, without rows where one is missing."""
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        named = ", ".join(f"({each})::DOUBLE AS c{place}" for place, each in enumerate(expressions))
        complete = " AND ".join(f"c{place} IS NOT NULL" for place in range(len(expressions)))
        found = rows.project(named).filter(complete).fetchnumpy()
    return np.column_stack([np.asarray(found[f"c{place}"]) for place in range(len(expressions))])


def least_squares(files: Iterable[Path], response: str, terms: Mapping[str, str]) -> Fit:
    """Fit a linear model with an intercept.

    Args:
        files: Parquet.
        response: SQL.
        terms: name of a coefficient -> SQL.
    """
    table = columns(files, [response, *terms.values()])
    y, x = table[:, 0], _design(table)
    q, r = np.linalg.qr(x)
    b = np.linalg.solve(r, q.T @ y)
    squares = float(np.sum((y - x @ b) ** 2))
    root = np.linalg.inv(r)
    errors = np.sqrt(np.sum(root**2, axis=1) * squares / (len(y) - x.shape[1]))
    rsquared = 1 - squares / float(np.sum((y - y.mean()) ** 2))
    return _fit(terms, len(y), b, errors, squares, rsquared)


def logistic(files: Iterable[Path], response: str, terms: Mapping[str, str]) -> Fit:
    """Fit a logistic model with an intercept by Newton's steps, each by orthogonal decomposition.

    Args:
        files: Parquet.
        response: SQL, 0 or 1.
        terms: name of a coefficient -> SQL.
    """
    table = columns(files, [response, *terms.values()])
    y, x = table[:, 0], _design(table)
    b = np.zeros(x.shape[1])
    for _ in range(MOST_STEPS):
        p = 1 / (1 + np.exp(-(x @ b)))
        root = np.sqrt(p * (1 - p))
        q, r = np.linalg.qr(x * root[:, None])
        step = np.linalg.solve(r, q.T @ ((y - p) / root))
        b = b + step
        if np.max(np.abs(step)) <= STILL * np.max(np.abs(b)):
            break
    eta = x @ b
    deviance = 2 * float(np.sum(np.logaddexp(0, eta) - y * eta))
    errors = np.sqrt(np.sum(np.linalg.inv(r) ** 2, axis=1))
    return _fit(terms, len(y), b, errors, deviance, None)


def lines(found: Any, pooled: Fit, names: Mapping[str, str], *, of: str = "") -> tuple[Line, ...]:  # noqa: ANN401
    """Return a line per coefficient and per standard error, and one of the deviance.

    Args:
        found: a regression's result.
        pooled: what it is compared with.
        names: a coefficient of `found` -> that of `pooled`, which a reader sees too.
        of: which model, where there are several; stands before every figure.
    """
    before = f"{of}: " if of else ""
    kinds = (("", found.params, pooled.params), (", standard error", found.bse, pooled.bse))
    each = tuple(
        Line(
            figure=f"{before}{name}{what}",
            federated=ours[term],
            pooled=theirs[name],
            exact=False,
            relative=BAR,
        )
        for term, name in names.items()
        for what, ours, theirs in kinds
    )
    end = Line(figure=f"{before}deviance", federated=found.deviance, pooled=pooled.deviance, exact=False)
    return (Line(figure=f"{before}rows of the model", federated=found.n, pooled=pooled.n, exact=True), *each, end)


def _design(table: Numbers) -> Numbers:
    return np.column_stack([np.ones(len(table)), table[:, 1:]])


def _fit(terms: Mapping[str, str], n: int, b: Numbers, errors: Numbers, deviance: float, rsquared: float | None) -> Fit:
    names = ("Intercept", *terms)
    return Fit(
        n=n,
        params=dict(zip(names, b.tolist(), strict=True)),
        bse=dict(zip(names, errors.tolist(), strict=True)),
        deviance=deviance,
        rsquared=rsquared,
    )
