"""Summary of numeric columns: rows, missing, mean, standard deviation and three quartiles, asked together.

The plans of `std` and `quantile` run side by side, so a round of the summary is one round of all columns. There is no
least and no greatest value: each would be one unit's own figure. The declared range stands in their place, which the
operators published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from federation.analytics.estimates import Estimate, Number, RowsLeftOut, Suppressed
from federation.analytics.groups import By, is_named, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.moments import ColumnParameters
from federation.analytics.plan import Done, Failure, Outcome, Plan, together
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Result, Shown, Statistic, Table
from federation.analytics.statistics.mean import Mean, MeanResult
from federation.analytics.statistics.quantile import Quantile, QuantileParameters, QuantileResult
from federation.analytics.statistics.std import Std, StdResult
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Misuse, Refused, did_you_mean
from federation.query.expression import Expression

QUARTILES = (0.25, 0.5, 0.75)
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeParameters:
    """What to summarise.

    Attributes:
        columns: columns of numbers; None is all of them.
        by: a category column, or several, for one summary per category or combination.
        weights: a column of weights: a row of weight w counts as w rows; None for none.
    """

    columns: tuple[str, ...] | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The summary of one column in one group; what is None is closed, or has too few rows to exist.

    Attributes:
        n: opened rows with a value.
        mean: with standard error and interval.
        std: sample standard deviation.
        quartiles: p25, p50 and p75.
    """

    column: str
    label: str
    n: int | None
    mean: Estimate | None
    std: Estimate | None
    quartiles: tuple[Estimate, ...]

    @property
    def p25(self) -> Number | None:
        """First quartile."""
        return self.quartiles[0].value if self.quartiles else None

    @property
    def p50(self) -> Number | None:
        """Median."""
        return self.quartiles[1].value if self.quartiles else None

    @property
    def p75(self) -> Number | None:
        """Third quartile."""
        return self.quartiles[2].value if self.quartiles else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeResult(Result):
    """Summaries, column by column and group by group.

    Attributes:
        cells: one per column and group.
        missing: per column, rows left out for the column; None where a count is closed.
        ranges: per column, the least and greatest declared values.
        failed: (column, why) of what has no number.
    """

    by: By
    cells: tuple[Described, ...]
    missing: tuple[tuple[str, int | None], ...]
    ranges: tuple[tuple[str, Number, Number], ...]
    failed: tuple[tuple[str, str], ...]
    left_out: tuple[RowsLeftOut, ...]
    wide: tuple[Suppressed, ...]
    parties: int
    k: int
    weights: str | None = None

    @property
    def n_missing(self) -> tuple[tuple[str, str, int | None], ...]:
        """(column, reason, count) of rows left out, column by column; None where the count is closed."""
        return tuple(dict.fromkeys(each for rows in self.left_out for each in rows.missing))

    @property
    def clipped(self) -> tuple[tuple[str, int | None], ...]:
        """(column, count) of values moved into the declared range; None where the count is closed."""
        return tuple(dict.fromkeys(each for rows in self.left_out for each in rows.clipped))

    @property
    def non_finite(self) -> int | None:
        """Values, over all columns, that are not finite numbers; None where a count is closed."""
        return _sum([rows.non_finite for rows in self.left_out])

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed, or that withheld cells leave uncertain, with its interval."""
        return (*self.wide, *dict.fromkeys(each for rows in self.left_out for each in rows.suppressed))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        why = "declared low and high are published ranges: a least or greatest value would be somebody's own figure"
        return (why, *(f"{column}: {reason}" for column, reason in self.failed))

    def __getitem__(self, key: str | tuple[str, ...]) -> Described:
        """Return the summary of a column, or with `by` of (column, category), one category per grouping column."""
        column, *rest = (key,) if isinstance(key, str) else key
        wanted = rest[0] if len(rest) == 1 else tuple(rest)
        found = [each for each in self.cells if each.column == column and (not rest or is_named(each.label, wanted))]
        if not found:
            raise Misuse(f"no summary of {key!r}", hint=did_you_mean(column, (cell.column for cell in self.cells)))
        if len(found) > 1:
            hint = f"index with (column, {written(self.by)})"
            raise Misuse(f"{column!r} has one summary per {written(self.by)!r}", hint=hint)
        return found[0]

    def table(self) -> Table:
        """Return one row per column and group."""
        missing = dict(self.missing)
        ranges = {column: (low, high) for column, low, high in self.ranges}
        head = ("column", *grouping(self.by))
        rows: list[tuple[Shown, ...]] = []
        for cell in self.cells:
            label: tuple[Shown, ...] = (cell.column,) if self.by is None else (cell.column, *parts(cell.label))
            counts: tuple[Shown, ...] = (cell.n, missing[cell.column])
            mean = cell.mean.value if cell.mean else None
            std = cell.std.value if cell.std else None
            rows.append((*label, *counts, mean, std, cell.p25, cell.p50, cell.p75, *ranges[cell.column]))
        columns = (*head, "n", "n_missing", "mean", "std", "p25", "p50", "p75", "declared low", "declared high")
        return Table(columns=columns, rows=tuple(rows))

    def picture(self) -> None:
        """Return nothing: columns have different units."""
        return


class Describe(Statistic[DescribeParameters, DescribeResult]):
    """Summary of numeric columns, per category if asked."""

    name = "describe"
    version = 1
    Parameters = DescribeParameters

    def rounds(self, parameters: DescribeParameters, joint: Dataset) -> int:
        return max(Quantile().rounds(_quartiles(each, parameters), joint) for each in _columns(parameters, joint))

    def later_numbers(self, parameters: DescribeParameters, joint: Dataset) -> int:
        names = _columns(parameters, joint)
        return sum(Quantile().later_numbers(_quartiles(each, parameters), joint) for each in names)

    def plan(self, parameters: DescribeParameters, where: Expression | None, joint: Dataset) -> Plan[DescribeResult]:
        names = _columns(parameters, joint)
        plans: list[Plan[Any]] = []
        for name in names:
            of = ColumnParameters(column=name, by=parameters.by, weights=parameters.weights)
            plans += [
                Mean().plan(of, where, joint),
                Std().plan(of, where, joint),
                Quantile().plan(_quartiles(name, parameters), where, joint),
            ]
        outcomes = yield from together(plans)
        parts = [_part(name, outcomes[3 * i : 3 * i + 3]) for i, name in enumerate(names)]
        whole = [part for part in parts if part.opened]
        if not whole:
            raise _error(outcomes)
        return DescribeResult(
            by=parameters.by,
            cells=tuple(cell for part in parts for cell in part.cells()),
            missing=tuple((part.column, part.missing()) for part in parts),
            ranges=tuple((name, _end(name, joint, low=True), _end(name, joint, low=False)) for name in names),
            failed=tuple((part.column, why) for part in parts for why in part.failed),
            left_out=tuple(part.opened[0].left_out for part in whole),
            wide=tuple(line for part in parts for line in part.wide()),
            parties=whole[0].opened[0].parties,
            k=joint.k,
            weights=parameters.weights,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one column came to; a statistic that failed is None."""

    column: str
    mean: MeanResult | None
    std: StdResult | None
    quartiles: QuantileResult | None
    failed: tuple[str, ...]

    @property
    def opened(self) -> tuple[MeanResult | StdResult | QuantileResult, ...]:
        return tuple(each for each in (self.mean, self.std, self.quartiles) if each is not None)

    def cells(self) -> list[Described]:
        means = () if self.mean is None else self.mean.estimates
        spreads = () if self.std is None else self.std.estimates
        groups = () if self.quartiles is None else self.quartiles.groups
        count = max(len(means), len(spreads), len(groups), 1)
        found = []
        for i in range(count):
            mean = means[i] if means else None
            group = groups[i] if groups else None
            first = mean or group
            found.append(
                Described(
                    column=self.column,
                    label="" if first is None else first.label,
                    n=None if first is None else first.n,
                    mean=mean,
                    std=spreads[i] if spreads else None,
                    quartiles=group.estimates if group else (),
                )
            )
        return found

    def missing(self) -> int | None:
        if not self.opened:
            return None
        rows = self.opened[0].left_out
        return _sum([count for column, _, count in rows.missing if column == self.column] + [rows.non_finite])

    def wide(self) -> list[Suppressed]:
        found = []
        for what, result in (("mean", self.mean), ("std", self.std)):
            for cell in () if result is None else result.estimates:
                if cell.closed or cell.withheld:
                    line = Suppressed(what="", withheld=cell.withheld, closed=cell.closed, interval=cell.interval)
                    found.append(replace(line, what=f"{what}, {cell.label}"))
        found += () if self.quartiles is None else self.quartiles.wide
        return [replace(line, what=f"{self.column}: {line.what}") for line in found]


