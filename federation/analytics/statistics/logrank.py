"""Log-rank test of equal survival in several groups, also within strata, and its weighted forms; one grid of times.

At each event time a group expects d n_g / n of the d events; the sums of what it has beyond that, weighted, are
compared with their hypergeometric covariance (Mantel, Cancer Chemotherapy Reports 50, 1966; Fleming and Harrington
1991, section 7). Sums and covariances of strata add up. Chi-square with one degree of freedom less than groups that
hold rows. Weights as lifelines and R name them: none, "wilcoxon" n, "tarone-ware" sqrt(n), "peto" the product of
1 - d / (n + 1), "fleming-harrington" S^p (1 - S)^q with the survival S before the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from federation.analytics import survival
from federation.analytics.estimates import LeavesOut, RowsLeftOut, Suppressed
from federation.analytics.groups import By, columns, labels, parts, written
from federation.analytics.plan import Plan
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Statistic, Table
from federation.analytics.survival import Followed, Question, at_risk
from federation.analytics.tails import chi2_sf
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed, Misuse
from federation.query import exact
from federation.query.expression import Expression

WEIGHTINGS = ("wilcoxon", "tarone-ware", "peto", "fleming-harrington")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogrankParameters:
    """Which groups to compare, and how event times count.

    Attributes:
        time: a column of numbers: until the event, or until a row was last seen.
        event: a column that says which of both: 0 or 1, or a value named by `observed`.
        by: a category column, or several: the groups.
        strata: a category column, or several, within which groups are compared.
        weightings: None, "wilcoxon", "tarone-ware", "peto" or "fleming-harrington".
        p: of "fleming-harrington": weight of late times.
        q: the same of early times.
        bins: how many of equal width over the declared range, or their edges; None looks for the event times where
            all operators publish their own figures, else 16.
        resolution: width in which event times are told apart; None is 1 for whole numbers, and the range / 2^20.
        observed: the value of `event` that is an event.
    """

    time: str
    event: str
    by: str | tuple[str, ...]
    strata: By = None
    weightings: str | None = None
    p: float = 0.0
    q: float = 0.0
    bins: int | tuple[float, ...] | None = None
    resolution: float | None = None
    observed: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One group: opened rows, events, and what it would have if survival were equal; unweighted, over all strata."""

    label: str
    n: int
    observed: int
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LogrankResult(LeavesOut, Result):
    """The test.

    Attributes:
        test_statistic: chi-square.
        p_value: the probability of at least as much under equal survival.
        degrees_of_freedom: groups with rows at risk, less one.
        exact: whether every event time has a bin of its own, to `resolution`.
    """

    time: str
    event: str
    by: By
    strata: By
    weightings: str | None
    test_statistic: float
    p_value: float
    degrees_of_freedom: int
    groups: tuple[Compared, ...]
    exact: bool
    resolution: float
    closed: tuple[Suppressed, ...]
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def value(self) -> float:
        """The test statistic."""
        return self.test_statistic

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
        """The test in one line, and what a reader has to know."""
        within = "" if self.strata is None else f" within {written(self.strata)}"
        test = (
            f"chi-square {self.test_statistic:.6g} with {self.degrees_of_freedom} degrees of freedom{within}, "
            f"p = {self.p_value:.4g}"
        )
        if self.exact:
            return (test,) if self.resolution == 1 else (test, f"event times are told to {self.resolution:.6g}")
        return (test, "times are moved to the left end of their bin")

    def table(self) -> Table:
        """Return one row per group."""
        rows: list[tuple[Shown, ...]] = [
            (*parts(group.label), group.n, group.observed, group.expected) for group in self.groups
        ]
        return Table(columns=(*columns(self.by), "n", "observed", "expected"), rows=tuple(rows))

    def picture(self) -> Picture:
        """Return observed over expected events per group."""
        return Picture(
            drawn=Drawn.BARS,
            title=f"events by {written(self.by)}",
            x_label=written(self.by),
            y_label="observed / expected",
            x=tuple(group.label for group in self.groups),
            y=tuple(group.observed / group.expected if group.expected else None for group in self.groups),
        )


