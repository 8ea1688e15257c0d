"""What an operator should know of its own data before publishing them: counts for its own screen, which never leave.

Asks the engine what a job would ask, column by column, so that a value outside its list or range is found at home and
not by the first researcher. Tells counts and columns, never a value.
"""

from __future__ import annotations

from clients.jurisdiction.engine import Engine
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import FederationError, Refused
from federation.query.expression import Col
from federation.query.query import Categories, SumQuery, counts


def surveyed(engine: Engine, own: Dataset) -> tuple[str, ...]:
    """Return one line for each thing in the data or their description that jobs will trip over; () if there is none."""
    lines = []
    if own.k < 2 and not own.own_figures:
        lines.append("k = 1 and no publish_own_figures: rule minimum_units refuses every job; set k of at least 2")
    for column in own.columns:
        if column.kind is not Kind.IDENTIFIER:
            lines += _of(engine, own, column)
    return tuple(lines)


def _of(engine: Engine, own: Dataset, column: Column) -> list[str]:
    if column.kind is Kind.CATEGORY:
        query = SumQuery(dataset=own.name, group_by=(Categories(column.name),))
    else:
        query = SumQuery(dataset=own.name, terms=(Col(column.name),))
    try:
        (answer,) = engine.sums((query,), own)
    except Refused as fault:
        return [f"{fault.message}; every job that uses this column will be refused"]
    except FederationError as fault:
        return [f"column {column.name!r}: {fault.message}"]
    lines = []
    for name, count in zip(counts(query, own), answer.counts, strict=True):
        if not count:
            continue
        match name.kind:
            case "clipped":
                lines.append(f"column {column.name!r}: {count} values outside the declared range will be moved into it")
            case "non-finite":
                lines.append(f"column {column.name!r}: {count} values are not finite numbers and will be left out")
    if not any(row[0] for row in answer.table):
        lines.append(f"column {column.name!r}: no row has a value")
    return lines
