"""Rows by the levels of two columns, with margins and shares, per group if asked; one round, exact.

Margins add up what was opened, and are not asked for themselves: a margin less its cells would tell a withheld one.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.cells import counted, left_out, require_an_open_cell
from federation.analytics.contingency import drawn, question
from federation.analytics.estimates import (
    Estimate,
    Interval,
    LeavesOut,
    Number,
    RowsLeftOut,
    Suppressed,
    found,
    suppressed_cells,
)
from federation.analytics.groups import By, labels, levels, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.plan import Plan
from federation.analytics.statistic import Picture, Result, Shown, Statistic, Table
from federation.analytics.weights import weight_of
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.query import shape

Shares = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrosstabParameters:
    """Which table.

    Attributes:
        row: a category column, or one of few whole numbers.
        column: another one.
        by: further columns, for one table per category or combination.
        weights: a column of weights, which are summed in place of counting rows; None for none.
        dropna: False for a level of rows without a value, in every column.
    """

    row: str
    column: str
    by: By = None
    weights: str | None = None
    dropna: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """One table.

    Attributes:
        label: its category, or "all rows".
        cells: row by row.
    """

    label: str
    down: tuple[str, ...]
    across: tuple[str, ...]
    cells: tuple[tuple[Estimate, ...], ...]

    @property
    def value(self) -> tuple[tuple[Number | None, ...], ...]:
        """The counts, row by row; None where a cell is closed."""
        return tuple(tuple(cell.value for cell in line) for line in self.cells)

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(cell.n or 0 for line in self.cells for cell in line)

    @property
    def row_totals(self) -> tuple[Number | None, ...]:
        """Sums of the rows; None where a cell is closed."""
        return tuple(_sum(line) for line in self.value)

    @property
    def column_totals(self) -> tuple[Number | None, ...]:
        """Sums of the columns; None where a cell is closed."""
        return tuple(_sum(line) for line in zip(*self.value, strict=True))

    @property
    def total(self) -> Number | None:
        """Sum of all cells; None where one is closed."""
        return _sum(self.row_totals)

    @property
    def total_interval(self) -> Interval:
        """Where the sum of all cells over all rows lies."""
        ends = [cell.interval for line in self.cells for cell in line]
        return _sum([low for low, _ in ends]), _sum([high for _, high in ends])

    @property
    def row_shares(self) -> Shares:
        """Each cell's share of its row."""
        return tuple(
            tuple(_share(n, whole) for n in line) for line, whole in zip(self.value, self.row_totals, strict=True)
        )

    @property
    def column_shares(self) -> Shares:
        """Each cell's share of its column."""
        return tuple(
            tuple(_share(n, whole) for n, whole in zip(line, self.column_totals, strict=True)) for line in self.value
        )

    @property
    def shares(self) -> Shares:
        """Each cell's share of all."""
        return tuple(tuple(_share(n, self.total) for n in line) for line in self.value)

    def __getitem__(self, pair: tuple[str, str]) -> Estimate:
        """Return the cell of two levels."""
        row, column = pair
        for line, name in zip(self.cells, self.down, strict=True):
            if name == row and column in self.across:
                return line[self.across.index(column)]
        raise Misuse(
            f"no cell {row!r}, {column!r}", hint=f"rows: {', '.join(self.down)}; columns: {', '.join(self.across)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrosstabResult(LeavesOut, Result):
    """Tables of counts, per group if asked.

    Attributes:
        groups: one per category of `by`, or one.
        left_out: rows that were not used, per reason.
    """

    row: str
    column: str
    by: By
    groups: tuple[Crossed, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Crossed:
        """The one table of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one table per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[tuple[Number | None, ...], ...]:
        """The counts of a result without `by`, row by row; None where a cell is closed."""
        return self.only.value

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.n for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every cell that is closed, or that a party withholds, with the interval that it leaves."""
        cells = tuple(cell for group in self.groups for line in group.cells for cell in line)
        return (*suppressed_cells(cells), *self.left_out.suppressed)

    def __getitem__(self, key: str | tuple[str, ...]) -> Crossed | Estimate:
        """Return a cell by its two levels, or with `by` a table by its category."""
        if self.by is None and isinstance(key, tuple) and len(key) == 2:
            return self.only[key[0], key[1]]
        return found(self.groups, key)

    def table(self) -> Table:
        """Return the table as people write it, with its sums; one below the other with `by`."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            lines = zip(group.down, group.value, group.row_totals, strict=True)
            rows += [(*label, name, *line, whole) for name, line, whole in lines]
            rows.append((*label, "total", *group.column_totals, group.total))
        head = f"{self.row} / {self.column}"
        return Table(columns=(*grouping(self.by), head, *self.groups[0].across, "total"), rows=tuple(rows))

    def picture(self) -> Picture | None:
        """Return the counts as colours; None with `by`."""
        if self.by is not None:
            return None
        flat = tuple(value for line in self.value for value in line)
        levels_of = (self.only.down, self.only.across)
        return drawn(*levels_of, self.row, self.column, f"rows by {self.row} and {self.column}", flat)


class Crosstab(Statistic[CrosstabParameters, CrosstabResult]):
    """Rows by the levels of two columns, per category if asked."""

    name = "crosstab"
    version = 1
    Parameters = CrosstabParameters

    def rounds(self, parameters: CrosstabParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: CrosstabParameters, where: Expression | None, joint: Dataset) -> Plan[CrosstabResult]:
        weight = weight_of(parameters.weights, joint)
        dropna = parameters.dropna
        query = question(parameters.row, parameters.column, parameters.by, where, joint, weight, dropna=dropna)
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        down, across = (levels(name, joint, dropna=dropna) for name in (parameters.row, parameters.column))
        groups = []
        for place, label in enumerate(labels(parameters.by, joint, dropna=dropna)):
            start, before = place * len(down) * len(across), "" if parameters.by is None else f"{label}: "
            cells = [
                counted(query, totals, start + i * len(across) + j, f"{before}{a}, {b}", joint, weight=weight)
                for i, a in enumerate(down)
                for j, b in enumerate(across)
            ]
            lines = tuple(tuple(cells[i * len(across) : (i + 1) * len(across)]) for i in range(len(down)))
            groups.append(Crossed(label=label, down=down, across=across, cells=lines))
        return CrosstabResult(
            row=parameters.row,
            column=parameters.column,
            by=parameters.by,
            groups=tuple(groups),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            weights=parameters.weights,
        )


def _sum(values: tuple[Number | None, ...] | list[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _share(part: Number | None, whole: Number | None) -> float | None:
    return None if part is None or not whole else part / whole
