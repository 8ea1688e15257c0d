"""`method="meta"`: one model per study, then the inverse-variance mean of each coefficient over the studies.

A study is a level of a category column, such as a hospital or a year. All of them are fitted side by side, in the same
rounds. A study that one party alone has rows of is that party's own figure, and opens only by its clause, as any cell.
Fixed effects are inverse-variance means; random effects add the variance between studies of DerSimonian and Laird
(Controlled Clinical Trials 7, 1986), with Cochran's Q and I2 (Higgins and Thompson, Statistics in Medicine 21, 2002).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from federation.analytics import tails
from federation.analytics.estimates import LeavesOut, RowsLeftOut, Suppressed
from federation.analytics.plan import Done, Failure, Plan, together
from federation.analytics.regression import Model
from federation.analytics.regression_result import CONFIDENT, Labelled, Regression
from federation.analytics.statistic import Drawn, Picture, Result, Shown, Table
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Misuse, did_you_mean
from federation.query.expression import Both, Col, Compare, Text

METHODS = ("joint", "meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """One coefficient over all studies.

    Attributes:
        fixed_effect: inverse-variance mean, and its standard error.
        random_effect: the same with the variance between studies.
        tau2: variance between studies.
        q: Cochran's heterogeneity, chi-square with one less than studies degrees of freedom.
        i2: share of the variation that is between studies, 0 to 1.
    """

    name: str
    fixed_effect: float
    fixed_effect_se: float
    random_effect: float
    random_effect_se: float
    tau2: float
    q: float
    i2: float
    studies: int

    @property
    def q_pvalue(self) -> float:
        """The chance of so much heterogeneity if all studies had one coefficient."""
        return tails.chi2_sf(self.q, self.studies - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaRegression(LeavesOut, Result):
    """Models of several studies, and what they say together; `params` and `bse` are of the random effects.

    Attributes:
        study: the column whose levels are the studies.
        labels: of the studies that have a model.
        fits: their models.
        pooled: one per coefficient that all of them have.
        failures: (study, why it has no model).
    """

    statistic: str
    formula: str
    study: str
    labels: tuple[str, ...]
    fits: tuple[Regression, ...]
    pooled: tuple[Pooled, ...]
    failures: tuple[tuple[str, str], ...]
    left_out: RowsLeftOut
    parties: int
    k: int

    @property
    def params(self) -> Labelled:
        """Random effects."""
        return Labelled(tuple(p.name for p in self.pooled), tuple(p.random_effect for p in self.pooled))

    @property
    def bse(self) -> Labelled:
        """Standard errors of the random effects."""
        return Labelled(tuple(p.name for p in self.pooled), tuple(p.random_effect_se for p in self.pooled))

    @property
    def fixed_params(self) -> Labelled:
        """Fixed effects."""
        return Labelled(tuple(p.name for p in self.pooled), tuple(p.fixed_effect for p in self.pooled))

    @property
    def fixed_bse(self) -> Labelled:
        """Standard errors of the fixed effects."""
        return Labelled(tuple(p.name for p in self.pooled), tuple(p.fixed_effect_se for p in self.pooled))

    @property
    def pvalues(self) -> Labelled:
        """Two-sided p-values of the random effects."""
        names = tuple(p.name for p in self.pooled)
        return Labelled(names, tuple(tails.normal_two_sided(p.random_effect / p.random_effect_se) for p in self.pooled))

    def conf_int(self, alpha: float = CONFIDENT) -> tuple[tuple[float, float], ...]:
        """Return (low, high) per random effect, at confidence 1 - alpha."""
        z = tails.normal_ppf(1 - alpha / 2)
        return tuple(
            (p.random_effect - z * p.random_effect_se, p.random_effect + z * p.random_effect_se) for p in self.pooled
        )

    @property
    def n(self) -> int:
        """Complete rows of all studies that have a model."""
        return sum(fit.n for fit in self.fits)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why studies have no model, and what their models say."""
        told = [f"{label}: {note}" for label, fit in zip(self.labels, self.fits, strict=True) for note in fit.notes]
        return (*(f"{label}: no model: {why}" for label, why in self.failures), *told)

    @property
    def suppressed(self) -> tuple[Suppressed, ...]:
        """What is withheld in any study."""
        return tuple(
            replace(each, what=f"{label}: {each.what}")
            for label, fit in zip(self.labels, self.fits, strict=True)
            for each in fit.suppressed
        )

    def table(self) -> Table:
        """Return one row per coefficient: both effects with errors, heterogeneity."""
        columns = ("", "random", "std err", "P>|z|", "fixed", "std err fixed", "tau2", "Q", "P>Q", "I2")
        rows: list[tuple[Shown, ...]] = [
            (
                p.name,
                p.random_effect,
                p.random_effect_se,
                pvalue,
                p.fixed_effect,
                p.fixed_effect_se,
                p.tau2,
                p.q,
                p.q_pvalue,
                p.i2,
            )
            for p, pvalue in zip(self.pooled, self.pvalues, strict=True)
        ]
        return Table(columns=columns, rows=tuple(rows))

    def picture(self) -> Picture:
        """Return the studies' first coefficient beside the intercept, and both effects, as a forest."""
        shown = next((p for p in self.pooled if p.name != "Intercept"), self.pooled[0])
        z = tails.normal_ppf(1 - CONFIDENT / 2)
        each = [
            (label, fit.params[shown.name], fit.bse[shown.name])
            for label, fit in zip(self.labels, self.fits, strict=True)
        ]
        each += [
            ("fixed", shown.fixed_effect, shown.fixed_effect_se),
            ("random", shown.random_effect, shown.random_effect_se),
        ]
        return Picture(
            drawn=Drawn.FOREST,
            title=f"{shown.name} by {self.study}",
            x_label="coefficient, 95 % interval",
            y_label=self.study,
            x=tuple(label for label, _, _ in each),
            y=tuple(value for _, value, _ in each),
            error=tuple(z * se for _, _, se in each),
        )


