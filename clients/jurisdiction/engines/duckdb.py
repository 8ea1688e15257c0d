"""The embedded engine: CSV, Parquet and frames in an in-memory DuckDB that can reach nothing else.

CSV files and frames are read once, by their declared types, into memory; Parquet is scanned where it lies. External
access is closed, to Parquet sources excepted, and the configuration locked, so that no statement could open another
file, write one, load an extension or undo that. Messages of DuckDB are never passed on, since they quote values.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
from sqlglot import exp

from clients.jurisdiction.engine import Engine
from clients.jurisdiction.engines import _files, _frames, _typed
from clients.jurisdiction.sql.layers import ROWS, call, column, reason, value
from clients.jurisdiction.sql.rounds import Compiled, Row
from federation.domain.catalogue import Dataset
from federation.errors import JobFailed, Misuse
from federation.query.query import Answer, SumQuery

if TYPE_CHECKING:
    from typing import Self

_DIALECT: Final = "duckdb"
_FRAME: Final = "frame"
_CONFIG: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # no variable of this program is ever a table
    "temp_directory": "",  # rows are never spilled to a disk
    "enable_external_file_cache": "false",
    "ieee_floating_point_ops": "true",
    "default_null_order": "nulls_last",
}


class DuckDB(Engine):
    """Rows in an embedded DuckDB; made by `open`.

    Args:
        connection: has the relation `rows`; closed with the engine.
        dataset: the publication that it was typed by.
        files: what the rows come from, None for a frame.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: Dataset, files: _files.Files | None) -> None:
        self._connection, self._dataset, self._files = connection, dataset, files
        self._one_at_a_time = threading.Lock()

    @classmethod
    def open(cls, dataset: Dataset, source: object, *, threads: int | None = None) -> Self:
        if not isinstance(source, str | os.PathLike):
            connection = _shared(threads or 0, os.getpid()).cursor()
            _load(connection, dataset, _frames.found(source, [item.name for item in dataset.columns]))
            return cls(connection, dataset, None)
        files = _files.found(source)
        connection = _connected(threads or 0)
        if files.format is _files.Format.CSV:
            _import(connection, dataset, files)
            _locked(connection, ())
        else:
            _locked(connection, files.paths)
            _view(connection, dataset, files)
        files.unchanged()
        return cls(connection, dataset, files)

    @cached_property
    def version(self) -> str:
        if self._files is not None:
            return self._files.version()
        with self._one_at_a_time:
            columns = [
                (self._numpy(value(index)), self._numpy(reason(index)) if item.missing else None)
                for index, item in enumerate(self._dataset.columns)
            ]
        return _frames.version(self._dataset, columns)

    def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[Answer, ...]:
        compiled = Compiled(queries, joint, self._dataset)
        statements = [statement.sql(_DIALECT) for statement in compiled.statements]
        with self._one_at_a_time:
            self._unchanged()
            results = [self._run(statement) for statement in statements]
            self._unchanged()
        return compiled.answers(results)

    def close(self) -> None:
        self._connection.close()

    def _run(self, statement: str) -> list[Row]:
        try:
            return self._connection.execute(statement).fetchall()
        except duckdb.OutOfMemoryException:
            raise JobFailed("the round needs more memory than this jurisdiction gives", hint="fewer cells") from None
        except duckdb.Error as error:
            raise JobFailed(f"the engine could not run the round ({type(error).__name__})") from None

    def _unchanged(self) -> None:
        if self._files is not None and self._files.format is _files.Format.PARQUET:
            self._files.unchanged()

    def _numpy(self, name: str) -> _frames.Array:
        statement = exp.select(column(name)).from_(exp.table_(ROWS, quoted=True))
        found: _frames.Array = self._connection.execute(statement.sql(_DIALECT)).fetchnumpy()[name]
        return found


def _connected(threads: int) -> duckdb.DuckDBPyConnection:
    config = dict(_CONFIG, **({"threads": str(threads)} if threads else {}))
    return duckdb.connect(":memory:", config=dict(config))


