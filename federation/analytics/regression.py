"""What all regressions of one response do first: read the formula, count levels, open the Gram, choose standards.

Where nothing is withheld, the counts of levels and the Gram about the middle of the declared ranges are one round; with
k > 1 the counts come first and alone, and nothing else is asked of a model whose levels are too small. The Gram gives
least squares their solution, and other families a place to start; its moments give the standards of what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, TypeAlias

from federation.analytics.asked import Asked, Frame, Matrix, Opened, ask, square
from federation.analytics.cells import left_out
from federation.analytics.design import ONE, Design, Merges, designed
from federation.analytics.estimates import RowsLeftOut
from federation.analytics.families import Binomial, Family
from federation.analytics.formula import parse, parse_number
from federation.analytics.formula_terms import Formula, Survival
from federation.analytics.linear import Dependent, Factored, factored
from federation.analytics.plan import Plan
from federation.analytics.standard import Row, Spread, Standard, centred, constant, declared, refined, undone
from federation.analytics.support import judged, separated, supports
from federation.analytics.weights import Weight, weight_of
from federation.domain.catalogue import Column, Dataset
from federation.errors import Misuse, did_you_mean
from federation.query.bounds import interval
from federation.query.expression import Col, Const, Expression, Gram
from federation.query.expression import columns as columns_of
from federation.query.query import MOST_NUMBERS

MOST_ITERATIONS: Final = 200

Groups: TypeAlias = tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
"""The parameter `collapse`: (column, groups of levels that are one)."""

Meat: TypeAlias = Callable[[Sequence[Expression]], Plan[list[list[Fraction]]]]
"""Asks for the covariance of the weighted sums of scores, an expression per coefficient: what a sandwich has inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is asked of a model, as parameters have it.

    Attributes:
        family: None for least squares.
        frequency: a column: a row of weight w counts as w rows; None for none.
        variance: a column: the variance of a row goes down with its weight; None for none.
        offset: a number per row, "" for none.
        ridge: factor of half the sum of squared coefficients, the intercept's left out, that is added to the loss.
        meat: of a robust covariance that `cov_type` only names; None for those that are known here.
    """

    statistic: str
    formula: str
    family: Family | None
    where: Expression | None
    joint: Dataset
    frequency: str | None = None
    variance: str | None = None
    offset: str = ""
    merges: Merges = ()
    ridge: float = 0.0
    cov_type: str = "nonrobust"
    maxiter: int = 50
    meat: Meat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A model whose formula was read.

    Attributes:
        response: the number that is explained.
        offset: what is added with coefficient 1; None for none.
        weight: prior weights of either kind.
        frame: rows and what each of them has.
    """

    model: Model
    formula: Formula
    response: Expression
    offset: Expression | None
    weight: Weight | None
    design: Design
    frame: Frame

    @property
    def weights(self) -> Expression | None:
        """The weight of a row, None for 1."""
        return None if self.weight is None else self.weight.of

    @property
    def is_binary(self) -> bool:
        """Whether the response is 0 or 1 by its declared range."""
        found = interval(self.response, self.model.joint)
        return found.integer and found.low >= 0 and found.high <= 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the catalogue says of the columns that the model reads."""
        weights = () if self.weights is None else (self.weights,)
        names = sorted({*columns_of((*self.frame.needs, self.response, *weights)), *self.frame.levels})
        return tuple(self.model.joint.column(name) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the first rounds gave.

    Attributes:
        design: without levels that no row has.
        may: which numbers are centred.
        standards: those that `opened` was asked with; the response's is the last.
        columns: the expressions of the design in these standards.
        opened: sums "gram" (columns, then what is explained), "spread", and those by the names of `_sums`.
        spreads: of the numbers, then of the response for least squares.
    """

    read: Read
    design: Design
    may: tuple[bool, ...]
    standards: tuple[Standard, ...]
    columns: tuple[Expression, ...]
    opened: Opened
    spreads: tuple[Spread, ...]
    left_out: RowsLeftOut
    empty: tuple[tuple[int, tuple[int, ...]], ...]
    notes: tuple[str, ...]
    rounds: int

    @property
    def frame(self) -> Frame:
        """The rows of the model, with what keeps them the same where a party withheld the Gram."""
        frame = self.read.frame
        if not self.opened.totals.withheld[0]:
            return frame
        return replace(frame, padding=(*self.columns, self.read.response))

    @property
    def gram(self) -> Matrix:
        """X'WX in the standards."""
        size = len(self.columns)
        return tuple(row[:size] for row in self.opened.matrix("gram")[:size])

    @property
    def right(self) -> tuple[Fraction, ...]:
        """X'W times what is explained."""
        return self.opened.matrix("gram")[-1][:-1]

    @property
    def squares(self) -> Fraction:
        """Weighted sum of squares of what is explained."""
        return self.opened.matrix("gram")[-1][-1]

    @property
    def rows(self) -> tuple[Row, ...]:
        """What each standardised column is in the design's own."""
        return undone(self.design, self.standards[: len(self.design.numbers)])

    @property
    def constant(self) -> Row | None:
        """The combination of columns that is 1 in every row."""
        return constant(self.design)

    @property
    def indicators(self) -> tuple[int, ...]:
        """Places of the columns that are 1 for some rows and 0 for the others."""
        return tuple(i for i, (numbers, levels) in enumerate(self.design.monomials) if levels and not numbers)

    def total(self, name: str) -> Fraction:
        """Return a sum by its name; those of ones and of weights that are 1 are the number of rows."""
        if name in self.opened.sums:
            return self.opened.one(name)
        return Fraction(self.opened.rows)

    @property
    def total_explained(self) -> Fraction:
        """Weighted sum of what least squares explain, in its standard."""
        return self.opened.one("explained")

    @property
    def nobs(self) -> Fraction:
        """Rows, or what they count as."""
        return self.total("weights") if self.read.model.frequency else Fraction(self.opened.rows)

    def penalty(self) -> Matrix | None:
        """Return the ridge in the standards: alpha times the sum of squares of the coefficients of the design."""
        alpha = Fraction(self.read.model.ridge)
        if not alpha:
            return None
        size = len(self.columns)
        rows = self.rows
        punished = [i for i, monomial in enumerate(self.design.monomials) if monomial != ((), ())]
        return tuple(
            tuple(
                alpha * sum((rows[i].get(a, Fraction(0)) * rows[j].get(a, Fraction(0)) for a in punished), Fraction(0))
                for j in range(size)
            )
            for i in range(size)
        )

    def covariance(self, inverse: Sequence[Sequence[Fraction]]) -> tuple[tuple[float, ...], ...]:
        """Return the covariance of the design's coefficients from that of the standardised ones."""
        size = len(self.columns)
        half = [[Fraction(0)] * size for _ in range(size)]
        for j, row in enumerate(self.rows):
            for a, factor in row.items():
                for k in range(size):
                    half[a][k] += factor * inverse[j][k]
        found = [[Fraction(0)] * size for _ in range(size)]
        for k, row in enumerate(self.rows):
            for b, factor in row.items():
                for a in range(size):
                    found[a][b] += half[a][k] * factor
        return tuple(tuple(float(value) for value in row) for row in found)

    def spread_of_errors(self, errors: Sequence[Fraction]) -> tuple[float, ...]:
        """Return bounds on the errors of the design's coefficients from those of the standardised ones."""
        found = [Fraction(0)] * len(errors)
        for row, error in zip(self.rows, errors, strict=True):
            for column, factor in row.items():
                found[column] += abs(factor) * error
        return tuple(float(value) for value in found)


