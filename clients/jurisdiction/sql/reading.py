"""Rows themselves as statements, for what learns at home; nothing of their answers leaves the jurisdiction.

Two statements over the relation `rows`, in its order: which rows are asked for and whose they are, and the values of
those. They give values as they stand: `engines._read` enforces ranges and leaves out what is missing. Refused: a query
without a meaning, and an own range that the joint description does not hold.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from clients.jurisdiction.sql.arithmetic import Arithmetic, Mode
from clients.jurisdiction.sql.layers import Layers, as_single, column, named, reason, value
from clients.jurisdiction.sql.places import units
from clients.jurisdiction.sql.rounds import contained
from federation.domain.catalogue import Column, Dataset, Kind
from federation.query.expression import columns
from federation.query.row_query import RowQuery, check

SELECTED: Final = "selected"
UNIT: Final = "unit"
_EXACT: Final = 2**24  # float32 holds every integer up to here, and nothing that is larger becomes smaller


class Reading:
    """A `RowQuery` over one party's rows.

    Args:
        query: any.
        joint: `catalogue.agreed` of all parties.
        own: this party's publication.

    Raises:
        Misuse: a query without a meaning, or an own range that is not inside the joint one.
    """

    def __init__(self, query: RowQuery, joint: Dataset, own: Dataset) -> None:
        check(query, joint)
        conditions = () if query.where is None else (query.where,)
        contained((*query.columns, *columns(conditions)), joint, own)
        index = {item.name: place for place, item in enumerate(own.columns)}
        self._own, self._layers = own, Layers()
        self._asked = tuple((index[name], own.columns[index[name]]) for name in query.columns)
        arithmetic = Arithmetic(self._layers, own, joint)
        arithmetic.add(Mode.WHERE, conditions)
        self._selected: str | None = None
        for condition in conditions:
            found = arithmetic.part(Mode.WHERE, condition).number
            self._selected = self._layers.let(exp.Coalesce(this=found, expressions=[exp.false()]))

    @property
    def asked(self) -> tuple[tuple[int, Column], ...]:
        """The columns that are read, in the query's order, each with its place in the data set."""
        return self._asked

    @property
    def selection(self) -> exp.Select | None:
        """The statement that gives, per row of the source, SELECTED and UNIT; None if every row is its own and asked.

        Either stands only where it says something.
        """
        outputs: list[exp.Expr] = []
        if self._selected is not None:
            outputs.append(named(column(self._selected), SELECTED))
        outputs += units(self._own)
        return self._layers.select(outputs) if outputs else None

    @property
    def values(self) -> exp.Select:
        """The statement that gives the columns of the rows that are asked for, and reasons where codes are declared."""
        outputs: list[exp.Expr] = []
        for index, item in self._asked:
            found = column(value(index))
            outputs.append(named(as_single(found) if _is_short(item) else found, value(index)))
            if item.missing:
                outputs.append(column(reason(index)))
        return self._layers.select(outputs, only=None if self._selected is None else column(self._selected))


def _is_short(item: Column) -> bool:
    """Whether float32 holds every integer of the declared range, and no other becomes one of them."""
    if item.kind is not Kind.INTEGER or item.low is None or item.high is None:
        return False
    return -_EXACT < item.low <= item.high < _EXACT
