"""`let`: named columns of which each is computed once, as chained common table expressions over one typed relation.

The relation `rows` is what an engine provides: per column i of the data set a column `c<i>` (BIGINT, DOUBLE, text for
an identifier, and for a category its place in the published list, -1 when it is not in it), NULL where the value is
missing; and, where the column declares missing codes, `m<i>`: the index of the reason in `query.reasons`, else NULL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlglot import exp

from federation.query.expression import Number

ROWS: Final = "rows"
UNLISTED: Final = -1  # a category that is not in the published list


def value(index: int) -> str:
    """Return the name of the value of column `index` in `rows`."""
    return f"c{index}"


def reason(index: int) -> str:
    """Return the name of the missing reason of column `index` in `rows`."""
    return f"m{index}"


def column(name: str) -> exp.Expr:
    """Return a fresh reference to a column: a tree may hold each of its nodes once."""
    return exp.Column(this=exp.Identifier(this=name, quoted=True))


def whole(number: int) -> exp.Expr:
    """Return a 64-bit integer; cast from text, so that no engine chooses a narrower type."""
    return as_whole(exp.Literal.string(str(number)))


def real(number: Number) -> exp.Expr:
    """Return a binary64; cast from its shortest text, which every engine reads back to the same bits."""
    return as_real(exp.Literal.string(repr(float(number))))


def as_whole(of: exp.Expr) -> exp.Expr:
    """Return `of` as a 64-bit integer; a real is rounded half to even."""
    return exp.Cast(this=of, to=exp.DataType(this=exp.DataType.Type.BIGINT))


def as_wide(of: exp.Expr) -> exp.Expr:
    """Return `of` as a 128-bit integer; a real is rounded half to even."""
    return exp.Cast(this=of, to=exp.DataType(this=exp.DataType.Type.INT128))


def as_real(of: exp.Expr) -> exp.Expr:
    """Return `of` in binary64."""
    return exp.Cast(this=of, to=exp.DataType(this=exp.DataType.Type.DOUBLE))


def as_single(of: exp.Expr) -> exp.Expr:
    """Return `of` in binary32."""
    return exp.Cast(this=of, to=exp.DataType(this=exp.DataType.Type.FLOAT))


def named(of: exp.Expr, name: str) -> exp.Alias:
    """Return `of` under a name."""
    return exp.Alias(this=of, alias=exp.Identifier(this=name, quoted=True))


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a function that all dialects spell alike."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def when(condition: exp.Expr, then: exp.Expr, default: exp.Expr | None = None) -> exp.Case:
    """Return `then` where the condition is true, else `default`, NULL without one."""
    found = exp.Case(ifs=[exp.If(this=condition, true=then)])
    if default is not None:
        found.set("default", default)
    return found


def absent(of: exp.Expr) -> exp.Expr:
    """Return the condition `of IS NULL`."""
    return exp.Is(this=of, expression=exp.Null())


def present(of: exp.Expr) -> exp.Expr:
    """Return the condition `of IS NOT NULL`."""
    return exp.Not(this=absent(of))


def every(conditions: Iterable[exp.Expr]) -> exp.Expr:
    """Return the conjunction, TRUE of none; balanced, so that hundreds do not nest deeply."""
    level = [exp.Paren(this=condition) for condition in conditions]
    if not level:
        return exp.true()
    while len(level) > 1:
        pairs = [exp.Paren(this=exp.And(this=a, expression=b)) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = [*pairs, *level[len(pairs) * 2 :]]
    return level[0]


def finite(name: str) -> exp.Expr:
    """Return the condition that a real column is neither NaN nor infinite.

    Not by comparison: DuckDB takes `x < inf` for granted where the statistics of a Parquet file, which leave NaN out,
    say that all of x is small (seen in 2.0). An engine without ISFINITE brings one.
    """
    return call("ISFINITE", column(name))


class Layers:
    """Columns that have a name; each may use those that were named before it."""

    def __init__(self) -> None:
        self._names: dict[exp.Expr, str] = {}
        self._lets: dict[str, exp.Expr] = {}
        self._uses: dict[str, frozenset[str]] = {}
        self._depth: dict[str, int] = {}

    def let(self, of: exp.Expr) -> str:
        """Return the name of the column that holds `of`; equal trees are one column, and a column keeps its name."""
        if isinstance(of, exp.Column):
            return of.name
        if of not in self._names:
            name = f"x{len(self._names)}"
            uses = self._read(of)
            self._names[of], self._lets[name], self._uses[name] = name, of, uses
            self._depth[name] = 1 + max((self._depth[used] for used in uses), default=0)
        return self._names[of]

    def select(
        self, outputs: Sequence[exp.Expr], key: str | tuple[str, ...] | None = None, only: exp.Expr | None = None
    ) -> exp.Select:
        """Return the statement that computes `outputs` over all rows, in one pass.

        Args:
            outputs: aggregates; they become part of the statement.
            key: a column to group by, or several; they come first in every row of the result.
            only: a condition that rows must fulfil.
        """
        grouped = (key,) if isinstance(key, str) else key or ()
        keys = [column(name) for name in grouped]
        needed = self._needed([*outputs, *keys, *([] if only is None else [only])])
        top = max((self._depth[name] for name in needed), default=0)
        found = exp.select(*keys, *outputs, copy=False).from_(_table(top), copy=False)
        if only is not None:
            found.where(only.copy(), copy=False)
        if grouped:
            found.group_by(*map(column, grouped), copy=False)
        for depth in range(1, top + 1):
            here = [name for name in needed if self._depth[name] == depth]
            lets = [named(self._lets[name].copy(), name) for name in here]
            layer = exp.select(exp.Star(), *lets, copy=False).from_(_table(depth - 1), copy=False)
            found.with_(_layer(depth), as_=layer, copy=False)
        return found

    def _read(self, of: exp.Expr) -> frozenset[str]:
        return frozenset(found.name for found in of.find_all(exp.Column) if found.name in self._lets)

    def _needed(self, roots: Iterable[exp.Expr]) -> list[str]:
        """Return the names below `roots`, in the order in which they were named."""
        found: set[str] = set()
        stack = [name for root in roots for name in self._read(root)]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self._uses[name])
        return [name for name in self._lets if name in found]


def _layer(depth: int) -> str:
    return f"layer{depth}"


def _table(depth: int) -> exp.Table:
    return exp.table_(_layer(depth) if depth else ROWS, quoted=True)
