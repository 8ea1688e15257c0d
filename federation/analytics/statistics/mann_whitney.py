"""Mann and Whitney's test that neither of two groups ranks higher, on the bins of a column; one round.

It equals scipy's mannwhitneyu (method="asymptotic") on the binned values: two rows of one bin are a tie. With bins as
fine as the values themselves, as whole numbers of a short range are by default, it is the test of the values.
H. B. Mann, D. R. Whitney, Ann. Math. Stat. 18 (1947) 50-60.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from federation.analytics.cells import left_out, require_an_open_cell
from federation.analytics.contingency import chosen
from federation.analytics.estimates import Interval, Number, Suppressed
from federation.analytics.moments import root
from federation.analytics.plan import Plan
from federation.analytics.ranks import Ranked, edges_of, question, ranked
from federation.analytics.spans import Span, between, shown
from federation.analytics.statistic import Drawn, Picture, Series, Statistic
from federation.analytics.tested import Tested, bounds, checked, pvalue
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.expression import Expression
from federation.query.query import shape


@dataclass(frozen=True, slots=True, kw_only=True)
class MannWhitneyParameters:
    """Which groups.

    Attributes:
        column: a column of numbers.
        by: the column with the two groups.
        groups: which two of them; None where there are only two.
        bins: how many of equal width over the declared range, or the edges themselves; None is one bin per whole
            number, 256, or 32 where small bins are withheld.
        alternative: "two-sided", or whether the first group is "less" or "greater".
        continuity: whether the deviation is taken 1/2 smaller.
    """

    column: str
    by: str
    groups: tuple[str, str] | None = None
    bins: int | tuple[float, ...] | None = None
    alternative: str = "two-sided"
    continuity: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MannWhitneyResult(Tested):
    """The test; `estimate` is the share of pairs in which the first group is greater, ties counted half.

    Attributes:
        u: that number of pairs, Mann and Whitney's U of the first group; a half where there are ties.
        edges: of the bins.
        counts: opened rows of both groups, bin by bin between the edges.
    """

    u: float
    column: str
    groups: tuple[str, str]
    edges: tuple[Number, ...]
    counts: tuple[tuple[int, ...], tuple[int, ...]]

    def conf_int(self, alpha: float = 0.05) -> Interval:
        """Return the confidence interval of the share of pairs, by DeLong's standard error, within [0, 1]."""
        low, high = bounds(self.estimate, self.se, "normal", None, self.alternative, alpha)
        return 0.0 if low is None else max(low, 0.0), 1.0 if high is None else min(high, 1.0)

    def picture(self) -> Picture:
        """Return both groups' rows per bin."""
        return Picture(
            drawn=Drawn.STEPS,
            title=f"{self.column} of {self.groups[0]} and {self.groups[1]}",
            x_label=self.column,
            y_label="rows",
            x=self.edges,
            y=self.counts[0],
            label=self.groups[0],
            others=(Series(label=self.groups[1], x=self.edges, y=self.counts[1]),),
            filled=False,
        )


class MannWhitney(Statistic[MannWhitneyParameters, MannWhitneyResult]):
    """Mann and Whitney's rank test of two groups, on binned values."""

    name = "mann_whitney"
    version = 1
    Parameters = MannWhitneyParameters

    def rounds(self, parameters: MannWhitneyParameters, joint: Dataset) -> int:  # noqa: ARG002 - the contract's
        return 1

    def plan(
        self, parameters: MannWhitneyParameters, where: Expression | None, joint: Dataset
    ) -> Plan[MannWhitneyResult]:
        checked(parameters.alternative)
        among, (names,) = chosen(where, [(parameters.by, parameters.groups)], joint)
        edges = edges_of(parameters.column, parameters.bins, joint)
        query = question(parameters.column, parameters.by, edges, None, among, joint)
        shape(query, joint)  # what has no meaning fails here, before anything is asked
        (totals,) = yield (query,)
        require_an_open_cell(totals)
        of = ranked(query, totals, joint, parameters.by, (names[0], names[1:]), parameters.column, edges)
        spread = _variance(of)
        if of.area is None or not spread:
            raise JobFailed("a rank test needs rows of both groups in different bins", hint="use finer bins")
        is_known = of.is_known
        z = _z(of, spread, parameters.alternative, continuity=parameters.continuity)
        cells = [] if is_known else [_line(name, i, of) for i, name in enumerate(names)]
        return MannWhitneyResult(
            test="Mann-Whitney test",
            of=f"share of pairs with {names[0]} above {names[1]}",
            estimate=float(of.area),
            se=of.se,
            law="normal",
            statistic=z,
            df=None,
            pvalue=min(1.0, pvalue("normal", z, None, parameters.alternative)),
            alternative=parameters.alternative,
            interval=shown(float(of.area), of.areas, is_known=is_known),
            statistic_interval=shown(z, _reach(of), is_known=is_known),
            n=sum(of.rows),
            cells=tuple(cells),
            notes=(f"of {parameters.column} in {len(edges) - 1} bins: two rows of one bin are a tie",),
            left_out=left_out(query, totals, joint),
            parties=totals.parties,
            k=joint.k,
            u=float(of.wins),
            column=parameters.column,
            groups=names,
            edges=edges,
            counts=(tuple(map(int, of.first[1:-1])), tuple(map(int, of.second[1:-1]))),
        )


def _variance(of: Ranked) -> Fraction:
    """Of U where neither group ranks higher, with ties."""
    m, n = of.sizes
    whole = m + n
    return m * n / 12 * (whole + 1 - of.ties / (whole * (whole - 1))) if whole > 1 else Fraction(0)


def _z(of: Ranked, spread: Fraction, alternative: str, *, continuity: bool) -> float:
    """The deviation of U over its standard deviation, nearer to 0 by 1/2 in the direction that is tested."""
    m, n = of.sizes
    away = of.wins - m * n / 2
    half = Fraction(1, 2) if continuity else Fraction(0)
    if alternative == "two-sided":
        nearer = max(abs(away) - half, Fraction(0)) if away else Fraction(0)
        return root(nearer**2 / spread) * (1 if away >= 0 else -1)
    shifted = away - half if alternative == "greater" else away + half
    return root(shifted**2 / spread) * (1 if shifted >= 0 else -1)


def _reach(of: Ranked) -> Span:
    """Where z of all rows lies; the continuity correction moves it by less than the 1 that is allowed for."""
    m, n = of.sizes
    rows = [
        between(size, None if more is None else size + sum(more, Fraction(0)))
        for size, more in zip((m, n), of.further, strict=True)
    ]
    away = (of.areas - Fraction(1, 2)) * (rows[0] * rows[1]) + Span(-0.5, 0.5)
    return away / of.variances.root


def _line(name: str, place: int, of: Ranked) -> Suppressed:
    size, more = of.sizes[place], of.further[place]
    high = None if more is None else int(size + sum(more, Fraction(0)))
    return Suppressed(what=f"rows of {name}", withheld=of.withheld, closed=False, interval=(int(size), high))