def read(model: Model) -> Read:
    """Return the model with its formula read. Raises Misuse where it has no meaning over the catalogue."""
    joint = model.joint
    formula = parse(model.formula, joint)
    if isinstance(formula.response, Survival):
        raise Misuse(f"Surv(time, event) is not explained by {model.statistic}", hint="t.cox(...) explains it")
    if model.frequency and model.variance:
        raise Misuse("a model takes freq_weights= or var_weights=, not both")
    if not 1 <= model.maxiter <= MOST_ITERATIONS:
        raise Misuse(f"maxiter is 1 to {MOST_ITERATIONS}")
    response = formula.response.expression
    if model.family is not None:
        model.family.check(interval(response, joint))
    offsets = [number.expression for number in formula.offsets]
    if model.offset:
        offsets.append(parse_number(model.offset, joint).expression)
    offset = None
    for each in offsets:
        offset = each if offset is None else offset + each
    weight = weight_of(model.frequency or model.variance, joint)
    design = designed(formula, joint, model.merges)
    needs = [response if model.family is None else model.family.working(response)]
    needs += [number.of for number in design.numbers]
    needs += [Col(factor.column) for factor in design.factors if factor.whole]
    needs += [] if offset is None else [offset]
    needs += [] if weight is None else [weight.of]
    where = model.where if weight is None else weight.among(model.where)
    levels = tuple(sorted({factor.column for factor in design.factors if not factor.whole}))
    return Read(
        model=model,
        formula=formula,
        response=response,
        offset=offset,
        weight=weight,
        design=design,
        frame=Frame(joint=joint, where=where, needs=tuple(needs), levels=levels),
    )


