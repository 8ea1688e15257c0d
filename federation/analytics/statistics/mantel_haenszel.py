"""Common odds ratio of 2 x 2 tables in strata, and the Cochran-Mantel-Haenszel test that it is 1; one round.

N. Mantel, W. Haenszel, J. Natl. Cancer Inst. 22 (1959) 719-748; standard error of its logarithm by J. Robins,
N. Breslow, S. Greenland, Biometrics 42 (1986) 311-323; equality of the strata's odds ratios by Breslow and Day with
R. Tarone's correction, Biometrika 72 (1985) 91-95. The same figures as statsmodels' StratifiedTable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from federation.analytics import tails
from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.contingency import Counts, Observed, chosen, counts, question
from federation.analytics.estimates import Interval
from federation.analytics.groups import By, labels, written
from federation.analytics.plan import Plan
from federation.analytics.spans import Span, shown, total
from federation.analytics.statistic import Drawn, Picture, Shown, Statistic, Table
from federation.analytics.tested import Tested, bounds, pvalue
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Expression

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MantelHaenszelParameters:
    """Which tables.

    Attributes:
        row: a column of two levels, or of which two are chosen.
        column: another one.
        by: the column, or columns, whose categories are the strata.
        rows: the two levels of `row`, first and second row of the tables; None where it has only two.
        columns: the two levels of `column`; None where it has only two.
        correction: True subtracts 1/2 from the deviation that the test squares.
    """

    row: str
    column: str
    by: str | tuple[str, ...]
    rows: tuple[str, str] | None = None
    columns: tuple[str, str] | None = None
    correction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """One table: its rows, and its odds ratio with the standard error of its logarithm; None where a cell is 0."""

    label: str
    table: Observed
    odds_ratio: float | None
    log_se: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MantelHaenszelResult(Tested):
    """The common odds ratio; `se` is that of its logarithm.

    Attributes:
        strata: the tables one by one.
        homogeneity: statistic of the test that all strata have one odds ratio, its degrees of freedom and p-value.
    """

    by: By
    strata: tuple[Stratum, ...]
    homogeneity: tuple[float, float, float] | None

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return the confidence interval of the common odds ratio."""
        middle = math.log(self.estimate) if self.estimate else None
        low, high = bounds(middle, self.se, "normal", None, self.alternative, alpha)
        return None if low is None else math.exp(low), None if high is None else math.exp(high)

    def table(self) -> Table:
        """Return the common odds ratio, and below it one row per stratum."""
        low, high = self.conf_int()
        first: tuple[Shown, ...] = ("common", self.n, self.estimate, self.se, low, high, self.statistic, self.pvalue)
        lines: list[tuple[Shown, ...]] = [first]
        for each in self.strata:
            middle = None if each.odds_ratio is None else math.log(each.odds_ratio)
            ends = bounds(middle, each.log_se, "normal", None, "two-sided", 0.05)
            low, high = (None if end is None else math.exp(end) for end in ends)
            lines.append((each.label, each.table.total, each.odds_ratio, each.log_se, low, high, None, None))
        head = (written(self.by), "n", "odds_ratio", "log_se", "conf_low", "conf_high", "chi2", "pvalue")
        return Table(columns=head, rows=tuple(lines))

    def picture(self) -> Picture:
        """Return the logarithm of the odds ratio of every stratum and of all, with one standard error."""
        found = [(each.label, each.odds_ratio, each.log_se) for each in self.strata]
        found.append(("common", self.estimate, self.se))
        return Picture(
            drawn=Drawn.POINTS,
            title=f"odds ratios by {written(self.by)}",
            x_label=written(self.by),
            y_label="logarithm of the odds ratio",
            x=tuple(label for label, _, _ in found),
            y=tuple(math.log(odds) if odds else None for _, odds, _ in found),
            error=tuple(error for _, _, error in found),
        )


