"""Newton steps on a deviance, each one secure sum, for any `Family`: few rounds, and no more sums than they need.

A full round asks, at one b, the Gram of the information, the score and the loss; a slim one the score and the loss, and
learns the information from how the score changed (the BFGS update: Nocedal and Wright, Numerical Optimization, 2006,
section 6.1). The first round is full, those in the middle may be slim, and the last one, which the covariance is made
of, is full again. Where a step does not lower the loss, half of it is tried. It ends where the step moves eta, in the
mean over the information, by less than 5 * 10^-9: errors go down with the square, so the next b is right to the last
digit and the covariance, of the b before, to a few 10^-9. A step that stays as long as the one before while the
information of eta vanishes is separation: some coefficient has no finite value.

Everything that decides a further query is Python integers, Fractions, or binary64 in written order (DESIGN section 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from federation.analytics.asked import Asked, Frame, Matrix, Opened, ask
from federation.analytics.families import Family
from federation.analytics.linear import Dependent, Factored, factored, multiplied, quadratic, singular
from federation.analytics.plan import Plan
from federation.analytics.support import Separated
from federation.errors import JobFailed
from federation.query import exact
from federation.query.expression import Const, Expression, Gram, total

CLOSE: Final = 5e-9  # the step in eta, in the mean over the information
SLIM_BELOW: Final = 0.2  # step after which the information is known well enough for slim rounds
SLIM_ABOVE: Final = 3e-4  # expected step for which a full round pays: the one after it is the last
SHRINKS: Final = 0.3  # of a step to the one before, for slim rounds
NOISE: Final = 1e-24  # the same below which the loss does not tell better from worse
MOST_HALVINGS: Final = 12
RUNAWAY: Final = 4  # steps in a row that do not shrink although the loss has settled
MORE_REACH: Final = 6.0
MOST_REACH: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is fitted, in the columns of a standardised design.

    Attributes:
        columns: one expression per coefficient.
        names: of the coefficients.
        weights: prior weights, None for 1.
        penalty: a symmetric matrix P; half of b'Pb is added to the loss. None for none.
        reach: as `Family.reach`.
        rows: how many rows there are.
        indicators: places of columns that are 1 for some rows and 0 for the others.
        complete: whether columns, response, offset and weights are all that the frame needs.
    """

    frame: Frame
    family: Family
    columns: tuple[Expression, ...]
    names: tuple[str, ...]
    response: Expression
    offset: Expression | None
    weights: Expression | None
    penalty: Matrix | None
    reach: float
    rows: int
    indicators: tuple[int, ...] = ()
    complete: bool = True

    @property
    def has_expected(self) -> bool:
        """Whether the expected information is another than the observed one."""
        return self.family.step(self.response, Const(0.0), self.reach).expected is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where it ended.

    Attributes:
        coefficients: the last b and its step.
        information: X'WX at the last b, without the penalty.
        inverse: of information and penalty, in binary64.
        loss: weighted sum of losses at the coefficients, without the penalty.
        errors: bounds on what rounding of rows did to the coefficients.
        rounds: secure sums that it took, halved steps included.
        reach: where exponents were clipped.
        opened: the last round.
    """

    coefficients: tuple[Fraction, ...]
    information: Matrix
    inverse: tuple[tuple[float, ...], ...]
    loss: Fraction
    loss_error: Fraction
    errors: tuple[Fraction, ...]
    converged: bool
    rounds: int
    reach: float
    opened: Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """What is known at one b, and the step from it."""

    b: tuple[Fraction, ...]
    loss: Fraction  # with the penalty
    score: tuple[float, ...]  # with the penalty
    information: Matrix  # without it; of the last round that had one
    factor: Factored  # of what the step is made with
    step: tuple[float, ...]
    gain: float  # step' matrix step
    moves: float  # the step in eta, in the mean over the information
    opened: Opened


def linear_predictor(columns: Sequence[Expression], b: Sequence[Fraction], offset: Expression | None) -> Expression:
    """Return x'b + offset."""
    parts = [
        Const(float(value)) if isinstance(x, Const) and x.value == 1 else x * float(value)
        for x, value in zip(columns, b, strict=True)
    ]
    return total([*parts, *([] if offset is None else [offset])])


class Kind(Enum):
    """What a round asks for."""

    FULL = "full"  # observed information, score, loss
    SLIM = "slim"  # score, loss
    LAST = "last"  # expected information, score, loss; of families where it is not the observed one


