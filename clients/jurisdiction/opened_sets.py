"""Which sets of own rows a round would open: the cells of its queries, and the conditions inside their sums.

A set is named by what decides who is in it: the condition on rows, and what the cell adds to it. The cell "f" of a
grouping by sex has the name of `where sex == 'f'`, in whatever order conditions stand. Nothing of it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from federation.domain import job
from federation.domain.catalogue import Dataset
from federation.privacy.differencing import Name, Sets
from federation.query.expression import (
    Binary,
    Both,
    Col,
    Compare,
    Const,
    Expression,
    Gram,
    Indicator,
    Member,
    Missing,
    Term,
    Text,
    columns,
    ordered,
)
from federation.query.query import Answer, Argmin, Axis, Bins, Categories, SumQuery, axis_size, canonical, counts, roots

Places: TypeAlias = npt.NDArray[np.int64]

TRUE: Final = 2  # the cell of a condition that holds, of the bins below
_HALVES: Final = (0, 1, 2)
_LABEL: Final = "federation/set-name/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What one query would open.

    Attributes:
        query: as it is asked.
        base: the same cells over the rows that `where` selects, whatever their terms are.
        open: per cell, whether this party shows it.
        conditions: inside sums, each once.
        loses: whether rows of a cell are left out because of a value in a term.
        excludes: whether some of them because a term is not finite, which chooses them by their values.
    """

    query: SumQuery
    base: SumQuery
    open: tuple[bool, ...]
    conditions: tuple[Expression, ...]
    loses: bool
    excludes: bool

    @property
    def measured(self) -> tuple[str, ...]:
        """The columns of the terms."""
        return columns(_terms(self.query))

    @property
    def key(self) -> bytes:
        """32 bytes that name the sets of rows, before any is lost."""
        conditions = (_digest(self.base, one) for one in self.conditions)
        return job.digest("federation/opening/v1", canonical(self.base), bytes(self.open), *conditions)

    @property
    def lost_key(self) -> bytes:
        """32 bytes that name the sets of rows, and which are lost."""
        return job.digest("federation/opening-lost/v1", self.key, canonical(self.query))

    @property
    def counts_only(self) -> bool:
        """Whether it opens nothing of a row but that it is in a bin."""
        return all(isinstance(term, Const) for term in self.query.terms) and any(
            isinstance(axis, Bins) for axis in self.query.group_by
        )

    def asked(self) -> tuple[SumQuery, ...]:
        """Return the queries whose places `sets` needs: the base, the query where it loses rows, the conditions."""
        own = (self.query,) if self.loses else ()
        halves = (
            SumQuery(dataset=self.base.dataset, group_by=(Bins(Indicator(one), _HALVES),)) for one in self.conditions
        )
        return (self.base, *own, *halves)


def opening(query: SumQuery, answer: Answer, is_open: Sequence[bool], joint: Dataset) -> Opening:
    """Return what a query would open, given the party's own answer and the cells that it shows."""
    base = SumQuery(dataset=query.dataset, where=query.where, per=query.per, group_by=query.group_by)
    inside: dict[bytes, Expression] = {}
    for node in ordered(_terms(query, summed=True)):
        if isinstance(node, Indicator):
            inside.setdefault(_digest(base, node.of), node.of)
    left_out = [n for n, name in zip(answer.counts, counts(query, joint), strict=True) if name.kind != "clipped"]
    return Opening(
        query=query,
        base=base,
        open=tuple(is_open),
        conditions=tuple(inside.values()),
        loses=any(left_out),
        excludes=bool(left_out and left_out[-1]),
    )


def selection(query: SumQuery) -> bytes:
    """Return 32 bytes that name the rows which `where` selects, in whatever order its conditions stand."""
    return job.digest(_LABEL, *sorted(set(_said(query))))


def cell_sets(of: Opening, places: Places, joint: Dataset) -> Sets:
    """Return the cells that open, as sets of rows; `places` are those of the base or of the query."""
    shown = np.array([*of.open, False])
    return Sets(np.where(shown[places], places, -1), tuple(_names(of.base, joint)))


def condition_sets(of: Opening, places: Places, halves: Sequence[Places], joint: Dataset) -> Iterator[Sets]:
    """Yield the sets of rows that fulfil a condition inside a sum, and of those that fulfil two."""
    cells = cell_sets(of, places, joint)
    fulfilled = [half == TRUE for half in halves]
    for index, condition in enumerate(of.conditions):
        found = np.where(fulfilled[index], cells.labels, -1)
        yield Sets(found, tuple(_names(of.base, joint, condition)))
        for before in range(index):
            if not _exclusive(condition, of.conditions[before]):
                yield Sets(
                    np.where(fulfilled[before], found, -1),
                    tuple(_names(of.base, joint, condition, of.conditions[before])),
                )


