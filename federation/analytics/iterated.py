"""Generalized linear models other than least squares: from the first Gram to the finished result.

Newton steps begin where the least-squares fit of a working response ends. Beside them, where there is an offset, runs
the model of a constant alone, in the same rounds, for the null deviance.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from math import log
from typing import Any

from federation.analytics.asked import ask
from federation.analytics.beginning import beginning
from federation.analytics.families import Family, Gamma
from federation.analytics.irls import Fit, Problem, fitted, linear_predictor
from federation.analytics.plan import Plan, abreast
from federation.analytics.regression import (
    Model,
    Start,
    effective,
    in_standards,
    read,
    refined_standards,
    ridge_notes,
    started,
)
from federation.analytics.regression_result import Regression
from federation.analytics.standard import Standard, applied, redone, undone
from federation.errors import JobFailed, Misuse
from federation.query import exact
from federation.query.expression import Const, Gram


def iterated(model: Model, family: Family) -> Plan[Regression]:
    """Fit; see `irls.fitted` for what is refused."""
    spec = read(model)
    start = yield from started(spec)
    standards = refined_standards(start)
    sums = _sums(start)
    mean = sums["response"] / sums["weights"]
    family.mean_eta(mean)  # a response that is all alike has nothing to explain
    refined = _moved(start, standards)
    problem = _problem(refined, family, family.reach(sums))
    fits = yield from _fits(model, start, problem, mean, standards)
    fit, nothing = fits[0], fits[1].loss if len(fits) > 1 else family.null_loss(mean, sums)
    degrees = start.nobs - effective(start, fit.inverse, fit.information)
    if degrees <= 0:
        raise Misuse("the model has as many coefficients as rows", hint="fewer terms")
    scale = _scale(family, fit, degrees)
    likelihood = yield from _likelihood(refined, family, problem, fit, sums, scale)
    inverse, cov_type = yield from _covariance(refined, problem, fit, scale)
    coefficients = applied(undone(start.design, standards), fit.coefficients)
    return Regression(
        statistic=model.statistic,
        formula=model.formula,
        family=family.name,
        link=family.link,
        names=start.design.names,
        estimates=tuple(float(value) for value in coefficients),
        covariance=refined.covariance(inverse),
        cov_type=cov_type,
        use_t=False,
        n=start.opened.rows,
        units=start.opened.units,
        nobs=plain(start.nobs),
        df_model=len(refined.columns) - 1,
        df_resid=plain(degrees),
        scale=float(scale),
        deviance=float(family.deviance(fit.loss, sums)),
        null_deviance=float(family.deviance(nothing, sums)),
        llf=None if likelihood is None else float(likelihood),
        rsquared=None,
        converged=fit.converged,
        iterations=start.rounds + fit.rounds,
        encoding_errors=refined.spread_of_errors(fit.errors),
        notes=(*start.notes, *_late(fit), *ridge_notes(start, degrees)),
        left_out=start.left_out,
        parties=start.opened.totals.parties,
        k=spec.frame.joint.k,
        withheld=start.opened.totals.withheld[0],
        columns=spec.columns,
        merges=model.merges,
        empty=start.empty,
        offset=model.offset,
    )


def _fits(
    model: Model, start: Start, problem: Problem, mean: Fraction, standards: tuple[Standard, ...]
) -> Generator[Any, Any, tuple[Fit, ...]]:
    """Return the fit, and where there is an offset that of a constant alone."""
    family = problem.family
    guess = applied(redone(start.design, standards), beginning(start, family, mean))
    plans: list[Plan[Any]] = [fitted(problem, guess, model.maxiter)]
    if problem.offset is not None:
        plans.append(_null(problem, family, mean, model.maxiter))
    fits: tuple[Fit, ...] = yield from abreast(plans)
    return fits


def _problem(start: Start, family: Family, reach: float) -> Problem:
    spec = start.read
    return Problem(
        frame=start.frame,
        family=family,
        columns=start.columns,
        names=start.design.names,
        response=spec.response,
        offset=spec.offset,
        weights=spec.weights,
        penalty=start.penalty(),
        reach=reach,
        rows=start.opened.rows,
        indicators=start.indicators,
    )


def _sums(start: Start) -> dict[str, Fraction]:
    """Return what was summed once, by name; that of the response counts weights."""
    found = {name: start.total(name) for name in ("weights", "total", "response")}
    found |= {name: values[0] for name, values in start.opened.sums.items() if len(values) == 1}
    return {**found, "rows": Fraction(start.opened.rows)}


def _scale(family: Family, fit: Fit, degrees: Fraction) -> Fraction:
    """Return the dispersion, Pearson's chi-square over the degrees of freedom; 1 where the family has none."""
    if not family.dispersed:
        return Fraction(1)
    if "pearson" not in fit.opened.sums:
        raise JobFailed(f"the fit came to no end in {fit.rounds} rounds", hint="raise maxiter")
    return fit.opened.one("pearson") / degrees


