"""Files as sources: which ones a path names, what they hash to, how a CSV file is laid out and where it is broken.

Paths come from the operator's configuration only; an absolute one is the operator's word, a relative one stays in its
folder whatever links and `..` say. Refused: no such file, a suffix that is neither CSV nor Parquet, files whose headers
differ, and malformed CSV, by file and line and never by what stands there.
"""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from federation.errors import Misuse, Refused

LONGEST_LINE: Final = 2_000_000  # bytes; DuckDB reads 2,097,152, and drops a last line of more than 32 MiB in silence
MOST_COLUMNS: Final = 10_000  # take 0.5 s and 150 MB whatever they hold; 100,000 would take 6 s and 1.1 GB
_PIECE: Final = 1 << 20
LONGEST_SHOWN: Final = 200  # of a path in a message
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_NOT_UTF8: Final = "not UTF-8"
_CONVERT: Final = "convert it with what it was written in, for one: iconv -f GBK -t UTF-8, or -f BIG5-HKSCS"
_FROM_UTF16: Final = "convert it; if a spreadsheet saved it as Unicode text: iconv -f UTF-16 -t UTF-8"
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
class Inside(os.PathLike[str]):
    """A path or pattern that a configuration names relative to its own folder; `found` lets it lead nowhere else."""

    folder: Path
    name: str

    def __fspath__(self) -> str:
        return str(self.folder / self.name)


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
    """Return the files that a path or a pattern names.

    Raises:
        Misuse: see above.
        Refused: rule "source": one of them lies outside the folder of `Inside`.
    """
    name = os.fspath(source)
    try:
        paths = _paths(name, source.folder if isinstance(source, Inside) else None)
        kinds = {_SUFFIXES.get(Path(path).suffix.lower()) if Path(path).is_file() else None for path in paths}
        stamps = _stamps(paths)
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, links that go round in a circle
        paths, kinds, stamps = (), set(), ()
    shown = repr(name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…")
    if not paths:
        raise Misuse(f"no file is called {shown}", hint="a path, or a pattern such as data/*.parquet")
    kind = kinds.pop()
    if kinds or kind is None:
        hint = f"files end in {' '.join(_SUFFIXES)}; a folder needs /*.csv"
        raise Misuse(f"{shown} does not name files of one kind", hint=hint)
    if any("\\" in path and _MAGIC & set(path) for path in paths):
        raise Misuse(f"{shown} holds a backslash beside * ? or [", hint="rename it")  # DuckDB's patterns cannot say it
    return Files(paths, kind, stamps)


def _paths(name: str, folder: Path | None) -> tuple[str, ...]:
    names = [name]
    if _MAGIC & set(name) and not Path(name).exists():  # a name may hold [ or * itself
        names = glob.glob(name, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    places = sorted({(Path(item).resolve(), item) for item in names if Path(item).exists()})
    for place, item in places:
        if folder is not None and not place.is_relative_to(folder.resolve()):
            raise Refused(
                f"{Path(item).name} lies outside the folder of the configuration",
                rule="source",
                hint=f"a link or .. leads there; if those are the data, name the real place: source = {str(place)!r}",
            )
    return tuple(dict.fromkeys(str(place) for place, _ in places))


def well_formed(files: Files) -> None:
    """Read CSV files once as bytes, a piece at a time, before anything parses them.

    Raises:
        Misuse: bytes that are not UTF-8, a NUL, a line of more than LONGEST_LINE bytes; with file and line.
    """
    for path in files.paths:
        with readable(path) as file:
            fault = _fault(file)
        if fault is not None:
            line, what, hint = fault
            raise Misuse(f"{Path(path).name}, line {line}: {what}", hint=hint)


def _fault(file: BinaryIO) -> tuple[int, str, str] | None:
    """Return (line, what is wrong there, remedy) of the first piece that is no text; None if all of it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, length, pending = 1, 0, b""  # lines begun, bytes of the last one, bytes of an unfinished character
    while True:
        piece = file.read(_PIECE)
        text = pending + piece
        try:
            if pending or not piece.isascii() or not piece:
                decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as cause:
            if text.startswith(_UTF16) and lines == 1:
                return 1, _NOT_UTF8, _FROM_UTF16
            return lines + text[: cause.start].count(b"\n"), _NOT_UTF8, _CONVERT
        pending = decoder.getstate()[0]
        if not piece:
            return None
        if b"\0" in piece:
            return lines + piece[: piece.index(b"\0")].count(b"\n"), "a NUL byte, which no text has", _FROM_UTF16
        first = piece.find(b"\n")
        if length + (len(piece) if first < 0 else first) > LONGEST_LINE:
            what = f"the line has more than {LONGEST_LINE:,} bytes"
            return lines, what, "is a line break or a closing quote missing? such a line is never read"
        length = length + len(piece) if first < 0 else len(piece) - 1 - piece.rfind(b"\n")
        lines += piece.count(b"\n")


@contextmanager
def readable(path: str) -> Iterator[BinaryIO]:
    """Open a file for its bytes. Raises Misuse if the system refuses."""
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as cause:
        hint = "may the user of this daemon read it?"
        raise Misuse(f"{Path(path).name} cannot be read: {cause.strerror}", hint=hint) from None


def header(files: Files, wanted: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    """Return the names of the columns of CSV files and what separates them.

    Args:
        files: all must have the same header.
        wanted: published columns, of which the separator gives most; None for the separator that gives most columns.

    Raises:
        Misuse: an empty file, line ends that are none, more than MOST_COLUMNS, or a header that differs from the first
            file's.
    """
    first = _header_line(files.paths[0])
    splits = {delimiter: _split(first, delimiter) for delimiter in _DELIMITERS}
    most = max(map(len, splits.values()))
    if most > MOST_COLUMNS:
        what = f"{Path(files.paths[0]).name} has {most:,} columns, more than the {MOST_COLUMNS:,} that are read"
        raise Misuse(what, hint="keep the columns that are published, or is a line break missing?")
    delimiter = max(splits, key=lambda item: len(splits[item] if wanted is None else set(splits[item]) & set(wanted)))
    for path in files.paths[1:]:
        if _split(_header_line(path), delimiter) != splits[delimiter]:
            what = f"{Path(path).name} has another header than {Path(files.paths[0]).name}"
            raise Misuse(what, hint="files of one source have the same columns in the same order")
    return splits[delimiter], delimiter


def _split(line: str, delimiter: str) -> tuple[str, ...]:
    with _long_fields():
        return tuple(next(csv.reader([line], delimiter=delimiter), ()))


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read fields as long as a line may be; its own limit, 131,072, is the process's."""
    before = csv.field_size_limit(LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def broken_line(path: str, delimiter: str, columns: int) -> tuple[int, str] | None:
    """Return the line in which a CSV file stops being one, and how: badly quoted, of another width, other line ends."""
    line = 0
    with _long_fields():
        try:
            for line, width in _records(path, delimiter):
                if width not in (0, columns):
                    return line, "another number of fields than the header"
        except csv.Error:
            return line + 1, "a quote that is not closed, or text after a closing one"
    with readable(path) as file:
        ends = b"\r\n" if file.readline(LONGEST_LINE).endswith(b"\r\n") else b"\n"
        for line, content in enumerate(file, start=2):
            if content.endswith(b"\r\n") != (ends == b"\r\n") and content.endswith(b"\n"):
                return line, "another line end than the first line's"
    return None


def line_of(path: str, delimiter: str, record: int) -> int:
    """Return the last line of a record; records count from 1 and leave out the header and empty lines."""
    place = -1
    with _long_fields():
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
    """Return the first line of a file that `well_formed` has passed."""
    with readable(path) as file:
        line = file.readline(LONGEST_LINE + 2).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    if "\r" in line:
        hint = f"convert it: tr '\\r' '\\n' < {Path(path).name} > lines.csv"
        raise Misuse(f"{Path(path).name}, line 1: a carriage return that is no line end", hint=hint)
    if not line:
        raise Misuse(f"{Path(path).name} has no header line", hint="its first line holds the names of the columns")
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
