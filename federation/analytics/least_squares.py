"""Least squares, weighted or with a ridge: one Gram, a finer one where it must be, and sums of residuals where asked.

The coefficients solve the normal equations in Fractions; what rounding leaves is in the opened sums alone. Where the
fit explains all but 2^-20 of the response, its residuals are summed row by row, since their difference from what is
explained would have lost digits. Robust covariances are one more round (MacKinnon and White, Journal of Econometrics
29, 1985): HC2 and HC3 divide by 1 - h, the leverage h = x'(X'WX)^-1 x w being an expression of columns.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log, pi
from typing import Any, Final

from federation.analytics.asked import Asked, ask
from federation.analytics.irls import linear_predictor
from federation.analytics.iterated import plain, product
from federation.analytics.linear import Dependent, Factored, multiplied, quadratic, singular
from federation.analytics.plan import Plan
from federation.analytics.regression import Model, Start, again, effective, read, ridge_notes, solved, started
from federation.analytics.regression_result import Regression
from federation.analytics.standard import applied
from federation.errors import JobFailed, Misuse
from federation.query.bounds import interval
from federation.query.expression import Const, Expression, Gram, total

COVARIANCES: Final = ("nonrobust", "HC0", "HC1", "HC2", "HC3")
CONDITIONED: Final = 2.0**-20  # least share of a column that its predecessors leave, for the first Gram to do
EXACT: Final = Fraction(1, 2**20)  # share of the response that residuals are, below which they are summed by row
POWER: Final = 64  # the greatest leverage is at most the POWER-th root of the sum of their powers
ROOM: Final = 0.9  # leverage that the declared ranges may allow without a round that bounds it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solution:
    coefficients: tuple[Fraction, ...]  # of standardised columns, for the standardised response
    squares: Fraction  # weighted sum of squared residuals, standardised
    factor: Factored
    errors: tuple[Fraction, ...]


def least_squares(model: Model) -> Plan[Regression]:
    """Fit.

    Raises:
        Singular: a column is a combination of others.
        Misuse: as many coefficients as rows.
    """
    start = yield from started(read(model))
    factor = solved(start)
    sharp = all(spread.is_sharp for spread in start.spreads)
    if isinstance(factor, Dependent) or factor.least < CONDITIONED or not sharp:
        start = yield from again(start)
        factor = solved(start)
        if isinstance(factor, Dependent):
            raise singular(factor, start.design.names)
    degrees = start.nobs - effective(start, factor.inverse(), start.gram)
    if degrees <= 0:
        raise Misuse("the model has as many coefficients as rows", hint="fewer terms")
    solution = _solution(start, factor)
    centre = _centred_squares(start)
    rounds = start.rounds
    if solution.squares < EXACT * centre:
        solution = yield from _by_row(start, solution)
        rounds += 1
    covariance, kind, more = yield from _covariance(start, solution, degrees)
    return _result(start, solution, centre, degrees, covariance=covariance, cov_type=kind, rounds=rounds + more)


def _solution(start: Start, factor: Factored) -> _Solution:
    found = factor.solve(start.right)
    squares = start.squares + quadratic(start.gram, found) - 2 * _inner(found, start.right)
    size = len(found)
    errors = start.opened.errors["gram"]
    at = 0
    rounding = [Fraction(0)] * size  # of X'Wy - X'WX b
    for i in range(size + 1):
        for j in range(i, size + 1):
            if i < size:
                rounding[i] += errors[at] * (abs(found[j]) if j < size else 1)
            if i != j and j < size:
                rounding[j] += errors[at] * abs(found[i])
            at += 1
    return _Solution(
        coefficients=tuple(found), squares=max(squares, Fraction(0)), factor=factor, errors=_spread(factor, rounding)
    )


def _by_row(start: Start, solution: _Solution) -> Generator[Any, Any, _Solution]:
    """Sum the squares of residuals by row, and correct the coefficients by what the residuals still explain."""
    residual = _residual(start, solution.coefficients)
    weights = start.read.weights
    weighted = residual if weights is None else weights * residual
    score = [weighted if isinstance(x, Const) else weighted * x for x in start.columns]
    question = ask(start.frame, {"squares": [weighted * residual], "score": score}, complete=True)
    (totals,) = yield (question.query,)
    opened = question.read(totals, start.opened.rows)
    penalty = start.penalty()
    score_sums = list(opened.sums["score"])
    if penalty is not None:
        pulled = multiplied(penalty, solution.coefficients)
        score_sums = [s - p for s, p in zip(score_sums, pulled, strict=True)]
    step = solution.factor.solve(score_sums)
    squares = opened.one("squares") - 2 * _inner(step, opened.sums["score"]) + quadratic(start.gram, step)
    return _Solution(
        coefficients=tuple(x + s for x, s in zip(solution.coefficients, step, strict=True)),
        squares=max(squares, Fraction(0)),
        factor=solution.factor,
        errors=_spread(solution.factor, opened.errors["score"]),
    )


def _covariance(
    start: Start, solution: _Solution, degrees: Fraction
) -> Generator[Any, Any, tuple[list[list[Fraction]], str, int]]:
    """Return the covariance of the standardised coefficients, what it is called, and how many rounds it took."""
    inverse = [[Fraction(value) for value in row] for row in solution.factor.inverse()]
    kind = start.read.model.cov_type
    scale = solution.squares / degrees
    if kind == "nonrobust":
        if start.penalty() is None:
            return [[scale * value for value in row] for row in inverse], kind, 0
        meat = [[scale * value for value in row] for row in start.gram]
        return product(product(inverse, meat), inverse), "penalized", 0
    residual = _residual(start, solution.coefficients)
    if start.read.model.meat is not None:
        inside = yield from start.read.model.meat([residual * x for x in start.columns])
        return product(product(inverse, inside), inverse), kind, 1
    weights = start.read.weights
    square = residual * residual if weights is None else (weights * residual) ** 2
    rounds = 1
    if kind in ("HC2", "HC3"):
        rest, more = yield from _leverage(start, solution.factor)
        square = square / rest if kind == "HC2" else square / (rest * rest)
        rounds += more
    question = ask(start.frame, {"meat": Gram(square, start.columns)}, complete=True)
    (totals,) = yield (question.query,)
    factor = start.nobs / degrees if kind == "HC1" else Fraction(1)
    opened = question.read(totals, start.opened.rows).matrix("meat")
    meat = [[factor * value for value in row] for row in opened]
    return product(product(inverse, meat), inverse), kind, rounds


def _leverage(start: Start, factor: Factored) -> Generator[Any, Any, tuple[Expression, int]]:
    """Return 1 - h with a bound above 0, and how many rounds that took.

    Where the declared ranges allow a leverage near 1, the sum of its 64-th powers is asked first: no leverage is above
    its 64-th root.
    """
    parts: list[Expression] = []
    for i, row in enumerate(factor.lower):  # the i-th element of L^-1 x, by forward substitution
        before = total([start.columns[i], *(parts[k] * -row[k] for k in range(i) if row[k])])
        parts.append(before * (1.0 / row[i]))
    leverage = total([part * part for part in parts])
    weights = start.read.weights
    leverage = leverage if weights is None else weights * leverage
    joint = start.read.frame.joint
    if interval(leverage, joint).high <= ROOM:
        return 1 - leverage, 0
    powers: Asked = ask(start.frame, {"powers": [leverage.clip(0.0, 1.0) ** POWER]}, complete=True)
    (totals,) = yield (powers.query,)
    opened = powers.read(totals, start.opened.rows)
    most = float(opened.one("powers") + opened.errors["powers"][0])
    for _ in range(6):  # the 64-th root, by square roots
        most = most**0.5
    if most >= 1 - 2.0**-20:
        raise JobFailed(
            "one row decides a coefficient alone: its leverage is 1", hint="HC0 or HC1, or leave the level out"
        )
    return (1 - leverage).clip((1 - most) / 2, 1.0), 1


def _residual(start: Start, coefficients: Sequence[Fraction]) -> Expression:
    explained = start.read.response if start.read.offset is None else start.read.response - start.read.offset
    return start.standards[-1].of(explained) - linear_predictor(start.columns, coefficients, None)


def _centred_squares(start: Start) -> Fraction:
    """Return the sum of squares about the mean where the model has a constant, else about 0; standardised."""
    if start.constant is None:
        return start.squares
    return start.squares - start.total_explained**2 / start.total("weights")


def _result(
    start: Start,
    solution: _Solution,
    centre: Fraction,
    degrees: Fraction,
    *,
    covariance: list[list[Fraction]],
    cov_type: str,
    rounds: int,
) -> Regression:
    spec, model, standard = start.read, start.read.model, start.standards[-1]
    unit = Fraction(2) ** standard.shift
    estimates = [unit * value for value in applied(start.rows, solution.coefficients)]
    for column, factor in (start.constant or {}).items():
        estimates[column] += factor * Fraction(standard.centre)
    deviance = solution.squares * unit**2
    return Regression(
        statistic=model.statistic,
        formula=model.formula,
        family="gaussian",
        link="identity",
        names=start.design.names,
        estimates=tuple(float(value) for value in estimates),
        covariance=start.covariance([[unit**2 * value for value in row] for row in covariance]),
        cov_type=cov_type,
        use_t=model.statistic != "glm" and cov_type == "nonrobust",
        n=start.opened.rows,
        units=start.opened.units,
        nobs=plain(start.nobs),
        df_model=len(start.columns) - (start.constant is not None or model.statistic == "glm"),
        df_resid=plain(degrees),
        scale=float(deviance / degrees),
        deviance=float(deviance),
        null_deviance=float(centre * unit**2),
        llf=_likelihood(start, deviance),
        rsquared=float(1 - solution.squares / centre) if centre else None,
        converged=True,
        iterations=rounds,
        encoding_errors=start.spread_of_errors([unit * error for error in solution.errors]),
        notes=(*start.notes, *ridge_notes(start, degrees)),
        left_out=start.left_out,
        parties=start.opened.totals.parties,
        k=spec.frame.joint.k,
        withheld=start.opened.totals.withheld[0],
        columns=spec.columns,
        merges=model.merges,
        empty=start.empty,
        offset=model.offset,
    )


def _likelihood(start: Start, deviance: Fraction) -> float | None:
    if not deviance:
        return None
    n = float(start.nobs)
    logs = float(start.opened.one("logs")) if "logs" in start.opened.sums else 0.0
    return -n / 2 * (1 + log(2 * pi) + log(float(deviance) / n)) + logs / 2


def _spread(factor: Factored, rounding: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(
        sum((abs(Fraction(cell)) * error for cell, error in zip(row, rounding, strict=True)), Fraction(0))
        for row in factor.inverse()
    )


def _inner(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
