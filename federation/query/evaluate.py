"""The numpy oracle: the rules of `query.py` written as plainly as possible, for tests and for engines to agree with.

It holds whole columns in memory and is not meant to be fast. Sums are exact: rows are int64, halves of 32 bits are
summed apart, and the sums are Python integers. Refused: what `rows` refuses, and a query without a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse, Refused
from federation.query import bounds, nodes
from federation.query.bounds import CLUSTER_ROWS, Interval, intervals, term_intervals, weighted
from federation.query.expression import Col, Const, Expression, Gram, Indicator, Term
from federation.query.expression import columns as read_by
from federation.query.query import (
    Answer,
    Argmin,
    Axis,
    Bins,
    Categories,
    Shape,
    SumQuery,
    axis_size,
    grouped,
    roots,
    shape,
    used,
)
from federation.query.rows import Mask, Read, Values, read, within

_EDGE = 2.0**62 * (1 + 2.0**-40)  # a scaled row is at most 2^62 but for the last ulps of an engine's functions


def answer(query: SumQuery, joint: Dataset, own: Dataset, columns: Mapping[str, Values]) -> Answer:
    """Return one party's answer to `query`.

    Args:
        query: any.
        joint: `catalogue.agreed` of all parties; scales come from it.
        own: this party's publication; its ranges are enforced.
        columns: the party's rows by column; missing is a mask or None, or a declared code, as a number or as its text.

    Raises:
        Misuse: no meaning, or columns that do not fit each other.
        Refused: rule "range".
    """
    form = shape(query, joint)
    names = used(query)
    asked = tuple(sorted({*names, *grouped(query), *(read_by((query.where,)) if query.where is not None else ())}))
    everything = read(own, columns, asked)
    rows = len(next(iter(columns.values()))) if columns else 0
    selected = _selected(query, own, everything, rows)
    counted: dict[tuple[str, str, str], int] = {}
    complete = _complete(form, {name: everything[name] for name in names}, selected, counted)
    kept: dict[str, Read] = {}
    for name in names:
        kept[name], clipped = within(everything[name].kept(complete), own.name)
        counted["clipped", name, ""] = clipped
    for name in set(grouped(query)) - set(names):
        kept[name] = everything[name].kept(complete)
        within(kept[name].kept(kept[name].present), own.name)  # what has a value must be in the list
    values, finite = _values(query, joint, kept, int(complete.sum()))
    counted["non-finite", "", ""] = int((~finite).sum())
    cells = _cells(query, joint, kept, values, len(finite))[finite]
    clusters = {  # as they are: a name that lies outside its range is a name
        term.clusters: everything[term.clusters].kept(complete).values[finite].astype(np.str_)
        for term in query.terms
        if isinstance(term, Gram) and term.clusters
    }
    table = _table(query, form, joint, cells, values, finite, kept, clusters)
    return Answer(table=table, counts=tuple(counted[name.kind, name.column, name.reason] for name in form.counts))


def _selected(query: SumQuery, own: Dataset, columns: Mapping[str, Read], rows: int) -> Mask:
    if query.where is None:
        return np.ones(rows, dtype=np.bool_)

    def integer(node: Expression) -> bool:
        """Raw values have no range that arithmetic could rely on: only bare integers are integers."""
        if isinstance(node, Col):
            return own.column(node.name).kind is Kind.INTEGER
        return isinstance(node, Indicator) or (isinstance(node, Const) and isinstance(node.value, int))

    found = nodes.evaluated((query.where,), columns, rows, integer)[id(query.where)]
    return found.true if isinstance(found, nodes.Truth) else np.zeros(rows, dtype=np.bool_)


def _complete(
    form: Shape, columns: Mapping[str, Read], selected: Mask, counted: dict[tuple[str, str, str], int]
) -> Mask:
    """Exclude the selected rows that lack a used value, counting each under the first column that lacks it."""
    complete = selected.copy()
    for name, found in columns.items():
        reasons = [count.reason for count in form.counts if (count.kind, count.column) == ("missing", name)]
        for index, reason in enumerate(reasons):
            counted["missing", name, reason] = int((complete & (found.reason == index)).sum())
        complete &= found.present
    return complete


def _values(
    query: SumQuery, joint: Dataset, columns: Mapping[str, Read], rows: int
) -> tuple[dict[int, nodes.Known], Mask]:
    """Evaluate every root of axes and terms; a row counts where all of them are finite."""
    asked = roots(query)
    known = intervals(asked, joint)
    found = nodes.evaluated(asked, columns, rows, lambda node: known[id(node)].integer)
    values = {id(root): value for root in asked if isinstance(value := found[id(root)], nodes.Known)}
    finite = np.ones(rows, dtype=np.bool_)
    for value in values.values():
        finite &= value.ok
    return values, finite


def _cells(
    query: SumQuery, joint: Dataset, columns: Mapping[str, Read], values: Mapping[int, nodes.Known], rows: int
) -> npt.NDArray[np.int64]:
    cell = np.zeros(rows, dtype=np.int64)
    for axis in query.group_by:
        size, index = _axis(axis, joint, columns, values)
        cell = cell * size + index
    return cell


def _axis(
    axis: Axis, joint: Dataset, columns: Mapping[str, Read], values: Mapping[int, nodes.Known]
) -> tuple[int, Values]:
    match axis:
        case Categories(name):
            place = dict(zip(joint.column(name).categories, axis.places(joint), strict=True))
            found, size = columns[name], axis_size(axis, joint)
            last = size - 1  # of rows without a value, where the axis has a cell for them
            pairs = zip(found.values.tolist(), found.present.tolist(), strict=True)
            return size, np.array([place[text] if there else last for text, there in pairs], dtype=np.int64)
        case Bins(of, edges):
            value = values[id(of)].value
            exact = value.dtype == np.int64 and all(isinstance(edge, int) for edge in edges)
            limits = np.array(edges, dtype=np.int64 if exact else np.float64)
            value = value if exact else nodes.real(value)
            index = np.searchsorted(limits, value, side="right")
            return len(edges) + 1, np.where(value == limits[-1], len(edges) - 1, index)  # the last bin is closed
        case Argmin(expressions):
            return len(expressions), np.argmin(np.stack([values[id(of)].value for of in expressions]), axis=0)


def _table(
    query: SumQuery,
    form: Shape,
    joint: Dataset,
    cells: npt.NDArray[np.int64],
    values: Mapping[int, nodes.Known],
    finite: Mask,
    columns: Mapping[str, Read],
    clusters: Mapping[str, Values],
) -> tuple[tuple[int, ...], ...]:
    if query.per is None:
        units = np.bincount(cells, minlength=form.cells)
    else:
        _, unit = np.unique(columns[query.per.column].values[finite].astype(np.str_), return_inverse=True)
        pairs = np.unique(np.stack([cells, unit]), axis=1)
        units = np.bincount(pairs[0], minlength=form.cells)
    sums: list[list[int]] = [units.tolist()]
    found = term_intervals(query.terms, joint)
    for term in query.terms:
        at = len(sums) - 1
        if isinstance(term, Gram) and term.clusters:
            sums += _of_clusters(term, values, joint, finite, cells, clusters[term.clusters], form, at)
            continue
        for value, interval, scale in zip(_terms(term, values, found[at:]), found[at:], form.scales[at:], strict=False):
            sums.append(_summed(_scaled(value[finite], interval, scale), cells, form.cells))
    return tuple(zip(*sums, strict=True))


def _terms(term: Term, values: Mapping[int, nodes.Known], found: tuple[Interval, ...]) -> list[Values]:
    """Every sum's values by row; a Gram's as (weight * x_i) * x_j, each product an integer where its interval is."""
    if not isinstance(term, Gram):
        return [values[id(term)].value]
    every: list[Values] = []
    weight = values[id(term.weight)].value
    for left, right in term.pairs():
        x, y = values[id(left)].value, values[id(right)].value
        if found[len(every)].integer:
            every.append(weight * x * y)
        else:
            with np.errstate(all="ignore"):  # rows that are not finite are excluded and counted, not warned about
                every.append(nodes.real(weight) * nodes.real(x) * nodes.real(y))
    return every


def _of_clusters(
    term: Gram,
    values: Mapping[int, nodes.Known],
    joint: Dataset,
    finite: Mask,
    cells: npt.NDArray[np.int64],
    cluster: Values,
    form: Shape,
    at: int,
) -> list[list[int]]:
    """How many clusters, and sums of products of their own sums in the cell, which are exact before they are real."""
    _, number = np.unique(cluster, return_inverse=True)
    pairs, place = np.unique(np.stack([cells, number]), axis=1, return_inverse=True)
    place, count = place.reshape(-1), pairs.shape[1]
    if len(place) and np.bincount(place).max() > CLUSTER_ROWS:
        what = f"a cluster of more than {CLUSTER_ROWS} rows in one cell"
        raise Refused(f"column {term.clusters!r} holds {what}", rule="range", hint="smaller clusters or cells")
    own: list[npt.NDArray[np.float64]] = []
    weight = values[id(term.weight)].value
    for x, interval in zip(term.columns, weighted(term, joint), strict=True):
        of = values[id(x)].value
        with np.errstate(all="ignore"):
            value = weight * of if interval.integer else nodes.real(weight) * nodes.real(of)
        whole = _summed(_scaled(value[finite], interval, bounds.scale(interval)), place, count)
        own.append(np.ldexp(np.array([float(each) for each in whole]), -bounds.scale(interval)))
    found: list[list[int]] = [np.bincount(pairs[0], minlength=form.cells).tolist()]
    for i, left in enumerate(own):
        for right in own[i:]:
            sums = [0] * form.cells
            scaled = np.rint(np.ldexp(left * right, form.scales[at + len(found)])).tolist()
            for cell, product in zip(pairs[0].tolist(), scaled, strict=True):
                sums[cell] += int(product)
            found.append(sums)
    return found


def _scaled(value: Values, interval: Interval, scale: int) -> npt.NDArray[np.int64]:
    if interval.integer:
        return value.astype(np.int64)
    scaled = np.ldexp(nodes.real(value), scale)
    if np.any(np.abs(scaled) > _EDGE):
        raise Misuse(
            "a term exceeds the bound of the joint description", hint="the own range is not inside the joint one"
        )
    return np.rint(scaled).astype(np.int64)


def _summed(value: npt.NDArray[np.int64], cells: npt.NDArray[np.int64], size: int) -> list[int]:
    """Exact sums per cell: both halves stay below 2^63 for fewer than 2^31 rows."""
    high = np.zeros(size, dtype=np.int64)
    low = np.zeros(size, dtype=np.int64)
    np.add.at(high, cells, value >> 32)
    np.add.at(low, cells, value & 0xFFFFFFFF)
    return [(a << 32) + b for a, b in zip(high.tolist(), low.tolist(), strict=True)]