def studied(model: Model, study: str | None, fit: Callable[[Model], Plan[Regression]]) -> Plan[MetaRegression]:
    """Fit one model per level of `study` side by side, and pool their coefficients.

    Raises:
        Misuse: no category column.
        JobFailed: fewer than two studies have a model, or they share no coefficient.
    """
    levels = levels_of(study, model.joint)
    column = str(study)
    plans = []
    for level in levels:
        here = Compare("==", Col(column), Text(level))
        plans.append(fit(replace(model, where=here if model.where is None else Both(model.where, here))))
    outcomes = yield from together(plans)
    pairs = list(zip(levels, outcomes, strict=True))
    fits = [(level, outcome.result) for level, outcome in pairs if isinstance(outcome, Done)]
    failures = [(level, outcome.message) for level, outcome in pairs if isinstance(outcome, Failure)]
    if len(fits) < 2:
        why = f"; {failures[0][0]}: {failures[0][1]}" if failures else ""
        raise JobFailed(f"fewer than two studies have a model{why}", hint='method="joint", or larger studies')
    names = [name for name in fits[0][1].names if all(name in fitted.names for _, fitted in fits)]
    if not names:
        raise JobFailed("the models of the studies share no coefficient", hint="`collapse=` levels")
    return MetaRegression(
        statistic=model.statistic,
        formula=model.formula,
        study=column,
        labels=tuple(level for level, _ in fits),
        fits=tuple(fitted for _, fitted in fits),
        pooled=tuple(
            combined(name, [f.params[name] for _, f in fits], [f.bse[name] for _, f in fits]) for name in names
        ),
        failures=tuple(failures),
        left_out=_all_left_out([fitted.left_out for _, fitted in fits]),
        parties=max(fitted.parties for _, fitted in fits),
        k=model.joint.k,
    )


def levels_of(study: str | None, joint: Dataset) -> tuple[str, ...]:
    """Return the studies. Raises Misuse where `study` is no category column."""
    if study is None or joint.column(study).kind is not Kind.CATEGORY:
        categories = [column.name for column in joint.columns if column.kind is Kind.CATEGORY]
        raise Misuse('method="meta" needs study=, a category column', hint=f"there are {', '.join(categories)}")
    return joint.column(study).categories


def is_meta(method: str) -> bool:
    """Return whether studies are fitted apart. Raises Misuse for another method."""
    if method not in METHODS:
        raise Misuse(f"there is no method {method[:40]!r}", hint=did_you_mean(method, METHODS))
    return method == "meta"


def combined(name: str, estimates: Sequence[float], errors: Sequence[float]) -> Pooled:
    """Return fixed and random effects of one coefficient from its estimates and standard errors, all above 0."""
    weights = [1 / se**2 for se in errors]
    total = math.fsum(weights)
    fixed = math.fsum(w * b for w, b in zip(weights, estimates, strict=True)) / total
    q = math.fsum(w * (b - fixed) ** 2 for w, b in zip(weights, estimates, strict=True))
    degrees = len(weights) - 1
    tau2 = max(0.0, (q - degrees) / (total - math.fsum(w * w for w in weights) / total))
    wider = [1 / (se**2 + tau2) for se in errors]
    return Pooled(
        name=name,
        fixed_effect=fixed,
        fixed_effect_se=math.sqrt(1 / total),
        random_effect=math.fsum(w * b for w, b in zip(wider, estimates, strict=True)) / math.fsum(wider),
        random_effect_se=math.sqrt(1 / math.fsum(wider)),
        tau2=tau2,
        q=q,
        i2=max(0.0, (q - degrees) / q) if q else 0.0,
        studies=len(weights),
    )


def _all_left_out(each: Sequence[RowsLeftOut]) -> RowsLeftOut:
    """Return the counts of all studies together; None where one of them is closed."""
    missing = [
        (column, reason, _sum([one.missing[i][2] for one in each]))
        for i, (column, reason, _) in enumerate(each[0].missing)
    ]
    clipped = [(column, _sum([one.clipped[i][1] for one in each])) for i, (column, _) in enumerate(each[0].clipped)]
    return RowsLeftOut(
        missing=tuple(missing),
        clipped=tuple(clipped),
        non_finite=_sum([one.non_finite for one in each]),
        suppressed=(),
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)