def _columns(parameters: DescribeParameters, joint: Dataset) -> tuple[str, ...]:
    names = parameters.columns
    if names is None:
        names = tuple(column.name for column in joint.columns if column.kind in (Kind.INTEGER, Kind.REAL))
    if not names:
        raise Misuse(f"data set {joint.name!r} has no column of numbers", hint="count(by=...) counts categories")
    for name in names:
        numeric(name, joint)
    return tuple(dict.fromkeys(names))


def _quartiles(column: str, parameters: DescribeParameters) -> QuantileParameters:
    return QuantileParameters(column=column, q=QUARTILES, by=parameters.by, weights=parameters.weights)


def _part(column: str, outcomes: Sequence[Outcome]) -> _Part:
    mean, std, quartiles = (outcome.result if isinstance(outcome, Done) else None for outcome in outcomes)
    failed = (outcome.message for outcome in outcomes if isinstance(outcome, Failure))
    return _Part(column=column, mean=mean, std=std, quartiles=quartiles, failed=tuple(dict.fromkeys(failed)))


def _error(outcomes: Sequence[Outcome]) -> Exception:
    """The first failure, where nothing came of any column."""
    first = next(outcome for outcome in outcomes if isinstance(outcome, Failure))
    match first.code:
        case Refused.code:
            return Refused(first.message, rule=first.rule, hint=first.hint)
        case Misuse.code:
            return Misuse(first.message, hint=first.hint)
        case _:
            return JobFailed(first.message, hint=first.hint)


def _end(name: str, joint: Dataset, *, low: bool) -> Number:
    column = joint.column(name)
    return (column.low if low else column.high) or 0


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
