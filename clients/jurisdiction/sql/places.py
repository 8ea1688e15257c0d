"""What the guard looks at before numbers leave: which cell every row counts in, who a row is, who fills a cell.

Nothing of it leaves the jurisdiction. The rows' order is that of the source, the same in every statement. Refused: as
`rounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from clients.jurisdiction.sql.arithmetic import Mode
from clients.jurisdiction.sql.cells import cell
from clients.jurisdiction.sql.layers import (
    ROWS,
    absent,
    as_real,
    call,
    column,
    named,
    value,
    when,
    whole,
)
from clients.jurisdiction.sql.rounds import Compiled
from federation.domain.catalogue import Dataset, Kind
from federation.query.expression import Const, Expression, Gram
from federation.query.query import SumQuery, shape, used

NOWHERE: Final = -1
_BETWEEN: Final = "\x1f"  # stands between the texts of a row's values
_NONE: Final = "\x00"  # of a value that is missing
_LARGEST: Final = 2


class Places(Compiled):
    """Queries of a round as a statement about rows instead of sums. Arguments and refusals as `Compiled`."""

    def __init__(self, queries: Sequence[SumQuery], joint: Dataset, own: Dataset) -> None:
        super().__init__(queries, joint, own)
        self._queries, self._joint = tuple(queries), joint

    @property
    def places(self) -> exp.Select:
        """The statement that returns, per row, the cell that it counts in for each query, `NOWHERE` for none."""
        outputs = []
        for index, query in enumerate(self._queries):
            key, good = self._place(query)
            place = whole(0) if key is None else column(key)
            outputs.append(named(place if good is None else when(column(good), place, whole(NOWHERE)), f"p{index}"))
        return self._layers.select(outputs)

    def largest(self, query: SumQuery) -> exp.Select:
        """Return the statement of the largest contributors of each cell.

        A row of its result has the cell, where there is more than one, and for each of `contributions` the sum of the
        two largest and of all absolute contributions of a unit.
        """
        key, good = self._place(query)
        only = None if good is None else column(good)
        values = []
        for term in contributions(query):
            found = self._arithmetic.part(Mode.TERMS, term).real
            values.append(self._layers.let(as_real(found) if isinstance(found, exp.Column) else found))
        pairs: list[exp.Expr] = []
        if query.per is None:
            for name in values:
                pairs += _pair(column(name))
            return self._layers.select(pairs, key, only)
        unit = value(self._index[query.per.column])
        sums = [named(exp.Sum(this=column(name)), f"t{place}") for place, name in enumerate(values)]
        inner = self._layers.select([named(column(unit), "unit"), *sums], key, only)
        inner = inner.group_by(column(unit))
        for place in range(len(values)):
            pairs += _pair(column(f"t{place}"))
        outer = exp.select(*([] if key is None else [column(key)]), *pairs)
        outer = outer.from_(inner.subquery(exp.to_identifier("units", quoted=True)))
        return outer if key is None else outer.group_by(column(key))

    def _place(self, query: SumQuery) -> tuple[str | None, str | None]:
        """Return the columns of a row's cell and of whether it counts, None for one cell, and for all rows."""
        key = cell(query, self._joint, self._index, self._arithmetic, self._layers)
        fate = self._fate(self._selected(query), used(query), shape(query, self._joint))
        return key, self._good(fate, query)


def contributions(query: SumQuery) -> tuple[Expression, ...]:
    """Return the expressions of which units contribute different amounts: terms, and the columns of a Gram."""
    found: list[Expression] = []
    for term in query.terms:
        found += term.columns if isinstance(term, Gram) else (term,)
    return tuple(each for each in found if not isinstance(each, Const))


def identities(own: Dataset) -> exp.Select:
    """Return the statement that names every row by its values, and its unit, as 64 bits of MD5.

    Who changed the data to give two rows one name would only have its own rows taken for one another.
    """
    texts = [_text(index) for index in range(len(own.columns))]
    return exp.select(named(_digest(*texts), "row"), *units(own)).from_(exp.table_(ROWS, quoted=True))


def units(own: Dataset) -> list[exp.Expr]:
    """Return the 64 bits that name a row's unit, called `unit`; nothing where no column identifies one."""
    places = [index for index, item in enumerate(own.columns) if item.kind is Kind.IDENTIFIER]
    return [named(_digest(_text(index)), "unit") for index in places[:1]]


def _text(index: int) -> exp.Expr:
    text = exp.Cast(this=column(value(index)), to=exp.DataType(this=exp.DataType.Type.TEXT))
    return when(absent(column(value(index))), exp.Literal.string(_NONE), text)


def _digest(*texts: exp.Expr) -> exp.Expr:
    return call("MD5_NUMBER_LOWER", call("CONCAT_WS", exp.Literal.string(_BETWEEN), *texts))


def _pair(of: exp.Expr) -> list[exp.Expr]:
    size = call("ABS", of)
    largest = call("MAX", size, exp.Literal.number(_LARGEST))
    return [call("LIST_SUM", largest), exp.Sum(this=size.copy())]
