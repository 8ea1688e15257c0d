"""The embedded engine: CSV, Parquet and frames in an in-memory DuckDB that can reach nothing else.

CSV files and frames are read once, by their declared types, into memory; Parquet is scanned where it lies. External
access is closed, to Parquet sources excepted, and the configuration locked, so that no statement could open another
file, write one, load an extension or undo that. Refused: data that changed since they were opened.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import numpy.typing as npt
from sqlglot import exp

from clients.jurisdiction.engine import Engine, Identities, Rows, Share
from clients.jurisdiction.engines import _frames, _read, _typed
from clients.jurisdiction.engines._sources import DIALECT, Source, opened
from clients.jurisdiction.sql.layers import ROWS, column, reason, value
from clients.jurisdiction.sql.places import Places, contributions, identities
from clients.jurisdiction.sql.reading import Reading
from clients.jurisdiction.sql.rounds import Compiled, Row, sound
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed
from federation.query.query import Answer, SumQuery, shape
from federation.query.row_query import RowQuery, counts

if TYPE_CHECKING:
    from typing import Self


class DuckDB(Engine):
    """Rows in an embedded DuckDB; made by `open`.

    Args:
        source: its connection has the relation `rows`, and is closed with the engine.
        dataset: the publication that `rows` was typed by.
    """

    def __init__(self, source: Source, dataset: Dataset) -> None:
        self._source, self._dataset = source, dataset
        self._connection = source.connection
        self._one_at_a_time = threading.Lock()
        self._sound: set[str] = set()  # columns that an answer showed to be as the publication says, in every row

    @classmethod
    def open(cls, dataset: Dataset, source: object, *, threads: int | None = None) -> Self:
        found = opened(source, [item.name for item in dataset.columns], threads)
        try:
            _fill(found, dataset)
            if found.files is not None:
                found.files.unchanged()
        except BaseException:
            found.connection.close()
            raise
        return cls(found, dataset)

    @cached_property
    def version(self) -> str:
        if self._source.files is not None:
            return self._source.files.version()
        with self._one_at_a_time:
            columns = [
                (self._numpy(value(index)), self._numpy(reason(index)) if item.missing else None)
                for index, item in enumerate(self._dataset.columns)
            ]
        return _frames.version(self._dataset, columns)

    def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[Answer, ...]:
        compiled = Compiled(queries, joint, self._dataset, frozenset(self._sound))
        statements = [statement.sql(DIALECT, copy=False) for statement in compiled.statements]
        with self._one_at_a_time:
            self._unchanged()
            results = [self._run(statement) for statement in statements]
            self._unchanged()
        answers = compiled.answers(results)
        for query, answer in zip(queries, answers, strict=True):
            self._sound |= sound(query, answer)
        return answers

    def places(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[npt.NDArray[np.int64], ...]:
        statement = Places(queries, joint, self._dataset).places.sql(DIALECT, copy=False)
        with self._one_at_a_time:
            self._unchanged()
            found = self._arrays(statement)
            self._unchanged()
        return tuple(np.asarray(found[f"p{index}"], dtype=np.int64) for index in range(len(queries)))

    def identities(self) -> Identities:
        with self._one_at_a_time:
            self._unchanged()
            found = self._arrays(identities(self._dataset).sql(DIALECT, copy=False))
        units = found.get("unit")
        rows = np.asarray(found["row"], dtype=np.uint64)
        return Identities(rows, None if units is None else np.asarray(units, dtype=np.uint64))

    def largest(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[tuple[tuple[Share, ...], ...], ...]:
        asked = [query for query in queries if contributions(query)]
        compiled = Places(asked, joint, self._dataset)
        found: dict[int, tuple[tuple[Share, ...], ...]] = {}
        with self._one_at_a_time:
            self._unchanged()
            for query in asked:
                rows = self._run(compiled.largest(query).sql(DIALECT, copy=False))
                found[id(query)] = _shares(rows, shape(query, joint).cells, grouped=bool(query.group_by))
            self._unchanged()
        return tuple(found.get(id(query), ((),) * shape(query, joint).cells) for query in queries)

    def rows(self, query: RowQuery, joint: Dataset) -> Rows:
        reading = Reading(query, joint, self._dataset)
        selection, values = reading.selection, reading.values.sql(DIALECT, copy=False)
        with self._one_at_a_time:
            self._unchanged()
            selected = {} if selection is None else self._arrays(selection.sql(DIALECT, copy=False))
            found = self._arrays(values)
            self._unchanged()
        return _read.table(reading.asked, counts(query, joint), self._dataset.name, selected, found)

    def close(self) -> None:
        self._connection.close()

    def _run(self, statement: str) -> list[Row]:
        try:
            return self._connection.execute(statement).fetchall()
        except duckdb.OutOfMemoryException:
            raise JobFailed("the round needs more memory than this jurisdiction gives", hint="fewer cells") from None
        except duckdb.Error as error:
            raise JobFailed(f"the engine could not run the round ({type(error).__name__})") from None

    def _arrays(self, statement: str) -> dict[str, npt.NDArray[np.generic]]:
        try:
            return dict(self._connection.execute(statement).fetchnumpy())
        except duckdb.OutOfMemoryException:
            raise JobFailed("the round needs more memory than this jurisdiction gives", hint="fewer cells") from None
        except duckdb.Error as error:
            raise JobFailed(f"the engine could not run the round ({type(error).__name__})") from None

    def _unchanged(self) -> None:
        if self._source.files is not None and not self._source.is_copied:
            self._source.files.unchanged()

    def _numpy(self, name: str) -> _frames.Array:
        statement = exp.select(column(name)).from_(exp.table_(ROWS, quoted=True))
        found: _frames.Array = self._connection.execute(statement.sql(DIALECT)).fetchnumpy()[name]
        return found


def _shares(rows: Sequence[Sequence[float | None]], cells: int, *, grouped: bool) -> tuple[tuple[Share, ...], ...]:
    found: list[tuple[Share, ...]] = [()] * cells
    for row in rows:
        place, numbers = (row[0], row[1:]) if grouped else (0, row)
        if place is not None:
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            found[int(place)] = tuple(Share(largest or 0.0, whole or 0.0) for largest, whole in pairs)
    return tuple(found)


def _fill(source: Source, dataset: Dataset) -> None:
    """Make `rows`: a copy, so that what happens to a frame or a CSV file afterwards changes nothing, or a view.

    What the type of a viewed column does not promise is checked now, by one pass over those columns.
    """
    found = _typed.fields(dataset, source.names, source.held, source.where)
    rows = exp.table_(ROWS, quoted=True)
    kind = "TABLE" if source.is_copied else "VIEW"
    temporary = exp.Properties(expressions=[exp.TemporaryProperty()])
    made = exp.Create(this=rows, kind=kind, expression=_typed.typed(found, source.relation), properties=temporary)
    source.run(made, found)
    source.shut()
    checked = [exp.Count(this=column(value(field.index))) for field in found if field.is_fallible]
    if checked and not source.is_copied:
        source.run(exp.select(*checked).from_(rows.copy()), found)
