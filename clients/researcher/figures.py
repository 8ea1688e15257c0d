"""The answers of a job as plain values, and the digest by which a receipt names them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from clients.researcher.asking import written
from federation.analytics.plan import Failure, Outcome
from federation.analytics.statistic import Table
from federation.domain.job import Computation, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One question of the job and what the totals say to it: a table, or why there is none."""

    question: str
    table: Table | None = None
    failure: str = ""


def figures_of(asked: Sequence[Computation], outcomes: Sequence[Outcome]) -> tuple[Figure, ...]:
    """Return one figure for each question, in the job's order."""
    return tuple(
        Figure(question=written(each), failure=outcome.message)
        if isinstance(outcome, Failure)
        else Figure(question=written(each), table=outcome.result.table())
        for each, outcome in zip(asked, outcomes, strict=True)
    )


def digest_of(figures: Sequence[Figure]) -> bytes:
    """Return 32 bytes over every question and every cell; numbers in the one shortest form that they are read by."""
    plain = [
        [each.question, each.failure, None if each.table is None else [each.table.columns, each.table.rows]]
        for each in figures
    ]
    return digest("federation/figures/v1", json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode())
