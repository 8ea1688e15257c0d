"""Files as sources: which ones a path names, what they hash to, how a CSV file is laid out and where it is broken.

Paths come from the operator's configuration only. Refused: no such file, a suffix that is neither CSV nor Parquet,
files whose headers differ, and malformed CSV, by file and line and never by what stands there.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from federation.errors import Misuse, Refused

_PIECE: Final = 1 << 20
_DELIMITERS: Final = (",", ";", "\t", "|")
_MAGIC: Final = frozenset("*?[")


class Format(StrEnum):
    """How the bytes are read."""

    CSV = "CSV"
    PARQUET = "Parquet"


_SUFFIXES: Final = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".txt": Format.CSV,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one source, as they were when it was opened.

    Attributes:
        paths: absolute, in sorted order.
        format: all of them have it.
        stamps: (inode, size, time of change) of each; another stamp is another file.
    """

    paths: tuple[str, ...]
    format: Format
    stamps: tuple[tuple[int, int, int], ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """The paths as patterns that match nothing else: DuckDB reads every path as one."""
        return tuple(glob.escape(path) for path in self.paths)

    def unchanged(self) -> None:
        """Check that the files are still those that were opened. Raises Refused, rule "version"."""
        if _stamps(self.paths) != self.stamps:
            raise Refused(
                "the data changed after it was opened",
                rule="version",
                hint="a change of the data is a new version: publish it again",
            )

    def version(self) -> str:
        """Return SHA-256 (hex) over the bytes of the files in sorted path order, as `cat FILES | sha256sum` does."""
        state = hashlib.sha256()
        for path in self.paths:
            with Path(path).open("rb") as file:
                while piece := file.read(_PIECE):
                    state.update(piece)
        self.unchanged()
        return state.hexdigest()


def found(source: str | os.PathLike[str]) -> Files:
    """Return the files that a path or a pattern names. Raises Misuse, see above."""
    name = os.fspath(source)
    names = [name]
    if _MAGIC & set(name) and not Path(name).exists():  # a name may hold [ or * itself
        names = glob.glob(name, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    paths = tuple(sorted(str(Path(item).resolve()) for item in names if Path(item).exists()))
    if not paths:
        raise Misuse(f"no file is called {name!r}", hint="a path, or a pattern such as data/*.parquet")
    kinds = {_SUFFIXES.get(Path(path).suffix.lower()) if Path(path).is_file() else None for path in paths}
    kind = kinds.pop()
    if kinds or kind is None:
        hint = f"files end in {' '.join(_SUFFIXES)}; a folder needs /*.csv"
        raise Misuse(f"{name!r} does not name files of one kind", hint=hint)
    if any("\\" in path and _MAGIC & set(path) for path in paths):
        raise Misuse(f"{name!r} holds a backslash beside * ? or [", hint="rename it")  # DuckDB's patterns cannot say it
    return Files(paths, kind, _stamps(paths))


def header(files: Files, wanted: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    """Return the names of the columns of CSV files and what separates them.

    Args:
        files: all must have the same header.
        wanted: published columns, of which the separator gives most; None for the separator that gives most columns.

    Raises:
        Misuse: an empty file, bytes that are not UTF-8, or a header that differs from the first file's.
    """
    first = _header_line(files.paths[0])
    splits = {delimiter: tuple(next(csv.reader([first], delimiter=delimiter), ())) for delimiter in _DELIMITERS}
    delimiter = max(splits, key=lambda item: len(splits[item] if wanted is None else set(splits[item]) & set(wanted)))
    for path in files.paths[1:]:
        if tuple(next(csv.reader([_header_line(path)], delimiter=delimiter), ())) != splits[delimiter]:
            raise Misuse(f"{Path(path).name} has another header than {Path(files.paths[0]).name}")
    return splits[delimiter], delimiter


def broken_line(path: str, delimiter: str, columns: int) -> int | None:
    """Return the line in which a CSV file stops being one: undecodable, badly quoted or of another width; or None."""
    with Path(path).open("rb") as file:
        for line, content in enumerate(file, start=1):
            try:
                content.decode("utf-8")
            except UnicodeDecodeError:
                return line
    line = 0
    try:
        for line, width in _records(path, delimiter):
            if width not in (0, columns):
                return line
    except csv.Error:
        return line + 1
    return None


def line_of(path: str, delimiter: str, record: int) -> int:
    """Return the last line of a record; records count from 1 and leave out the header and empty lines."""
    place = -1
    for line, width in _records(path, delimiter):
        place += width > 0
        if place == record:
            return line
    return 0


def _records(path: str, delimiter: str) -> Iterator[tuple[int, int]]:
    """Yield (line at which it ends, fields) of every record."""
    with Path(path).open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        for record in reader:
            yield reader.line_num, len(record)


def _header_line(path: str) -> str:
    with Path(path).open("rb") as file:
        first = file.readline()
    try:
        line = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise Misuse(f"{Path(path).name}, line 1: not UTF-8", hint="convert the file to UTF-8") from None
    if not line:
        raise Misuse(f"{Path(path).name} has no header line")
    return line


def _stamps(paths: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    stamps: list[tuple[int, int, int]] = []
    for path in paths:
        try:
            found = Path(path).stat()
        except OSError:
            stamps.append((0, -1, 0))
            continue
        stamps.append((found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(stamps)
