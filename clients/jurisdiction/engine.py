"""The contract of what runs queries over one party's rows. Rows stay in this room: out of it goes one `Answer` a query.

An engine reads the source that its operator names and nothing else, enforces the party's published ranges, and answers
with exact integers that do not depend on threads or on the order of rows. Every engine must agree with the oracle
`federation.query.evaluate` to 2 ulp of a term a row before rounding, and bit for bit in + - * / sqrt and comparisons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federation.domain.catalogue import Dataset
from federation.errors import Refused
from federation.query.query import Answer, SumQuery
from federation.query.row_query import RowQuery

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """Who the rows are, in their order.

    Attributes:
        rows: 64 bits per row that equal rows share, in every version of the data.
        units: the same of their units; None where no column identifies one, and every row is its own.
    """

    rows: npt.NDArray[np.uint64]
    units: npt.NDArray[np.uint64] | None


@dataclass(frozen=True, slots=True)
class Share:
    """What the largest contributors of a cell hold of a sum.

    Attributes:
        largest: sum of the two largest absolute contributions of a unit.
        whole: sum of all absolute contributions.
    """

    largest: float
    whole: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """Rows that have all the values that were asked for, in the order of the source; they never leave this room.

    The arrays belong to whoever asked, who overwrites them at the end.

    Attributes:
        columns: one array per column of the query: float64, or float32 where that holds every whole number of the
            declared range; for a category int32, its place in the published list.
        numbers: int64, where each row stands in the source, from 0; the same under every condition.
        units: int64, per row, the place in the source of the first row of its unit; None where no column identifies
            one, and every row is its own.
        counts: rows left out and values moved into their range, by `row_query.counts`.
    """

    columns: tuple[npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.int32], ...]
    numbers: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64] | None
    counts: tuple[int, ...]


class Engine(ABC):
    """One party's rows of one data set, open for queries; a context manager."""

    @classmethod
    @abstractmethod
    def open(cls, dataset: Dataset, source: object, *, threads: int | None = None) -> Self:
        """Return an engine over `source`.

        Args:
            dataset: the party's own publication; its columns are looked for, others are ignored.
            source: where the rows are, as the operator says: for an embedded engine a path or a frame.
            threads: how many threads a query may use, None for the engine's default. No result depends on it.

        Raises:
            Misuse: no such source, a column that is not there or that cannot be read as published; one line, no value.
        """

    @property
    @abstractmethod
    def version(self) -> str:
        """SHA-256 (hex) over the data; computed once."""

    @abstractmethod
    def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[Answer, ...]:
        """Return one answer per query, over the same rows.

        Args:
            queries: the queries of one round.
            joint: `catalogue.agreed` of all parties' publications.

        Raises:
            Misuse: a query without a meaning over `joint`, or own ranges that `joint` does not hold.
            Refused: rule "range": the rows hold what the publication refuses; rule "version": the data changed.
        """

    def places(
        self,
        queries: Sequence[SumQuery],  # noqa: ARG002
        joint: Dataset,  # noqa: ARG002
    ) -> tuple[npt.NDArray[np.int64], ...]:
        """Return, per query and row, the cell that the row counts in, -1 for none; for the guard alone. As `sums`."""
        raise self._untold()

    def identities(self) -> Identities:
        """Return who the rows of `places` are; for the guard alone."""
        raise self._untold()

    def largest(
        self,
        queries: Sequence[SumQuery],  # noqa: ARG002
        joint: Dataset,  # noqa: ARG002
    ) -> tuple[tuple[tuple[Share, ...], ...], ...]:
        """Return, per query and cell, the shares of the largest contributors; for the guard alone. As `sums`.

        One share for each term, and for each column of a Gram, that is not constant.
        """
        raise self._untold()

    def rows(
        self,
        query: RowQuery,  # noqa: ARG002
        joint: Dataset,  # noqa: ARG002
    ) -> Rows:
        """Return the rows that have all the values that `query` reads; for the trainer alone. As `sums`."""
        what = f"engine {type(self).__name__} gives no rows to learn from"
        raise Refused(what, rule="engine", hint="hold the data in a source that the duckdb engine reads")

    @abstractmethod
    def close(self) -> None:
        """Let go of the rows; a second time does nothing."""

    def _untold(self) -> Refused:
        """Return what an engine that only sums says: what the guard cannot judge it refuses."""
        hint = "give the data set k = 1, if it is public, or another engine"
        return Refused(f"engine {type(self).__name__} cannot tell which rows count", rule="engine", hint=hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
