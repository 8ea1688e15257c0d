"""Asks three authorities how much dust is in the air, how often too much, and in which months.

Mean, variance, median and 98th percentile of daily PM10, days above 50 micrograms a cubic metre (the European limit of
a day, which no place may exceed on more than 35 days a year: Directive 2008/50/EC), and the seasonal curve; jointly,
and for each authority alone. What one authority alone fills is its own release, by its clause.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from clients.researcher.results import signature
from federation_examples.air.data import NAME, NAMES, PURPOSE, YEARS, K, split, tables
from federation_examples.report import Curve, Drawing, Line, Report, Story

if TYPE_CHECKING:
    from clients.researcher.session import Session

TITLE: Final = "Dust in the air: daily PM10 at rural stations in Germany, 1998-2009, three authorities"
LIMIT: Final = 50  # micrograms a cubic metre and day
QUANTILES: Final = (0.5, 0.98)
RESOLUTION: Final = 0.001  # micrograms: what the instruments' means are written to
MONTHS: Final = range(1, 13)
DAYS: Final = 365  # of a year, to which days above the limit are scaled
NOTES: Final = (
    f"k = {K}: public data, nothing is withheld. What one authority alone fills is its own release, by its clause.",
    "The authorities are ours: Laender put together; the federal network stands beside the eastern ones.",
    "Stations come and go: days above the limit are compared per 365 days that a station measured.",
)
UNIT: Final = "\N{MICRO SIGN}g/m\N{SUPERSCRIPT THREE}"
SOURCE: Final = "EEA AirBase, by way of R's package spacetime 1.2-8. The three authorities are made by us."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What all rows together give; `above` and `measured` are station's days by year."""

    n: int
    mean: float
    variance: float
    quantiles: tuple[float, ...]
    months: Mapping[int, float]
    measured: Mapping[int, int]
    above: Mapping[int, int]


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Ask about PM10 and return the answers beside the pooled figures.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    values = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    ask = values.ask
    variance, quantiles, by_month, own_month, measured, own_measured = session.run(
        [
            ask.var("pm10"),
            ask.quantile("pm10", QUANTILES, resolution=RESOLUTION),
            ask.mean("pm10", by="month"),
            ask.mean("pm10", by=["authority", "month"]),
            ask.count(by="year"),
            ask.count(by=["authority", "year"]),
        ],
        data=values,
    )
    high = values.where(f"pm10 > {LIMIT}")
    above, own_above = session.run([high.ask.count(by="year"), high.ask.count(by=["authority", "year"])], data=high)
    seconds = time.perf_counter() - began
    exceedances = {year: above[str(year)].value for year in YEARS}
    seasons = [
        _season("All three, jointly", [by_month[str(month)].value for month in MONTHS], joint=True),
        *(_season(name, [own_month[party, str(month)].value for month in MONTHS]) for party, name in NAMES.items()),
    ]
    complete = [year for year in YEARS if all(own_measured[party, str(year)].value for party in NAMES)]
    years = [
        _years("All three, jointly", exceedances, {year: measured[str(year)].value for year in complete}, joint=True),
        *(
            _years(
                name,
                {year: own_above[party, str(year)].value for year in complete},
                {year: own_measured[party, str(year)].value for year in complete},
            )
            for party, name in NAMES.items()
        ),
    ]
    months = {month: by_month[str(month)].value for month in MONTHS}
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(variance, quantiles.values, months, exceedances, pooled(list(files))),
        drawing=_exceedances(years),
        k=K,
        parties=values.parties,
        jobs=2,
        seconds=seconds,
        receipt=signature(variance.receipt),
        notes=NOTES,
        more=(_seasonal(seasons),),
        bars=True,
    )


def pooled(files: Sequence[Path]) -> Pooled:
    """Return the figures of all files together; a quantile is a value that was measured."""
    quantiles = ", ".join(f"quantile_disc(pm10, {q})" for q in QUANTILES)
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        ((n, mean, variance, *found),) = rows.aggregate(
            f"count(*), fsum(pm10) / count(*), var_samp(pm10), {quantiles}"
        ).fetchall()
        months = rows.aggregate("month, fsum(pm10) / count(*)", "month").fetchall()
        years = rows.aggregate(f"year, count(*), count(*) FILTER (pm10 > {LIMIT})", "year").fetchall()
    return Pooled(
        n=int(n),
        mean=mean,
        variance=variance,
        quantiles=tuple(found),
        months=dict(months),
        measured={year: count for year, count, _ in years},
        above={year: high for year, _, high in years},
    )


def _lines(
    variance: Any,  # noqa: ANN401 - a var's result
    quantiles: Sequence[float],
    months: Mapping[int, float | None],
    above: Mapping[int, int],
    pool: Pooled,
) -> tuple[Line, ...]:
    counted = [("all years", sum(above.values()), sum(pool.above.values()))]
    counted += [(str(year), above[year], pool.above.get(year, 0)) for year in YEARS]
    return (
        Line(figure="daily means", federated=variance.n, pooled=pool.n, exact=True),
        Line(figure="mean PM10, ug/m3", federated=variance.mean, pooled=pool.mean, exact=False),
        Line(figure="variance", federated=variance.value, pooled=pool.variance, exact=False),
        *(
            Line(figure=f"p{100 * q:g}, ug/m3", federated=ours, pooled=theirs, exact=False, within=RESOLUTION)
            for q, ours, theirs in zip(QUANTILES, quantiles, pool.quantiles, strict=True)
        ),
        *(
            Line(figure=f"days above {LIMIT}, {when}", federated=ours, pooled=theirs, exact=True)
            for when, ours, theirs in counted
        ),
        *(
            Line(figure=f"mean of month {month}, ug/m3", federated=mean, pooled=pool.months[month], exact=False)
            for month, mean in months.items()
            if mean is not None
        ),
    )


def _season(name: str, means: Sequence[float | None], *, joint: bool = False) -> Curve:
    return Curve(name=name, x=tuple(MONTHS), y=tuple(means), joint=joint)


def _years(name: str, above: Mapping[int, int], measured: Mapping[int, int], *, joint: bool = False) -> Curve:
    """Return days above the limit per year of a station, in years that all of them measured."""
    rates = (float(Fraction(DAYS * above[year], days)) for year, days in measured.items())
    return Curve(name=name, x=tuple(measured), y=tuple(rates), joint=joint)


def _exceedances(curves: Sequence[Curve]) -> Drawing:
    return Drawing(
        name="air-exceedances",
        title=f"Days with more than {LIMIT} {UNIT} of dust: three authorities and all of them jointly",
        x_label="year",
        y_label="days above the limit, per 365 measured",
        curves=tuple(curves),
        note=SOURCE + " Years that an authority did not measure are left out.",
    )


def _seasonal(curves: Sequence[Curve]) -> Drawing:
    return Drawing(
        name="air-season",
        title="Dust by month: three authorities and all of them jointly, 1998-2009",
        x_label="month",
        y_label=f"mean PM10, {UNIT}",
        curves=tuple(curves),
        note=SOURCE,
    )


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
