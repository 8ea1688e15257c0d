"""A published data set as the researcher sees it: columns, units, ranges and parties; never a row.

Each statistic is a method and one job. `where` is parsed against the published columns here, before anybody is asked,
and is parsed again by every party; it is never evaluated as code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from clients.researcher import rendering
from clients.researcher.asking import Ask, Frame, ask, computation, statistics
from clients.researcher.receipt import Plain
from federation.domain.catalogue import Column, Dataset, agreed
from federation.domain.job import Computation
from federation.errors import did_you_mean
from federation.query import predicate

if TYPE_CHECKING:
    from rich.console import Group

    from clients.researcher.forecast import Forecast
    from clients.researcher.results import Result
    from clients.researcher.session import Session

By: TypeAlias = str | Sequence[str] | None

COLUMNS = ("column", "kind", "unit", "low", "high", "categories", "missing", "outside")
MOST_SHOWN = 12  # categories of a column that a summary lists


class Table:
    """One data set of one session, perhaps with some of its rows; made by `session.table`.

    Attributes:
        published: party -> (publication, SHA-256 of its signed bytes); sorted by party.
        joint: the description that all of them agree on: hull of the ranges, greatest k.
        frame: what jobs over this table say besides their questions.
    """

    def __init__(self, session: Session, published: Mapping[str, tuple[Dataset, bytes]], frame: Frame) -> None:
        self._session = session
        self.published = {party: published[party] for party in sorted(published)}
        self.joint = agreed({party: dataset for party, (dataset, _) in self.published.items()})
        self.frame = frame

    @property
    def name(self) -> str:
        """What jobs call it."""
        return self.joint.name

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns: kind, unit, range, categories, missing codes."""
        return self.joint.columns

    @property
    def unit(self) -> str:
        """Who is counted: "person", "flight"."""
        return self.joint.unit

    @property
    def units(self) -> dict[str, str]:
        """Unit of measurement per column, "" for none."""
        return {column.name: column.unit for column in self.columns}

    @property
    def parties(self) -> tuple[str, ...]:
        """Who takes part, sorted."""
        return tuple(self.published)

    @property
    def k(self) -> int:
        """Least units in a cell of a party's own before the party contributes it; the greatest of all parties."""
        return self.joint.k

    @property
    def publications(self) -> dict[str, Dataset]:
        """Party -> its publication."""
        return {party: dataset for party, (dataset, _) in self.published.items()}

    @property
    def ask(self) -> Ask:
        """Makes questions for `session.run([...])`: `t.ask.mean("age", by="sex")`. Asks nobody yet."""
        return ask

    def where(self, condition: str) -> Table:
        """Return the same table with fewer rows: those for which `condition`, and what was asked before, is true.

        Args:
            condition: such as `year >= 2000 and sex == 'f'`; a comparison with a missing value is not true.

        Raises:
            Misuse: it does not parse, or names what is not published; says where and what was probably meant.
        """
        predicate.parse(condition, self.joint)
        before = self.frame.where
        return self._with(replace(self.frame, where=f"({before}) and ({condition})" if before else condition))

    def framed(self, frame: Frame) -> Table:
        """Return the same table with another frame."""
        return self._with(frame)

    def count(self, x: str | None = None, by: By = None, weights: str | None = None) -> Result:
        """Count rows, or those in which column `x` has a value, per category of `by` if given. Runs one job.

        Here and below `by` is one grouping column or several, and a row of weight w counts as w rows.
        """
        return self._single(computation("count", x, by=by, weights=weights))

    def sum(self, x: str, by: By = None, weights: str | None = None) -> Result:
        """Add up a column, per category of `by` if given. Runs one job."""
        return self._single(computation("sum", x, by=by, weights=weights))

    def mean(self, x: str, by: By = None, weights: str | None = None) -> Result:
        """Average a column, per category of `by` if given. Runs one job."""
        return self._single(computation("mean", x, by=by, weights=weights))

    def var(self, x: str, by: By = None, weights: str | None = None) -> Result:
        """Return the sample variance of a column, per category of `by` if given. Runs one job."""
        return self._single(computation("var", x, by=by, weights=weights))

    def std(self, x: str, by: By = None, weights: str | None = None) -> Result:
        """Return the sample standard deviation of a column, per category of `by` if given. Runs one job."""
        return self._single(computation("std", x, by=by, weights=weights))

    def histogram(self, x: str, bins: int | Sequence[float] = 20, by: By = None, weights: str | None = None) -> Result:
        """Count a column's values in bins over its declared range, or between given edges. Runs one job."""
        return self._single(computation("histogram", x, bins, by=by, weights=weights))

    def quantile(
        self,
        x: str,
        q: float | Sequence[float] = 0.5,
        by: By = None,
        resolution: float | None = None,
        weights: str | None = None,
    ) -> Result:
        """Find the least value that a share of at least `q` does not exceed: `.value`, or `.values` for several.

        Whole numbers are exact, others are found to `resolution` in the column's unit (the declared range / 2^20 if
        not given); where parties withhold small bins, `low` and `high` hold the quantile. Runs one job.
        """
        return self._single(computation("quantile", x, q, by=by, resolution=resolution, weights=weights))

    def ecdf(
        self, x: str, bins: int | Sequence[float] | None = None, by: By = None, weights: str | None = None
    ) -> Result:
        """Return which share of a column's values lies below each edge, as steps. Runs one job."""
        return self._single(computation("ecdf", x, bins, by=by, weights=weights))

    def describe(self, columns: Sequence[str] | None = None, by: By = None, weights: str | None = None) -> Result:
        """Summarise columns of numbers, all by default: rows, missing, mean, std and quartiles. Runs one job.

        There is no least and greatest value: each would be one unit's own figure.
        """
        return self._single(computation("describe", columns, by=by, weights=weights))

    def cov(self, columns: Sequence[str], by: By = None, weights: str | None = None) -> Result:
        """Return the covariances of several columns, over rows that have all of them. Runs one job."""
        return self._single(computation("cov", columns, by=by, weights=weights))

    def corr(self, columns: Sequence[str], by: By = None, weights: str | None = None) -> Result:
        """Return the correlations of several columns, over rows that have all of them. Runs one job."""
        return self._single(computation("corr", columns, by=by, weights=weights))

    def corr_test(self, x: str, y: str, alternative: str = "two-sided") -> Result:
        """Test whether two columns are correlated. Runs one job."""
        return self._single(computation("corr_test", x, y, alternative=alternative))

    def chi2(self, row: str, column: str, correction: bool = True) -> Result:
        """Test whether two columns are independent, by Pearson's chi-square. Runs one job."""
        return self._single(computation("chi2", row, column, correction=correction))

    def fisher(
        self,
        row: str,
        column: str,
        rows: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        alternative: str = "two-sided",
    ) -> Result:
        """Test a 2 x 2 table exactly; `rows` and `columns` choose two levels where there are more. Runs one job."""
        return self._single(computation("fisher", row, column, rows=rows, columns=columns, alternative=alternative))

    def mantel_haenszel(
        self,
        row: str,
        column: str,
        by: str | Sequence[str],
        rows: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        correction: bool = False,
    ) -> Result:
        """Estimate one odds ratio over the strata of `by`, and test whether it is 1. Runs one job."""
        asked = computation("mantel_haenszel", row, column, by, rows=rows, columns=columns, correction=correction)
        return self._single(asked)

    def t_test(
        self,
        x: str,
        by: str | None = None,
        groups: Sequence[str] | None = None,
        mu: float = 0.0,
        equal_variances: bool = False,
        alternative: str = "two-sided",
    ) -> Result:
        """Test a mean, or with `by` the difference of two (Welch, or with equal variances Student). Runs one job."""
        more = {"equal_variances": equal_variances, "alternative": alternative}
        return self._single(computation("t_test", x, by=by, groups=groups, mu=mu, **more))

    def anova(self, x: str, by: str, equal_variances: bool = True) -> Result:
        """Test whether the means of several groups are equal. Runs one job."""
        return self._single(computation("anova", x, by, equal_variances=equal_variances))

    def plan(self, *computations: Computation, purpose: str | None = None) -> Forecast:
        """Return what a job with these questions would open, and to whom. Asks nobody."""
        return self._session.plan(computations, data=self, purpose=purpose)

    def __getattr__(self, name: str) -> Callable[..., Result]:
        # Every statistic of the house is a method, also those that came after this file was written.
        if name.startswith("_") or name not in statistics():
            public = {each for each in dir(type(self)) if not each.startswith("_")} | {*statistics()}
            raise AttributeError(f"a table has no {name!r}; {did_you_mean(name, public)}")

        def run(*positional: object, **named: object) -> Result:
            return self._single(computation(name, *positional, **named))

        run.__name__ = name
        return run

    def __dir__(self) -> Sequence[str]:
        return sorted({*super().__dir__(), *statistics()})

    def summary(self) -> str:
        """Return the columns as an aligned text table, with parties and rules below."""
        return rendering.text(COLUMNS, self.rows(), title=self._title(), notes=self._notes())

    def for_terminal(self) -> Group:
        """Return what a terminal shows."""
        return rendering.for_terminal(COLUMNS, self.rows(), title=self._title(), notes=self._notes())

    def rows(self) -> list[tuple[rendering.Cell, ...]]:
        """Return one row per column, as `COLUMNS` names the fields."""
        return [described(column) for column in self.columns]

    def to_dict(self) -> dict[str, Plain]:
        """Return the description as plain values."""
        return {
            "name": self.name,
            "title": self.joint.title,
            "unit": self.unit,
            "k": self.k,
            "own_figures": self.joint.own_figures,
            "where": self.frame.where,
            "parties": {party: dataset.version for party, (dataset, _) in self.published.items()},
            "columns": [
                {
                    "name": column.name,
                    "kind": column.kind.value,
                    "unit": column.unit,
                    "low": column.low,
                    "high": column.high,
                    "categories": list(column.categories),
                    "missing": [list(pair) for pair in column.missing],
                    "outside": column.outside.value,
                }
                for column in self.columns
            ],
        }

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return rendering.as_html(COLUMNS, self.rows(), title=self._title(), notes=self._notes())

    def _title(self) -> str:
        where = f" where {self.frame.where}" if self.frame.where else ""
        return f"{self.name}: {self.joint.title}{where}" if self.joint.title else f"{self.name}{where}"

    def _notes(self) -> list[str]:
        own = "may open" if self.joint.own_figures else "stay closed"
        return [
            f"counted: {self.unit}; parties: {', '.join(self.parties)}",
            f"a party withholds a cell of fewer than {self.k}"
            if self.k > 1
            else "no party withholds small cells (k = 1)",
            f"cells to which fewer than three parties contribute {own}",
        ]

    def _single(self, asked: Computation) -> Result:
        return self._session.run([asked], data=self)[0]

    def _with(self, frame: Frame) -> Table:
        return Table(self._session, self.published, frame)


def described(column: Column) -> tuple[rendering.Cell, ...]:
    """Return one published column as a row of `COLUMNS`."""
    listed = ", ".join(column.categories[:MOST_SHOWN])
    more = len(column.categories) - MOST_SHOWN
    return (
        column.name,
        column.kind.value,
        column.unit,
        column.low,
        column.high,
        f"{listed}, and {more} more" if more > 0 else listed,
        ", ".join(f"{code} ({reason})" for code, reason in column.missing),
        column.outside.value if column.low is not None else "",
    )
