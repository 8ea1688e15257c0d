"""What most results share: one `Estimate` per cell, what was missing, and what stayed closed.

Numbers of a closed cell are None, never zero. A cell that all parties withhold looks like a closed one, so that empty
and small look alike. Around an opened cell that some parties withheld, `interval` holds the truth of all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from federation.analytics.groups import SEPARATOR, By, is_named, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Table
from federation.errors import Misuse, did_you_mean

Number: TypeAlias = int | float
Interval: TypeAlias = tuple[Number | None, Number | None]


class Labelled(Protocol):
    """What has a label."""

    @property
    def label(self) -> str: ...


C = TypeVar("C", bound=Labelled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One cell of a result.

    Attributes:
        label: the category, or "all rows".
        value: the estimate; None where the cell is closed, or has too few rows for it to exist.
        se: its standard error, or None where there is none.
        n: rows that it rests on; None where the cell is closed.
        units: distinct units that they belong to; equal to `n` where each row is a unit of its own.
        interval: where the truth lies given what `withheld` parties keep; (value, value) if none does, None for "no
            bound".
        withheld: how many parties withhold this cell because they have fewer than k units in it.
        closed: True if nothing of the cell was opened.
        encoding_error: bound on what rounding did to `value`: each row to binary64 (4 ulp) and to fixed point; 0 if
            exact.
        weight: sum of the rows' weights; None where the question has none.
    """

    label: str
    value: Number | None
    se: float | None = None
    n: int | None
    units: int | None
    interval: Interval
    withheld: int = 0
    closed: bool = False
    encoding_error: float = 0.0
    weight: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """A number that is not, or not wholly, in the result: a cell, or a count of rows left out.

    Attributes:
        what: the cell's label, or words such as "missing age: refused".
        withheld: parties that withhold it; with `closed` nothing of it was opened.
        interval: where the truth lies; None for "no bound".
    """

    what: str
    withheld: int
    closed: bool
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsLeftOut:
    """How many rows a query did not use, per reason; None where the count is closed.

    Attributes:
        missing: (column, reason, count).
        clipped: (column, count) of values moved to the nearest end of their declared range; those rows are used.
        non_finite: rows whose value is not a number.
    """

    missing: tuple[tuple[str, str, int | None], ...]
    clipped: tuple[tuple[str, int | None], ...]
    non_finite: int | None
    suppressed: tuple[Suppressed, ...]


class LeavesOut:
    """What every result says of the rows that it does not stand for, from its `left_out`."""

    __slots__ = ()

    left_out: RowsLeftOut

    @property
    def n_missing(self) -> tuple[tuple[str, str, int | None], ...]:
        """(column, reason, count) of rows left out; None where the count is closed."""
        return self.left_out.missing

    @property
    def clipped(self) -> tuple[tuple[str, int | None], ...]:
        """(column, count) of values moved into the declared range; None where the count is closed."""
        return self.left_out.clipped

    @property
    def non_finite(self) -> int | None:
        """Rows left out because a value is not a finite number; None where the count is closed."""
        return self.left_out.non_finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates(LeavesOut, Result):
    """A result with one estimate, or with one per category of `by`.

    Attributes:
        statistic: its name.
        column: what was computed, None for rows.
        by: the grouping column or columns, None for one estimate over all rows.
        left_out: rows that were not used, or whose value was moved, per reason.
        parties: how many took part.
        k: greatest of the parties' least units per cell.
        weights: the column of weights, None for none.
    """

    statistic: str
    column: str | None
    by: By
    estimates: tuple[Estimate, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed, or that a party withholds, with the interval that it leaves."""
        return (*suppressed_cells(self.estimates), *self.left_out.suppressed)

    @property
    def only(self) -> Estimate:
        """The one estimate of a result without `by`."""
        if self.by is not None:
            what = f"this {self.statistic} has one value per {written(self.by)!r}"
            raise Misuse(what, hint="index it with a category")
        return self.estimates[0]

    @property
    def value(self) -> Number | None:
        """The estimate of a result without `by`."""
        return self.only.value

    @property
    def se(self) -> float | None:
        """The standard error of a result without `by`; None where there is none."""
        return self.only.se

    @property
    def interval(self) -> Interval:
        """Where the truth lies given what parties withhold, for a result without `by`."""
        return self.only.interval

    @property
    def n(self) -> int:
        """Rows that the opened cells rest on."""
        return sum(estimate.n or 0 for estimate in self.estimates)

    def __getitem__(self, label: str | tuple[str, ...]) -> Estimate:
        """Return the cell of a category, or of one category per grouping column."""
        return found(self.estimates, label, "cell")

    def table(self) -> Table:
        """Return one row per cell: label (with `by`), n, weight (with weights), the estimate, its interval."""
        extra = () if self.weights is None else ("weight",)
        rows: list[tuple[Shown, ...]] = []
        for cell in self.estimates:
            label = () if self.by is None else parts(cell.label)
            weight = () if self.weights is None else (cell.weight,)
            rows.append((*label, cell.n, *weight, *self.shown(cell), *cell.interval, cell.withheld))
        columns = (*grouping(self.by), "n", *extra, *self.headings(), "low", "high", "withheld")
        return Table(columns=columns, rows=tuple(rows))

    def headings(self) -> tuple[str, ...]:
        """Return the names of what `shown` returns."""
        return (self.statistic, "se")

    def shown(self, cell: Estimate) -> tuple[Shown, ...]:
        """Return the numbers of one cell that a table shows."""
        return (cell.value, cell.se)

    def picture(self) -> Picture | None:
        """Return one point per category with one standard error, or None without `by`."""
        if self.by is None:
            return None
        what = self.statistic if self.column is None else f"{self.statistic} of {self.column}"
        errors = tuple(cell.se for cell in self.estimates)
        return Picture(
            drawn=Drawn.BARS if errors.count(None) == len(errors) else Drawn.POINTS,
            title=f"{what} by {written(self.by)}",
            x_label=written(self.by),
            y_label=what,
            x=tuple(cell.label for cell in self.estimates),
            y=tuple(cell.value for cell in self.estimates),
            error=() if errors.count(None) == len(errors) else errors,
        )


def found(cells: Iterable[C], key: str | tuple[str, ...], what: str = "group") -> C:
    """Return the cell with this label. Raises Misuse, with the nearest label, where there is none."""
    every = list(cells)
    for cell in every:
        if is_named(cell.label, key):
            return cell
    wanted = key if isinstance(key, str) else SEPARATOR.join(map(str, key))
    raise Misuse(f"no {what} {wanted!r}", hint=did_you_mean(wanted, (cell.label for cell in every)))


def suppressed_cells(estimates: Sequence[Estimate]) -> tuple[Suppressed, ...]:
    """Return the cells that are closed or that a party withholds."""
    return tuple(
        Suppressed(what=cell.label, withheld=cell.withheld, closed=cell.closed, interval=cell.interval)
        for cell in estimates
        if cell.closed or cell.withheld
    )
