"""What DuckDB is given to read: a connection that can reach one source and nothing else, and that source as a relation.

Frames share one locked in-memory database per process, files get one each. Refused: sources that are none, and CSV and
frames that cannot be read; messages name the file, the line and the column, and DuckDB's own are never passed on, since
they quote values.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

import duckdb
from sqlglot import exp

from clients.jurisdiction.engines import _files, _frames, _typed
from clients.jurisdiction.engines._held import Held
from clients.jurisdiction.sql.layers import call, named
from federation.domain.catalogue import Column
from federation.errors import FederationError, Misuse

DIALECT: Final = "duckdb"
Connection: TypeAlias = duckdb.DuckDBPyConnection

_FRAME: Final = "frame"
_CONFIG: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",  # no variable of this program is ever a table
    "temp_directory": "",  # rows are never spilled to a disk
    "enable_external_file_cache": "false",
    "ieee_floating_point_ops": "true",  # 1 / 0 is infinite and not an error, on every build
}


@dataclass(frozen=True, slots=True)
class Source:
    """A source that is open.

    Attributes:
        connection: reads it; private to whoever asked.
        relation: its columns, called `s0`, `s1`, ... in statements.
        names: what it calls them itself.
        held: the columns themselves.
        where: what messages call it.
        files: None for a frame.
        delimiter: of CSV, else "".
    """

    connection: Connection
    relation: exp.Table
    names: tuple[str, ...]
    held: tuple[Held, ...]
    where: str
    files: _files.Files | None = None
    delimiter: str = ""

    @property
    def is_copied(self) -> bool:
        """Whether its rows are to be copied before they are asked: all but Parquet, which is read where it lies."""
        return self.files is None or self.files.format is _files.Format.CSV

    @property
    def is_text(self) -> bool:
        """Whether everything in it is text at first: CSV."""
        return bool(self.delimiter)

    def run(self, statement: exp.Expr, found: Sequence[_typed.Field] = ()) -> Connection:
        """Run a statement over the source. Raises Misuse that says where it cannot be read."""
        try:
            return self.connection.execute(statement.sql(DIALECT))
        except duckdb.Error as error:
            raise self._explained(error, {field.index: field for field in found}) from None

    def shut(self) -> None:
        """Let the connection reach nothing from here on, but Parquet that it still reads."""
        if self.files is not None and self.is_copied:
            _lock(self.connection, ())
        elif self.files is None:
            self.connection.unregister(_FRAME)

    def _explained(self, error: duckdb.Error, found: dict[int, _typed.Field]) -> FederationError:
        index = _typed.unreadable(str(error))
        field = found.get(index) if index is not None else None
        if self.is_text and self.files is not None:
            for path in self.files.paths:
                fault = self._unread(path, field) if field is not None else self._malformed(path)
                if fault is not None:
                    return fault
        if field is not None:
            return refusal(field.item, self.where)
        return Misuse(f"{self.where} cannot be read ({type(error).__name__})", hint="columns of one plain type each")

    def _malformed(self, path: str) -> Misuse | None:
        found = _files.broken_line(path, self.delimiter, len(self.names))
        if found is None:
            return None
        line, what = found
        hint = f'{len(self.names)} columns as in the header, quoted by "'
        return Misuse(f"{Path(path).name}, line {line}: not well-formed CSV, {what}", hint=hint)

    def _unread(self, path: str, field: _typed.Field) -> Misuse | None:
        """Find the first record that cannot be read: the slow way, taken once there is an error."""
        number = named(exp.Window(this=exp.RowNumber()), "record")
        numbered = exp.select(number, named(_typed.fault(field), "fault")).from_(
            _csv([glob.escape(path)], self.delimiter, len(self.names))
        )
        wanted = exp.select(exp.Min(this=exp.column("record"))).from_(numbered.subquery("numbered"))
        row = self.connection.execute(wanted.where(exp.column("fault")).sql(DIALECT)).fetchone()
        if row is None or row[0] is None:
            return None
        return refusal(field.item, f"{Path(path).name}, line {_files.line_of(path, self.delimiter, int(row[0]))}")


def opened(source: object, wanted: Sequence[str] | None, threads: int | None) -> Source:
    """Return a source with, of a frame, the wanted columns only (None: all). Raises Misuse if it is none."""
    try:
        if not isinstance(source, str | os.PathLike):
            return _frame(_shared(threads or 0, os.getpid()).cursor(), _frames.found(source, wanted))
        files = _files.found(source)
        if files.format is _files.Format.PARQUET:
            return _parquet(_connected(threads or 0), files)
        return _text(files, wanted, threads or 0)
    except ImportError:
        raise Misuse("a polars frame needs pyarrow to be read", hint="pip install pyarrow") from None
    except duckdb.Error as error:
        hint = "Parquet that is whole, or a frame with columns of one plain type each"
        raise Misuse(f"the source cannot be read ({type(error).__name__})", hint=hint) from None


def refusal(item: Column, where: str) -> Misuse:
    """Return the error for a column that cannot be read as published."""
    return Misuse(
        f"{where}: column {item.name!r} is published as {item.kind} and holds something else",
        hint="publish it with its kind, or declare the missing code",
    )


def _frame(connection: Connection, frame: _frames.Frame) -> Source:
    connection.register(_FRAME, frame.table)
    table = exp.table_(_FRAME, quoted=True)
    held = _held(_described(connection, table)[1], nan_is_null=frame.nan_is_null)
    return Source(connection, _typed.aliased(table, len(held)), frame.names, held, "the frame")


def _parquet(connection: Connection, files: _files.Files) -> Source:
    _lock(connection, {*files.paths, *files.patterns})
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in files.patterns])
    table = call("READ_PARQUET", listed, _option("hive_partitioning", exp.false()))
    names, types = _described(connection, table)
    return Source(connection, _typed.aliased(table, len(names)), names, _held(types), Path(files.paths[0]).name, files)


def _text(files: _files.Files, wanted: Sequence[str] | None, threads: int) -> Source:
    _files.well_formed(files)
    names, delimiter = _files.header(files, wanted)
    connection = _connected(threads)
    relation = _csv(files.patterns, delimiter, len(names))
    held = _held(("VARCHAR",) * len(names))
    return Source(connection, relation, names, held, Path(files.paths[0]).name, files, delimiter)


def _csv(patterns: Sequence[str], delimiter: str, columns: int) -> exp.Table:
    """Return CSV files as columns of text: nothing is sniffed, and nothing malformed is passed over."""
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
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in patterns])
    return _typed.aliased(call("READ_CSV", listed, *(_option(name, item) for name, item in options.items())), columns)


def _option(name: str, of: exp.Expr) -> exp.Expr:
    return exp.Kwarg(this=exp.Var(this=name), expression=of)


def _described(connection: Connection, table: exp.Expr) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and types of a relation's columns."""
    found = connection.execute(exp.select(exp.Star()).from_(table).limit(0).sql(DIALECT)).description or []
    return tuple(str(item[0]) for item in found), tuple(str(item[1]) for item in found)


def _held(types: Sequence[str], *, nan_is_null: bool = False) -> tuple[Held, ...]:
    plain = [found.split("(")[0].strip('"') for found in types]
    return tuple(Held(_typed.source_name(place), found, nan_is_null) for place, found in enumerate(plain))


def _connected(threads: int) -> Connection:
    config: dict[str, str | bool | int | float | list[str]] = dict(_CONFIG)
    if threads:
        config["threads"] = threads
    return duckdb.connect(":memory:", config=config)


def _lock(connection: Connection, paths: Collection[str]) -> None:
    """Close everything but `paths`, then the closing itself."""
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in sorted(paths)]).sql(DIALECT)
    connection.execute(f"SET allowed_paths = {listed}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


@lru_cache(maxsize=8)
def _shared(threads: int, process: int) -> Connection:  # noqa: ARG001  # a fork has none of DuckDB's threads
    """One locked database for all frames of a process: a new one costs 13 ms, a connection to it 5 us.

    Every engine has a connection of its own, and its rows are in a temporary table, which no other connection sees.
    """
    connection = _connected(threads)
    _lock(connection, ())
    return connection
