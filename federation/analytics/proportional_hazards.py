"""Fits Cox's model: a grid of times and the spread of numbers first, then Newton steps, each one secure sum per bin.

A round asks, at one b and per stratum, bin and outcome, the Gram of (1, x) weighted by exp(x'b); risk sets cumulated
in public give likelihood, score and information exactly as pooled rows would (`hazards`). Where a bin holds each
event time, that is Cox's model of the rows themselves. A step that does not raise the likelihood is halved. Numbers are
centred and scaled before (`standard`), which leaves risks as they are and the digits where they belong.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

from federation.analytics import survival
from federation.analytics.asked import HALF, Frame, ask
from federation.analytics.cells import left_out
from federation.analytics.design import Design, Merges, designed
from federation.analytics.estimates import Number, RowsLeftOut
from federation.analytics.formula import parse
from federation.analytics.formula_terms import Formula, Survival
from federation.analytics.groups import By
from federation.analytics.groups import columns as named
from federation.analytics.groups import declared as declared_of
from federation.analytics.hazards import TIES, Likelihood, Tied, likelihood
from federation.analytics.linear import Dependent, Factored, factored, singular
from federation.analytics.moments import ROUNDING
from federation.analytics.plan import Plan, abreast
from federation.analytics.standard import Spread, Standard, centred, declared, refined
from federation.analytics.support import Separated, Support, judged, supports
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Misuse, Refused
from federation.query import exact
from federation.query.expression import Col, Compare, Const, Expression, Gram, Text, total
from federation.query.query import MOST_NUMBERS, SumQuery, Totals, shape

MOST_ITERATIONS: Final = 200
CLOSE: Final = 1e-18  # square of the step, in units of its standard error, per event
NOISE: Final = 1e-9  # the same below which rounding may be all that is left of the score
MOST_HALVINGS: Final = 12
RUNAWAY: Final = 4  # steps in a row that do not shrink although the likelihood has settled
FLOOR: Final = -700.0  # of exponents
MORE_REACH: Final = 6.0
MOST_REACH: Final = 300.0

Bins: TypeAlias = int | tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is asked, as parameters have it, with its formula read.

    Attributes:
        formula: of a survival response, with the intercept that every hazard has.
        design: its columns; the first is the intercept, which the likelihood does not know.
        frame: rows, and what each of them has.
        event: 1 for a row with the event, else 0.
        question: times, outcomes and strata.
    """

    formula: Formula
    merges: Merges
    ties: str
    maxiter: int
    design: Design
    frame: Frame
    event: Expression
    question: survival.Question

    @property
    def joint(self) -> Dataset:
        """The joint description."""
        return self.frame.joint


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the first rounds gave: the grid, the standards of numbers, and the design without levels that no row has."""

    model: Model
    design: Design
    standards: tuple[Standard, ...]
    counted: survival.Counted
    edges: tuple[Number, ...]
    rows: int
    units: int
    withheld: int
    empty: tuple[tuple[int, tuple[int, ...]], ...]
    left_out: RowsLeftOut
    rounds: int

    @property
    def columns(self) -> tuple[Expression, ...]:
        """The design's columns in the standards, the intercept left out."""
        numbers = [each.of(number.of) for each, number in zip(self.standards, self.design.numbers, strict=True)]
        levels = self.design.indicators()
        return tuple(self.design.column(monomial, numbers, levels) for monomial in self.design.monomials[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return self.design.names[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where it ended, in the standards.

    Attributes:
        coefficients: the last b and its step.
        inverse: of the information.
        log: log-likelihood at the coefficients; `null` at 0.
        score_test: score' inverse score at 0.
        hazards: per stratum and bin, events over the sum of exp(x'b) at risk.
        means: of the columns.
        events: opened ones.
        errors: per coefficient, a bound on what rounding of rows did to it.
    """

    coefficients: tuple[float, ...]
    inverse: tuple[tuple[float, ...], ...]
    log: float
    null: float
    score_test: float
    hazards: tuple[tuple[float, ...], ...]
    means: tuple[float, ...]
    events: int
    errors: tuple[float, ...]
    converged: bool
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one round opened."""

    strata: tuple[tuple[Tied, ...], ...]
    scales: tuple[int, ...]
    steps: tuple[float, ...]
    rows: int
    mass: float  # sum of exp(x'b) over all rows
    sums: tuple[float, ...]  # of the columns, weighted, over all rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """What is known at one b, and the step from it."""

    b: tuple[float, ...]
    log: float
    found: Likelihood
    factor: Factored
    step: tuple[float, ...]
    gain: float


def read(
    text: str,
    ties: str,
    within: By,
    where: Expression | None,
    joint: Dataset,
    *,
    bins: Bins,
    resolution: float | None,
    merges: Merges,
    maxiter: int,
) -> Model:
    """Return the model with its formula read. Raises Misuse where it has no meaning over the catalogue."""
    formula = parse(text, joint)
    if not isinstance(formula.response, Survival):
        raise Misuse("this model explains Surv(time, event)", hint="Surv(time, event) ~ age + C(sex)")
    if ties not in TIES:
        raise Misuse(f"ties is {' or '.join(map(repr, TIES))}")
    if formula.offsets or not formula.intercept:
        raise Misuse(
            "a formula of Cox's model has neither offset(...) nor - 1",
            hint="the baseline hazard is the intercept, and is never estimated with the others",
        )
    if not formula.terms:
        raise Misuse("the model has no term", hint="t.kaplan_meier(...) is the survival of all rows")
    if not 1 <= maxiter <= MOST_ITERATIONS:
        raise Misuse(f"maxiter is 1 to {MOST_ITERATIONS}")
    strata = tuple(dict.fromkeys((*formula.strata, *named(within))))
    time, event = formula.response.time, formula.response.event.expression
    design = designed(formula, joint, merges)
    needs = [number.of for number in design.numbers] + [factor.indicator(factor.ref) for factor in design.factors]
    needs += [time.expression, event, *(_held(name, joint) for name in strata)]
    frame = Frame(joint=joint, where=where, needs=tuple(needs))
    clock = survival.clock(time.expression, time.text, resolution, joint)
    outcome = survival.outcome_in(event, joint)
    question = survival.question(clock, outcome, strata or None, bins, joint, frame.needs)
    return Model(
        formula=formula,
        merges=merges,
        ties=ties,
        maxiter=maxiter,
        design=design,
        frame=frame,
        event=event,
        question=question,
    )


def most_rounds(model: Model) -> int:
    """Return the most rounds of sums."""
    return int(model.joint.k > 1) + survival.rounds(model.question, model.joint) + model.maxiter


def later_numbers(model: Model) -> int:
    """Return the most numbers, flags included, of a round after the first: of a step, or of the grid and the spread."""
    if survival.is_exact(model.question, model.joint):
        return MOST_NUMBERS  # as many bins as there are event times
    design = model.design
    columns = [design.column(each, [n.of for n in design.numbers], design.indicators()) for each in design.monomials]
    gram = Gram(Const(1), tuple(columns))
    edges = survival.grid(model.question, model.joint)
    form = shape(survival.counting(model.question, edges, (gram,), model.frame.where, model.joint), model.joint)
    return form.numbers + form.rows + 2 * len(design.numbers) + 2 * len(form.counts) + 5


def started(model: Model) -> Plan[Start]:
    """Ask the first rounds: support where small cells are withheld, then the grid and the spread of numbers.

    Raises:
        Refused: rule "support", levels below k; or rule "contributors", also where no event was opened.
        JobFailed: no row has the event, where nothing is withheld.
    """
    joint, design = model.joint, model.design
    rounds = 0
    asked: tuple[Support, ...] = ()
    if joint.k > 1:
        first = tuple(support for support in supports(design, model.frame, model.event) if support.factors)
        if first:  # events alone are cells of the grid, and withheld there
            counts = yield tuple(support.query for support in first)
            judged(design, first, counts, joint.k)
            rounds = 1
    else:
        asked = supports(design, model.frame, None)
    plans: list[Plan[Any]] = [survival.counted(model.question, model.frame.where, joint), _spread(model, asked)]
    counted, (standards, empty, opened, left) = yield from abreast(plans)
    places = [i for i in range(len(counted.groups[0].bins)) if any(g.bins[i].events[0] for g in counted.groups)]
    if not places and joint.k > 1:
        raise Refused(
            "fewer than 3 parties have enough events in any bin of times, so no risk set was opened",
            rule="contributors",
            hint="wider bins=, widen `where`, or ask more parties",
        )
    if not places:
        raise JobFailed("no row has the event", hint="another event, or fewer conditions")
    edges = counted.edges
    if survival.is_exact(model.question, joint):  # between two event times nobody's risk changes
        bins = counted.groups[0].bins
        edges = tuple(dict.fromkeys((*(bins[i].start for i in places), edges[-1])))
    kept = dict(empty)
    return Start(
        model=model,
        design=designed(model.formula, joint, model.merges, kept),
        standards=standards,
        counted=counted,
        edges=edges,
        rows=opened.rows,
        units=opened.units,
        withheld=opened.totals.withheld[0],
        empty=empty,
        left_out=left,
        rounds=rounds + 1,
    )


def fitted(start: Start) -> Plan[Fit]:
    """Fit; see the module.

    Raises:
        Singular: a column is a combination of others.
        Separated: coefficients without a finite value.
        JobFailed: risks beyond e^300, or other rows than before.
    """
    model, columns = start.model, start.columns
    size = len(columns)
    reach = exact.ln(max(float(start.rows), 1.0)) + 3.0
    b = (0.0,) * size
    best: _Point | None = None
    origin: tuple[_Read, _Point] | None = None
    rounds, halvings, share, stuck, converged = 0, 0, 1.0, 0, False
    while rounds < model.maxiter:
        query = _question(start, columns, b, reach)
        (totals,) = yield (query,)
        rounds += 1
        opened = _read(start, query, totals, rows=None if origin is None else origin[0].rows)
        if opened.mass >= exact.exp(reach) * (1 - 2.0**-20):  # if an exponent was clipped, the sum is at least this
            reach += MORE_REACH
            if reach > MOST_REACH:
                raise JobFailed("risks grow beyond e^300", hint="leave a column out")
            continue
        seen = _observed(origin[0] if origin else opened, size)
        events = sum(each.events for bins in opened.strata for each in bins)
        point = _point(b, opened, seen, model.ties, start.names)
        if origin is None:
            origin = opened, point
        if best is not None and point.log < best.log - abs(best.log) / 2**44 and best.gain > NOISE * events:
            if halvings == MOST_HALVINGS:
                break
            halvings, share = halvings + 1, share / 2
            b = _moved(best, share)
            continue
        stuck = stuck + 1 if best is not None and _runs_away(best, point, events) else 0
        if stuck >= RUNAWAY:
            raise _separated(point, start.names)
        settled = best is not None and point.gain < NOISE * events and point.gain > best.gain / 4
        best, share, halvings = point, 1.0, 0
        if point.gain <= CLOSE * events or settled:
            converged = True
            break
        b = _moved(point, 1.0)
    if best is None or origin is None:
        raise JobFailed("a model needs at least one round", hint="raise maxiter")
    return _fit(best, origin, converged=converged, rounds=rounds)


def _held(name: str, joint: Dataset) -> Expression:
    """Return a number that every row with a value of the column has."""
    column = declared_of(name, joint)
    if column.kind is Kind.CATEGORY:
        return Compare("==", Col(column.name), Text(column.categories[0])).indicator()
    return Col(name)


def _spread(model: Model, asked: Sequence[Support]) -> Generator[Any, Any, tuple[Any, ...]]:
    """Ask for the moments of numbers and the counts of levels; return standards, levels without rows, what opened."""
    joint, design = model.joint, model.design
    may = centred(design)
    before = [declared(number.of, joint, centred=centre) for number, centre in zip(design.numbers, may, strict=True)]
    held = [each.of(number.of) for each, number in zip(before, design.numbers, strict=True)]
    question = ask(model.frame, {"spread": [each for x in held for each in (x, x * x)]})
    answer, *counts = yield (question.query, *(support.query for support in asked))
    opened = question.read(answer)
    verdict = judged(design, asked, counts, joint.k)
    empty = tuple(sorted((factor, tuple(sorted(levels))) for factor, levels in verdict.empty.items()))
    standards = []
    for place, (each, number, centre) in enumerate(zip(before, design.numbers, may, strict=True)):
        grown = Fraction(2) ** each.shift
        sums, errors = opened.sums["spread"], opened.errors["spread"]
        spread = Spread(
            rows=opened.rows,
            first=sums[2 * place] * grown,
            second=sums[2 * place + 1] * grown**2,
            error=errors[2 * place + 1] * grown**2,
        )
        standards.append(refined(each, spread, number.of, joint, centred=centre))
    return tuple(standards), empty, opened, left_out(question.query, answer, joint)


def _question(start: Start, columns: Sequence[Expression], b: Sequence[float], reach: float) -> SumQuery:
    weight: Expression = Const(1)
    if any(b):
        weight = total(x * value for x, value in zip(columns, b, strict=True)).clip(FLOOR, reach).exp()
    model = start.model
    count = (len(start.edges) + 1) * len(model.question.labels) * model.question.outcome.size
    if count * (3 + (len(columns) + 1) * (len(columns) + 2) // 2) > MOST_NUMBERS:
        raise Misuse(
            f"{len(start.edges)} event times and {len(columns)} columns are too much for one round",
            hint="a coarser grid: bins= or resolution=",
        )
    gram = Gram(weight, (Const(1), *columns))
    return survival.counting(model.question, start.edges, (gram,), model.frame.where, model.joint)


def _read(start: Start, query: SumQuery, totals: Totals, rows: int | None) -> _Read:
    """Return what was opened, per stratum and bin; the last but one number is zero, the last counts rows."""
    question, joint = start.model.question, start.model.joint
    form = shape(query, joint)
    size = form.terms - 2
    scales = (*form.scales[:size], 0)
    steps = [
        0.0 if found.integer else float(HALF / Fraction(2) ** scale + ROUNDING * Fraction(found.bound))
        for found, scale in zip(form.intervals[:size], scales, strict=False)
    ]

    def numbers(at: int) -> tuple[int, ...]:
        return (*totals.table[at][1 : 1 + size], totals.table[at][-1])

    everything = [sum(column) for column in zip(*map(numbers, range(form.cells)), strict=True)]
    if rows is not None and rows != everything[-1]:
        raise JobFailed("the rows changed while the model was fitted", hint="ask again")
    strata = []
    for stratum in range(len(question.labels)):
        bins = []
        for place in survival.inner(question, start.edges):
            cells = [
                numbers(survival.cell(question, start.edges, stratum, place, value))
                for value in range(question.outcome.size)
            ]
            of_events = cells.pop(question.outcome.observed)
            others = tuple(sum(column) for column in zip(*cells, strict=True)) or (0,) * (size + 1)
            bins.append(Tied(of_events[-1], of_events, others))
        strata.append(tuple(bins))
    count = len(start.names)
    return _Read(
        strata=tuple(strata),
        scales=scales,
        steps=tuple(steps),
        rows=everything[-1],
        mass=exact.unscaled(everything[0], scales[0]),
        sums=tuple(exact.unscaled(everything[j], scales[j]) for j in range(1, count + 1)),
    )


def _observed(origin: _Read, size: int) -> list[float]:
    """Return the sums of the columns over events, from the round at 0, where every row weighs 1."""
    every = [each.of_events for bins in origin.strata for each in bins if each.events]
    return [exact.unscaled(sum(numbers[j] for numbers in every), origin.scales[j]) for j in range(1, size + 1)]


def _point(b: tuple[float, ...], opened: _Read, seen: Sequence[float], ties: str, names: Sequence[str]) -> _Point:
    found = likelihood(opened.strata, opened.scales, opened.steps, ties, len(b))
    factor = factored(tuple(tuple(Fraction(value) for value in row) for row in found.information))
    if isinstance(factor, Dependent):
        raise singular(factor, names)
    score = [x - pulled for x, pulled in zip(seen, found.pulled, strict=True)]
    step = tuple(factor.quick(score))
    return _Point(
        b=b,
        log=exact.dot(seen, b) + found.log,
        found=found,
        factor=factor,
        step=step,
        gain=exact.dot(step, score),
    )


def _moved(point: _Point, share: float) -> tuple[float, ...]:
    return tuple(x + share * s for x, s in zip(point.b, point.step, strict=True))


def _runs_away(before: _Point, now: _Point, events: int) -> bool:
    """Return whether the likelihood has settled while b goes on in steps that do not shrink."""
    last, step = max(map(abs, before.step)), max(map(abs, now.step))
    return now.gain < 1e-2 * events and step > last / 2 and now.gain > CLOSE * events


def _separated(point: _Point, names: Sequence[str]) -> Separated:
    longest = max(map(abs, point.step))
    grown = [name for name, s in zip(names, point.step, strict=True) if abs(s) > longest / 2]
    listed = ", ".join(map(repr, grown[:5])) + (", ..." if len(grown) > 5 else "")
    return Separated(
        f"separation: events are told perfectly in some direction, and {listed} would grow for ever",
        hint="leave the column out, or `collapse=` its levels",
    )


def _fit(best: _Point, origin: tuple[_Read, _Point], *, converged: bool, rounds: int) -> Fit:
    opened, first = origin
    inverse = best.factor.inverse()
    errors = [sum(abs(x) * e for x, e in zip(row, best.found.errors, strict=True)) for row in inverse]
    return Fit(
        coefficients=_moved(best, 1.0) if converged else best.b,
        inverse=tuple(map(tuple, inverse)),
        log=best.log + (best.gain / 2 if converged else 0.0),
        null=first.log,
        score_test=first.gain,
        hazards=best.found.hazards,
        means=tuple(x / opened.rows for x in opened.sums),
        events=sum(each.events for bins in opened.strata for each in bins),
        errors=tuple(errors),
        converged=converged,
        rounds=rounds,
    )