def fitted(problem: Problem, start: Sequence[Fraction], most_rounds: int) -> Plan[Fit]:
    """Fit; see the module.

    Raises:
        Singular: a column is a combination of others.
        Separated: coefficients without a finite value.
        JobFailed: fitted values beyond e^300.
    """
    search = _Search(problem, problem.reach, _rounded(start))
    while search.rounds < most_rounds and not search.is_over:
        if search.rounds == most_rounds - 1:
            search.kind = Kind.LAST if problem.has_expected else Kind.FULL
        question = _question(problem, search.b, search.reach, search.kind)
        (totals,) = yield (question.query,)
        search.took(question.read(totals, problem.rows))
    return search.fit()


@dataclass(slots=True)
class _Search:
    """Where a fit stands.

    Attributes:
        b: where the next round asks.
        best: the least loss so far.
        known: the last round that had an information.
    """

    problem: Problem
    reach: float
    b: tuple[Fraction, ...]
    kind: Kind = Kind.FULL
    best: _Point | None = None
    known: _Point | None = None
    halvings: int = 0
    stuck: int = 0
    rounds: int = 0
    is_over: bool = False
    converged: bool = False

    def took(self, opened: Opened) -> None:
        """Go on from what a round opened at `b`."""
        self.rounds += 1
        problem, before = self.problem, self.best
        loss = _loss(problem, self.b, opened)
        if before is not None and loss > before.loss + abs(before.loss) / 2**44 and before.gain > NOISE * problem.rows:
            self.is_over = self.halvings == MOST_HALVINGS
            self.halvings, self.kind = self.halvings + 1, Kind.FULL
            self.b = _moved(before, 0.5**self.halvings)
            return
        point = _point(problem, self.b, opened, loss, self.kind, before)
        self.stuck = self.stuck + 1 if before is not None and _runs_away(before, point, problem.rows) else 0
        if self.stuck >= RUNAWAY and problem.penalty is None:
            raise _separated(problem, point)
        self.best, self.halvings = point, 0
        self.known = self.known if self.kind is Kind.SLIM else point
        if "mass" in opened.sums and float(opened.one("mass")) >= exact.exp(self.reach) * (1 - 2.0**-20):
            self.reach, self.kind = self.reach + MORE_REACH, Kind.FULL  # an exponential may have been clipped
            if self.reach > MOST_REACH:
                raise JobFailed("fitted values grow beyond e^300", hint="scale the response, or leave a column out")
            return
        last = Kind.LAST if problem.has_expected else Kind.FULL
        if self.kind is last and point.moves <= CLOSE:
            self.is_over = self.converged = True
            return
        self.kind = self._next(before, point)
        self.b = _moved(point, 1.0)

    def _next(self, before: _Point | None, point: _Point) -> Kind:
        """Return what to ask next, by the step that is to be expected there."""
        ratio = point.moves if before is None or not before.moves else point.moves / before.moves
        expected = point.moves * (point.moves if self.kind is not Kind.SLIM else ratio)
        if self.problem.has_expected:
            return Kind.LAST if expected <= CLOSE else Kind.FULL
        if expected <= SLIM_ABOVE or point.moves > SLIM_BELOW or ratio > SHRINKS:
            return Kind.FULL
        return Kind.SLIM

    def fit(self) -> Fit:
        """Return where it ended."""
        best, known = self.best, self.known
        if best is None or known is None:
            raise JobFailed("a model needs at least one round", hint="raise maxiter")
        inverse = known.factor.inverse()
        errors = best.opened.errors
        bounds = [
            sum((abs(Fraction(cell)) * e for cell, e in zip(row, errors["score"], strict=True)), Fraction(0))
            for row in inverse
        ]
        step = [Fraction(s) for s in best.step]
        loss, coefficients = best.opened.one("loss"), best.b
        if self.converged:  # what the last step changes, to second order
            penalty = self.problem.penalty
            pulled = Fraction(0) if penalty is None else _inner(multiplied(penalty, best.b), step)
            loss += quadratic(known.information, step) / 2 - Fraction(best.gain) - pulled
            coefficients = tuple(x + s for x, s in zip(best.b, step, strict=True))
        return Fit(
            coefficients=coefficients,
            information=known.information,
            inverse=tuple(map(tuple, inverse)),
            loss=loss,
            loss_error=errors["loss"][0],
            errors=tuple(bounds),
            converged=self.converged,
            rounds=self.rounds,
            reach=self.reach,
            opened=best.opened,
        )


