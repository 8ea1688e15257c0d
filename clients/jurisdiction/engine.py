"""The contract of what runs queries over one party's rows. Rows never leave it: what comes out is one `Answer` a query.

An engine reads the source that its operator names and nothing else, enforces the party's published ranges, and answers
with exact integers that do not depend on threads or on the order of rows. Every engine must agree with the oracle
`federation.query.evaluate` to 2 ulp of a term a row before rounding, and bit for bit in + - * / sqrt and comparisons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from federation.domain.catalogue import Dataset
from federation.query.query import Answer, SumQuery

if TYPE_CHECKING:
    from typing import Self


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

    @abstractmethod
    def close(self) -> None:
        """Let go of the rows; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
