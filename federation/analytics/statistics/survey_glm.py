"""Generalized linear model of the population that a survey sample stands for, with Taylor's errors.

Coefficients solve the weighted score equations, as if every row stood for as many as its weight (pseudo-likelihood).
Their covariance is A^-1 V A^-1 with the weighted information A and the covariance V of the total of scores, over
clusters within strata (Binder, Int. Stat. Review 51, 1983), as R's `svyglm` has it; t with clusters less strata plus
one less coefficients degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from federation.analytics import taylor
from federation.analytics.families import family
from federation.analytics.iterated import iterated
from federation.analytics.least_squares import least_squares
from federation.analytics.plan import Plan
from federation.analytics.regression import Groups, Model, later_numbers, merges_of, most_rounds
from federation.analytics.regression_result import Regression
from federation.analytics.statistic import Statistic
from federation.analytics.taylor import Sample, SampleParameters, Stratum
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Both, Expression
from federation.query.query import MOST_NUMBERS


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyGlmParameters(SampleParameters):
    """A generalized linear model, and how the sample was drawn.

    Attributes:
        formula: `y ~ a*b + C(region, ref="x") + log(x) + x**2`.
        family: gaussian (identity link), binomial (logit), poisson, gamma, negativebinomial (log).
        alpha: of the negative binomial: the variance is mu + alpha mu^2.
        offset: a number per row, as in formulas, that is added with coefficient 1; "" for none.
        maxiter: most secure sums of the fit.
        collapse: (column, lists of levels that are one).
    """

    formula: str
    family: str = "gaussian"
    alpha: float = 1.0
    offset: str = ""
    maxiter: int = 50
    collapse: Groups = ()


class SurveyGlm(Statistic[SurveyGlmParameters, Regression]):
    """A generalized linear model of complete cases of a survey sample."""

    name = "survey_glm"
    version = 1
    Parameters = SurveyGlmParameters

    def rounds(self, parameters: SurveyGlmParameters, joint: Dataset) -> int:
        return most_rounds(_model(parameters, taylor.sample(parameters, None, joint), []))

    def later_numbers(self, parameters: SurveyGlmParameters, joint: Dataset) -> int:
        of = taylor.sample(parameters, None, joint)
        plain = later_numbers(_model(parameters, of, []))
        return min(MOST_NUMBERS, 2 * plain * max(1, len(taylor.strata_labels(of))))

    def plan(self, parameters: SurveyGlmParameters, where: Expression | None, joint: Dataset) -> Plan[Regression]:
        strata: list[Stratum] = []
        model = _model(parameters, taylor.sample(parameters, where, joint), strata)
        found = yield from least_squares(model) if model.family is None else iterated(model, model.family)
        degrees = taylor.degrees(strata) + 1 - len(found.names)
        if degrees <= 0:
            raise JobFailed("the model has as many coefficients as there are clusters", hint="fewer terms")
        covariance = tuple(  # rounding may push a variance below 0 where the fit is perfect
            tuple(max(value, 0.0) if i == j else value for j, value in enumerate(row))
            for i, row in enumerate(found.covariance)
        )
        return replace(found, covariance=covariance, use_t=True, df_resid=degrees, llf=None)


def _model(parameters: SurveyGlmParameters, of: Sample, strata: list[Stratum]) -> Model:
    """Return the weighted model; its covariance leaves the strata that it opened in `strata`."""

    def meat(scores: Sequence[Expression]) -> Plan[list[list[Fraction]]]:
        _, _, drawn, groups = yield from taylor.estimated(of, scores, None)
        strata[:] = drawn
        return [list(row) for row in groups[0].covariance]

    where = of.where
    if of.domain is not None:
        where = of.domain if where is None else Both(where, of.domain)
    return Model(
        statistic="survey_glm",
        formula=parameters.formula,
        family=family(parameters.family, parameters.alpha),
        where=where,
        joint=of.joint,
        frequency=parameters.weights,
        offset=parameters.offset,
        merges=merges_of(parameters.collapse),
        cov_type="survey",
        maxiter=parameters.maxiter,
        meat=meat,
    )
