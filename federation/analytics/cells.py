"""Reads opened totals cell by cell: what is closed, what was left out, and the interval of a count.

Nothing here knows a statistic. A number of a closed cell is never read, so it can never be mistaken for zero.
"""

from __future__ import annotations

import math
from fractions import Fraction

from federation.analytics.estimates import Estimate, Interval, RowsLeftOut, Suppressed
from federation.analytics.weights import Weight
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Refused
from federation.privacy.suppression import LEAST_CONTRIBUTORS, closes, most_left_out
from federation.query.bounds import intervals
from federation.query.expression import Const
from federation.query.query import SumQuery, Totals, Unit, counts, roots
from federation.query.round import least_units

UNBOUNDED: Interval = (None, None)


def is_closed(totals: Totals, cell: int) -> bool:
    """Return whether nothing of the cell is known: it was not opened, or every party withholds it."""
    return totals.closed[cell] or totals.withheld[cell] >= totals.parties


def require_an_open_cell(totals: Totals) -> None:
    """Raise Refused, rule "contributors", if every cell is closed: the statistic has no number to give."""
    if all(is_closed(totals, cell) for cell in range(len(totals.table))):
        raise Refused(
            f"fewer than {LEAST_CONTRIBUTORS} parties have enough units, so nothing was opened",
            rule="contributors",
            hint="widen `where`, use fewer or larger groups, or ask more parties",
        )


def left_out(query: SumQuery, totals: Totals, joint: Dataset) -> RowsLeftOut:
    """Return the counts of `totals` under their names; a closed count is None and stands in `suppressed`."""
    missing: list[tuple[str, str, int | None]] = []
    clipped: list[tuple[str, int | None]] = []
    non_finite: int | None = None
    suppressed: list[Suppressed] = []
    always_finite = all(found.integer for found in intervals(roots(query), joint).values())
    for index, name in enumerate(counts(query, joint)):
        withheld = totals.withheld_counts[index]
        closed = withheld >= totals.parties or (not joint.own_figures and closes(withheld, totals.parties))
        count = None if closed else totals.counts[index]
        match name.kind:
            case "missing":
                missing.append((name.column, name.reason, count))
                what = f"missing {name.column}: {name.reason}"
            case "clipped":
                clipped.append((name.column, count))
                what = f"clipped {name.column}"
            case _ if always_finite:
                non_finite = 0  # whole numbers are finite, so a closed count hides nothing
                continue
            case _:
                non_finite, what = count, "not a finite number"
        if closed or withheld:
            interval = count_interval(count, withheld, totals.parties, joint.k)
            suppressed.append(Suppressed(what=what, withheld=withheld, closed=closed, interval=interval))
    return RowsLeftOut(
        missing=tuple(missing), clipped=tuple(clipped), non_finite=non_finite, suppressed=tuple(suppressed)
    )


def closed_estimate(label: str, interval: Interval, withheld: int) -> Estimate:
    """Return the line of a cell of which nothing was opened."""
    return Estimate(label=label, value=None, n=None, units=None, interval=interval, withheld=withheld, closed=True)


def count_interval(count: int | None, withheld: int, parties: int, k: int) -> Interval:
    """Return where a count lies; None is closed, and then only a count that all parties withhold has an upper end."""
    if count is None:
        return (0, most_left_out(withheld, k)) if withheld >= parties else (0, None)
    return count, count + most_left_out(withheld, k)


def unit(joint: Dataset) -> Unit | None:
    """Return who is counted in a cell: the first identifier of the data set where k protects units, else each row.

    k is the least number of units, so with k > 1 several rows of one person may not open a cell. Data that is public
    already (k = 1) has nobody to protect that way and saves the grouping.
    """
    found = [column.name for column in joint.columns if column.kind is Kind.IDENTIFIER]
    return Unit(found[0]) if found and joint.k > 1 else None


def rows_left_out(query: SumQuery, totals: Totals, cell: int, joint: Dataset) -> int | None:
    """Return the most rows of the cell that parties withhold.

    None where there is no such number: a withheld unit may have many rows, and a cell that two units dominate many
    units.
    """
    dominated = joint.dominance and not all(isinstance(term, Const) for term in query.terms)
    if totals.withheld[cell] and (query.per is not None or dominated):
        return None
    return most_left_out(totals.withheld[cell], least_units(query, joint.k))


def plain(between: tuple[Fraction | None, Fraction | None] | None) -> Interval:
    """Return an exact interval as the nearest binary64 numbers; None, for an end or for all of it, is "no bound"."""
    if between is None:
        return UNBOUNDED
    return _end(between[0]), _end(between[1])


def binary64(value: Fraction) -> float:
    """Return the nearest binary64 number. Raises JobFailed where there is none."""
    try:
        return float(value)
    except OverflowError:
        raise JobFailed(
            "the result is larger than any binary64 number", hint="the declared range of the column is very wide"
        ) from None


def _end(value: Fraction | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None  # a bound that binary64 cannot write is no bound


def counted(
    query: SumQuery,
    totals: Totals,
    cell: int,
    label: str,
    joint: Dataset,
    *,
    scale: int = 0,
    weight: Weight | None = None,
) -> Estimate:
    """Return the number of rows of a cell, or the sum of their weights, as its estimate.

    Of the query's terms the last is the weight if there is one; the last of the others is a sum of ones, each 2^scale,
    and without others column 0 counts rows.
    """
    withheld = totals.withheld[cell]
    further = rows_left_out(query, totals, cell, joint)
    most = weight.most(further) if weight else further
    if is_closed(totals, cell):
        return closed_estimate(label, (0, _above(most) if withheld >= totals.parties else None), withheld)
    units, *sums = totals.table[cell]
    opened = sums.pop() if weight else 0
    n = sums[-1] >> scale if sums else units
    if weight is None:
        high = None if further is None else n + further
        return Estimate(label=label, value=n, n=n, units=units, interval=(n, high), withheld=withheld)
    value = weight.number(opened)
    return Estimate(
        label=label,
        value=value,
        n=n,
        units=units,
        weight=value,
        interval=(value, value if not further else _above(None if most is None else weight.total(opened) + most)),
        withheld=withheld,
        encoding_error=weight.error(n),
    )


def rows_between(
    query: SumQuery, totals: Totals, cell: int, joint: Dataset, weight: Weight | None = None
) -> tuple[int, int | None]:
    """Return the least and the most rows of a cell whose query counts rows in its last column; None for no bound.

    With weights the last column sums them, and both numbers are in the unit in which it was opened.
    """
    withheld = totals.withheld[cell]
    further = rows_left_out(query, totals, cell, joint)
    if weight is not None:
        further = weight.most_opened(further)
    if is_closed(totals, cell):
        return 0, further if withheld >= totals.parties else None
    rows = totals.table[cell][-1]
    return rows, None if further is None else rows + further


def _above(value: Fraction | int | None) -> int | float | None:
    """An upper end as a number that is not below it."""
    if value is None or isinstance(value, int):
        return value
    if value.denominator == 1:
        return value.numerator
    found = _end(value)
    return math.nextafter(found, math.inf) if found is not None and found < value else found
