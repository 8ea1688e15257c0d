"""What a training asks before its first round: how many rows there are, and the mean and deviation of every number.

A plan like a statistic's, so the same rules judge it and the same sums open it. Joint figures, and not each party's
own, because what one party calls large must be large for all: on the heart data it is worth six points of accuracy.
Where a column says which rows are learned from, the others have no part in the figures; a hold-out by draw is drawn at
home and is in them: its inputs, never its targets of a class. Refused: a cell that stays closed, since fewer than three
parties have rows to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import is_closed, unit
from federation.analytics.moments import root
from federation.analytics.plan import Plan
from federation.analytics.ranges import centre_of
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Refused
from federation.query.expression import Both, Col, Const, Expression, Member
from federation.query.query import SumQuery, shape
from federation.training import plan as planned
from federation.training.plan import TRAIN, Scaling, TrainingPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """What was opened before training.

    Attributes:
        scaling: as the plan wants it.
        rows: of all who were counted.
    """

    scaling: Scaling
    rows: int


def asked(plan: TrainingPlan, where: Expression | None, joint: Dataset) -> Plan[Standard]:
    """Return the plan whose result is a `Standard`: one round, of moments only where the plan scales by them."""
    given = planned.scaling(plan, joint)
    columns = planned.scaled(plan, joint) if given is None else ()
    centres = [centre_of(column) for column in columns]
    away = [Col(column.name) - Const(centre) for column, centre in zip(columns, centres, strict=True)]
    terms = (Const(1), *away, *(one**2 for one in away))
    query = SumQuery(dataset=joint.name, where=_learned(plan, where, joint), per=unit(joint), terms=terms)
    (totals,) = yield (query,)
    if is_closed(totals, 0):
        raise Refused(
            "fewer than three parties have rows enough to train on",
            rule="minimum_units",
            hint="ask more parties, or train on more rows",
        )
    opened = [
        Fraction(number, 1 << scale)
        for number, scale in zip(totals.table[0][1:], shape(query, joint).scales, strict=True)
    ]
    rows = int(opened[0])
    if rows < 2:
        raise JobFailed("there are no rows to train on", hint="look at `where`, and at what is missing")
    if given is not None:
        return Standard(scaling=given, rows=rows)
    means = [one / rows for one in opened[1 : 1 + len(away)]]
    squares = zip(opened[1 + len(away) :], means, strict=True)
    variances = [max(Fraction(0), (second - rows * mean**2) / (rows - 1)) for second, mean in squares]
    return Standard(
        scaling=Scaling(
            centre=tuple(float(centre + mean) for centre, mean in zip(centres, means, strict=True)),
            scale=tuple(map(root, variances)),
        ),
        rows=rows,
    )


def _learned(plan: TrainingPlan, where: Expression | None, joint: Dataset) -> Expression | None:
    """Return the condition for rows that are learned from, as far as a column says so."""
    if not plan.split:
        return where
    kept = TRAIN if joint.column(plan.split).kind is Kind.CATEGORY else 0
    learned = Member(Col(plan.split), (kept,))
    return learned if where is None else Both(where, learned)
