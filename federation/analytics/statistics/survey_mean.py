"""Mean of a column in the population that a survey sample stands for, with Taylor's error; one round.

The mean is the ratio of the sums of w y and of w (Hajek); its linearised variable is (y - mean) / sum of w.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics import taylor
from federation.analytics.plan import Plan
from federation.analytics.ranges import centre_of, numeric
from federation.analytics.statistic import Statistic
from federation.analytics.taylor import Group, GroupedSampleParameters, Linear, Surveyed
from federation.domain.catalogue import Dataset
from federation.query.expression import Col, Const, Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyMeanParameters(GroupedSampleParameters):
    """What is averaged, and how the sample was drawn.

    Attributes:
        column: a column of numbers.
    """

    column: str


class SurveyMean(Statistic[SurveyMeanParameters, Surveyed]):
    """Means of a survey sample, per category if asked."""

    name = "survey_mean"
    version = 1
    Parameters = SurveyMeanParameters

    def rounds(self, parameters: SurveyMeanParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's
        return 1

    def plan(self, parameters: SurveyMeanParameters, where: Expression | None, joint: Dataset) -> Plan[Surveyed]:
        declared = numeric(parameters.column, joint)
        centre = centre_of(declared)

        def made(group: Group) -> Linear | None:
            size, away = group.totals
            if size <= 0:
                return None
            return Fraction(centre) + away / size, (-away / size**2, 1 / size)

        columns = [Const(1), Col(declared.name) - centre]
        return taylor.surveyed(self.name, parameters, where, joint, columns, column=parameters.column, made=made)