def fewest(of: Opening, places: Places, halves: Sequence[Places], units: Places | None) -> int | None:
    """Return the fewest own units on a side of a condition, or in two conditions, in a cell that opens."""
    shown = [cell for cell, is_open in enumerate(of.open) if is_open]
    if not of.conditions or not shown:
        return None
    fulfilled = [half == TRUE for half in halves]
    sides = [side for one in fulfilled for side in (one, ~one)]
    for index, condition in enumerate(of.conditions):
        sides += [
            fulfilled[index] & fulfilled[before]
            for before in range(index)
            if not _exclusive(condition, of.conditions[before])
        ]
    return min(_units(side & (places == cell), units) for side in sides for cell in shown)


def _units(rows: npt.NDArray[np.bool_], units: Places | None) -> int:
    return int(rows.sum()) if units is None else len(np.unique(units[rows]))


def _terms(query: SumQuery, *, summed: bool = False) -> tuple[Expression, ...]:
    """Return the expressions of terms; `summed` leaves out what is multiplied by 0.

    Such a term says which rows have values, and sums nothing: whoever a condition in it is about stays untold.
    """
    terms = tuple(term for term in query.terms if not (summed and _is_nothing(term)))
    return roots(SumQuery(dataset=query.dataset, terms=terms))


def _is_nothing(term: Term) -> bool:
    match term:
        case Binary("*", Const(0), _):
            return True
        case Gram(weight=Const(0)):
            return True
    return False


def _names(base: SumQuery, joint: Dataset, *further: Expression) -> Iterator[Name]:
    """Yield the name of every cell of a query, in order."""
    where = set(_said(base))
    extra = {_digest(base, one) for condition in further for one in _conjuncts(condition)}
    said = job.digest(_LABEL, *sorted(where))
    choices: list[frozenset[bytes]] = [frozenset()]
    for axis in base.group_by:
        of_axis = list(_choices(base, axis, joint))
        choices = [before | one for before in choices for one in of_axis]
    for cell in choices:
        yield Name(said, job.digest(_LABEL, *sorted(where | extra | cell)))


def _said(query: SumQuery) -> Iterator[bytes]:
    if query.where is not None:
        yield from (_digest(query, one) for one in _conjuncts(query.where))


def _choices(base: SumQuery, axis: Axis, joint: Dataset) -> Iterator[frozenset[bytes]]:
    """Yield, per cell of an axis, what it says of its rows."""
    match axis:
        case Categories(name):
            of = tuple(zip(joint.column(name).categories, axis.places(joint), strict=True))
            for place in range(len(axis.listed(joint))):
                joined = tuple(category for category, at in of if at == place)
                one = Compare("==", Col(name), Text(joined[0])) if len(joined) == 1 else Member(Col(name), joined)
                yield frozenset({_digest(base, one)})
            if axis.missing:
                yield frozenset({_digest(base, Missing(Col(name)))})
        case Bins(of, edges):
            yield frozenset({_digest(base, Compare("<", of, Const(edges[0])))})
            for index, (low, high) in enumerate(pairwise(edges)):
                upper = Compare("<=" if index == len(edges) - 2 else "<", of, Const(high))
                yield frozenset({_digest(base, Compare(">=", of, Const(low))), _digest(base, upper)})
            yield frozenset({_digest(base, Compare(">", of, Const(edges[-1])))})
        case Argmin():
            whole = canonical(SumQuery(dataset=base.dataset, group_by=(axis,)))
            for index in range(axis_size(axis, joint)):
                yield frozenset({job.digest(_LABEL, whole, index.to_bytes(8, "big"))})


def _conjuncts(condition: Expression) -> Iterator[Expression]:
    stack = [condition]
    while stack:
        one = stack.pop()
        if isinstance(one, Both):
            stack += [one.right, one.left]
        else:
            yield one


def _exclusive(one: Expression, other: Expression) -> bool:
    """Return whether two conditions are different levels of one column, which nobody fulfils together."""
    mine, theirs = _level(one), _level(other)
    return mine is not None and theirs is not None and mine[0] == theirs[0] and not mine[1] & theirs[1]


def _level(condition: Expression) -> tuple[str, frozenset[object]] | None:
    match condition:
        case Compare("==", Col(name), Text(value) | Const(value)):
            return name, frozenset({value})
        case Member(Col(name), values):
            return name, frozenset(values)
    return None


def _digest(base: SumQuery, condition: Expression) -> bytes:
    return job.digest(_LABEL, canonical(SumQuery(dataset=base.dataset, where=condition)))
