"""Ratio of two totals in the population that a survey sample stands for, with Taylor's error; one round.

R is the sum of w y over the sum of w x; its linearised variable is (y - R x) / sum of w x.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics import taylor
from federation.analytics.plan import Plan
from federation.analytics.ranges import numeric
from federation.analytics.statistic import Statistic
from federation.analytics.taylor import Group, GroupedSampleParameters, Linear, Surveyed
from federation.domain.catalogue import Dataset
from federation.query.expression import Col, Const, Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyRatioParameters(GroupedSampleParameters):
    """Of what, and how the sample was drawn.

    Attributes:
        numerator: a column of numbers.
        denominator: a column of numbers, over which its total is divided.
    """

    numerator: str
    denominator: str


class SurveyRatio(Statistic[SurveyRatioParameters, Surveyed]):
    """Ratios of totals of a survey sample, per category if asked."""

    name = "survey_ratio"
    version = 1
    Parameters = SurveyRatioParameters

    def rounds(self, parameters: SurveyRatioParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's
        return 1

    def plan(self, parameters: SurveyRatioParameters, where: Expression | None, joint: Dataset) -> Plan[Surveyed]:

        def made(group: Group) -> Linear | None:
            _, above, below = group.totals
            if not below:
                return None
            return above / below, (Fraction(0), 1 / below, -above / below**2)

        names = (parameters.numerator, parameters.denominator)
        columns = [Const(1), *(Col(numeric(name, joint).name) for name in names)]
        return taylor.surveyed(self.name, parameters, where, joint, columns, column=" / ".join(names), made=made)
