"""Total of a column, or the number of units, that a survey sample stands for, with Taylor's error; one round.

The total is the sum of w y (Horvitz and Thompson, JASA 47, 1952); it is linear, so its variance is that of `taylor`
itself.
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
class SurveyTotalParameters(GroupedSampleParameters):
    """What is added up, and how the sample was drawn.

    Attributes:
        column: a column of numbers; None adds up weights alone: how many there are.
    """

    column: str | None = None


class SurveyTotal(Statistic[SurveyTotalParameters, Surveyed]):
    """Totals of a survey sample, per category if asked."""

    name = "survey_total"
    version = 1
    Parameters = SurveyTotalParameters

    def rounds(self, parameters: SurveyTotalParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's
        return 1

    def plan(self, parameters: SurveyTotalParameters, where: Expression | None, joint: Dataset) -> Plan[Surveyed]:
        centre = Fraction(0)
        columns: list[Expression] = [Const(1)]
        if parameters.column is not None:
            declared = numeric(parameters.column, joint)
            centre = Fraction(centre_of(declared))
            columns.append(Col(declared.name) - centre_of(declared))

        def made(group: Group) -> Linear:
            z = (Fraction(1),) if len(columns) == 1 else (centre, Fraction(1))
            return sum((a * b for a, b in zip(z, group.totals, strict=True)), Fraction(0)), z

        return taylor.surveyed(self.name, parameters, where, joint, columns, column=parameters.column, made=made)
