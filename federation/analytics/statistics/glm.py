"""Generalized linear models by Fisher scoring: gaussian, binomial (logit), poisson, gamma, negative binomial (log)."""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.families import family
from federation.analytics.fitting import fit
from federation.analytics.meta import MetaRegression, is_meta, levels_of, studied
from federation.analytics.plan import Plan
from federation.analytics.regression import Groups, Model, checked, later_numbers, merges_of, most_rounds
from federation.analytics.regression_result import Regression
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class GlmParameters:
    """A generalized linear model.

    Attributes:
        formula: `y ~ a*b + C(region, ref="x") + log(x) + x**2`.
        family: gaussian (identity link), binomial (logit), poisson, gamma, negativebinomial (log).
        alpha: of the negative binomial: the variance is mu + alpha mu^2.
        offset: a number per row, as in formulas, that is added with coefficient 1; "" for none.
        freq_weights: a column: a row of weight w counts as w rows.
        var_weights: a column: the variance of a row goes down with its weight.
        cov_type: nonrobust, HC0 or HC1.
        maxiter: most secure sums of the fit.
        collapse: (column, lists of levels that are one).
        method: "joint" for one model of all rows; "meta" for one per level of `study`, with fixed and random effects.
        study: a category column, for method="meta".
    """

    formula: str
    family: str = "gaussian"
    alpha: float = 1.0
    offset: str = ""
    freq_weights: str | None = None
    var_weights: str | None = None
    cov_type: str = "nonrobust"
    maxiter: int = 50
    collapse: Groups = ()
    method: str = "joint"
    study: str | None = None


class Glm(Statistic[GlmParameters, Regression | MetaRegression]):
    """A generalized linear model of complete cases."""

    name = "glm"
    version = 1
    Parameters = GlmParameters

    def rounds(self, parameters: GlmParameters, joint: Dataset) -> int:
        return most_rounds(_model(self.name, parameters, None, joint))

    def later_numbers(self, parameters: GlmParameters, joint: Dataset) -> int:
        studies = len(levels_of(parameters.study, joint)) if is_meta(parameters.method) else 1
        return studies * later_numbers(_model(self.name, parameters, None, joint))

    def plan(
        self, parameters: GlmParameters, where: Expression | None, joint: Dataset
    ) -> Plan[Regression | MetaRegression]:
        model = _model(self.name, parameters, where, joint)
        if is_meta(parameters.method):
            return studied(model, parameters.study, fit)
        return fit(model)


def _model(name: str, parameters: GlmParameters, where: Expression | None, joint: Dataset) -> Model:
    found = family(parameters.family, parameters.alpha)
    kinds = ("nonrobust", "HC0", "HC1") if found is not None else ("nonrobust", "HC0", "HC1", "HC2", "HC3")
    return Model(
        statistic=name,
        formula=parameters.formula,
        family=found,
        where=where,
        joint=joint,
        frequency=parameters.freq_weights,
        variance=parameters.var_weights,
        offset=parameters.offset,
        merges=merges_of(parameters.collapse),
        cov_type=checked(parameters.cov_type, kinds),
        maxiter=parameters.maxiter,
    )
