"""Who has an event, who leaves and who is at risk, in bins of a public grid of times.

Rows are counted per bin and outcome; the risk set of a bin is what lies in it and after it, cumulated in public. Events
of a bin come before what is censored in it, as everywhere for equal times. So a grid that holds every event time in a
bin of its own gives the figures of the rows themselves, and a coarser one those of the rows with their times moved to
the left end of their bin.

Exact event times are a unit's own figures: the plan looks for them only where nobody withholds small cells and all
operators publish their own figures. Elsewhere the grid is 16 equal bins unless the question brings its own, since most
cells of a fine one would stay closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from federation.analytics import groups
from federation.analytics.asked import nothing
from federation.analytics.bins import MOST_STEPS, pieces, spread
from federation.analytics.cells import left_out, require_an_open_cell, rows_between, unit
from federation.analytics.estimates import Number, RowsLeftOut, Suppressed
from federation.analytics.ladder import NOTHING, Rows
from federation.analytics.plan import Plan
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query.bounds import interval
from federation.query.expression import Col, Compare, Const, Expression, Indicator, Term, Text, written
from federation.query.query import Argmin, Axis, Bins, Categories, SumQuery, Totals

FINEST = 2**20  # steps in the range of real times unless the question says otherwise
MOST_CELLS = 65_536  # of one round of a search for event times, over all groups
FEW_BINS = 16  # by default, where small cells are withheld
YES = ("yes", "true", "event", "dead", "died", "1")  # of two categories the one that is an event


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """How the rows of an event are told from those that are censored.

    Attributes:
        axis: one cell per value.
        size: how many.
        observed: the cell of rows with the event; all others are censored.
    """

    axis: Categories | Argmin
    size: int
    observed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clock:
    """A number per row that is a time, and the finest steps in which it is told.

    Attributes:
        name: as it was written.
        whole: whole numbers; then the steps are too.
        low: least time by the declared range.
        high: greatest one.
        start: left end of the first step.
        step: width of a step.
        size: number of steps; the last one holds `high`.
    """

    name: str
    of: Expression
    whole: bool
    low: Fraction
    high: Fraction
    start: Fraction
    step: Fraction
    size: int

    def edge(self, place: int) -> Number:
        """Return the left end of a step, rounded once."""
        found = self.start + place * self.step
        return found.numerator if self.whole else float(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """What is counted: times and outcomes, per group.

    Attributes:
        axes: of the groups; their cells come first in the order of the query's cells.
        labels: of the groups.
        bins: how many, or their edges; None looks for the event times where that is permitted.
        needs: numbers that a row must have to be counted.
    """

    clock: Clock
    outcome: Outcome
    axes: tuple[Axis, ...]
    labels: tuple[str, ...]
    bins: int | tuple[float, ...] | None
    needs: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of times.

    Attributes:
        start: left end; the event time, where the grid holds all of them.
        end: right end.
        events: rows with the event, least and most; None for no bound.
        censored: rows without.
    """

    start: Number
    end: Number
    events: Rows
    censored: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The rows of one group by their times, and what is withheld of them."""

    label: str
    bins: tuple[Bin, ...]
    suppressed: tuple[Suppressed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was opened.

    Attributes:
        edges: of the grid; bins lie between them, and below the first and above the last where times can be there.
        groups: in the order of the question's labels, all over the same bins.
        exact: whether each bin with events is one step of the clock.
    """

    edges: tuple[Number, ...]
    groups: tuple[Followed, ...]
    exact: bool
    left_out: RowsLeftOut
    parties: int


def clock(of: Expression, name: str, resolution: float | None, joint: Dataset) -> Clock:
    """Return the clock of a number per row.

    Args:
        of: the time.
        name: as it was written.
        resolution: width of the finest bin; None is 1 for whole numbers, and the range / 2^20 for real ones.
        joint: the joint description.

    Raises:
        Misuse: no number, or a resolution that is not above 0, not whole for whole numbers, or too fine.
    """
    bound = interval(of, joint)
    low, high = Fraction(bound.low), Fraction(bound.high)
    whole = bound.integer
    if resolution is None:
        step = Fraction(1) if whole or low == high else (high - low) / FINEST
        start = low
    else:
        step = Fraction(repr(resolution))  # 0.1 means a tenth, so that edges are the decimal numbers that data hold
        if step <= 0 or (whole and step.denominator != 1):
            raise Misuse(
                f"a resolution of {name!r} is {'a whole number' if whole else 'a number'} above 0",
                hint="it is the width of the finest bin, in the column's unit",
            )
        start = low if whole else (low / step).__floor__() * step
    size = math.floor((high - start) / step) + 1
    if size > MOST_STEPS or (not whole and step * MOST_STEPS < max(abs(low), abs(high))):
        raise Misuse(f"the resolution of {name!r} is finer than binary64 can tell apart", hint="use a larger one")
    return Clock(name=name, of=of, whole=whole, low=low, high=high, start=start, step=step, size=size)


