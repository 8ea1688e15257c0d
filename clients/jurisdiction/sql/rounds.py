"""The queries of a round as statements, and the rows that those return as answers.

Queries that group by the same cells share one statement and one pass over the rows, and so do all that do not group;
what they have in common is computed once. Every number of a statement is an exact integer: rows are rounded to 64-bit
integers before they are summed in 128 bits, so a result does not depend on threads or on the order of rows. Refused:
values that the party's publication refuses (rule "range"), and an own range that the joint description does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sqlglot import exp

from clients.jurisdiction.sql.arithmetic import Arithmetic, Mode, Part, is_one, within
from clients.jurisdiction.sql.cells import cell
from clients.jurisdiction.sql.layers import (
    Layers,
    absent,
    as_real,
    as_whole,
    as_wide,
    column,
    every,
    named,
    present,
    real,
    reason,
    value,
    when,
    whole,
)
from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.errors import Misuse, Refused
from federation.query.bounds import CLUSTER_ROWS, Interval, scale, weighted
from federation.query.expression import Both, Either, Expression, Gram, columns, ordered
from federation.query.query import Answer, CountName, Shape, SumQuery, canonical, grouped, roots, shape, used

MOST_OUTPUTS: Final = 1_024  # of one statement; more are asked in several passes

Row: TypeAlias = tuple[int | None, ...]


@dataclass(slots=True)
class _Pass:
    """Aggregates over the same cells."""

    key: str | None  # the column of cells; None: one cell
    outputs: dict[exp.Expr, int] = field(default_factory=dict)
    selections: set[str | None] = field(default_factory=set)  # the conditions of its queries; None: all rows

    def ask(self, tree: exp.Expr) -> int:
        """Return the place of an aggregate; equal ones are asked once."""
        return self.outputs.setdefault(tree, len(self.outputs))

    def statements(self, layers: Layers) -> list[exp.Select]:
        """Return what is to be run, at most `MOST_OUTPUTS` aggregates at a time."""
        only = None
        if None not in self.selections:
            found = [column(name) for name in sorted(name for name in self.selections if name)]
            only = exp.or_(*found, copy=False) if len(found) > 1 else found[0]
        trees = list(self.outputs)
        slices = range(0, len(trees), MOST_OUTPUTS)
        return [layers.select(trees[at : at + MOST_OUTPUTS], self.key, only) for at in slices]

    def table(self, results: Sequence[Sequence[Row]]) -> dict[int | None, list[int]]:
        """Return cell -> its aggregates, over the results of `statements`; None is where excluded rows fall."""
        found: dict[int | None, list[int]] = {}
        for at, rows in enumerate(results):
            for row in rows:
                place, numbers = (row[0], row[1:]) if self.key else (0, row)
                found.setdefault(place, [0] * len(self.outputs))
                found[place][at * MOST_OUTPUTS : at * MOST_OUTPUTS + len(numbers)] = [item or 0 for item in numbers]
        return found


@dataclass(slots=True)
class _ClusterPass(_Pass):
    """Aggregates over the same cells of what every cluster adds up to there: two levels of grouping."""

    cluster: str = ""
    good: str | None = None  # rows that count; None: all
    own: dict[exp.Expr, str] = field(default_factory=dict)  # aggregates of a cluster, by name

    def of_cluster(self, tree: exp.Expr) -> str:
        """Return the name of a cluster's own aggregate; equal ones are computed once."""
        return self.own.setdefault(tree, f"t{len(self.own)}")

    def statements(self, layers: Layers) -> list[exp.Select]:
        """Return what is to be run."""
        trees, keys = list(self.outputs), (self.key,) if self.key else ()
        found = []
        for at in range(0, len(trees), MOST_OUTPUTS):
            inner = layers.select(
                [named(tree.copy(), name) for tree, name in self.own.items()],
                (*keys, self.cluster),
                column(self.good) if self.good else None,
            )
            outer = exp.select(*map(column, keys), *trees[at : at + MOST_OUTPUTS], copy=False)
            outer.from_(inner.subquery(exp.to_identifier("clusters", quoted=True), copy=False), copy=False)
            if keys:
                outer.group_by(*map(column, keys), copy=False)
            found.append(outer)
        return found


_Place: TypeAlias = tuple[_Pass, int]  # an aggregate of a pass


@dataclass(frozen=True, slots=True)
class _Asked:
    """One query: which aggregates of which passes are its numbers."""

    form: Shape
    cells: tuple[_Place, ...]  # units, then every sum
    counts: tuple[_Place, ...]
    refusals: tuple[tuple[_Place, str, str], ...]  # aggregate, column, what it must not hold


