"""Principal components of columns of numbers, from their opened correlation or covariance matrix; one round.

The matrix has n - 1 below the line and is computed exactly from sums about the middle of the declared ranges, over rows
that have a value in every column. Its eigenvalues are the variances of the components, its unit eigenvectors their
loadings (Jolliffe, Principal Component Analysis, 2002, chapter 2); the loading of greatest magnitude is positive. A
principal component's own values stay at home: `transform` makes them of rows that the researcher has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics import eigen, standard
from federation.analytics.asked import Asked, Frame, ask
from federation.analytics.cells import left_out
from federation.analytics.estimates import LeavesOut, RowsLeftOut, Suppressed
from federation.analytics.plan import Plan
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed, Misuse
from federation.query.expression import Col, Const, Expression, Gram

MOST_COLUMNS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PcaParameters:
    """Of which columns.

    Attributes:
        columns: at least two columns of numbers.
        ncomp: components to keep; None is all.
        standardize: whether columns are divided by their standard deviation: the matrix is that of correlations.
    """

    columns: tuple[str, ...]
    ncomp: int | None = None
    standardize: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PcaResult(LeavesOut, Result):
    """Components, greatest variance first.

    Attributes:
        columns: in the order of the loadings.
        standardize: whether the matrix is that of correlations.
        n: rows that have a value in every column.
        mean: of each column.
        scale: what each column is divided by: its standard deviation, or 1.
        matrix: the opened matrix.
        eigenvals: variances of the components.
        eigenvecs: their loadings, one tuple per component, of length 1.
        explained_variance_ratio: the part of all variance that each has.
    """

    columns: tuple[str, ...]
    standardize: bool
    n: int
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    eigenvals: tuple[float, ...]
    eigenvecs: tuple[tuple[float, ...], ...]
    explained_variance_ratio: tuple[float, ...]
    withheld: int
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def value(self) -> tuple[float, ...]:
        """The eigenvalues."""
        return self.eigenvals

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """What parties withhold; the components are those of the opened rows."""
        rows = Suppressed(what="rows", withheld=self.withheld, closed=False, interval=(self.n, None))
        return (*((rows,) if self.withheld else ()), *self.left_out.suppressed)

    def transform(self, frame: Mapping[str, Sequence[float]]) -> list[tuple[float, ...]]:
        """Return the components of rows that the researcher has: a data frame, or columns by name.

        Raises:
            Misuse: a column lacks.
        """
        for name in self.columns:
            if name not in frame:
                raise Misuse(f"the rows have no column {name!r}")
        held = zip(*(list(frame[name]) for name in self.columns), strict=True)
        rows = [[(x - m) / s for x, m, s in zip(row, self.mean, self.scale, strict=True)] for row in held]
        return [tuple(math.fsum(map(float.__mul__, v, map(float, row))) for v in self.eigenvecs) for row in rows]

    def table(self) -> Table:
        """Return one row per component: variance, its part of all, cumulated, and the loadings."""
        rows: list[tuple[Shown, ...]] = []
        reached = 0.0
        for place, share in enumerate(self.explained_variance_ratio):
            reached += share
            rows.append((f"PC{place + 1}", self.eigenvals[place], share, reached, *self.eigenvecs[place]))
        return Table(columns=("component", "variance", "share", "cumulated", *self.columns), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the part of all variance that each component has."""
        return Picture(
            drawn=Drawn.BARS,
            title="principal components",
            x_label="component",
            y_label="share of variance",
            x=tuple(f"PC{place + 1}" for place in range(len(self.eigenvals))),
            y=self.explained_variance_ratio,
        )


class Pca(Statistic[PcaParameters, PcaResult]):
    """Principal components of columns of numbers."""

    name = "pca"
    version = 1
    Parameters = PcaParameters

    def rounds(self, parameters: PcaParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: PcaParameters, where: Expression | None, joint: Dataset) -> Plan[PcaResult]:
        names = parameters.columns
        if not 2 <= len(names) <= MOST_COLUMNS or len(set(names)) < len(names):
            raise Misuse(f"principal components are of 2 to {MOST_COLUMNS} different columns")
        most = len(names) if parameters.ncomp is None else parameters.ncomp
        if not 1 <= most <= len(names):
            raise Misuse(f"ncomp is 1 to {len(names)}, the number of columns")
        standards = tuple(standard.declared(Col(numeric(name, joint).name), joint, centred=True) for name in names)
        question = _asked(names, standards, where, joint)
        (totals,) = yield (question.query,)
        opened = question.read(totals)
        if opened.rows < 2:
            raise JobFailed("principal components need two rows")
        sums = opened.matrix("gram")
        first = [row[0] / opened.rows for row in sums[1:]]
        covariance = [
            [
                (sums[i + 1][j + 1] / opened.rows - first[i] * first[j])
                * opened.rows
                / (opened.rows - 1)
                * Fraction(2) ** (standards[i].shift + standards[j].shift)
                for j in range(len(names))
            ]
            for i in range(len(names))
        ]
        scale = _scales(covariance, names, standardize=parameters.standardize)
        matrix = [
            [
                1.0 if i == j and parameters.standardize else float(covariance[i][j]) / (scale[i] * scale[j])
                for j in range(len(names))
            ]
            for i in range(len(names))
        ]
        values, vectors = eigen.symmetric(matrix)
        whole = math.fsum(row[i] for i, row in enumerate(matrix))
        mean = [Fraction(s.centre) + m * Fraction(2) ** s.shift for s, m in zip(standards, first, strict=True)]
        return PcaResult(
            columns=names,
            standardize=parameters.standardize,
            n=opened.rows,
            mean=tuple(map(float, mean)),
            scale=tuple(scale),
            matrix=tuple(map(tuple, matrix)),
            eigenvals=values[:most],
            eigenvecs=vectors[:most],
            explained_variance_ratio=tuple(value / whole for value in values[:most]),
            withheld=totals.withheld[0],
            left_out=left_out(question.query, totals, joint),
            parties=totals.parties,
            k=joint.k,
        )


def _asked(
    names: Sequence[str], standards: Sequence[standard.Standard], where: Expression | None, joint: Dataset
) -> Asked:
    numbers = tuple(Col(name) for name in names)
    frame = Frame(joint=joint, where=where, needs=numbers)
    columns = (Const(1), *(each.of(number) for each, number in zip(standards, numbers, strict=True)))
    return ask(frame, {"gram": Gram(Const(1), columns)}, complete=True)


def _scales(covariance: Sequence[Sequence[Fraction]], names: Sequence[str], *, standardize: bool) -> list[float]:
    found = []
    for place, name in enumerate(names):
        variance = float(covariance[place][place])
        if variance <= 0:
            raise JobFailed(f"column {name!r} has one value only", hint="leave it out")
        found.append(math.sqrt(variance) if standardize else 1.0)
    return found
