"""Ordinary and weighted least squares, with R2, s2 and the robust covariances HC0 to HC3."""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.least_squares import COVARIANCES, least_squares
from federation.analytics.meta import MetaRegression, is_meta, levels_of, studied
from federation.analytics.plan import Plan
from federation.analytics.regression import Groups, Model, checked, later_numbers, merges_of, most_rounds
from federation.analytics.regression_result import Regression
from federation.analytics.statistic import Statistic
from federation.domain.catalogue import Dataset
from federation.query.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class OlsParameters:
    """A linear model.

    Attributes:
        formula: `y ~ a*b + C(region, ref="x") + log(x) + x**2`.
        cov_type: nonrobust, HC0, HC1, HC2 or HC3.
        freq_weights: a column: a row of weight w counts as w rows.
        var_weights: a column: the variance of a row goes down with its weight, as in statsmodels' WLS.
        collapse: (column, lists of levels that are one).
        method: "joint" for one model of all rows; "meta" for one per level of `study`, with fixed and random effects.
        study: a category column, for method="meta".
    """

    formula: str
    cov_type: str = "nonrobust"
    freq_weights: str | None = None
    var_weights: str | None = None
    collapse: Groups = ()
    method: str = "joint"
    study: str | None = None


class Ols(Statistic[OlsParameters, Regression | MetaRegression]):
    """A linear model of complete cases by least squares."""

    name = "ols"
    version = 1
    Parameters = OlsParameters

    def rounds(self, parameters: OlsParameters, joint: Dataset) -> int:
        return most_rounds(_model(self.name, parameters, None, joint))

    def later_numbers(self, parameters: OlsParameters, joint: Dataset) -> int:
        studies = len(levels_of(parameters.study, joint)) if is_meta(parameters.method) else 1
        return studies * later_numbers(_model(self.name, parameters, None, joint))

    def plan(
        self, parameters: OlsParameters, where: Expression | None, joint: Dataset
    ) -> Plan[Regression | MetaRegression]:
        model = _model(self.name, parameters, where, joint)
        if is_meta(parameters.method):
            return studied(model, parameters.study, least_squares)
        return least_squares(model)


def _model(name: str, parameters: OlsParameters, where: Expression | None, joint: Dataset) -> Model:
    return Model(
        statistic=name,
        formula=parameters.formula,
        family=None,
        where=where,
        joint=joint,
        frequency=parameters.freq_weights,
        variance=parameters.var_weights,
        merges=merges_of(parameters.collapse),
        cov_type=checked(parameters.cov_type, COVARIANCES),
    )