class Compiled:
    """A round over one party's rows.

    Args:
        queries: independent of each other; any number.
        joint: `catalogue.agreed` of all parties; types and scales come from it.
        own: this party's publication; its ranges are enforced.
        sound: columns of which every row is known to be as the publication says; what rows of theirs lack is not looked
            for again.

    Raises:
        Misuse: a query without a meaning, or an own range that is not inside the joint one.
    """

    def __init__(
        self, queries: Sequence[SumQuery], joint: Dataset, own: Dataset, sound: frozenset[str] = frozenset()
    ) -> None:
        self._own, self._sound = own, sound
        self._index = {item.name: index for index, item in enumerate(own.columns)}
        self._layers = Layers()
        self._passes: dict[bytes, _Pass] = {}
        shapes = [shape(query, joint) for query in queries]
        self._arithmetic = Arithmetic(self._layers, own, joint, sound)
        for query in queries:
            contained({*used(query), *grouped(query), *_conditioned(query)}, joint, own)
            self._arithmetic.add(Mode.TERMS, roots(query))
            self._arithmetic.add(Mode.WHERE, () if query.where is None else (query.where,))
        self._asked = [self._ask(query, form, joint) for query, form in zip(queries, shapes, strict=True)]
        self._runs = [asked.statements(self._layers) for asked in self._passes.values()]

    @property
    def statements(self) -> tuple[exp.Select, ...]:
        """What is to be run over the relation `rows` of `layers`, each one pass."""
        return tuple(statement for run in self._runs for statement in run)

    def answers(self, results: Sequence[Sequence[Row]]) -> tuple[Answer, ...]:
        """Return one answer per query from the rows of each statement. Raises Refused, rule "range"."""
        taken = iter(results)
        tables = {
            id(asked): asked.table([next(taken) for _ in run])
            for asked, run in zip(self._passes.values(), self._runs, strict=True)
        }
        return tuple(self._answer(asked, tables) for asked in self._asked)

    def _answer(self, asked: _Asked, tables: Mapping[int, Mapping[int | None, list[int]]]) -> Answer:
        def total(place: _Place) -> int:
            return sum(row[place[1]] for row in tables[id(place[0])].values())

        for place, name, what in asked.refusals:
            if total(place):
                raise Refused(
                    f"column {name!r} of data set {self._own.name!r} holds {what}",
                    rule="range",
                    hint="publish the data set again as it is",
                )
        wanted = [(tables[id(of)], at) for of, at in asked.cells]
        nothing: list[int] = []
        return Answer(
            table=tuple(
                tuple(row[at] if (row := table.get(cell, nothing)) else 0 for table, at in wanted)
                for cell in range(asked.form.cells)
            ),
            counts=tuple(total(place) for place in asked.counts),
        )

    # --- one query --------------------------------------------------------------------------------------------------

    def _ask(self, query: SumQuery, form: Shape, joint: Dataset) -> _Asked:
        key = cell(query, joint, self._index, self._arithmetic, self._layers)
        group = canonical(SumQuery(dataset=query.dataset, group_by=query.group_by))
        asked = self._passes.setdefault(group, _Pass(key))
        selected = self._selected(query)
        asked.selections.add(selected)
        names = used(query)
        fate = self._fate(selected, names, form)
        good = self._good(fate, query)
        units = self._units(asked, query, good)
        refusals = self._refusals(asked, (*names, *(name for name in grouped(query) if name not in names)), fate)
        sums = self._sums(asked, query, form, joint, good, refusals)
        counts = tuple((asked, self._count(asked, name, fate, good, form)) for name in form.counts)
        return _Asked(form, ((asked, units), *sums), counts, tuple(refusals))

    def _selected(self, query: SumQuery) -> str | None:
        """The column that tells whether a row fulfils `where`, None if all rows do."""
        if query.where is None:
            return None
        found = self._arithmetic.part(Mode.WHERE, query.where).number
        return self._layers.let(exp.Coalesce(this=found, expressions=[exp.false()]))

    def _fate(self, selected: str | None, names: tuple[str, ...], form: Shape) -> str | None:
        """The column that is NULL for complete rows, -1 for rows not selected, else the place of the missing count.

        None where every row is complete.
        """
        conditions: list[tuple[exp.Expr, exp.Expr]] = []
        if selected is not None:
            conditions.append((exp.Not(this=column(selected)), whole(-1)))
        for name in names:
            if name in self._sound:
                continue
            index = self._index[name]
            first = whole(form.counts.index(CountName("missing", name, "null")))
            coded = bool(self._own.columns[index].missing)
            place = exp.Add(this=first, expression=column(reason(index))) if coded else first
            conditions.append((absent(column(value(index))), place))
        if not conditions:
            return None
        found = when(*conditions[0])
        for condition, place in conditions[1:]:
            found.append("ifs", exp.If(this=condition, true=place))
        return self._layers.let(found)

    def _good(self, fate: str | None, query: SumQuery) -> str | None:
        """The column that is true for rows that count: complete, and with terms and axes that are finite; None: all."""
        names = sorted({name for root in roots(query) for name in self._arithmetic.part(Mode.TERMS, root).fails})
        conditions = [present(column(item)) for item in names]
        if fate is not None:
            conditions.insert(0, absent(column(fate)))
        return self._layers.let(every(conditions)) if conditions else None

    def _units(self, asked: _Pass, query: SumQuery, good: str | None) -> int:
        if query.per is None:
            return asked.ask(exp.Count(this=exp.Star()) if good is None else exp.CountIf(this=column(good)))
        unit = value(self._index[query.per.column])
        kept = column(unit) if good is None else when(column(good), column(unit))
        return asked.ask(exp.Count(this=exp.Distinct(expressions=[kept])))

    def _count(self, asked: _Pass, name: CountName, fate: str | None, good: str | None, form: Shape) -> int:
        if name.column in self._sound or good is None:
            return asked.ask(exp.CountIf(this=exp.false()))
        match name.kind:
            case "missing":
                if fate is None:
                    raise Misuse("a column that is not known to be sound has a fate")
                place = form.counts.index(name)
                return asked.ask(exp.CountIf(this=exp.EQ(this=column(fate), expression=whole(place))))
            case "clipped":
                index = self._index[name.column]
                return self._beyond(asked, fate, index, self._own.columns[index])
        lost = _complete(fate, exp.Not(this=column(good)))
        return asked.ask(exp.CountIf(this=lost))

    def _beyond(self, asked: _Pass, fate: str | None, index: int, item: Column) -> int:
        inside = self._layers.let(within(index, item))
        moved = exp.NEQ(this=column(inside), expression=column(value(index)))
        return asked.ask(exp.CountIf(this=_complete(fate, moved)))

    def _refusals(self, asked: _Pass, names: tuple[str, ...], fate: str | None) -> list[tuple[_Place, str, str]]:
        found: list[tuple[_Place, str, str]] = []
        for name in names:
            if name in self._sound:
                continue
            index = self._index[name]
            item = self._own.columns[index]
            if item.kind is Kind.CATEGORY:
                strange = exp.LT(this=column(value(index)), expression=whole(0))
                place = asked.ask(exp.CountIf(this=_complete(fate, strange)))
                found.append(((asked, place), name, "categories that are not in its published list"))
            elif item.kind is not Kind.IDENTIFIER and item.outside is Outside.REFUSE:
                beyond = self._beyond(asked, fate, index, item)
                found.append(((asked, beyond), name, "values outside its declared range"))
        return found

    # --- sums -------------------------------------------------------------------------------------------------------

    def _sums(
        self,
        asked: _Pass,
        query: SumQuery,
        form: Shape,
        joint: Dataset,
        good: str | None,
        refusals: list[tuple[_Place, str, str]],
    ) -> list[_Place]:
        found: list[_Place] = []
        intervals = form.intervals
        for term in query.terms:
            at = len(found)
            if isinstance(term, Gram) and term.clusters:
                found += self._of_clusters(asked, query, term, form, joint, at, good, refusals)
            elif isinstance(term, Gram):
                self._gram(asked, term, intervals, form.scales, good, found)
            else:
                part = self._arithmetic.part(Mode.TERMS, term)
                found.append((asked, _sum(asked, part.number, intervals[at], form.scales[at], good)))
        return found

    def _of_clusters(
        self,
        asked: _Pass,
        query: SumQuery,
        term: Gram,
        form: Shape,
        joint: Dataset,
        at: int,
        good: str | None,
        refusals: list[tuple[_Place, str, str]],
    ) -> list[_Place]:
        """Return how many clusters, and sums of products of their own sums, which are exact before they are real."""
        cluster = value(self._index[term.clusters])
        group = canonical(SumQuery(dataset=query.dataset, group_by=query.group_by))
        name = b"\x00".join((group, cluster.encode(), (good or "").encode()))
        passes = self._passes.setdefault(name, _ClusterPass(asked.key))
        if not isinstance(passes, _ClusterPass):
            raise Misuse("two passes have one name")
        passes.cluster, passes.good = cluster, good
        own: list[exp.Expr] = []
        weight = self._weight(term.weight, good)
        for item, interval in zip(term.columns, weighted(term, joint), strict=True):
            made = self._weighted(weight, self._arithmetic.part(Mode.TERMS, item), is_whole=interval.integer)
            power = scale(interval)
            integers = (
                column(made) if interval.integer else as_whole(exp.Mul(this=column(made), expression=real(2.0**power)))
            )
            total = column(passes.of_cluster(exp.Sum(this=integers)))
            own.append(exp.Mul(this=as_real(total), expression=real(2.0**-power)))
        rows = passes.of_cluster(exp.Count(this=exp.Star()))
        most = exp.GT(this=column(rows), expression=whole(CLUSTER_ROWS))
        what = f"a cluster of more than {CLUSTER_ROWS} rows in one cell"
        refusals.append(((passes, passes.ask(exp.CountIf(this=most))), term.clusters, what))
        found: list[_Place] = [(passes, passes.ask(exp.Count(this=exp.Star())))]
        for i, left in enumerate(own):
            for right in own[i:]:
                product = exp.Mul(this=exp.Paren(this=left.copy()), expression=exp.Paren(this=right.copy()))
                grown = exp.Mul(this=exp.Paren(this=product), expression=real(2.0 ** form.scales[at + len(found)]))
                found.append((passes, passes.ask(exp.Sum(this=as_wide(grown)))))
        return found

    def _gram(
        self,
        asked: _Pass,
        term: Gram,
        intervals: tuple[Interval, ...],
        scales: tuple[int, ...],
        good: str | None,
        found: list[_Place],
    ) -> None:
        """Append the sums of (weight * x_i) * x_j; a row that does not count has no weight, which costs one test.

        Real ones take their power of two with weight * x_i, once for all x_j of one scale: the same bits for less.
        """
        weight = self._weight(term.weight, good)
        parts = [self._arithmetic.part(Mode.TERMS, item) for item in term.columns]
        for i, left in enumerate(parts):
            for right in parts[i:]:
                at = len(found)
                exact = intervals[at].integer
                weighted = self._weighted(weight, left, is_whole=exact)
                product: exp.Expr = column(weighted)
                if not exact:
                    product = column(self._layers.let(exp.Mul(this=product, expression=real(2.0 ** scales[at]))))
                if not is_one(right):
                    product = exp.Paren(this=exp.Mul(this=product, expression=right.number if exact else right.real))
                found.append((asked, asked.ask(exp.Sum(this=product if exact else as_whole(product)))))

    def _weight(self, weight: Expression, good: str | None) -> Part:
        part = self._arithmetic.part(Mode.TERMS, weight)
        if good is None:
            return part
        kept = when(column(good), part.number)
        return Part(column(self._layers.let(kept)), part.whole)

    def _weighted(self, weight: Part, left: Part, *, is_whole: bool) -> str:
        if is_one(left):
            return self._layers.let(weight.number if is_whole else weight.real)
        if is_one(weight):
            return self._layers.let(left.number if is_whole else left.real)
        a, b = (weight.number, left.number) if is_whole else (weight.real, left.real)
        return self._layers.let(exp.Paren(this=exp.Mul(this=a, expression=b)))


