"""Cox's proportional hazards: hazard ratios from the order of event times, with Efron's or Breslow's ties, and strata.

The hazard of a row is a baseline that nobody assumes anything of, one per stratum, times exp(x'b) (Cox, JRSS B 34,
1972). Each Newton step opens, per stratum, bin of times and outcome, the sums of exp(x'b), and of x and x x' weighted
by it; risk sets are cumulated in public. Standard errors come from the information at b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from federation.analytics import proportional_hazards, survival, tails
from federation.analytics.design import Merges
from federation.analytics.estimates import LeavesOut, Number, RowsLeftOut, Suppressed
from federation.analytics.groups import By
from federation.analytics.plan import Plan
from federation.analytics.prediction import Predictor
from federation.analytics.proportional_hazards import Bins, Fit, Start
from federation.analytics.regression import Groups, merges_of
from federation.analytics.regression_result import CONFIDENT, Labelled
from federation.analytics.standard import applied, undone
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.domain.catalogue import Column, Dataset
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.expression import columns as columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxParameters:
    """A proportional hazards model.

    Attributes:
        formula: `Surv(time, event) ~ age + C(sex) + strata(site)`; event is 0 or 1, or `status == 2`.
        ties: "efron" or "breslow".
        strata: category columns that have a baseline hazard of their own per category.
        bins: how many of equal width over the declared range of times, or their edges; None looks for the event times
            where all operators publish their own figures, else 16.
        resolution: width in which event times are told apart; None is 1 for whole numbers, and the range / 2^20.
        collapse: (column, lists of levels that are one).
        maxiter: most secure sums of the fit.
    """

    formula: str
    ties: str = "efron"
    strata: By = None
    bins: int | tuple[float, ...] | None = None
    resolution: float | None = None
    collapse: Groups = ()
    maxiter: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The cumulative hazard of a row with the mean of every column, after Breslow: the sum of d over risks.

    Attributes:
        label: the stratum, or "all rows".
        times: where it steps.
        hazard: the sum up to and with each of them.
    """

    label: str
    times: tuple[Number, ...]
    hazard: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoxResult(LeavesOut, Result):
    """A fitted model.

    Attributes:
        names: of the coefficients.
        estimates: the coefficients: logarithms of hazard ratios.
        covariance: of the coefficients, by rows.
        n: complete rows that it rests on.
        units: distinct units that they belong to.
        events: opened rows with the event.
        llf: partial log-likelihood; `llnull` is that of coefficients 0.
        score_test: of all coefficients being 0, chi-square with one degree of freedom each.
        baselines: one per stratum.
        log_mean: x'b of a row with the mean of every column.
        exact: whether every event time has a bin of its own, to `resolution`.
        iterations: secure sums that the fit took.
        encoding_errors: per coefficient, a bound on what fixed point and rounding of rows did to it.
        columns: what the catalogue says of the columns that predictions need.
    """

    formula: str
    ties: str
    names: tuple[str, ...]
    estimates: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    n: int
    units: int
    events: int
    llf: float
    llnull: float
    score_test: float
    baselines: tuple[Baseline, ...]
    log_mean: float
    exact: bool
    resolution: float
    converged: bool
    iterations: int
    encoding_errors: tuple[float, ...]
    notes: tuple[str, ...]
    closed: tuple[Suppressed, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    withheld: int
    columns: tuple[Column, ...]
    merges: Merges
    empty: tuple[tuple[int, tuple[int, ...]], ...]

    @property
    def params(self) -> Labelled:
        """The coefficients."""
        return Labelled(self.names, self.estimates)

    @property
    def hazard_ratios_(self) -> Labelled:
        """Their exponentials."""
        return Labelled(self.names, tuple(map(math.exp, self.estimates)))

    @property
    def bse(self) -> Labelled:
        """Their standard errors."""
        return Labelled(self.names, tuple(math.sqrt(row[i]) for i, row in enumerate(self.covariance)))

    @property
    def tvalues(self) -> Labelled:
        """Coefficients over standard errors, normal in large samples."""
        return Labelled(self.names, tuple(b / se for b, se in zip(self.estimates, self.bse, strict=True)))

    @property
    def pvalues(self) -> Labelled:
        """Two-sided p-values of each coefficient being 0."""
        return Labelled(self.names, tuple(map(tails.normal_two_sided, self.tvalues)))

    def conf_int(self, alpha: float = CONFIDENT) -> tuple[tuple[float, float], ...]:
        """Return (low, high) per coefficient, at confidence 1 - alpha."""
        if not 0 < alpha < 1:
            raise Misuse("alpha of an interval lies between 0 and 1", hint="0.05 is 95 % confidence")
        q = tails.normal_ppf(1 - alpha / 2)
        return tuple((b - q * se, b + q * se) for b, se in zip(self.estimates, self.bse, strict=True))

    def cov_params(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the covariance of the coefficients as a matrix."""
        return np.array(self.covariance, dtype=np.float64)

    @property
    def log_likelihood_ratio_test(self) -> tuple[float, float]:
        """Twice what all coefficients add to the log-likelihood, and its p-value."""
        statistic = max(2 * (self.llf - self.llnull), 0.0)
        return statistic, tails.chi2_sf(statistic, len(self.names))

    @property
    def aic(self) -> float:
        """Akaike's criterion of the partial likelihood."""
        return -2 * self.llf + 2 * len(self.names)

    @property
    def encoding_error(self) -> float:
        """The greatest of `encoding_errors`."""
        return max(self.encoding_errors, default=0.0)

    @property
    def baseline_cumulative_hazard_(self) -> Baseline:
        """The one baseline of a model without strata."""
        if len(self.baselines) > 1:
            raise Misuse("there is one baseline per stratum", hint="`baselines` has all")
        return self.baselines[0]

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """What is withheld: bins, parties below k as a whole, and counts of rows left out."""
        whole = (Suppressed(what="rows of small parties", withheld=self.withheld, closed=False, interval=(0, None)),)
        return (*self.closed, *(whole if self.withheld else ()), *self.left_out.suppressed)

    def predict(self, data: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the hazard of rows of your own over that of a row with the mean of every column; NaN where one lacks.

        Raises:
            Misuse: a column that is not there, or a level that the model has not.
        """
        predictor = Predictor(
            formula=self.formula, columns=self.columns, merges=self.merges, empty=self.empty, offset=""
        )
        means = predictor.means(data, (0.0, *self.estimates), "identity")
        return np.asarray(np.exp(means - self.log_mean), dtype=np.float64)

    @property
    def facts(self) -> tuple[tuple[str, Shown], ...]:
        """What stands above the table of coefficients."""
        statistic, p = self.log_likelihood_ratio_test
        return (
            ("Dep. Variable", self.formula.partition("~")[0].strip()),
            ("Model", "COX"),
            ("Ties", self.ties),
            ("No. Observations", self.n),
            ("No. Events", self.events),
            ("Strata", len(self.baselines)),
            ("Log-Likelihood", self.llf),
            ("LR Test", statistic),
            ("Prob (LR Test)", p),
            ("AIC", self.aic),
            ("Converged", "yes" if self.converged else "no"),
            ("Secure Sums", self.iterations),
            ("Encoding Error", self.encoding_error),
        )

    def table(self) -> Table:
        """Return one row per coefficient: estimate, hazard ratio, standard error, z, p-value, 95 % interval."""
        rows = zip(
            self.names,
            self.estimates,
            self.hazard_ratios_,
            self.bse,
            self.tvalues,
            self.pvalues,
            self.conf_int(),
            strict=True,
        )
        return Table(
            columns=("", "coef", "exp(coef)", "std err", "z", "P>|z|", "[0.025", "0.975]"),
            rows=tuple((name, b, ratio, se, z, p, *ends) for name, b, ratio, se, z, p, ends in rows),
        )

    def picture(self) -> Picture:
        """Return the coefficients with their 95 % intervals, as a forest."""
        return Picture(
            drawn=Drawn.FOREST,
            title=self.formula,
            x_label="log hazard ratio, 95 % interval",
            y_label="",
            x=self.names,
            y=self.estimates,
            error=tuple((high - low) / 2 for low, high in self.conf_int()),
        )


class Cox(Statistic[CoxParameters, CoxResult]):
    """A proportional hazards model of complete cases."""

    name = "cox"
    version = 1
    Parameters = CoxParameters

    def rounds(self, parameters: CoxParameters, joint: Dataset) -> int:
        return proportional_hazards.most_rounds(_model(parameters, None, joint))

    def later_numbers(self, parameters: CoxParameters, joint: Dataset) -> int:
        return proportional_hazards.later_numbers(_model(parameters, None, joint))

    def plan(self, parameters: CoxParameters, where: Expression | None, joint: Dataset) -> Plan[CoxResult]:
        model = _model(parameters, where, joint)
        start = yield from proportional_hazards.started(model)
        fit = yield from proportional_hazards.fitted(start)
        return _result(parameters, start, fit)


def _model(parameters: CoxParameters, where: Expression | None, joint: Dataset) -> proportional_hazards.Model:
    bins: Bins = parameters.bins
    return proportional_hazards.read(
        parameters.formula,
        parameters.ties,
        parameters.strata,
        where,
        joint,
        bins=bins,
        resolution=parameters.resolution,
        merges=merges_of(parameters.collapse),
        maxiter=parameters.maxiter,
    )


def _result(parameters: CoxParameters, start: Start, fit: Fit) -> CoxResult:
    model, joint = start.model, start.model.joint
    rows = undone(start.design, start.standards)  # of all columns, with the intercept
    found = applied(rows, [Fraction(0), *map(Fraction, fit.coefficients)])
    size = len(fit.coefficients)
    half = [[Fraction(0)] * size for _ in range(size + 1)]
    for j in range(size):
        for a, factor in rows[j + 1].items():
            for k in range(size):
                half[a][k] += factor * Fraction(fit.inverse[j][k])
    covariance = [[Fraction(0)] * (size + 1) for _ in range(size + 1)]
    errors = [0.0] * (size + 1)
    for k in range(size):
        for b, factor in rows[k + 1].items():
            errors[b] += abs(float(factor)) * fit.errors[k]
            for a in range(size + 1):
                covariance[a][b] += half[a][k] * factor
    at_mean = math.fsum(x * b for x, b in zip(fit.means, fit.coefficients, strict=True))  # in the standards
    return CoxResult(
        formula=parameters.formula,
        ties=parameters.ties,
        names=start.names,
        estimates=tuple(float(value) for value in found[1:]),
        covariance=tuple(tuple(float(value) for value in row[1:]) for row in covariance[1:]),
        n=start.rows,
        units=start.units,
        events=fit.events,
        llf=fit.log,
        llnull=fit.null,
        score_test=fit.score_test,
        baselines=_baselines(start, fit, math.exp(at_mean)),
        log_mean=at_mean - float(found[0]),
        exact=start.counted.exact,
        resolution=float(model.question.clock.step),
        converged=fit.converged,
        iterations=start.rounds + fit.rounds,
        encoding_errors=tuple(errors[1:]),
        notes=_notes(start, fit),
        closed=tuple(line for group in start.counted.groups for line in group.suppressed),
        left_out=start.left_out,
        parties=start.counted.parties,
        k=joint.k,
        withheld=start.withheld,
        columns=tuple(joint.column(name) for name in columns_of(model.frame.needs)),
        merges=model.merges,
        empty=start.empty,
    )


def _baselines(start: Start, fit: Fit, mean: float) -> tuple[Baseline, ...]:
    question, edges = start.model.question, start.edges
    times = [survival.between(question, edges, place)[0] for place in survival.inner(question, edges)]
    found = []
    for label, hazards in zip(question.labels, fit.hazards, strict=True):
        steps = [(time, hazard) for time, hazard in zip(times, hazards, strict=True) if hazard]
        reached, sums = 0.0, []
        for _, hazard in steps:
            reached += hazard * mean
            sums.append(reached)
        found.append(Baseline(label=label, times=tuple(time for time, _ in steps), hazard=tuple(sums)))
    return tuple(found)


def _notes(start: Start, fit: Fit) -> tuple[str, ...]:
    notes = [
        f"left out: level {start.model.design.factors[factor].levels[level].label!r} of "
        f"{start.model.design.factors[factor].text}, which no row has"
        for factor, levels in start.empty
        for level in levels
    ]
    if not start.counted.exact:
        notes.append("times are moved to the left end of their bin; what ends in a bin is censored after its events")
    elif start.model.question.clock.step != 1:
        notes.append(f"event times are told to {float(start.model.question.clock.step):.6g}")
    if not fit.converged:
        notes.append(f"did not converge in {fit.rounds} rounds: raise maxiter")
    return tuple(notes)