def started(spec: Read) -> Plan[Start]:
    """Ask the first rounds of a model; see the module.

    Raises:
        Refused: rule "support", levels below k; or rule "contributors".
        Separated: a response of 0 and 1 that is all alike in some level.
    """
    design, k = spec.design, spec.frame.joint.k
    outcome = spec.response if spec.is_binary and isinstance(spec.model.family, Binomial) else None
    asked = supports(design, spec.frame, outcome)
    may = centred(design)
    standards = _declared(spec, design, may)
    question = _question(spec, design, standards)
    rounds = 1
    if k > 1 and asked:
        counted = yield tuple(support.query for support in asked)
        judged(design, asked, counted, k)
        (opened,) = yield (question.query,)
        rounds = 2
        empty: dict[int, tuple[int, ...]] = {}
    else:
        opened, *counts = yield (question.query, *(support.query for support in asked))
        verdict = judged(design, asked, counts, k)
        told = separated(design, verdict)
        if told is not None and not spec.model.ridge:
            raise told
        empty = {factor: tuple(sorted(levels)) for factor, levels in verdict.empty.items()}
    notes = _notes(design, empty)
    found = question.read(opened)
    left = left_out(question.query, opened, spec.frame.joint)
    slim = _without(designed(spec.formula, spec.frame.joint, spec.model.merges, empty), found, design, empty)
    if slim is not None:
        gone = [name for name in designed_names(spec, empty) if name not in slim.names]
        notes += tuple(f"left out: {name}, which no row has" for name in gone)
        design, may = slim, centred(slim)
        standards = _declared(spec, design, may)
        question = _question(spec, design, standards)
        (opened,) = yield (question.query,)
        rounds += 1
        found = question.read(opened, found.rows)
    return Start(
        read=spec,
        design=design,
        may=may,
        standards=standards,
        columns=in_standards(design, standards),
        opened=found,
        spreads=_spreads(spec, design, found, standards),
        left_out=left,
        empty=tuple(sorted(empty.items())),
        notes=notes,
        rounds=rounds,
    )


def again(start: Start) -> Plan[Start]:
    """Ask the Gram in the refined standards, which lose no digits."""
    standards = refined_standards(start)
    question = _question(start.read, start.design, standards)
    (opened,) = yield (question.query,)
    found = question.read(opened, start.opened.rows)
    return replace(
        start,
        standards=standards,
        columns=in_standards(start.design, standards),
        opened=found,
        spreads=_spreads(start.read, start.design, found, standards),
        rounds=start.rounds + 1,
    )


