"""Pearson's chi-square test of independence of two columns, from their table of counts; one round.

Statistic, degrees of freedom and p-value as scipy's chi2_contingency, with Yates' correction of 2 x 2 tables. The
estimate is Cramer's V, sqrt(chi2 / (N (smaller number of levels - 1))), from the uncorrected statistic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.contingency import Counts, Observed, chi_square, counts, drawn, pearson, question
from federation.analytics.moments import root
from federation.analytics.plan import Plan
from federation.analytics.spans import Span, shown, total
from federation.analytics.statistic import Picture, Statistic
from federation.analytics.tested import Tested, pvalue
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Expression

FEW = 5  # expected rows of a cell below which the law is a rough approximation


@dataclass(frozen=True, slots=True, kw_only=True)
class Chi2Parameters:
    """Which columns.

    Attributes:
        row: a category column, or one of few whole numbers; levels without rows are left out.
        column: another one.
        correction: Yates' correction of a 2 x 2 table.
    """

    row: str
    column: str
    correction: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chi2Result(Tested):
    """The test and its table.

    Attributes:
        observed: the opened counts, without empty levels.
        expected: r_i c_j / N, row by row.
    """

    row: str
    column: str
    observed: Observed
    expected: tuple[tuple[float, ...], ...]

    @property
    def residuals(self) -> tuple[tuple[float, ...], ...]:
        """Pearson's residuals, (observed - expected) / sqrt(expected)."""
        return tuple(
            tuple((n - e) / math.sqrt(e) for n, e in zip(*line, strict=True))
            for line in zip(self.observed.n, self.expected, strict=True)
        )

    def picture(self) -> Picture:
        """Return the residuals as colours: where rows are more or fewer than independence says."""
        flat = tuple(value for line in self.residuals for value in line)
        title = f"{self.row} and {self.column}: residuals of independence"
        widest = max(map(abs, flat), default=1.0)
        levels = (self.observed.down, self.observed.across)
        return drawn(*levels, self.row, self.column, title, flat, (-widest, widest))


class Chi2(Statistic[Chi2Parameters, Chi2Result]):
    """Pearson's chi-square test of independence."""

    name = "chi2"
    version = 1
    Parameters = Chi2Parameters

    def rounds(self, parameters: Chi2Parameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's arguments
        return 1

    def plan(self, parameters: Chi2Parameters, where: Expression | None, joint: Dataset) -> Plan[Chi2Result]:
        query = question(parameters.row, parameters.column, None, where, joint)
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        (whole,) = counts(parameters.row, parameters.column, None, query, totals, joint)
        table = whole.shortened()
        smaller = min(len(table.down), len(table.across)) - 1
        if smaller < 1:
            raise JobFailed("a chi-square test needs rows in two levels of each column", hint="widen `where`")
        plain = pearson(table, corrected=False)
        corrected = parameters.correction and len(table.down) == len(table.across) == 2
        statistic = float(pearson(table, corrected=True) if corrected else plain)
        df = float((len(table.down) - 1) * (len(table.across) - 1))
        spans = _spans(whole, smaller, corrected=corrected)
        cramer = root(plain / (table.total * smaller))
        expected = tuple(tuple(r * c / table.total for c in table.columns) for r in table.rows)
        few = sum(1 for line in expected for value in line if value < FEW)
        return Chi2Result(
            test="chi-square test" + (" with Yates' correction" if corrected else ""),
            of="Cramer's V",
            estimate=cramer,
            se=None,
            law="chi2",
            statistic=statistic,
            df=df,
            pvalue=pvalue("chi2", statistic, df),
            alternative="greater",
            interval=shown(cramer, spans[0], is_known=whole.is_known),
            statistic_interval=shown(statistic, spans[1], is_known=whole.is_known),
            n=table.total,
            cells=whole.suppressed,
            notes=_notes(table, few),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            row=parameters.row,
            column=parameters.column,
            observed=table.shown,
            expected=expected,
        )


def _spans(table: Counts, smaller: int, *, corrected: bool) -> tuple[Span, Span]:
    """Where Cramer's V and the statistic of all rows lie; levels without opened rows may turn out to have some."""
    rows = [total(line) for line in table.spans]
    lines = [total(line) for line in zip(*table.spans, strict=True)]
    n, found = total(rows), chi_square(table)
    share = found / (n * Span(float(smaller), float(min(len(rows), len(lines)) - 1)))
    if corrected and len(rows) == len(lines) == 2:
        less = (n.squared * n / (4 * (rows[0] * rows[1] * lines[0] * lines[1]).within(0, math.inf))).root
        found = Span((found.root - less).within(0, math.inf).squared.low, found.high)
    elif corrected:
        found = Span(0.0, found.high)
    return share.root.within(0, 1), found


def _notes(table: Counts, few: int) -> tuple[str, ...]:
    found = []
    if table.dropped:
        found.append(f"levels without opened rows are left out: {', '.join(table.dropped)}")
    if few:
        found.append(f"{few} of {len(table.down) * len(table.across)} cells expect fewer than {FEW} rows")
    return tuple(found)