def _question(problem: Problem, b: Sequence[Fraction], reach: float, kind: Kind) -> Asked:
    eta = linear_predictor(problem.columns, b, problem.offset)
    step = problem.family.step(problem.response, eta, reach)
    weights = problem.weights
    residual = step.residual if weights is None else weights * step.residual
    weight = step.expected if kind is Kind.LAST and step.expected is not None else step.weight
    weight = weight if weights is None else weights * weight
    parts: dict[str, Gram | Sequence[Expression]] = {}
    if kind is not Kind.SLIM:
        parts["information"] = Gram(weight, problem.columns)
    parts["weight"] = [weight]
    parts["score"] = [_times(residual, column) for column in problem.columns]
    parts["loss"] = [step.loss if weights is None else weights * step.loss]
    if step.mass is not None:
        parts["mass"] = [step.mass]
    pearson = problem.family.pearson(problem.response, eta, reach) if kind is Kind.LAST else None
    if pearson is not None:
        parts["pearson"] = [pearson if weights is None else weights * pearson]
    return ask(problem.frame, parts, complete=problem.complete)


def _loss(problem: Problem, b: Sequence[Fraction], opened: Opened) -> Fraction:
    """Return the loss with the penalty."""
    found = opened.one("loss")
    return found if problem.penalty is None else found + quadratic(problem.penalty, b) / 2


def _point(
    problem: Problem, b: tuple[Fraction, ...], opened: Opened, loss: Fraction, kind: Kind, before: _Point | None
) -> _Point:
    score = list(opened.sums["score"])
    if problem.penalty is not None:
        score = [s - p for s, p in zip(score, multiplied(problem.penalty, b), strict=True)]
    right = tuple(float(value) for value in score)
    if kind is Kind.SLIM and before is not None:
        information = before.information
        matrix = _learned(before, b, right)
    else:
        information = matrix = opened.matrix("information")
        if problem.penalty is not None:
            pairs = zip(information, problem.penalty, strict=True)
            matrix = tuple(tuple(x + p for x, p in zip(row, other, strict=True)) for row, other in pairs)
    factor = factored(matrix)
    if isinstance(factor, Dependent):
        raise singular(factor, problem.names)
    step = tuple(factor.quick(right))
    gain = exact.dot(step, right)
    total_weight = min([float(opened.one("weight")), *(float(matrix[i][i]) for i in problem.indicators)])
    return _Point(
        b=b,
        loss=loss,
        score=right,
        information=information,
        factor=factor,
        step=step,
        gain=gain,
        moves=math.sqrt(max(gain, 0.0) / total_weight) if total_weight > 0 else math.inf,
        opened=opened,
    )


def _learned(before: _Point, b: Sequence[Fraction], score: Sequence[float]) -> Matrix:
    """Return the information that explains how the score changed since the point before, by the BFGS update."""
    matrix = [[float(value) for value in row] for row in before.factor.exactly]
    moved = [float(x - y) for x, y in zip(b, before.b, strict=True)]
    change = [x - y for x, y in zip(before.score, score, strict=True)]
    along = [exact.dot(row, moved) for row in matrix]
    curve, curved = exact.dot(moved, change), exact.dot(moved, along)
    if not (curve > 0.0 and curved > 0.0):
        return before.factor.exactly
    size = range(len(moved))
    return tuple(
        tuple(Fraction(matrix[i][j] + change[i] * change[j] / curve - along[i] * along[j] / curved) for j in size)
        for i in size
    )


def _moved(point: _Point, share: float) -> tuple[Fraction, ...]:
    """Return b + share * step; its float is what the next query holds, so it is one."""
    return _rounded([x + Fraction(share * s) for x, s in zip(point.b, point.step, strict=True)])


def _rounded(b: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(Fraction(float(x)) for x in b)


def _runs_away(before: _Point, now: _Point, rows: int) -> bool:
    """Return whether the fit has settled while b goes on in steps that do not shrink: where it converges, they do."""
    last, step = max(map(abs, before.step)), max(map(abs, now.step))
    return now.gain < 1e-2 * rows and step > last / 2


def _separated(problem: Problem, point: _Point) -> Separated:
    longest = max(map(abs, point.step))
    names = [name for name, s in zip(problem.names, point.step, strict=True) if abs(s) > longest / 2]
    listed = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    return Separated(
        f"separation: the response is explained perfectly in some direction, and {listed} would grow for ever",
        hint="leave the column out, `collapse=` its levels, or use ridge",
    )


def _times(residual: Expression, column: Expression) -> Expression:
    return residual if isinstance(column, Const) and column.value == 1 else residual * column


def _inner(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
