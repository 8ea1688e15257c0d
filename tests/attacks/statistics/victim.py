"""A jurisdiction under attack by questions, and a neighbour that knows only a threshold, as DataSHIELD's defaults do.

The attacker is as strong as can be: it knows the figures of all other parties, so that it reads this party's own part
of every sum that opens. `Victim.ask` goes the way of a sum in `clients.jurisdiction.run`: the guard's rounds, its look
at own rows, the encoding. `Threshold` withholds cells below k, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from clients.jurisdiction.engines.duckdb import DuckDB
from clients.jurisdiction.guard import Guard
from clients.jurisdiction.history import History
from clients.jurisdiction.vault import MemoryVault, Vault
from federation.domain.catalogue import Column, Dataset, Kind
from federation.domain.job import Computation, Job
from federation.errors import Refused
from federation.policy.rule import Settings
from federation.query.query import SumQuery, shape
from federation.query.round import Phase, Round, encoded

PARTIES = ("guangdong", "hongkong", "macao")
K = 10


def dataset(*columns: Column, k: int = K, version: str = "1", dominance: int = 0) -> Dataset:
    return Dataset(name="data", title="", unit="person", columns=columns, k=k, version=version, dominance=dominance)


def number(name: str, low: int, high: int) -> Column:
    return Column(name=name, kind=Kind.INTEGER, low=low, high=high)


def category(name: str, *values: str) -> Column:
    return Column(name=name, kind=Kind.CATEGORY, categories=values)


def a_job(project: str = "") -> Job:
    return Job(
        name="attack",
        researcher="mallory",
        project=project,
        dataset="data",
        computations=(Computation(name="mean", version=1),),
        parties=PARTIES,
        publications=tuple((party, bytes(32)) for party in PARTIES),
        deadline_ms=1,
        max_rounds=4,
        roster_hash=bytes(32),
        token=bytes(16),
    )


class Victim:
    """Macao, with all rules."""

    def __init__(self, rows: pd.DataFrame, own: Dataset, vault: Vault | None = None) -> None:
        self.vault = MemoryVault() if vault is None else vault
        self.own, self.engine = own, DuckDB.open(own, rows)
        self.guard = Guard("macao", Settings(), {"data": own}, self.history())
        self.refusals: list[Refused] = []

    def history(self) -> History | None:
        return History(self.vault)

    def again(self, rows: pd.DataFrame, version: str) -> Victim:
        """Return the same jurisdiction after it published another version of its data."""
        return type(self)(rows, replace(self.own, version=version), self.vault)

    def ask(self, *queries: SumQuery, project: str = "") -> tuple[int, ...] | None:
        """Return what this party's part of a round of sums would be, flags last; None if it refuses the round."""
        closed = tuple((False,) * shape(query, self.joint).rows for query in queries)
        return self.part(Round(index=1, phase=Phase.SUMS, queries=queries, closed=closed), project)

    def part(self, due: Round, project: str = "") -> tuple[int, ...] | None:
        """Return this party's part of a round, as `ask` does."""
        asked = a_job(project)
        try:
            self.guard.judge_round(asked, due, self.joint)
            answered = self.guard.answered(asked, due.queries, self.joint, self.engine)
            self.guard.judge_answers(asked, due, self.joint, answered, self.engine)
        except Refused as refusal:
            self.refusals.append(refusal)
            return None
        withheld = [one.withheld for one in answered]
        return tuple(encoded(due, self.joint, [one.answer for one in answered], self.own.k, withheld))

    @property
    def joint(self) -> Dataset:
        """What all parties describe, who describe the same."""
        return replace(self.own, version="")


class Threshold(Victim):
    """The neighbour: cells below k are withheld, and that is all that it knows."""

    def history(self) -> History | None:
        return None

    def part(self, due: Round, project: str = "") -> tuple[int, ...] | None:
        return tuple(encoded(due, self.joint, self.engine.sums(due.queries, self.joint), self.own.k))


def recovered(
    sets: Sequence[npt.NDArray[np.bool_]], sums: Sequence[float], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Return the rows that least squares determines: no null vector moves them, and it is right."""
    if not sets:
        return np.zeros(0, dtype=np.int64)
    matrix = np.array(sets, dtype=np.float64)
    solution, _, rank, _ = np.linalg.lstsq(matrix, np.array(sums, dtype=np.float64), rcond=None)
    _, _, right = np.linalg.svd(matrix)
    loose = np.sqrt((right[rank:] ** 2).sum(axis=0))
    return np.flatnonzero((loose < 1e-6) & (np.abs(solution - values) < 1e-3))
