"""What every regression returns, under the names that statsmodels uses; p-values and intervals are made when read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from federation.analytics import tails
from federation.analytics.design import Merges
from federation.analytics.estimates import LeavesOut, RowsLeftOut, Suppressed
from federation.analytics.prediction import Predictor
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Table
from federation.domain.catalogue import Column
from federation.errors import Misuse, did_you_mean

CONFIDENT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Labelled(Sequence[float]):
    """Numbers with names, in the order of the columns: by name or by place; numpy takes it for a vector."""

    names: tuple[str, ...]
    values: tuple[float, ...]

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - a name, a place or a slice
        if not isinstance(key, str):
            return self.values[key]
        if key not in self.names:
            raise Misuse(f"there is no coefficient {key!r}", hint=did_you_mean(key, self.names))
        return self.values[self.names.index(key)]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def items(self) -> tuple[tuple[str, float], ...]:
        """Return (name, number) in order."""
        return tuple(zip(self.names, self.values, strict=True))

    def __repr__(self) -> str:
        width = max(map(len, self.names), default=0)
        return "\n".join(f"{name:<{width}}  {value:>14.6g}" for name, value in self.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression(LeavesOut, Result):
    """A fitted model of one response.

    Attributes:
        statistic: its name.
        formula: as it was asked.
        family: distribution of the response; "gaussian" for least squares.
        link: of its mean.
        names: of the coefficients.
        estimates: the coefficients.
        covariance: of the coefficients, by rows.
        cov_type: "nonrobust", or which robust covariance.
        use_t: whether tests and intervals use Student's t with `df_resid` degrees of freedom, else the normal.
        n: complete rows that it rests on.
        units: distinct units that they belong to; equal to `n` where each row is a unit of its own.
        nobs: the sum of frequency weights, else `n`.
        df_model: coefficients beside the constant; of a GLM always one less than coefficients, as statsmodels has it.
        df_resid: nobs less coefficients.
        scale: the dispersion: s2 of least squares, 1 for binomial and counts.
        deviance: of the model; the sum of squared residuals for least squares.
        null_deviance: of the model with a constant alone (and the offset).
        llf: log-likelihood.
        rsquared: share of variation that is explained, for least squares; about zero where there is no constant.
        converged: whether the last step was below what matters.
        iterations: secure sums that the fit took, without those of support.
        encoding_errors: per coefficient, a bound on what fixed point and rounding of rows did to it.
        notes: what else is to be said.
        withheld: parties that have fewer than k units, and are not in it.
        columns: what the catalogue says of the columns that predictions need.
        merges: as `collapse=`.
        empty: factor -> levels that no row has, left out.
        offset: beside that of the formula, "" for none.
    """

    statistic: str
    formula: str
    family: str
    link: str
    names: tuple[str, ...]
    estimates: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    cov_type: str
    use_t: bool
    n: int
    units: int
    nobs: float
    df_model: int
    df_resid: float
    scale: float
    deviance: float
    null_deviance: float | None
    llf: float | None
    rsquared: float | None
    converged: bool
    iterations: int
    encoding_errors: tuple[float, ...]
    notes: tuple[str, ...]
    left_out: RowsLeftOut
    parties: int
    k: int
    withheld: int
    columns: tuple[Column, ...]
    merges: Merges
    empty: tuple[tuple[int, tuple[int, ...]], ...]
    offset: str

    @property
    def params(self) -> Labelled:
        """The coefficients."""
        return Labelled(self.names, self.estimates)

    @property
    def bse(self) -> Labelled:
        """Their standard errors."""
        return Labelled(self.names, tuple(math.sqrt(row[i]) for i, row in enumerate(self.covariance)))

    @property
    def tvalues(self) -> Labelled:
        """Coefficients over standard errors: t or z."""
        pairs = zip(self.estimates, self.bse, strict=True)
        return Labelled(self.names, tuple(b / se if se else math.nan for b, se in pairs))

    @property
    def pvalues(self) -> Labelled:
        """Two-sided p-values of each coefficient being 0."""
        return Labelled(self.names, tuple(self._two_sided(t) for t in self.tvalues))

    def conf_int(self, alpha: float = CONFIDENT) -> tuple[tuple[float, float], ...]:
        """Return (low, high) per coefficient, at confidence 1 - alpha."""
        if not 0 < alpha < 1:
            raise Misuse("alpha of an interval lies between 0 and 1", hint="0.05 is 95 % confidence")
        q = tails.t_ppf(1 - alpha / 2, self.df_resid) if self.use_t else tails.normal_ppf(1 - alpha / 2)
        return tuple((b - q * se, b + q * se) for b, se in zip(self.estimates, self.bse, strict=True))

    def cov_params(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the covariance of the coefficients as a matrix."""
        return np.array(self.covariance, dtype=np.float64)

    @property
    def aic(self) -> float | None:
        """Akaike's criterion, -2 llf + 2 coefficients."""
        return None if self.llf is None else -2 * self.llf + 2 * len(self.names)

    @property
    def bic(self) -> float | None:
        """Schwarz's criterion, -2 llf + log(nobs) coefficients."""
        return None if self.llf is None else -2 * self.llf + math.log(self.nobs) * len(self.names)

    @property
    def rsquared_adj(self) -> float | None:
        """R2 less what so many columns explain by chance."""
        if self.rsquared is None:
            return None
        return 1 - (self.nobs - (len(self.names) - self.df_model)) / self.df_resid * (1 - self.rsquared)

    @property
    def fvalue(self) -> float | None:
        """F of all coefficients beside the constant being 0; of least squares without robust covariance."""
        if self.rsquared is None or self.null_deviance is None or self.cov_type != "nonrobust" or not self.df_model:
            return None
        return (self.null_deviance - self.deviance) / self.df_model / self.scale if self.scale else None

    @property
    def f_pvalue(self) -> float | None:
        """Its p-value."""
        return None if self.fvalue is None else tails.f_sf(self.fvalue, self.df_model, self.df_resid)

    @property
    def encoding_error(self) -> float:
        """The greatest of `encoding_errors`."""
        return max(self.encoding_errors, default=0.0)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """What is withheld: parties below k as a whole, and counts of rows left out."""
        whole = (Suppressed(what="rows of small parties", withheld=self.withheld, closed=False, interval=(0, None)),)
        return (*(whole if self.withheld else ()), *self.left_out.suppressed)

    def predict(self, data: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the fitted mean for rows of your own: a data frame, or a mapping of columns; NaN where one lacks.

        Raises:
            Misuse: a column that is not there, or a level that the model has not.
        """
        predictor = Predictor(
            formula=self.formula, columns=self.columns, merges=self.merges, empty=self.empty, offset=self.offset
        )
        return predictor.means(data, self.estimates, self.link)

    @property
    def facts(self) -> tuple[tuple[str, Shown], ...]:
        """What stands above the table of coefficients."""
        squares = self.family == "gaussian" and self.rsquared is not None
        return (
            ("Dep. Variable", self.formula.partition("~")[0].strip()),
            ("Model", self.statistic.upper()),
            *(() if squares else (("Family", self.family), ("Link", self.link))),
            ("No. Observations", self.n if self.nobs == self.n else self.nobs),
            ("Df Residuals", self.df_resid),
            ("Df Model", self.df_model),
            *((("R-squared", self.rsquared), ("Adj. R-squared", self.rsquared_adj)) if squares else ()),
            *((("F-statistic", self.fvalue), ("Prob (F)", self.f_pvalue)) if self.fvalue is not None else ()),
            ("Scale", self.scale),
            ("Log-Likelihood", self.llf),
            ("Deviance", self.deviance),
            ("Null Deviance", self.null_deviance),
            ("AIC", self.aic),
            ("BIC", self.bic),
            ("Covariance", self.cov_type),
            ("Converged", "yes" if self.converged else "no"),
            ("Secure Sums", self.iterations),
            ("Encoding Error", self.encoding_error),
        )

    def table(self) -> Table:
        """Return one row per coefficient: estimate, standard error, t or z, p-value, 95 % interval."""
        mark = "t" if self.use_t else "z"
        rows = zip(self.names, self.estimates, self.bse, self.tvalues, self.pvalues, self.conf_int(), strict=True)
        return Table(
            columns=("", "coef", "std err", mark, f"P>|{mark}|", "[0.025", "0.975]"),
            rows=tuple((name, b, se, _known(t), _known(p), low, high) for name, b, se, t, p, (low, high) in rows),
        )

    def picture(self) -> Picture:
        """Return the coefficients beside the constant with their 95 % intervals, as a forest."""
        shown = [i for i, name in enumerate(self.names) if name != "Intercept"] or list(range(len(self.names)))
        intervals = self.conf_int()
        return Picture(
            drawn=Drawn.FOREST,
            title=self.formula,
            x_label="coefficient, 95 % interval",
            y_label="",
            x=tuple(self.names[i] for i in shown),
            y=tuple(self.estimates[i] for i in shown),
            error=tuple((intervals[i][1] - intervals[i][0]) / 2 for i in shown),
        )

    def _two_sided(self, t: float) -> float:
        if math.isnan(t):
            return math.nan
        return tails.t_two_sided(t, self.df_resid) if self.use_t else tails.normal_two_sided(t)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
