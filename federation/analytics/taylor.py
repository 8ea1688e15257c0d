"""Totals of a survey sample and the covariance of what is made of them, by Taylor linearisation.

Rows carry weights, lie in strata and are drawn in clusters (primary sampling units). An estimate that is a smooth
function of weighted totals has, to first order, the variance of the total of its linearised variable z; with z_i the
sum of w z over cluster i of stratum h, that is the sum over strata of (1 - f) n / (n - 1) sum_i (z_i - mean)^2, with n
clusters drawn and f the fraction that they are of all (Woodruff, JASA 66, 1971; Sarndal, Swensson and Wretman 1992,
section 5.5; as R's package survey has it). Sums of products of cluster sums are opened, never a cluster (`Gram` with
clusters), so every z that is a combination of the same columns follows from one round.

A domain is a part of the sample: its rows alone are summed, but n counts the clusters of the whole sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from federation.analytics import groups, tails
from federation.analytics.cells import closed_estimate, is_closed, left_out, require_an_open_cell, unit
from federation.analytics.estimates import Estimate, Estimates, Interval
from federation.analytics.moments import ROUNDING, root
from federation.analytics.plan import Plan
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Shown
from federation.analytics.weights import Weight, among, weight_of
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Misuse
from federation.query import predicate
from federation.query.expression import Both, Col, Const, Expression, Gram, Term
from federation.query.query import SumQuery, Totals, shape

Covariance: TypeAlias = tuple[tuple[Fraction, ...], ...]
Linear: TypeAlias = tuple[Fraction, tuple[Fraction, ...]]  # an estimate, and its linearised variable in the columns


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleParameters:
    """How a sample was drawn, in a researcher's words: parameters of everything that is asked of one.

    Attributes:
        strata: columns whose combinations were sampled apart.
        psu: column of clusters that were drawn; None where rows were.
        weights: column of weights, one over the chance to be drawn; None is 1.
        fpc: column that says how many clusters the row's stratum has in all; None for very many.
        domain: a condition, as in `where`, for the part that is asked about; "" for all.
    """

    strata: groups.By = None
    psu: str | None = None
    weights: str | None = None
    fpc: str | None = None
    domain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedSampleParameters(SampleParameters):
    """Parameters of an estimate for all, or for each group.

    Attributes:
        by: a category column, or several, for one estimate per category or combination.
    """

    by: groups.By = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How a sample was drawn, read over the catalogue.

    Attributes:
        strata: columns whose combinations were sampled apart.
        psu: the column that says which cluster a row is of; None where rows were drawn by themselves.
        weight: None for 1.
        fpc: the column that says how many clusters the row's stratum has in all; None for very many.
        domain: the part that is estimated; None for all.
    """

    joint: Dataset
    where: Expression | None
    strata: groups.By
    psu: str | None
    weight: Weight | None
    fpc: str | None
    domain: Expression | None

    @property
    def weights(self) -> Expression:
        """The weight of a row."""
        return Const(1) if self.weight is None else self.weight.of

    @property
    def rows(self) -> Expression | None:
        """The condition for rows of the domain."""
        found = among(self.weight, self.where)
        if self.domain is None:
            return found
        return self.domain if found is None else Both(found, self.domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """What the design says of one stratum: clusters in the sample, and the factor (1 - f) n / (n - 1)."""

    label: str
    clusters: int
    factor: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What was opened of one group of `by`, over all strata.

    Attributes:
        totals: weighted sums of the columns.
        errors: bounds on what rounding of rows did to them.
        covariance: of these totals.
        rows: how many there are.
        units: how many units they belong to.
        withheld: most parties that withhold it in some stratum.
    """

    label: str
    totals: tuple[Fraction, ...]
    errors: tuple[Fraction, ...]
    covariance: Covariance
    rows: int
    units: int
    withheld: int
    closed: bool

    def variance(self, z: Sequence[Fraction]) -> Fraction:
        """Return the variance of the total of a linearised variable, given as a combination of the columns."""
        pairs = zip(z, self.covariance, strict=True)
        found = sum((a * b * v for a, row in pairs for b, v in zip(z, row, strict=True)), Fraction(0))
        return max(found, Fraction(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed(Estimates):
    """Estimates of a survey sample with Taylor-linearised standard errors.

    Attributes:
        strata: columns of strata.
        psu: column of clusters, None for rows.
        fpc: column of how many clusters there are, None for very many.
        domain: the condition of the part that is estimated, "" for all.
        df: clusters less strata, for intervals by Student's t.
    """

    strata: groups.By
    psu: str | None
    fpc: str | None
    domain: str
    df: int

    def conf_int(self, alpha: float = 0.05) -> tuple[tuple[float, float] | None, ...]:
        """Return (low, high) per estimate, at confidence 1 - alpha; None where there is no standard error."""
        if not 0 < alpha < 1:
            raise Misuse("alpha of an interval lies between 0 and 1", hint="0.05 is 95 % confidence")
        q = -tails.t_ppf(alpha / 2, self.df) if self.df > 0 else math.nan
        return tuple(
            None if cell.value is None or cell.se is None or math.isnan(q) else _around(cell.value, q * cell.se)
            for cell in self.estimates
        )

    def headings(self) -> tuple[str, ...]:
        return (self.statistic.removeprefix("survey_"), "se", "ci_low", "ci_high")

    def shown(self, cell: Estimate) -> tuple[Shown, ...]:
        ends = self.conf_int()[self.estimates.index(cell)]
        return (cell.value, cell.se, *(ends or (None, None)))

    @property
    def notes(self) -> tuple[str, ...]:
        """The design in one line."""
        clusters = f"clusters by {self.psu}" if self.psu else "rows drawn by themselves"
        within = f", within strata of {groups.written(self.strata)}" if self.strata is not None else ""
        return (f"{clusters}{within}; {self.df} degrees of freedom; intervals are of 95 %",)


def sample(drawn: SampleParameters, where: Expression | None, joint: Dataset) -> Sample:
    """Return the sample design. Raises Misuse where it has no meaning over the catalogue."""
    groups.axes(drawn.strata, joint)
    if drawn.psu is not None and joint.column(drawn.psu).kind is Kind.REAL:
        raise Misuse(
            f"column {drawn.psu!r} holds real numbers, which name no clusters", hint="an identifier or a category"
        )
    if drawn.fpc is not None:
        numeric(drawn.fpc, joint)
    return Sample(
        joint=joint,
        where=where,
        strata=drawn.strata,
        psu=drawn.psu,
        weight=weight_of(drawn.weights, joint),
        fpc=drawn.fpc,
        domain=predicate.parse(drawn.domain, joint) if drawn.domain else None,
    )


def design_query(of: Sample) -> SumQuery:
    """Return the query for clusters per stratum of the whole sample; the last term counts rows."""
    terms: list[Term] = []
    if of.psu is not None:
        terms.append(Gram(Const(1), (Const(1),), clusters=of.psu))
    if of.fpc is not None:
        terms.append(Col(of.fpc))
    return SumQuery(
        dataset=of.joint.name,
        where=of.where,
        per=unit(of.joint),
        group_by=groups.axes(of.strata, of.joint),
        terms=(*terms, Const(1)),
    )


def sums_query(of: Sample, columns: Sequence[Expression], by: groups.By) -> SumQuery:
    """Return the query for weighted sums of columns and products of cluster sums, per stratum and group."""
    weight = of.weights
    spread = (
        Gram(weight, tuple(columns), clusters=of.psu) if of.psu is not None else Gram(weight * weight, tuple(columns))
    )
    return SumQuery(
        dataset=of.joint.name,
        where=of.rows,
        per=unit(of.joint),
        group_by=(*groups.axes(of.strata, of.joint), *groups.axes(by, of.joint)),
        terms=(*(weight * column for column in columns), spread, Const(1)),
    )


def strata_of(of: Sample, query: SumQuery, totals: Totals) -> tuple[Stratum, ...]:
    """Return what the design query opened, per stratum.

    Raises:
        JobFailed: more clusters than `fpc` says that there are.
    """
    scales = shape(query, of.joint).scales
    found = []
    for cell, label in enumerate(groups.labels(of.strata, of.joint)):
        units, *sums = totals.table[cell]
        rows = sums[-1]
        clusters = sums[0] if of.psu is not None else rows
        share = Fraction(0)
        if of.fpc is not None and rows:
            whole = Fraction(sums[-2]) / Fraction(2) ** scales[-2] / rows
            if whole < clusters:
                raise JobFailed(f"stratum {label!r} has more clusters than {of.fpc!r} says that there are")
            share = clusters / whole
        factor = None
        if clusters > 1:
            factor = (1 - share) * Fraction(clusters, clusters - 1)
        elif share == 1 or not units:
            factor = Fraction(0)  # all of it was drawn, or nothing is there
        found.append(Stratum(label=label, clusters=clusters, factor=factor))
    return tuple(found)


def groups_of(
    of: Sample, query: SumQuery, totals: Totals, strata: Sequence[Stratum], by: groups.By, size: int
) -> tuple[Group, ...]:
    """Return the totals of every group and their covariance.

    Raises:
        JobFailed: a stratum with one cluster, whose variance nobody can estimate.
    """
    labels = groups.labels(by, of.joint)
    return tuple(
        _group(of, query, totals, strata, [s * len(labels) + place for s in range(len(strata))], label, size)
        for place, label in enumerate(labels)
    )


def estimated(
    of: Sample, columns: Sequence[Expression], by: groups.By
) -> Plan[tuple[SumQuery, Totals, tuple[Stratum, ...], tuple[Group, ...]]]:
    """Ask for the design and the sums, in one round; return the query of the sums and what both opened."""
    design, sums = design_query(of), sums_query(of, columns, by)
    shape(sums, of.joint)  # what has no meaning fails here, before anything is asked
    drawn, totals = yield design, sums
    require_an_open_cell(totals)
    strata = strata_of(of, design, drawn)
    return sums, totals, strata, groups_of(of, sums, totals, strata, by, len(columns))


def strata_labels(of: Sample) -> tuple[str, ...]:
    """Return the strata, in the order of the queries' cells."""
    return groups.labels(of.strata, of.joint)


def degrees(strata: Sequence[Stratum]) -> int:
    """Return clusters less strata."""
    held = [each.clusters for each in strata if each.clusters]
    return sum(held) - len(held)


def surveyed(
    statistic: str,
    asked: GroupedSampleParameters,
    where: Expression | None,
    joint: Dataset,
    columns: Sequence[Expression],
    *,
    column: str | None,
    made: Callable[[Group], Linear | None],
) -> Plan[Surveyed]:
    """Ask, and make one estimate per group by `made(group)`, which returns (value, z) or None where there is none."""
    of = sample(asked, where, joint)
    query, totals, strata, found = yield from estimated(of, columns, asked.by)
    return Surveyed(
        statistic=statistic,
        column=column,
        by=asked.by,
        estimates=tuple(_estimate(group, of, made) for group in found),
        left_out=left_out(query, totals, of.joint),
        parties=totals.parties,
        k=of.joint.k,
        weights=None if of.weight is None else of.weight.column,
        strata=of.strata,
        psu=of.psu,
        fpc=of.fpc,
        domain=asked.domain,
        df=degrees(strata),
    )


def _group(
    of: Sample,
    query: SumQuery,
    totals: Totals,
    strata: Sequence[Stratum],
    cells: Sequence[int],
    label: str,
    size: int,
) -> Group:
    form = shape(query, of.joint)
    sums = [Fraction(0)] * size
    errors = [Fraction(0)] * size
    covariance = [[Fraction(0)] * size for _ in range(size)]
    rows = units = 0
    for stratum, cell in zip(strata, cells, strict=True):
        if is_closed(totals, cell):
            continue
        units += totals.table[cell][0]
        values = [
            Fraction(number) / Fraction(2) ** scale
            for number, scale in zip(totals.table[cell][1:], form.scales, strict=True)
        ]
        count = int(values[-1])
        rows += count
        if not count:
            continue
        if stratum.factor is None:
            raise JobFailed(
                f"stratum {stratum.label!r} has one cluster, so that its variance cannot be estimated",
                hint="join it to another stratum, or leave it out by `where`",
            )
        own = values[:size]
        for i in range(size):
            bound = form.intervals[i]
            if not bound.integer:
                step = Fraction(1, 2) / Fraction(2) ** form.scales[i] + ROUNDING * Fraction(bound.bound)
                errors[i] += count * step
            sums[i] += own[i]
        at = size + (of.psu is not None)  # the number of clusters stands before the products
        for i in range(size):
            for j in range(i, size):
                part = stratum.factor * (values[at] - own[i] * own[j] / stratum.clusters)
                covariance[i][j] += part
                if i != j:
                    covariance[j][i] += part
                at += 1
    return Group(
        label=label,
        totals=tuple(sums),
        errors=tuple(errors),
        covariance=tuple(map(tuple, covariance)),
        rows=rows,
        units=units,
        withheld=max(totals.withheld[cell] for cell in cells),
        closed=all(is_closed(totals, cell) for cell in cells),
    )


def _estimate(group: Group, of: Sample, made: Callable[[Group], Linear | None]) -> Estimate:
    if group.closed:
        return closed_estimate(group.label, (None, None), group.withheld)
    found = made(group)
    value = None if found is None else float(found[0])
    interval: Interval = (value, value) if not group.withheld else (None, None)
    return Estimate(
        label=group.label,
        value=value,
        se=None if found is None else root(group.variance(found[1])),
        n=group.rows,
        units=group.units,
        interval=interval,
        withheld=group.withheld,
        encoding_error=0.0 if found is None else float(_error(group, found[1])),
        weight=None if of.weight is None else float(group.totals[0]),
    )


def _error(group: Group, z: Sequence[Fraction]) -> Fraction:
    """Return a bound on what rounding did to an estimate, to first order."""
    return sum((abs(a) * e for a, e in zip(z, group.errors, strict=True)), Fraction(0))


def _around(value: float, half: float) -> tuple[float, float]:
    return value - half, value + half