def refined_standards(start: Start) -> tuple[Standard, ...]:
    """Return the standards that the opened moments give, for the numbers and for the response if it has one."""
    joint = start.read.frame.joint
    numbers = [number.of for number in start.design.numbers]
    may = list(start.may)
    if len(start.standards) > len(numbers):
        numbers.append(_explained(start.read))
        may.append(start.constant is not None)
    return tuple(
        refined(before, spread, number, joint, centred=centre)
        for before, spread, number, centre in zip(start.standards, start.spreads, numbers, may, strict=True)
    )


def solved(start: Start) -> Factored | Dependent:
    """Return the factor of the Gram and the ridge, or the column that depends on others."""
    penalty = start.penalty()
    if penalty is None:
        return factored(start.gram)
    pairs = zip(start.gram, penalty, strict=True)
    return factored(tuple(tuple(x + p for x, p in zip(row, other, strict=True)) for row, other in pairs))


def effective(start: Start, inverse: Sequence[Sequence[float]], information: Matrix) -> Fraction:
    """Return how many parameters the fit has: columns, or with a ridge the trace of what it makes of responses."""
    if start.read.model.ridge == 0.0:
        return Fraction(len(start.columns))
    pairs = zip(inverse, information, strict=True)
    return sum((Fraction(x) * y for row, other in pairs for x, y in zip(row, other, strict=True)), Fraction(0))


def ridge_notes(start: Start, degrees: Fraction) -> tuple[str, ...]:
    """Return what is to be said of a penalised fit."""
    if start.read.model.ridge == 0.0:
        return ()
    count = float(start.nobs - degrees)
    return (f"ridge: {count:.4g} effective parameters; standard errors do not know of the bias of shrinking",)


def in_standards(design: Design, standards: Sequence[Standard]) -> tuple[Expression, ...]:
    """Return the expressions of a design's columns in these standards."""
    numbers = [standard.of(number.of) for standard, number in zip(standards, design.numbers, strict=False)]
    levels = design.indicators()
    return tuple(design.column(monomial, numbers, levels) for monomial in design.monomials)


def designed_names(spec: Read, empty: Mapping[int, Sequence[int]]) -> tuple[str, ...]:
    """Return the names of the columns without levels that no row has."""
    return designed(spec.formula, spec.frame.joint, spec.model.merges, empty).names


def _explained(spec: Read) -> Expression:
    """Return what least squares explain: the response less the offset."""
    return spec.response if spec.offset is None else spec.response - spec.offset


def _declared(spec: Read, design: Design, may: Sequence[bool]) -> tuple[Standard, ...]:
    joint = spec.frame.joint
    found = [declared(number.of, joint, centred=centre) for number, centre in zip(design.numbers, may, strict=True)]
    if spec.model.family is None:
        found.append(declared(_explained(spec), joint, centred=constant(design) is not None))
    return tuple(found)


def _question(spec: Read, design: Design, standards: Sequence[Standard]) -> Asked:
    """Return the query for the Gram, the spread of every number, and what deviance and likelihood need once."""
    columns = in_standards(design, standards)
    family, weights, y = spec.model.family, spec.weights, spec.response
    numbers = [standard.of(number.of) for standard, number in zip(standards, design.numbers, strict=False)]
    if family is None:
        explained = standards[-1].of(_explained(spec))
        numbers.append(explained)
    else:
        explained = family.working(y) if spec.offset is None else family.working(y) - spec.offset
    parts: dict[str, Gram | Sequence[Expression]] = {
        "gram": Gram(Const(1) if weights is None else weights, (*columns, explained)),
    }
    known = _in_gram(spec, design)
    if spreads := [each for i, x in enumerate(numbers) if i not in known for each in (x, x * x)]:
        parts["spread"] = spreads
    for name, expression in _sums(spec, explained).items():
        parts[name] = [expression]
    return ask(spec.frame, parts, complete=True)