def sound(query: SumQuery, answer: Answer) -> frozenset[str]:
    """Return the columns that an answer shows to have a value in every row, finite and in the own range.

    It says so where it is over all rows and left nothing out. A value that is not finite is not seen where another
    condition settles what it would have said.
    """
    settled = any(isinstance(node, Both | Either) for node in ordered(roots(query)))
    return frozenset() if query.where is not None or any(answer.counts) or settled else frozenset(used(query))


def _sum(asked: _Pass, of: exp.Expr, found: Interval, scale: int, good: str | None) -> int:
    """Ask for the sum of a term's integers over the rows that count; without `good` the term is NULL in the others."""
    scaled = of if found.integer else as_whole(exp.Mul(this=of, expression=real(2.0**scale)))
    kept = scaled if good is None else when(column(good), scaled)
    return asked.ask(exp.Sum(this=kept))


def _complete(fate: str | None, condition: exp.Expr) -> exp.Expr:
    """Return the condition for complete rows."""
    return condition if fate is None else exp.And(this=absent(column(fate)), expression=condition)


def contained(names: Iterable[str], joint: Dataset, own: Dataset) -> None:
    """Check that the own range of every used number lies inside the joint one, from which the scales are."""
    ours, agreed = ({item.name: item for item in each.columns} for each in (own, joint))
    for name in names:
        mine, theirs = ours.get(name) or own.column(name), agreed.get(name) or joint.column(name)
        alike = (mine.kind, mine.categories, mine.missing, mine.levels)
        if alike != (theirs.kind, theirs.categories, theirs.missing, theirs.levels):
            raise Misuse(f"column {name!r} of data set {own.name!r} differs from the joint description")
        if mine.low is None or mine.high is None or theirs.low is None or theirs.high is None:
            continue
        if mine.low < theirs.low or mine.high > theirs.high:
            hint = "agree on the catalogue again"
            raise Misuse(f"the own range of column {name!r} is not inside the joint one", hint=hint)


def _conditioned(query: SumQuery) -> tuple[str, ...]:
    return () if query.where is None else columns((query.where,))
