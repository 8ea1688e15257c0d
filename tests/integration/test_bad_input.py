"""Data that a clumsy operator publishes: whatever is wrong with them ends in one line, one hint and the right code.

Every case leaves the folder as it was, and no value of the data stands in what is said: the files carry canaries.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli.stage import Stage
from clients.jurisdiction.engines import _files
from clients.jurisdiction.engines.duckdb import DuckDB
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query.expression import Col
from federation.query.query import SumQuery

sys.path.insert(0, str(Path(__file__).parent))
from operators import CANARY, CHECKOUT, GOOD, HEADER, TABLES, Operator, unstarted, well_said


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return unstarted(tmp_path_factory.mktemp("bad") / "stage")


@pytest.fixture
def operator(stage: Stage, capfd: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    clumsy = Operator(stage, capfd)
    clumsy.writes(TABLES)
    clumsy.data(GOOD)
    yield clumsy
    (stage.folder / "people.csv").unlink(missing_ok=True)


# --- data files ------------------------------------------------------------------------------------------------------

TEXT = "age,pay,sex,place\n1,2.5,f,廣東\n"
FILES: dict[str, tuple[str | bytes, str, str]] = {
    # what stands in the file -> what is said, the hint
    "too_few_fields": (HEADER + f"1,2.5,f\n{CANARY},2\n", "people.csv, line 3: not well-formed CSV", "3 columns"),
    "too_many_fields": (HEADER + f"1,2.5,f,{CANARY}\n", "people.csv, line 2: not well-formed CSV", "3 columns"),
    "an_open_quote": (HEADER + f'1,2.5,"f\n{CANARY},3,m\n', "people.csv, line 2: not well-formed CSV, a quote", ""),
    "two_line_ends": (HEADER + f"1,2,f\r\n{CANARY},3,m\n", "people.csv, line 2: not well-formed CSV", ""),
    "old_line_ends": (GOOD.replace("\n", "\r"), "people.csv, line 1: a carriage return", "tr "),
    "gbk": (
        TEXT.replace("廣東", f"广东{CANARY}").encode("gbk"),
        "people.csv, line 2: not UTF-8",
        "iconv -f GBK -t UTF-8",
    ),
    "big5": (TEXT.replace("廣東", f"澳門{CANARY}").encode("big5"), "people.csv, line 2: not UTF-8", "-f BIG5"),
    "gbk_header": (f"age,pay,sex,地点\n{CANARY},2,f,x\n".encode("gbk"), "people.csv, line 1: not UTF-8", "iconv"),
    "gb18030_at_the_end": (GOOD.encode() + "3,4,㐀".encode("gb18030"), "people.csv, line 4: not UTF-8", "iconv"),
    "cut_character": (GOOD.encode() + "3,4,門".encode()[:-1], "people.csv, line 4: not UTF-8", "iconv"),
    "utf_16": (GOOD.encode("utf-16"), "people.csv, line 1: not UTF-8", "iconv -f UTF-16 -t UTF-8"),
    "utf_16_without_a_mark": (GOOD.encode("utf-16-le"), "people.csv, line 1: a NUL byte", "UTF-16"),
    "nul": (GOOD + "3,4,f\0\n", "people.csv, line 4: a NUL byte", ""),
    "a_header_twice": (f"age,pay,sex,age\n1,2,f,{CANARY}\n", "more than one column 'age'", "rename or remove"),
    "10_to_the_400_in_an_integer": (HEADER + f"1,2,f\n1{'0' * 400},2,f\n", "people.csv, line 3: column 'age'", ""),
    "10_to_the_400_in_a_real": (HEADER + f"1,2,f\n1,1{'0' * 400},f\n", "people.csv, line 3: column 'pay'", ""),
    "1e400": (HEADER + "1,2,f\n1,-1e400,f\n", "people.csv, line 3: column 'pay'", "declare the missing code"),
    "a_word_for_a_number": (HEADER + f"1,x{CANARY},f\n", "people.csv, line 2: column 'pay'", ""),
    "no_header": (f"31,{CANARY},f\n32,5,m\n", "has no column 'age'", "does the first line hold the names"),
    "other_letters": (GOOD.replace("age", "Age"), "has no column 'age'", "did you mean 'Age'?"),
    "a_column_less": ("age,sex\n1,f\n", "has no column 'pay'", "known: age, sex"),
    "nothing": ("", "people.csv has no header line", "first line"),
    "10_to_the_5_columns": (
        "age,pay,sex," + ",".join(f"c{i}" for i in range(100_000)) + "\n",
        "people.csv has 100,003 columns, more than the 10,000 that are read",
        "keep the columns",
    ),
}


@pytest.mark.parametrize(("content", "said", "hint"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_csv_is_told_by_its_line(
    operator: Operator, content: str | bytes, said: str, hint: str
) -> None:
    operator.data(content)
    operator.refused(2, said, hint=hint)


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode("utf-8-sig"),
        ('\ufeff"age",pay,sex\n' + GOOD.removeprefix(HEADER)).encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.rstrip("\n").encode(),
        GOOD.replace(",", ";").encode(),
        GOOD.replace("sex\n", "sex,x,x,,\n").replace("f\n", "f,1,2,,\n").replace("m\n", "m,1,2,,\n").encode(),
        GOOD.encode() + b"3,inf,m\n4,nan,f\n",
    ],
    ids=["mark", "mark_and_quotes", "crlf", "no_last_line_end", "semicolons", "unpublished_twice", "not_finite"],
)
def test_what_a_spreadsheet_saves_simply_works(operator: Operator, content: bytes) -> None:
    operator.data(content)
    assert operator.checks() == 0, operator.said
    assert "3 columns" in operator.said


def test_a_byte_order_mark_in_front_of_the_configuration_works_too(operator: Operator) -> None:
    operator.file.write_bytes(b"\xef\xbb\xbf" + operator.file.read_bytes())
    assert operator.checks() == 0, operator.said


PAY = Dataset(name="d", title="", unit="row", k=1, columns=(Column(name="pay", kind=Kind.REAL, low=0, high=9),))
TOTAL = SumQuery(dataset="d", terms=(Col("pay"),))


def test_a_number_without_bounds_is_an_error_and_what_is_not_finite_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("pay\n1\n2\ninf\n-Infinity\nnan\n")
    with DuckDB.open(PAY, str(path)) as engine:
        (answer,) = engine.sums((TOTAL,), PAY)
    assert (answer.table[0][0], answer.counts[-1]) == (2, 3)
    path.write_text("pay\n1\n1e999\n")
    with pytest.raises(Misuse, match=r"d.csv, line 3: column 'pay'"):
        DuckDB.open(PAY, str(path))


# --- large files -----------------------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
from clients.cli.main import main
main(["version"])
import clients.jurisdiction.daemon
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = main(["jurisdiction", "check", sys.argv[1]])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
sys.exit(code)
"""