def _late(fit: Fit) -> tuple[str, ...]:
    return () if fit.converged else (f"did not converge in {fit.rounds} rounds: raise maxiter",)


def _moved(start: Start, standards: tuple[Any, ...]) -> Start:
    """Return the same start as if it had been asked in other standards; its Gram is not of them."""
    return replace(start, standards=standards, columns=in_standards(start.design, standards))


def _null(problem: Problem, family: Family, mean: Fraction, most_rounds: int) -> Plan[Fit]:
    alone = replace(problem, columns=(Const(1),), names=("Intercept",), penalty=None, indicators=(), complete=False)
    return (yield from fitted(alone, [Fraction(family.mean_eta(mean))], most_rounds))


def _likelihood(
    start: Start, family: Family, problem: Problem, fit: Fit, sums: dict[str, Fraction], scale: Fraction
) -> Generator[Any, Any, Fraction | None]:
    """Return the log-likelihood at the estimated scale; that of gamma with variances asks one more sum."""
    if not isinstance(family, Gamma):
        return family.log_likelihood(fit.loss, sums)
    if not scale:
        return None
    size = 1.0 / float(scale)
    shape, weights = Fraction(size), sums["weights"]
    if problem.weights is None or not start.read.model.variance:
        each = shape * Fraction(log(size)) - Fraction(exact.lgamma(size))
        return weights * each + shape * (sums["saturated"] - fit.loss) - sums["saturated"]
    question = ask(problem.frame, {"gammas": [(problem.weights * size).lgamma()]})
    (totals,) = yield (question.query,)
    gammas = question.read(totals, problem.rows).one("gammas")
    scaled = shape * (sums["wlogs"] + weights * Fraction(log(size)))
    return scaled + shape * (sums["saturated"] - fit.loss) - gammas - sums["plain"]


def _covariance(
    start: Start, problem: Problem, fit: Fit, scale: Fraction
) -> Generator[Any, Any, tuple[list[list[Fraction]], str]]:
    """Return the covariance of the standardised coefficients and what it is called; a robust one asks one more sum."""
    inverse = [[Fraction(value) for value in row] for row in fit.inverse]
    kind = start.read.model.cov_type
    size = len(inverse)
    if kind == "nonrobust" and problem.penalty is None:
        return [[scale * value for value in row] for row in inverse], kind
    if kind == "nonrobust":
        meat = [[scale * value for value in row] for row in fit.information]
        kind = "penalized"
    else:
        eta = linear_predictor(problem.columns, fit.coefficients, problem.offset)
        residual = problem.family.step(problem.response, eta, fit.reach).residual
        if start.read.model.meat is not None:
            inside = yield from start.read.model.meat([residual * x for x in problem.columns])
            return product(product(inverse, inside), inverse), kind
        residual = residual if problem.weights is None else problem.weights * residual
        question = ask(problem.frame, {"meat": Gram(residual * residual, problem.columns)}, complete=True)
        (totals,) = yield (question.query,)
        factor = start.nobs / (start.nobs - size) if kind == "HC1" else Fraction(1)
        meat = [[factor * value for value in row] for row in question.read(totals, problem.rows).matrix("meat")]
    return product(product(inverse, meat), inverse), kind


def product(a: list[list[Fraction]], b: list[list[Fraction]]) -> list[list[Fraction]]:
    """Return the product of two square matrices, exactly."""
    columns = list(zip(*b, strict=True))
    return [[sum((x * y for x, y in zip(row, column, strict=True)), Fraction(0)) for column in columns] for row in a]


def plain(value: Fraction) -> float | int:
    """Return an int where it is one."""
    return value.numerator if value.denominator == 1 else float(value)