def clock_of(column: str, resolution: float | None, joint: Dataset) -> Clock:
    """Return the clock of a column. Raises Misuse where it holds no numbers, and as `clock`."""
    kind = joint.column(column).kind
    if kind not in (Kind.INTEGER, Kind.REAL):
        raise Misuse(f"column {column!r} is of kind {kind.value} and holds no times", hint="a column of numbers")
    return clock(Col(column), column, resolution, joint)


def outcome_of(column: str, observed: str | int | None, joint: Dataset) -> Outcome:
    """Return how a column tells events from what is censored.

    Args:
        column: whole numbers or a category.
        observed: the value of an event; None is 1 of 0 and 1, or "yes", "true", "event", "dead" of two categories.
        joint: the joint description.

    Raises:
        Misuse: another kind of column, or a value that is not clear or not there.
    """
    declared = joint.column(column)
    low, high = declared.low or 0, declared.high or 0
    if declared.kind in (Kind.INTEGER, Kind.REAL) and low >= 0 and high <= 1 and observed in (None, 1):
        return _flag(Col(column))
    listed = groups.levels(column, joint)
    if observed is None and declared.kind is Kind.CATEGORY and len(listed) <= 2 and "2" not in listed:
        observed = next((level for level in listed if level.lower() in YES), None)
    if observed is None:
        raise Misuse(f"which value of {column!r} is an event is not clear", hint="say it with observed=")
    if str(observed) not in listed:
        raise Misuse(f"column {column!r} has no value {observed!r}", hint=did_you_mean(str(observed), listed))
    return Outcome(axis=groups.axis(column, joint), size=len(listed), observed=listed.index(str(observed)))


def outcome_in(event: Expression, joint: Dataset) -> Outcome:
    """Return the same for the event of a formula: a column, or `status == 2`. Raises Misuse as `outcome_of`."""
    match event:
        case Col(name):
            return outcome_of(name, None, joint)
        case Indicator(Compare("==", Col(name), Text(value))):
            return outcome_of(name, value, joint)
        case Indicator(Compare("==", Col(name), Const(int(value)))):
            return outcome_of(name, value, joint)
    bound = interval(event, joint)
    if bound.low < 0 or bound.high > 1:
        raise Misuse(f"{written(event, 80)} is not 0 or 1", hint="Surv(time, status == 2)")
    return _flag(event)


def question(
    clock: Clock,
    outcome: Outcome,
    by: groups.By,
    bins: int | tuple[float, ...] | None,
    joint: Dataset,
    needs: tuple[Expression, ...] = (),
) -> Question:
    """Return the question for counts per category of `by`. Raises Misuse for columns that do not group."""
    labels = groups.labels(by, joint)
    return Question(clock=clock, outcome=outcome, axes=groups.axes(by, joint), labels=labels, bins=bins, needs=needs)


def is_exact(question: Question, joint: Dataset) -> bool:
    """Return whether the plan may look for event times."""
    return question.bins is None and joint.k <= 1 and joint.own_figures