def _locked(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """Close everything but `paths`, then the closing itself."""
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in paths]).sql(_DIALECT)
    connection.execute(f"SET allowed_paths = {listed}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


@lru_cache(maxsize=8)
def _shared(threads: int, process: int) -> duckdb.DuckDBPyConnection:  # noqa: ARG001  # a fork has no threads of DuckDB
    """One locked database for all frames of a process: a new one costs 13 ms, a connection to it 5 us.

    Every engine has a connection of its own, and its rows are in a temporary table, which no other connection sees.
    """
    connection = _connected(threads)
    _locked(connection, ())
    return connection


def _columns(connection: duckdb.DuckDBPyConnection, source: exp.Expr) -> tuple[list[str], list[str]]:
    """Return the names and types of a source's columns."""
    described = connection.execute(exp.select(exp.Star()).from_(source).limit(0).sql(_DIALECT)).description or []
    return [str(item[0]) for item in described], [str(item[1]) for item in described]


def _create(kind: str, found: Sequence[_typed.Field], source: exp.Expr, *, temporary: bool = False) -> str:
    """Return the statement that makes `rows`."""
    properties = exp.Properties(expressions=[exp.TemporaryProperty()]) if temporary else None
    name = exp.table_(ROWS, quoted=True)
    made = exp.Create(this=name, kind=kind, expression=_typed.typed(found, source), properties=properties)
    return made.sql(_DIALECT)


# --- frames ----------------------------------------------------------------------------------------------------------


def _load(connection: duckdb.DuckDBPyConnection, dataset: Dataset, frame: _frames.Frame) -> None:
    """Copy a frame, so that what its owner does to it afterwards changes neither answers nor version."""
    where = "the frame"
    try:
        connection.register(_FRAME, frame.table)
        source = exp.table_(_FRAME, quoted=True)
        types = _columns(connection, source)[1]
        found = _typed.fields(dataset, frame.names, types, source=where, nan_is_null=frame.nan_is_null)
        connection.execute(_create("TABLE", found, _typed.aliased(source, len(types)), temporary=True))
        connection.unregister(_FRAME)
    except ImportError:
        raise Misuse("a polars frame needs pyarrow to be read", hint="pip install pyarrow") from None
    except duckdb.Error as error:
        raise _explained(error, dataset, where) from None


def _explained(error: duckdb.Error, dataset: Dataset, where: str) -> Misuse:
    index = _typed.unreadable(str(error))
    if index is not None:
        return _typed.refusal(dataset.columns[index], where)
    return Misuse(f"{where} cannot be read ({type(error).__name__})", hint="columns of one plain type each")


# --- files -----------------------------------------------------------------------------------------------------------


def _view(connection: duckdb.DuckDBPyConnection, dataset: Dataset, files: _files.Files) -> None:
    """Look at Parquet where it lies; what a type does not promise is checked now, by one pass over those columns."""
    where = Path(files.paths[0]).name
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in files.paths])
    source = call("READ_PARQUET", listed, _option("hive_partitioning", exp.false()))
    try:
        names, types = _columns(connection, source)
        found = _typed.fields(dataset, names, types, source=where)
        connection.execute(_create("VIEW", found, _typed.aliased(source, len(names))))
        checked = [exp.Count(this=column(value(field.index))) for field in found if _typed.is_fallible(field)]
        if checked:
            connection.execute(exp.select(*checked).from_(exp.table_(ROWS, quoted=True)).sql(_DIALECT))
    except duckdb.Error as error:
        raise _explained(error, dataset, where) from None


def _import(connection: duckdb.DuckDBPyConnection, dataset: Dataset, files: _files.Files) -> None:
    names, delimiter = _files.header(files, [item.name for item in dataset.columns])
    where = Path(files.paths[0]).name
    found = _typed.fields(dataset, names, ["VARCHAR"] * len(names), source=where)
    try:
        connection.execute(_create("TABLE", found, _csv(files.paths, delimiter, len(names))))
    except duckdb.Error as error:
        raise _broken(connection, dataset, files, found, (delimiter, len(names)), error) from None


def _csv(paths: Sequence[str], delimiter: str, columns: int) -> exp.Table:
    """Return CSV files as columns of text `s0`, `s1`, ...: nothing is sniffed, and nothing malformed is passed over."""
    text = exp.Literal.string("VARCHAR")
    names = [exp.to_identifier(_typed.source_name(place)) for place in range(columns)]
    options = {
        "auto_detect": exp.false(),
        "header": exp.true(),
        "delim": exp.Literal.string(delimiter),
        "quote": exp.Literal.string('"'),
        "escape": exp.Literal.string('"'),
        "strict_mode": exp.true(),
        "columns": exp.Struct(expressions=[exp.PropertyEQ(this=name, expression=text.copy()) for name in names]),
    }
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in paths])
    return _typed.aliased(call("READ_CSV", listed, *(_option(name, item) for name, item in options.items())), columns)


def _broken(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    files: _files.Files,
    found: Sequence[_typed.Field],
    layout: tuple[str, int],
    error: duckdb.Error,
) -> Misuse:
    """Return the error that names the file and the line: the slow way, taken once there is an error."""
    index = _typed.unreadable(str(error))
    for path in files.paths:
        name = Path(path).name
        if index is None:
            line = _files.broken_line(path, *layout)
            if line is not None:
                return Misuse(f"{name}, line {line}: not well-formed CSV", hint=f'{layout[1]} columns, quoted by "')
            continue
        record = _first_record(connection, _typed.fault(found[index]), _csv([path], *layout))
        if record is not None:
            line = _files.line_of(path, layout[0], record)
            return _typed.refusal(dataset.columns[index], f"{name}, line {line}")
    return _explained(error, dataset, Path(files.paths[0]).name)


def _first_record(connection: duckdb.DuckDBPyConnection, fault: exp.Expr, source: exp.Table) -> int | None:
    """Return the number of the first record, from 1, for which `fault` holds."""
    number = exp.alias_(exp.Window(this=exp.RowNumber()), "record")
    numbered = exp.select(number, exp.alias_(fault.copy(), "fault")).from_(source)
    wanted = exp.select(exp.Min(this=exp.column("record"))).from_(numbered.subquery("numbered"))
    row = connection.execute(wanted.where(exp.column("fault")).sql(_DIALECT)).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _option(name: str, of: exp.Expr) -> exp.Expr:
    return exp.Kwarg(this=exp.Var(this=name), expression=of)