def _sums(spec: Read, explained: Expression) -> dict[str, Expression]:
    """Return what is summed once, by name; what has a weight is multiplied by it."""
    family, weights, y = spec.model.family, spec.weights, spec.response

    def weighted(of: Expression) -> Expression:
        return of if weights is None else weights * of

    found: dict[str, Expression] = {}
    if weights is not None:
        found["weights"] = weights
    if spec.model.variance and weights is not None:
        found["logs"] = weights.log()
    if family is None:
        found["explained"] = weighted(explained)
        return found
    found["total"] = y
    found["response"] = weighted(y)
    constants = family.constants(y, interval(y, spec.frame.joint))
    found |= {name: weighted(each) for name, each in constants.items()}
    if spec.model.variance and weights is not None and family.dispersed:
        found["wlogs"] = weights * weights.log()
        found["plain"] = y.log()
    return found


def _in_gram(spec: Read, design: Design) -> dict[int, int]:
    """Return {number: column} of the numbers whose moments the Gram has: they stand alone, beside a constant."""
    if spec.weight is not None or ONE not in design.monomials:
        return {}
    alone = {monomial: column for column, monomial in enumerate(design.monomials)}
    found = {i: alone[((i, 1),), ()] for i in range(len(design.numbers)) if (((i, 1),), ()) in alone}
    return found if spec.model.family is not None else {**found, len(design.numbers): len(design.monomials)}


def _spreads(spec: Read, design: Design, opened: Opened, standards: Sequence[Standard]) -> tuple[Spread, ...]:
    known, found = _in_gram(spec, design), []
    sums, errors = opened.matrix("gram"), square(opened.errors["gram"])
    one = design.monomials.index(ONE) if known else 0
    at = 0
    for i, standard in enumerate(standards):
        if i in known:
            column = known[i]
            first, second, error = sums[one][column], sums[column][column], errors[column][column]
        else:
            first, second = opened.sums["spread"][at : at + 2]
            error = opened.errors["spread"][at + 1]
            at += 2
        unit = Fraction(2) ** standard.shift
        found.append(Spread(rows=opened.rows, first=first * unit, second=second * unit**2, error=error * unit**2))
    return tuple(found)


def _without(design: Design, opened: Opened, asked: Design, empty: Mapping[int, Sequence[int]]) -> Design | None:
    """Return the design without products of levels that no row has, None where it is the one that was asked."""
    matrix = opened.matrix("gram")
    gone = {asked.names[i] for i, (_, levels) in enumerate(asked.monomials) if len(levels) > 1 and matrix[i][i] == 0}
    kept = [i for i, name in enumerate(design.names) if name not in gone]
    if not empty and len(kept) == len(asked.names):
        return None
    return replace(
        design,
        names=tuple(design.names[i] for i in kept),
        monomials=tuple(design.monomials[i] for i in kept),
    )


def _notes(design: Design, empty: Mapping[int, Sequence[int]]) -> tuple[str, ...]:
    return tuple(
        f"left out: level {design.factors[factor].levels[level].label!r} of {design.factors[factor].text}, "
        "which no row has"
        for factor, levels in empty.items()
        for level in levels
    )


def merges_of(groups: Groups) -> Merges:
    """Return the parameter `collapse` as the design takes it: one pair per joined group."""
    return tuple((column, group) for column, joined in groups for group in joined)


def checked(cov_type: str, known: Sequence[str]) -> str:
    """Return the covariance's name. Raises Misuse where there is none of this name."""
    if cov_type not in known:
        raise Misuse(f"there is no covariance {cov_type[:40]!r} here", hint=did_you_mean(cov_type, known))
    return cov_type


def most_rounds(model: Model) -> int:
    """Return the most rounds of sums that a fit takes: support, two Grams, a refined one or the steps, two more."""
    read(model)
    return 5 + (2 if model.family is None else model.maxiter)


def later_numbers(model: Model) -> int:
    """Return the most numbers, flags included, of a round of the fit."""
    spec = read(model)
    size = len(spec.design.names) + 1
    sums = size * (size + 1) // 2 + 3 * size + 20
    counts = sum(len(column.missing) + 3 for column in spec.columns) + 1
    levels = 1
    for factor in spec.design.factors:
        levels *= 4 * (len(factor.levels) + 2)
    return sums + 2 * counts + min(levels, MOST_NUMBERS // 2) * (3 if spec.frame.joint.k == 1 else 0)
