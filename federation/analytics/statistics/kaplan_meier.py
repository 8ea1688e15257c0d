"""Kaplan-Meier estimate of survival beyond a time, with Greenwood's error; one round of bins where they are given.

S(t) is the product of 1 - d/n over event times up to t, with d events among n at risk (Kaplan and Meier, JASA 53,
1958); its variance is S^2 times the sum of d / (n (n - d)) (Greenwood 1926). The interval is that of ln(-ln S), which
stays inside (0, 1) (Kalbfleisch and Prentice 1980, section 1.4), or S +- z se cut to [0, 1]. Where parties withhold
bins, `low` and `high` hold the curve of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from federation.analytics import survival
from federation.analytics.estimates import LeavesOut, Number, RowsLeftOut, Suppressed, found
from federation.analytics.groups import By, columns, parts, written
from federation.analytics.ladder import NOTHING, Rows
from federation.analytics.plan import Plan
from federation.analytics.statistic import Drawn, Picture, Result, Series, Shown, Statistic, Table
from federation.analytics.survival import Followed, Question, at_risk
from federation.analytics.tails import normal_ppf
from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query import exact
from federation.query.expression import Expression

WAYS = ("log-log", "plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class KaplanMeierParameters:
    """Whose survival, and how its interval is made.

    Attributes:
        time: a column of numbers: until the event, or until a row was last seen.
        event: a column that says which of both: 0 or 1, or a value named by `observed`.
        by: a category column, or several, for one curve per category or combination.
        bins: how many of equal width over the declared range, or their edges; None looks for the event times where
            all operators publish their own figures, else 16.
        resolution: width in which event times are told apart, in the unit of `time`; None is 1 for whole numbers, and
            the declared range / 2^20 for real ones.
        observed: the value of `event` that is an event.
        alpha: one minus the level of the interval.
        ci: "log-log" or "plain".
    """

    time: str
    event: str
    by: By = None
    bins: int | tuple[float, ...] | None = None
    resolution: float | None = None
    observed: str | int | None = None
    alpha: float = 0.05
    ci: str = "log-log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The curve from one time to the next.

    Attributes:
        time: left end of the bin; the event time, where the grid holds all of them.
        n_risk: opened rows that reach it.
        n_events: opened events in the bin.
        n_censored: opened rows that leave in it without.
        survival: estimate after the events of the bin.
        se: Greenwood's standard error of it; None where nobody survives.
        ci: confidence interval.
        low: least estimate whatever is withheld.
        high: greatest one.
    """

    time: Number
    n_risk: int
    n_events: int
    n_censored: int
    survival: float
    se: float | None
    ci: tuple[float | None, float | None]
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalCurve:
    """The curve of one group.

    Attributes:
        label: its category, or "all rows".
        n: opened rows.
        events: opened events.
        end: until when the curve is told.
    """

    label: str
    n: int
    events: int
    steps: tuple[Step, ...]
    end: Number

    @property
    def times(self) -> tuple[Number, ...]:
        """Where the curve may step."""
        return tuple(step.time for step in self.steps)

    @property
    def survival(self) -> tuple[float, ...]:
        """The estimate from each time on."""
        return tuple(step.survival for step in self.steps)

    @property
    def se(self) -> tuple[float | None, ...]:
        """Its standard errors."""
        return tuple(step.se for step in self.steps)

    @property
    def median_survival_time_(self) -> Number | None:
        """The first time by which half have the event; None where fewer do."""
        return self.percentile(0.5)

    def percentile(self, p: float) -> Number | None:
        """Return the first time at which survival is at most `p`; None where it never is."""
        return next((step.time for step in self.steps if step.survival <= p), None)

    def percentile_ci(self, p: float) -> tuple[Number | None, Number | None]:
        """Return the times between which survival `p` lies: those at which the interval's ends reach it.

        After Brookmeyer and Crowley (Biometrics 38, 1982); None where an end never does.
        """
        ends = [next((s.time for s in self.steps if (at := s.ci[i]) is not None and at <= p), None) for i in range(2)]
        return ends[0], ends[1]

    def survival_function_at_times(self, times: Sequence[Number]) -> tuple[float | None, ...]:
        """Return the estimate at `times`; None after the last one that is told."""
        told = []
        for time in times:
            at = [step.survival for step in self.steps if step.time <= time]
            told.append(None if time > self.end else at[-1] if at else 1.0)
        return tuple(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class KaplanMeierResult(LeavesOut, Result):
    """Survival curves, one per group.

    Attributes:
        exact: whether every event time has a bin of its own, to the `resolution`.
        resolution: width of the finest bin.
        groups: one per category of `by`, or one.
        left_out: rows that were not used, or whose value was moved, per reason.
    """

    time: str
    event: str
    by: By
    alpha: float
    ci: str
    exact: bool
    resolution: float
    groups: tuple[SurvivalCurve, ...]
    closed: tuple[Suppressed, ...]
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def only(self) -> SurvivalCurve:
        """The one curve of a result without `by`."""
        if self.by is not None:
            raise Misuse(f"there is one curve per {written(self.by)!r}", hint="index it with a category")
        return self.groups[0]

    @property
    def value(self) -> tuple[float, ...]:
        """Survival from each time on, without `by`."""
        return self.only.survival

    @property
    def se(self) -> tuple[float | None, ...]:
        """Greenwood's standard errors, without `by`."""
        return self.only.se

    @property
    def times(self) -> tuple[Number, ...]:
        """Where the curve may step, without `by`."""
        return self.only.times

    @property
    def median_survival_time_(self) -> Number | None:
        """The first time by which half have the event, without `by`."""
        return self.only.median_survival_time_

    @property
    def n(self) -> int:
        """Opened rows."""
        return sum(group.n for group in self.groups)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """Every number that is closed or that a party withholds, with its interval."""
        return (*self.closed, *self.left_out.suppressed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        if self.exact:
            return () if self.resolution == 1 else (f"event times are told to {self.resolution:.6g}",)
        return ("times are moved to the left end of their bin; what ends in a bin is censored after its events",)

    def __getitem__(self, label: str | tuple[str, ...]) -> SurvivalCurve:
        """Return the curve of a category, or of one category per grouping column."""
        return found(self.groups, label)

    def table(self) -> Table:
        """Return one row per group and time."""
        rows: list[tuple[Shown, ...]] = []
        for group in self.groups:
            label = () if self.by is None else parts(group.label)
            for step in group.steps:
                counts = (step.time, step.n_risk, step.n_events, step.n_censored)
                rows.append((*label, *counts, step.survival, step.se, *step.ci, step.low, step.high))
        names = ("time", "n_risk", "n_events", "n_censored", "survival", "se", "ci_low", "ci_high", "low", "high")
        return Table(columns=(*columns(self.by), *names), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the curves as steps; a single one with its confidence interval."""
        opened = [group for group in self.groups if group.n] or self.groups[:1]
        first, *others = [_series(group, group.label, group.survival) for group in opened]
        if self.by is None:
            level = f"{1 - self.alpha:.0%}"
            ends = [tuple(step.ci[place] for step in opened[0].steps) for place in range(2)]
            others = [_series(opened[0], f"{way} {level}", end) for way, end in zip(("low", "high"), ends, strict=True)]
        return Picture(
            drawn=Drawn.STEPS,
            title=f"survival by {written(self.by)}" if self.by is not None else "survival",
            x_label=self.time,
            y_label="share without the event",
            x=first.x,
            y=first.y,
            label=first.label if self.by is not None else "estimate",
            others=tuple(others),
            filled=False,
        )


class KaplanMeier(Statistic[KaplanMeierParameters, KaplanMeierResult]):
    """Survival beyond each time, per category if asked."""

    name = "kaplan_meier"
    version = 1
    Parameters = KaplanMeierParameters

    def rounds(self, parameters: KaplanMeierParameters, joint: Dataset) -> int:
        return survival.rounds(_question(parameters, joint), joint)

    def plan(
        self, parameters: KaplanMeierParameters, where: Expression | None, joint: Dataset
    ) -> Plan[KaplanMeierResult]:
        question = _question(parameters, joint)
        counted = yield from survival.counted(question, where, joint)
        return KaplanMeierResult(
            time=parameters.time,
            event=parameters.event,
            by=parameters.by,
            alpha=parameters.alpha,
            ci=parameters.ci,
            exact=counted.exact,
            resolution=float(question.clock.step),
            groups=tuple(_curve(group, parameters) for group in counted.groups),
            closed=tuple(line for group in counted.groups for line in group.suppressed),
            left_out=counted.left_out,
            parties=counted.parties,
            k=joint.k,
        )


def _question(parameters: KaplanMeierParameters, joint: Dataset) -> Question:
    if parameters.ci not in WAYS:
        raise Misuse(f"ci is {' or '.join(map(repr, WAYS))}")
    if not 0 < parameters.alpha < 1:
        raise Misuse("alpha lies between 0 and 1", hint="0.05 is an interval of 95 %")
    clock = survival.clock_of(parameters.time, parameters.resolution, joint)
    outcome = survival.outcome_of(parameters.event, parameters.observed, joint)
    return survival.question(clock, outcome, parameters.by, parameters.bins, joint)


def _curve(group: Followed, parameters: KaplanMeierParameters) -> SurvivalCurve:
    z = -normal_ppf(parameters.alpha / 2)
    risk = at_risk(group.bins)
    estimate, spread, low, high = 1.0, 0.0, 1.0, 1.0
    steps: list[Step] = []
    for place, each in enumerate(group.bins):
        n, d = risk[place][0], each.events[0]
        after = risk[place + 1] if place + 1 < len(risk) else (0, 0)
        least, most = _survivors(each.events, each.censored, after)
        low, high = low * least, high * most
        if d == each.censored[0] == 0 and least == most:
            continue
        if d:
            estimate *= (n - d) / n
            spread = math.inf if n == d else spread + d / (n * (n - d))
        steps.append(
            Step(
                time=each.start,
                n_risk=n,
                n_events=d,
                n_censored=each.censored[0],
                survival=estimate,
                se=None if math.isinf(spread) else estimate * math.sqrt(spread),
                ci=_interval(estimate, spread, z, parameters.ci),
                low=min(low, estimate),  # rounding of either may pass the other by an ulp
                high=max(high, estimate),
            )
        )
    held = [each for each in group.bins if each.events != NOTHING or each.censored != NOTHING]
    return SurvivalCurve(
        label=group.label,
        n=risk[0][0],
        events=sum(each.events[0] for each in group.bins),
        steps=tuple(steps),
        end=held[-1].end if held else group.bins[0].start,
    )


def _survivors(events: Rows, censored: Rows, after: Rows) -> tuple[float, float]:
    """Return the least and greatest share that survives a bin, whatever is withheld.

    The share with the event grows with the events and falls with the others at risk.
    """
    (fewest, many), (stay, _) = events, (censored[0] + after[0], None)
    most = None if censored[1] is None or after[1] is None else censored[1] + after[1]
    least = 0.0 if many is None else stay / (many + stay) if many + stay else 1.0
    greatest = 1.0 if most is None or not fewest else most / (fewest + most)
    return least, greatest


def _interval(estimate: float, spread: float, z: float, way: str) -> tuple[float | None, float | None]:
    if math.isinf(spread):
        return None, None
    if not spread:
        return 1.0, 1.0
    if way == "plain":
        half = z * estimate * math.sqrt(spread)
        return max(0.0, estimate - half), min(1.0, estimate + half)
    log = exact.ln(estimate)
    factor = exact.exp(z * math.sqrt(spread) / log)  # below 1, as the logarithm of a share is
    return exact.exp(log / factor), exact.exp(log * factor)


def _series(group: SurvivalCurve, label: str, heights: Sequence[float | None]) -> Series:
    """One level from each step to the next, from 1 at the left."""
    if not group.steps:
        return Series(label=label, x=(0, group.end or 1), y=(None,))
    start: tuple[Number, ...] = (0,) if group.steps[0].time > 0 else ()
    return Series(label=label, x=(*start, *group.times, group.end), y=(*(1.0 for _ in start), *heights))
