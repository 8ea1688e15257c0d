"""Area under the ROC curve of a score against two classes, from the histograms of both; one round.

The share of pairs in which the positive row scores higher, ties counted half: scikit-learn's roc_auc_score of the
binned score, with DeLong's standard error. J. A. Hanley, B. J. McNeil, Radiology 143 (1982) 29-36.
"""

from __future__ import annotations

from dataclasses import dataclass

from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.estimates import Interval, LeavesOut, Number, RowsLeftOut, Suppressed, found
from federation.analytics.groups import By, columns, labels, levels, parts, written
from federation.analytics.groups import columns as grouping
from federation.analytics.plan import Plan
from federation.analytics.ranks import Ranked, edges_of, question, ranked
from federation.analytics.spans import shown
from federation.analytics.statistic import Drawn, Line, Picture, Result, Shown, Statistic, Table
from federation.analytics.tested import bounds
from federation.analytics.weights import weight_of
from federation.domain.catalogue import Dataset
from federation.errors import Misuse, did_you_mean
from federation.query.expression import Expression
from federation.query.query import shape


@dataclass(frozen=True, slots=True, kw_only=True)
class AucParameters:
    """Which score and which classes.

    Attributes:
        score: a column of numbers.
        label: a column of two classes, or of which one is positive and all others are not.
        positive: the positive class; None is the last of two.
        bins: of the score: how many of equal width over the declared range, or the edges themselves; None is one bin
            per whole number, 256, or 32 where small bins are withheld.
        by: a category column, or several, for one area per category or combination.
        weights: a column of weights: a row of weight w counts as w rows; None for none.
    """

    score: str
    label: str
    positive: str | None = None
    bins: int | tuple[float, ...] | None = None
    by: By = None
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roc:
    """One curve.

    Attributes:
        label: its category, or "all rows".
        positives: opened rows of the positive class.
        negatives: opened rows of the others.
        auc: None where one of the classes has no rows.
        se: DeLong's standard error.
        interval: where the area over all rows lies.
        false_positive: share of the negatives that score at or above each edge, from 0 to 1.
        true_positive: the same of the positives.
        withheld: the most parties that withhold a bin.
    """

    label: str
    positives: int
    negatives: int
    auc: float | None
    se: float | None
    interval: Interval
    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]
    withheld: int

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return the confidence interval of the area, within [0, 1]."""
        low, high = bounds(self.auc, self.se, "normal", None, "two-sided", alpha)
        return None if low is None else max(low, 0.0), None if high is None else min(high, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AucResult(LeavesOut, Result):
    """Areas under ROC curves, per group if asked.

    Attributes:
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    score: str
    label: str
    positive: str
    by: By
    edges: tuple[Number, ...]
    groups: tuple[Roc, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    weights: str | None = None

    @property
    def only(self) -> Roc:
        """The one curve of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one curve per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> float | None:
        """The area of a result without `by`."""
        return self.only.auc

    @property
    def se(self) -> float | None:
        """Its standard error."""
        return self.only.se

    @property
    def interval(self) -> Interval:
        """Where the area over all rows lies, without `by`."""
        return self.only.interval

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.positives + group.negatives for group in self.groups)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        return (f"of the score in {len(self.edges) - 1} bins: two rows of one bin are a tie",)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every area that withheld bins leave uncertain, with its interval."""
        lines = [
            Suppressed(
                what=f"area, {group.label}", withheld=group.withheld, closed=group.auc is None, interval=group.interval
            )
            for group in self.groups
            if group.withheld
        ]
        return (*lines, *self.left_out.suppressed)

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return the confidence interval of the area of a result without `by`."""
        return self.only.conf_int(alpha)

    def __getitem__(self, label: str | tuple[str, ...]) -> Roc:
        return found(self.groups, label)

    def table(self) -> Table:
        """Return one row per group: positives, negatives, area, its error and interval, low, high."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            numbers = (group.positives, group.negatives, group.auc, group.se, *group.conf_int())
            rows.append((*label, *numbers, *group.interval))
        names = ("positives", "negatives", "auc", "se", "conf_low", "conf_high", "low", "high")
        return Table(columns=(*grouping(self.by), *names), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the ROC curves beside the diagonal."""
        drawn = [group for group in self.groups if group.true_positive]
        return Picture(
            drawn=Drawn.LINES,
            title=f"ROC curve of {self.score} for {self.label} {self.positive}",
            x_label="false positive rate",
            y_label="true positive rate",
            x=(),
            y=(),
            lines=tuple(
                Line(label="" if self.by is None else group.label, x=group.false_positive, y=group.true_positive)
                for group in drawn
            )
            or (Line(label="", x=(), y=()),),
            diagonal=True,
        )


class Auc(Statistic[AucParameters, AucResult]):
    """Area under the ROC curve of a binned score, per category if asked."""

    name = "auc"
    version = 1
    Parameters = AucParameters

    def rounds(self, parameters: AucParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: AucParameters, where: Expression | None, joint: Dataset) -> Plan[AucResult]:
        positive, others = _classes(parameters, joint)
        edges, weight = edges_of(parameters.score, parameters.bins, joint), weight_of(parameters.weights, joint)
        query = question(parameters.score, parameters.label, edges, parameters.by, where, joint, weight)
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        names = (positive, others)
        groups = [
            _roc(each, ranked(query, totals, joint, parameters.label, names, parameters.score, edges, place, weight))
            for place, each in enumerate(labels(parameters.by, joint))
        ]
        return AucResult(
            score=parameters.score,
            label=parameters.label,
            positive=positive,
            by=parameters.by,
            edges=edges,
            groups=tuple(groups),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            weights=parameters.weights,
        )


def _classes(parameters: AucParameters, joint: Dataset) -> tuple[str, tuple[str, ...]]:
    """The positive class and the others."""
    if parameters.label in columns(parameters.by):
        raise Misuse(
            "the classes are compared within a group, and do not group themselves", hint="leave them out of by="
        )
    known = levels(parameters.label, joint)
    positive = known[-1] if parameters.positive is None and len(known) == 2 else parameters.positive
    if positive is None or positive not in known or len(known) < 2:
        hint = "name the positive one" if positive is None else did_you_mean(positive, known)
        raise Misuse(f"{parameters.label!r} has {len(known)} classes, and one is positive", hint=hint)
    return positive, tuple(name for name in known if name != positive)


def _roc(label: str, of: Ranked) -> Roc:
    area = None if of.area is None else float(of.area)
    x, y = of.curve() if area is not None else ((), ())
    return Roc(
        label=label,
        positives=of.rows[0],
        negatives=of.rows[1],
        auc=area,
        se=of.se,
        interval=shown(area, of.areas, is_known=of.is_known),
        false_positive=x,
        true_positive=y,
        withheld=0 if of.is_known else of.withheld,
    )
