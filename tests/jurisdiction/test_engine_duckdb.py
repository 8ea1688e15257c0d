"""What the embedded engine reads, and what nothing can make it read."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from clients.jurisdiction.engines import _sources
from clients.jurisdiction.engines.duckdb import DuckDB
from clients.jurisdiction.sql import arithmetic
from clients.jurisdiction.sql.layers import column, real
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import FederationError, JobFailed, Misuse, Refused
from federation.query.expression import Col
from federation.query.query import Answer, Categories, SumQuery, Unit

AGE = Column(name="age", kind=Kind.INTEGER, low=0, high=120)
PAY = Column(name="pay", kind=Kind.REAL, low=0, high=1000)
PLACE = Column(name="place", kind=Kind.CATEGORY, categories=("GD", "HK", "澳門"))
WHO = Column(name="who", kind=Kind.IDENTIFIER)
PEOPLE = Dataset(name="people", title="", unit="person", columns=(AGE, PAY, PLACE, WHO), k=1)
ASKED = SumQuery(
    dataset="people", per=Unit("who"), group_by=(Categories("place"),), terms=(Col("age"), Col("age") * Col("age"))
)
TABLE = pa.table({
    "who": ["a", "b", "a", None],
    "place": ["HK", "澳門", "HK", "GD"],
    "pay": [1.5, 2.5, None, float("nan")],
    "age": [30, 40, None, 60],
    "unused": [1, 2, 3, 4],
})  # fmt: skip
EXPECTED = Answer(table=((0, 0, 0), (1, 30, 900), (1, 40, 1600)), counts=(1, 0, 0, 1, 0))


def answer(source: object, query: SumQuery = ASKED, dataset: Dataset = PEOPLE) -> Answer:
    with DuckDB.open(dataset, source, threads=1) as engine:
        return engine.sums((query,), dataset)[0]


def one(column: Column) -> Dataset:
    return Dataset(name="one", title="", unit="row", columns=(column,), k=1)


def csv(path: Path, text: str) -> str:
    path.write_bytes(text.encode("utf-8"))
    return str(path)


# --- sources ---------------------------------------------------------------------------------------------------------


def written(folder: Path, suffix: str) -> str:
    """Write TABLE to a file whose name is as awkward as a name can be."""
    path = folder / f"o'brien [1] *?; -- 澳門{suffix}"
    if suffix == ".parquet":
        pq.write_table(TABLE, path)
    else:
        TABLE.to_pandas().astype({"age": "Int64"}).to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_file_is_read_whatever_it_is_called(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    (tmp_path / f"o'brien 1 xx; -- 澳門{suffix}").write_bytes(b"the pattern that the name spells would find this one")
    assert answer(path) == EXPECTED
    assert answer(Path(path)) == EXPECTED


FRAMES: dict[str, Callable[[], object]] = {
    "pandas": TABLE.to_pandas,
    "pandas of objects": lambda: TABLE.to_pandas().astype({"who": object, "place": object}),
    "pandas of categories": lambda: TABLE.to_pandas().astype({"place": "category"}),
    "pandas of arrow": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas of nullables": lambda: TABLE.to_pandas().convert_dtypes(),
    "polars": lambda: pl.from_arrow(TABLE),
    "pyarrow": lambda: TABLE,
    "pyarrow dictionary": lambda: TABLE.set_column(1, "place", TABLE["place"].dictionary_encode()),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_read_whoever_made_it(name: str) -> None:
    assert answer(FRAMES[name]()) == EXPECTED


def test_nan_is_no_value_in_pandas_and_not_finite_elsewhere(tmp_path: Path) -> None:
    query = SumQuery(dataset="people", terms=(Col("pay"),))
    pq.write_table(TABLE, tmp_path / "t.parquet")
    csv(tmp_path / "t.csv", "who,place,pay,age\na,HK,1.5,30\nb,GD,2.5,40\na,HK,,\n,GD,nan,60\n")
    sources = [TABLE.to_pandas(), pl.from_arrow(TABLE), TABLE, tmp_path / "t.parquet", tmp_path / "t.csv"]
    found = [answer(source, query).counts for source in sources]
    assert found == [(2, 0, 0), (1, 0, 1), (1, 0, 1), (1, 0, 1), (1, 0, 1)]


NANS = pa.table({"x": [1.0, 2.0, float("nan"), None]})  # the file says: from 1 to 2, one NULL


def test_the_statistics_of_a_parquet_file_do_not_hide_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = Column(name="x", kind=Kind.REAL, low=0, high=9)
    query = SumQuery(dataset="one", terms=((Col("x") > 0).indicator(),))
    pq.write_table(NANS, tmp_path / "t.parquet")
    assert answer(tmp_path / "t.parquet", query, one(x)) == Answer(table=((2, 2),), counts=(1, 0, 1))

    def compared(name: str) -> exp.Expr:
        above = exp.GT(this=column(name), expression=real(float("-inf")))
        return exp.And(this=above, expression=exp.LT(this=column(name), expression=real(float("inf"))))

    monkeypatch.setattr(arithmetic, "finite", compared)
    assert answer(tmp_path / "t.parquet", query, one(x)) != Answer(table=((2, 2),), counts=(1, 0, 1))


def test_several_files_are_one_source_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for place, rows in enumerate((TABLE.slice(0, 2), TABLE.slice(2))):
        pq.write_table(rows, tmp_path / f"part{place}.parquet")
    pattern = str(tmp_path / "part*.parquet")
    bytes_of = [(tmp_path / f"part{place}.parquet").read_bytes() for place in (0, 1)]
    with DuckDB.open(PEOPLE, pattern) as engine:
        assert engine.version == hashlib.sha256(b"".join(bytes_of)).hexdigest()
        assert engine.sums((ASKED,), PEOPLE) == (EXPECTED,)


@pytest.mark.parametrize(
    "source",
    ["nowhere.csv", "no*.parquet", ".", "notes.pdf", 7, None, [("age", 1)], pl.LazyFrame({"age": [1]})],
    ids=["no file", "no match", "a folder", "no table", "a number", "nothing", "a list", "a lazy frame"],
)
def test_what_is_no_source_is_misuse(source: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.pdf").write_bytes(b"%PDF")
    with pytest.raises(Misuse):
        DuckDB.open(PEOPLE, source)


def test_a_file_that_is_no_parquet_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="cannot be read") as error:
        DuckDB.open(PEOPLE, csv(tmp_path / "t.parquet", "age\n31337\n"))
    assert "31337" not in str(error.value)


def test_a_changed_file_is_refused_and_has_no_version(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(TABLE, path)
    with DuckDB.open(PEOPLE, path) as engine:
        assert engine.sums((ASKED,), PEOPLE) == (EXPECTED,)
        pq.write_table(TABLE.slice(1), path)
        with pytest.raises(Refused, match="changed") as refusal:
            engine.sums((ASKED,), PEOPLE)
        assert refusal.value.rule == "version"
        with pytest.raises(Refused):
            _ = engine.version


def test_what_happens_to_a_frame_after_it_was_opened_changes_nothing() -> None:
    frame = TABLE.to_pandas()
    with DuckDB.open(PEOPLE, frame) as engine:
        frame.loc[:, "age"] = 1
        assert engine.sums((ASKED,), PEOPLE) == (EXPECTED,)
        with DuckDB.open(PEOPLE, TABLE.to_pandas()) as same, DuckDB.open(PEOPLE, frame) as other:
            assert engine.version == same.version != other.version


def test_engines_over_frames_do_not_see_each_other() -> None:
    small = TABLE.slice(0, 1)
    with DuckDB.open(PEOPLE, TABLE) as first, DuckDB.open(PEOPLE, small) as second:
        count = SumQuery(dataset="people")
        assert [engine.sums((count,), PEOPLE)[0].table for engine in (first, second)] == [((4,),), ((1,),)]
        second.close()
        assert first.sums((count,), PEOPLE)[0].table == ((4,),)


def test_engines_are_opened_and_asked_by_several_threads_at_once() -> None:
    def work(ages: int) -> tuple[tuple[int, ...], ...]:
        frame = pa.table({"age": [ages] * 5})
        with DuckDB.open(one(AGE), frame) as engine:
            return engine.sums((SumQuery(dataset="one", terms=(Col("age"),)),), one(AGE))[0].table

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(60))) == [((5, 5 * ages),) for ages in range(60)]


def test_frames_libraries_are_not_imported_before_somebody_brings_one() -> None:
    program = (
        "import sys; import clients.jurisdiction.engines.duckdb, clients.local.infer;"
        "assert not {'pandas', 'polars', 'pyarrow'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


# --- CSV -------------------------------------------------------------------------------------------------------------

BROKEN = {
    "too few fields": ("age,x\n1,2\n31337\n", 3),
    "too many fields": ("age,x\n31337,2,3\n", 2),
    "a quote inside": ('age,x\n1,2\n31337,"a"b\n', 3),
    "an open quote": ('age,x\n1,2\n31337,"a\n', 3),
    "a letter": ("age,x\n1,2\n2,3\n31337x,4\n", 4),
    "a fraction": ("age,x\n1,2\n31337.5,4\n", 3),
    "too large": ("age,x\n1,2\n31337313373133731337,4\n", 3),
    "hexadecimal": ("age,x\n0x31337,4\n", 2),
    "after a quoted line break": ('age,x\n1,"a\nb\nc"\n31337!,4\n', 5),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_csv_names_file_and_line_and_never_the_value(tmp_path: Path, name: str) -> None:
    text, line = BROKEN[name]
    with pytest.raises(Misuse) as error:
        DuckDB.open(one(AGE), csv(tmp_path / "people.csv", text))
    assert f"people.csv, line {line}: " in error.value.message
    assert "31337" not in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.__suppress_context__  # DuckDB's message quotes the line


def test_bytes_that_are_not_utf8_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"age,place\n1,HK\n2,\xff\xfe\n")
    with pytest.raises(Misuse, match=r"people.csv, line 3: "):
        DuckDB.open(one(PLACE), str(tmp_path / "people.csv"))
    (tmp_path / "people.csv").write_bytes(b"age,\xff\n1,HK\n")
    with pytest.raises(Misuse, match=r"people.csv, line 1: not UTF-8"):
        DuckDB.open(one(AGE), str(tmp_path / "people.csv"))


def test_the_broken_one_of_several_files_is_named(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", "age\n1\n")
    csv(tmp_path / "b.csv", "age\n1\n2\nx\n")
    with pytest.raises(Misuse, match=r"b.csv, line 4: column 'age' is published as integer"):
        DuckDB.open(one(AGE), str(tmp_path / "*.csv"))
    csv(tmp_path / "b.csv", "other,age\n1,1\n")
    with pytest.raises(Misuse, match=r"b.csv has another header than a.csv"):
        DuckDB.open(one(AGE), str(tmp_path / "*.csv"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_is_read_however_it_was_saved(tmp_path: Path, delimiter: str, ending: str, mark: str) -> None:
    lines = [["note,s", "age"], ['"a, b; c|d"', "7"], ['""', "+8"], ["", "9.0"], ["x", ""]]
    lines[0] = ['"note,s"', "age"]
    text = mark + ending.join(delimiter.join(line) for line in lines) + ending
    got = answer(csv(tmp_path / "t.csv", text), SumQuery(dataset="one", terms=(Col("age"),)), one(AGE))
    assert got == Answer(table=((3, 24),), counts=(1, 0, 0))


# --- kinds and missing codes -----------------------------------------------------------------------------------------


def test_missing_codes_are_found_in_every_kind_of_source(tmp_path: Path) -> None:
    age = Column(name="age", kind=Kind.INTEGER, low=0, high=9, missing=(("-1", "refused"), ("n/a", "unknown")))
    text = "age\n5\n-1\nn/a\n\n6\n-1\n"
    query = SumQuery(dataset="one", terms=(Col("age"),))
    expected = Answer(table=((2, 11),), counts=(1, 2, 1, 0, 0))
    csv(tmp_path / "t.csv", text.replace("\n\n", '\n""\n'))
    numbers = pa.table({"age": pa.array([5, -1, -1, None, None, 6], pa.int64())})
    assert answer(pa.table({"age": ["5", "-1", "n/a", None, "6", "-1"]}), query, one(age)) == expected
    assert answer(numbers, query, one(age)) == Answer(table=((2, 11),), counts=(2, 2, 0, 0, 0))
    assert answer(numbers.to_pandas(), query, one(age)) == Answer(table=((2, 11),), counts=(2, 2, 0, 0, 0))
    with pytest.raises(Misuse, match="published as integer"):
        answer(pa.table({"age": ["5", "?"]}), query, one(age))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.INTEGER, pa.array([1.5])),
        (Kind.INTEGER, pa.array([float("nan")])),
        (Kind.INTEGER, pa.array([1e300])),
        (Kind.INTEGER, pa.array([2**63], pa.uint64())),
        (Kind.INTEGER, pa.array(["31337e0"])),
        (Kind.REAL, pa.array(["31337,5"])),
        (Kind.REAL, pa.array([[31337.5]])),
        (Kind.INTEGER, pa.array([31337], pa.date32())),
    ],
    ids=str,
)
def test_what_is_not_of_its_kind_is_misuse_that_names_the_column(kind: Kind, values: pa.Array, tmp_path: Path) -> None:
    table = pa.table({"x": values})
    pq.write_table(table, tmp_path / "t.parquet")
    for source in (table, tmp_path / "t.parquet"):
        with pytest.raises(Misuse, match="'x'") as error:
            DuckDB.open(one(Column(name="x", kind=kind, low=0, high=1)), source)
        assert "31337" not in str(error.value)


def test_whole_reals_booleans_and_wide_integers_are_integers() -> None:
    x = Column(name="x", kind=Kind.INTEGER, low=-(2**62) + 1, high=2**62 - 1)
    query = SumQuery(dataset="one", terms=(Col("x"),))
    for values in ([1.0, None, 3.0], [True, False, True], np.array([4, 0, 0], "u8"), np.array([4, 0, 0], "i1")):
        frame = pd.DataFrame({"x": values})
        assert answer(frame, query, one(x)).table[0][1] == (2 if values[0] is True else 4)


def test_codes_that_are_numbers_are_categories_without_a_fraction() -> None:
    x = Column(name="x", kind=Kind.CATEGORY, categories=("2", "1"), missing=(("9", "refused"),))
    query = SumQuery(dataset="one", group_by=(Categories("x"),))
    expected = Answer(table=((1,), (2,)), counts=(1, 1, 0))
    for values in ([1, 2, None, 1, 9], [1.0, 2.0, None, 1.0, 9.0], ["1", "2", None, "1", "9"]):
        assert answer(pa.table({"x": values}), query, one(x)) == expected
        assert answer(pd.DataFrame({"x": values}), query, one(x)) == expected


# --- walls -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "secret.csv"
    path.parent.mkdir()
    path.write_text("a\n31337\n", "utf-8")
    duckdb.connect().execute(f"ATTACH '{path.parent}/secret.db' AS s; CREATE TABLE s.t AS SELECT 1").close()
    return path


ESCAPES = [
    "SELECT * FROM read_csv('{0}')",
    "SELECT * FROM read_text('{0}')",
    "SELECT * FROM '{0}'",
    "SELECT * FROM glob('{1}/*')",
    "SELECT * FROM sniff_csv('{0}')",
    "CREATE TABLE x AS SELECT * FROM read_csv('{0}')",
    "COPY (SELECT 1) TO '{1}/out.csv'",
    "COPY (SELECT 1) TO '{1}/out.parquet'",
    "EXPORT DATABASE '{1}/all'",
    "IMPORT DATABASE '{1}/all'",
    "ATTACH '{1}/secret.db'",
    "ATTACH '{1}/new.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{1}/x.duckdb_extension'",
    "CREATE SECRET s (TYPE s3)",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET lock_configuration = false",
    "SET allowed_paths = ['{0}']",
    "SET allowed_directories = ['{1}']",
    "SET autoinstall_known_extensions = true",
    "SET temp_directory = '{1}'",
    "SET threads = 1",
    "PRAGMA profiling_output = '{1}/profile'",
    "CALL enable_logging(storage = 'file')",
]


@pytest.mark.parametrize("statement", ESCAPES)
@pytest.mark.parametrize("kind", ["parquet", "csv", "frame"])
def test_no_statement_reaches_beyond_the_source(kind: str, statement: str, tmp_path: Path, secret: Path) -> None:
    source: object = TABLE if kind == "frame" else written(tmp_path, f".{kind}")
    before = sorted(secret.parent.iterdir())
    with DuckDB.open(PEOPLE, source) as engine:
        with pytest.raises(duckdb.Error):
            engine._connection.execute(statement.format(secret, secret.parent)).fetchall()
        assert engine.sums((ASKED,), PEOPLE) == (EXPECTED,)
    assert sorted(secret.parent.iterdir()) == before


def test_the_walls_are_what_stops_them(tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sources, "_lock", lambda *_: None)
    with DuckDB.open(PEOPLE, written(tmp_path, ".parquet")) as engine:
        assert engine._connection.execute(ESCAPES[0].format(secret)).fetchall() == [(31337,)]


def test_a_variable_of_this_program_is_no_table() -> None:
    hidden = TABLE
    assert hidden is TABLE
    with DuckDB.open(PEOPLE, TABLE) as engine, pytest.raises(duckdb.Error):
        engine._connection.execute("SELECT * FROM hidden")


def test_a_failure_of_the_database_is_told_without_its_message() -> None:
    with DuckDB.open(PEOPLE, TABLE) as engine:
        engine._connection.execute("DROP TABLE rows")
        with pytest.raises(JobFailed, match="CatalogException") as error:
            engine.sums((ASKED,), PEOPLE)
    assert isinstance(error.value, FederationError)
    assert error.value.__suppress_context__