@pytest.mark.parametrize("place", ["header", "row", "quoted_row"])
def test_a_line_of_a_gigabyte_is_refused_before_it_is_held(operator: Operator, place: str) -> None:
    """The file is sparse, behind more text than the limit; nothing of it is read after 2 MB of one line."""
    head = {"header": "age,pay,sex,", "row": GOOD + "3,4,", "quoted_row": GOOD + '3,4,"'}[place]
    path = operator.folder / "people.csv"
    with path.open("wb") as file:
        file.write(head.encode() + b"x" * 3_000_000)
        file.truncate(1_000_000_000)
    command = [sys.executable, "-c", MEASURED, str(operator.file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=CHECKOUT)
    assert done.returncode == 2, done.stderr
    line = 1 if place == "header" else 4
    well_said(done.stderr, f"people.csv, line {line}: the line has more than {_files.LONGEST_LINE:,} bytes")
    assert int(done.stdout.split()[-1]) < 64 * 1024  # KiB


def long_last_line(path: Path, size: int) -> int:
    """Return how many of two rows are counted when the last one has so many bytes."""
    path.write_bytes(b"pay,note\n1,x\n2," + b"x" * size + b"\n")
    with DuckDB.open(PAY, str(path), threads=2) as engine:
        return engine.sums((TOTAL,), PAY)[0].table[0][0]


def test_without_the_limit_on_lines_a_row_would_be_lost_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.csv"
    assert long_last_line(path, _files.LONGEST_LINE - 100) == 2
    with pytest.raises(Misuse, match="line 3: the line has more than"):
        long_last_line(path, _files.LONGEST_LINE)
    monkeypatch.setattr(_files, "well_formed", lambda _: None)
    assert long_last_line(path, 40 * 1024 * 1024) == 1  # the reader drops it and says nothing


def test_many_columns_of_which_three_are_published_are_read(operator: Operator) -> None:
    names, zeros = (",".join(made) for made in ((f"c{i}" for i in range(5_000)), ("0" for _ in range(5_000))))
    operator.data(f"age,{names},pay,sex\n1,{zeros},2.5,f\n")
    assert operator.checks() == 0, operator.said


# --- where a source leads --------------------------------------------------------------------------------------------

LEADING_OUT = ["../outside.csv", "link.csv", "linked/outside.csv", "data/../../outside.csv", "l*.csv", "linked/*.csv"]


@pytest.fixture
def outside(operator: Operator) -> Iterator[Path]:
    """A file beside the configuration's folder, and links to it from inside."""
    path = operator.folder.parent / "outside.csv"
    path.write_text(GOOD)
    (operator.folder / "data").mkdir()
    (operator.folder / "data" / "inside.csv").write_text(GOOD)
    links = {"link.csv": path, "linked": operator.folder.parent, "inner.csv": operator.folder / "data" / "inside.csv"}
    for name, target in links.items():
        (operator.folder / name).symlink_to(target)
    yield path
    for name in links:
        (operator.folder / name).unlink()
    (operator.folder / "data" / "inside.csv").unlink()
    (operator.folder / "data").rmdir()


@pytest.mark.parametrize("source", LEADING_OUT)
def test_a_relative_source_that_leads_out_of_the_folder_is_refused(
    operator: Operator, outside: Path, source: str
) -> None:
    operator.edits('"people.csv"', f'"{source}"')
    operator.refused(3, "lies outside the folder of the configuration", hint=f"source = {str(outside)!r}")


def test_an_absolute_path_is_the_operators_word_and_links_inside_the_folder_are_fine(
    operator: Operator, outside: Path
) -> None:
    was = "people.csv"
    for source in (str(outside), str(operator.folder / "link.csv"), "inner.csv", "data/../people.csv", "d*/in*.csv"):
        operator.edits(f'source = "{was}"', f'source = "{source}"')
        assert operator.checks() == 0, operator.said
        was = source


def test_without_the_wall_the_link_would_be_read(
    operator: Operator, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.edits('"people.csv"', '"link.csv"')
    paths = _files._paths
    monkeypatch.setattr(_files, "_paths", lambda name, _: paths(name, None))
    assert operator.checks() == 0, operator.said


SOURCES: dict[str, tuple[str, str]] = {
    "nowhere": ("nowhere.csv", "no file is called"),
    "nul": ("a\\u0000b.csv", "no file is called"),
    "escape": ("a\\u001b[2J.csv", "no file is called"),
    "rtl": ("a\\u202evsc.exe", "no file is called"),
    "10_kB": ("a" * 10_000 + ".csv", "no file is called"),
    "nothing": ("", "dataset.0.source"),
    "a_folder": ("keys", "does not name files of one kind"),
    "a_device": ("/dev/zero", "does not name files of one kind"),
    "a_spreadsheet": ("people.xlsx", "no file is called"),
}


@pytest.mark.parametrize(("source", "said"), SOURCES.values(), ids=SOURCES)
def test_a_source_that_is_none_is_told(operator: Operator, source: str, said: str) -> None:
    operator.edits('"people.csv"', f'"{source}"')
    operator.refused(2, said)


def test_links_in_a_circle_and_pipes_are_no_files(operator: Operator) -> None:
    circle, pipe = operator.folder / "circle.csv", operator.folder / "pipe.csv"
    circle.symlink_to(circle)
    os.mkfifo(pipe)
    try:
        operator.edits('"people.csv"', '"circle.csv"')
        operator.refused(2, "circle.csv")
        operator.edits('"circle.csv"', '"pipe.csv"')
        operator.refused(2, "does not name files of one kind")
    finally:
        circle.unlink()
        pipe.unlink()


def test_a_file_that_the_system_keeps_from_us_is_told(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def kept(self: Path, *arguments: object, **options: object) -> object:
        if self.name == "people.csv":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", kept)  # root may read everything, so that modes would test nothing
    operator.refused(2, "people.csv cannot be read: Permission denied", hint="may the user")