def rounds(question: Question, joint: Dataset) -> int:
    """Return the most rounds that `counted` asks for."""
    if not is_exact(question, joint):
        return 1
    return 1 + (-(-question.clock.size // _most(question)) - 1).bit_length()  # at least halved in each further one


def counted(question: Question, where: Expression | None, joint: Dataset) -> Plan[Counted]:
    """Ask for rows per group, bin and outcome; where that is permitted, ever finer bins around events.

    Raises:
        Misuse: bins that are none.
        Refused: rule "contributors", where nothing was opened.
    """
    places = _first(question, joint)
    while True:
        edges = _edges(question, places)
        query = counting(question, edges, (), where, joint)
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        spans = () if places is None else tuple(pairwise(places))
        if not is_exact(question, joint):
            break
        held = [span for at, span in enumerate(spans, start=1) if _events(question, edges, at, query, totals, joint)]
        wide = [(left, right) for left, right in held if right - left > 1]
        spans = tuple(held)
        if not wide:
            break
        fan = max(2, _most(question) // len(wide))
        ends = {end for span in held for end in span}
        places = tuple(sorted({0, question.clock.size, *ends, *(p for span in wide for p in pieces(*span, fan))}))
    return Counted(
        edges=edges,
        groups=tuple(_followed(question, group, edges, query, totals, joint) for group in range(len(question.labels))),
        exact=places is not None and all(right - left == 1 for left, right in spans),
        left_out=left_out(query, totals, joint),
        parties=totals.parties,
    )


def grid(question: Question, joint: Dataset) -> tuple[Number, ...]:
    """Return the edges that are asked first, all of them where event times are not looked for. Raises as `counted`."""
    return _edges(question, _first(question, joint))


def counting(
    question: Question, edges: Sequence[Number], terms: Iterable[Term], where: Expression | None, joint: Dataset
) -> SumQuery:
    """Return the query for sums of `terms` and for rows, per group, bin and outcome; rows are the last number."""
    per = unit(joint)
    asked = (*terms, *((nothing(question.needs),) if question.needs else ()))
    return SumQuery(
        dataset=joint.name,
        where=where,
        per=per,
        group_by=(*question.axes, Bins(question.clock.of, tuple(edges)), question.outcome.axis),
        terms=(*asked, Const(1)) if asked or per else (),
    )


def at_risk(bins: Sequence[Bin]) -> list[Rows]:
    """Return the rows of each bin and of all after it, least and most."""
    found: list[Rows] = []
    low, high = 0, 0
    unbounded = False
    for each in reversed(bins):
        for least, most in (each.events, each.censored):
            low += least
            high += most or 0
            unbounded = unbounded or most is None
        found.append((low, None if unbounded else high))
    return found[::-1]


def cell(question: Question, edges: Sequence[Number], group: int, place: int, value: int) -> int:
    """Return the cell of a group, of a bin (0 lies below the first edge) and of a value of the outcome."""
    return (group * (len(edges) + 1) + place) * question.outcome.size + value


def inner(question: Question, edges: Sequence[Number]) -> range:
    """Return the bins in which times can lie by their declared range, of `len(edges) + 1` in all."""
    first = 0 if question.clock.low < edges[0] else 1
    return range(first, len(edges) + (1 if question.clock.high > edges[-1] else 0))


def between(question: Question, edges: Sequence[Number], place: int) -> tuple[Number, Number]:
    """Return the ends of a bin."""
    low, high = (_end(question, end) for end in (question.clock.low, question.clock.high))
    return edges[place - 1] if place else low, edges[place] if place < len(edges) else high


def _flag(of: Expression) -> Outcome:
    return Outcome(axis=Argmin((of**2, (of - 1) ** 2)), size=2, observed=1)


def _most(question: Question) -> int:
    """Most bins of a round of a search."""
    return max(2, MOST_CELLS // (len(question.labels) * question.outcome.size))


def _first(question: Question, joint: Dataset) -> tuple[int, ...] | None:
    """Return the first edges as places of the clock; None where the question brings its own."""
    if question.bins is not None:
        return None
    return pieces(0, question.clock.size, _most(question) if is_exact(question, joint) else FEW_BINS)


def _edges(question: Question, places: Sequence[int] | None) -> tuple[Number, ...]:
    clock = question.clock
    if places is not None:
        return tuple(clock.edge(place) for place in places)
    kind = Kind.INTEGER if clock.whole else Kind.REAL
    low, high = _end(question, clock.low), _end(question, clock.high)
    bins = question.bins
    if bins is None:
        raise Misuse("a grid has places or bins")
    return spread(Column(name=clock.name, kind=kind, low=low, high=high), bins, None, None)


def _end(question: Question, value: Fraction) -> Number:
    return value.numerator if question.clock.whole else float(value)


def _events(
    question: Question, edges: Sequence[Number], place: int, query: SumQuery, totals: Totals, joint: Dataset
) -> int:
    """Return the opened events of a bin, over all groups."""
    cells = (cell(question, edges, group, place, question.outcome.observed) for group in range(len(question.labels)))
    return sum(rows_between(query, totals, at, joint)[0] for at in cells)


def _followed(
    question: Question, group: int, edges: Sequence[Number], query: SumQuery, totals: Totals, joint: Dataset
) -> Followed:
    label = question.labels[group]
    before = "" if label == groups.ALL_ROWS else f"{label}: "
    bins: list[Bin] = []
    suppressed: list[Suppressed] = []
    for place in inner(question, edges):
        start, end = between(question, edges, place)
        events, censored = NOTHING, NOTHING
        for value in range(question.outcome.size):
            at = cell(question, edges, group, place, value)
            rows = rows_between(query, totals, at, joint)
            is_event = value == question.outcome.observed
            if is_event:
                events = rows
            else:
                censored = _added(censored, rows)
            if totals.withheld[at] or totals.closed[at]:
                what = f"{before}{'events' if is_event else 'censored'} in [{start}, {end})"
                shut = totals.closed[at] or totals.withheld[at] >= totals.parties
                suppressed.append(Suppressed(what=what, withheld=totals.withheld[at], closed=shut, interval=rows))
        bins.append(Bin(start=start, end=end, events=events, censored=censored))
    return Followed(label=label, bins=tuple(bins), suppressed=tuple(suppressed))


def _added(one: Rows, other: Rows) -> Rows:
    return one[0] + other[0], None if one[1] is None or other[1] is None else one[1] + other[1]
