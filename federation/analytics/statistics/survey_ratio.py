"""Ratio of two totals in the population that a survey sample stands for, with Taylor's error; one round.

R is the sum of w y over the sum of w x; its linearised variable is (y - R x) / sum of w x.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics import taylor
from federation.analytics.groups import By
from federation.analytics.plan import Plan
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Statistic
from federation.analytics.taylor import Group, Linear, Surveyed
from federation.domain.catalogue import Dataset
from federation.query.expression import Col, Const, Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyRatioParameters:
    """Of what, and how the sample was drawn.

    Attributes:
        numerator: a column of numbers.
        denominator: a column of numbers, over which its total is divided.
        by: a category column, or several, for one estimate per category or combination.
        strata: columns whose combinations were sampled apart.
        psu: column of clusters that were drawn; None where rows were.
        weights: column of weights, one over the chance to be drawn; None is 1.
        fpc: column that says how many clusters the row's stratum has in all; None for very many.
        domain: a condition, as in `where`, for the part that is estimated; "" for all.
    """

    numerator: str
    denominator: str
    by: By = None
    strata: By = None
    psu: str | None = None
    weights: str | None = None
    fpc: str | None = None
    domain: str = ""


class SurveyRatio(Statistic[SurveyRatioParameters, Surveyed]):
    """Ratios of totals of a survey sample, per category if asked."""

    name = "survey_ratio"
    version = 1
    Parameters = SurveyRatioParameters

    def rounds(self, parameters: SurveyRatioParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's
        return 1

    def plan(self, parameters: SurveyRatioParameters, where: Expression | None, joint: Dataset) -> Plan[Surveyed]:
        of = taylor.sample(
            joint,
            where,
            strata=parameters.strata,
            psu=parameters.psu,
            weights=parameters.weights,
            fpc=parameters.fpc,
            domain=parameters.domain,
        )

        def made(group: Group) -> Linear | None:
            _, above, below = group.totals
            if not below:
                return None
            return above / below, (Fraction(0), 1 / below, -above / below**2)

        names = (parameters.numerator, parameters.denominator)
        columns = [Const(1), *(Col(numeric(name, joint).name) for name in names)]
        return taylor.surveyed(
            self.name, of, columns, parameters.by, domain=parameters.domain, column=" / ".join(names), made=made
        )