class Logrank(Statistic[LogrankParameters, LogrankResult]):
    """Test of equal survival in several groups, within strata if asked."""

    name = "logrank"
    version = 1
    Parameters = LogrankParameters

    def rounds(self, parameters: LogrankParameters, joint: Dataset) -> int:
        return survival.rounds(_question(parameters, joint), joint)

    def plan(self, parameters: LogrankParameters, where: Expression | None, joint: Dataset) -> Plan[LogrankResult]:
        question = _question(parameters, joint)
        counted = yield from survival.counted(question, where, joint)
        names = labels(parameters.by, joint)
        sums = [_Sums(parameters, len(names)) for _ in range(len(counted.groups) // len(names))]
        for place, each in enumerate(sums):
            each.take(counted.groups[place * len(names) : (place + 1) * len(names)])
        statistic, freedom = _tested(sums)
        return LogrankResult(
            time=parameters.time,
            event=parameters.event,
            by=parameters.by,
            strata=parameters.strata,
            weightings=parameters.weightings,
            test_statistic=statistic,
            p_value=chi2_sf(statistic, freedom),
            degrees_of_freedom=freedom,
            groups=tuple(
                Compared(
                    label=label,
                    n=sum(each.rows[place] for each in sums),
                    observed=sum(each.observed[place] for each in sums),
                    expected=math.fsum(each.expected[place] for each in sums),
                )
                for place, label in enumerate(names)
            ),
            exact=counted.exact,
            resolution=float(question.clock.step),
            closed=tuple(line for group in counted.groups for line in group.suppressed),
            left_out=counted.left_out,
            parties=counted.parties,
            k=joint.k,
        )


def _question(parameters: LogrankParameters, joint: Dataset) -> Question:
    if parameters.weightings not in (None, *WEIGHTINGS):
        raise Misuse("weightings is nothing, " + ", ".join(map(repr, WEIGHTINGS)))
    if parameters.p < 0 or parameters.q < 0:
        raise Misuse("p and q of fleming-harrington are 0 or more")
    by, within = columns(parameters.by), columns(parameters.strata)
    if set(by) & set(within):
        raise Misuse("a column is either a group or a stratum", hint="within a stratum it has one value")
    clock = survival.clock_of(parameters.time, parameters.resolution, joint)
    outcome = survival.outcome_of(parameters.event, parameters.observed, joint)
    return survival.question(clock, outcome, (*within, *by), parameters.bins, joint)


class _Sums:
    """What one stratum adds; local to a plan that is running."""

    def __init__(self, parameters: LogrankParameters, groups: int) -> None:
        self._parameters = parameters
        self.rows = [0] * groups
        self.observed = [0] * groups
        self.expected = [0.0] * groups
        self.beyond = [0.0] * groups
        self.covariance = [[0.0] * groups for _ in range(groups)]

    def take(self, groups: Sequence[Followed]) -> None:
        risks = [[rows[0] for rows in at_risk(group.bins)] for group in groups]
        self.rows = [risk[0] for risk in risks]
        before, peto = 1.0, 1.0
        for place in range(len(groups[0].bins)):
            events = [group.bins[place].events[0] for group in groups]
            risk = [each[place] for each in risks]
            n, d = sum(risk), sum(events)
            if not d:
                continue
            peto *= 1 - d / (n + 1)
            self._add(events, risk, self._weight(n, before, peto))
            before *= (n - d) / n

    def _weight(self, n: int, before: float, peto: float) -> float:
        match self._parameters.weightings:
            case "wilcoxon":
                return float(n)
            case "tarone-ware":
                return math.sqrt(n)
            case "peto":
                return peto
            case "fleming-harrington":
                return _power(before, self._parameters.p) * _power(1 - before, self._parameters.q)
        return 1.0

    def _add(self, events: Sequence[int], risk: Sequence[int], weight: float) -> None:
        n, d = sum(risk), sum(events)
        for g, (own, at) in enumerate(zip(events, risk, strict=True)):
            self.observed[g] += own
            self.expected[g] += d * at / n
            self.beyond[g] += weight * ((own * n - d * at) / n)  # the difference is exact in whole numbers
            if n == 1:
                continue
            for h, other in enumerate(risk):
                spread = d * (n - d) * at * ((n if g == h else 0) - other) / (n * n * (n - 1))
                self.covariance[g][h] += weight * weight * spread


def _tested(sums: Sequence[_Sums]) -> tuple[float, int]:
    """Return chi-square and its degrees of freedom, over the groups that are ever at risk beside others."""
    count = len(sums[0].beyond)
    covariance = [[math.fsum(each.covariance[g][h] for each in sums) for h in range(count)] for g in range(count)]
    held = [g for g in range(count) if covariance[g][g] > 0]
    if len(held) < 2:
        raise JobFailed(
            "fewer than two groups have rows at risk at an event time", hint="other groups, or fewer strata"
        )
    kept = held[:-1]
    beyond = [math.fsum(each.beyond[g] for each in sums) for g in kept]
    solved = exact.solve_spd([[covariance[g][h] for h in kept] for g in kept], beyond)
    return max(exact.dot(beyond, solved), 0.0), len(kept)


def _power(base: float, exponent: float) -> float:
    if not exponent:
        return 1.0
    return exact.exp(exponent * exact.ln(base)) if base > 0 else 0.0
