"""Ridge regression: least squares, or another family, with a penalty on the squares of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.families import family
from federation.analytics.fitting import fit
from federation.analytics.plan import Plan
from federation.analytics.regression import Groups, Model, later_numbers, merges_of, most_rounds
from federation.analytics.regression_result import Regression
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class RidgeParameters:
    """A penalised model.

    Attributes:
        formula: `y ~ a*b + C(region, ref="x") + log(x) + x**2`.
        alpha: what is minimised is the sum of squared residuals, or twice the minus log-likelihood, and alpha times the
            sum of the squared coefficients, the intercept's left out: scikit-learn's alpha, and its 1 / C.
        family: gaussian, binomial, poisson or gamma.
        offset: a number per row that is added with coefficient 1; "" for none.
        freq_weights: a column: a row of weight w counts as w rows.
        var_weights: a column: the variance of a row goes down with its weight.
        maxiter: most secure sums of the fit.
        collapse: (column, lists of levels that are one).
    """

    formula: str
    alpha: float = 1.0
    family: str = "gaussian"
    offset: str = ""
    freq_weights: str | None = None
    var_weights: str | None = None
    maxiter: int = 50
    collapse: Groups = ()


class Ridge(Statistic[RidgeParameters, Regression]):
    """A penalised model of complete cases."""

    name = "ridge"
    version = 1
    Parameters = RidgeParameters

    def rounds(self, parameters: RidgeParameters, joint: Dataset) -> int:
        return most_rounds(_model(self.name, parameters, None, joint))

    def later_numbers(self, parameters: RidgeParameters, joint: Dataset) -> int:
        return later_numbers(_model(self.name, parameters, None, joint))

    def plan(self, parameters: RidgeParameters, where: Expression | None, joint: Dataset) -> Plan[Regression]:
        return fit(_model(self.name, parameters, where, joint))


def _model(name: str, parameters: RidgeParameters, where: Expression | None, joint: Dataset) -> Model:
    if not parameters.alpha > 0:
        raise Misuse("alpha of a ridge is above 0", hint="without a penalty it is t.ols or t.glm")
    return Model(
        statistic=name,
        formula=parameters.formula,
        family=family(parameters.family, 1.0),
        where=where,
        joint=joint,
        frequency=parameters.freq_weights,
        variance=parameters.var_weights,
        offset=parameters.offset,
        merges=merges_of(parameters.collapse),
        ridge=float(parameters.alpha),
        maxiter=parameters.maxiter,
    )
