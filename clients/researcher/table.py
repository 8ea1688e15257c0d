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
from clients.researcher.survey import Survey
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
Collapse: TypeAlias = Mapping[str, Sequence[Sequence[str]]] | None

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

    def count(self, x: str | None = None, by: By = None, weights: str | None = None, *, dropna: bool = True) -> Result:
        """Count rows, or those in which column `x` has a value, per category of `by` if given. Runs one job.

        Here and below `by` is one grouping column or several, or a coarser level of one ("city" of districts), a row of
        weight w counts as w rows, and `dropna=False` makes one more group of rows without a value of `by`.
        """
        return self._single(computation("count", x, by=by, weights=weights, dropna=dropna))

    def sum(self, x: str, by: By = None, weights: str | None = None, *, dropna: bool = True) -> Result:
        """Add up a column, per category of `by` if given. Runs one job."""
        return self._single(computation("sum", x, by=by, weights=weights, dropna=dropna))

    def mean(self, x: str, by: By = None, weights: str | None = None, *, dropna: bool = True) -> Result:
        """Average a column, per category of `by` if given. Runs one job."""
        return self._single(computation("mean", x, by=by, weights=weights, dropna=dropna))

    def var(self, x: str, by: By = None, weights: str | None = None, *, dropna: bool = True) -> Result:
        """Return the sample variance of a column, per category of `by` if given. Runs one job."""
        return self._single(computation("var", x, by=by, weights=weights, dropna=dropna))

    def std(self, x: str, by: By = None, weights: str | None = None, *, dropna: bool = True) -> Result:
        """Return the sample standard deviation of a column, per category of `by` if given. Runs one job."""
        return self._single(computation("std", x, by=by, weights=weights, dropna=dropna))

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

    def skew(self, x: str, by: By = None, weights: str | None = None, bias: bool = True) -> Result:
        """Return the skewness of a column. Runs one job of two rounds."""
        return self._single(computation("skew", x, by=by, weights=weights, bias=bias))

    def kurtosis(self, x: str, by: By = None, weights: str | None = None, bias: bool = True) -> Result:
        """Return the excess kurtosis of a column. Runs one job of two rounds."""
        return self._single(computation("kurtosis", x, by=by, weights=weights, bias=bias))

    def missing(self, columns: Sequence[str] | None = None, by: By = None, weights: str | None = None) -> Result:
        """Count rows without a value, column by column and by reason, or per category of `by`. Runs one job."""
        return self._single(computation("missing", columns, by=by, weights=weights))

    def extent(self, x: str, bins: int | Sequence[float] = 20, by: By = None, weights: str | None = None) -> Result:
        """Return the range of a column's opened bins; there is no least and greatest value. Runs one job."""
        return self._single(computation("extent", x, bins, by=by, weights=weights))

    def histogram2d(
        self,
        x: str,
        y: str,
        x_bins: int | Sequence[float] = 10,
        y_bins: int | Sequence[float] = 10,
        by: By = None,
        weights: str | None = None,
    ) -> Result:
        """Count two columns' values in pairs of bins. Runs one job."""
        return self._single(computation("histogram2d", x, y, x_bins, y_bins, by=by, weights=weights))

    def crosstab(
        self, row: str, column: str, by: By = None, weights: str | None = None, *, dropna: bool = True
    ) -> Result:
        """Count rows by the levels of two columns, with margins and shares. Runs one job."""
        return self._single(computation("crosstab", row, column, by=by, weights=weights, dropna=dropna))

    def gini(
        self, x: str, bins: int | Sequence[float] | None = None, by: By = None, weights: str | None = None
    ) -> Result:
        """Return the Gini coefficient of a column of amounts, between bounds; its plot is the Lorenz curve."""
        return self._single(computation("gini", x, bins, by=by, weights=weights))

    def lorenz(
        self, x: str, bins: int | Sequence[float] | None = None, by: By = None, weights: str | None = None
    ) -> Result:
        """Return the Lorenz curve of a column of amounts, point by point. Runs one job."""
        return self._single(computation("lorenz", x, bins, by=by, weights=weights))

    def auc(
        self,
        score: str,
        label: str,
        positive: str | None = None,
        bins: int | Sequence[float] | None = None,
        by: By = None,
        weights: str | None = None,
    ) -> Result:
        """Return the area under the ROC curve of a score in bins; its plot is the curve. Runs one job."""
        return self._single(computation("auc", score, label, positive, bins, by=by, weights=weights))

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

    def mann_whitney(
        self,
        x: str,
        by: str,
        groups: Sequence[str] | None = None,
        bins: int | Sequence[float] | None = None,
        alternative: str = "two-sided",
        continuity: bool = True,
    ) -> Result:
        """Test whether one of two groups ranks higher, on the bins of a column. Runs one job."""
        more = {"alternative": alternative, "continuity": continuity}
        return self._single(computation("mann_whitney", x, by, groups=groups, bins=bins, **more))

    def anova(self, x: str, by: str, equal_variances: bool = True) -> Result:
        """Test whether the means of several groups are equal. Runs one job."""
        return self._single(computation("anova", x, by, equal_variances=equal_variances))

    def kaplan_meier(
        self,
        time: str,
        event: str,
        by: By = None,
        bins: int | Sequence[float] | None = None,
        resolution: float | None = None,
        observed: str | int | None = None,
        alpha: float = 0.05,
        ci: str = "log-log",
    ) -> Result:
        """Estimate survival beyond each time, with Greenwood's errors: `.survival_function_at_times(...)`. One job.

        Args:
            time: a column of numbers: until the event, or until a row was last seen.
            event: says which of both: 0 or 1, or a value named by `observed`.
            by: a category column, or several, for a curve each.
            bins: how many, or their edges; the event times where all operators publish own figures, else 16.
            resolution: width in which event times are told apart; 1 for whole numbers.
            observed: the value of `event` that is an event.
            alpha: one minus the level of the interval.
            ci: "log-log" or "plain".
        """
        return self._single(computation("kaplan_meier", time, event, by, bins, resolution, observed, alpha, ci))

    def logrank(
        self,
        time: str,
        event: str,
        by: str | Sequence[str],
        strata: By = None,
        weightings: str | None = None,
        bins: int | Sequence[float] | None = None,
        resolution: float | None = None,
        observed: str | int | None = None,
        **more: float,
    ) -> Result:
        """Test whether survival is equal in several groups, within strata if given. Runs one job.

        `weightings` is None, "wilcoxon", "tarone-ware", "peto" or "fleming-harrington", the last with p= and q=; times
        and events as `kaplan_meier` has them.
        """
        named = {"bins": bins, "resolution": resolution, "observed": observed}
        return self._single(computation("logrank", time, event, by, strata, weightings, **named, **more))

    def ols(
        self,
        formula: str,
        cov_type: str = "nonrobust",
        freq_weights: str | None = None,
        var_weights: str | None = None,
        collapse: Collapse = None,
        method: str = "joint",
        study: str | None = None,
    ) -> Result:
        """Fit a linear model, `y ~ a*b + C(region, ref="x") + log(x)`: `.params`, `.bse`, `.rsquared`. One job.

        Args:
            formula: as R and patsy have it; names are columns, and nothing is evaluated.
            cov_type: nonrobust, HC0, HC1, HC2 or HC3.
            freq_weights: a column: a row of weight w counts as w rows.
            var_weights: a column: the variance of a row goes down with its weight, as in statsmodels' WLS.
            collapse: levels to join, `{"region": [["a", "b"]]}`.
            method: "joint", or "meta": one fit per level of `study`, and their fixed and random effects.
            study: a category column, for method="meta".
        """
        named = {"freq_weights": freq_weights, "var_weights": var_weights, "collapse": collapse or {}}
        return self._single(computation("ols", formula, cov_type, **named, method=method, study=study))

    def glm(
        self,
        formula: str,
        family: str = "gaussian",
        alpha: float = 1.0,
        offset: str = "",
        freq_weights: str | None = None,
        var_weights: str | None = None,
        cov_type: str = "nonrobust",
        maxiter: int = 50,
        collapse: Collapse = None,
        method: str = "joint",
        study: str | None = None,
    ) -> Result:
        """Fit a generalized linear model: `.params`, `.bse`, `.pvalues`, `.conf_int()`, `.predict(df)`. One job.

        Args:
            formula: as R and patsy have it; names are columns, and nothing is evaluated.
            family: gaussian (identity), binomial (logit), poisson, gamma or negativebinomial (log).
            alpha: of the negative binomial: the variance is mu + alpha mu^2.
            offset: a number per row, such as "log(years)", with the coefficient 1.
            freq_weights: a column: a row of weight w counts as w rows.
            var_weights: a column: the variance of a row goes down with its weight.
            cov_type: nonrobust, HC0 or HC1.
            maxiter: most secure sums of the fit.
            collapse: levels to join, `{"region": [["a", "b"]]}`; a refusal for small levels says which.
            method: "joint", or "meta": one fit per level of `study`, and their fixed and random effects.
            study: a category column, for method="meta".
        """
        named = {"offset": offset, "freq_weights": freq_weights, "var_weights": var_weights, "cov_type": cov_type}
        more = {"maxiter": maxiter, "collapse": collapse or {}, "method": method, "study": study}
        return self._single(computation("glm", formula, family, alpha, **named, **more))

    def ridge(
        self,
        formula: str,
        alpha: float = 1.0,
        family: str = "gaussian",
        offset: str = "",
        freq_weights: str | None = None,
        var_weights: str | None = None,
        maxiter: int = 50,
        collapse: Collapse = None,
    ) -> Result:
        """Fit a model with the penalty alpha times the sum of squared coefficients, the intercept's left out. One job.

        As scikit-learn's Ridge has it, and LogisticRegression with C = 1 / alpha; the rest as `glm`.
        """
        named = {"offset": offset, "freq_weights": freq_weights, "var_weights": var_weights}
        more = {"maxiter": maxiter, "collapse": collapse or {}}
        return self._single(computation("ridge", formula, alpha, family, **named, **more))

    def cox(
        self,
        formula: str,
        ties: str = "efron",
        strata: By = None,
        bins: int | Sequence[float] | None = None,
        resolution: float | None = None,
        collapse: Mapping[str, Sequence[Sequence[str]]] | None = None,
        maxiter: int = 50,
    ) -> Result:
        """Fit proportional hazards, `Surv(time, event) ~ age + C(sex)`: `.params`, `.bse`, `.predict(df)`. One job.

        `ties` is "efron" or "breslow"; `strata` have baseline hazards of their own; `collapse={"column": [["a", "b"]]}`
        joins levels; times as `kaplan_meier` has them.
        """
        joined = [(column, groups) for column, groups in (collapse or {}).items()]
        named = {"bins": bins, "resolution": resolution, "collapse": joined, "maxiter": maxiter}
        return self._single(computation("cox", formula, ties, strata, **named))

    def pca(self, columns: Sequence[str], ncomp: int | None = None, standardize: bool = True) -> Result:
        """Return principal components of columns of numbers: `.eigenvals`, `.eigenvecs`, `.transform(df)`. One job."""
        return self._single(computation("pca", columns, ncomp, standardize))

    def kmeans(
        self,
        columns: Sequence[str],
        k: int,
        seed: int = 0,
        n_init: int | None = None,
        max_iter: int = 50,
        standardize: bool = True,
        starts: Sequence[Sequence[float]] | None = None,
    ) -> Result:
        """Find k clusters by Lloyd's algorithm from public starts: `.centers`, `.inertia`, `.predict(df)`. One job."""
        return self._single(computation("kmeans", columns, k, seed, n_init, max_iter, standardize, starts))

    def survey(
        self, strata: By = None, psu: str | None = None, weights: str | None = None, fpc: str | None = None
    ) -> Survey:
        """Return the rows as a survey sample, with `.total`, `.mean`, `.ratio` and `.glm`. Asks nobody yet.

        Args:
            strata: columns whose combinations were sampled apart.
            psu: column of the clusters that were drawn; rows were without it.
            weights: column of weights, one over the chance to be drawn.
            fpc: column that says how many clusters the row's stratum has in all.
        """
        return Survey(self._single, {"strata": strata, "psu": psu, "weights": weights, "fpc": fpc})

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
                    "levels": [[level.name, *level.values] for level in column.levels],
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
