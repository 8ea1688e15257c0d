"""The cell of a row: which category, which bin, which least expression, in row-major order over the axes.

Refused: nothing of its own. What stands here for a row that does not count means nothing, and nothing of it is summed.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from clients.jurisdiction.sql.arithmetic import Arithmetic, Mode
from clients.jurisdiction.sql.layers import Layers, absent, call, column, real, value, when, whole
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression, Number
from federation.query.query import Argmin, Axis, Bins, Categories, SumQuery, axis_size


def cell(
    query: SumQuery, joint: Dataset, index: Mapping[str, int], arithmetic: Arithmetic, layers: Layers
) -> str | None:
    """Return the name of the column that holds the cell of every row, None if there is only one cell."""
    found: exp.Expr | None = None
    for axis in query.group_by:
        place = column(_axis(axis, joint, index, arithmetic, layers))
        size = whole(axis_size(axis, joint))
        found = place if found is None else _sum(exp.Mul(this=exp.Paren(this=found), expression=size), place)
    return None if found is None else layers.let(found)


def _axis(axis: Axis, joint: Dataset, index: Mapping[str, int], arithmetic: Arithmetic, layers: Layers) -> str:
    match axis:
        case Categories(name):
            return _category(axis, index[name], joint, layers)
        case Bins(of, edges):
            return _bin(of, edges, arithmetic, layers)
        case Argmin(expressions):
            return _least(expressions, arithmetic, layers)


def _category(axis: Categories, index: int, joint: Dataset, layers: Layers) -> str:
    """Return the place of the category, or of its value at a coarser level; what is missing has the last, if any."""
    found = value(index)
    if axis.level:
        texts = [exp.Literal.string(str(place)) for place in axis.places(joint)]
        kind = exp.DataType.build("array<bigint>")
        listed = layers.let(exp.Cast(this=exp.Array(expressions=texts), to=kind))
        found = layers.let(call("LIST_EXTRACT", column(listed), _sum(column(found), whole(1))))
    if axis.missing:
        last = whole(axis_size(axis, joint) - 1)
        found = layers.let(when(absent(column(value(index))), last, column(found)))
    return found


def _bin(of: Expression, edges: tuple[Number, ...], arithmetic: Arithmetic, layers: Layers) -> str:
    """Return the number of edges at or below the value, by halving: a step for every bit of the number of edges.

    The list stands in a column of its own, which is constant, and a place beyond its end is NULL, which is not below.
    """
    part = arithmetic.part(Mode.TERMS, of)
    exact = part.whole and all(isinstance(edge, int) for edge in edges)
    number = layers.let(part.number if exact else part.real)
    texts = [exp.Literal.string(str(edge) if exact else repr(float(edge))) for edge in edges]
    kind = exp.DataType.build("array<bigint>" if exact else "array<double>")
    listed = layers.let(exp.Cast(this=exp.Array(expressions=texts), to=kind))
    place = layers.let(whole(0))
    step = 1 << (len(edges).bit_length() - 1)
    while step:
        after = _sum(column(place), whole(step))
        reached = exp.GTE(this=column(number), expression=call("LIST_EXTRACT", column(listed), after))
        place = layers.let(when(reached, after.copy(), column(place)))
        step //= 2
    last = exp.EQ(this=column(number), expression=whole(int(edges[-1])) if exact else real(edges[-1]))
    return layers.let(when(last, whole(len(edges) - 1), column(place)))  # the last bin is closed


def _least(expressions: tuple[Expression, ...], arithmetic: Arithmetic, layers: Layers) -> str:
    """Return the index of the first expression that equals the least of all."""
    parts = [arithmetic.part(Mode.TERMS, item) for item in expressions]
    exact = all(part.whole for part in parts)
    names = [layers.let(part.number if exact else part.real) for part in parts]
    least = layers.let(call("LEAST", *(column(name) for name in names)))
    found = exp.Case(
        ifs=[
            exp.If(this=exp.EQ(this=column(name), expression=column(least)), true=whole(place))
            for place, name in enumerate(names)
        ]
    )
    return layers.let(found)


def _sum(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.Add(this=left, expression=right)
