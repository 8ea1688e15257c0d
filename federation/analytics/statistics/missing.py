"""Rows without a value, column by column and by the reason that the catalogue declares; one round, exact.

Reasons are counted over all rows. Per group of `by` the rows without a value are counted together, since a reason is
no column to group by.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.cells import counted, left_out, require_an_open_cell, unit
from federation.analytics.estimates import Estimate, Number, Suppressed, suppressed_cells
from federation.analytics.groups import By, axes, labels, parts
from federation.analytics.groups import columns as grouping
from federation.analytics.plan import Plan
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.analytics.weights import among, weight_of
from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query.expression import Both, Col, Const, Expression, Missing
from federation.query.query import Categories, SumQuery, shape


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingParameters:
    """Which columns.

    Attributes:
        columns: columns of numbers or categories; None is all of them.
        by: a category column, or several, to count the rows without a value per category or combination.
        weights: a column of weights, which are summed in place of counting rows without a value; reasons count rows.
    """

    columns: tuple[str, ...] | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Rows of one column without a value for one reason; `n` is None where the count is closed."""

    column: str
    reason: str
    n: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingGroup:
    """Rows of one column without a value, and all rows, in one group; of weights their sums."""

    column: str
    missing: Estimate
    rows: Estimate

    @property
    def share(self) -> float | None:
        """Share of the group's rows that lack a value; None where one of the two is closed."""
        part, whole = self.missing.value, self.rows.value
        return None if part is None or not whole else part / whole


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingResult(Result):
    """What is missing.

    Attributes:
        reasons: one per column and declared reason; "null" is a value that is not there at all.
        non_finite_of: per column of real numbers, rows whose value is not a finite number; None where it is closed.
        groups: one per column and group.
        further: the counts by reason that are closed, or that a party withholds.
    """

    by: By
    reasons: tuple[Reason, ...]
    non_finite_of: tuple[tuple[str, int | None], ...]
    groups: tuple[MissingGroup, ...]
    further: tuple[Suppressed, ...]
    parties: int
    k: int

    @property
    def n_missing(self) -> tuple[tuple[str, str, int | None], ...]:
        """(column, reason, count); None where the count is closed."""
        return tuple((each.column, each.reason, each.n) for each in self.reasons)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every count that is closed, or that a party withholds, with the interval that it leaves."""
        cells = tuple(cell for group in self.groups for cell in (group.missing, group.rows))
        return (*self.further, *dict.fromkeys(suppressed_cells(cells)))

    def __getitem__(self, key: str | tuple[str, ...]) -> Number | None:
        """Return the rows of a column without a value, or of (column, reason)."""
        column, *reason = (key,) if isinstance(key, str) else key
        found = [each for each in self.reasons if each.column == column and reason in ([], [each.reason])]
        if not found:
            known = (each.column for each in self.reasons)
            raise Misuse(f"nothing is known of {column!r}", hint=did_you_mean(column, known))
        counts = [each.n for each in found if each.n is not None]
        return sum(counts) if len(counts) == len(found) else None

    def table(self) -> Table:
        """Return one row per column and reason, or with `by` per column and group."""
        rows: list[tuple[Shown, ...]] = []
        if self.by is None:
            whole = {group.column: group.rows.n for group in self.groups}
            for each in self.reasons:
                of = whole[each.column]
                rows.append((each.column, each.reason, each.n, None if each.n is None or not of else each.n / of))
            return Table(columns=("column", "reason", "n", "share"), rows=tuple(rows))
        for group in self.groups:
            cell = group.missing
            rows.append((group.column, *parts(cell.label), cell.value, group.rows.value, group.share, *cell.interval))
        columns = ("column", *grouping(self.by), "missing", "rows", "share", "low", "high")
        return Table(columns=columns, rows=tuple(rows))

    def picture(self) -> Picture | None:
        """Return the share of each column's rows that lack a value; None with `by`."""
        if self.by is not None:
            return None
        return Picture(
            drawn=Drawn.BARS,
            title="rows without a value",
            x_label="column",
            y_label="share of rows",
            x=tuple(group.column for group in self.groups),
            y=tuple(group.share for group in self.groups),
        )


class MissingStatistic(Statistic[MissingParameters, MissingResult]):
    """Rows without a value by reason, and per category if asked."""

    name = "missing"
    version = 1
    Parameters = MissingParameters

    def rounds(self, parameters: MissingParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: MissingParameters, where: Expression | None, joint: Dataset) -> Plan[MissingResult]:
        names = _columns(parameters, joint)
        weight, per = weight_of(parameters.weights, joint), unit(joint)
        terms: tuple[Expression, ...] = () if per is None else (Const(1),)
        every = SumQuery(
            dataset=joint.name,
            where=among(weight, where),
            per=per,
            group_by=axes(parameters.by, joint),
            terms=terms if weight is None else (*terms, weight.of),
        )
        lacking = [_lacking(every, name) for name in names]
        reasons = [_reasons(name, where, joint) for name in names]
        for query in (*lacking, *reasons):
            shape(query, joint)  # what has no meaning fails here, before anything is asked
        totals = yield (every, *lacking, *reasons)
        require_an_open_cell(totals[0])
        groups, found, non_finite, further = [], [], [], []
        for place, name in enumerate(names):
            without, by_reason = totals[1 + place], totals[1 + len(names) + place]
            rows = left_out(reasons[place], by_reason, joint)
            found += [Reason(column=name, reason=reason, n=n) for column, reason, n in rows.missing if column == name]
            further += [line for line in rows.suppressed if not line.what.startswith("clipped ")]
            if joint.column(name).kind is Kind.REAL:
                non_finite.append((name, rows.non_finite))
            for cell, label in enumerate(labels(parameters.by, joint)):
                groups.append(
                    MissingGroup(
                        column=name,
                        missing=counted(lacking[place], without, cell, label, joint, weight=weight),
                        rows=counted(every, totals[0], cell, label, joint, weight=weight),
                    )
                )
        return MissingResult(
            by=parameters.by,
            reasons=tuple(found),
            non_finite_of=tuple(non_finite),
            groups=tuple(groups),
            further=tuple(dict.fromkeys(further)),
            parties=totals[0].parties,
            k=joint.k,
        )


def _columns(parameters: MissingParameters, joint: Dataset) -> tuple[str, ...]:
    names = parameters.columns
    if names is None:
        names = tuple(column.name for column in joint.columns if column.kind is not Kind.IDENTIFIER)
    for name in names:
        if joint.column(name).kind is Kind.IDENTIFIER:
            raise Misuse(f"column {name!r} says who is counted", hint="count columns that describe")
    if not names:
        raise Misuse(f"data set {joint.name!r} has no column that could lack a value")
    return tuple(dict.fromkeys(names))


def _lacking(every: SumQuery, name: str) -> SumQuery:
    """The rows of `every` that lack a value of `name`."""
    of = Missing(Col(name))
    where = of if every.where is None else Both(every.where, of)
    return SumQuery(dataset=every.dataset, where=where, per=every.per, group_by=every.group_by, terms=every.terms)


def _reasons(name: str, where: Expression | None, joint: Dataset) -> SumQuery:
    """A query that uses the column and opens one cell, so that its counts tell the reasons."""
    is_category = joint.column(name).kind is Kind.CATEGORY
    return SumQuery(
        dataset=joint.name,
        where=where,
        per=unit(joint),
        group_by=(Categories(name),) if is_category else (),
        terms=() if is_category else (Col(name) ** 0,),
    )