class MantelHaenszel(Statistic[MantelHaenszelParameters, MantelHaenszelResult]):
    """Common odds ratio of 2 x 2 tables in strata, with its test."""

    name = "mantel_haenszel"
    version = 1
    Parameters = MantelHaenszelParameters

    def rounds(self, parameters: MantelHaenszelParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's
        return 1

    def plan(
        self, parameters: MantelHaenszelParameters, where: Expression | None, joint: Dataset
    ) -> Plan[MantelHaenszelResult]:
        pairs = ((parameters.row, parameters.rows), (parameters.column, parameters.columns))
        among, names = chosen(where, pairs, joint)
        query = question(parameters.row, parameters.column, parameters.by, among, joint)
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        every = counts(parameters.row, parameters.column, parameters.by, query, totals, joint)
        tables = [table.only(*names) for table in every]
        used = [table for table in tables if table.total > 1]
        r = [Fraction(t.n[0][0] * t.n[1][1], t.total) for t in used]
        s = [Fraction(t.n[0][1] * t.n[1][0], t.total) for t in used]
        variance = sum((_variance(table) for table in used), ZERO)
        if not sum(r) or not sum(s) or not variance:
            raise JobFailed("the strata have no common odds ratio: a cell is 0 in all of them", hint="widen `where`")
        odds, away = sum(r, ZERO) / sum(s, ZERO), abs(sum(r, ZERO) - sum(s, ZERO))
        statistic = float((max(away - Fraction(1, 2), ZERO) if parameters.correction else away) ** 2 / variance)
        is_known = all(table.is_known for table in tables)
        spans = _spans(tables)
        names_of = labels(parameters.by, joint)
        strata = tuple(_stratum(label, table) for label, table in zip(names_of, tables, strict=True))
        return MantelHaenszelResult(
            test="Cochran-Mantel-Haenszel test",
            of=f"common odds ratio ({names[0][0]} / {names[0][1]}, {names[1][0]} / {names[1][1]})",
            estimate=float(odds),
            se=_log_se(used, r, s),
            law="chi2",
            statistic=statistic,
            df=1.0,
            pvalue=pvalue("chi2", statistic, 1.0),
            alternative="two-sided",
            interval=shown(float(odds), spans[0], is_known=is_known),
            statistic_interval=shown(statistic, spans[1], is_known=is_known),
            n=sum(table.total for table in tables),
            cells=tuple(line for table in tables for line in table.suppressed),
            notes=("se is that of the logarithm of the odds ratio",),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            by=parameters.by,
            strata=strata,
            homogeneity=_homogeneity([t for t in used if all(t.rows) and all(t.columns)], float(odds)),
        )


def _stratum(label: str, table: Counts) -> Stratum:
    cells = [n for line in table.n for n in line]
    if not all(cells):
        return Stratum(label=label, table=table.shown, odds_ratio=None, log_se=None)
    a, b, c, d = cells
    error = math.sqrt(float(sum((Fraction(1, n) for n in cells), ZERO)))
    return Stratum(label=label, table=table.shown, odds_ratio=a * d / (b * c), log_se=error)


def _variance(table: Counts) -> Fraction:
    """Of the first cell given the margins."""
    (r1, r2), (c1, c2), n = table.rows, table.columns, table.total
    return Fraction(r1 * r2 * c1 * c2, n * n * (n - 1))


def _log_se(tables: list[Counts], r: list[Fraction], s: list[Fraction]) -> float:
    """Robins, Breslow and Greenland's standard error of the logarithm of the common odds ratio."""
    p = [Fraction(t.n[0][0] + t.n[1][1], t.total) for t in tables]
    every = list(zip(p, r, s, strict=True))
    above, below = sum(r, ZERO), sum(s, ZERO)
    found = sum((a * x for a, x, _ in every), ZERO) / (2 * above**2)
    found += sum((a * y + (1 - a) * x for a, x, y in every), ZERO) / (2 * above * below)
    found += sum(((1 - a) * y for a, _, y in every), ZERO) / (2 * below**2)
    return math.sqrt(float(found))


def _homogeneity(tables: list[Counts], odds: float) -> tuple[float, float, float] | None:
    """Breslow and Day's test with Tarone's correction: statistic, degrees of freedom, p-value."""
    if len(tables) < 2:
        return None
    found, off, spread = 0.0, 0.0, 0.0
    for table in tables:
        (r1, _), (c1, _), n = table.rows, table.columns, table.total
        # The first cell e with odds ratio `odds` and these margins: e (n - r1 - c1 + e) = odds (r1 - e) (c1 - e).
        second, first, free = 1 - odds, n - r1 - c1 + odds * (r1 + c1), -odds * r1 * c1
        if abs(second) < 1e-12:
            e = -free / first
        else:
            e = (-first + math.sqrt(first * first - 4 * second * free)) / (2 * second)
        variance = 1 / (1 / e + 1 / (r1 - e) + 1 / (c1 - e) + 1 / (n - r1 - c1 + e))
        away = table.n[0][0] - e
        found, off, spread = found + away**2 / variance, off + away, spread + variance
    statistic, df = found - off**2 / spread, len(tables) - 1.0
    return statistic, df, tails.chi2_sf(statistic, df)


def _spans(tables: list[Counts]) -> tuple[Span, Span]:
    """Where the common odds ratio and the uncorrected statistic of all rows lie."""
    infinity = math.inf
    r = total(_product(t.spans[0][0], t.spans[1][1], t.spans[0][1], t.spans[1][0]) for t in tables)
    s = total(_product(t.spans[0][1], t.spans[1][0], t.spans[0][0], t.spans[1][1]) for t in tables)
    variances = []
    for table in tables:
        rows, lines = [total(line) for line in table.spans], [total(line) for line in zip(*table.spans, strict=True)]
        n = total(rows)
        each = rows[0] * rows[1] / n.squared * (lines[0] * lines[1]) / (n - 1)
        most = n.high**2 / (16 * (n.high - 1)) if 1 < n.high < infinity else infinity
        variances.append(each.within(0, most) if n.low > 1 else Span(0.0, max(most, 1.0)))
    return (r / s).within(0, infinity), ((r - s).squared / total(variances)).within(0, infinity)


def _product(a: Span, b: Span, c: Span, d: Span) -> Span:
    """A b / (a + b + c + d), which grows with a and b and falls with c and d."""
    least, most = _quotient(a.low, b.low, c.high, d.high), _quotient(a.high, b.high, c.low, d.low)
    return Span(least.low, most.high)


def _quotient(a: float, b: float, c: float, d: float) -> Span:
    if not a or not b:
        return Span(0.0, 0.0)
    return (Span(a, a) * b / (Span(a, a) + b + c + d)).within(0, math.inf)
