"""Asks three airports one joint question, and shows the answer beside what the pooled rows give.

The pooled figures are computed here, by plain integer sums over all three files: something that no member of a real
federation could do. `run` takes an open session, so the same story runs on daemons and on `fed.local`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from clients.researcher.results import signature
from federation_examples.flights.data import K

if TYPE_CHECKING:
    from clients.researcher.session import Session

TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure: what the federation opened, what the pooled rows give, and how far apart they are."""

    figure: str
    federated: int | float
    pooled: int | float
    exact: bool  # integers must be equal; others within TOLERANCE, relative

    @property
    def difference(self) -> int | float:
        """Federated - pooled."""
        return self.federated - self.pooled

    @property
    def agrees(self) -> bool:
        """Whether the figure is as near as it has to be."""
        if self.exact:
            return self.federated == self.pooled
        return math.isclose(self.federated, self.pooled, rel_tol=TOLERANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the story found.

    Attributes:
        k: least units in a cell of an airport's own; 1, the data are public.
        seconds: from submit to result, as the researcher waits.
        receipt: one line: who took part, what protected it, who signed.
    """

    lines: tuple[Line, ...]
    k: int
    parties: tuple[str, ...]
    seconds: float
    receipt: str

    @property
    def agrees(self) -> bool:
        """Whether every figure is as near as it has to be."""
        return all(line.agrees for line in self.lines)


def run(session: Session, files: Iterable[Path]) -> Report:
    """Ask for the arrival delay and return it beside the pooled figures.

    Args:
        session: with a table "flights".
        files: the parties' Parquet files, only for the pooled reference.
    """
    table = session.table("flights", purpose="transport")
    began = time.perf_counter()
    found = session.run([table.ask.var("arr_delay")], data=table, purpose="transport")
    seconds = time.perf_counter() - began
    joint: Any = found[0]
    n, total, squares = pooled(files)
    mean = Fraction(total, n)
    variance = (squares - n * mean * mean) / (n - 1)
    lines = (
        Line(figure="flights that arrived", federated=joint.n, pooled=n, exact=True),
        Line(figure="sum of delays, minutes", federated=joint.sum, pooled=total, exact=True),
        Line(figure="sum of squares", federated=joint.sum_of_squares, pooled=squares, exact=True),
        Line(figure="mean delay, minutes", federated=joint.mean, pooled=float(mean), exact=False),
        Line(figure="variance", federated=joint.value, pooled=float(variance), exact=False),
    )
    return Report(lines=lines, k=K, parties=table.parties, seconds=seconds, receipt=signature(joint.receipt))


def pooled(files: Iterable[Path]) -> tuple[int, int, int]:
    """Return n, sum and sum of squares of the arrival delay over all files, as exact integers."""
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        ((n, total, squares),) = rows.aggregate(
            "count(arr_delay), sum(arr_delay::HUGEINT), sum(arr_delay::HUGEINT * arr_delay::HUGEINT)"
        ).fetchall()
    return int(n), int(total), int(squares)
